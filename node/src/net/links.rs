//! The open connections, by peer.
//!
//! One connection per peer is preferred for what begins; either direction will do, and the newest
//! wins, because a peer that dials again has often forgotten the older one. Only when both dialled
//! each other at the same moment is the one preferred that the lower id made, so that both sides
//! prefer the same. A connection that lost its place is closed when nothing is under way on it.

use super::{error::Close, lock, pulse::Beat, wire};
use protocol::name::PeerId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// How many connections of each purpose one peer may have open here.
const LINKS_MAX: usize = 6;

/// Two connections made within this were made at the same moment.
const SAME_MOMENT: Duration = Duration::from_secs(2);

/// How long a connection that lost its place stays for what may still be on its way.
const LINGER: Duration = Duration::from_secs(3);

/// How long a connection may be unused. Keeping it costs a packet every ten seconds; making it
/// anew costs a handshake.
const UNUSED: Duration = Duration::from_secs(120);

/// How long a probe's connection may be open.
const PROBE_TIME: Duration = Duration::from_secs(30);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Everything.
    Everything,
    /// One probe.
    Probe,
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: PeerId,
    pub(crate) connection: quinn::Connection,
    pub(crate) purpose: Purpose,
    /// Whether this side made it.
    dialled: bool,
    since: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    /// Closed because nothing was under way; nothing may begin any more.
    shut: bool,
    retired: Option<Instant>,
    used: Instant,
}

impl Link {
    pub(crate) fn new(
        peer: PeerId,
        connection: quinn::Connection,
        purpose: Purpose,
        dialled: bool,
    ) -> Arc<Self> {
        let since = Instant::now();
        let state = State { in_flight: 0, shut: false, retired: None, used: since };
        Arc::new(Self { peer, connection, purpose, dialled, since, state: Mutex::new(state) })
    }

    /// Marks that something is under way on it; `None` when it was just closed.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<InFlight> {
        let mut state = lock(&self.state);
        if state.shut {
            return None;
        }
        state.in_flight += 1;
        drop(state);
        Some(InFlight(Arc::clone(self)))
    }

    /// Sends a ping or its answer. It may get lost, as anywhere else on its way.
    pub(crate) fn beat(&self, beat: Beat) {
        let bytes = beat.bytes().to_vec();
        if let Err(error) = self.connection.send_datagram(bytes.into()) {
            tracing::trace!(peer = %self.peer, %error, "a beat was not sent");
        }
    }

    /// Nothing new should begin on it.
    pub(crate) fn retire(&self) {
        lock(&self.state).retired.get_or_insert_with(Instant::now);
    }

    fn is_open(&self) -> bool {
        self.connection.close_reason().is_none() && !lock(&self.state).shut
    }

    fn is_retired(&self) -> bool {
        lock(&self.state).retired.is_some()
    }

    /// Closes the connection if it is time to and nothing is under way on it.
    fn close_if_done(&self, now: Instant) {
        let mut state = lock(&self.state);
        if state.in_flight > 0 || state.shut {
            return;
        }
        let past = |moment: Instant, span: Duration| now.duration_since(moment) >= span;
        let close = match self.purpose {
            Purpose::Probe => past(self.since, PROBE_TIME).then_some(Close::Misused),
            Purpose::Everything if state.retired.is_some_and(|since| past(since, LINGER)) => {
                Some(Close::Superseded)
            }
            Purpose::Everything => past(state.used, UNUSED).then_some(Close::Idle),
        };
        if let Some(close) = close {
            state.shut = true;
            close.close(&self.connection);
        }
    }
}

/// Something is under way on a connection.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Link>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.in_flight -= 1;
        state.used = Instant::now();
    }
}

/// What is kept about one peer.
#[derive(Debug)]
struct Entry {
    links: Vec<Arc<Link>>,
    /// What the peer may have under way here. It outlives its connections, or else reconnecting
    /// would renew it.
    budget: Arc<Semaphore>,
}

impl Default for Entry {
    fn default() -> Self {
        Self { links: Vec::new(), budget: wire::budget() }
    }
}

/// Every open connection of this endpoint to a member.
#[derive(Debug)]
pub(crate) struct Links {
    own: PeerId,
    entries: Mutex<BTreeMap<PeerId, Entry>>,
}

impl Links {
    pub(crate) const fn new(own: PeerId) -> Self {
        Self { own, entries: Mutex::new(BTreeMap::new()) }
    }

    /// The connection on which something new for `peer` should begin.
    pub(crate) fn best(&self, peer: PeerId) -> Option<Arc<Link>> {
        let entries = lock(&self.entries);
        let usable = |link: &&Arc<Link>| link.purpose == Purpose::Everything && link.is_open();
        let mut links = entries.get(&peer)?.links.iter().rev().filter(usable);
        links.find(|link| !link.is_retired()).cloned()
    }

    /// Takes in a new connection and returns the peer's budget and how many older connections
    /// were closed because there were too many.
    pub(crate) fn add(&self, link: &Arc<Link>) -> (Arc<Semaphore>, usize) {
        let mut entries = lock(&self.entries);
        let entry = entries.entry(link.peer).or_default();
        if link.purpose == Purpose::Everything {
            for other in entry.links.iter().filter(|other| other.purpose == link.purpose) {
                if other.is_open() && !other.is_retired() {
                    self.loser(other, link).retire();
                }
            }
        }
        entry.links.push(Arc::clone(link));
        let mut closed = 0;
        let alike = entry.links.iter().filter(|other| other.purpose == link.purpose);
        let surplus = alike.clone().count().saturating_sub(LINKS_MAX);
        for oldest in alike.take(surplus) {
            Close::TooMany.close(&oldest.connection);
            closed += 1;
        }
        (Arc::clone(&entry.budget), closed)
    }

    fn loser<'a>(&self, older: &'a Link, newer: &'a Link) -> &'a Link {
        let same_moment = newer.since.duration_since(older.since) < SAME_MOMENT;
        if same_moment && older.dialled != newer.dialled {
            let own_wins = self.own < older.peer;
            if older.dialled == own_wins { newer } else { older }
        } else {
            older
        }
    }

    /// Forgets a connection that has ended.
    pub(crate) fn remove(&self, link: &Arc<Link>) {
        if let Some(entry) = lock(&self.entries).get_mut(&link.peer) {
            entry.links.retain(|other| !Arc::ptr_eq(other, link));
        }
    }

    /// Closes the connections of all peers that are not `wanted`; returns of whom.
    pub(crate) fn cut_off(&self, wanted: impl Fn(PeerId) -> bool) -> Vec<PeerId> {
        let mut cut = Vec::new();
        lock(&self.entries).retain(|peer, entry| {
            if wanted(*peer) {
                return true;
            }
            for link in entry.links.iter().filter(|link| link.is_open()) {
                Close::NotInRoster.close(&link.connection);
                cut.push(*peer);
            }
            false
        });
        cut
    }

    /// Closes what is unused.
    pub(crate) fn tidy(&self, now: Instant) {
        let entries = lock(&self.entries);
        for link in entries.values().flat_map(|entry| &entry.links) {
            link.close_if_done(now);
        }
    }

    /// How many connections with a peer are open.
    #[cfg(test)]
    pub(crate) fn open_with(&self, peer: PeerId) -> usize {
        let entries = lock(&self.entries);
        entries.get(&peer).map_or(0, |entry| entry.links.iter().filter(|l| l.is_open()).count())
    }
}
