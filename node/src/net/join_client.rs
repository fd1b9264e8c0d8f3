//! How a host asks to be let in.
//!
//! It knows some addresses and a token. Before it sends anything it makes sure that it talks to
//! the mesh that the token names: the other side's certificate has to lead to a root with that
//! fingerprint. What it then sends it can bind to this very connection ([`JoinBinding`]), so that
//! nobody in between can make use of it.

use super::{
    counters::Counters,
    error::Close,
    handler::JoinBinding,
    kind::StreamKind,
    lock, tls,
    wire::{self, Reader},
};
use crate::identity::{
    Fingerprint, PeerKey, Token,
    certificate::{PeerCertificate, RootCertificate},
};
use quinn::{Connection, Endpoint};
use rustls::{
    CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::WebPkiSupportedAlgorithms,
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;

/// How long an address has to answer at all.
const CONNECT_TIME: Duration = Duration::from_secs(3);

/// How long the mesh has to answer: it may have to elect a leader first.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// How long closing waits for the other side to be told.
const CLOSE_TIME: Duration = Duration::from_millis(500);

/// Why nobody let this host in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// There was no address to try.
    #[error("no address of a peer was given")]
    NoAddress,
    /// None of the addresses could be used.
    #[error("nobody answered at {}", tried(.attempts))]
    Nobody {
        /// What happened at each.
        attempts: Vec<(SocketAddr, String)>,
    },
    /// Somebody answered, but not the mesh that the token is for. Nothing was sent there.
    #[error(
        "the mesh at {address} is not the one that the token is for: its root is {found}, \
         the token names {expected}; check the address and the token"
    )]
    AnotherMesh {
        /// Where.
        address: SocketAddr,
        /// The root that was found there, if one was.
        found: String,
        /// The root that the token names.
        expected: Fingerprint,
    },
    /// This host could not make a connection at all.
    #[error("cannot use the network: {reason}")]
    Network {
        /// What the system said.
        reason: String,
    },
}

fn tried(attempts: &[(SocketAddr, String)]) -> String {
    let attempts: Vec<_> =
        attempts.iter().map(|(address, what)| format!("{address} ({what})")).collect();
    attempts.join(", ")
}

/// What an applicant has been answered.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The answer of the mesh's daemon.
    pub answer: Vec<u8>,
    /// The mesh's root: its key is the one that the token names, and it is signed by that key.
    pub root: CertificateDer<'static>,
    /// Who answered.
    pub address: SocketAddr,
}

/// Asks the peers at `addresses`, one after the other, until one has answered. `build` makes the
/// request for a connection's binding; it is called again when a peer went away before it had
/// answered, so a request has to be one that may arrive twice.
///
/// # Errors
/// [`JoinError`] when none has answered.
pub async fn ask(
    addresses: &[SocketAddr],
    token: &Token,
    key: &PeerKey,
    build: impl Fn(&JoinBinding) -> Vec<u8>,
) -> Result<Joined, JoinError> {
    if addresses.is_empty() {
        return Err(JoinError::NoAddress);
    }
    let mut attempts = Vec::new();
    let mut another_mesh = None;
    for address in addresses {
        match ask_one(*address, token, key, &build).await {
            Ok(joined) => return Ok(joined),
            Err(Attempt::Failed(what)) => attempts.push((*address, what)),
            Err(Attempt::AnotherMesh(found)) => {
                let expected = token.fingerprint();
                let error = JoinError::AnotherMesh { address: *address, found, expected };
                another_mesh.get_or_insert(error);
            }
            Err(Attempt::Network(reason)) => return Err(JoinError::Network { reason }),
        }
    }
    // It weighs more than an address where nobody is.
    Err(another_mesh.unwrap_or(JoinError::Nobody { attempts }))
}

enum Attempt {
    Failed(String),
    AnotherMesh(String),
    Network(String),
}

