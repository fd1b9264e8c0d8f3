//! How calls reach another peer: the daemon carries the bytes, this crate knows what they mean.

use async_trait::async_trait;
use protocol::name::PeerId;
use std::time::Duration;

/// The largest request or answer that is given to a [`Wire`], in bytes.
pub const FRAME_BYTES_MAX: usize = 8 << 20;

/// Carries requests to other peers.
///
/// The implementation authenticates both ends: what it hands to
/// [`Consensus::serve`](crate::Consensus::serve) as the sender is who really sent it, and a call to
/// a peer reaches that peer or fails.
#[async_trait]
pub trait Wire: Send + Sync + 'static {
    /// Sends a request and waits for its answer, `timeout` at most.
    ///
    /// # Errors
    /// [`WireError`] when no answer came. The request may have been served all the same.
    async fn call(
        &self,
        to: PeerId,
        request: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, WireError>;
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// There is no way to the peer at the moment; it is tried again after a pause.
    #[error("the peer cannot be reached: {0}")]
    Unreachable(String),
    /// Nothing came back in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The peer was reached and would not serve the call.
    #[error("the peer refused: {0}")]
    Refused(String),
}
