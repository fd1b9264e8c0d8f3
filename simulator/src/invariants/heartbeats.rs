//! No miss is invented and none is lost: a job that checks in as often as it promised, and tries
//! again when it is sent back, is never called missed, whoever leads or dies; and one that has
//! stopped for long is.

use super::{CallingJob, Invariant, Observed, Step};
use protocol::{
    heartbeat::{Rule, Schedule},
    ledger::heartbeats::{Job, RETRIES_WITHIN},
};
use std::{collections::BTreeMap, time::Duration};

/// How long after it may be missed a job is missed, at the end, when there was a leader all the time.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

/// So many turns after its first one a job's pace is known: it was learned from nine check-ins.
const KNOWN_AFTER: u32 = 8;

/// After so many of its turns a job that always came in time is late by what was learned of it,
/// whatever the mesh did not hear of it.
const LEARNED_MOST: u32 = 2;

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
            let Some(model) = world.job(&job.name) else { continue };
            let Some(allowed) = least(job, &model) else { continue };
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
            let Some(job) = world.truth().heartbeats().named(&name) else { continue };
            let Some(waits) = most(job, &model) else { continue };
            if let Schedule::Learned { by } = &job.pace.schedule
                && let Some(learned) = job.waits_for(by).filter(|learned| *learned > waits)
            {
                let every = model.every;
                let what = format!("job {name} comes every {every:?} and has {learned:?} to come");
                return Err(what);
            }
            let Some(ended) = model.ended else { continue };
            // What nobody could hear is given back, and that a whole time.
            let most = ended + waits + waits + RETRIES_WITHIN + FOUND_WITHIN;
            if world.time() > most && job.trouble.is_none() {
                return Err(format!("job {name} stopped at {ended:?} and is not missed"));
            }
        }
        Ok(())
    }
}

/// How long a job is silent at least before it is missed; nothing where that says nothing of the
/// model's.
fn least(job: &Job, model: &CallingJob) -> Option<Duration> {
    match &job.pace.schedule {
        Schedule::Every { period } => (*period >= model.every).then(|| *period + job.pace.grace),
        // Of what is learned it is known that who comes in time is not missed.
        Schedule::Learned { .. } if is_known(model) => Some(model.every + job.pace.grace),
        Schedule::Learned { .. } => Some(Duration::MAX),
        Schedule::Cron { .. } | Schedule::Calendar { .. } => None,
    }
}

/// How long it is silent at the most when nothing keeps it from being missed.
fn most(job: &Job, model: &CallingJob) -> Option<Duration> {
    match &job.pace.schedule {
        Schedule::Every { period } => Some(*period + job.pace.grace),
        Schedule::Learned { by: Rule::Arrivals { at_least, .. } } if is_known(model) => {
            Some((model.every * LEARNED_MOST).max(*at_least) + job.pace.grace)
        }
        Schedule::Learned { .. } | Schedule::Cron { .. } | Schedule::Calendar { .. } => None,
    }
}

/// Whether a job has come often enough that it is known how often it does.
fn is_known(model: &CallingJob) -> bool {
    model.ended.is_none_or(|ended| ended.saturating_sub(model.began) >= model.every * KNOWN_AFTER)
}
