//! The lines to the other members: openraft's calls, put into envelopes and onto the wire.
//!
//! openraft gives up an attempt to replicate after one heartbeat (250 ms) and tries the very same
//! again. Over a network with a longer round trip no attempt would ever succeed. So an attempt goes
//! on after it was given up, and when the same one is made again it takes the answer that is
//! already on its way. What an answer tells of the other's willingness to follow may so be older
//! than openraft believes, by `election_min` at most; [`Standing`](crate::Standing) allows for it.

use crate::{
    group::{Group, LogId, Member, Vote},
    rpc::{Call, Envelope, Reply},
    wire::{FRAME_BYTES_MAX, Wire, WireError},
};
use openraft::{
    RaftNetwork, RaftNetworkFactory,
    error::{
        InstallSnapshotError, NetworkError, PayloadTooLarge, RPCError, RaftError, RemoteError,
        Unreachable,
    },
    network::{Backoff, RPCOption},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest,
        InstallSnapshotResponse, VoteRequest, VoteResponse,
    },
};
use protocol::{
    codec,
    name::{PeerId, RaftId},
};
use std::{
    iter,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

type Failure<E> = RPCError<u64, Member, RaftError<u64, E>>;

/// Makes a line to each member.
#[derive(Clone)]
pub(crate) struct Lines {
    pub(crate) me: RaftId,
    pub(crate) wire: Arc<dyn Wire>,
    /// How long an attempt to replicate may go on behind openraft's back.
    pub(crate) patience: Duration,
    /// The pause before a peer that cannot be reached is tried again.
    pub(crate) pause: Duration,
    /// Whether this leader has fallen silent, because no majority answers it.
    pub(crate) hushed: Arc<AtomicBool>,
}

impl RaftNetworkFactory<Group> for Lines {
    type Network = Line;

    async fn new_client(&mut self, target: u64, node: &Member) -> Line {
        Line { lines: self.clone(), to: RaftId(target), peer: node.peer, attempt: None }
    }
}

/// The line to one member.
pub(crate) struct Line {
    lines: Lines,
    to: RaftId,
    peer: PeerId,
    attempt: Option<Attempt>,
}

/// What an attempt to replicate says; the answer depends on nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    vote: Vote,
    after: Option<LogId>,
    last: Option<LogId>,
}

struct Attempt {
    said: Said,
    answer: JoinHandle<Result<Vec<u8>, WireError>>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

impl Lines {
    /// Lets this leader fall silent, or speak again.
    pub(crate) fn hush(&self, hushed: bool) {
        self.hushed.store(hushed, Ordering::Relaxed);
    }

    pub(crate) fn is_hushed(&self) -> bool {
        self.hushed.load(Ordering::Relaxed)
    }

    /// Asks a peer and reads its answer.
    pub(crate) async fn ask(
        &self,
        peer: PeerId,
        to: RaftId,
        call: Call,
        timeout: Duration,
    ) -> Result<Reply, WireError> {
        let request = codec::encode(&Envelope { from: self.me, to, call });
        read(&self.wire.call(peer, request, timeout).await?)
    }
}

fn read(answer: &[u8]) -> Result<Reply, WireError> {
    codec::decode_within(answer, u64::try_from(FRAME_BYTES_MAX).unwrap_or(u64::MAX))
        .map_err(|error| WireError::Refused(format!("the answer cannot be read: {error}")))
}

/// A refusal is answered with a pause as well: the other store may be gone for good.
fn failure<E: std::error::Error>(error: &WireError) -> Failure<E> {
    match error {
        WireError::Unreachable(_) | WireError::Refused(_) => {
            RPCError::Unreachable(Unreachable::new(error))
        }
        WireError::TimedOut(_) => RPCError::Network(NetworkError::new(error)),
    }
}

fn unexpected<E: std::error::Error>() -> Failure<E> {
    failure(&WireError::Refused("the answer is one to another question".to_owned()))
}

impl RaftNetwork<Group> for Line {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Group>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failure<openraft::error::Infallible>> {
        if self.lines.is_hushed() {
            self.attempt = None;
            return Err(failure(&WireError::Unreachable(
                "this leader has fallen silent".to_owned(),
            )));
        }
        let entries = rpc.entries.len();
        let said = Said {
            vote: rpc.vote,
            after: rpc.prev_log_id,
            last: rpc.entries.last().map(|entry| entry.log_id),
        };
        if self.attempt.as_ref().is_none_or(|attempt| attempt.said != said) {
            let call = Call::Append(rpc);
            let request = codec::encode(&Envelope { from: self.lines.me, to: self.to, call });
            if request.len() > FRAME_BYTES_MAX && entries > 1 {
                let half = u64::try_from(entries / 2).unwrap_or(1);
                return Err(PayloadTooLarge::new_entries_hint(half).into());
            }
            let (wire, peer) = (Arc::clone(&self.lines.wire), self.peer);
            let patience = self.lines.patience;
            let answer = tokio::spawn(async move { wire.call(peer, request, patience).await });
            self.attempt = Some(Attempt { said, answer });
        }
        // openraft drops this future when it gives up; the attempt stays with the line.
        let Some(attempt) = self.attempt.as_mut() else { return Err(unexpected()) };
        let answer = (&mut attempt.answer).await;
        self.attempt = None;
        let answer = answer.unwrap_or_else(|error| Err(WireError::Unreachable(error.to_string())));
        match answer.and_then(|answer| read(&answer)).map_err(|error| failure(&error))? {
            Reply::Append(response) => Ok(response),
            Reply::Vote(_)
            | Reply::Snapshot(_)
            | Reply::Mismatch(_)
            | Reply::Owner(_)
            | Reply::Follows(_)
            | Reply::WouldElect(_) => Err(unexpected()),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, Failure<openraft::error::Infallible>> {
        let asked = self.lines.ask(self.peer, self.to, Call::Vote(rpc), option.hard_ttl()).await;
        match asked.map_err(|error| failure(&error))? {
            Reply::Vote(response) => Ok(response),
            Reply::Append(_)
            | Reply::Snapshot(_)
            | Reply::Mismatch(_)
            | Reply::Owner(_)
            | Reply::Follows(_)
            | Reply::WouldElect(_) => Err(unexpected()),
        }
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Group>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failure<InstallSnapshotError>> {
        let call = Call::Snapshot(rpc);
        let asked = self.lines.ask(self.peer, self.to, call, option.hard_ttl()).await;
        match asked.map_err(|error| failure(&error))? {
            Reply::Snapshot(response) => Ok(response),
            Reply::Mismatch(mismatch) => Err(RPCError::RemoteError(RemoteError::new(
                self.to.0,
                RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch)),
            ))),
            Reply::Append(_)
            | Reply::Vote(_)
            | Reply::Owner(_)
            | Reply::Follows(_)
            | Reply::WouldElect(_) => Err(unexpected()),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(iter::repeat(self.lines.pause))
    }
}
