//! Files that are whole after a power cut: the few lines that evidence and journal need.

use std::{
    fs::{DirBuilder, File, Permissions, set_permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

/// The mode of a file that only its owner may read.
pub(super) const PRIVATE: u32 = 0o600;

/// Writes `bytes` to `path` so that after a crash it holds these bytes or what it held before.
pub(super) fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(PRIVATE))
        .tempfile_in(folder)?;
    // Set again on the descriptor: the mode at creation passes through the umask.
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    drop(file.persist(path).map_err(|error| error.error)?);
    File::open(folder)?.sync_all()
}

/// Makes a directory (and those above it) that only its owner may enter.
pub(super) fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    set_permissions(path, Permissions::from_mode(0o700))?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        // The new entry in the directory above has to last as well.
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}
