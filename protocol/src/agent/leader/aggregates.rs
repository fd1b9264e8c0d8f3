//! Aggregate checks: what another check says on a group of peers, counted by the leader.
//!
//! Nobody runs them. The leader counts what its view says, level-triggered like everything else it
//! does, so a new leader counts anew. What it has not heard of yet is neither well nor ill: a
//! verdict is given only when the unheard could not change it.

use super::{Agent, Output, Proposal, failure};
use crate::{
    document::{AggregateProbe, Check, Probe, Verdict},
    ledger::roster::{Member, Standing as Running},
    name::{Name, PeerId},
    record::{Because, Failing, Record},
    report::CheckState,
    time::{Now, Timestamp},
};
use std::{collections::BTreeMap, time::Duration};

/// As many peers that fail are named in a summary.
const NAMED_MAX: usize = 3;

/// What the peers of a group say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// How many are needed.
    pub needed: u32,
    /// How many there are.
    pub size: u32,
    /// On how many it passes; a warning is no failure.
    pub passing: u32,
    /// On how many nobody knows.
    pub unknown: u32,
    /// On which it fails, or which are not there, by name.
    pub failing: BTreeMap<Name, PeerId>,
    /// The peer that an incident is about: the first by name on which it fails and which is there;
    /// else the first that fails, else the first of the group.
    pub affected: Option<PeerId>,
}

impl Count {
    /// What it comes to.
    pub const fn verdict(&self) -> Verdict {
        if self.passing >= self.needed {
            Verdict::Pass
        } else if self.passing.saturating_add(self.unknown) < self.needed {
            Verdict::Fail
        } else {
            Verdict::Unknown
        }
    }

    /// The same in one line.
    pub fn summary(&self) -> String {
        let Self { needed, size, passing, .. } = self;
        let mut text = format!("{passing} of {size} pass, {needed} needed");
        if !self.failing.is_empty() {
            let names: Vec<&str> =
                self.failing.keys().take(NAMED_MAX).map(|name| name.as_str()).collect();
            text = format!("{text}; not on {}", names.join(", "));
            if self.failing.len() > NAMED_MAX {
                text = format!("{text} and {} more", self.failing.len() - NAMED_MAX);
            }
        }
        if self.unknown > 0 {
            text = format!("{text}; {} not known", self.unknown);
        }
        text
    }
}

/// What the leader made of an aggregate check.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    state: CheckState,
    affected: Option<PeerId>,
    /// What the latest count came to, and since when.
    latest: (Verdict, Duration),
}

/// What a peer says of the check that is counted.
enum Says {
    Well,
    Ill,
    Gone,
    Nothing,
}

impl Agent {
    /// Counts an aggregate check as this peer sees it; nothing for a check of another kind.
    pub fn count(&self, check: &Check) -> Option<Count> {
        let Probe::Aggregate(AggregateProbe { check: counted, quorum }) = &check.probe else {
            return None;
        };
        let meant = self.ledger.library().check(counted)?;
        let mut count = Count::default();
        let mut group = BTreeMap::new();
        let mut there = BTreeMap::new();
        for (peer, member) in self.ledger.roster().selected(&check.selector) {
            if !meant.selector.fits(&member.card.labels) {
                continue;
            }
            let name = member.card.name.clone();
            count.size = count.size.saturating_add(1);
            group.insert(name.clone(), peer);
            match self.says(peer, member, counted) {
                Says::Well => count.passing = count.passing.saturating_add(1),
                Says::Nothing => count.unknown = count.unknown.saturating_add(1),
                Says::Gone => {
                    count.failing.insert(name, peer);
                }
                Says::Ill => {
                    there.insert(name.clone(), peer);
                    count.failing.insert(name, peer);
                }
            }
        }
        count.needed = quorum.of(count.size);
        let first = |peers: &BTreeMap<Name, PeerId>| peers.values().next().copied();
        count.affected = first(&there).or(first(&count.failing)).or(first(&group));
        Some(count)
    }

    fn says(&self, peer: PeerId, member: &Member, check: &Name) -> Says {
        let gone = peer != self.card.id && self.view.is_alive(peer) == Some(false);
        if gone || member.standing != Running::Running {
            return Says::Gone;
        }
        let report = self.view.report(peer);
        let current = report.filter(|report| report.generation == member.card.generation);
        match current.and_then(|report| report.checks.get(check)).map(|state| state.verdict) {
            Some(Verdict::Pass | Verdict::Warn) => Says::Well,
            Some(Verdict::Fail) => Says::Ill,
            Some(Verdict::Unknown) | None => Says::Nothing,
        }
    }

