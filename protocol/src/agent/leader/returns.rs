//! What is said of a silent peer that answers again: by itself, after a reboot, or without one.

use super::Agent;
use crate::{
    agent::BOOT_ID,
    ledger::incident::{Incident, Reboot},
    record::{Outcome, Part},
    time::Now,
};
use std::time::Duration;

/// How long a peer is heard of before it is said that it was not rebooted: by then the log has what
/// a daemon that was started anew says first, its start and its boot id.
const HEARD_FOR: Duration = Duration::from_secs(3);

impl Agent {
    /// How the peer of a silence is back; nothing while it is not known whether it was rebooted.
    pub(super) fn returned(&self, incident: &Incident, now: Now) -> Option<String> {
        const BACK: &str = "the peer answers again";
        let to_reboot = incident.attempts.iter().rev().find(|attempt| {
            attempt.part == Part::Act
                && attempt.reboot != Reboot::NotMeant
                && attempt.outcome().is_some_and(|outcome| outcome != Outcome::Refused)
        });
        let Some(attempt) = to_reboot else { return Some(BACK.to_owned()) };
        let before = attempt.boot_id.as_deref();
        if let (Reboot::Seen(after), Some(before)) = (&attempt.reboot, before) {
            return Some(format!("{BACK}, back with another boot id: {before} -> {after}"));
        }
        let member = self.ledger.roster().member(incident.peer)?;
        // By gossip, or by a start of its daemon that the log has.
        let gossip = self.view.since(incident.peer);
        let gossip = gossip.filter(|_| self.view.is_alive(incident.peer) == Some(true));
        let started = Some(member.since).filter(|since| *since > incident.opened_at);
        let heard_since = started.or(gossip)?;
        if self.clock.now(now).since(heard_since) < HEARD_FOR {
            return None;
        }
        // The log has what the peer says of its boot a moment after the peer has said it.
        let report = self.view.report(incident.peer);
        let report = report.filter(|report| report.generation == member.card.generation)?;
        let says = report.facts.get(BOOT_ID).map(String::as_str);
        match (before, says) {
            (Some(before), Some(says)) if says == before => {
                Some(format!("{BACK} with the same boot id {before}: it was not rebooted"))
            }
            (Some(_), Some(says)) if member.boot_id.as_deref() != Some(says) => None,
            (Some(before), Some(says)) => {
                Some(format!("{BACK}, back with another boot id: {before} -> {says}"))
            }
            (None, _) | (_, None) => {
                Some(format!("{BACK}; whether it was rebooted is not known without its boot ids"))
            }
        }
    }
}
