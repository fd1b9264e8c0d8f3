//! The log's time, as this peer reckons it.
//!
//! Wall clocks differ and jump. The log's time is at least what its last record was stamped with
//! plus what has passed since by the monotonic clock, so a host whose clock went back does not
//! keep a deadline open.

use crate::{
    mistakes::{self, Mistake},
    time::{Now, Timestamp},
};
use std::time::Duration;

/// Reckons the log's time between records.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogClock {
    base: Timestamp,
    at: Duration,
}

impl LogClock {
    /// A record with this stamp was applied now.
    pub fn observe(&mut self, now: Now, stamp: Timestamp) {
        if stamp > self.reckoned(now) {
            *self = Self { base: stamp, at: now.mono };
        }
    }

    /// The log's time now.
    pub fn now(&self, now: Now) -> Timestamp {
        if mistakes::is_made(Mistake::CoolDownByWallClock) {
            return now.wall;
        }
        now.wall.max(self.reckoned(now))
    }

    fn reckoned(&self, now: Now) -> Timestamp {
        self.base.plus(now.mono.saturating_sub(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_time_goes_on_when_the_wall_clock_goes_back() {
        let at = |wall, mono| Now {
            wall: Timestamp::from_millis(wall),
            mono: Duration::from_millis(mono),
        };
        let mut clock = LogClock::default();
        clock.observe(at(1_000, 0), Timestamp::from_millis(5_000));
        assert_eq!(clock.now(at(1_000, 0)), Timestamp::from_millis(5_000));
        assert_eq!(clock.now(at(200, 700)), Timestamp::from_millis(5_700));
        assert_eq!(clock.now(at(9_000, 800)), Timestamp::from_millis(9_000));
    }
}
