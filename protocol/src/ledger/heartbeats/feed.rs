//! What is kept of a job that `PaceHB`'s heartbeats are told of, and of what people think of its
//! alerts.

use crate::{
    heartbeat::{Beat, Health, Number},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, time::Duration};

/// As many points are kept of a job's history. `PaceHB` keeps five hundred, outside of any log.
pub const HISTORY_MAX: usize = 100;

/// How long a job is quiet after it was told, once somebody has voted, and the least. `PaceHB`'s.
const QUIET: Duration = Duration::from_secs(3_600);

/// How long it is quiet at the most. `PaceHB`'s.
const QUIET_MAX: Duration = Duration::from_secs(48 * 3_600);

/// For so long it is quiet after a vote against it, at least. `PaceHB`'s.
const QUIET_AFTER_DOWN: Duration = Duration::from_secs(5 * 3_600);

/// For so long it is quiet after a vote for it, at least. `PaceHB`'s.
const QUIET_AFTER_UP: Duration = Duration::from_secs(3 * 3_600);

/// The latest heartbeat, and how it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// When the latest heartbeat came in.
    pub at: Timestamp,
    /// How it was, by that.
    pub health: Health,
    /// For how many seconds that holds, where it said so.
    pub ttl: Option<i64>,
    /// How it is when that has passed, where it said so.
    pub then: Option<Health>,
    /// How long what it is about took.
    pub elapsed: Option<i64>,
    /// Its number.
    pub value: Option<Number>,
    /// How it was, oldest first.
    pub history: VecDeque<Point>,
}

/// How it was at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The moment.
    pub at: Timestamp,
    /// How it was.
    pub health: Health,
    /// Its number.
    pub value: Option<Number>,
    /// The number that was expected.
    pub predicted: Option<Number>,
}

impl Feed {
    /// A heartbeat came in, this one after those that are known.
    pub(super) fn hear(known: Option<Box<Self>>, beat: &Beat) -> Box<Self> {
        let history = known.map(|known| known.history).unwrap_or_default();
        let Beat { at, health, ttl, then, elapsed, value, predicted, .. } = *beat;
        let mut feed = Self { at, health, ttl, then, elapsed, value, history };
        feed.add(Point { at, health, value, predicted });
        Box::new(feed)
    }

    /// What it said holds no longer.
    pub(super) fn expire(&mut self, at: Timestamp, health: Health) {
        self.add(Point { at, health, value: None, predicted: None });
    }

    fn add(&mut self, point: Point) {
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(point);
    }
}

/// How long nobody is told of a job again, by what people thought of its alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// How long it is quiet after each alert; nothing before the first vote.
    pub lasts: Option<Duration>,
    /// Until when it is.
    pub until: Timestamp,
}

impl Quiet {
    /// Somebody was told. So long as nobody has voted, the next trouble is told at once.
    pub(super) fn told(known: Option<Self>, at: Timestamp) -> Self {
        let lasts = known.and_then(|known| known.lasts);
        let until = known.map_or(at, |known| known.until);
        Self { lasts, until: until.max(at.plus(lasts.unwrap_or_default())) }
    }

    /// Somebody says what he thinks of that: it was worth it, or it was not.
    pub(super) fn vote(self, up: bool, at: Timestamp) -> Self {
        let lasts = self.lasts.unwrap_or(QUIET);
        let (lasts, least) = if up {
            ((lasts * 3 / 5).max(QUIET), QUIET_AFTER_UP)
        } else {
            ((lasts * 2).min(QUIET_MAX), QUIET_AFTER_DOWN)
        };
        Self { lasts: Some(lasts), until: at.plus(lasts.max(least)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_make_it_quiet_for_longer_or_shorter_as_at_pacehb() {
        let at = |hours: u64| Timestamp::from_millis(hours * 3_600_000);
        let hours = |quiet: Quiet| {
            (
                quiet.lasts.map(|lasts| lasts.as_secs() / 60),
                quiet.until.since(at(100)).as_secs() / 60,
            )
        };
        let told = Quiet::told(None, at(100));
        assert_eq!(hours(told), (None, 0), "who has not voted is told of the next one as well");
        let down = told.vote(false, at(100));
        assert_eq!(hours(down), (Some(120), 300));
        assert_eq!(hours(down.vote(false, at(100))), (Some(240), 300));
        assert_eq!(hours(down.vote(true, at(100))), (Some(72), 180));
        assert_eq!(hours(down.vote(true, at(100)).vote(true, at(100))), (Some(60), 180));
        let most = (0..9).fold(told, |quiet, _| quiet.vote(false, at(100)));
        assert_eq!(hours(most), (Some(48 * 60), 48 * 60));
        // After the next alert it is quiet for as long as was voted.
        assert_eq!(hours(Quiet::told(Some(down), at(110))), (Some(120), 12 * 60));
    }
}
