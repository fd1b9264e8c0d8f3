//! The log as openraft wants it: orders go to the [writer](crate::store::writer), reads to sled on
//! blocking threads.

use crate::{
    aside::aside,
    group::{Group, LogEntry, LogId, StorageError, StorageIoError, Vote},
    store::{
        fault::{Fault, guarded},
        record::Meta,
        shelf::Shelf,
        writer::{Done, Order, Orders, SharedExtent},
    },
};
use openraft::{
    AnyError, LogState, OptionalSend, RaftLogReader,
    storage::{LogFlushed, RaftLogStorage},
};
use protocol::codec;
use std::{
    fmt::Debug,
    ops::{Bound, Range, RangeBounds},
    sync::Arc,
};
use tokio::sync::oneshot;

/// Bytes of entries that are read for one call to another peer.
const BATCH_BYTES: usize = 1 << 20;

/// The log; clones share it, and only openraft's core writes.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    shelf: Arc<Shelf>,
    extent: SharedExtent,
    orders: Orders,
}

impl Log {
    pub(crate) const fn new(shelf: Arc<Shelf>, extent: SharedExtent, orders: Orders) -> Self {
        Self { shelf, extent, orders }
    }

    /// Reads entries from `range` in order, until about `bytes_max` were read.
    async fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogEntry>, Fault> {
        let shelf = Arc::clone(&self.shelf);
        blocking("reading the log", move || shelf.entries(range, bytes_max)).await
    }

    /// As [`read`](Self::read), for a subscriber, whom the log does not wait for: nothing when the
    /// range's beginning was removed, even while it was being read.
    pub(crate) async fn read_kept(
        &self,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        let start = range.start;
        let read = self.read(range, bytes_max).await;
        if self.extent.get().purged.is_some_and(|purged| start <= purged.index) {
            return Ok(Vec::new());
        }
        read
    }

    /// The last entry, durable or about to be.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.extent.get().last
    }

    /// Makes everything durable and ends the writer.
    pub(crate) async fn stop(&self) -> Result<(), Fault> {
        self.order(|done| Order::Stop { done }).await
    }

    async fn order(&self, order: impl FnOnce(Done) -> Order) -> Result<(), Fault> {
        let (done, result) = oneshot::channel();
        if !self.orders.give(order(done)) {
            return Err(Fault::GivenUp("the log's writer has ended".to_owned()));
        }
        result.await.unwrap_or_else(|error| Err(Fault::GivenUp(error.to_string())))
    }

    async fn meta<T>(&self, meta: Meta) -> Result<Option<T>, Fault>
    where
        T: serde::de::DeserializeOwned + Send + 'static,
    {
        let shelf = Arc::clone(&self.shelf);
        blocking("reading the store", move || shelf.meta(meta)).await
    }
}

/// Runs what reads or writes files away from the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    aside(move || guarded(doing, work))
        .await
        .unwrap_or_else(|error| Err(Fault::GivenUp(format!("{doing}: {error}"))))
}

fn any(fault: &Fault) -> AnyError {
    AnyError::new(fault)
}

impl RaftLogReader<Group> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, StorageError> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        if start >= end {
            return Ok(Vec::new());
        }
        let read = self.read(start..end, usize::MAX).await;
        read.map_err(|fault| StorageIoError::read_logs(any(&fault)).into())
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<LogEntry>, StorageError> {
        if start >= end {
            return Ok(Vec::new());
        }
        let read = self.read(start..end, BATCH_BYTES).await;
        read.map_err(|fault| StorageIoError::read_logs(any(&fault)).into())
    }
}

impl RaftLogStorage<Group> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Group>, StorageError> {
        let extent = self.extent.get();
        Ok(LogState { last_purged_log_id: extent.purged, last_log_id: extent.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        let saved = self.order(|done| Order::Vote { vote, done }).await;
        saved.map_err(|fault| StorageIoError::write_vote(any(&fault)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let read = self.meta(Meta::Vote).await;
        read.map_err(|fault| StorageIoError::read_vote(any(&fault)).into())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let saved = self.order(|done| Order::Committed { committed, done }).await;
        saved.map_err(|fault| StorageIoError::write(any(&fault)).into())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let read = self.meta::<Option<LogId>>(Meta::Committed).await;
        read.map(Option::flatten).map_err(|fault| StorageIoError::read(any(&fault)).into())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        flushed: LogFlushed<Group>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries =
            entries.into_iter().map(|entry| (entry.log_id, codec::encode(&entry))).collect();
        let written = self.order(|readable| Order::Append { entries, readable, flushed }).await;
        written.map_err(|fault| StorageIoError::write_logs(any(&fault)).into())
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        let since = since.index;
        let done = self.order(|done| Order::Truncate { since, done }).await;
        done.map_err(|fault| StorageIoError::write_logs(any(&fault)).into())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        let done = self.order(|done| Order::Purge { upto, done }).await;
        done.map_err(|fault| StorageIoError::write_logs(any(&fault)).into())
    }
}
