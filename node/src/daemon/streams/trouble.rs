//! What keeps streams from being read, as the leader sees it, for those who ask.

use crate::daemon::Daemon;
use protocol::{name::Name, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What keeps a stream, or one of its partitions, from being read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Which stream.
    pub(crate) stream: Name,
    /// Which partition; nothing where it is all of them.
    pub(crate) partition: Option<u32>,
    /// Since when.
    pub(crate) since: Timestamp,
    /// What it is.
    pub(crate) why: String,
}

/// What is kept of one: since when, and what it is.
type Kept = BTreeMap<(Name, Option<u32>), (Timestamp, String)>;

/// All of them. What is over is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<Kept>);

impl Troubles {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something cannot be read; the same again is not logged again.
    pub(super) fn note(&self, daemon: &Daemon, stream: &Name, partition: Option<u32>, why: String) {
        let now = daemon.log_now();
        let mut kept = self.kept();
        let known = kept.get(&(stream.clone(), partition));
        if known.is_none_or(|(_, known)| *known != why) {
            tracing::warn!(%stream, ?partition, %why, "a stream is not read; it is tried again");
        }
        let since = known.map_or(now, |(since, _)| *since);
        kept.insert((stream.clone(), partition), (since, why));
    }

    /// It is read again.
    pub(super) fn over(&self, stream: &Name, partition: Option<u32>) {
        if self.kept().remove(&(stream.clone(), partition)).is_some() {
            tracing::info!(%stream, ?partition, "a stream is read again");
        }
    }

    /// This peer has nothing to do with the stream any more.
    pub(super) fn forget(&self, stream: &Name) {
        self.kept().retain(|(of, _), _| of != stream);
    }

    /// All that there are.
    pub(in crate::daemon) fn all(&self) -> Vec<Told> {
        let told = |((stream, partition), (since, why)): (&(Name, Option<u32>), &(_, String))| {
            Told { stream: stream.clone(), partition: *partition, since: *since, why: why.clone() }
        };
        self.kept().iter().map(told).collect()
    }
}
