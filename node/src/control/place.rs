//! A socket's path that fits into the kernel's 107 bytes, however deep the data directory lies.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

/// The longest path of a Unix socket (`sun_path` without its final zero; unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// A way to the socket; the directory is held open for as long as it is needed.
pub(super) struct Place {
    short: PathBuf,
    _directory: Option<File>,
}

impl Place {
    /// The way to `socket`: its path, or one through an open directory where that is too long.
    pub(super) fn of(socket: &Path) -> io::Result<Self> {
        if socket.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { short: socket.to_owned(), _directory: None });
        }
        let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file's path"));
        };
        let directory = File::open(folder)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
        Ok(Self { short, _directory: Some(directory) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.short
    }
}
