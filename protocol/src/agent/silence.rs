//! Attesting a silence: gossip and watchers only suspect, the leader and its witnesses look for
//! themselves.
//!
//! The leader probes the suspect directly and asks witnesses, other zones first, to do the same.
//! Only when its own probe and a majority of the witnesses that could answer agree is an incident
//! opened, with what each of them saw. One sign of life clears the suspicion. Whoever was slow
//! itself abstains, and a leader that was begins nothing: see [`super::doubt`].

use super::{Agent, Output};
use crate::{
    document::Silence,
    ledger::roster::Standing as Running,
    mistakes::{self, Mistake},
    name::PeerId,
    record::{Because, Seen, Testimony},
    rendezvous,
    time::{Now, Timestamp},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long answers are waited for: a witness's own probe takes up to 0.6 s.
const ANSWERS_WITHIN: Duration = Duration::from_millis(900);

/// How long after a look that did not attest the silence the leader looks again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// For how long a watcher's word holds; it repeats it every second.
const WORD_HOLDS: Duration = Duration::from_secs(3);

/// The fact of a peer's report that says that a service manager starts its daemon again.
pub const SERVICE_MANAGER: &str = "service_manager";

/// One look at a suspect.
#[derive(Debug, Clone)]
struct Look {
    since: Timestamp,
    began: Duration,
    asked: BTreeSet<PeerId>,
    /// What each of those asked has seen; nothing where it could not be reached.
    answers: BTreeMap<PeerId, Option<(Seen, Timestamp)>>,
}

impl Look {
    /// Whether nothing more is to be learnt: all have answered, one saw a sign of life, or the
    /// kernel's word for a dead process came to the leader and to most of the witnesses.
    fn is_decided(&self, leader: PeerId) -> bool {
        let said = |wanted: fn(Seen) -> bool| {
            self.answers.values().flatten().filter(|(seen, _)| wanted(*seen)).count()
        };
        let is_refusal = |seen: Seen| seen == Seen::Refused;
        let leader_refused =
            self.answers.get(&leader).copied().flatten().is_some_and(|(seen, _)| is_refusal(seen));
        let witnesses = self.asked.len() - usize::from(self.asked.contains(&leader));
        let others = said(is_refusal) - usize::from(leader_refused);
        let silent = said(Seen::is_silence);
        let all_refused = silent == said(is_refusal);
        self.asked.iter().all(|asked| self.answers.contains_key(asked))
            || said(Seen::is_life) > 0
            || (leader_refused && all_refused && others > 0 && others * 2 > witnesses)
    }
}

/// What a watcher said last about a peer.
#[derive(Debug, Clone, Copy)]
struct Word {
    since: Timestamp,
    holds_until: Duration,
}

/// The looks under way, those that were made, and what gave cause to them.
#[derive(Debug, Clone, Default)]
pub struct Silences {
    looks: BTreeMap<PeerId, Look>,
    again_at: BTreeMap<PeerId, Duration>,
    suspected: BTreeMap<PeerId, Word>,
    /// Silent peers of which a watcher hears again.
    answering: BTreeMap<PeerId, Duration>,
}

impl Silences {
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Discards what is under way: this peer does not trust it.
    pub(super) fn discard(&mut self) {
        self.looks.clear();
    }

    /// Whether a suspect is being looked at.
    pub(super) fn is_looking(&self) -> bool {
        self.looks.values().any(|look| look.asked.len() > 1)
    }

    /// Whether a watcher of a silent peer hears of it again.
    pub(super) fn is_answering(&self, peer: PeerId) -> bool {
        self.answering.contains_key(&peer)
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let looks = self.looks.values().map(|look| look.began + ANSWERS_WITHIN);
        looks.chain(self.again_at.values().copied()).min()
    }

    pub(super) fn testify(
        &mut self,
        peer: PeerId,
        witness: PeerId,
        seen: Option<Seen>,
        at: Timestamp,
    ) {
        if let Some(look) = self.looks.get_mut(&peer)
            && look.asked.contains(&witness)
        {
            look.answers.insert(witness, seen.map(|seen| (seen, at)));
        }
    }
}

/// What became of a look.
pub(super) enum Finding {
    /// The peer is silent: this is what is to be opened.
    Attested(Because),
    /// The peer answered somebody: if an incident says that it is silent, it has returned.
    Answered,
}

impl Agent {
    /// What a watcher says about its ward: cause to look at once, or that it is heard again.
    pub(super) fn suspect(&mut self, now: Now, peer: PeerId, seen: Seen) {
        let at = self.clock.now(now);
        let silences = &mut self.leader.silence;
        if seen.is_silence() {
            silences.answering.remove(&peer);
            let holds_until = now.mono + WORD_HOLDS;
            let word = silences.suspected.entry(peer).or_insert(Word { since: at, holds_until });
            word.holds_until = holds_until;
        } else {
            silences.suspected.remove(&peer);
            if seen.is_life() && self.ledger.is_silent(peer) {
                silences.answering.insert(peer, now.mono + WORD_HOLDS);
            }
        }
    }

    /// Whether a peer is heard: by gossip, and nobody who watches it says otherwise. Gossip tells of
    /// no other cell: what is to be known of that, its watchers say.
    pub(crate) fn is_heard(&self, peer: PeerId) -> bool {
        let heard = self.view.is_alive(peer).unwrap_or_else(|| self.is_of_another_cell(peer));
        peer == self.card.id || (heard && !self.is_missed(peer))
    }

    /// Whether a peer is one of those of which this peer's gossip tells nothing.
    pub(super) fn is_of_another_cell(&self, peer: PeerId) -> bool {
        let member = self.ledger.roster().member(peer);
        member.is_some_and(|member| member.card.cell != self.card.cell)
    }

    /// Whether a watcher, this peer perhaps, misses it at the moment.
    fn is_missed(&self, peer: PeerId) -> bool {
        self.leader.silence.suspected.contains_key(&peer)
            || self.wards.missed().any(|(missed, _)| missed == peer)
    }

    /// Whether this peer knows of a suspicion: gossip does not hear of it, or a watcher misses it.
    pub fn is_suspected(&self, peer: PeerId) -> bool {
        peer != self.card.id && (self.view.is_alive(peer) == Some(false) || self.is_missed(peer))
    }

    /// The peers that should run and that are silent, or suspected of it.
    pub(super) fn suspects(&self) -> BTreeSet<PeerId> {
        let mut suspects = self.in_question();
        suspects.retain(|peer| {
            *peer != self.card.id
                && self.ledger.roster().is_running(*peer)
                && (self.ledger.is_silent(*peer) || self.is_suspected(*peer))
        });
        suspects
    }

    /// Whoever may be silent, or suspected of it: in a healthy mesh nobody, however large it is.
    pub(super) fn in_question(&self) -> BTreeSet<PeerId> {
        let silent = self.ledger.open_incidents().filter_map(|incident| {
            matches!(incident.because, Because::Silent { .. }).then_some(incident.peer)
        });
        let told = self.leader.silence.suspected.keys().copied();
        let missed = self.wards.missed().map(|(peer, _)| peer);
        silent.chain(told).chain(missed).chain(self.view.unheard()).collect()
    }

    /// Whether an incident calls a peer silent that seems to be back: gossip or a watcher hears of
    /// it, or the log says that its daemon was started since.
    fn may_have_returned(&self, peer: PeerId) -> bool {
        self.ledger.silence_of(peer).is_some_and(|silence| {
            let started = self.ledger.roster().member(peer).map(|member| member.since);
            self.view.is_alive(peer) == Some(true)
                || self.leader.silence.answering.contains_key(&peer)
                || started.is_some_and(|started| started > silence.opened_at)
        })
    }

    /// Begins the looks that are due and says what the finished ones found.
    pub(super) fn look_for_silence(
        &mut self,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Vec<(PeerId, Finding)> {
        let silences = &mut self.leader.silence;
        silences.looks.retain(|peer, _| self.ledger.roster().is_running(*peer));
        silences.again_at.retain(|_, at| *at > now.mono);
        silences.suspected.retain(|_, word| word.holds_until > now.mono);
        silences.answering.retain(|_, until| *until > now.mono);
        if self.doubt.is_on(now.mono) || self.is_in_minority() {
            self.leader.silence.discard();
            return Vec::new();
        }
        let mut in_question = self.in_question();
        in_question.retain(|peer| self.ledger.roster().is_running(*peer));
        for peer in in_question {
            let due = !self.leader.silence.looks.contains_key(&peer)
                && !self.leader.silence.again_at.contains_key(&peer);
            if due && self.may_have_returned(peer) {
                self.begin_look(now, peer, 0, out);
            } else if due && self.is_suspected(peer) && !self.ledger.is_silent(peer) {
                self.begin_look(now, peer, self.watchers(), out);
            }
        }
        self.conclude_looks(now)
    }

    fn begin_look(&mut self, now: Now, peer: PeerId, witnesses: usize, out: &mut Vec<Output>) {
        let by_gossip = self.view.since(peer).filter(|_| self.view.is_alive(peer) == Some(false));
        let by_word = self.leader.silence.suspected.get(&peer).map(|word| word.since);
        let since = by_gossip.into_iter().chain(by_word).min();
        let since = since.unwrap_or_else(|| self.clock.now(now));
        let counted_twice = mistakes::is_made(Mistake::WitnessCountedTwice);
        let witnesses = if counted_twice { witnesses.div_ceil(2) } else { witnesses };
        let mut asked: BTreeSet<PeerId> =
            self.witnesses_for(peer).into_iter().take(witnesses).collect();
        for witness in &asked {
            out.push(Output::AskWitness { witness: *witness, peer });
        }
        asked.insert(self.card.id);
        out.push(Output::Probe { peer });
        let look = Look { since, began: now.mono, asked, answers: BTreeMap::new() };
        self.leader.silence.looks.insert(peer, look);
    }

    /// Whom to ask, best first: those that are heard, other zones than the suspect's first, spread
    /// by hashing.
    fn witnesses_for(&self, peer: PeerId) -> Vec<PeerId> {
        let roster = self.ledger.roster();
        let zone = roster.member(peer).map_or("", |member| member.zone());
        let mut able: Vec<(bool, bool, u64, PeerId)> = roster
            .running()
            .filter(|(other, _)| *other != peer && *other != self.card.id)
            .filter(|(other, _)| !self.ledger.is_silent(*other))
            .map(|(other, member)| {
                let weight = rendezvous::weight(peer.bits(), other);
                (self.is_suspected(other), member.zone() == zone, u64::MAX - weight, other)
            })
            .collect();
        able.sort_unstable();
        able.into_iter().map(|(_, _, _, other)| other).collect()
    }

    fn conclude_looks(&mut self, now: Now) -> Vec<(PeerId, Finding)> {
        let over: Vec<PeerId> = self
            .leader
            .silence
            .looks
            .iter()
            .filter(|(_, look)| {
                look.is_decided(self.card.id) || now.mono >= look.began + ANSWERS_WITHIN
            })
            .map(|(peer, _)| *peer)
            .collect();
        over.into_iter().filter_map(|peer| Some((peer, self.conclude_look(now, peer)?))).collect()
    }

    fn conclude_look(&mut self, now: Now, peer: PeerId) -> Option<Finding> {
        let look = self.leader.silence.looks.remove(&peer)?;
        self.leader.silence.again_at.insert(peer, now.mono + AGAIN_AFTER);
        let at = self.clock.now(now);
        let witnesses: Vec<Testimony> = look
            .asked
            .iter()
            .map(|witness| {
                let said = look.answers.get(witness).copied().flatten();
                let (seen, at) = said.unwrap_or((Seen::Unreachable, at));
                Testimony { witness: *witness, seen, at }
            })
            .collect();
        if witnesses.iter().any(|testimony| testimony.seen.is_life()) {
            self.leader.silence.suspected.remove(&peer);
            return Some(Finding::Answered);
        }
        let expected = self
            .ledger
            .roster()
            .member(peer)
            .is_some_and(|member| member.standing == Running::Running);
        let attested = self.ledger.attested(peer, self.card.id, &witnesses).is_ok();
        if !expected || !attested || self.ledger.is_silent(peer) {
            return None;
        }
        // The kernel's word for a dead process: its host lives. All who looked must have heard it,
        // since a firewall near one of them can say the same.
        let mut looked = witnesses.iter().filter(|testimony| testimony.seen.is_silence());
        let refused = looked.all(|testimony| testimony.seen == Seen::Refused);
        let kind = if refused { Silence::Crashed } else { Silence::Dark };
        if kind == Silence::Crashed && self.is_being_restarted(peer, at.since(look.since)) {
            return None;
        }
        Some(Finding::Attested(Because::Silent { kind, since: look.since, witnesses }))
    }

    /// Whether a crashed agent may be on its way back by itself: a service manager looks after it,
    /// and has not had its time yet.
    fn is_being_restarted(&self, peer: PeerId, lasted: Duration) -> bool {
        let report = self.view.report(peer);
        let managed = report.is_some_and(|report| report.facts.contains_key(SERVICE_MANAGER));
        managed && lasted < self.ledger.settings().restart_grace
    }
}
