//! What the daemon implements to be talked to.

use super::{follow::FrameSink, kind::StreamKind};
use async_trait::async_trait;
use protocol::name::PeerId;
use std::net::SocketAddr;

/// What an applicant's proof is bound to: this one TLS connection and the applicant's own key.
///
/// A signature over both, made with the token's secret, is worth nothing on any other connection
/// and for any other key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinBinding {
    /// Keying material exported from the TLS session (RFC 8446, section 7.5); both ends, and
    /// nobody else, have the same.
    pub exporter: [u8; 32],
    /// The applicant's public key, whose possession TLS has proved.
    pub public_key: [u8; 32],
}

impl JoinBinding {
    /// The binding of a connection, for the applicant's `public_key`.
    pub(crate) fn of(connection: &quinn::Connection, public_key: [u8; 32]) -> Self {
        let mut exporter = [0; 32];
        let exported = connection.export_keying_material(&mut exporter, b"hearten join", b"");
        assert!(exported.is_ok(), "32 bytes can be exported from every TLS session");
        Self { exporter, public_key }
    }

    /// Both together, to be signed.
    pub fn bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.exporter);
        bytes[32..].copy_from_slice(&self.public_key);
        bytes
    }
}

/// What the daemon answers. `from` is always the peer whose key TLS has proved.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Answers one [`StreamKind::Raft`] or [`StreamKind::Forward`] request. An `Err` reaches the
    /// caller as [`super::NetError::Failed`].
    async fn answer(
        &self,
        from: PeerId,
        kind: StreamKind,
        request: Vec<u8>,
    ) -> Result<Vec<u8>, String>;

    /// Takes one gossip message.
    async fn gossip(&self, from: PeerId, message: Vec<u8>);

    /// Sends frames until there are no more or the sink is closed; returning ends the stream.
    /// It is dropped where it waits when the connection ends.
    async fn follow(&self, from: PeerId, request: Vec<u8>, sink: FrameSink);

    /// Answers an applicant, who has proved nothing but possession of `binding.public_key`.
    async fn join(&self, request: Vec<u8>, binding: JoinBinding, remote: SocketAddr) -> Vec<u8>;

    /// Whether a probe is answered: no when the daemon knows that it cannot do its work.
    fn probe_answer(&self, from: PeerId) -> bool;
}
