//! Two ways in which a store can fail, because they call for opposite answers: what the operating
//! system refused may be well again in a minute, what was read and is wrong will never be.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Why the store could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// What was read cannot be what was written.
    #[error("the store is damaged: {0}")]
    Damage(String),
    /// The operating system refused (no space, no permission, an I/O error).
    #[error("{doing}: {error}")]
    Refused {
        doing: String,
        error: String,
        /// So that the caller can tell a full disk from other troubles.
        kind: io::ErrorKind,
    },
    /// Another process, or another handle in this one, has it open.
    #[error("the store is in use: {0}")]
    Busy(String),
    /// An earlier write failed; nothing is written after a failed barrier, because what the
    /// kernel has dropped since then is not known.
    #[error("the store was given up after an earlier failure: {0}")]
    GivenUp(String),
}

impl Fault {
    pub(crate) fn damage(why: impl Into<String>) -> Self {
        Self::Damage(why.into())
    }

    /// Sorts an error of the operating system: a file that ends too early, is missing or holds
    /// what it cannot hold is damage; the rest is a refusal.
    pub(crate) fn io(doing: impl Into<String>, error: &io::Error) -> Self {
        let doing = doing.into();
        let kind = error.kind();
        let damaged = matches!(
            kind,
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
        ) || (kind == io::ErrorKind::Other && error.raw_os_error().is_none());
        if damaged {
            Self::Damage(format!("{doing}: {error}"))
        } else {
            Self::Refused { doing, error: error.to_string(), kind }
        }
    }

    pub(crate) fn sled(doing: &str, error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
                Self::Busy(error.to_string())
            }
            sled::Error::Io(error) => Self::io(doing, &error),
            sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::Corruption { .. } => Self::Damage(format!("{doing}: {error}")),
        }
    }
}

/// Runs what calls sled: on damaged files it panics rather than to return an error.
pub(crate) fn guarded<T>(doing: &str, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        Err(Fault::Damage(format!("{doing}: panicked: {said}")))
    })
}
