//! What is for a guest is run once: by one surgeon, the one whose claim the log took, and never
//! after the log had taken it back, ended it, or while the mesh was frozen.
//!
//! Whose claim that is follows from the log alone: the first one about an attempt that comes while
//! the mesh is not frozen and the attempt is not taken back.

use super::{AttemptKey, Invariant, Observed, Operation, Step};
use protocol::{
    order::Action,
    record::{Outcome, Record},
};
use std::collections::BTreeMap;

/// Who holds which attempt, by what the log says.
#[derive(Debug, Default)]
pub(super) struct Surgeons {
    /// How much of the log was read.
    read: usize,
    /// How many operations were looked at.
    seen: usize,
    frozen: bool,
    /// Which claim holds an attempt, and where it stands in the log.
    held: BTreeMap<AttemptKey, ([u8; 32], u64)>,
    /// What was taken back before anybody held it.
    taken_back: BTreeMap<AttemptKey, u64>,
    /// Who ran what.
    ran: BTreeMap<AttemptKey, String>,
}

impl Invariant for Surgeons {
    fn name(&self) -> &'static str {
        "what is for a guest is run once, and by who claimed it"
    }

    fn after(&mut self, world: &dyn Observed, _step: &Step<'_>) -> Result<(), String> {
        while let Some(logged) = world.log().get(self.read) {
            self.read += 1;
            if let Some(entry) = &logged.entry {
                self.learn(logged.position.index, &entry.record);
            }
        }
        for operation in world.operations().iter().skip(self.seen) {
            self.may_run(operation)?;
            self.seen += 1;
        }
        self.nothing_that_ran_is_called_not_run(world)
    }
}

impl Surgeons {
    fn learn(&mut self, index: u64, record: &Record) {
        match record {
            Record::Claimed { incident, attempt, operation } => {
                let key = (*incident, *attempt);
                if !self.frozen && !self.taken_back.contains_key(&key) {
                    self.held.entry(key).or_insert((*operation, index));
                }
            }
            Record::Withdrawn { incident, attempt, .. } => {
                let key = (*incident, *attempt);
                if !self.held.contains_key(&key) {
                    self.taken_back.entry(key).or_insert(index);
                }
            }
            Record::Ordered { order } => match &order.order.action {
                Action::Freeze { .. } => self.frozen = true,
                Action::Thaw => self.frozen = false,
                Action::CreateToken(_)
                | Action::RemovePeer { .. }
                | Action::Approve { .. }
                | Action::Deny { .. }
                | Action::Acknowledge { .. }
                | Action::Close { .. }
                | Action::StartMaintenance { .. }
                | Action::EndMaintenance { .. }
                | Action::RunRunbook { .. } => {}
            },
            Record::Founded(_)
            | Record::PeerJoined { .. }
            | Record::PeerStarted { .. }
            | Record::PeerStopped { .. }
            | Record::PeerLeft { .. }
            | Record::DocumentsApplied { .. }
            | Record::Opened { .. }
            | Record::EvidenceTaken { .. }
            | Record::Assigned { .. }
            | Record::Reported { .. }
            | Record::Lost { .. }
            | Record::Held { .. }
            | Record::Resolved { .. }
            | Record::Escalated { .. }
            | Record::Called { .. }
            | Record::Notified { .. }
            | Record::Skipped { .. }
            | Record::Restarted { .. }
            | Record::CalledAgain { .. }
            | Record::Booted { .. }
            | Record::Alerted { .. }
            | Record::Streamed { .. }
            | Record::JobsTold { .. }
            | Record::Missed { .. }
            | Record::Forgotten { .. }
            | Record::Listening
            | Record::Operated { .. }
            | Record::NotRebooted { .. } => {}
        }
    }

    fn may_run(&mut self, operation: &Operation) -> Result<(), String> {
        let (incident, attempt) = operation.key;
        let what = format!("{} runs attempt {attempt} of {incident}", operation.by);
        if let Some(other) = self.ran.insert(operation.key, operation.by.clone()) {
            return Err(format!("{what}, which {other} has run"));
        }
        if let Some(index) = self.taken_back.get(&operation.key) {
            return Err(format!("{what}, which entry {index} of the log took back"));
        }
        if operation.was_over {
            return Err(format!("{what}, which the log had ended when it was handed over"));
        }
        match self.held.get(&operation.key) {
            None => Err(format!("{what}, which no claim that the log took is about")),
            Some((_, index)) if *index > operation.committed => {
                Err(format!("{what}, and its claim came into the log afterwards, as {index}"))
            }
            Some((hash, index)) if *hash != operation.hash => {
                Err(format!("{what}, which another's claim holds since entry {index}"))
            }
            Some(_) => Ok(()),
        }
    }

    fn nothing_that_ran_is_called_not_run(&self, world: &dyn Observed) -> Result<(), String> {
        for ((id, number), by) in &self.ran {
            let incident = world.truth().incidents().get(id);
            let attempts = incident.map_or(&[][..], |incident| &incident.attempts);
            let attempt = attempts.iter().find(|attempt| attempt.number == *number);
            if attempt.and_then(|attempt| attempt.outcome()) == Some(Outcome::Refused) {
                return Err(format!(
                    "attempt {number} of {id} has not run for the log, and {by} ran it"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::name::IncidentId;
    use std::time::Duration;

    const KEY: AttemptKey = (IncidentId(5), 1);

    fn claim(hash: u8) -> Record {
        Record::Claimed { incident: KEY.0, attempt: KEY.1, operation: [hash; 32] }
    }

    fn ran(hash: u8, committed: u64) -> Operation {
        Operation {
            key: KEY,
            by: "surgeon 1 of old-db".to_owned(),
            hash: [hash; 32],
            committed,
            was_over: false,
            began: Duration::ZERO,
        }
    }

    fn after(records: &[Record]) -> Surgeons {
        let mut surgeons = Surgeons::default();
        for (index, record) in (1..).zip(records) {
            surgeons.learn(index, record);
        }
        surgeons
    }

    fn refused(surgeons: &mut Surgeons, operation: &Operation, because: &str) {
        let error = surgeons.may_run(operation).unwrap_err();
        assert!(error.contains(because), "{error}");
    }

    #[test]
    fn only_the_first_claim_is_run_and_only_once() {
        let both = [claim(1), claim(2)];
        refused(&mut after(&both), &ran(2, 9), "another's claim");
        let mut surgeons = after(&both);
        assert_eq!(surgeons.may_run(&ran(1, 9)), Ok(()));
        refused(&mut surgeons, &ran(1, 9), "has run");
        refused(&mut after(&both), &ran(1, 0), "afterwards");
        refused(&mut after(&[]), &ran(1, 9), "no claim");
        refused(&mut after(&both), &Operation { was_over: true, ..ran(1, 9) }, "had ended");
    }

    #[test]
    fn what_was_taken_back_is_nobodys() {
        let (incident, attempt) = KEY;
        let withdrawn = Record::Withdrawn { incident, attempt, reason: String::new() };
        refused(&mut after(&[withdrawn.clone(), claim(1)]), &ran(1, 9), "took back");
        // It comes too late: the ledger refuses it.
        assert_eq!(after(&[claim(1), withdrawn]).may_run(&ran(1, 9)), Ok(()));
    }
}
