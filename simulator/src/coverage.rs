//! How often each of the constellations of [`crate::sights`] was seen in many runs.

use crate::{run::Run, sights::Sight};
use std::collections::BTreeMap;

/// How often what was seen.
#[derive(Debug)]
pub(crate) struct Coverage {
    /// How many runs there were.
    pub(crate) runs: usize,
    /// In how many of them each constellation came about.
    pub(crate) seen: BTreeMap<Sight, usize>,
}

impl Coverage {
    /// What these runs have come through.
    pub(crate) fn of<'r>(runs: impl Iterator<Item = &'r Run>) -> Self {
        let mut seen: BTreeMap<Sight, usize> = Sight::ALL.map(|sight| (sight, 0)).into();
        let mut count = 0;
        for run in runs {
            count += 1;
            for sight in &run.sights {
                *seen.entry(*sight).or_default() += 1;
            }
        }
        Self { runs: count, seen }
    }

    /// Whether everything was seen.
    pub(crate) fn is_full(&self) -> bool {
        self.seen.values().all(|times| *times > 0)
    }
}
