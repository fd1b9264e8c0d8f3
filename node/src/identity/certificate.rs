//! What is read from a certificate, and the shape that every certificate of a mesh has.
//!
//! Reading decides nothing about trust: callers verify the chain first (in `net::tls`), and only
//! then believe what these functions say.

use super::{IdentityError, key};
use protocol::name::{Name, PeerId};
use rcgen::{CertificateParams, DistinguishedName, DnType};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// The domain under which every peer has its name for TLS. It is never looked up.
const DOMAIN: &str = "hearten.internal";

/// The SHA-256 of a root's public key (its `SubjectPublicKeyInfo`): what a joiner trusts.
///
/// It is of the key, not of the certificate, so that the certificate can be made anew.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a `SubjectPublicKeyInfo` in DER.
    pub fn of_spki(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// Reads the 64 hexadecimal digits that [`fmt::Display`] writes.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`].
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        match bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
            Some(bytes) => Ok(Self(bytes)),
            None => Err(IdentityError::damaged("the fingerprint", "it is not 64 hex digits")),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The name by which TLS knows a peer.
pub fn server_name(peer: PeerId) -> String {
    format!("{peer}.{DOMAIN}")
}

/// The name by which the world may know a peer (<https://spiffe.io>).
pub fn spiffe_id(mesh: &Name, peer: PeerId) -> String {
    format!("spiffe://{mesh}/peer/{peer}")
}

/// What a peer's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The mesh it names.
    pub mesh: Name,
    /// The peer it names.
    pub peer: PeerId,
    /// The peer's public key.
    pub public_key: [u8; 32],
    /// The first second in which it is valid, since 1970.
    pub not_before: u64,
    /// The last second in which it is valid, since 1970.
    pub not_after: u64,
}

impl PeerCertificate {
    /// Reads a peer's certificate: exactly one DNS name and one URI, which agree about the peer.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`] when it is not of that shape.
    pub fn read(der: &[u8]) -> Result<Self, IdentityError> {
        let refusal = |reason: &str| IdentityError::damaged("the peer's certificate", reason);
        let certificate = parse(der)?;
        let names = match certificate.subject_alternative_name() {
            Ok(Some(extension)) => &extension.value.general_names,
            Ok(None) => return Err(refusal("it names nobody")),
            Err(error) => return Err(refusal(&error.to_string())),
        };
        // Nothing but these two, in this order: what we did not issue we do not interpret.
        let [GeneralName::DNSName(dns), GeneralName::URI(uri)] = names.as_slice() else {
            return Err(refusal("its names are not those of a peer"));
        };
        let peer = dns
            .strip_suffix(DOMAIN)
            .and_then(|name| name.strip_suffix('.'))
            .and_then(|id| PeerId::parse(id).ok())
            .ok_or_else(|| refusal("its DNS name is not that of a peer"))?;
        let mesh = uri
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.split_once("/peer/"))
            .filter(|(_, id)| *id == peer.to_string())
            .and_then(|(mesh, _)| Name::parse(mesh).ok())
            .ok_or_else(|| refusal("its two names do not agree"))?;
        let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp());
        let validity = certificate.validity();
        let (Ok(not_before), Ok(not_after)) =
            (seconds(validity.not_before), seconds(validity.not_after))
        else {
            return Err(refusal("its validity lies before 1970"));
        };
        let public_key = key::public_key_from_spki(certificate.public_key().raw)?;
        Ok(Self { mesh, peer, public_key, not_before, not_after })
    }
}

/// What a mesh's root certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootCertificate {
    /// The mesh.
    pub mesh: Name,
    /// The root's public key.
    pub public_key: [u8; 32],
    /// The fingerprint of that key.
    pub fingerprint: Fingerprint,
}

impl RootCertificate {
    /// Reads a root's certificate, which must be signed by its own key: so nobody but the owner
    /// of that key can have chosen what it says.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`] when it is not a self-signed Ed25519 authority with a name.
    pub fn read(der: &[u8]) -> Result<Self, IdentityError> {
        let refusal = |reason: &str| IdentityError::damaged("the mesh's root certificate", reason);
        let certificate = parse(der)?;
        if !certificate.is_ca() {
            return Err(refusal("it is not an authority's"));
        }
        let public_key = signed_by_itself(&certificate)?;
        let mut names = certificate.subject().iter_common_name();
        let mesh = names
            .next()
            .and_then(|name| name.as_str().ok())
            .and_then(|name| Name::parse(name).ok())
            .ok_or_else(|| refusal("it does not name a mesh"))?;
        let fingerprint = Fingerprint::of_spki(certificate.public_key().raw);
        Ok(Self { mesh, public_key, fingerprint })
    }
}

/// The public key of a certificate that was signed by that very key, as an applicant presents.
///
/// # Errors
/// [`IdentityError::Damaged`] or [`IdentityError::PublicKey`] when it is anything else.
pub fn self_signed_key(der: &[u8]) -> Result<[u8; 32], IdentityError> {
    let certificate = parse(der)?;
    if certificate.is_ca() {
        // A root is no applicant, whoever holds its key.
        return Err(IdentityError::damaged("the applicant's certificate", "it is an authority's"));
    }
    signed_by_itself(&certificate)
}

/// A certificate of `key` for itself.
pub(super) fn self_signed(key: &rcgen::KeyPair) -> Result<CertificateDer<'static>, IdentityError> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = common_name("applicant");
    match parameters.self_signed(key) {
        Ok(certificate) => Ok(certificate.into()),
        Err(error) => Err(IdentityError::Crypto { reason: error.to_string() }),
    }
}

/// A subject that consists of one common name.
pub(super) fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

fn signed_by_itself(certificate: &X509Certificate<'_>) -> Result<[u8; 32], IdentityError> {
    let public_key = key::public_key_from_spki(certificate.public_key().raw)?;
    match certificate.verify_signature(None) {
        Ok(()) => Ok(public_key),
        Err(error) => Err(IdentityError::damaged("the certificate's own signature", error)),
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, IdentityError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(IdentityError::damaged("the certificate", "something follows it")),
        Err(error) => Err(IdentityError::damaged("the certificate", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back() {
        let fingerprint = Fingerprint::of_spki(b"key");
        assert_eq!(Fingerprint::parse(&fingerprint.to_string()).unwrap(), fingerprint);
        assert!(Fingerprint::parse("00").is_err());
        assert!(Fingerprint::parse(&"x".repeat(64)).is_err());
    }

    #[test]
    fn a_self_signed_certificate_proves_its_own_key_only() {
        let key = key::PeerKey::generate();
        let der = key.self_signed().unwrap();
        assert_eq!(self_signed_key(&der).unwrap(), key.public_key());
        assert!(PeerCertificate::read(&der).is_err());
        assert!(RootCertificate::read(&der).is_err());
        let mut forged = der.to_vec();
        if let Some(last) = forged.last_mut() {
            *last ^= 1;
        }
        assert!(self_signed_key(&forged).is_err());
        assert!(self_signed_key(b"garbage").is_err());
    }
}
