//! A disk that takes its time, and that loses with the power what it was not told to keep.

use async_trait::async_trait;
use consensus::Disk;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How a disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// A barrier takes 1 to 8 ms.
    #[default]
    Well,
    /// A barrier takes up to two seconds.
    Slow,
}

/// What lies between a host's Raft log and its directory. It outlives the daemon.
#[derive(Debug)]
pub struct VirtualDisk {
    store: PathBuf,
    /// The store as it was after the last barrier.
    kept: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    health: Health,
    dice: StdRng,
    /// Why something could not be kept: the run is void then.
    failed: Option<String>,
}

impl VirtualDisk {
    /// The disk of the daemon in `data`.
    pub fn new(data: &Path, seed: u64) -> Self {
        let dice = StdRng::seed_from_u64(seed);
        let state = State { health: Health::default(), dice, failed: None };
        Self { store: data.join("raft"), kept: data.join("raft.kept"), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it does like this.
    pub fn set(&self, health: Health) {
        self.state().health = health;
    }

    /// The power fails while the daemon is not running any more: what was not kept is gone.
    ///
    /// # Errors
    /// The host's own disk.
    pub fn lose_power(&self) -> io::Result<()> {
        if self.kept.exists() {
            fs::remove_dir_all(&self.store)?;
            copy(&self.kept, &self.store)?;
        }
        match self.state().failed.take() {
            None => Ok(()),
            Some(why) => Err(io::Error::other(why)),
        }
    }

    fn keep(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.kept) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        copy(&self.store, &self.kept)
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[async_trait]
impl Disk for VirtualDisk {
    async fn barrier(&self) -> io::Result<()> {
        let takes = {
            let mut state = self.state();
            let most = match state.health {
                Health::Well => 8,
                Health::Slow => 2_000,
            };
            Duration::from_millis(state.dice.random_range(1..=most))
        };
        tokio::time::sleep(takes).await;
        Ok(())
    }

    fn passed(&self) {
        if let Err(error) = self.keep() {
            self.state().failed = Some(format!("keeping the store: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_after_the_last_barrier_goes_with_the_power() {
        let data = tempfile::tempdir().unwrap();
        let disk = VirtualDisk::new(data.path(), 1);
        let file = data.path().join("raft/log/db");
        fs::create_dir_all(data.path().join("raft/log")).unwrap();
        fs::write(&file, "one").unwrap();
        disk.passed();
        fs::write(&file, "two").unwrap();
        fs::write(data.path().join("raft/new"), "").unwrap();
        disk.lose_power().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        assert!(!data.path().join("raft/new").exists());
    }
}
