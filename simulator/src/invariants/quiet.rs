//! A quiet mesh is quiet: an agent that nothing happens to is not woken all the time.

use super::{Invariant, Observed, Step};
use protocol::name::PeerId;
use std::{collections::BTreeMap, time::Duration};

/// Over how long wake-ups are counted.
const WINDOW: Duration = Duration::from_secs(5);

/// The most steps of one agent within the window. A mesh of nine that is being repaired takes some
/// hundred; an agent that wakes itself every millisecond takes thousands.
const STEPS_MAX: u32 = 2_500;

/// How many steps each agent took in the window under way.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    until: Duration,
    steps: BTreeMap<PeerId, u32>,
}

impl Invariant for Quiet {
    fn name(&self) -> &'static str {
        "an agent does not keep itself awake"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        if world.time() >= self.until {
            self.until = world.time() + WINDOW;
            self.steps.clear();
        }
        let steps = self.steps.entry(step.peer).or_default();
        *steps += 1;
        if *steps > STEPS_MAX {
            let who = world.name(step.peer);
            return Err(format!("{who} was awake {steps} times within {WINDOW:?}"));
        }
        Ok(())
    }
}
