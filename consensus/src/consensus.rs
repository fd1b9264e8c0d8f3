//! The handle: opening the store, founding a group, proposing, reading, stopping.

use crate::{
    aside::aside,
    election,
    feed::Feed,
    group::{Answer, Member, Raft, StoredMembership, position},
    introduction::Acquaintances,
    line::Lines,
    machine::State,
    options::Options,
    standing::{self, Heard, Standing},
    store::{self, OpenError, Opening, log::Log},
    wire::{FRAME_BYTES_MAX, Wire},
};
use openraft::error::{ClientWriteError, ForwardToLeader, InitializeError, RaftError};
use protocol::{
    codec,
    ledger::{Ledger, Outcome},
    name::{PeerId, RaftId},
    record::{Entry, Position},
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::AbortHandle, time::Instant};

/// Half a frame: an entry travels in an envelope, and in company.
const ENTRY_BYTES_MAX: usize = FRAME_BYTES_MAX / 2;

/// This peer's part in the Raft group; clones are the same part.
#[derive(Clone)]
pub struct Consensus {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) raft: Raft,
    pub(crate) lines: Lines,
    pub(crate) options: Options,
    pub(crate) heard: Heard,
    pub(crate) acquaintances: Acquaintances,
    pub(crate) standing: watch::Receiver<Standing>,
    me: PeerId,
    pub(crate) log: Log,
    pub(crate) state: watch::Receiver<State>,
    /// Until when this peer neither leads nor stands for election.
    pub(crate) steps_down: Mutex<Option<Instant>>,
    watcher: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Why no group was founded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoundError {
    /// This store has been part of a group already.
    #[error("this peer is part of a group already")]
    Member,
    /// The group has stopped here.
    #[error("the group has stopped here: {0}")]
    Fatal(String),
}

/// Why an entry was not proposed, or what is not known of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This peer does not lead. An entry of a leader that was deposed while it waited ends so too:
    /// it was overwritten here, and the caller should propose it to the new leader.
    #[error("this peer does not lead the group")]
    NotLeader {
        /// Who does, if that is known.
        leader: Option<PeerId>,
    },
    /// No majority follows this leader; nothing was proposed.
    #[error("no majority of the voters answers")]
    NoQuorum,
    /// It was proposed, and may be committed yet.
    #[error("not committed within {after:?}; it may be yet")]
    Unknown {
        /// How long it was waited for.
        after: Duration,
    },
    /// It would not fit into a call; nothing was proposed.
    #[error("the entry has {bytes} bytes, more than {ENTRY_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The group has stopped here: the store failed or it was shut down.
    #[error("the group has stopped here: {0}")]
    Fatal(String),
}

