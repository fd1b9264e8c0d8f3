//! The test of the test: each of the mistakes that are really made is made on purpose, one at a
//! time, and the simulator has to find it.

use crate::{
    run::{Failure, run},
    scenario::Scenario,
};
use protocol::mistakes::{Mistake, make};

/// How a mistake was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// In which story.
    pub(crate) story: String,
    /// With which seed.
    pub(crate) seed: u64,
    /// The how manyth run that was.
    pub(crate) runs: u32,
    /// What did not hold.
    pub(crate) failure: Failure,
}

/// Makes a mistake and runs the stories, all with one seed and then all with the next, until
/// something does not hold. Nothing when all seeds held.
pub(crate) fn find(
    mistake: Mistake,
    stories: &[Scenario],
    seeds: impl Iterator<Item = u64>,
) -> Option<Found> {
    make(Some(mistake));
    let mut runs = 0;
    let mut found = None;
    'search: for seed in seeds {
        for story in stories {
            runs += 1;
            if let Some(failure) = run(story, seed, false).failure {
                found = Some(Found { story: story.name.clone(), seed, runs, failure });
                break 'search;
            }
        }
    }
    make(None);
    found
}
