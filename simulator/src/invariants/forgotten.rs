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
            if after.is_none_or(|after| silent_at_most(&model, world.time()) < after) {
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
            let most = ended + after + after + RETRIES_WITHIN + FORGOTTEN_WITHIN;
            if world.time() > most {
                return Err(format!("job {name} stopped at {ended:?} and is not forgotten"));
            }
        }
        Ok(())
    }
}

/// For how long a job may have told nothing now.
fn silent_at_most(model: &CallingJob, now: Duration) -> Duration {
    match model.ended {
        // Its last turn may have been up to a turn before it ended.
        Some(ended) => now.saturating_sub(ended) + model.every,
        // It calls on every turn, and is known from its first one on.
        None => model.every.min(now.saturating_sub(model.began)),
    }
}
