//! The mesh's root, and the certificates it issues.
//!
//! A certificate is built from policy alone. Of an applicant's request only the public key is
//! used, for a signing request would carry names, a validity and even `CA:TRUE` of the
//! applicant's choosing. Issuing keys are held by voters only.

use super::{
    Fingerprint, IdentityError,
    certificate::{self, PeerCertificate, RootCertificate},
    key::{self, PeerKey},
};
use crate::files;
use protocol::name::{Name, PeerId};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
    SerialNumber, SubjectPublicKeyInfo, string::Ia5String,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};
use zeroize::Zeroizing;

/// How long a peer's certificate is valid.
///
/// A year, not a day, because a certificate is not how a peer is shut out: the roster is, and it
/// works at once. A host that was switched off for a month must be able to come back by itself.
/// Renewal begins at half of it (see [`super::Identity::needs_renewal`]).
pub const VALIDITY: Duration = Duration::from_secs(365 * 24 * 3_600);

/// How far before its issue a certificate is valid already: hosts whose clocks run late.
const CLOCK_SKEW: Duration = Duration::from_secs(3_600);

/// How long the root is valid. It is trusted by its key, so this only has to be long.
const ROOT_VALIDITY: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// The mesh's root key with its certificate: whoever holds it can make members.
pub struct Issuer {
    key: PeerKey,
    certificate: CertificateDer<'static>,
    root: RootCertificate,
}

impl Issuer {
    /// Founds a mesh: a new root for it. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`IdentityError::Crypto`], which would be a mistake of ours.
    pub fn create(mesh: &Name, now: u64) -> Result<Self, IdentityError> {
        let key = PeerKey::generate();
        let mut parameters = valid(now, ROOT_VALIDITY);
        parameters.distinguished_name = certificate::common_name(mesh.as_str());
        // It may sign peers, but no further authorities.
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key.for_rcgen()?).map_err(crypto)?;
        Self::new(key, certificate.into())
    }

    fn new(key: PeerKey, certificate: CertificateDer<'static>) -> Result<Self, IdentityError> {
        let root = RootCertificate::read(&certificate)?;
        if root.public_key != key.public_key() {
            return Err(IdentityError::Mismatch {
                what: "the root's key".to_owned(),
                other: "the root's certificate".to_owned(),
            });
        }
        Ok(Self { key, certificate, root })
    }

    /// Reads a root from its key and its certificate, both in PEM.
    ///
    /// # Errors
    /// When either is damaged or they do not belong together.
    pub fn from_pem(key: &str, certificate: &str) -> Result<Self, IdentityError> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| IdentityError::damaged("the root's certificate", error))?;
        Self::new(PeerKey::from_pem(key)?, certificate)
    }

    /// The root's key in PEM. Keep it secret.
    ///
    /// # Errors
    /// [`IdentityError::Crypto`], which would be a mistake of ours.
    pub fn key_pem(&self) -> Result<Zeroizing<String>, IdentityError> {
        self.key.to_pem()
    }

    /// The root's certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        pem(&self.certificate)
    }

    /// The root's certificate in DER.
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The mesh that this is the root of.
    pub const fn mesh(&self) -> &Name {
        &self.root.mesh
    }

    /// The fingerprint of the root's public key.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.root.fingerprint
    }

    /// Issues the certificate of a peer. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`IdentityError::PublicKey`] when the key is not a sound Ed25519 key.
    pub fn issue(
        &self,
        peer: PeerId,
        public_key: &[u8; 32],
        now: u64,
    ) -> Result<CertificateDer<'static>, IdentityError> {
        key::sound(public_key)?;
        let mut parameters = valid(now, VALIDITY);
        parameters.distinguished_name = certificate::common_name(&peer.to_string());
        let text = |text: String| Ia5String::try_from(text).map_err(crypto);
        parameters.subject_alt_names = vec![
            SanType::DnsName(text(certificate::server_name(peer))?),
            SanType::URI(text(certificate::spiffe_id(&self.root.mesh, peer))?),
        ];
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let applicant = SubjectPublicKeyInfo::from_der(&key::spki(public_key)).map_err(crypto)?;
        let authority = rcgen::Issuer::from_ca_cert_der(&self.certificate, self.key.for_rcgen()?)
            .map_err(crypto)?;
        let certificate: CertificateDer<'static> =
            parameters.signed_by(&applicant, &authority).map_err(crypto)?.into();
        let read = PeerCertificate::read(&certificate)?;
        assert!(
            read.peer == peer && read.public_key == *public_key,
            "a certificate says what was asked of it"
        );
        Ok(certificate)
    }

    /// Whether this host holds the root's key.
    pub fn holds(data: &Path) -> bool {
        key_path(data).exists()
    }

    /// Reads the root from a host's data directory; `None` when this host does not hold it.
    ///
    /// # Errors
    /// [`IdentityError::File`] or [`IdentityError::Damaged`].
    pub fn load(data: &Path) -> Result<Option<Self>, IdentityError> {
        let Some(key) = PeerKey::load(&key_path(data))? else {
            return Ok(None);
        };
        let path = certificate_path(data);
        match std::fs::read(&path) {
            Ok(pem) => {
                let certificate = CertificateDer::from_pem_slice(&pem)
                    .map_err(|error| IdentityError::damaged(path.display().to_string(), error))?;
                Self::new(key, certificate).map(Some)
            }
            Err(source) => Err(IdentityError::File { path, source }),
        }
    }

    /// Writes the root to a host's data directory, the certificate first: the key's presence
    /// then means that both are there.
    ///
    /// # Errors
    /// [`IdentityError::File`].
    pub fn store(&self, data: &Path) -> Result<(), IdentityError> {
        let path = certificate_path(data);
        let file_error = |source| IdentityError::File { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            files::create_private_dir(folder).map_err(file_error)?;
        }
        files::write_durably(&path, self.certificate_pem().as_bytes(), files::PRIVATE)
            .map_err(file_error)?;
        self.key.store(&key_path(data))
    }

    /// Takes the root's key away from a host that is no longer a voter.
    ///
    /// # Errors
    /// [`IdentityError::File`], except when there was none.
    pub fn forget(data: &Path) -> Result<(), IdentityError> {
        let path = key_path(data);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(IdentityError::File { path, source }),
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({}, {})", self.root.mesh, self.root.fingerprint)
    }
}

