//! What a peer tells the mesh of itself: that it runs or stops, which boot its host is in, and how
//! it is. A fact is sent to the leader again until the log has it.

use super::{Agent, BOOT_ID, Forwarding, Output, doubt};
use crate::{
    ledger::{self, roster::Standing as Running},
    record::Record,
    report::Report,
    time::Now,
};
use std::time::Duration;

/// How long until something that was forwarded is forwarded again.
const FORWARD_AGAIN: Duration = Duration::from_secs(1);

impl Agent {
    /// Says that this peer runs, or that it stops, until the log has it.
    pub(super) fn announce(&mut self, now: Now, out: &mut Vec<Output>) {
        let place = Some(self.ledger.position());
        if self.announced == place && self.stopping.is_none() {
            return;
        }
        let Some(member) = self.ledger.roster().member(self.card.id) else { return };
        let (forwarding, record) = match self.stopping {
            Some(true) => (Forwarding::Leave, Record::PeerLeft { peer: self.card.id }),
            Some(false) if member.standing == Running::Stopped => return,
            Some(false) => (Forwarding::Stop, Record::PeerStopped { peer: self.card.id }),
            None if member.standing == Running::Running && member.card == self.card => {
                self.announced = place;
                self.forwarded.remove(&Forwarding::Start);
                return;
            }
            None => (Forwarding::Start, Record::PeerStarted { peer: self.card.clone() }),
        };
        self.forward(now, forwarding, record, out);
    }

    /// Says which boot its host is in, once the log knows this start of the daemon, until the log
    /// has that as well.
    pub(super) fn announce_boot(&mut self, now: Now, out: &mut Vec<Output>) {
        let place = Some(self.ledger.position());
        if self.announced_boot == place {
            return;
        }
        let Some(boot_id) = self.facts.get(BOOT_ID) else { return };
        let member = self.ledger.roster().member(self.card.id);
        let known = member.filter(|member| member.card.generation == self.card.generation);
        if known.is_none_or(|known| known.boot_id.as_ref() == Some(boot_id)) {
            self.announced_boot = place;
            self.forwarded.remove(&Forwarding::Boot);
            return;
        }
        let record = Record::Booted { peer: self.card.id, boot_id: boot_id.clone() };
        self.forward(now, Forwarding::Boot, record, out);
    }

    /// Makes this peer's report and passes it on: to gossip, and to the leader directly.
    pub(super) fn tell(&mut self, now: Now, out: &mut Vec<Output>) {
        self.sequence += 1;
        let mut facts = self.facts.clone();
        if let Some(why) = self.doubt.why(now.mono) {
            facts.insert(doubt::FACT.to_owned(), why.to_owned());
        }
        self.facts_told = facts.clone();
        facts.extend(self.told_of_check_in());
        facts.extend(self.told_of_notices());
        let report = Report {
            peer: self.card.id,
            generation: self.card.generation,
            sequence: self.sequence,
            checks: self.checks.states(),
            facts,
        };
        self.view.hear_own(report.clone());
        out.push(Output::Publish(report));
    }

    /// Sends a fact to the leader, now and again until the log has it.
    pub(crate) fn forward(
        &mut self,
        now: Now,
        forwarding: Forwarding,
        record: Record,
        out: &mut Vec<Output>,
    ) {
        if self.forwarded.get(&forwarding).is_some_and(|due| *due > now.mono) {
            return;
        }
        self.forwarded.insert(forwarding.clone(), now.mono + FORWARD_AGAIN);
        let entry = self.entry(now, record);
        out.push(Output::Forward { forwarding, entry });
    }

    pub(super) fn forwarded_back(
        &mut self,
        now: Now,
        forwarding: &Forwarding,
        result: &Result<ledger::Outcome, String>,
    ) {
        match result {
            // The log has it; the replica will show it.
            Ok(Ok(_)) => {}
            Ok(Err(_refusal)) => match forwarding {
                Forwarding::Report(incident, attempt) => {
                    self.worker.drop_report(*incident, *attempt);
                }
                Forwarding::Evidence(incident) => self.worker.drop_evidence(*incident),
                Forwarding::Start | Forwarding::Stop | Forwarding::Leave | Forwarding::Boot => {}
            },
            Err(_not_reached) => {
                let again = now.mono + FORWARD_AGAIN / 4;
                if let Some(due) = self.forwarded.get_mut(forwarding) {
                    *due = again.min(*due);
                }
            }
        }
    }

    pub(crate) fn forget_forwarding(&mut self, forwarding: &Forwarding) {
        self.forwarded.remove(forwarding);
    }
}
