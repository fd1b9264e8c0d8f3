//! How the group behaves: its times and how much log it keeps.
//!
//! A voter waits `election_max`, the leader's lease, *plus* a random time between `election_min` and
//! `election_max` before it stands for election: with the defaults, 0.9 to 1.2 s after it has heard
//! the leader for the last time.

use crate::disk::Disk;
use std::{sync::Arc, time::Duration};

/// The settings of a peer's part in the group; the same on every peer.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often the leader speaks when there is nothing to say. Default 250 ms. Also the time
    /// limit of one attempt to replicate; an answer that comes later still counts.
    pub heartbeat: Duration,
    /// The shortest random wait before an election. Default 300 ms; longer than `heartbeat`.
    pub election_min: Duration,
    /// The longest random wait before an election, and the leader's lease, which is waited for
    /// before the random time begins. Default 600 ms: two heartbeats may be lost, most times three,
    /// and a round trip of 350 ms is no silence.
    pub election_max: Duration,
    /// How long [`propose`](crate::Consensus::propose) waits for the commit before it says that
    /// the entry's fate is not known. Default 5 s.
    pub propose_timeout: Duration,
    /// A snapshot is made after so many entries. Default 5,000.
    pub snapshot_every: u64,
    /// So many entries that are in the snapshot stay in the log all the same, so that subscribers
    /// and members that were away for a moment need no snapshot. Default 1,000.
    pub keep: u64,
    /// A member that lags by more entries is sent a snapshot. Default 5,000; not less than
    /// `snapshot_every`.
    pub lag_max: u64,
    /// How long one piece of a snapshot may take on its way, its installation included.
    /// Default 10 s.
    pub snapshot_timeout: Duration,
    /// Bytes of a snapshot that travel in one call. Default 1 MiB.
    pub snapshot_chunk_bytes: u64,
    /// What stands between the log and the host's disk. Default nothing.
    pub disk: Option<Arc<dyn Disk>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(250),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
            propose_timeout: Duration::from_secs(5),
            snapshot_every: 5_000,
            keep: 1_000,
            lag_max: 5_000,
            snapshot_timeout: Duration::from_secs(10),
            snapshot_chunk_bytes: 1 << 20,
            disk: None,
        }
    }
}

impl Options {
    /// After so much silence of the leader a voter may stand for election; a follower that has
    /// heard nothing for so long can no longer say that there is a quorum.
    pub fn silence_max(&self) -> Duration {
        self.election_max.saturating_add(self.election_min)
    }

    pub(crate) fn raft_config(&self) -> Result<openraft::Config, String> {
        openraft::Config {
            cluster_name: "hearten".to_owned(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            install_snapshot_timeout: millis(self.snapshot_timeout),
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_every),
            replication_lag_threshold: self.lag_max,
            snapshot_max_chunk_size: self.snapshot_chunk_bytes,
            max_in_snapshot_log_to_keep: self.keep,
            // Elections are asked for by `election`, which says why.
            enable_elect: false,
            ..openraft::Config::default()
        }
        .validate()
        .map_err(|error| error.to_string())
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
