//! Whether many peers are silent at once, seen before the first neighbour acts.
//!
//! A silence is attested one peer at a time; when a rack goes dark, the first of its hosts is
//! attested while gossip has not even begun to suspect the last. So before the leader gives out
//! anything about a silence it looks around: it probes whoever should answer, and waits until so
//! many have answered that the others could not be a storm. In a healthy mesh that takes one round
//! trip. When they could, it looks twice, so that a few lost datagrams engage no brake, and then
//! opens the incident that does ([`crate::ledger::brake`]).

use super::{Agent, Output, Proposal};
use crate::{
    ledger::{
        brake::Brake,
        incident::{Incident, State},
    },
    name::{IncidentId, PeerId},
    record::{Because, Record, Seen},
    refusal::Refusal,
    rendezvous,
    time::{Now, Timestamp, format_span},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long answers are waited for: a direct probe takes up to 0.6 s.
const ANSWERS_WITHIN: Duration = Duration::from_millis(700);

/// How often those that did not answer are asked before they count.
const ROUNDS: u32 = 2;

/// How long it holds that there is no storm, unless somebody else falls silent: two rungs that
/// follow each other at once need one look.
const CLEAR_FOR: Duration = Duration::from_secs(10);

/// The most peers that one look asks; of more, those that gossip does not hear and then those that
/// hashing chooses.
const ASKED_MAX: usize = 256;

/// Whoever has not answered a probe for so long is a bad choice for a repair: it may be cut off in
/// one direction.
const ANSWERS_SOON: Duration = Duration::from_millis(200);

/// A look around.
#[derive(Debug, Clone)]
struct Look {
    began: Duration,
    round: u32,
    /// Those that were suspected when the first round began.
    suspects: BTreeSet<PeerId>,
    /// Those that have not answered yet.
    open: BTreeSet<PeerId>,
    /// Those whose host said that nobody listens there.
    refused: BTreeSet<PeerId>,
    /// Those that have answered, in this round or an earlier one.
    reached: BTreeSet<PeerId>,
}

/// What a look around has come to where there is no storm.
#[derive(Debug, Clone)]
struct Clear {
    /// Until when that holds.
    until: Duration,
    /// Who was not heard then, and counted.
    known: BTreeSet<PeerId>,
}

/// What the leader knows about storms.
#[derive(Debug, Clone, Default)]
pub(in crate::agent) struct Storms {
    look: Option<Look>,
    clear: Option<Clear>,
    /// Those that were asked and have not answered yet, and since when they owe the answer.
    owing: BTreeMap<PeerId, Duration>,
    /// Those of them that have owed it for too long.
    late: BTreeSet<PeerId>,
    /// When a peer last fell silent while the brake held, and when this host learnt of it by its
    /// own clock; kept whoever leads. The log's time follows wall clocks, and one that jumps must
    /// not end a calm that has hardly begun.
    calm: Option<(Timestamp, Duration)>,
}

/// What holds a step about a silence back.
pub(super) enum Held {
    /// Nothing.
    Not,
    /// A rule.
    For(Refusal),
    /// A look around is under way.
    UntilSeen,
}

impl Storms {
    pub(super) fn forget(&mut self) {
        self.look = None;
        self.clear = None;
        self.owing.clear();
        self.late.clear();
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        self.look.as_ref().map(|look| look.began + ANSWERS_WITHIN)
    }

    /// Takes what a direct probe saw.
    pub(in crate::agent) fn probed(&mut self, peer: PeerId, seen: Seen) {
        if seen.is_life() {
            self.owing.remove(&peer);
            self.late.remove(&peer);
        }
        let Some(look) = &mut self.look else { return };
        match seen {
            Seen::Reached | Seen::Heard => {
                look.open.remove(&peer);
                look.refused.remove(&peer);
                look.reached.insert(peer);
            }
            Seen::Refused if look.open.remove(&peer) => {
                look.refused.insert(peer);
            }
            // It may be the end of an earlier probe, of this round or of another look: only the
            // time says that nothing came back.
            Seen::Refused | Seen::NoAnswer | Seen::Abstained | Seen::Unreachable => {}
        }
    }

    /// Whether a peer has owed the leader an answer for longer than it should.
    pub(super) fn owes_an_answer(&self, peer: PeerId) -> bool {
        self.late.contains(&peer)
    }

    /// Keeps in mind since when it has been calm, by this host's own clock.
    pub(in crate::agent) fn watch(&mut self, brake: Option<&Brake>, mono: Duration) {
        self.calm = brake.map(|brake| match self.calm {
            Some((latest, since)) if latest == brake.latest => (latest, since),
            Some(_) | None => (brake.latest, mono),
        });
    }
}

impl Agent {
    /// Those suspects that were none when an operator last said that it is no storm.
    fn suspects_since_thaw(&self) -> BTreeSet<PeerId> {
        let mut suspects = self.suspects();
        suspects.retain(|peer| !self.was_thawed(*peer));
        suspects
    }

    /// Whether a peer was silent, or not heard of, when an operator last thawed the mesh.
    fn was_thawed(&self, peer: PeerId) -> bool {
        let thawed_at = self.ledger.thawed_at();
        let since = match self.ledger.silence_of(peer) {
            Some(silence) => Some(silence.opened_at),
            None => self.view.since(peer).filter(|_| self.view.is_alive(peer) == Some(false)),
        };
        since.is_some_and(|since| since <= thawed_at)
    }

    /// What holds a step about this incident back, if it is a silence.
    pub(super) fn before_a_silence_is_acted_on(&self, incident: &Incident) -> Held {
        if !matches!(incident.because, Because::Silent { .. }) {
            return Held::Not;
        }
        if let Err(refusal) = self.ledger.unbraked(incident) {
            return Held::For(refusal);
        }
        let unheard = self.suspects();
        match &self.leader.storm.clear {
            Some(clear) if unheard.is_subset(&clear.known) => Held::Not,
            Some(_) | None => Held::UntilSeen,
        }
    }

    /// Looks around when something is to be done about a silence, and opens what it sees.
    pub(super) fn watch_for_storms(&mut self, now: Now, out: &mut Vec<Output>) {
        let storm = &mut self.leader.storm;
        let is_late = |since: &Duration| now.mono >= *since + ANSWERS_SOON;
        let late = storm.owing.iter().filter(|(_, since)| is_late(since));
        storm.late = late.map(|(peer, _)| *peer).collect();
        if let Some(brake) = self.ledger.brake() {
            let told = brake.incident.is_some();
            self.leader.storm.forget();
            if !told {
                // The ledger has engaged it by itself: people are told.
                let silent = self.ledger.silent_since_thaw();
                self.open_storm(now, silent, out);
            }
            return;
        }
        // Begun with the first suspicion: it is through when that has been attested.
        let is_wanted = self.leader.silence.is_looking()
            || self.ledger.open_incidents().any(|incident| {
                matches!(incident.because, Because::Silent { .. })
                    && incident.state != State::Escalated
                    && incident.in_flight().is_none()
            });
        // What was begun is finished: that there was no storm a moment ago holds for the next
        // suspicion too.
        if !is_wanted && self.leader.storm.look.is_none() {
            return;
        }
        let unheard = self.suspects();
        let is_clear = self
            .leader
            .storm
            .clear
            .as_ref()
            .is_some_and(|clear| clear.until > now.mono && unheard.is_subset(&clear.known));
        if is_clear {
            return;
        }
        self.leader.storm.clear = None;
        if self.leader.storm.look.is_none() {
            let asked = self.asked();
            self.look_around(now, 1, asked, BTreeSet::new(), out);
        }
        self.conclude_the_look(now, out);
    }

    /// Whom a look asks: whoever should answer, those that are silent by the log among them, since
    /// they may be back.
    fn asked(&self) -> BTreeSet<PeerId> {
        let me = self.card.id;
        let running = self.ledger.roster().running().map(|(peer, _)| peer);
        let mut asked: Vec<(bool, u64, PeerId)> = running
            .filter(|peer| *peer != me)
            .map(|peer| {
                let is_heard =
                    !self.ledger.is_silent(peer) && self.view.is_alive(peer) != Some(false);
                (is_heard, u64::MAX - rendezvous::weight(me.bits(), peer), peer)
            })
            .collect();
        asked.sort_unstable();
        asked.into_iter().take(ASKED_MAX).map(|(_, _, peer)| peer).collect()
    }

    fn look_around(
        &mut self,
        now: Now,
        round: u32,
        asked: BTreeSet<PeerId>,
        reached: BTreeSet<PeerId>,
        out: &mut Vec<Output>,
    ) {
        out.extend(asked.iter().map(|peer| Output::Probe { peer: *peer }));
        for peer in &asked {
            self.leader.storm.owing.entry(*peer).or_insert(now.mono);
        }
        let refused = BTreeSet::new();
        let suspects = match &self.leader.storm.look {
            Some(look) if round > 1 => look.suspects.clone(),
            Some(_) | None => self.suspects(),
        };
        self.leader.storm.look =
            Some(Look { began: now.mono, round, suspects, open: asked, refused, reached });
    }

    fn conclude_the_look(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(look) = &self.leader.storm.look else { return };
        let waits = now.mono < look.began + ANSWERS_WITHIN && !look.open.is_empty();
        let (round, reached) = (look.round, look.reached.clone());
        let suspects = look.suspects.clone();
        let missing: BTreeSet<PeerId> = look.open.union(&look.refused).copied().collect();
        let at = self.clock.now(now);
        // When the silent ones fell silent the log knows; the others just did, or an operator has
        // seen them.
        let is_new = |peer: &PeerId| !self.ledger.is_silent(*peer) && !self.was_thawed(*peer);
        let new: BTreeSet<PeerId> = missing.iter().copied().filter(is_new).collect();
        let with_new = |known: BTreeSet<PeerId>| -> BTreeSet<PeerId> {
            known.union(&new).copied().filter(|peer| !reached.contains(peer)).collect()
        };
        let fallen = with_new(self.ledger.fallen(at));
        let unheard = with_new(self.ledger.silent_since_thaw());
        let is_storm = self.ledger.storm_among(&fallen).is_some();
        if !is_storm && !self.ledger.hears_a_minority(&unheard) {
            // Whoever has not answered yet cannot change it, and is not known to be silent either;
            // nor is who answered and fell under suspicion after that.
            let mut known = self.suspects();
            known.retain(|peer| suspects.contains(peer) || !reached.contains(peer));
            self.leader.storm.clear = Some(Clear { until: now.mono + CLEAR_FOR, known });
            self.leader.storm.look = None;
        } else if waits {
            // Their answers may yet say that it is none.
        } else if round < ROUNDS {
            self.look_around(now, round + 1, missing, reached, out);
        } else {
            self.leader.storm.look = None;
            self.open_storm(now, if is_storm { fallen } else { unheard }, out);
        }
    }

    fn open_storm(&mut self, now: Now, silent: BTreeSet<PeerId>, out: &mut Vec<Output>) {
        let (cause, zone) = self.ledger.likely_cause(&silent);
        let since = self.clock.now(now);
        let silent = silent.into_iter().collect();
        let because = Because::Storm { silent, zone, cause, since };
        let record = Record::Opened { peer: self.card.id, because };
        self.propose(now, Proposal::OpenStorm, record, out);
    }

    /// Whether a storm is over, and how that was seen.
    pub(super) fn storm_is_over(
        &self,
        storm: IncidentId,
        now: Now,
        at: Timestamp,
    ) -> Option<String> {
        let brake = self.ledger.brake().filter(|brake| brake.incident == Some(storm))?;
        let calm = self.ledger.settings().storm_calm;
        let lasted = |(latest, since): (Timestamp, Duration)| {
            latest == brake.latest && now.mono >= since.saturating_add(calm)
        };
        let is_calm = at >= brake.latest.plus(calm) && self.leader.storm.calm.is_some_and(lasted);
        // Who does not hear most of the mesh does not know what is calm.
        let knows = !self.ledger.hears_a_minority(&self.suspects_since_thaw());
        (is_calm && knows).then(|| format!("no other peer fell silent for {}", format_span(calm)))
    }
}
