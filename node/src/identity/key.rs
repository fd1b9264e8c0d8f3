//! A peer's own key pair, and Ed25519 in the forms that TLS and certificates want it in.
//!
//! Ed25519 and nothing else: one fixed encoding of 44 bytes for a public key, so that "is this a
//! sound key" has one answer and no parser has to be trusted with an applicant's bytes.

use super::{IdentityError, certificate};
use crate::files;
use ed25519_dalek::{
    Signature, Signer, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding},
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::{fmt, path::Path, sync::Arc};
use zeroize::Zeroizing;

/// What stands in front of the 32 bytes of an Ed25519 public key in DER (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];

/// The `SubjectPublicKeyInfo` of an Ed25519 public key, in DER.
pub fn spki(public_key: &[u8; 32]) -> Vec<u8> {
    let mut der = SPKI_PREFIX.to_vec();
    der.extend_from_slice(public_key);
    der
}

/// Reads an Ed25519 public key from its `SubjectPublicKeyInfo`, which must be exactly that.
///
/// # Errors
/// [`IdentityError::PublicKey`] for another algorithm, another encoding, or an unsound point.
pub fn public_key_from_spki(der: &[u8]) -> Result<[u8; 32], IdentityError> {
    let refusal = |reason: &str| IdentityError::PublicKey { reason: reason.to_owned() };
    let bytes = der.strip_prefix(&SPKI_PREFIX).ok_or_else(|| refusal("another algorithm"))?;
    let Ok(public_key) = <[u8; 32]>::try_from(bytes) else {
        return Err(refusal("it is not 32 bytes long"));
    };
    sound(&public_key)?;
    Ok(public_key)
}

/// Checks that a public key is a point on the curve and not one of the few of small order, for
/// which signatures can be made without a secret.
///
/// # Errors
/// [`IdentityError::PublicKey`].
pub fn sound(public_key: &[u8; 32]) -> Result<(), IdentityError> {
    match VerifyingKey::from_bytes(public_key) {
        Ok(key) if !key.is_weak() => Ok(()),
        Ok(_weak) => Err(IdentityError::PublicKey { reason: "a point of small order".to_owned() }),
        Err(error) => Err(IdentityError::PublicKey { reason: error.to_string() }),
    }
}

