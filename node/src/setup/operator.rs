//! The key with which an operator signs documents and orders: Ed25519, PKCS #8 in PEM.
//!
//! It is made where the mesh is founded and may be moved anywhere: nothing but the commands of an
//! operator ever reads it, and the daemon never does.

use super::{SetupError, data_dir};
use crate::{files, identity::PeerKey};
use ed25519_dalek::{SigningKey, pkcs8::DecodePrivateKey};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Makes an operator's key in the data directory, unless one is there, and gives its public half.
///
/// # Errors
/// When it cannot be written, or what is there cannot be read.
pub fn create(data: &Path) -> Result<[u8; 32], SetupError> {
    let key = PeerKey::load_or_create(&data_dir::operator_key_path(data))?;
    Ok(key.public_key())
}

/// Where the key is looked for: where the operator says, else in the data directory.
pub fn path(given: Option<PathBuf>, data: &Path) -> PathBuf {
    given.unwrap_or_else(|| data_dir::operator_key_path(data))
}

/// Reads an operator's key.
///
/// # Errors
/// [`SetupError::NoOperatorKey`] when there is none, [`SetupError::Damaged`] when it is no key.
pub fn load(path: &Path) -> Result<SigningKey, SetupError> {
    let bytes = files::read_if_present(path).map_err(SetupError::file(path))?;
    let Some(bytes) = bytes.map(Zeroizing::new) else {
        return Err(SetupError::NoOperatorKey { path: path.to_owned() });
    };
    let damaged = |reason: String| SetupError::Damaged { path: path.to_owned(), reason };
    let pem = std::str::from_utf8(&bytes).map_err(|error| damaged(error.to_string()))?;
    SigningKey::from_pkcs8_pem(pem).map_err(|error| damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(None, folder.path());
        assert!(matches!(load(&path), Err(SetupError::NoOperatorKey { .. })));
        let public = create(folder.path()).unwrap();
        assert_eq!(create(folder.path()).unwrap(), public);
        assert_eq!(load(&path).unwrap().verifying_key().to_bytes(), public);
        std::fs::write(&path, "no key").unwrap();
        assert!(matches!(load(&path), Err(SetupError::Damaged { .. })));
    }
}
