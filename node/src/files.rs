//! Files that are still whole after a power cut.
//!
//! Whatever a host must find again (its key, its certificate, what it started) is written beside
//! its place, synced, renamed into place, and the directory is synced too: a reader sees the old
//! bytes or the new ones, never half of either. The mode is set before the first byte is written,
//! so that a secret is at no moment readable by others.

use std::{
    fs::{DirBuilder, File, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

/// The mode of a file that only its owner may read.
pub const PRIVATE: u32 = 0o600;

/// Writes `bytes` to `path` so that after a crash the file holds either these bytes or what it
/// held before. Returns only when the bytes are on the disk.
///
/// # Errors
/// What the file system said; the old file is then still in place.
pub fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(PRIVATE))
        .tempfile_in(folder)
        .map_err(plain)?;
    // Set again on the descriptor: the mode at creation passes through the umask.
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    drop(file.persist(path).map_err(|error| error.error)?);
    File::open(folder)?.sync_all()
}

/// What the system said, without the name of a file that was to be there for a moment only.
fn plain(error: io::Error) -> io::Error {
    // The library writes it behind what the system said, and keeps the code to itself.
    match error.to_string().split_once(" at path ") {
        Some((said, _)) => io::Error::new(error.kind(), said.to_owned()),
        None => error,
    }
}

/// What to do about a file that cannot be written or read, as the end of a sentence; empty where
/// there is nothing to add to what the system said.
pub fn advice(error: &io::Error) -> &'static str {
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        ": make room on that disk, then try it again"
    } else if kind == io::ErrorKind::ReadOnlyFilesystem {
        ": mount it so that it can be written to, or name another --data-dir"
    } else if kind == io::ErrorKind::PermissionDenied {
        ": it belongs to another user; become that one, or name another --data-dir"
    } else {
        ""
    }
}

/// Makes a directory (and those above it) that only its owner may enter. One that exists already
/// is closed to others.
///
/// # Errors
/// What the file system said.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        // The new entry in the directory above has to last as well.
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Reads a file; `None` when there is none.
///
/// # Errors
/// What the file system said, except that the file does not exist.
pub fn read_if_present(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let private = folder.path().join("a/b");
        create_private_dir(&private).unwrap();
        assert_eq!(mode_of(&private), 0o700);
        let path = private.join("key");
        assert_eq!(read_if_present(&path).unwrap(), None);
        write_durably(&path, b"old", 0o644).unwrap();
        assert_eq!(mode_of(&path), 0o644);
        write_durably(&path, b"new", PRIVATE).unwrap();
        assert_eq!(mode_of(&path), 0o600);
        assert_eq!(read_if_present(&path).unwrap().unwrap(), b"new");
        assert_eq!(std::fs::read_dir(&private).unwrap().count(), 1, "no temporary file remains");
    }

    #[test]
    fn what_the_system_said_is_told_with_what_to_do_and_without_a_passing_name() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("gone/key");
        let error = write_durably(&nowhere, b"", PRIVATE).unwrap_err();
        assert_eq!(error.to_string(), "No such file or directory (os error 2)");
        assert_eq!(advice(&error), "");
        for (errno, words) in [
            (rustix::io::Errno::NOSPC, "make room"),
            (rustix::io::Errno::ROFS, "mount it"),
            (rustix::io::Errno::ACCESS, "another user"),
        ] {
            let advice = advice(&io::Error::from(errno));
            assert!(advice.contains(words), "{errno}: {advice}");
        }
    }

    #[test]
    fn a_directory_that_was_open_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        create_private_dir(&path).unwrap();
        assert_eq!(mode_of(&path), 0o700);
    }
}