/// Whether `signature` over `message` was made with the secret half of `public_key`.
pub fn verify(public_key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(public_key)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// An Ed25519 key pair. The secret half is wiped from memory when it is dropped and never printed.
#[derive(Clone)]
pub struct PeerKey(SigningKey);

impl PeerKey {
    /// A new key from the system's randomness.
    pub fn generate() -> Self {
        Self::from_seed(&Zeroizing::new(rand::random()))
    }

    /// The key that belongs to a seed of 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads a key from PKCS #8 in PEM.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`].
    pub fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        match SigningKey::from_pkcs8_pem(pem) {
            Ok(key) => Ok(Self(key)),
            Err(error) => Err(IdentityError::damaged("the private key", error)),
        }
    }

    /// The key as PKCS #8 in PEM. Keep it secret.
    ///
    /// # Errors
    /// [`IdentityError::Crypto`], which would be a mistake of ours.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, IdentityError> {
        self.bytes()
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| IdentityError::Crypto { reason: error.to_string() })
    }

    /// Reads the key from a file, or makes one there; a joiner that is asked twice thus applies
    /// twice with the same key.
    ///
    /// # Errors
    /// [`IdentityError::File`] or [`IdentityError::Damaged`] with the path.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let key = Self::generate();
        key.store(path)?;
        Ok(key)
    }

    /// Reads the key from a file; `None` when there is no such file.
    ///
    /// # Errors
    /// As [`Self::load_or_create`].
    pub fn load(path: &Path) -> Result<Option<Self>, IdentityError> {
        let file_error = |source| IdentityError::File { path: path.to_owned(), source };
        let Some(bytes) = files::read_if_present(path).map_err(file_error)? else {
            return Ok(None);
        };
        let bytes = Zeroizing::new(bytes);
        let damaged = |reason: String| IdentityError::damaged(path.display().to_string(), reason);
        let text = std::str::from_utf8(&bytes).map_err(|error| damaged(error.to_string()))?;
        Self::from_pem(text).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Writes the key to a file that only its owner may read, in a directory that only its owner
    /// may enter.
    ///
    /// # Errors
    /// [`IdentityError::File`].
    pub fn store(&self, path: &Path) -> Result<(), IdentityError> {
        let file_error = |source| IdentityError::File { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            files::create_private_dir(folder).map_err(file_error)?;
        }
        files::write_durably(path, self.to_pem()?.as_bytes(), files::PRIVATE).map_err(file_error)
    }

    /// The public half.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// 32 secret bytes for one purpose, which `label` names; the key cannot be worked out from
    /// them.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(b"hearten derived secret\0");
        // Both parts before the label have a fixed length, so no two labels share an input.
        hash.update(self.0.as_bytes());
        hash.update(label.as_bytes());
        hash.finalize().into()
    }

    /// A certificate that this key signed for itself, to have something to present before the
    /// mesh has issued one. It proves possession of the key and nothing else.
    ///
    /// # Errors
    /// [`IdentityError::Crypto`], which would be a mistake of ours.
    pub fn self_signed(&self) -> Result<CertificateDer<'static>, IdentityError> {
        certificate::self_signed(&self.for_rcgen()?)
    }

    /// The key together with the certificates that speak for it, for TLS.
    pub(crate) fn certified(
        &self,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<Arc<rustls::sign::CertifiedKey>, IdentityError> {
        let der = self.to_der()?;
        let key = PrivatePkcs8KeyDer::from(der.as_slice());
        match rustls::crypto::ring::sign::any_eddsa_type(&key) {
            Ok(signer) => Ok(Arc::new(rustls::sign::CertifiedKey::new(chain, signer))),
            Err(error) => Err(IdentityError::Crypto { reason: error.to_string() }),
        }
    }

    /// The key in the form in which certificates are signed.
    pub(crate) fn for_rcgen(&self) -> Result<rcgen::KeyPair, IdentityError> {
        let der = self.to_der()?;
        let key = PrivatePkcs8KeyDer::from(der.as_slice());
        rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519)
            .map_err(|error| IdentityError::Crypto { reason: error.to_string() })
    }

    fn to_der(&self) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        match self.bytes().to_pkcs8_der() {
            Ok(document) => Ok(Zeroizing::new(document.as_bytes().to_vec())),
            Err(error) => Err(IdentityError::Crypto { reason: error.to_string() }),
        }
    }

    /// Without the public half: every library reads that form (RFC 8410, section 7), while they
    /// differ over the other.
    fn bytes(&self) -> KeypairBytes {
        KeypairBytes { secret_key: self.0.to_bytes(), public_key: None }
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerKey({})", data_encoding::HEXLOWER.encode(&self.public_key()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_reads_back_signs_and_is_not_printed() {
        let key = PeerKey::from_seed(&[7; 32]);
        let back = PeerKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(back.public_key(), key.public_key());
        let signature = key.sign(b"message");
        assert!(verify(&key.public_key(), b"message", &signature));
        assert!(!verify(&key.public_key(), b"another", &signature));
        assert!(!verify(&PeerKey::generate().public_key(), b"message", &signature));
        assert!(!format!("{key:?}").contains("0707"));
        assert_ne!(key.derive("a"), key.derive("b"));
        assert_eq!(key.derive("a"), back.derive("a"));
    }

    #[test]
    fn only_a_sound_ed25519_key_is_accepted() {
        let key = PeerKey::generate().public_key();
        assert_eq!(public_key_from_spki(&spki(&key)).unwrap(), key);
        let mut longer = spki(&key);
        longer.push(0);
        assert!(public_key_from_spki(&longer).is_err());
        let mut another_algorithm = spki(&key);
        another_algorithm[8] = 0x6e;
        assert!(public_key_from_spki(&another_algorithm).is_err());
        // The neutral element: every signature of a certain form is valid for it.
        let mut weak = [0_u8; 32];
        weak[0] = 1;
        assert!(public_key_from_spki(&spki(&weak)).is_err());
        assert!(public_key_from_spki(&[]).is_err());
    }

    #[test]
    fn a_key_file_is_for_its_owner_alone_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity/key.pem");
        let key = PeerKey::load_or_create(&path).unwrap();
        assert_eq!(PeerKey::load_or_create(&path).unwrap().public_key(), key.public_key());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "garbage").unwrap();
        let error = PeerKey::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("identity/key.pem"), "{error}");
    }
}
