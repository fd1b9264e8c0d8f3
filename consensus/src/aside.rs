//! Where what blocks is done: on threads of its own, so that nothing else waits for it.
//!
//! A world with a clock of its own has no such threads: its time stands while something is done,
//! and the same seed must come to the same end. There everything is done where it is asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::{JoinError, spawn_blocking};

static HERE: AtomicBool = AtomicBool::new(false);

/// From now on, and in this whole process, what blocks is done where it is asked for.
pub fn work_here() {
    HERE.store(true, Ordering::Relaxed);
}

/// Does what reads or writes files, or computes for long, away from the runtime's threads.
///
/// # Errors
/// It panicked, or the runtime is being shut down.
pub async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if HERE.load(Ordering::Relaxed) { Ok(work()) } else { spawn_blocking(work).await }
}
