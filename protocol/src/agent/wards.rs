//! Whom this peer watches: a few others, its wards, so that everybody is watched by a few and
//! nobody by all.
//!
//! Each peer is watched by a few others (`witnesses` of `[mesh]`), of other zones first, spread by
//! hashing: the work of one host does not grow with the mesh. A watcher that misses its ward tells
//! the leader, which looks for itself. The same peers are asked as witnesses first.

use super::{Agent, Output};
use crate::{
    name::PeerId,
    record::{Because, Record, Seen},
    rendezvous,
    time::Now,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Whoever watches so many and hears none of them is rather itself cut off.
const DOUBTFUL: usize = 3;

/// How often it is worked out anew whom to watch, at the most: it takes a look at every pair.
const CHOOSE_EVERY: Duration = Duration::from_millis(200);

/// How often the leader is told that a ward is still missed. It forgets after three times that.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What was last seen of a ward that does not answer.
#[derive(Debug, Clone, Copy)]
struct Missed {
    seen: Seen,
    tell_at: Duration,
}

/// This peer's wards.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wards {
    watched: BTreeSet<PeerId>,
    missed: BTreeMap<PeerId, Missed>,
    choose_at: Duration,
    stale: bool,
}

impl Wards {
    /// Somebody has come or gone: it may be for others to watch.
    pub(super) const fn changed(&mut self) {
        self.stale = true;
    }

    /// What the watch of a ward says now.
    pub(super) fn saw(&mut self, peer: PeerId, seen: Seen, mono: Duration) {
        if seen.is_silence() && self.watched.contains(&peer) {
            self.missed.insert(peer, Missed { seen, tell_at: mono });
        } else {
            self.missed.remove(&peer);
        }
    }

    /// Those that are not heard at the moment.
    pub(super) fn missed(&self) -> impl Iterator<Item = (PeerId, Seen)> {
        self.missed.iter().map(|(peer, missed)| (*peer, missed.seen))
    }

    /// Whether this peer hears none of three or more: it is then rather itself that is cut off.
    pub(super) fn hears_none(&self) -> bool {
        self.watched.len() >= DOUBTFUL && self.missed.len() == self.watched.len()
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let choose = self.stale.then_some(self.choose_at);
        self.missed.values().map(|missed| missed.tell_at).chain(choose).min()
    }
}

/// Whether somebody may have come or gone by this.
pub(super) const fn is_touched_by(record: &Record) -> bool {
    matches!(
        record,
        Record::Founded(_)
            | Record::Ordered { .. }
            | Record::PeerJoined { .. }
            | Record::PeerStarted { .. }
            | Record::PeerStopped { .. }
            | Record::PeerLeft { .. }
            | Record::Opened { because: Because::Silent { .. }, .. }
            | Record::Resolved { .. }
    )
}

/// Who may watch a peer or testify about it, best first: those of other zones than its own, then by
/// the hash. Only of its own cell, since nobody else knows it well.
fn rank(peer: PeerId, is_near: bool, other: PeerId) -> (bool, Reverse<u64>, PeerId) {
    (is_near, Reverse(rendezvous::weight(peer.bits(), other)), other)
}

impl Agent {
    /// How many peers watch each peer, and testify when it is silent.
    pub(super) fn watchers(&self) -> usize {
        usize::try_from(self.ledger.settings().witnesses).unwrap_or(usize::MAX)
    }

    /// The peers that this one is to watch: running, of the same cell, and among the best few for
    /// each this peer.
    fn choose_wards(&self) -> BTreeSet<PeerId> {
        let me = self.card.id;
        let mine: Vec<(PeerId, &str)> = self
            .ledger
            .roster()
            .running()
            .filter(|(_, member)| member.card.cell == self.card.cell)
            .map(|(peer, member)| (peer, member.zone()))
            .collect();
        let able: Vec<(PeerId, &str)> =
            mine.iter().copied().filter(|(peer, _)| !self.ledger.is_silent(*peer)).collect();
        let my_zone = self.ledger.roster().member(me).map(|member| member.zone());
        let watchers = self.watchers();
        let is_for_me = |peer: PeerId, zone: &str| {
            let own = rank(peer, my_zone == Some(zone), me);
            let better = able
                .iter()
                .filter(|(other, _)| *other != peer && *other != me)
                .filter(|(other, other_zone)| rank(peer, *other_zone == zone, *other) < own);
            better.take(watchers).count() < watchers
        };
        mine.iter()
            .filter(|(peer, zone)| *peer != me && is_for_me(*peer, zone))
            .map(|(peer, _)| *peer)
            .collect()
    }

    /// Says whom to watch when that has changed, and tells the leader whom it misses.
    pub(super) fn watch_wards(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.wards.stale && now.mono >= self.wards.choose_at {
            self.wards.stale = false;
            self.wards.choose_at = now.mono + CHOOSE_EVERY;
            let chosen = self.choose_wards();
            if chosen != self.wards.watched {
                self.wards.missed.retain(|peer, _| chosen.contains(peer));
                self.wards.watched = chosen.clone();
                out.push(Output::Watch { peers: chosen });
            }
        }
        // Whoever was slow a moment ago accuses nobody.
        if let Some(until) = self.doubt.until().filter(|until| now.mono < *until) {
            for missed in self.wards.missed.values_mut() {
                missed.tell_at = missed.tell_at.max(until);
            }
            return;
        }
        let leads = self.standing.leads;
        let mut told = Vec::new();
        for (peer, missed) in &mut self.wards.missed {
            if missed.tell_at <= now.mono {
                missed.tell_at = now.mono + TELL_EVERY;
                told.push((*peer, missed.seen));
            }
        }
        for (peer, seen) in told {
            if leads {
                self.suspect(now, peer, seen);
            } else {
                out.push(Output::Suspect { peer, seen });
            }
        }
    }
}
