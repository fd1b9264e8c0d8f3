//! No miss is invented and none is lost: a job that checks in as often as it promised, and tries
//! again when it is sent back, is never called missed, whoever leads or dies; and one that has
//! stopped for long is.

use super::{Invariant, Observed, Step};
use protocol::{heartbeat::Schedule, ledger::heartbeats::RETRIES_WITHIN};
use std::{collections::BTreeMap, time::Duration};

/// How long after it may be missed a job is missed, at the end, when there was a leader all the time.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

/// Keeps in mind how often each job was missed when it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    misses: BTreeMap<String, u32>,
}

impl Invariant for Heartbeats {
    fn name(&self) -> &'static str {
        "no miss is invented and none is lost"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        if !step.applied {
            return Ok(());
        }
        for job in world.truth().heartbeats().jobs() {
            let before = self.misses.insert(job.name.clone(), job.misses).unwrap_or(0);
            if job.misses <= before {
                continue;
            }
            let Schedule::Every { period } = job.pace.schedule else { continue };
            let Some(model) = world.job(&job.name) else { continue };
            if period < model.every {
                continue;
            }
            let allowed = period + job.pace.grace;
            let late = match model.ended {
                // Its last turn may have been up to a turn before it ended.
                Some(ended) => world.time().saturating_sub(ended) + model.every >= allowed,
                // It had not checked in at all before it began.
                None => world.time().saturating_sub(model.began) < Duration::from_secs(5),
            };
            if !late {
                return Err(format!(
                    "job {} is missed at {:?} and checks in",
                    job.name,
                    world.time()
                ));
            }
        }
        Ok(())
    }

    fn at_end(&mut self, world: &dyn Observed) -> Result<(), String> {
        for (name, model) in world.jobs() {
            let Some(ended) = model.ended else { continue };
            let Some(job) = world.truth().heartbeats().named(&name) else { continue };
            let Schedule::Every { period } = job.pace.schedule else { continue };
            let due = ended + period + job.pace.grace;
            // What nobody could hear is given back, and that a whole time.
            let most = due + period + job.pace.grace + RETRIES_WITHIN + FOUND_WITHIN;
            if world.time() > most && job.trouble.is_none() {
                return Err(format!("job {name} stopped at {ended:?} and is not missed"));
            }
        }
        Ok(())
    }
}
