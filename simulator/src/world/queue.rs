//! What will happen and when: events on virtual time, in an order that is always the same.

use super::{
    host::{Reports, Told},
    network::Purpose,
};
use crate::scenario::Deed;
use protocol::{
    agent::{Forwarding, Input, Proposal},
    ledger,
    name::{IncidentId, Name, PeerId},
    record::Entry,
    stream::Batch,
};
use std::{collections::BTreeMap, rc::Rc, time::Duration};

/// A daemon: a host and which start of it. What is meant for an earlier start is lost with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Daemon {
    /// On which host.
    pub(crate) peer: PeerId,
    /// Which start.
    pub(crate) boot: u64,
}

/// What one gossiping peer tells another.
#[derive(Debug, Clone)]
pub(crate) struct Gossip {
    /// Each peer's start and heartbeat by its place; zeroes where nothing is known.
    pub(crate) beats: Vec<(u64, u64)>,
    /// Each peer's latest report.
    pub(crate) reports: Reports,
    /// Whether this answers the other's gossip.
    pub(crate) answer: bool,
}

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A daemon is told something.
    Give(Daemon, Box<Input>),
    /// A daemon wakes, unless it has set itself another time since.
    Wake(Daemon, u64),
    /// A start is durable from now on; the daemon hears of it a little later.
    StartOnDisk(Daemon, (IncidentId, u32)),
    /// An execution comes to its end.
    ExecutionEnds((IncidentId, u32)),
    /// Evidence is there.
    EvidenceReady(Daemon, IncidentId),
    /// A probe arrives at its target.
    ProbeArrives {
        /// Who probes.
        from: Daemon,
        /// Who is probed.
        peer: PeerId,
        /// For whom.
        purpose: Purpose,
    },
    /// A probe is over.
    ProbeEnds {
        /// Who probed.
        from: Daemon,
        /// Who was probed.
        peer: PeerId,
        /// For whom.
        purpose: Purpose,
        /// What it saw.
        seen: protocol::record::Seen,
    },
    /// A request to probe arrives at a witness.
    WitnessAsked {
        /// Who asks.
        asker: Daemon,
        /// The witness.
        witness: PeerId,
        /// Whom it shall probe.
        peer: PeerId,
    },
    /// A fact arrives at the peer that is believed to lead.
    ForwardArrives {
        /// Who is to be answered; nobody, where it is sent for the second time.
        from: Option<Daemon>,
        /// Whose fact.
        by: PeerId,
        /// Where it arrives.
        to: PeerId,
        /// Which fact.
        forwarding: Forwarding,
        /// The entry.
        entry: Box<Entry>,
    },
    /// What an agent wants appended gets to the Raft group of its host.
    Proposed(Daemon, Box<(Proposal, Entry)>),
    /// The first entry that waits for a majority may have it.
    Commit,
    /// A replica may receive its next entry.
    Feed(Daemon),
    /// The Raft group looks at itself.
    RaftTick,
    /// A daemon gossips.
    GossipRound(Daemon),
    /// Gossip arrives.
    GossipArrives(PeerId, PeerId, Rc<Gossip>),
    /// A report that was sent to the leader directly arrives.
    ReportArrives(PeerId, Rc<Told>),
    /// A notice arrives at its channel.
    NoticeArrives(Daemon, IncidentId, u32),
    /// Something of the story happens.
    Deed(Box<Deed>),
    /// A job pings.
    JobPings(Box<super::jobs::Turn>),
    /// A message comes to a stream's topic, unless that has begun anew since.
    MessageComes(Name, u32),
    /// Whoever leads looks for messages.
    StreamIsLookedAt(Name),
    /// What a daemon read is brought to the log.
    StreamWasRead(Daemon, Vec<Batch>),
    /// Whoever tells of alerts looks whether the log has heard.
    AlertTold(Box<super::alerts::Telling>),
    /// A surgeon does something.
    Surgeon(Box<super::surgeons::Turn>),
    /// A daemon brings a surgeon's fact to the leader, for the first time or again.
    FactOfSurgeon(Daemon, Box<super::surgeons::Fact>),
    /// It arrives at a host.
    FactArrives(PeerId, Box<super::surgeons::Fact>),
    /// What the ledger made of it arrives at the daemon.
    FactAnswered(Box<super::surgeons::Fact>, Box<ledger::Outcome>),
    /// A fault by chance ends.
    Undo(Box<Deed>),
    /// The next fault by chance.
    Chaos,
    /// A daemon goes on after a pause.
    Resume(Daemon),
    /// A daemon that was asked to stop ends, whatever it got done.
    StopDeadline(Daemon),
    /// The faults are over.
    HealAll,
}

/// What may be different after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Touch {
    /// Only an agent: what it then does to the Raft group happens later, as an event of its own.
    Agent,
    /// The log, or what a host has on its disk.
    Log,
    /// Hosts or the network.
    Hosts,
}

impl Event {
    /// What may be different after this.
    pub(super) const fn touches(&self) -> Touch {
        match self {
            Self::Give(..)
            | Self::Wake(..)
            | Self::EvidenceReady(..)
            | Self::ProbeArrives { .. }
            | Self::ProbeEnds { .. }
            | Self::WitnessAsked { .. }
            | Self::ForwardArrives { .. }
            | Self::Proposed(..)
            | Self::RaftTick
            | Self::GossipRound(_)
            | Self::GossipArrives(..)
            | Self::ReportArrives(..)
            | Self::MessageComes(..)
            | Self::StreamIsLookedAt(_)
            | Self::NoticeArrives(..) => Touch::Agent,
            Self::Commit
            | Self::Feed(_)
            | Self::JobPings(_)
            | Self::StreamWasRead(..)
            | Self::StartOnDisk(..) => Touch::Log,
            Self::ExecutionEnds(_)
            | Self::AlertTold(_)
            | Self::Surgeon(_)
            | Self::FactOfSurgeon(..)
            | Self::FactArrives(..)
            | Self::FactAnswered(..)
            | Self::Deed(_)
            | Self::Undo(_)
            | Self::Chaos
            | Self::Resume(_)
            | Self::StopDeadline(_)
            | Self::HealAll => Touch::Hosts,
        }
    }
}

/// What will happen and when.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: BTreeMap<(Duration, u64), Event>,
    next: u64,
}

impl Queue {
    /// Lets something happen at a time; of two at the same time, the one that was said first.
    pub(crate) fn push(&mut self, at: Duration, event: Event) {
        self.events.insert((at, self.next), event);
        self.next += 1;
    }

    /// How much was ever to happen.
    #[cfg(test)]
    pub(crate) const fn pushed(&self) -> u64 {
        self.next
    }

    /// What happens next, if it happens by then.
    pub(crate) fn pop_until(&mut self, end: Duration) -> Option<(Duration, Event)> {
        let next = self.events.first_entry().filter(|next| next.key().0 <= end)?;
        let ((at, _), event) = next.remove_entry();
        Some((at, event))
    }
}
