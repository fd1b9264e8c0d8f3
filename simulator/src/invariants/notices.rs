//! People are told at least once, and not too often: a notice that the log calls delivered has
//! reached its channel, and it is repeated only where a leader may have died in between.

use super::{Invariant, Observed, Step};

/// Looks at each step for itself.
#[derive(Debug)]
pub(super) struct Notices;

impl Invariant for Notices {
    fn name(&self) -> &'static str {
        "notices reach people at least once and are seldom repeated"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        if !step.applied {
            return Ok(());
        }
        // One for each leader, and one for each time that its answer was late.
        let most = world.elections().saturating_mul(2).saturating_add(1);
        if let Some(((incident, notice), times)) =
            world.received().iter().find(|(_, times)| **times > most)
        {
            return Err(format!("notice {notice} of {incident} was sent {times} times"));
        }
        for incident in world.truth().incidents().values() {
            for notice in &incident.notices {
                let delivered = matches!(notice.done, Some((_, true, _)));
                if delivered && !world.received().contains_key(&(incident.id, notice.number)) {
                    return Err(format!(
                        "notice {} of {} is delivered for the log and reached nobody",
                        notice.number, incident.id
                    ));
                }
            }
        }
        Ok(())
    }
}
