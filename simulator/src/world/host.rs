//! A modelled host: what survives a crash of its daemon, and what does not.

use super::{
    queue::{Daemon, Gossip},
    watch::Wards,
};
use crate::scenario::Disk as DiskHealth;
use ed25519_dalek::SigningKey;
use protocol::{
    agent::{Agent, Input, Standing, shared::Verified},
    ledger::Ledger,
    name::{IncidentId, PeerId},
    record::PeerCard,
    report::SignedReport,
    time::{Now, Timestamp},
};
use std::{collections::BTreeSet, rc::Rc, sync::Arc, time::Duration};

/// When every story begins: 2026-01-01.
pub(crate) const EPOCH: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A host.
#[derive(Debug)]
pub(crate) struct Host {
    /// What the roster says of it; the generation is that of its latest start.
    pub(crate) card: PeerCard,
    /// Where it stands in the story.
    pub(crate) place: usize,
    /// Its cell, and where it stands in that.
    pub(crate) cell: usize,
    pub(crate) place_in_cell: usize,
    /// With what its reports are signed.
    pub(crate) key: SigningKey,
    /// Whether the machine runs.
    pub(crate) powered: bool,
    /// Whether the daemon is halted.
    pub(crate) paused: bool,
    /// How far its wall clock is ahead of the world's time, in milliseconds.
    pub(crate) clock_ahead_millis: i64,
    /// How much faster its clocks run than the world's, in parts of a million.
    pub(crate) drift_ppm: i64,
    /// Whether the programs that execute rungs die half-way.
    pub(crate) executor_fails: bool,
    /// How many times the daemon was started.
    pub(crate) boot: u64,
    /// How many times the machine was switched on.
    pub(crate) powered_on: u64,
    /// Whether it was stopped on purpose.
    pub(crate) stopped: bool,
    /// What is on its disk.
    pub(crate) disk: Disk,
    /// The daemon, while it runs.
    pub(crate) process: Option<Process>,
}

/// What survives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    /// Attempts whose start was written down.
    pub(crate) started: BTreeSet<(IncidentId, u32)>,
    /// The latest snapshot of the ledger.
    pub(crate) ledger: Arc<Ledger>,
    /// The one before it: what is found after a power failure that came before the latest one was
    /// really on the disk.
    pub(crate) ledger_before: Arc<Ledger>,
    /// How it does.
    pub(crate) health: DiskHealth,
    /// Up to where the Raft log is here, as a voter or learner.
    pub(crate) logged: u64,
}

/// What does not survive.
#[derive(Debug)]
pub(crate) struct Process {
    /// The very agent that the daemon drives.
    pub(crate) agent: Agent,
    /// When it was started.
    pub(crate) since: Duration,
    /// Which wake-up is the latest.
    pub(crate) wake: u64,
    /// When that is.
    pub(crate) wakes_at: Duration,
    /// What waits for it while it is halted.
    pub(crate) inbox: Vec<Input>,
    /// Whether the next entry of the log is on its way to it.
    pub(crate) feeding: bool,
    /// What it was told about the Raft group.
    pub(crate) standing: Standing,
    /// How many changes of the group's members it was told of.
    pub(crate) members_known: u64,
    /// Since when it leads without hearing of a majority.
    pub(crate) doubts_since: Option<Duration>,
    /// Its part of gossip.
    pub(crate) rumours: Rumours,
    /// Whether its rounds of gossip and of watching wait for its cell to be roused.
    pub(crate) dozes: bool,
    /// How many rounds of watching it has made.
    pub(crate) rounds: u64,
    /// Whom it watches.
    pub(crate) wards: Wards,
    /// Whether it was asked to stop.
    pub(crate) stopping: bool,
}

/// What a daemon knows by gossip, of each peer of its cell by its place there.
#[derive(Debug)]
pub(crate) struct Rumours {
    /// Its own heartbeat.
    pub(crate) count: u64,
    /// The others' latest heartbeats, when they came in, and what was made of them.
    pub(crate) heard: Vec<Option<Heard>>,
    /// Everybody's latest report.
    pub(crate) reports: Reports,
}

