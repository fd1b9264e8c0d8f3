//! Whose documents this host executes: written once, when it became a peer.
//!
//! What the ledger says of the operators' keys is not asked before something is executed: a leader
//! could have written it. This file could not be written by one.

use super::{SetupError, data_dir};
use crate::files;
use protocol::{codec, record::Trust};
use std::path::Path;

/// The trust of a mesh that one operator founds.
pub fn of_founder(operator: [u8; 32]) -> Trust {
    Trust { version: 1, threshold: 1, operators: vec![operator] }
}

/// Reads the trust that this host pinned.
///
/// # Errors
/// [`SetupError::NotAPeer`] when there is none, [`SetupError::Damaged`] when it cannot be read.
pub fn load(data: &Path) -> Result<Trust, SetupError> {
    let path = data_dir::trust_path(data);
    let Some(bytes) = files::read_if_present(&path).map_err(SetupError::file(&path))? else {
        return Err(SetupError::NotAPeer { path: data.to_owned() });
    };
    codec::decode(&bytes).map_err(|error| SetupError::Damaged { path, reason: error.to_string() })
}

/// Pins a trust.
///
/// # Errors
/// What the file system said.
pub fn store(data: &Path, trust: &Trust) -> Result<(), SetupError> {
    let path = data_dir::trust_path(data);
    files::write_durably(&path, &codec::encode(trust), files::PRIVATE)
        .map_err(SetupError::file(&path))
}
