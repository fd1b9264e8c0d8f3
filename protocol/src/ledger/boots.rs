//! Which boot each host is in, and which reboots were seen.
//!
//! A rung that is to reboot a host dies with it where the host runs it itself, and where another
//! host cuts its power nobody sees the operating system come up. What tells is the boot id: the
//! kernel draws a new one at every boot, and the host's own daemon says which. Whatever the
//! execution's own outcome was, such a rung counts as done when the host is back with another boot
//! id than it had when the rung was given out, and as failed when it is not by the time that the
//! rung settles.

use super::{
    Context, Effect, Ledger, Outcome,
    attempts::after_attempt,
    incident::{Fact, Incident, Reboot, State},
};
use crate::{
    name::{IncidentId, PeerId},
    record::{self, Part},
    refusal::Refusal,
    time::Timestamp,
};

/// The longest boot id; the kernel's has 36 characters.
pub const BOOT_ID_BYTES_MAX: usize = 64;

impl Ledger {
    /// A host says which boot it is in.
    pub(super) fn boot(&mut self, context: &Context, peer: PeerId, boot_id: &str) -> Outcome {
        let fits = !boot_id.is_empty() && boot_id.bytes().all(|byte| byte.is_ascii_graphic());
        if boot_id.len() > BOOT_ID_BYTES_MAX || !fits {
            let limit_bytes = u64::try_from(BOOT_ID_BYTES_MAX).unwrap_or(u64::MAX);
            return Err(Refusal::TooLarge { what: "the boot id".to_owned(), limit_bytes });
        }
        self.roster.boot(context, peer, boot_id)?;
        let waiting: Vec<IncidentId> = self
            .open_incidents()
            .filter(|incident| is_another_boot(incident, peer, boot_id))
            .map(|incident| incident.id)
            .collect();
        for id in waiting {
            let Some(incident) = self.incidents.get_mut(&id) else { continue };
            let awaited = incident.awaits_reboot();
            let Some(attempt) = incident.attempts.last_mut() else { continue };
            attempt.reboot = Reboot::Seen(boot_id.to_owned());
            let (number, rung) = (attempt.number, attempt.rung);
            incident.note(context.at, context.by, Fact::Rebooted(number));
            // One that still runs is judged when it has ended.
            if awaited {
                after_attempt(incident, (rung, Part::Act), record::Outcome::Succeeded, context.at);
            }
            self.index_incident(id);
        }
        Ok(Effect::Done)
    }

    /// The host did not come back with another boot id by the time that its rung settled.
    pub(super) fn not_rebooted(
        &mut self,
        context: &Context,
        id: IncidentId,
        number: u32,
    ) -> Outcome {
        let incident = self.still_open(id)?;
        let wrong = |why: &str| Refusal::WrongState { incident: id, why: why.to_owned() };
        let due = incident.reboot_due().ok_or_else(|| wrong("no reboot is waited for"))?;
        if context.at < due {
            return Err(Refusal::Settling { until: due });
        }
        let Some(attempt) = incident.attempts.last_mut().filter(|last| last.number == number)
        else {
            return Err(wrong("it is not the last attempt"));
        };
        attempt.reboot = Reboot::Missed;
        let rung = attempt.rung;
        incident.note(context.at, context.by, Fact::NotRebooted(number));
        after_attempt(incident, (rung, Part::Act), record::Outcome::Failed, context.at);
        Ok(Effect::Done)
    }
}

/// Whether the last execution waits for this peer to be in another boot, and this is one.
fn is_another_boot(incident: &Incident, peer: PeerId, boot_id: &str) -> bool {
    incident.last_attempt().is_some_and(|attempt| {
        let target = incident.rung(attempt.rung).map(|rung| incident.target_of(rung));
        attempt.reboot == Reboot::Awaited
            && target == Some(peer)
            && attempt.outcome() != Some(record::Outcome::Refused)
            && attempt.boot_id.as_deref().is_some_and(|before| before != boot_id)
    })
}

impl Incident {
    /// Whether the last execution has ended and is judged by whether its host is back with another
    /// boot id, which is not known yet.
    pub fn awaits_reboot(&self) -> bool {
        self.reboot_due().is_some()
    }

    /// By when the host has to be back with another boot id, while that is waited for.
    pub fn reboot_due(&self) -> Option<Timestamp> {
        let attempt = self.last_attempt().filter(|attempt| {
            attempt.reboot == Reboot::Awaited && attempt.outcome() != Some(record::Outcome::Refused)
        })?;
        Some(attempt.ended_at?.plus(self.rung(attempt.rung)?.settle))
    }

    /// That the last execution waits for a reboot from now on.
    pub(super) fn await_reboot(&mut self, rung: u32) {
        self.state = State::Verifying;
        self.held = None;
        self.not_before = None;
        self.climbed = rung;
        self.next_part = Part::Act;
    }
}
