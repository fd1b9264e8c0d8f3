//! One story with one seed: what became of it.

use crate::{
    expectation,
    scenario::Scenario,
    sights::Sight,
    world::{World, tale::Told},
};
use std::{collections::BTreeSet, time::Duration};

/// What became of a story with one seed.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The seed.
    pub(crate) seed: u64,
    /// How long it took, in virtual time.
    pub(crate) virtual_time: Duration,
    /// How often an agent was told something.
    pub(crate) steps: u64,
    /// How many faults were drawn.
    pub(crate) faults: u32,
    /// What the whole history comes to.
    pub(crate) digest: String,
    /// What did not hold.
    pub(crate) failure: Option<Failure>,
    /// What came about that must come about sometimes.
    pub(crate) sights: BTreeSet<Sight>,
    /// What happened, for people.
    pub(crate) tale: Vec<Told>,
    /// The last lines of the history, or all of them.
    pub(crate) trace: Vec<String>,
}

/// What did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The invariant, or that it was an expectation.
    pub(crate) rule: String,
    /// What was seen.
    pub(crate) what: String,
}

/// Lets a story happen.
pub(crate) fn run(story: &Scenario, seed: u64, keep_trace: bool) -> Run {
    let mut world = World::new(story, seed, keep_trace);
    world.run();
    let failure = match &world.violation {
        Some(broken) => {
            let rule = format!("invariant \"{}\"", broken.invariant);
            Some(Failure { rule, what: broken.what.clone() })
        }
        None => expectation::check(&world)
            .err()
            .map(|what| Failure { rule: "expectation".to_owned(), what }),
    };
    Run {
        seed,
        virtual_time: world.time,
        steps: world.steps,
        faults: world.faults,
        digest: world.trace.digest(),
        failure,
        tale: std::mem::take(&mut world.tale),
        sights: std::mem::take(&mut world.sights),
        trace: world.trace.lines().map(str::to_owned).collect(),
    }
}