async fn ask_one(
    address: SocketAddr,
    token: &Token,
    key: &PeerKey,
    build: impl Fn(&JoinBinding) -> Vec<u8>,
) -> Result<Joined, Attempt> {
    let check = Arc::new(RootCheck {
        expected: token.fingerprint(),
        algorithms: tls::provider().signature_verification_algorithms,
        found: Mutex::new(None),
    });
    let network = |error: &dyn ToString| Attempt::Network(error.to_string());
    let verifier: Arc<dyn ServerCertVerifier> = check.clone();
    let config = tls::applicant(key, verifier).map_err(|error| network(&error))?;
    let from = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let endpoint = Endpoint::client(from).map_err(|error| network(&error))?;
    let connecting = endpoint
        .connect_with(config, address, "join.hearten.internal")
        .map_err(|error| Attempt::Failed(error.to_string()))?;
    let connection = match timeout(CONNECT_TIME, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            let found = lock(&check.found).take();
            return Err(
                found.map_or_else(|| Attempt::Failed(error.to_string()), Attempt::AnotherMesh)
            );
        }
        Err(_elapsed) => return Err(Attempt::Failed(format!("silence for {CONNECT_TIME:?}"))),
    };
    let binding = JoinBinding::of(&connection, key.public_key());
    let exchange = timeout(ANSWER_TIME, exchange(&connection, &build(&binding))).await;
    let root = tls::chain(&connection).pop();
    Close::Done.close(&connection);
    drop(timeout(CLOSE_TIME, endpoint.wait_idle()).await);
    match (exchange, root) {
        (Ok(Ok(answer)), Some(root)) => Ok(Joined { answer, root, address }),
        (Ok(Ok(_)), None) => Err(Attempt::Failed("it presented no certificate".to_owned())),
        (Ok(Err(what)), _) => Err(Attempt::Failed(what)),
        (Err(_elapsed), _) => Err(Attempt::Failed(format!("no answer for {ANSWER_TIME:?}"))),
    }
}

async fn exchange(connection: &Connection, request: &[u8]) -> Result<Vec<u8>, String> {
    let kind = StreamKind::Join;
    let limit = kind.request_max();
    if request.len() > limit {
        return Err(format!("the request has {} bytes, more than {limit}", request.len()));
    }
    let counters = Arc::new(Counters::default());
    let refused = |error: &dyn ToString| match connection.close_reason() {
        Some(reason) => match Close::said_by(&reason) {
            Some(close) => format!("it refused: {}", close.reason()),
            None => reason.to_string(),
        },
        None => error.to_string(),
    };
    let (mut send, receive) = connection.open_bi().await.map_err(|error| refused(&error))?;
    wire::write_request(&mut send, kind, request, &counters)
        .await
        .map_err(|error| refused(&error))?;
    let answer = Reader::new(receive, counters).answer(kind).await;
    answer.map_err(|fault| refused(&fault))?
}

/// Accepts a server whose certificate leads to the root that the token names.
#[derive(Debug)]
struct RootCheck {
    expected: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
    /// What was found instead, for the operator.
    found: Mutex<Option<String>>,
}

impl RootCheck {
    fn another(&self, found: impl ToString) -> rustls::Error {
        *lock(&self.found) = Some(found.to_string());
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)
    }
}

impl ServerCertVerifier for RootCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // Members present their own certificate and the root's.
        let [root] = intermediates else {
            return Err(self.another("not shown"));
        };
        let says = RootCertificate::read(root).map_err(|error| self.another(error))?;
        if says.fingerprint != self.expected {
            return Err(self.another(says.fingerprint));
        }
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &roots,
            &[],
            now,
            self.algorithms.all,
        )?;
        // Which peer it is does not matter, but that it is one does.
        PeerCertificate::read(end_entity).map_err(|error| self.another(error))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Issuer;
    use protocol::name::{Name, PeerId};

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn only_a_peer_of_the_root_that_the_token_names_is_talked_to() {
        let mesh = || Issuer::create(&Name::parse("blue").unwrap(), NOW).unwrap();
        let (ours, theirs) = (mesh(), mesh());
        let key = PeerKey::generate();
        let leaf =
            |issuer: &Issuer| issuer.issue(PeerId::from_random(1), &key.public_key(), NOW).unwrap();
        let check = RootCheck {
            expected: ours.fingerprint(),
            algorithms: tls::provider().signature_verification_algorithms,
            found: Mutex::new(None),
        };
        let verify = |leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]| {
            let name = ServerName::try_from("join.hearten.internal").unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
            check.verify_server_cert(leaf, others, &name, &[], now).is_ok()
        };
        let (root, other) = (ours.certificate().clone(), theirs.certificate().clone());
        assert!(verify(&leaf(&ours), std::slice::from_ref(&root)));
        assert!(!verify(&leaf(&theirs), std::slice::from_ref(&other)), "another root");
        assert!(
            !verify(&leaf(&theirs), std::slice::from_ref(&root)),
            "our root, which did not sign it"
        );
        assert!(!verify(&leaf(&ours), &[]), "no root");
        assert!(!verify(&leaf(&ours), &[other, root.clone()]), "two roots");
        assert!(!verify(&root, std::slice::from_ref(&root)), "the root itself");
        assert!(!verify(&key.self_signed().unwrap(), &[root]), "nobody");
    }
}
