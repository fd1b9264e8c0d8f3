//! Frames on a stream.
//!
//! A stream begins with a byte for its kind. A frame is its length (32 bits, big endian) and its
//! bytes; an answer has one byte in front that says whether it is one (0) or an error's text (1).
//! The length that comes from outside is checked before anything follows from it, and memory is
//! taken as bytes arrive, never because a length announces them.

use super::{
    counters::Counters,
    error::{NetError, Refusal, lost},
    kind::StreamKind,
};
use protocol::name::PeerId;
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is read from a stream at once.
const CHUNK_BYTES: usize = 64 << 10;

/// How much one peer may have under way in requests to this host. Whoever announces more waits
/// for its own earlier ones, and keeps nobody else waiting.
pub(crate) const BUDGET_BYTES: usize = 20 << 20;

/// The budget is counted in these, for the semaphore counts in 32 bits.
const BUDGET_UNIT: usize = 1 << 10;

const ANSWERED: u8 = 0;
const FAILED: u8 = 1;

/// An error's text is cut to this.
const MESSAGE_MAX: usize = 4 << 10;

/// What one peer may have under way here.
pub(crate) fn budget() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(BUDGET_BYTES / BUDGET_UNIT))
}

/// Why a stream could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a {kind} frame of {bytes} bytes, where {limit} are allowed")]
    Oversized { kind: StreamKind, bytes: usize, limit: usize },
    #[error("streams of kind {0} are unknown")]
    UnknownKind(u8),
    #[error("a {0} stream has no place here")]
    Misplaced(StreamKind),
    #[error("the stream ended in the middle of something")]
    Truncated,
    #[error("{0}")]
    Read(#[from] ReadError),
}

impl Fault {
    /// The code to refuse the stream with; `None` when nobody is there to be told.
    pub(crate) const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Oversized { .. } => Some(Refusal::Oversized),
            Self::UnknownKind(_) => Some(Refusal::UnknownKind),
            Self::Misplaced(_) => Some(Refusal::Misplaced),
            Self::Truncated | Self::Read(_) => None,
        }
    }

    /// What it means for the one who waits for an answer of `peer`.
    pub(crate) fn for_caller(self, peer: PeerId) -> NetError {
        match self {
            Self::Oversized { kind, bytes, limit } => NetError::TooLarge { kind, bytes, limit },
            Self::Read(ReadError::ConnectionLost(error)) => lost(peer, &error),
            Self::Read(ReadError::Reset(code)) => {
                NetError::Refused { peer, reason: Refusal::explain(code) }
            }
            other @ (Self::UnknownKind(_)
            | Self::Misplaced(_)
            | Self::Truncated
            | Self::Read(
                ReadError::ClosedStream
                | ReadError::IllegalOrderedRead
                | ReadError::ZeroRttRejected,
            )) => NetError::Lost { peer, reason: other.to_string() },
        }
    }
}

/// What a failed write means for the one who wanted something of `peer`.
pub(crate) fn write_failed(peer: PeerId, error: WriteError) -> NetError {
    match error {
        WriteError::ConnectionLost(error) => lost(peer, &error),
        WriteError::Stopped(code) => NetError::Refused { peer, reason: Refusal::explain(code) },
        other @ (WriteError::ClosedStream | WriteError::ZeroRttRejected) => {
            NetError::Lost { peer, reason: other.to_string() }
        }
    }
}

/// Reads frames. Every method may be dropped while it waits and called again.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: RecvStream,
    buffer: Vec<u8>,
    /// The length of the frame whose header has been read.
    announced: Option<usize>,
    counters: Arc<Counters>,
}

impl Reader {
    pub(crate) const fn new(stream: RecvStream, counters: Arc<Counters>) -> Self {
        Self { stream, buffer: Vec::new(), announced: None, counters }
    }

