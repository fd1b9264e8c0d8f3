//! The replicated state: the ledger, how far it has applied, and who is a member.
//!
//! It lies in memory only; a restarted peer takes the last snapshot and applies what the log holds
//! beyond it. Readers share it: the ledger is behind an [`Arc`], and it is copied only when
//! somebody still holds the one from before while the next entry is applied.

use crate::{
    group::{
        Answer, Group, LogEntry, LogId, SnapshotMeta, StorageError, StorageIoError,
        StoredMembership, position,
    },
    store::{
        fault::Fault,
        log::blocking,
        snapshot::{Snapshots, Stored},
    },
};
use openraft::{
    AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, storage::RaftStateMachine,
};
use protocol::{codec, ledger::Ledger};
use std::{io::Cursor, sync::Arc};
use tokio::sync::watch;

/// The state at one place of the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

/// Applies entries, makes snapshots and takes them in.
#[derive(Debug)]
pub(crate) struct Machine {
    state: watch::Sender<State>,
    snapshots: Arc<Snapshots>,
}

impl Machine {
    /// Begins where the snapshot ends, or at nothing.
    pub(crate) fn new(snapshots: Arc<Snapshots>, stored: Option<&Stored>) -> Result<Self, Fault> {
        let state = match stored {
            Some(stored) => restore(&stored.meta, &stored.data)?,
            None => State::default(),
        };
        Ok(Self { state: watch::Sender::new(state), snapshots })
    }

    /// Lets somebody follow the state.
    pub(crate) fn follow(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }
}

fn restore(meta: &SnapshotMeta, data: &[u8]) -> Result<State, Fault> {
    let ledger: Ledger = codec::decode(data)
        .map_err(|error| Fault::damage(format!("reading the snapshot's ledger: {error}")))?;
    Ok(State {
        ledger: Arc::new(ledger),
        applied: meta.last_log_id,
        membership: meta.last_membership.clone(),
    })
}

fn apply(state: &mut State, entry: LogEntry) -> Answer {
    let at = position(&entry.log_id);
    let ledger = Arc::make_mut(&mut state.ledger);
    let answer = match entry.payload {
        EntryPayload::Blank => {
            ledger.skip(at);
            Answer(None)
        }
        EntryPayload::Normal(entry) => Answer(Some(ledger.apply(at, &entry))),
        EntryPayload::Membership(membership) => {
            ledger.skip(at);
            state.membership = StoredMembership::new(Some(entry.log_id), membership);
            Answer(None)
        }
    };
    state.applied = Some(entry.log_id);
    answer
}

impl RaftStateMachine<Group> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let state = self.state.borrow();
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answer>, StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let mut answers = Vec::with_capacity(entries.len());
        self.state.send_modify(|state| {
            answers.extend(entries.into_iter().map(|entry| apply(state, entry)));
        });
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { state: self.state.borrow().clone(), snapshots: Arc::clone(&self.snapshots) }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let snapshots = Arc::clone(&self.snapshots);
        let kept = meta.clone();
        let state = blocking("installing a snapshot", move || {
            let data = snapshot.into_inner();
            let state = restore(&kept, &data)?;
            snapshots.keep(&kept, &data)?;
            Ok(state)
        })
        .await
        .map_err(|fault| {
            StorageIoError::write_snapshot(Some(meta.signature()), AnyError::new(&fault))
        })?;
        self.state.send_replace(state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Group>>, StorageError> {
        let snapshots = Arc::clone(&self.snapshots);
        let stored = blocking("reading the snapshot", move || snapshots.load())
            .await
            .map_err(|fault| StorageIoError::read_snapshot(None, AnyError::new(&fault)))?;
        Ok(stored.map(|stored| Snapshot {
            meta: stored.meta,
            snapshot: Box::new(Cursor::new(stored.data)),
        }))
    }
}

/// Writes the state as it was when it was asked for, while the machine goes on.
#[derive(Debug)]
pub(crate) struct Builder {
    state: State,
    snapshots: Arc<Snapshots>,
}

impl RaftSnapshotBuilder<Group> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Group>, StorageError> {
        let state = self.state.clone();
        let id = state.applied.map_or_else(|| "0-0".to_owned(), |id| format!("{id}"));
        let meta = SnapshotMeta {
            last_log_id: state.applied,
            last_membership: state.membership,
            // Two snapshots of the same place may differ in bytes, and their pieces must not mix.
            snapshot_id: format!("{id}-{:016x}", rand::random::<u64>()),
        };
        let snapshots = Arc::clone(&self.snapshots);
        let ledger = state.ledger;
        let kept = meta.clone();
        let data = blocking("building a snapshot", move || {
            let data = codec::encode(ledger.as_ref());
            snapshots.keep(&kept, &data)?;
            Ok(data)
        })
        .await
        .map_err(|fault| {
            StorageIoError::write_snapshot(Some(meta.signature()), AnyError::new(&fault))
        })?;
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(data)) })
    }
}
