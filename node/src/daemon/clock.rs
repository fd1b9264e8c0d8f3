//! The one clock of the daemon.

use protocol::time::{Now, Timestamp};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The world's time as it was when the daemon started, carried on by the monotonic clock: a step
/// of the wall clock changes nothing until the daemon is started anew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall: Timestamp,
    start: Instant,
}

impl Clock {
    /// Reads the clocks.
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        Self { wall: Timestamp::from_millis(millis), start: Instant::now() }
    }

    /// What the host's wall clock says now, steps and all.
    #[expect(clippy::unused_self, reason = "the clocks are read here and nowhere else")]
    pub(crate) fn wall(&self) -> Timestamp {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))
    }

    /// What the clocks say now.
    pub(crate) fn now(&self) -> Now {
        let mono = self.start.elapsed();
        Now { wall: self.wall.plus(mono), mono }
    }

    /// Seconds since 1970, for certificates.
    pub(crate) fn unix_seconds(&self) -> u64 {
        self.now().wall.millis() / 1_000
    }
}
