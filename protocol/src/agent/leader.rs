//! The leader's duties: worked out afresh from view, ledger and now after every input.
//!
//! Nothing is remembered between two looks but what is on its way to the log, so a new leader
//! takes over where the old one was cut off. Each incident takes one step at a time; the
//! ledger refuses whatever does not fit what was committed meanwhile.

mod aggregates;
mod check_in;
mod guests;
mod heartbeats;
mod ladders;
mod message;
mod minority;
mod notices;
mod returns;
mod steps;
mod storm;
mod waits;
mod watch;

pub use aggregates::Count;
pub use heartbeats::MISSED_AFTER;

use super::{Agent, Output, Proposal, silence::Finding, silence::Silences, voters};
use crate::{
    document::Verdict,
    ledger::{
        self,
        roster::{Member, Standing as Running},
    },
    name::{Name, PeerId},
    record::{Because, Position, Record},
    report::CheckState,
    time::{Now, Timestamp},
};
use aggregates::Counted;
use check_in::Switch;
use heartbeats::Deadlines;
use minority::Minority;
use notices::Sendings;
use std::{collections::BTreeMap, time::Duration};
use storm::Storms;
use watch::Watch;

/// How long a decision may be on its way before it is made again.
const PROPOSE_AGAIN: Duration = Duration::from_secs(5);

/// How long after a decision that was refused or lost the next is made about the same thing.
const AFTER_REFUSAL: Duration = Duration::from_millis(200);

/// How long after it began to lead the leader takes a peer for unheard of that gossip has not told
/// of at all: it fell silent before this peer's gossip began, so that nothing will ever be told.
const TOLD_WITHIN: Duration = Duration::from_secs(15);

/// How long before a failed change of the Raft group's members is tried again.
const MEMBERS_AGAIN: Duration = Duration::from_millis(500);

/// A decision on its way to the log.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    /// When it may be made again at the latest.
    until: Duration,
    /// Where the log has it: the replica has to get there first.
    at: Option<u64>,
}

/// What the leader has under way. A peer that does not lead has nothing but its watch.
#[derive(Debug, Clone, Default)]
pub struct Leader {
    pub(super) silence: Silences,
    pub(super) notices: Sendings,
    pub(super) minority: Minority,
    /// Whether many peers are silent at once.
    pub(super) storm: Storms,
    /// The calls of the outside dead-man's switch.
    pub(super) check_in: Switch,
    /// When jobs are missed.
    pub(super) deadlines: Deadlines,
    /// What may still act; kept whoever leads, since anyone may lead next.
    pub(super) watch: Watch,
    under_way: BTreeMap<Proposal, UnderWay>,
    /// What was made of each aggregate check.
    aggregates: BTreeMap<Name, Counted>,
    /// What alerts say of each guest.
    guests: BTreeMap<(PeerId, Name), CheckState>,
    /// Since when this peer leads.
    since: Option<Duration>,
    members_due: Duration,
    changing_members: bool,
    /// Since when checks of each ladder have been seen to fail.
    ladders: BTreeMap<Name, Timestamp>,
}

impl Leader {
    /// Forgets everything: this peer does not lead, or not in the same term.
    pub(super) fn rest(&mut self) {
        self.silence.forget();
        self.minority.rest();
        self.notices.forget();
        self.storm.forget();
        self.check_in.forget();
        self.deadlines.forget();
        self.under_way.clear();
        self.aggregates.clear();
        self.guests.clear();
        self.ladders.clear();
        self.since = None;
        self.changing_members = false;
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let proposals = self.under_way.values().map(|way| way.until).min();
        let own = [self.silence.next_due(), self.notices.next_due(), self.storm.next_due()];
        own.into_iter().chain([self.check_in.next_due(), proposals]).flatten().min()
    }

    pub(super) fn proposed(
        &mut self,
        now: Now,
        proposal: &Proposal,
        result: &Result<(Position, ledger::Outcome), String>,
    ) {
        let Some(way) = self.under_way.get_mut(proposal) else { return };
        match result {
            Ok((position, Ok(_))) => way.at = Some(position.index),
            Ok((_, Err(_))) | Err(_) => way.until = now.mono + AFTER_REFUSAL,
        }
    }

    pub(super) fn members_changed(&mut self, now: Now, done: bool) {
        self.changing_members = false;
        self.members_due = now.mono + if done { Duration::ZERO } else { MEMBERS_AGAIN };
    }
}

impl Agent {
    /// Everything that the leader owes the mesh now.
    pub(super) fn lead(&mut self, now: Now, out: &mut Vec<Output>) {
        let applied = self.ledger.position().index;
        self.leader
            .under_way
            .retain(|_, way| way.until > now.mono && way.at.is_none_or(|at| at > applied));
        self.suspect_the_untold(now);
        self.open_failing_checks(now, out);
        self.look_after_guests(now, out);
        self.count_aggregates(now, out);
        self.open_ladders(now, out);
        self.watch_heartbeats(now, out);
        self.attest_silence(now, out);
        self.step_down(now, out);
        self.watch_attempts(now);
        self.watch_for_storms(now, out);
        self.step_incidents(now, out);
        self.call_again(now, out);
        self.send_notices(now, out);
        self.call_the_switch(now, out);
        self.appoint_voters(now, out);
    }

    /// Keeps in mind since when each attempt may act.
    pub(super) fn watch_attempts(&mut self, now: Now) {
        let in_flight = self
            .ledger
            .open_incidents()
            .filter_map(|incident| Some((incident.id, incident.in_flight()?.number)));
        self.leader.watch.see(in_flight, now.mono);
    }

