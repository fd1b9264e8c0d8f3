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
/// [`SetupError::NoOperatorKey`] when there is none, [`SetupError::NotAKey`] when it is another
/// file, [`SetupError::Damaged`] when it is a key no more.
pub fn load(path: &Path) -> Result<SigningKey, SetupError> {
    let bytes = files::read_if_present(path).map_err(SetupError::file(path))?;
    let Some(bytes) = bytes.map(Zeroizing::new) else {
        return Err(SetupError::NoOperatorKey { path: path.to_owned() });
    };
    let damaged = |reason: String| SetupError::Damaged { path: path.to_owned(), reason };
    let pem = std::str::from_utf8(&bytes).unwrap_or_default();
    // Another file, such as one of documents, is not damaged.
    if !pem.contains("-----BEGIN ") {
        return Err(SetupError::NotAKey { path: path.to_owned() });
    }
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
        let pem = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, pem.replace("MC", "??")).unwrap();
        assert!(matches!(load(&path), Err(SetupError::Damaged { .. })));
        for other in [&b"[[check]]\nname = \"web\"\n"[..], b"\xff\0"] {
            std::fs::write(&path, other).unwrap();
            let refusal = load(&path).unwrap_err().to_string();
            assert!(refusal.contains("is no key file") && refusal.contains("--key"), "{refusal}");
        }
    }
}
