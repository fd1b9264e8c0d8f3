//! Guests: the leader sees for them what they cannot see themselves, and waits for their surgeons.

use super::{Agent, Output, Proposal, failure};
use crate::{
    document::{Probe, Verdict},
    ledger::incident::Incident,
    name::{Name, PeerId},
    record::Record,
    report::CheckState,
    time::{Now, Timestamp},
};
use std::{collections::BTreeMap, time::Duration};

impl Agent {
    /// Holds every check of alerts against every guest that it is for, and opens an incident about
    /// each that fires.
    pub(super) fn look_after_guests(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.ledger.roster().guests().next().is_none() {
            self.leader.guests.clear();
            return;
        }
        let at = self.clock.now(now);
        let before = std::mem::take(&mut self.leader.guests);
        self.leader.guests = self.states_of_guests(&before, at);
        let firing: Vec<(PeerId, Name, CheckState)> = self
            .leader
            .guests
            .iter()
            .filter(|(_, state)| state.verdict == Verdict::Fail)
            .map(|((guest, check), state)| (*guest, check.clone(), state.clone()))
            .collect();
        for (peer, check, state) in firing {
            let because = failure(&check, &state);
            if self.ledger.is_news(peer, &because).is_ok() {
                let record = Record::Opened { peer, because };
                self.propose(now, Proposal::OpenGuest(peer, check), record, out);
            }
        }
    }

    fn states_of_guests(
        &self,
        before: &BTreeMap<(PeerId, Name), CheckState>,
        at: Timestamp,
    ) -> BTreeMap<(PeerId, Name), CheckState> {
        let mut states = BTreeMap::new();
        for check in self.ledger.library().checks() {
            let Probe::Alert(probe) = &check.probe else { continue };
            for (guest, member) in self.ledger.roster().guests() {
                if !check.selector.fits(&member.card.labels) {
                    continue;
                }
                let (verdict, summary, since) = self.alerts_about(member, probe, at);
                let key = (guest, check.name.clone());
                let same = before.get(&key).filter(|state| state.verdict == verdict);
                let since = same.map_or(since, |state| state.since);
                let state = CheckState {
                    verdict,
                    since,
                    summary,
                    verified: None,
                    flapping: false,
                    muted_by: None,
                };
                states.insert(key, state);
            }
        }
        states
    }

    /// How long a guest's surgeon has to ask for what is given to it; nothing for a peer.
    pub(super) fn claim_within(&self, worker: PeerId) -> Option<Duration> {
        let roster = self.ledger.roster();
        let member = roster.member(worker).filter(|_| roster.is_guest(worker))?;
        let mut guests = self.ledger.library().guests();
        let guest = guests.find(|guest| guest.name == member.card.name);
        guest.map(|guest| guest.claim_within)
    }

    /// Takes back what no surgeon has asked for: in time, or because it is not needed any more.
    pub(super) fn unclaimed(&self, incident: &Incident, at: Timestamp) -> Option<Record> {
        let attempt = incident.in_flight()?;
        if !self.ledger.guests().waits(incident.id, attempt.number) {
            return None;
        }
        let name = self.ledger.roster().name(attempt.worker);
        let reason = if at > attempt.start_by {
            format!("no surgeon of {name} asked for it until {}", attempt.start_by)
        } else {
            let because = self.has_cleared(incident)?;
            format!("no surgeon of {name} had asked for it when {because}")
        };
        Some(Record::Withdrawn { incident: incident.id, attempt: attempt.number, reason })
    }
}
