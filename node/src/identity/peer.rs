//! A peer's identity: its key, its certificate and the root that vouches for it.
//!
//! On disk it is two files in `<data>/identity/`: `key.pem`, which never changes, and `chain.pem`
//! (the peer's certificate, then the root's), which renewal replaces. In a running daemon it
//! stands in a [`CurrentIdentity`], so that a renewed certificate is used from the next handshake
//! on and open connections stay as they are.

use super::{
    Fingerprint, IdentityError,
    certificate::{PeerCertificate, RootCertificate},
    key::PeerKey,
    pki::{self, Issuer},
};
use crate::files;
use arc_swap::ArcSwap;
use protocol::name::{Name, PeerId};
use rustls::{
    client::WebPkiServerVerifier, client::danger::ServerCertVerifier, sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A peer's key with the certificate that the mesh issued for it. A value: a renewed identity is
/// another one.
#[derive(Debug, Clone)]
pub struct Identity {
    key: PeerKey,
    leaf: CertificateDer<'static>,
    root: CertificateDer<'static>,
    says: PeerCertificate,
    fingerprint: Fingerprint,
    certified: Arc<CertifiedKey>,
}

impl Identity {
    /// Puts together a key, the certificate issued for it and the root that issued it.
    ///
    /// # Errors
    /// When they do not belong together, or either certificate is not of the shape that this
    /// mesh issues.
    pub fn new(
        key: PeerKey,
        leaf: CertificateDer<'static>,
        root: CertificateDer<'static>,
    ) -> Result<Self, IdentityError> {
        let says = PeerCertificate::read(&leaf)?;
        let authority = RootCertificate::read(&root)?;
        let mismatch = |what: &str, other: &str| IdentityError::Mismatch {
            what: what.to_owned(),
            other: other.to_owned(),
        };
        if says.public_key != key.public_key() {
            return Err(mismatch("the peer's certificate", "the peer's key"));
        }
        if says.mesh != authority.mesh {
            return Err(mismatch("the peer's certificate", "the root's mesh"));
        }
        issued_by(&leaf, &says, &root)?;
        let certified = key.certified(vec![leaf.clone(), root.clone()])?;
        Ok(Self { key, leaf, root, says, fingerprint: authority.fingerprint, certified })
    }

    /// The identity of the peer that founds a mesh. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`IdentityError::Crypto`], which would be a mistake of ours.
    pub fn create(issuer: &Issuer, peer: PeerId, now: u64) -> Result<Self, IdentityError> {
        let key = PeerKey::generate();
        let leaf = issuer.issue(peer, &key.public_key(), now)?;
        Self::new(key, leaf, issuer.certificate().clone())
    }

    /// Where a host's key lies; a joiner makes its key there before it has a certificate.
    pub fn key_path(data: &Path) -> PathBuf {
        data.join("identity").join("key.pem")
    }

    fn chain_path(data: &Path) -> PathBuf {
        data.join("identity").join("chain.pem")
    }

    /// Reads the identity from a host's data directory; `None` when the host has none yet.
    ///
    /// # Errors
    /// [`IdentityError`] with the file at fault.
    pub fn load(data: &Path) -> Result<Option<Self>, IdentityError> {
        let path = Self::chain_path(data);
        let file_error = |source| IdentityError::File { path: path.clone(), source };
        let Some(pem) = files::read_if_present(&path).map_err(file_error)? else {
            return Ok(None);
        };
        let damaged = |reason: String| IdentityError::damaged(path.display().to_string(), reason);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| damaged(error.to_string()))?;
        let Ok([leaf, root]) = <[CertificateDer<'static>; 2]>::try_from(chain) else {
            return Err(damaged("it does not hold exactly two certificates".to_owned()));
        };
        let key = PeerKey::load(&Self::key_path(data))?.ok_or_else(|| {
            damaged(format!("its key is missing at {}", Self::key_path(data).display()))
        })?;
        Self::new(key, leaf, root).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Writes the identity to a host's data directory, the key first.
    ///
    /// # Errors
    /// [`IdentityError::File`].
    pub fn store(&self, data: &Path) -> Result<(), IdentityError> {
        self.key.store(&Self::key_path(data))?;
        let path = Self::chain_path(data);
        let chain = pki::pem(&self.leaf) + &pki::pem(&self.root);
        files::write_durably(&path, chain.as_bytes(), files::PRIVATE)
            .map_err(|source| IdentityError::File { path, source })
    }

    /// This identity with a newer certificate: of the same peer, the same key, the same root.
    ///
    /// # Errors
    /// When the certificate is anything else.
    pub fn renewed(&self, leaf: CertificateDer<'static>) -> Result<Self, IdentityError> {
        let renewed = Self::new(self.key.clone(), leaf, self.root.clone())?;
        if renewed.says.peer == self.says.peer {
            Ok(renewed)
        } else {
            Err(IdentityError::Mismatch {
                what: format!("a certificate for {}", renewed.says.peer),
                other: self.says.peer.to_string(),
            })
        }
    }

    /// Whether half of the certificate's time is over: early enough that a mesh without a leader
    /// for months loses nobody. `now` is in seconds since 1970.
    pub const fn needs_renewal(&self, now: u64) -> bool {
        let span = self.says.not_after.saturating_sub(self.says.not_before);
        now >= self.says.not_before.saturating_add(span / 2)
    }

    /// The last second in which the certificate is valid, since 1970.
    pub const fn expires(&self) -> u64 {
        self.says.not_after
    }

    /// This peer.
    pub const fn peer(&self) -> PeerId {
        self.says.peer
    }

    /// The mesh it belongs to.
    pub const fn mesh(&self) -> &Name {
        &self.says.mesh
    }

    /// The fingerprint of the mesh's root.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The peer's certificate.
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.leaf
    }

    /// The root's certificate.
    pub const fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The peer's public key.
    pub const fn public_key(&self) -> [u8; 32] {
        self.says.public_key
    }

    /// Signs a message with the peer's key. Say in the message what it is, so that a signature
    /// for one purpose is worth nothing for another.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message)
    }

    /// 32 secret bytes of this peer for one purpose, which `label` names. They are the same after
    /// a restart.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        self.key.derive(label)
    }
}

