//! The committed log as a subscription.
//!
//! A subscriber pulls: it is told that more was applied and then reads the log itself. So nobody
//! waits for a slow one, nothing is queued for it, and one that is so slow that the log no longer
//! reaches back to it takes a snapshot of the ledger and goes on from there.

use crate::{
    aside::aside,
    group::{LogEntry, position},
    machine::State,
    store::log::Log,
};
use openraft::EntryPayload;
use protocol::{
    codec,
    record::{Entry, Position},
};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::watch;

/// Bytes of entries that a subscriber reads ahead.
const AHEAD_BYTES: usize = 256 << 10;
/// Entries that a subscriber reads ahead.
const AHEAD_ENTRIES: u64 = 256;

/// What a subscriber is given.
#[expect(clippy::large_enum_variant, reason = "the large one is what is given nearly always")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    /// Begin anew with this ledger: what lies between is no longer in the log.
    Snapshot {
        /// The [`Ledger`](protocol::ledger::Ledger), encoded by [`codec`].
        ledger: Vec<u8>,
        /// The place up to which it has applied.
        position: Position,
    },
    /// The next entry of the log.
    Committed {
        /// Its place.
        position: Position,
        /// The record; none if it was one of Raft's own entries, which the ledger skips.
        entry: Option<Entry>,
    },
}

/// A subscription to the committed log: every entry once, in order.
#[derive(Debug)]
pub struct Feed {
    log: Log,
    state: watch::Receiver<State>,
    /// The index of the last entry that was given out or read ahead.
    reached: u64,
    ahead: VecDeque<LogEntry>,
}

impl Feed {
    pub(crate) const fn new(log: Log, state: watch::Receiver<State>, after: u64) -> Self {
        Self { log, state, reached: after, ahead: VecDeque::new() }
    }

    /// The next item; waits until there is one. `None` when the group has stopped here, or the log
    /// could not be read. May be cancelled without losing anything.
    pub async fn next(&mut self) -> Option<FeedItem> {
        loop {
            if let Some(entry) = self.ahead.pop_front() {
                return Some(committed(entry));
            }
            let reached = self.reached;
            let more = |state: &State| state.applied.is_some_and(|applied| applied.index > reached);
            let applied = match self.state.wait_for(more).await {
                Ok(state) => state.applied?.index,
                Err(_stopped) => return None,
            };
            let first = self.reached + 1;
            let end = applied.min(self.reached.saturating_add(AHEAD_ENTRIES)) + 1;
            let entries = match self.log.read_kept(first..end, AHEAD_BYTES).await {
                Ok(entries) => entries,
                Err(fault) => {
                    tracing::error!(%fault, "a subscriber could not read the log");
                    return None;
                }
            };
            match entries.first().map(|entry| entry.log_id.index) {
                Some(index) if index == first => {
                    self.reached = entries.last().map_or(reached, |entry| entry.log_id.index);
                    self.ahead = entries.into();
                }
                Some(_) | None => return self.snapshot().await,
            }
        }
    }

    async fn snapshot(&mut self) -> Option<FeedItem> {
        let state = self.state.borrow().clone();
        let position = position(&state.applied?);
        let ledger = Arc::clone(&state.ledger);
        let encoded = aside(move || codec::encode(ledger.as_ref())).await;
        let ledger = encoded.ok()?;
        self.reached = position.index;
        Some(FeedItem::Snapshot { ledger, position })
    }
}

fn committed(entry: LogEntry) -> FeedItem {
    let position = position(&entry.log_id);
    let entry = match entry.payload {
        EntryPayload::Normal(entry) => Some(entry),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    };
    FeedItem::Committed { position, entry }
}
