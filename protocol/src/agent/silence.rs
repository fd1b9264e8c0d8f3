//! Attesting a silence: gossip only suspects, the leader and its witnesses look for themselves.
//!
//! The leader probes the suspect directly and asks witnesses, other zones first, to do the same.
//! Only when its own probe and theirs agree is an incident opened, with what each of them saw. One
//! successful probe clears the suspicion.

use super::{Agent, Output};
use crate::{
    document::Silence,
    ledger::roster::Standing as Running,
    name::PeerId,
    record::{Because, Seen, Testimony},
    rendezvous,
    time::{Now, Timestamp},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How many witnesses are asked: two are needed, a third makes up for one that does not answer.
pub const WITNESSES: usize = 3;

/// How long answers are waited for: a witness's own probe takes up to 0.6 s.
const ANSWERS_WITHIN: Duration = Duration::from_millis(900);

/// How long after a look that did not attest the silence the leader looks again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// One look at a suspect.
#[derive(Debug, Clone)]
struct Look {
    since: Timestamp,
    began: Duration,
    asked: BTreeSet<PeerId>,
    /// What each of those asked has seen; nothing where it could not be reached.
    answers: BTreeMap<PeerId, Option<(Seen, Timestamp)>>,
}

/// The looks under way, and those that were made.
#[derive(Debug, Clone, Default)]
pub struct Silences {
    looks: BTreeMap<PeerId, Look>,
    again_at: BTreeMap<PeerId, Duration>,
}

impl Silences {
    pub(super) fn forget(&mut self) {
        *self = Self::default();
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
    /// Whether gossip gives cause to look at a peer: it is expected to answer and is not heard.
    fn is_suspect(&self, peer: PeerId) -> bool {
        peer != self.card.id
            && self.view.is_alive(peer) == Some(false)
            && !self.ledger.is_silent(peer)
    }

    /// Whether a peer that an incident calls silent seems to be back.
    fn may_have_returned(&self, peer: PeerId) -> bool {
        self.ledger.is_silent(peer) && self.view.is_alive(peer) == Some(true)
    }

    /// Begins the looks that are due and says what the finished ones found.
    pub(super) fn look_for_silence(
        &mut self,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Vec<(PeerId, Finding)> {
        let running: BTreeSet<PeerId> =
            self.ledger.roster().running().map(|(peer, _)| peer).collect();
        let silences = &mut self.leader.silence;
        silences.looks.retain(|peer, _| running.contains(peer));
        silences.again_at.retain(|_, at| *at > now.mono);
        for peer in running {
            let due = !self.leader.silence.looks.contains_key(&peer)
                && !self.leader.silence.again_at.contains_key(&peer);
            if due && self.is_suspect(peer) {
                self.begin_look(now, peer, WITNESSES, out);
            } else if due && self.may_have_returned(peer) {
                self.begin_look(now, peer, 0, out);
            }
        }
        self.conclude_looks(now)
    }

    fn begin_look(&mut self, now: Now, peer: PeerId, witnesses: usize, out: &mut Vec<Output>) {
        let since = self.view.since(peer).unwrap_or_else(|| self.clock.now(now));
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

    /// Whom to ask, best first: those that gossip hears of, other zones than the suspect's first,
    /// spread by hashing.
    fn witnesses_for(&self, peer: PeerId) -> Vec<PeerId> {
        let roster = self.ledger.roster();
        let zone = roster.member(peer).map_or("", |member| member.zone());
        let mut able: Vec<(bool, bool, u64, PeerId)> = roster
            .running()
            .filter(|(other, _)| *other != peer && *other != self.card.id)
            .filter(|(other, _)| !self.ledger.is_silent(*other))
            .map(|(other, member)| {
                let unheard = self.view.is_alive(other) == Some(false);
                let weight = rendezvous::weight(peer.bits(), other);
                (unheard, member.zone() == zone, u64::MAX - weight, other)
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
                let answered = look.asked.iter().all(|asked| look.answers.contains_key(asked));
                let cleared =
                    look.answers.values().flatten().any(|(seen, _)| *seen == Seen::Reached);
                answered || cleared || now.mono >= look.began + ANSWERS_WITHIN
            })
            .map(|(peer, _)| *peer)
            .collect();
        over.into_iter().filter_map(|peer| Some((peer, self.conclude_look(now, peer)?))).collect()
    }

    fn conclude_look(&mut self, now: Now, peer: PeerId) -> Option<Finding> {
        let look = self.leader.silence.looks.remove(&peer)?;
        self.leader.silence.again_at.insert(peer, now.mono + AGAIN_AFTER);
        let witnesses: Vec<Testimony> = look
            .answers
            .iter()
            .filter_map(|(witness, said)| {
                said.map(|(seen, at)| Testimony { witness: *witness, seen, at })
            })
            .collect();
        if witnesses.iter().any(|testimony| testimony.seen == Seen::Reached) {
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
        let refused = witnesses.iter().all(|testimony| testimony.seen == Seen::Refused);
        let kind = if refused { Silence::Crashed } else { Silence::Dark };
        Some(Finding::Attested(Because::Silent { kind, since: look.since, witnesses }))
    }
}
