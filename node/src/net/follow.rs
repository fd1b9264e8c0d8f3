//! Streams of frames that go on until one side stops.

use super::{
    counters::Counters, error::NetError, kind::StreamKind, links::InFlight, wire, wire::Reader,
};
use protocol::name::PeerId;
use quinn::SendStream;
use std::sync::Arc;

const KIND: StreamKind = StreamKind::Follow;

/// Where the frames of a subscription go. Dropping it ends the stream.
#[derive(Debug)]
pub struct FrameSink {
    peer: PeerId,
    stream: SendStream,
    counters: Arc<Counters>,
}

impl FrameSink {
    pub(crate) const fn new(peer: PeerId, stream: SendStream, counters: Arc<Counters>) -> Self {
        Self { peer, stream, counters }
    }

    /// Sends one frame; waits while the follower does not keep up. To be awaited to its end: a
    /// frame that was broken off breaks the stream.
    ///
    /// # Errors
    /// [`NetError::TooLarge`], and others when the follower is gone.
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), NetError> {
        let limit = KIND.answer_max();
        if frame.len() > limit {
            return Err(NetError::TooLarge { kind: KIND, bytes: frame.len(), limit });
        }
        wire::write_frame(&mut self.stream, frame, &self.counters)
            .await
            .map_err(|error| wire::write_failed(self.peer, error))
    }

    /// Waits until the follower has stopped following. Wait for it beside whatever the next frame
    /// waits for.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let stopped = self.stream.stopped();
        async move {
            // Stopped, finished or lost: in any case nobody follows any more.
            drop(stopped.await);
        }
    }
}

/// Where the frames of a subscription come from. Dropping it ends the subscription.
#[derive(Debug)]
pub struct FrameSource {
    peer: PeerId,
    reader: Reader,
    _under_way: InFlight,
}

impl FrameSource {
    pub(crate) const fn new(peer: PeerId, reader: Reader, under_way: InFlight) -> Self {
        Self { peer, reader, _under_way: under_way }
    }

    /// The peer that is followed.
    pub const fn peer(&self) -> PeerId {
        self.peer
    }

    /// The next frame; `None` when the peer has ended the stream. It may be dropped while it
    /// waits and called again. A peer that dies is noticed: at once when it has restarted, and
    /// within ten seconds otherwise.
    ///
    /// # Errors
    /// [`NetError`] when the stream or its connection is lost.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, NetError> {
        let frame = self.reader.frame(KIND, KIND.answer_max()).await;
        frame.map_err(|fault| fault.for_caller(self.peer))
    }
}