    /// What the leader made of a check on a peer: its report, or for an aggregate the count.
    pub(super) fn state_of(&self, peer: PeerId, check: &Name) -> Option<&CheckState> {
        if let Some(state) = self.leader.guests.get(&(peer, check.clone())) {
            return Some(state);
        }
        match self.leader.aggregates.get(check) {
            Some(counted) => Some(&counted.state),
            None => self.view.check(peer, check),
        }
    }

    /// The aggregate checks that fail, each with the peer that stands for its group.
    pub(super) fn failing_groups(&self) -> impl Iterator<Item = Failing> {
        let all = self.leader.aggregates.iter();
        all.filter(|(_, counted)| counted.state.verdict == Verdict::Fail).filter_map(
            |(check, counted)| {
                let (check, since) = (check.clone(), counted.state.since);
                Some(Failing { peer: counted.affected?, check, since })
            },
        )
    }

    /// Counts every aggregate check, and opens an incident about each that fails and has none.
    pub(super) fn count_aggregates(&mut self, now: Now, out: &mut Vec<Output>) {
        let at = self.clock.now(now);
        let counts: Vec<(Check, Count)> = self
            .ledger
            .library()
            .checks()
            // Counted first: thousands of checks of other kinds are not copied at every look.
            .filter_map(|check| self.count(check).map(|count| (check.clone(), count)))
            .collect();
        let before = std::mem::take(&mut self.leader.aggregates);
        for (check, count) in counts {
            let known = before.get(&check.name);
            let counted = judge(&check, &count, known, (now.mono, at));
            self.leader.aggregates.insert(check.name, counted);
        }
        let failing: Vec<(PeerId, Because)> = self
            .leader
            .aggregates
            .iter()
            .filter(|(_, counted)| counted.state.verdict == Verdict::Fail)
            // The first by name may be another one by now: it is still the same thing.
            .filter(|(name, _)| !self.has_open_incident_about(name))
            .filter_map(|(name, counted)| Some((counted.affected?, failure(name, &counted.state))))
            .filter(|(peer, because)| self.ledger.is_news(*peer, because).is_ok())
            .filter(|(peer, because)| !self.is_on_a_ladder(*peer, because))
            .collect();
        for (peer, because) in failing {
            let Because::Check { check, .. } = &because else { continue };
            let proposal = Proposal::Open(peer, check.clone());
            self.propose(now, proposal, Record::Opened { peer, because }, out);
        }
    }

    /// What a ladder mends is not mended one by one.
    fn is_on_a_ladder(&self, peer: PeerId, because: &Because) -> bool {
        let member = self.ledger.roster().member(peer);
        because
            .check()
            .zip(member)
            .is_some_and(|(check, member)| self.on_a_ladder(check, &member.card.labels))
    }

    fn has_open_incident_about(&self, name: &Name) -> bool {
        self.ledger.open_incidents().any(
            |incident| matches!(&incident.because, Because::Check { check, .. } if check == name),
        )
    }
}

/// The state after a count: a count becomes a verdict when it has lasted for as many turns as the
/// check says.
fn judge(
    check: &Check,
    count: &Count,
    known: Option<&Counted>,
    (mono, at): (Duration, Timestamp),
) -> Counted {
    let verdict = count.verdict();
    let since = match known.map(|known| known.latest) {
        Some((latest, since)) if latest == verdict => since,
        Some(_) | None => mono,
    };
    let turns = match verdict {
        Verdict::Pass => check.pass_after,
        Verdict::Fail | Verdict::Warn | Verdict::Unknown => check.fail_after,
    };
    let lasting = check.every.saturating_mul(turns.saturating_sub(1));
    let told = known.map(|known| &known.state);
    let settled = match (told.map(|state| state.verdict), verdict) {
        // What was known to be bad is not mended by not knowing.
        (Some(Verdict::Fail), Verdict::Unknown) => Verdict::Fail,
        (Some(before), _) if mono.saturating_sub(since) < lasting => before,
        (None, Verdict::Fail) if !lasting.is_zero() => Verdict::Unknown,
        (Some(_) | None, _) => verdict,
    };
    let state = CheckState {
        verdict: settled,
        since: told.filter(|state| state.verdict == settled).map_or(at, |state| state.since),
        summary: count.summary(),
        verified: None,
        flapping: false,
        muted_by: None,
    };
    Counted { state, affected: count.affected, latest: (verdict, since) }
}
