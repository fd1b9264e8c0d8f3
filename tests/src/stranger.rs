//! A caller that is no daemon: it speaks the peers' protocol by hand, well or badly.
//!
//! It is written from the protocol's description and shares no code with the endpoint, so that it
//! can do what no peer would: bear a stolen identity, open streams of its own invention, announce
//! what it does not send.

use anyhow::{Context, Result, anyhow, bail};
use node::{
    identity::{CurrentIdentity, Identity, PeerKey},
    net::StreamKind,
};
use protocol::{codec, ledger::Outcome, name::PeerId, record::Entry, record::Position};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{runtime::Runtime, time::timeout};

/// What members speak.
pub const MEMBER: &str = "hearten/1";
/// What applicants speak.
pub const JOIN: &str = "hearten-join/1";

/// How long the other side may take for anything.
const WITHIN: Duration = Duration::from_secs(10);

/// What a caller shows for a certificate.
pub type Papers = Arc<dyn ResolvesClientCert>;

/// The papers of the peer whose data directory this is.
///
/// # Errors
/// When there is no identity.
pub fn stolen(data: &Path) -> Result<Papers> {
    let identity = Identity::load(data)?.context("the host is a peer")?;
    Ok(Arc::new(CurrentIdentity::new(identity)))
}

/// Papers that nobody but their bearer has signed.
///
/// # Errors
/// When they could not be made.
pub fn self_made() -> Result<Papers> {
    let key = PeerKey::generate();
    let der = PrivateKeyDer::from_pem_slice(key.to_pem()?.as_bytes())?;
    let signer = ring::sign::any_supported_type(&der)?;
    let certified = CertifiedKey::new(vec![key.self_signed()?], signer);
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

/// The configuration of a caller that trusts everybody.
///
/// # Errors
/// What the library said.
pub fn config(papers: Papers, protocol: &str) -> Result<quinn::ClientConfig> {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_cert_resolver(papers);
    tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Ok(quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)))
}

/// What members ask of each other on a forward stream, in the order in which it travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ask {
    /// To propose an entry.
    Propose(Entry),
    /// To hear a report.
    Hear(protocol::report::SignedReport),
    /// To probe a peer.
    Probe(PeerId),
    /// To let an applicant join.
    Join {
        /// Its request.
        request: Vec<u8>,
        /// What its proof is bound to.
        exporter: [u8; 32],
        /// Its key.
        public_key: [u8; 32],
    },
    /// To hand over the issuing key.
    Issuer,
    /// To renew the sender's certificate.
    Renew,
}

/// What is answered, in the order in which it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// What the log made of an entry.
    Proposed(Option<Position>, Outcome),
    /// Somebody else leads.
    NotLeader(Option<PeerId>),
    /// It was heard.
    Heard,
    /// What a probe saw.
    Saw(protocol::record::Seen),
    /// The answer for an applicant.
    Joined(Vec<u8>),
    /// The issuing key and the root's certificate.
    Issuer(String, String),
    /// A certificate.
    Certificate(Vec<u8>),
    /// It cannot be done.
    Refused(String),
}

/// One connection of such a caller.
#[derive(Debug)]
pub struct Stranger {
    runtime: Runtime,
    connection: quinn::Connection,
    // Dropped last: the connection ends with it.
    _endpoint: quinn::Endpoint,
}

impl Stranger {
    /// Calls the daemon at `address`.
    ///
    /// # Errors
    /// When the handshake fails. A server that does not like a certificate says so after the
    /// caller believes itself connected: see [`Self::dismissed`].
    pub fn call(address: SocketAddr, protocol: &str, papers: Papers) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (endpoint, connection) = runtime.block_on(async {
            let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse()?)?;
            let connecting =
                endpoint.connect_with(config(papers, protocol)?, address, "peer.internal")?;
            anyhow::Ok((endpoint, timeout(WITHIN, connecting).await??))
        })?;
        Ok(Self { runtime, connection, _endpoint: endpoint })
    }

    /// Waits until the other side has ended the connection and gives the reason that it named.
    ///
    /// # Errors
    /// When it has not within `within`.
    pub fn dismissed(&self, within: Duration) -> Result<String> {
        let closed = async { timeout(within, self.connection.closed()).await };
        let reason = self.runtime.block_on(closed).context("the connection stays open")?;
        Ok(reason.to_string())
    }

    /// Whether the connection is there.
    pub fn is_connected(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// Opens a stream for questions, writes these bytes and gives all that comes back.
    ///
    /// # Errors
    /// With the code by which the stream was refused.
    pub fn stream(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let exchange = async {
            let (mut send, mut receive) = self.connection.open_bi().await?;
            // A refusal may come before all is written; what was answered says more.
            let written = send.write_all(bytes).await;
            drop(send.finish());
            let answer = receive.read_to_end(1 << 20).await;
            written.map_err(anyhow::Error::from).and(answer.map_err(anyhow::Error::from))
        };
        self.runtime.block_on(async { timeout(WITHIN, exchange).await? })
    }

    /// Opens a stream without an answer and writes these bytes.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn one_way(&self, bytes: &[u8]) -> Result<()> {
        let sending = async {
            let mut send = self.connection.open_uni().await?;
            send.write_all(bytes).await?;
            send.finish()?;
            // Until the other side has it all, or does not want it.
            send.stopped().await?;
            anyhow::Ok(())
        };
        self.runtime.block_on(async { timeout(WITHIN, sending).await? })
    }

    /// Opens as many streams, writes these bytes on each, and leaves them open for as long as
    /// what is given back lives.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn hold(
        &self,
        count: usize,
        bytes: &[u8],
    ) -> Result<Vec<(quinn::SendStream, quinn::RecvStream)>> {
        let opening = async {
            let mut held = Vec::new();
            for _ in 0..count {
                let (mut send, receive) = self.connection.open_bi().await?;
                send.write_all(bytes).await?;
                held.push((send, receive));
            }
            anyhow::Ok(held)
        };
        self.runtime.block_on(async { timeout(WITHIN, opening).await? })
    }

    /// Asks as a member does.
    ///
    /// # Errors
    /// With what the daemon said when it gave no answer.
    pub fn ask(&self, ask: &Ask) -> Result<Reply> {
        let answer = self.stream(&framed(StreamKind::Forward, &codec::encode(ask)))?;
        let (state, frame) = answer.split_first().context("an answer")?;
        let frame = frame.get(4..).context("a frame")?;
        match state {
            0 => codec::decode(frame).map_err(|error| anyhow!("{error}")),
            _ => bail!("{}", String::from_utf8_lossy(frame)),
        }
    }
}

/// A message as it opens a stream of this kind.
pub fn framed(kind: StreamKind, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[kind.byte()], length.to_be_bytes().as_slice(), message].concat()
}

/// Believes whatever it is shown.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
