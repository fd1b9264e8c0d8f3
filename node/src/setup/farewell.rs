//! That a host was a peer and is none any more, kept in its data directory.
//!
//! The log tells a peer that it left or was removed, if the others still let it hear the log; after
//! that nobody answers it. So it is written down, for whoever starts the daemon again or asks it.

use super::SetupError;
use crate::files;
use std::{fmt, path::Path};

/// The file's name in the data directory; the systemd unit starts no daemon where it is.
const FILE: &str = "farewell";

/// How a host came to be a peer no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// `hearten leave` was said on it.
    Left,
    /// An operator took it out with `hearten peer remove`.
    Removed,
}

impl Farewell {
    const ALL: [Self; 2] = [Self::Left, Self::Removed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Removed => "removed",
        }
    }

    /// Writes it down.
    ///
    /// # Errors
    /// What the file system said.
    pub fn keep(self, data: &Path) -> Result<(), SetupError> {
        let path = data.join(FILE);
        files::write_durably(&path, format!("{}\n", self.as_str()).as_bytes(), files::PRIVATE)
            .map_err(SetupError::file(&path))
    }

    /// What was written down; nothing for a host that may be a peer.
    ///
    /// # Errors
    /// What the file system said.
    pub fn of(data: &Path) -> Result<Option<Self>, SetupError> {
        let path = data.join(FILE);
        let bytes = files::read_if_present(&path).map_err(SetupError::file(&path))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        Ok(Self::ALL.into_iter().find(|one| one.as_str() == text.trim()))
    }
}

impl fmt::Display for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "has left its mesh for good",
            Self::Removed => "was removed from its mesh by an operator",
        })
    }
}

/// Refuses a directory of which a peer has said farewell.
///
/// # Errors
/// [`SetupError::Gone`], or what the file system said.
pub fn is_none(data: &Path) -> Result<(), SetupError> {
    match Farewell::of(data)? {
        Some(how) => Err(SetupError::Gone { path: data.to_owned(), how }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::data_dir;

    #[test]
    fn what_became_of_a_peer_is_told_with_the_way_back() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_none(folder.path()).is_ok());
        for (how, told) in [(Farewell::Left, "has left"), (Farewell::Removed, "was removed")] {
            how.keep(folder.path()).unwrap();
            assert_eq!(Farewell::of(folder.path()).unwrap(), Some(how));
            let said = is_none(folder.path()).unwrap_err().to_string();
            assert!(said.contains(told) && said.contains("new --data-dir"), "{said}");
        }
    }

    #[test]
    fn systemd_does_not_start_a_peer_again_and_again_that_is_none_any_more() {
        let unit = include_str!("../../systemd/hearten.service");
        let condition = format!("ConditionPathExists=!{}/{FILE}", data_dir::DEFAULT);
        assert!(unit.lines().any(|line| line == condition), "{unit}");
    }
}
