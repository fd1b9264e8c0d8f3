//! A disk between the log and the one that the host has: slower, or one that loses what it was
//! not told to keep.

use async_trait::async_trait;
use std::{fmt::Debug, io};

/// What a world with a clock of its own puts between the log and its files.
#[async_trait]
pub trait Disk: Debug + Send + Sync {
    /// Waits as long as a barrier takes there. Until it is over nothing that was written since the
    /// one before is safe.
    ///
    /// # Errors
    /// What the disk says; the log then gives up, as with any other.
    async fn barrier(&self) -> io::Result<()>;

    /// Everything that was written until now, as it lies in the files, is safe.
    fn passed(&self);
}
