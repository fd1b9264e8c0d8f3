//! TLS 1.3 with a certificate on both sides, always.
//!
//! A server cannot know, while it verifies a caller's certificate, what the caller came for: the
//! verifier is not told the protocol. So the handshake lets through what *one* of the protocols
//! would accept (a chain to this mesh's root, or one self-signed certificate), and afterwards
//! `admission` looks at both together, verifying the chain a second time.
//!
//! No tickets, no resumption, no early data: each would carry an old decision into a new
//! connection.

use super::{counters::Counters, error::NetError, transport};
use crate::identity::{
    CurrentIdentity, Identity, IdentityError, PeerKey,
    certificate::{self, PeerCertificate},
};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;

/// Between members, for everything.
pub(crate) const MEMBER: &[u8] = b"hearten/1";
/// Between members, for one probe.
pub(crate) const PROBE: &[u8] = b"hearten-probe/1";
/// For an applicant.
pub(crate) const JOIN: &[u8] = b"hearten-join/1";

/// Certificates of this protocol have about 500 bytes.
const CERTIFICATE_MAX: usize = 4 << 10;

/// The library that does the arithmetic: ring, everywhere.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn failed(error: impl ToString) -> NetError {
    NetError::Tls { reason: error.to_string() }
}

fn roots(identity: &Identity) -> Result<Arc<RootCertStore>, NetError> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.root().clone()).map_err(failed)?;
    Ok(Arc::new(roots))
}

/// What verifies callers.
#[derive(Debug)]
pub(crate) struct Gate {
    members: Arc<dyn ClientCertVerifier>,
    identity: Arc<CurrentIdentity>,
    counters: Arc<Counters>,
}

impl Gate {
    pub(crate) fn new(
        identity: Arc<CurrentIdentity>,
        counters: Arc<Counters>,
    ) -> Result<Arc<Self>, NetError> {
        let roots = roots(&identity.get())?;
        let members = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(failed)?;
        Ok(Arc::new(Self { members, identity, counters }))
    }

    /// Reads the certificate of a caller of this mesh.
    ///
    /// # Errors
    /// Why it is not one.
    pub(crate) fn member(&self, chain: &[CertificateDer<'_>]) -> Result<PeerCertificate, String> {
        let (leaf, others) = chain.split_first().ok_or("it presented no certificate")?;
        self.members
            .verify_client_cert(leaf, others, UnixTime::now())
            .map_err(|error| error.to_string())?;
        let says = PeerCertificate::read(leaf).map_err(|error| error.to_string())?;
        let mesh = self.identity.get().mesh().clone();
        if says.mesh == mesh { Ok(says) } else { Err(format!("it is of mesh {}", says.mesh)) }
    }

    /// Reads the key of an applicant.
    ///
    /// # Errors
    /// Why the certificate is not an applicant's.
    pub(crate) fn applicant(chain: &[CertificateDer<'_>]) -> Result<[u8; 32], IdentityError> {
        match chain {
            [only] if only.len() <= CERTIFICATE_MAX => certificate::self_signed_key(only),
            [] | [_] | [_, ..] => Err(IdentityError::Damaged {
                what: "the applicant's certificate".to_owned(),
                reason: "it is not one small certificate".to_owned(),
            }),
        }
    }
}

impl ClientCertVerifier for Gate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if intermediates.is_empty() && Self::applicant(std::slice::from_ref(end_entity)).is_ok() {
            // Good enough to be asked what it wants; see `admission`.
            return Ok(ClientCertVerified::assertion());
        }
        self.members.verify_client_cert(end_entity, intermediates, now).inspect_err(|error| {
            self.counters.foreign_certificate.refused("a caller", error);
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.members.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.members.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// The server's side of every connection.
pub(crate) fn server(gate: Arc<Gate>) -> Result<quinn::ServerConfig, NetError> {
    let identity = Arc::clone(&gate.identity);
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .with_client_cert_verifier(gate)
        .with_cert_resolver(identity);
    tls.alpn_protocols = [MEMBER, PROBE, JOIN].map(<[u8]>::to_vec).to_vec();
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    let tls = QuicServerConfig::try_from(tls).map_err(failed)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(transport::transport())
        .max_incoming(256)
        .incoming_buffer_size(16 << 10)
        .incoming_buffer_size_total(1 << 20);
    Ok(config)
}

/// A member's side of the connections that it makes, for `protocol`. The other's certificate has
/// to lead to this mesh's root and to bear the name that is dialled.
pub(crate) fn member(
    identity: &Arc<CurrentIdentity>,
    protocol: &[u8],
) -> Result<quinn::ClientConfig, NetError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(&identity.get())?, provider())
        .build()
        .map_err(failed)?;
    let own: Arc<dyn rustls::client::ResolvesClientCert> = identity.clone();
    client(verifier, own, protocol)
}

/// An applicant's side.
pub(crate) fn applicant(
    key: &PeerKey,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<quinn::ClientConfig, NetError> {
    let certificate = key.self_signed().map_err(failed)?;
    let own = key.certified(vec![certificate]).map_err(failed)?;
    client(verifier, Arc::new(rustls::sign::SingleCertAndKey::from(own)), JOIN)
}

/// Any client's side.
pub(crate) fn client(
    verifier: Arc<dyn ServerCertVerifier>,
    own: Arc<dyn rustls::client::ResolvesClientCert>,
    protocol: &[u8],
) -> Result<quinn::ClientConfig, NetError> {
    let mut tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(own);
    tls.alpn_protocols = vec![protocol.to_vec()];
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    let tls = QuicClientConfig::try_from(tls).map_err(failed)?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(transport::transport());
    Ok(config)
}

/// The certificates that the other side of a connection presented, its own first.
pub(crate) fn chain(connection: &quinn::Connection) -> Vec<CertificateDer<'static>> {
    connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .map(|chain| *chain)
        .unwrap_or_default()
}

/// What a connection is for.
pub(crate) fn protocol(connection: &quinn::Connection) -> Vec<u8> {
    connection
        .handshake_data()
        .and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok())
        .and_then(|data| data.protocol)
        .unwrap_or_default()
}
