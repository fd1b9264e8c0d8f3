//! Jobs that are forgotten: nothing was told of one for so long that a document says it is no more.
//!
//! Like a miss it is a record: whoever leads says it, and it is refused if anything was told of the
//! job meanwhile. One whose next time is still to come is not silent, however seldom it comes: it is
//! missed first. What the mesh could not hear is no silence: after a gap in the log all of it counts
//! from when the mesh hears again, and in a new term nobody is forgotten before who was sent back has
//! tried again.

use super::{Heartbeats, Job, WORDS_MAX};
use crate::{
    document::{Check, Probe},
    ledger::{Context, Effect, Ledger, Outcome, documents::Library},
    record::Silence,
    refusal::Refusal,
    time::{Timestamp, format_span},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Of as many jobs it is known that they were forgotten: of those that people were told of, and
/// their incidents are over soon.
const FORGOTTEN_MAX: usize = 200;

/// While jobs may be forgotten the log is never silent for longer than a quarter of this, so that a
/// gap in it is one.
pub(super) const LISTENS_WITHIN: Duration = Duration::from_secs(240);

/// A job that was forgotten though people had been told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// When.
    pub at: Timestamp,
    /// How long nothing was told of it.
    pub silent: Duration,
}

/// The jobs that were forgotten, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gone(BTreeMap<String, Forgotten>);

impl Gone {
    pub(super) fn get(&self, name: &str) -> Option<&Forgotten> {
        self.0.get(name)
    }

    /// There is such a job again.
    pub(super) fn is_back(&mut self, name: &str) {
        self.0.remove(name);
    }

    fn add(&mut self, name: String, forgotten: Forgotten) {
        if self.0.len() >= FORGOTTEN_MAX {
            let earliest = self.0.iter().min_by_key(|(_, gone)| gone.at);
            if let Some(earliest) = earliest.map(|(name, _)| name.clone()) {
                self.0.remove(&earliest);
            }
        }
        self.0.insert(name, forgotten);
    }
}

impl Job {
    /// Since when nothing was told of it that could have been; nothing for a job that stays: one of
    /// a document, and one that pauses by somebody's order.
    pub fn silent_since(&self) -> Option<Timestamp> {
        let stays = self.declared || self.paused;
        (!stays).then(|| self.told_at.max(self.waits_from).max(self.snoozed_until))
    }
}

impl Library {
    /// After how long in which nothing was told of a job it is forgotten: as the first of the checks
    /// that are about it says.
    pub fn forgets_after(&self, job: &Job) -> Option<Duration> {
        let asking = self.checks().filter_map(|check| Some((forget_after(check)?, check)));
        asking.filter(|(_, check)| job.is_subject_of(check)).map(|(after, _)| after).min()
    }

    /// The shortest of these spans; nothing where no check has jobs forgotten.
    pub fn forgets_soonest(&self) -> Option<Duration> {
        self.checks().filter_map(forget_after).min()
    }
}

fn forget_after(check: &Check) -> Option<Duration> {
    let Probe::Heartbeat(probe) = &check.probe else { return None };
    probe.forget_after
}

impl Heartbeats {
    /// The job of this name that was forgotten lately, where people had been told of it.
    pub fn forgotten(&self, name: &str) -> Option<&Forgotten> {
        self.gone.get(name)
    }

    /// Takes a silence; says why not, where something was told of the job meanwhile or no document
    /// asks for it.
    pub(super) fn fall_silent(
        &mut self,
        silence: &Silence,
        library: &Library,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let not = |why: String| Err(Refusal::NotForgotten { why });
        if at < self.not_before {
            return not(format!("nobody is forgotten before {}", self.not_before));
        }
        let Some(job) = self.job(silence.job) else {
            return not("there is no such job any more".to_owned());
        };
        if job.silent_since() != Some(silence.since) {
            return not(format!("something was told of job \"{}\" meanwhile", job.name));
        }
        let Some(after) = library.forgets_after(job) else {
            return not(format!("no document has job \"{}\" forgotten", job.name));
        };
        if job.surely_has_time(at) {
            return not(format!("job \"{}\" need not have told anything yet", job.name));
        }
        let silent = at.since(silence.since);
        if silent < after {
            let (silent, after) = (format_span(silent), format_span(after));
            return not(format!("job \"{}\" is silent for {silent} of {after}", job.name));
        }
        let told = job.trouble.as_ref().is_some_and(|trouble| !trouble.told.is_empty());
        let name = job.name.clone();
        self.forget(silence.job);
        if told {
            self.gone.add(name, Forgotten { at, silent });
        }
        Ok(())
    }
}

impl Ledger {
    /// Jobs have told nothing for long.
    pub(in crate::ledger) fn take_silences(
        &mut self,
        context: &Context,
        silent: &[Silence],
    ) -> Outcome {
        if silent.len() > WORDS_MAX {
            let limit_bytes = u64::try_from(WORDS_MAX).unwrap_or(u64::MAX);
            return Err(Refusal::TooLarge { what: "what is forgotten".to_owned(), limit_bytes });
        }
        let mut refused = None;
        let mut taken = false;
        for silence in silent {
            match self.heartbeats.fall_silent(silence, &self.library, context.at) {
                Ok(()) => taken = true,
                Err(refusal) => refused = Some(refusal),
            }
        }
        refused.filter(|_| !taken).map_or(Ok(Effect::Done), Err)
    }
}
