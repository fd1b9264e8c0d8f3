//! The data directory: all that a host knows lies here, for one daemon at a time.
//!
//! It says in which format it is, so that an older daemon refuses to guess at a newer one's files,
//! and it is locked by whoever uses it. The lock is the kernel's: it goes with the process, however
//! that ends, and nobody has to clean up after a crash.

use super::SetupError;
use crate::files;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The format that this version writes and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Where data lie unless said otherwise.
pub const DEFAULT: &str = "/var/lib/hearten";

/// The data directory, locked for as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The lock goes when it is closed.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if there is none, locks it and makes sure that its format is known.
    ///
    /// # Errors
    /// [`SetupError::InUse`], [`SetupError::NewerFormat`], or what the file system said.
    pub fn create(path: &Path) -> Result<Self, SetupError> {
        files::create_private_dir(path).map_err(SetupError::file(path))?;
        let lock = lock(path)?;
        if format_of(path)?.is_none() {
            let format = path.join("FORMAT");
            files::write_durably(&format, format!("{FORMAT}\n").as_bytes(), 0o644)
                .map_err(SetupError::file(&format))?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Locks the directory of a host that is a peer.
    ///
    /// # Errors
    /// [`SetupError::NotAPeer`] when it is none; otherwise as [`Self::create`].
    pub fn open(path: &Path) -> Result<Self, SetupError> {
        if format_of(path)?.is_none() || !config_path(path).exists() {
            return Err(SetupError::NotAPeer { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), _lock: lock(path)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a peer lives here already.
    pub fn is_a_peer(&self) -> bool {
        // The configuration is written last, so its presence means that all is there.
        config_path(&self.path).exists()
    }
}

/// The local configuration of a host.
pub fn config_path(data: &Path) -> PathBuf {
    data.join("hearten.toml")
}

/// Where the host's secrets are unless its configuration says otherwise.
pub fn secrets_path(data: &Path) -> PathBuf {
    data.join("secrets.toml")
}

/// The founding that waits for the daemon's first start.
pub fn founding_path(data: &Path) -> PathBuf {
    data.join("founding")
}

/// Whose documents the host executes.
pub fn trust_path(data: &Path) -> PathBuf {
    data.join("trust")
}

/// The operator's key of the host that founded the mesh.
pub fn operator_key_path(data: &Path) -> PathBuf {
    data.join("operator.key")
}

/// The control socket of the host's daemon.
pub fn control_path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

fn format_of(data: &Path) -> Result<Option<u32>, SetupError> {
    let path = data.join("FORMAT");
    let Some(bytes) = files::read_if_present(&path).map_err(SetupError::file(&path))? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    match text.trim().parse::<u32>() {
        Ok(found) if found > FORMAT => {
            Err(SetupError::NewerFormat { path: data.to_owned(), found, known: FORMAT })
        }
        Ok(found) => Ok(Some(found)),
        Err(error) => Err(SetupError::Damaged { path, reason: error.to_string() }),
    }
}

fn lock(data: &Path) -> Result<File, SetupError> {
    let path = data.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(files::PRIVATE)
        .open(&path)
        .map_err(SetupError::file(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let read = file.read_to_string(&mut pid);
            let known = read.is_ok() && !pid.trim().is_empty();
            let pid = if known { pid.trim().to_owned() } else { "unknown".to_owned() };
            return Err(SetupError::InUse { path: data.to_owned(), pid });
        }
        Err(error) => return Err(SetupError::File { path, source: error.into() }),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(SetupError::file(&path))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_is_private_and_for_one_daemon_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let first = DataDir::create(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        let refusal = DataDir::create(&path).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(refusal.contains(&format!("in use by another daemon (pid {pid})")), "{refusal}");
        drop(first);
        assert!(DataDir::create(&path).is_ok(), "the lock goes with its holder");
    }

    #[test]
    fn a_newer_format_is_refused_and_nothing_is_guessed() {
        let folder = tempfile::tempdir().unwrap();
        drop(DataDir::create(folder.path()).unwrap());
        std::fs::write(folder.path().join("FORMAT"), "2\n").unwrap();
        let refusal = DataDir::create(folder.path()).unwrap_err();
        assert!(matches!(refusal, SetupError::NewerFormat { found: 2, known: 1, .. }), "{refusal}");
        std::fs::write(folder.path().join("FORMAT"), "new\n").unwrap();
        assert!(matches!(DataDir::create(folder.path()), Err(SetupError::Damaged { .. })));
    }

    #[test]
    fn an_empty_directory_is_no_peer() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(DataDir::open(folder.path()), Err(SetupError::NotAPeer { .. })));
        drop(DataDir::create(folder.path()).unwrap());
        assert!(matches!(DataDir::open(folder.path()), Err(SetupError::NotAPeer { .. })));
        std::fs::write(config_path(folder.path()), "").unwrap();
        assert!(DataDir::open(folder.path()).is_ok());
    }
}