/// A report on its way: every daemon verifies what it hears, and here all live in one process, so
/// that once is enough.
#[derive(Debug)]
pub(crate) struct Told {
    /// What travels.
    pub(crate) signed: SignedReport,
    /// The same, if it is signed by the peer it speaks of.
    pub(crate) verified: Option<Verified>,
}

/// Everybody's latest report, by their places. Whoever sends them shares them.
pub(crate) type Reports = Rc<Vec<Option<Rc<Told>>>>;

impl Rumours {
    /// Nothing is known yet.
    pub(crate) fn new(peers: usize) -> Self {
        Self {
            count: 0,
            heard: std::iter::repeat_with(|| None).take(peers).collect(),
            reports: Rc::new(vec![None; peers]),
        }
    }

    /// What it is like after a while in which everybody was heard of all the time.
    pub(crate) fn sleep_through(&mut self, slept: Duration) {
        let beats = slept.as_secs();
        self.count += beats;
        for heard in self.heard.iter_mut().flatten() {
            heard.beat.1 += beats;
            heard.at += slept;
        }
    }
}

/// What is known of another's heartbeat.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Its start and its count.
    pub(crate) beat: (u64, u64),
    /// When that came in.
    pub(crate) at: Duration,
    /// What the agent was told.
    pub(crate) alive: Option<bool>,
}

impl Host {
    /// The peer's id.
    pub(crate) const fn id(&self) -> PeerId {
        self.card.id
    }

    /// The daemon that runs here now, or ran last.
    pub(crate) const fn daemon(&self) -> Daemon {
        Daemon { peer: self.card.id, boot: self.boot }
    }

    /// What its kernel drew at the latest boot.
    pub(crate) fn boot_id(&self) -> String {
        format!("{}-boot-{}", self.card.name, self.powered_on)
    }

    /// What its clocks say.
    pub(crate) fn now(&self, time: Duration) -> Now {
        let since = self.process.as_ref().map_or(time, |process| process.since);
        Now { wall: self.wall(time), mono: self.drifted(time.saturating_sub(since)) }
    }

    /// What its wall clock says.
    pub(crate) fn wall(&self, time: Duration) -> Timestamp {
        let true_time = EPOCH.plus(self.drifted(time)).millis();
        Timestamp::from_millis(true_time.saturating_add_signed(self.clock_ahead_millis))
    }

    /// What its clocks make of a span.
    fn drifted(&self, span: Duration) -> Duration {
        let parts = u32::try_from(self.drift_ppm.unsigned_abs()).unwrap_or(0);
        let wrong = span * parts / 1_000_000;
        if self.drift_ppm < 0 { span.saturating_sub(wrong) } else { span + wrong }
    }

    /// Whether its disk takes what is written.
    pub(crate) fn can_write(&self) -> bool {
        self.disk.health != DiskHealth::Full
    }

    /// What its agent takes the log's time to be.
    pub(crate) fn log_now(&self, time: Duration) -> Timestamp {
        let agent = self.process.as_ref().map(|process| &process.agent);
        agent.map_or_else(|| self.wall(time), |agent| agent.log_now(self.now(time)))
    }

    /// Whether the daemon runs and is not halted.
    pub(crate) const fn is_active(&self) -> bool {
        self.process.is_some() && !self.paused
    }

    /// What it tells others by gossip.
    pub(crate) fn gossip(&self, answer: bool) -> Option<Gossip> {
        let rumours = &self.process.as_ref()?.rumours;
        let beat = |heard: &Option<Heard>| heard.as_ref().map_or((0, 0), |heard| heard.beat);
        let mut beats: Vec<(u64, u64)> = rumours.heard.iter().map(beat).collect();
        beats[self.place_in_cell] = (self.boot, rumours.count);
        Some(Gossip { beats, reports: Rc::clone(&rumours.reports), answer })
    }
}