    /// Reads until the buffer holds `length` bytes; `false` when the stream ended before.
    async fn fill(&mut self, length: usize) -> Result<bool, ReadError> {
        while self.buffer.len() < length {
            match self.stream.read_chunk(CHUNK_BYTES, true).await? {
                Some(chunk) => {
                    self.counters.bytes_received.add(chunk.bytes.len());
                    self.buffer.extend_from_slice(&chunk.bytes);
                }
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Takes the first `length` bytes, which are there.
    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// The byte that stands in front.
    async fn byte(&mut self) -> Result<u8, Fault> {
        if !self.fill(1).await? {
            return Err(Fault::Truncated);
        }
        self.take(1).first().copied().ok_or(Fault::Truncated)
    }

    /// The kind of the stream, which is the first thing on it.
    pub(crate) async fn kind(&mut self) -> Result<StreamKind, Fault> {
        let byte = self.byte().await?;
        StreamKind::from_byte(byte).ok_or(Fault::UnknownKind(byte))
    }

    /// The length of the next frame; `None` when the stream ended before one began.
    async fn length(&mut self, kind: StreamKind, limit: usize) -> Result<Option<usize>, Fault> {
        if let Some(length) = self.announced {
            return Ok(Some(length));
        }
        if !self.fill(4).await? {
            return if self.buffer.is_empty() { Ok(None) } else { Err(Fault::Truncated) };
        }
        let header = <[u8; 4]>::try_from(self.take(4)).map_err(|_short| Fault::Truncated)?;
        let length = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
        if length > limit {
            return Err(Fault::Oversized { kind, bytes: length, limit });
        }
        self.announced = Some(length);
        Ok(Some(length))
    }

    /// The next frame of at most `limit` bytes; `None` when the stream ended before one began.
    pub(crate) async fn frame(
        &mut self,
        kind: StreamKind,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let Some(length) = self.length(kind, limit).await? else {
            return Ok(None);
        };
        if !self.fill(length).await? {
            return Err(Fault::Truncated);
        }
        self.announced = None;
        Ok(Some(self.take(length)))
    }

    /// The message that opens a stream of `kind`, and its share of the sender's `budget`, to be
    /// held for as long as the message is.
    pub(crate) async fn request(
        &mut self,
        kind: StreamKind,
        budget: &Arc<Semaphore>,
    ) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Fault> {
        let limit = kind.request_max();
        let length = self.length(kind, limit).await?.ok_or(Fault::Truncated)?;
        let units = u32::try_from(length / BUDGET_UNIT + 1).unwrap_or(u32::MAX);
        // All of it before the first byte: two half-read messages could wait for each other. The
        // semaphore is never closed.
        let share = Arc::clone(budget).acquire_many_owned(units).await.ok();
        let message = self.frame(kind, limit).await?.ok_or(Fault::Truncated)?;
        Ok((message, share))
    }

    /// The answer to a request of `kind`: `Err` with a text when the daemon answered with one.
    pub(crate) async fn answer(
        &mut self,
        kind: StreamKind,
    ) -> Result<Result<Vec<u8>, String>, Fault> {
        let failed = self.byte().await? != ANSWERED;
        let limit = if failed { MESSAGE_MAX } else { kind.answer_max() };
        let frame = self.frame(kind, limit).await?.ok_or(Fault::Truncated)?;
        if failed { Ok(Err(String::from_utf8_lossy(&frame).into_owned())) } else { Ok(Ok(frame)) }
    }

    /// Tells the sender to stop.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        // A stream that is closed already needs no refusal.
        drop(self.stream.stop(refusal.code()));
    }
}

async fn write(
    stream: &mut SendStream,
    head: &[u8],
    bytes: &[u8],
    counters: &Counters,
) -> Result<(), WriteError> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    counters.bytes_sent.add(head.len() + length.len() + bytes.len());
    stream.write_all(&[head, &length].concat()).await?;
    stream.write_all(bytes).await
}

/// Opens a stream of `kind` with its message. The caller has checked its size.
pub(crate) async fn write_request(
    stream: &mut SendStream,
    kind: StreamKind,
    message: &[u8],
    counters: &Counters,
) -> Result<(), WriteError> {
    assert!(message.len() <= kind.request_max(), "a request fits its kind");
    write(stream, &[kind.byte()], message, counters).await?;
    stream.finish().map_err(WriteError::from)
}

/// Sends one frame of many. The caller has checked its size.
pub(crate) async fn write_frame(
    stream: &mut SendStream,
    frame: &[u8],
    counters: &Counters,
) -> Result<(), WriteError> {
    write(stream, &[], frame, counters).await
}

/// Answers a request of `kind` and ends the stream.
pub(crate) async fn write_answer(
    stream: &mut SendStream,
    kind: StreamKind,
    answer: &Result<Vec<u8>, String>,
    counters: &Counters,
) -> Result<(), WriteError> {
    match answer {
        Ok(bytes) if bytes.len() <= kind.answer_max() => {
            write(stream, &[ANSWERED], bytes, counters).await?;
        }
        Ok(bytes) => {
            let text = format!("the {kind} answer of {} bytes is too large to send", bytes.len());
            write(stream, &[FAILED], text.as_bytes(), counters).await?;
        }
        Err(text) => {
            let cut = &text.as_bytes()[..text.len().min(MESSAGE_MAX)];
            write(stream, &[FAILED], cut, counters).await?;
        }
    }
    stream.finish().map_err(WriteError::from)
}
