//! The network between the hosts: who reaches whom, how long it takes, what is lost; and the
//! direct probes that travel over it.

use super::{
    World,
    queue::{Daemon, Event},
};
use crate::{random::Random, scenario::Weather};
use protocol::{agent::Input, name::PeerId, record::Seen};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long a probe waits for an answer; three datagrams are sent meanwhile.
const PROBE_WITHIN: Duration = Duration::from_millis(600);

/// How often a datagram that asks for an answer is sent.
const PROBE_TRIES: u32 = 3;

/// What is sent again after it was lost, is sent again so much later.
const SENT_AGAIN: Duration = Duration::from_millis(150);

/// The network.
#[derive(Debug)]
pub(crate) struct Network {
    /// The part that each peer is in, while the network has fallen apart.
    pub(crate) parts: Option<BTreeMap<PeerId, usize>>,
    /// From whom nothing gets to whom.
    pub(crate) cuts: BTreeSet<(PeerId, PeerId)>,
    /// Whom nothing gets to or away from.
    pub(crate) isolated: BTreeSet<PeerId>,
    /// How messages fare.
    pub(crate) weather: Weather,
}

impl Network {
    /// Whether anything gets from one host to another.
    pub(crate) fn open(&self, from: PeerId, to: PeerId) -> bool {
        let together = self.parts.as_ref().is_none_or(|parts| parts.get(&from) == parts.get(&to));
        let cut = self.cuts.contains(&(from, to))
            || self.isolated.contains(&from)
            || self.isolated.contains(&to);
        from == to || (together && !cut)
    }

    /// Whether everybody reaches everybody and nothing is ever lost.
    pub(crate) fn is_whole_and_lossless(&self) -> bool {
        self.parts.is_none()
            && self.cuts.is_empty()
            && self.isolated.is_empty()
            && self.weather.loss_percent == 0
    }

    /// Whether two hosts can talk with each other.
    pub(crate) fn both_ways(&self, one: PeerId, other: PeerId) -> bool {
        self.open(one, other) && self.open(other, one)
    }

    /// How long a datagram takes.
    pub(crate) fn delay(&self, random: &mut Random) -> Duration {
        random.between(self.weather.delay_min, self.weather.delay_max)
    }

    /// Whether a datagram is lost.
    pub(crate) const fn lost(&self, random: &mut Random) -> bool {
        random.percent(self.weather.loss_percent)
    }

    /// Whether a message arrives twice.
    pub(crate) const fn doubled(&self, random: &mut Random) -> bool {
        self.weather.duplicate_percent > 0 && random.percent(self.weather.duplicate_percent)
    }

    /// How long something takes that is sent again until it arrives.
    pub(crate) fn reliable_delay(&self, random: &mut Random) -> Duration {
        let mut delay = self.delay(random);
        for _ in 0..20 {
            if !self.lost(random) {
                break;
            }
            delay += SENT_AGAIN;
        }
        delay
    }
}

/// For whom a probe is made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// For the prober itself.
    Own,
    /// For a leader that asked for it.
    Witness(Daemon),
}

impl World<'_> {
    /// A daemon probes a peer: some of its datagrams arrive, or none does.
    pub(super) fn send_probe(&mut self, from: Daemon, peer: PeerId, purpose: Purpose) {
        let arrives = self.network.open(from.peer, peer) && self.one_of_several_arrives();
        let (after, event) = if arrives {
            let delay = self.network.delay(&mut self.random);
            (delay, Event::ProbeArrives { from, peer, purpose })
        } else {
            (PROBE_WITHIN, Event::ProbeEnds { from, peer, purpose, seen: Seen::NoAnswer })
        };
        self.after(after, event);
    }

    fn one_of_several_arrives(&mut self) -> bool {
        (0..PROBE_TRIES).any(|_| !self.network.lost(&mut self.random))
    }

    /// The target answers, its kernel does in its place, or nothing comes back.
    pub(super) fn probe_arrives(&mut self, from: Daemon, peer: PeerId, purpose: Purpose) {
        let host = &self.hosts[&peer];
        let said = if !host.powered {
            None
        } else if host.process.is_none() {
            Some(Seen::Refused)
        } else {
            (!host.paused).then_some(Seen::Reached)
        };
        let returns = self.network.open(peer, from.peer) && self.one_of_several_arrives();
        let (after, seen) = match said.filter(|_| returns) {
            Some(seen) => (self.network.delay(&mut self.random), seen),
            None => (PROBE_WITHIN, Seen::NoAnswer),
        };
        self.after(after, Event::ProbeEnds { from, peer, purpose, seen });
    }

    pub(super) fn probe_ends(&mut self, from: Daemon, peer: PeerId, purpose: Purpose, seen: Seen) {
        match purpose {
            Purpose::Own => self.give(from, Input::Probed { peer, seen }),
            Purpose::Witness(asker) => {
                if self.is_up(from) && self.network.open(from.peer, asker.peer) {
                    let delay = self.network.reliable_delay(&mut self.random);
                    let testimony = Input::Testified { witness: from.peer, peer, seen: Some(seen) };
                    self.after(delay, Event::Give(asker, Box::new(testimony)));
                }
            }
        }
    }

    /// A leader asks a witness; it may never hear from it.
    pub(super) fn ask_witness(&mut self, asker: Daemon, witness: PeerId, peer: PeerId) {
        if self.network.both_ways(asker.peer, witness) {
            let delay = self.network.reliable_delay(&mut self.random);
            self.after(delay, Event::WitnessAsked { asker, witness, peer });
        } else if self.random.percent(50) {
            let unreachable = Input::Testified { witness, peer, seen: None };
            self.after(Duration::from_millis(700), Event::Give(asker, Box::new(unreachable)));
        }
    }

    pub(super) fn witness_asked(&mut self, asker: Daemon, witness: PeerId, peer: PeerId) {
        let host = &self.hosts[&witness];
        if host.process.is_some() && !host.paused {
            self.send_probe(host.daemon(), peer, Purpose::Witness(asker));
        }
    }
}