/// Checks that the root issued the certificate, at a moment at which it is valid: an old identity
/// can be read, and whether it is still accepted is for the others to say.
fn issued_by(
    leaf: &CertificateDer<'_>,
    says: &PeerCertificate,
    root: &CertificateDer<'static>,
) -> Result<(), IdentityError> {
    let refusal = |reason: String| IdentityError::damaged("the peer's certificate", reason);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).map_err(|error| refusal(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| refusal(error.to_string()))?;
    let name = ServerName::try_from(super::certificate::server_name(says.peer))
        .map_err(|error| refusal(error.to_string()))?;
    let moment = UnixTime::since_unix_epoch(Duration::from_secs(says.not_before));
    match verifier.verify_server_cert(leaf, &[], &name, &[], moment) {
        Ok(_) => Ok(()),
        Err(error) => Err(refusal(error.to_string())),
    }
}

/// The identity that a running daemon uses now.
#[derive(Debug)]
pub struct CurrentIdentity(ArcSwap<Identity>);

impl CurrentIdentity {
    /// Begins with `identity`.
    pub fn new(identity: Identity) -> Self {
        Self(ArcSwap::from_pointee(identity))
    }

    /// The identity as it is now.
    pub fn get(&self) -> Arc<Identity> {
        self.0.load_full()
    }

    /// Takes a renewed certificate into use, from the next handshake on, and returns the
    /// identity to be stored.
    ///
    /// # Errors
    /// As [`Identity::renewed`]; the old certificate then stays in use.
    pub fn renew(&self, leaf: CertificateDer<'static>) -> Result<Arc<Identity>, IdentityError> {
        let renewed = Arc::new(self.get().renewed(leaf)?);
        self.0.store(Arc::clone(&renewed));
        Ok(renewed)
    }
}

impl rustls::server::ResolvesServerCert for CurrentIdentity {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }
}

impl rustls::client::ResolvesClientCert for CurrentIdentity {
    fn resolve(
        &self,
        _root_hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NOW: u64 = 1_800_000_000;

    fn issuer() -> Issuer {
        Issuer::create(&Name::parse("blue").unwrap(), NOW).unwrap()
    }

    #[test]
    fn an_identity_reads_back_and_its_files_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Identity::load(folder.path()).unwrap().is_none());
        let identity = Identity::create(&issuer(), PeerId::from_random(7), NOW).unwrap();
        identity.store(folder.path()).unwrap();
        let back = Identity::load(folder.path()).unwrap().unwrap();
        assert_eq!(back.peer(), identity.peer());
        assert_eq!(back.fingerprint(), identity.fingerprint());
        assert_eq!(back.mesh().as_str(), "blue");
        let signature = back.sign(b"report");
        assert!(super::super::verify(&identity.public_key(), b"report", &signature));
        for name in ["key.pem", "chain.pem"] {
            let path = folder.path().join("identity").join(name);
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        }
        let mode = std::fs::metadata(folder.path().join("identity")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::write(folder.path().join("identity/chain.pem"), "garbage").unwrap();
        let error = Identity::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("chain.pem"), "{error}");
    }

    #[test]
    fn what_does_not_belong_together_is_no_identity() {
        let (issuer, other) = (issuer(), issuer());
        let peer = PeerId::from_random(7);
        let key = PeerKey::generate();
        let leaf = issuer.issue(peer, &key.public_key(), NOW).unwrap();
        let root = issuer.certificate().clone();
        assert!(Identity::new(PeerKey::generate(), leaf.clone(), root.clone()).is_err());
        // Another root of the same name did not issue it.
        assert!(Identity::new(key.clone(), leaf.clone(), other.certificate().clone()).is_err());
        assert!(Identity::new(key.clone(), root.clone(), root.clone()).is_err());
        assert!(Identity::new(key, leaf, root).is_ok());
    }

    #[test]
    fn a_certificate_is_renewed_from_half_of_its_time_and_only_for_the_same_peer() {
        let issuer = issuer();
        let peer = PeerId::from_random(7);
        let identity = Identity::create(&issuer, peer, NOW).unwrap();
        let half = pki::VALIDITY.as_secs() / 2;
        assert!(!identity.needs_renewal(NOW));
        assert!(!identity.needs_renewal(NOW + half - 3_601));
        assert!(identity.needs_renewal(NOW + half - 3_600));
        let current = CurrentIdentity::new(identity);
        let key = current.get().public_key();
        let later = NOW + half;
        let foreign = issuer.issue(PeerId::from_random(8), &key, later).unwrap();
        assert!(current.renew(foreign).is_err());
        let leaf = issuer.issue(peer, &key, later).unwrap();
        let renewed = current.renew(leaf).unwrap();
        assert!(!renewed.needs_renewal(later));
        assert_eq!(current.get().expires(), renewed.expires());
    }
}
