//! How many meshes run at once.
//!
//! A mesh is several daemons with timeouts of a second: with too many of them on few cores they
//! would lose their leaders for want of time, and tests would wait for one another's elections.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Meshes of one test program at once; cargo runs one program after the other.
const AT_ONCE: usize = 2;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// The right to run a mesh, until it is dropped. A test that waits for a second one while it holds
/// the first may wait for ever.
#[derive(Debug)]
pub struct Turn(());

impl Turn {
    /// Waits until it is this mesh's turn.
    pub fn take() -> Self {
        let mut running = locked();
        while *running >= AT_ONCE {
            running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *locked() -= 1;
        ENDED.notify_one();
    }
}

fn locked() -> MutexGuard<'static, usize> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