    /// Whom gossip has told nothing of by now, it does not hear. Only of its own cell, since
    /// gossip tells of no other.
    fn suspect_the_untold(&mut self, now: Now) {
        let since = *self.leader.since.get_or_insert(now.mono);
        if now.mono < since + TOLD_WITHIN {
            return;
        }
        let at = self.clock.now(now);
        let has_had_time = |peer: &PeerId| {
            let member = self.ledger.roster().member(*peer);
            member.is_some_and(|member| at.since(member.since) >= TOLD_WITHIN)
        };
        let expected = self.expected().cell.iter().copied();
        let untold: Vec<PeerId> = expected
            .filter(|peer| *peer != self.card.id && self.view.is_alive(*peer).is_none())
            .filter(has_had_time)
            .collect();
        for peer in untold {
            self.view.set_liveness(peer, false, at);
        }
    }

    /// Proposes a decision unless the same one is on its way.
    fn propose(&mut self, now: Now, proposal: Proposal, record: Record, out: &mut Vec<Output>) {
        if self.leader.under_way.contains_key(&proposal) {
            return;
        }
        let way = UnderWay { until: now.mono + PROPOSE_AGAIN, at: None };
        self.leader.under_way.insert(proposal.clone(), way);
        let entry = self.entry(now, record);
        out.push(Output::Propose { proposal, entry });
    }

    /// Level-triggered: a check that fails without an open incident opens one, whenever and by
    /// whomever it is seen.
    fn open_failing_checks(&mut self, now: Now, out: &mut Vec<Output>) {
        let mut failing: Vec<(PeerId, Because)> = Vec::new();
        for (peer, report, checks) in self.view.ailing() {
            let Some(member) = self.ledger.roster().member(peer) else { continue };
            let heard = peer == self.card.id || self.view.is_alive(peer) != Some(false);
            let is_current = report.generation == member.card.generation;
            if !heard || !is_current || member.standing != Running::Running {
                continue;
            }
            for check in checks {
                let meant = self.ledger.library().check(check);
                if meant.is_none_or(|meant| !meant.selector.fits(&member.card.labels)) {
                    continue;
                }
                // What a ladder mends is not mended one by one.
                if self.on_a_ladder(check, &member.card.labels) {
                    continue;
                }
                let Some(state) = report.checks.get(check) else { continue };
                if state.is_left_alone() {
                    continue;
                }
                let because = failure(check, state);
                if self.is_a_case(peer, &because) && self.ledger.is_news(peer, &because).is_ok() {
                    failing.push((peer, because));
                }
            }
        }
        for (peer, because) in failing {
            let Because::Check { check, .. } = &because else { continue };
            let proposal = Proposal::Open(peer, check.clone());
            self.propose(now, proposal, Record::Opened { peer, because }, out);
        }
    }

    /// What fails is an incident whether or not a runbook answers; a warning only where one does.
    fn is_a_case(&self, peer: PeerId, because: &Because) -> bool {
        let Because::Check { verdict, .. } = because else { return true };
        let member = self.ledger.roster().member(peer);
        *verdict == Verdict::Fail
            || member.is_some_and(|member| {
                self.ledger.library().runbook_for(because, &member.card.labels).is_some()
            })
    }

    fn attest_silence(&mut self, now: Now, out: &mut Vec<Output>) {
        for (peer, finding) in self.look_for_silence(now, out) {
            match finding {
                Finding::Attested(because) => {
                    let record = Record::Opened { peer, because };
                    self.propose(now, Proposal::OpenSilence(peer), record, out);
                }
                Finding::Answered => {
                    // What still acts has to end first; the peer is looked at again until then.
                    let silence = self.ledger.silence_of(peer);
                    let returned = silence.filter(|silence| silence.in_flight().is_none());
                    if let Some(incident) = returned.filter(|silence| silence.may_clear())
                        && let Some(because) = self.returned(incident, now)
                    {
                        let incident = incident.id;
                        let record = Record::Resolved { incident, because };
                        self.propose(now, Proposal::Step(incident), record, out);
                    }
                }
            }
        }
    }

    fn appoint_voters(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.leader.changing_members || now.mono < self.leader.members_due {
            return;
        }
        let settings = self.ledger.settings();
        let at = self.clock.now(now);
        let roster = self.ledger.roster();
        let candidate = |(peer, member): (PeerId, &Member)| {
            let me = peer == self.card.id;
            // Voters are of the leader's cell: of another gossip would not tell that one is gone.
            let alive = me || (self.is_heard(peer) && !self.is_of_another_cell(peer));
            let silent_since = self.view.since(peer).filter(|_| !alive);
            let unheard = silent_since.map(|since| at.since(since));
            voters::Candidate {
                peer,
                raft_id: member.card.raft_id,
                zone: member.zone().to_owned(),
                healthy: alive && member.standing == Running::Running,
                gone: unheard.is_some_and(|unheard| unheard > settings.voter_gone_after),
            }
        };
        let voters = self.standing.voters.keys();
        let voting: Vec<voters::Candidate> =
            voters.filter_map(|peer| Some(candidate((*peer, roster.member(*peer)?)))).collect();
        // The usual case: nobody else has to be looked at.
        if voters::is_complete(self.card.id, &self.standing, &voting, settings.voters_max) {
            return;
        }
        let candidates: Vec<voters::Candidate> = roster.members().map(candidate).collect();
        let change = voters::next_change(
            self.card.id,
            &self.standing.voters,
            &self.standing.learners,
            &candidates,
            settings.voters_max,
        );
        if let Some(change) = change {
            self.leader.changing_members = true;
            out.push(Output::ChangeMembers(change));
        }
    }
}

fn failure(check: &Name, state: &CheckState) -> Because {
    Because::Check {
        check: check.clone(),
        verdict: state.verdict,
        since: state.since,
        summary: state.summary.clone(),
    }
}
