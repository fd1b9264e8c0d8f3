//! Modelled watching: each daemon knocks at and pings its wards, and tells its agent when one of
//! them falls silent or is heard again.

use super::{World, queue::Daemon};
use protocol::{agent::Input, name::PeerId, record::Seen};
use std::collections::BTreeMap;

/// How many rounds in a row a ward may be missed before that is told, at the least.
const PATIENCE: u32 = 3;

/// The daemon waits for as many as are missed by chance no more than once in so many times.
const MISSED_BY_CHANCE: f64 = 0.01;

/// How many rounds in a row a ward may be missed where so many of a hundred datagrams are lost.
fn patience(loss_percent: u64) -> u32 {
    let lost = f64::from(u32::try_from(loss_percent.min(99)).unwrap_or(99)) / 100.0;
    let missed = 1.0 - (1.0 - lost) * (1.0 - lost);
    let mut chance = missed.powi(3);
    let mut rounds = PATIENCE;
    while chance > MISSED_BY_CHANCE && rounds < 12 {
        chance *= missed;
        rounds += 1;
    }
    rounds
}

/// What a daemon knows of its wards: how often each was missed in a row, and what was told.
pub(crate) type Wards = BTreeMap<PeerId, (u32, Seen)>;

impl World<'_> {
    /// A daemon is told whom to watch.
    pub(super) fn set_wards(&mut self, daemon: Daemon, peers: impl IntoIterator<Item = PeerId>) {
        let host = self.hosts.get_mut(&daemon.peer);
        let Some(process) = host.and_then(|host| host.process.as_mut()) else { return };
        let mut before = std::mem::take(&mut process.wards);
        let kept = |peer: PeerId| (peer, before.remove(&peer).unwrap_or((0, Seen::Reached)));
        process.wards = peers.into_iter().map(kept).collect();
    }

    /// One round of pings and knocks.
    pub(super) fn watch_round(&mut self, daemon: Daemon) {
        let Some(process) = &self.hosts[&daemon.peer].process else { return };
        let mut wards: Vec<_> = process.wards.iter().map(|(peer, ward)| (*peer, *ward)).collect();
        let patience = patience(self.network.weather.loss_percent);
        let mut told = Vec::new();
        for (peer, ward) in &mut wards {
            let (peer, (missed, said)) = (*peer, *ward);
            let seen = self.knock_and_ping(daemon.peer, peer);
            let missed = if seen == Seen::NoAnswer { missed + 1 } else { 0 };
            let bears = seen == Seen::NoAnswer && missed < patience;
            let says = if bears { said } else { seen };
            if says != said {
                told.push((peer, says));
            }
            *ward = (missed, says);
        }
        let host = self.hosts.get_mut(&daemon.peer);
        if let Some(process) = host.and_then(|host| host.process.as_mut()) {
            for (place, (_, after)) in process.wards.values_mut().zip(wards) {
                *place = after;
            }
        }
        for (peer, seen) in told {
            self.give(daemon, Input::Watched { peer, seen });
        }
    }

    fn knock_and_ping(&mut self, from: PeerId, peer: PeerId) -> Seen {
        let arrives = self.network.both_ways(from, peer)
            && !self.network.lost(&mut self.random)
            && !self.network.lost(&mut self.random);
        let host = &self.hosts[&peer];
        match (&host.process, arrives && host.powered) {
            (None, true) => Seen::Refused,
            (Some(_), true) if !host.paused => Seen::Reached,
            (Some(_) | None, _) => Seen::NoAnswer,
        }
    }
}
