//! Who checks in is never forgotten, however long the mesh could not hear him; and who has not for
//! long is.

use super::{CallingJob, Invariant, Observed, Step};
use protocol::ledger::heartbeats::RETRIES_WITHIN;
use std::{collections::BTreeSet, time::Duration};

/// How long after it may be forgotten a job is, at the end, when there was a leader all the time.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(30);

/// Keeps in mind which jobs there were when it looked last.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    known: BTreeSet<String>,
}

impl Invariant for Forgotten {
    fn name(&self) -> &'static str {
        "who checks in is not forgotten, and who does not is"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        if !step.applied {
            return Ok(());
        }
        let truth = world.truth();
        let known: BTreeSet<String> =
            truth.heartbeats().jobs().map(|job| job.name.clone()).collect();
        let before = std::mem::replace(&mut self.known, known);
        for name in before.difference(&self.known) {
            let Some(model) = world.job(name) else { continue };
            let after = truth.library().forgets_soonest();
            if !after.is_some_and(|after| may_be_forgotten(&model, after, world.time())) {
                let (time, ended) = (world.time(), model.ended);
                return Err(format!("job {name}, ended at {ended:?}, is forgotten at {time:?}"));
            }
        }
        Ok(())
    }

    fn at_end(&mut self, world: &dyn Observed) -> Result<(), String> {
        let truth = world.truth();
        for (name, model) in world.jobs() {
            let Some(job) = truth.heartbeats().named(&name).filter(|job| !job.declared) else {
                continue;
            };
            let Some(after) = truth.library().forgets_after(job) else { continue };
            let Some(ended) = model.ended else { continue };
            // What nobody could hear is given back, and that a whole time.
            let after = after.max(model.every * 2);
            let most = ended + after + after + RETRIES_WITHIN + FORGOTTEN_WITHIN;
            if world.time() > most {
                return Err(format!("job {name} stopped at {ended:?} and is not forgotten"));
            }
        }
        Ok(())
    }
}

fn may_be_forgotten(model: &CallingJob, after: Duration, now: Duration) -> bool {
    match model.ended {
        // Its last turn may have been up to a turn before it ended.
        Some(ended) => now.saturating_sub(ended) + model.every >= after,
        // However seldom it comes. What had ended before it began again is another matter.
        None => now.saturating_sub(model.began) < Duration::from_secs(5),
    }
}