impl Consensus {
    /// Opens the store in `dir`, or makes one, and takes part in the group that it belongs to.
    /// A new store belongs to none until it is [founded](Self::found) or added by a leader.
    ///
    /// # Errors
    /// [`OpenError`]. With a full disk it is worth to try again when there is room.
    pub async fn open(
        dir: &Path,
        me: PeerId,
        options: Options,
        wire: Arc<dyn Wire>,
    ) -> Result<(Self, Opening), OpenError> {
        let config = options.raft_config().map_err(OpenError::Options)?;
        let path = dir.to_owned();
        let disk = options.disk.clone();
        let opened = aside(move || store::open(&path, me, disk)).await;
        let store =
            opened.map_err(|error| OpenError::Raft(format!("opening the store: {error}")))??;
        let lines = Lines {
            me: store.raft_id,
            wire,
            patience: options.election_max.max(options.heartbeat),
            pause: options.heartbeat,
            hushed: Arc::default(),
        };
        let (log, state) = (store.log.clone(), store.machine.follow());
        let (id, config) = (store.raft_id.0, Arc::new(config));
        let raft = Raft::new(id, config, lines.clone(), store.log, store.machine)
            .await
            .map_err(|error| OpenError::Raft(error.to_string()))?;
        let heard = Heard::default();
        let (standing, watcher) = standing::keep(&raft, options.clone(), heard.clone());
        let inner = Arc::new(Inner {
            raft,
            lines,
            options,
            heard,
            acquaintances: Acquaintances::default(),
            standing,
            me,
            log,
            state,
            steps_down: Mutex::default(),
            watcher,
        });
        election::watch(&inner);
        Ok((Self { inner }, store.opening))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The id of this peer's store.
    pub fn raft_id(&self) -> RaftId {
        self.inner.lines.me
    }

    /// Names stores and their peers that the log cannot know yet: a joining peer is told the
    /// members by the one who lets it in. From then on only they, and whom they vouch for, can
    /// speak to this store.
    pub fn introduce(&self, members: impl IntoIterator<Item = (RaftId, PeerId)>) {
        self.inner.acquaintances.name(members);
    }

    /// Founds a group whose only member is this peer.
    ///
    /// # Errors
    /// [`FoundError::Member`] when this store has been part of a group already.
    pub async fn found(&self) -> Result<(), FoundError> {
        let member = Member { peer: self.inner.me };
        let members = BTreeMap::from([(self.raft_id().0, member)]);
        match self.inner.raft.initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(
                InitializeError::NotAllowed(_) | InitializeError::NotInMembers(_),
            )) => Err(FoundError::Member),
            Err(RaftError::Fatal(error)) => Err(FoundError::Fatal(error.to_string())),
        }
    }

    /// Proposes an entry and waits until it is committed and applied here.
    ///
    /// # Errors
    /// [`ProposeError`]; with [`ProposeError::Unknown`] the entry may be committed all the same.
    pub async fn propose(&self, entry: Entry) -> Result<(Position, Outcome), ProposeError> {
        let inner = &self.inner;
        let bytes = codec::encode(&entry).len();
        if bytes > ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge { bytes });
        }
        {
            let standing = inner.standing.borrow();
            // What would wait for a quorum that is known to be lost only piles up.
            if standing.i_lead && !standing.quorum {
                return Err(ProposeError::NoQuorum);
            }
        }
        let after = inner.options.propose_timeout;
        let written = tokio::time::timeout(after, inner.raft.client_write(entry))
            .await
            .map_err(|_elapsed| ProposeError::Unknown { after })?;
        match written {
            Ok(done) => match done.data {
                Answer(Some(outcome)) => Ok((position(&done.log_id), outcome)),
                Answer(None) => Err(ProposeError::Fatal("a record was not applied".to_owned())),
            },
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => Err(not_leader(&to)),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => {
                Err(ProposeError::Fatal(error.to_string()))
            }
            Err(RaftError::Fatal(error)) => Err(ProposeError::Fatal(error.to_string())),
        }
    }

    /// Falls silent as the leader, so that another voter is elected, and does not stand for
    /// election for a while. A group whose only voter this is keeps it.
    pub fn step_down(&self, lasts: Duration) {
        let until = Instant::now() + lasts;
        *self.inner.steps_down.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// How the group stands, now and whenever it changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.inner.standing.clone()
    }

    /// The ledger as it is now. Cheap; let go of it soon, because the next entry copies a ledger
    /// that somebody holds.
    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.inner.state.borrow().ledger)
    }

    /// The committed log from the entry after `after` on; with 0, from its beginning. If it does
    /// not reach back so far any more, a snapshot comes first.
    pub fn feed(&self, after: u64) -> Feed {
        Feed::new(self.inner.log.clone(), self.inner.state.clone(), after)
    }

    /// Asks for a snapshot now, for instance before a backup; it is made in the background.
    ///
    /// # Errors
    /// [`ProposeError::Fatal`] when the group has stopped here.
    pub async fn snapshot_now(&self) -> Result<(), ProposeError> {
        let asked = self.inner.raft.trigger().snapshot().await;
        asked.map_err(|error| ProposeError::Fatal(error.to_string()))
    }

    /// Stops this peer's part and makes everything durable. Every clone of the handle is of no
    /// use afterwards; the store is free for another when the last one is dropped.
    pub async fn shutdown(&self) {
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "the group's task did not end well");
        }
        if let Err(fault) = self.inner.log.stop().await {
            tracing::warn!(%fault, "the log was not closed well");
        }
    }
}

impl Inner {
    /// Whether this peer has stepped down a short while ago.
    pub(crate) fn has_stepped_down(&self) -> bool {
        let until = *self.steps_down.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// The membership that is in force here; it takes effect when it is written, not committed.
    pub(crate) fn membership(&self) -> Arc<StoredMembership> {
        Arc::clone(&self.raft.metrics().borrow().membership_config)
    }
}

fn not_leader(to: &ForwardToLeader<u64, Member>) -> ProposeError {
    ProposeError::NotLeader { leader: to.leader_node.map(|node| node.peer) }
}
