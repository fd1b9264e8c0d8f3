//! What an operator signs: the exact source texts, for one mesh and one revision.
//!
//! The signature covers the bytes as the operator wrote them, never a re-encoding, and names the
//! mesh and the revision, so that a bundle can neither be replayed later nor in another mesh.

use crate::record::Trust;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The largest bundle that is taken, in bytes of source text.
pub const BUNDLE_BYTES_MAX: usize = 4 << 20;

/// One file of documents as the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file's name, for messages.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// Documents that become one revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The root fingerprint of the mesh that they are for.
    pub mesh: [u8; 32],
    /// The revision that they become; the one before it is what the operator saw.
    pub revision: u64,
    /// The texts.
    pub sources: Vec<Source>,
}

/// A bundle with its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBundle {
    /// What is signed.
    pub bundle: Bundle,
    /// Who signed, and the signature.
    pub signatures: Vec<OperatorSignature>,
}

/// One operator's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorSignature {
    /// The operator's Ed25519 key.
    pub key: [u8; 32],
    /// The 64 bytes of the signature.
    pub signature: Vec<u8>,
}

impl Bundle {
    /// The bytes that are signed: a context, the mesh, the revision, and each file with its length.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        for source in &self.sources {
            for part in [source.file.as_bytes(), source.text.as_bytes()] {
                hash.update(part.len().to_string().as_bytes());
                hash.update(b":");
                hash.update(part);
            }
        }
        let mut bytes = b"hearten documents 1\n".to_vec();
        bytes.extend_from_slice(&self.mesh);
        bytes.extend_from_slice(&self.revision.to_be_bytes());
        bytes.extend_from_slice(&hash.finalize());
        bytes
    }

    /// Signs the bundle with one operator's key.
    pub fn sign(self, key: &SigningKey) -> SignedBundle {
        let signature = sign_bytes(key, &self.signed_bytes());
        SignedBundle { bundle: self, signatures: vec![signature] }
    }
}

impl SignedBundle {
    /// How many different operators of `trust` signed this validly.
    pub fn valid_signatures(&self, trust: &Trust) -> u32 {
        let bytes = self.bundle.signed_bytes();
        let signers: BTreeSet<[u8; 32]> = self
            .signatures
            .iter()
            .filter(|signature| trust.operators.contains(&signature.key))
            .filter(|signature| signature_holds(signature, &bytes))
            .map(|signature| signature.key)
            .collect();
        u32::try_from(signers.len()).unwrap_or(u32::MAX)
    }

    /// Whether enough operators of `trust` signed this.
    pub fn is_authorised(&self, trust: &Trust) -> bool {
        trust.threshold > 0 && self.valid_signatures(trust) >= trust.threshold
    }
}

/// Signs bytes with an operator's key.
pub(crate) fn sign_bytes(key: &SigningKey, bytes: &[u8]) -> OperatorSignature {
    OperatorSignature {
        key: key.verifying_key().to_bytes(),
        signature: key.sign(bytes).to_bytes().to_vec(),
    }
}

/// Whether the signature is valid for these bytes; whose key it is, is for the caller to judge.
pub(crate) fn signature_holds(signature: &OperatorSignature, bytes: &[u8]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&signature.key) else { return false };
    let Ok(signature) = Signature::from_slice(&signature.signature) else { return false };
    // Strict: a signature must not be valid for a second key or in a second form.
    key.verify_strict(bytes, &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let source =
            Source { file: "a.toml".to_owned(), text: "[limits]\nat_once = 2\n".to_owned() };
        Bundle { mesh: [7; 32], revision: 3, sources: vec![source] }
    }

    fn trust(key: &SigningKey) -> Trust {
        Trust { version: 1, threshold: 1, operators: vec![key.verifying_key().to_bytes()] }
    }

    #[test]
    fn a_signature_holds_for_these_bytes_this_mesh_and_this_revision_only() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let signed = bundle().sign(&key);
        assert!(signed.is_authorised(&trust(&key)));
        let mut other = signed.clone();
        other.bundle.sources[0].text.push(' ');
        assert!(!other.is_authorised(&trust(&key)), "another text");
        let mut other = signed.clone();
        other.bundle.revision = 4;
        assert!(!other.is_authorised(&trust(&key)), "another revision");
        let mut other = signed;
        other.bundle.mesh = [8; 32];
        assert!(!other.is_authorised(&trust(&key)), "another mesh");
    }

    #[test]
    fn a_stranger_does_not_count_and_nobody_counts_twice() {
        let (key, stranger) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        assert!(!bundle().sign(&stranger).is_authorised(&trust(&key)));
        let mut twice = bundle().sign(&key);
        twice.signatures.push(twice.signatures[0].clone());
        let mut two_needed = trust(&key);
        two_needed.threshold = 2;
        assert_eq!(twice.valid_signatures(&two_needed), 1);
        assert!(!twice.is_authorised(&two_needed));
    }
}