/// A certificate in PEM.
pub(super) fn pem(der: &CertificateDer<'_>) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let encoded = data_encoding::BASE64.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, further) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = further;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

fn key_path(data: &Path) -> PathBuf {
    data.join("issuer").join("root.key")
}

fn certificate_path(data: &Path) -> PathBuf {
    data.join("issuer").join("root.pem")
}

fn valid(now: u64, span: Duration) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    let start = Duration::from_secs(now).saturating_sub(CLOCK_SKEW);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + start;
    parameters.not_after = epoch + start + span;
    // 127 random bits, so that no two certificates share a number and it is never negative.
    let mut serial: [u8; 16] = rand::random();
    serial[0] &= 0x7f;
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    parameters
}

fn crypto(error: rcgen::Error) -> IdentityError {
    IdentityError::Crypto { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use x509_parser::prelude::{FromDer, X509Certificate};

    const NOW: u64 = 1_800_000_000;

    fn issuer() -> Issuer {
        Issuer::create(&Name::parse("blue").unwrap(), NOW).unwrap()
    }

    #[test]
    fn a_certificate_is_built_from_policy_alone() {
        let issuer = issuer();
        let peer = PeerId::from_random(42);
        // The applicant's wishes: an authority, with another's name, for ever.
        let key = PeerKey::generate();
        let mut wishes = CertificateParams::default();
        wishes.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wishes.subject_alt_names =
            vec![SanType::DnsName(Ia5String::try_from("other.hearten.internal").unwrap())];
        let request = wishes.serialize_request(&key.for_rcgen().unwrap()).unwrap();
        let request = rcgen::CertificateSigningRequestParams::from_der(request.der()).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&request.public_key);
        // All that is taken from the request is its key.
        let public_key = key::public_key_from_spki(&spki).unwrap();
        let der = issuer.issue(peer, &public_key, NOW).unwrap();

        let read = PeerCertificate::read(&der).unwrap();
        assert_eq!(read.mesh, *issuer.mesh());
        assert_eq!(read.peer, peer);
        assert_eq!(read.public_key, key.public_key());
        assert_eq!(read.not_before, NOW - 3_600);
        assert_eq!(read.not_after - read.not_before, VALIDITY.as_secs());
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        assert!(!certificate.is_ca());
        assert!(certificate.basic_constraints().unwrap().is_some(), "CA:FALSE is written out");
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && !usage.key_cert_sign());
        let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.client_auth && purposes.server_auth && !purposes.any);
    }

    #[test]
    fn an_unsound_key_gets_no_certificate() {
        let mut weak = [0_u8; 32];
        weak[0] = 1;
        assert!(issuer().issue(PeerId::from_random(1), &weak, NOW).is_err());
    }

    #[test]
    fn the_root_reads_back_and_only_with_its_own_certificate() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Issuer::load(folder.path()).unwrap().is_none());
        let issuer = issuer();
        issuer.store(folder.path()).unwrap();
        let back = Issuer::load(folder.path()).unwrap().unwrap();
        assert_eq!(back.fingerprint(), issuer.fingerprint());
        assert_eq!(back.certificate(), issuer.certificate());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&key_path(folder.path())), 0o600);
        assert_eq!(mode(&folder.path().join("issuer")), 0o700);
        let other = Issuer::create(issuer.mesh(), NOW).unwrap();
        assert_ne!(other.fingerprint(), issuer.fingerprint());
        let key = issuer.key_pem().unwrap();
        assert!(Issuer::from_pem(&key, &other.certificate_pem()).is_err());
        assert!(Issuer::from_pem(&key, &issuer.certificate_pem()).is_ok());
        Issuer::forget(folder.path()).unwrap();
        Issuer::forget(folder.path()).unwrap();
        assert!(Issuer::load(folder.path()).unwrap().is_none());
    }
}
