//! What gossip and reports say of the peers: observations, never orders.

use super::shared::Verified;
use crate::{
    document::Verdict,
    ledger::Ledger,
    name::{Name, PeerId},
    report::{CheckState, Report, SignedReport},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What is known of one peer.
#[derive(Debug, Clone, Default)]
struct Seen {
    report: Option<Arc<Report>>,
    alive: Option<bool>,
    since: Timestamp,
    /// Whether gossip has ever said that it does not hear it.
    was_missed: bool,
}

/// What is known of the peers.
#[derive(Debug, Clone, Default)]
pub struct View {
    peers: BTreeMap<PeerId, Seen>,
    /// The checks that fail or warn, so that those that pass cost nothing at every look.
    ailing: BTreeMap<PeerId, BTreeSet<Name>>,
    /// Those that gossip does not hear, so that those that it hears cost nothing at every look.
    unheard: BTreeSet<PeerId>,
    /// Reports that were dropped: of no member, or not signed by the peer they speak of.
    pub dropped: u64,
}

impl View {
    /// Takes a report if it is later than what is known and signed by the peer it speaks of.
    pub fn hear(&mut self, ledger: &Ledger, signed: SignedReport) {
        if !self.is_news(&signed.report) {
            return;
        }
        let member = ledger.roster().member(signed.report.peer);
        if member.is_some_and(|member| signed.is_by(&member.card.public_key)) {
            self.keep(Arc::new(signed.report));
        } else {
            self.dropped += 1;
        }
    }

    /// Takes a report if it is later than what is known and was verified with the key of the peer
    /// it speaks of.
    pub(super) fn hear_verified(&mut self, ledger: &Ledger, verified: &Verified) {
        let report = verified.report();
        if !self.is_news(report) {
            return;
        }
        let member = ledger.roster().member(report.peer);
        if member.is_some_and(|member| verified.is_by(&member.card.public_key)) {
            self.keep(Arc::clone(report));
        } else {
            self.dropped += 1;
        }
    }

    fn is_news(&self, report: &Report) -> bool {
        self.report(report.peer).is_none_or(|known| report.is_newer_than(known))
    }

    /// Takes this peer's own report.
    pub fn hear_own(&mut self, report: Report) {
        self.keep(Arc::new(report));
    }

    fn keep(&mut self, report: Arc<Report>) {
        let ails = |(_, state): &(&Name, &CheckState)| {
            matches!(state.verdict, Verdict::Fail | Verdict::Warn)
        };
        let ailing: BTreeSet<Name> =
            report.checks.iter().filter(ails).map(|(check, _)| check.clone()).collect();
        if ailing.is_empty() {
            self.ailing.remove(&report.peer);
        } else {
            self.ailing.insert(report.peer, ailing);
        }
        let seen = self.peers.entry(report.peer).or_default();
        seen.report = Some(report);
    }

    /// The peers of which a check fails or warns, with their reports and those checks.
    pub fn ailing(&self) -> impl Iterator<Item = (PeerId, &Report, &BTreeSet<Name>)> {
        self.ailing.iter().filter_map(|(peer, checks)| Some((*peer, self.report(*peer)?, checks)))
    }

    /// What gossip's failure detector says now.
    pub fn set_liveness(&mut self, peer: PeerId, alive: bool, at: Timestamp) {
        let seen = self.peers.entry(peer).or_default();
        if seen.alive != Some(alive) {
            seen.alive = Some(alive);
            seen.since = at;
            seen.was_missed |= !alive;
            if alive {
                self.unheard.remove(&peer);
            } else {
                self.unheard.insert(peer);
            }
        }
    }

    /// The peers of which gossip says that it does not hear them.
    pub(super) fn unheard(&self) -> impl Iterator<Item = PeerId> {
        self.unheard.iter().copied()
    }

    /// Whether gossip hears of the peer; nothing while gossip has not said anything of it.
    pub fn is_alive(&self, peer: PeerId) -> Option<bool> {
        self.peers.get(&peer).and_then(|seen| seen.alive)
    }

    /// Since when gossip says what it says.
    pub fn since(&self, peer: PeerId) -> Option<Timestamp> {
        self.peers.get(&peer).filter(|seen| seen.alive.is_some()).map(|seen| seen.since)
    }

    /// Since when gossip says what it says, if it has ever said otherwise or did not hear the peer:
    /// that it hears one at first says nothing of since when the peer is there.
    pub fn changed(&self, peer: PeerId) -> Option<Timestamp> {
        self.since(peer).filter(|_| self.peers.get(&peer).is_some_and(|seen| seen.was_missed))
    }

    /// A peer's latest report.
    pub fn report(&self, peer: PeerId) -> Option<&Report> {
        self.peers.get(&peer).and_then(|seen| seen.report.as_deref())
    }

    /// What a check says on a peer.
    pub fn check(&self, peer: PeerId, check: &Name) -> Option<&CheckState> {
        self.report(peer).and_then(|report| report.checks.get(check))
    }

    /// How ill the peer is, as far as is known: 0 when nothing fails or warns.
    pub fn ailment(&self, peer: PeerId) -> u8 {
        match self.report(peer).and_then(Report::worst) {
            Some(Verdict::Pass) | None => 0,
            Some(Verdict::Unknown) => 1,
            Some(Verdict::Warn) => 2,
            Some(Verdict::Fail) => 3,
        }
    }

    /// Whether no check of the peer fails, as far as is known.
    pub fn is_healthy(&self, peer: PeerId) -> bool {
        self.report(peer).and_then(Report::worst) != Some(Verdict::Fail)
    }
}
