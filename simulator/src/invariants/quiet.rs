//! A quiet mesh is quiet: an agent that nothing happens to is not woken all the time.

use super::{Invariant, Observed, Step};
use std::time::Duration;

/// Over how long wake-ups are counted.
const WINDOW: Duration = Duration::from_secs(5);

/// The most steps of one agent within the window. A mesh of nine that is being repaired takes some
/// hundred; an agent that wakes itself every millisecond takes thousands.
const STEPS_MAX: u32 = 2_500;

/// The same in a large mesh, for each peer of it: when all of them start at once, each applies two
/// entries about every other, hears its report and hears of it by gossip, and each changes once more.
const STEPS_PER_PEER: usize = 8;

/// How many steps each agent took in the window under way.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    until: Duration,
    /// By the places of their peers.
    steps: Vec<u32>,
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
        let place = world.place(step.peer).unwrap_or(0);
        if self.steps.len() <= place {
            self.steps.resize(place + 1, 0);
        }
        let steps = &mut self.steps[place];
        *steps += 1;
        let for_all = world.peers().len().saturating_mul(STEPS_PER_PEER);
        let most = STEPS_MAX.max(u32::try_from(for_all).unwrap_or(u32::MAX));
        if *steps > most {
            let who = world.name(step.peer);
            return Err(format!("{who} was awake {steps} times within {WINDOW:?}"));
        }
        Ok(())
    }
}
