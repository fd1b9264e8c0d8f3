//! What plugins said in earlier phases: a scan is told to the analysis, and both to who heals.
//!
//! It is kept in memory. After a restart of the daemon the check is run again before anything else
//! happens, and so it is there again.

use super::{Answer, Phase};
use protocol::name::Name;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The answers of earlier phases, by check. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct Plugins(Arc<Mutex<Known>>);

type Known = BTreeMap<Name, BTreeMap<Phase, Answer>>;

impl Plugins {
    /// Keeps an answer; what later phases said before is out of date.
    pub(super) fn remember(&self, check: &Name, phase: Phase, answer: &Answer) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let phases = known.entry(check.clone()).or_default();
        // A scan that finds the same does not undo the analysis of it.
        let same = phases.get(&phase).is_some_and(|before| before.findings == answer.findings);
        if !same {
            phases.retain(|other, _| *other < phase);
        }
        phases.insert(phase, answer.clone());
    }

    /// Forgets what is known of a check: it did not answer.
    pub(super) fn forget(&self, check: &Name) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(check);
    }

    /// What a phase said last, if it is known.
    pub fn answer(&self, check: &Name, phase: Phase) -> Option<Answer> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(check)?.get(&phase).cloned()
    }

    /// The lines of the phases before this one.
    pub(super) fn earlier(&self, check: &Name, phase: Phase) -> Value {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let phases = known.get(check).into_iter().flatten().filter(|(other, _)| **other < phase);
        let lines = |(phase, answer): (&Phase, &Answer)| {
            (phase.as_str().to_owned(), Value::Array(answer.lines.clone()))
        };
        Value::Object(phases.map(lines).collect::<Map<_, _>>())
    }
}
