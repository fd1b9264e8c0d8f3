//! When a job is expected: every so often, by the clock on the wall of a time zone, or as it usually
//! comes.
//!
//! Cron expressions and calendar events are worked out by whoever leads, with the time zones that
//! its program brings along. What it finds is committed as a moment, so that replicas of another
//! version, which may know other time zones, come to the same ledger.

use super::{
    PERIOD_MIN, SPAN_MAX,
    calendar::{Calendar, CalendarError},
};
use crate::{
    document::maintenance::{ScheduleError as CronError, read_cron, read_zone},
    learn::OneIn,
    time::Timestamp,
};
use cronexpr::{Crontab, MakeTimestamp};
use jiff::{civil, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::{ops::RangeInclusive, time::Duration};

/// The longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 200;

/// How often a false alarm may be taken.
pub const ONE_IN: RangeInclusive<u32> = 10..=1_000_000_000;

/// When a job is expected to check in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// So long after the last time at the latest.
    Every {
        /// How long.
        period: Duration,
    },
    /// By a cron expression: minute, hour, day of the month, month, day of the week.
    Cron {
        /// The expression.
        expression: String,
        /// The time zone's name.
        time_zone: String,
    },
    /// By a calendar event of systemd, as `OnCalendar=` has them.
    Calendar {
        /// The event.
        expression: String,
        /// The time zone's name; one in the event itself goes before it.
        time_zone: String,
    },
    /// As what the job has told so far lets one expect; what was learned stands in the job.
    Learned {
        /// How it is learned.
        by: Rule,
    },
}

/// How it is learned when a job is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// From the spans between all that it told; see [`crate::learn::Arrivals`].
    Arrivals {
        /// As often a false alarm is taken.
        one_in: OneIn,
        /// It is never missed sooner after it told something.
        at_least: Duration,
    },
    /// As `PaceHB` does; see [`crate::learn::PaceHb`].
    PaceHb,
    /// As [`Rule::Arrivals`], and never missed later than that either.
    Within {
        /// As often a false alarm is taken.
        one_in: OneIn,
        /// It is never missed sooner after it told something.
        at_least: Duration,
        /// It is never missed later; also while too little is known to say more.
        at_most: Duration,
    },
}

impl Rule {
    /// As often a false alarm is taken unless said.
    pub const ONE_IN: OneIn = OneIn::new(10_000);

    /// So long nobody is missed unless said.
    pub const AT_LEAST: Duration = Duration::from_secs(30);

    /// Ours, unless more is said.
    pub const USUAL: Self = Self::Arrivals { one_in: Self::ONE_IN, at_least: Self::AT_LEAST };

    /// Ours, with what is said of it.
    pub const fn arrivals(one_in: OneIn, at_least: Duration, at_most: Option<Duration>) -> Self {
        match at_most {
            Some(at_most) => Self::Within { one_in, at_least, at_most },
            None => Self::Arrivals { one_in, at_least },
        }
    }

    /// Whether a mesh can keep it.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn check(&self) -> Result<(), ScheduleError> {
        let (one_in, at_least, at_most) = match *self {
            Self::Arrivals { one_in, at_least } => (one_in, at_least, None),
            Self::Within { one_in, at_least, at_most } => (one_in, at_least, Some(at_most)),
            Self::PaceHb => return Ok(()),
        };
        if !ONE_IN.contains(&one_in.many()) {
            return Err(ScheduleError::OneIn);
        }
        if at_least.max(at_most.unwrap_or_default()) > SPAN_MAX {
            return Err(ScheduleError::TooLong);
        }
        if at_most.is_some_and(|at_most| at_most.is_zero() || at_most < at_least) {
            return Err(ScheduleError::AtMost);
        }
        Ok(())
    }
}

/// Why a schedule is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The period is too short.
    #[error("a period must be {PERIOD_MIN:?} at least")]
    TooShort,
    /// The period or the grace is too long.
    #[error("a period and a grace are a year at most")]
    TooLong,
    /// The rate of false alarms.
    #[error("a false alarm is taken in {} to {} cases", ONE_IN.start(), ONE_IN.end())]
    OneIn,
    /// The longest wait is shorter than the shortest.
    #[error("at_most is longer than nothing, and no shorter than at_least")]
    AtMost,
    /// The expression is too long.
    #[error("an expression has {EXPRESSION_BYTES_MAX} bytes at most")]
    Expression,
    /// The cron expression or the time zone.
    #[error("{0}")]
    Cron(#[from] CronError),
    /// The calendar event.
    #[error("{0}")]
    Calendar(#[from] CalendarError),
}

impl Schedule {
    /// Whether it can be read, and comes.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn check(&self) -> Result<(), ScheduleError> {
        match self {
            Self::Every { period } if *period < PERIOD_MIN => return Err(ScheduleError::TooShort),
            Self::Every { period } if *period > SPAN_MAX => return Err(ScheduleError::TooLong),
            Self::Every { .. } => return Ok(()),
            Self::Learned { by } => return by.check(),
            Self::Cron { expression, .. } | Self::Calendar { expression, .. } => {
                if expression.len() > EXPRESSION_BYTES_MAX {
                    return Err(ScheduleError::Expression);
                }
            }
        }
        let some_day = Timestamp::from_millis(1_767_225_600_000);
        let comes = Due::read(self)?.after(some_day);
        comes.map(|_| ()).ok_or(ScheduleError::Cron(CronError::Never))
    }
}

/// A schedule that was read, to be asked many times.
#[derive(Debug, Clone)]
pub enum Due {
    /// So long after the last time.
    Every(Duration),
    /// By a cron expression.
    Cron(Box<Crontab>, TimeZone),
    /// By a calendar event.
    Calendar(Box<Calendar>, TimeZone),
    /// As the job itself knows.
    Learned,
}

impl Due {
    /// Reads a schedule.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn read(schedule: &Schedule) -> Result<Self, ScheduleError> {
        Ok(match schedule {
            Schedule::Every { period } => Self::Every(*period),
            Schedule::Cron { expression, time_zone } => {
                Self::Cron(Box::new(read_cron(expression)?), read_zone(time_zone)?)
            }
            Schedule::Calendar { expression, time_zone } => {
                let (calendar, zone) = Calendar::parse(expression)?;
                let zone = zone.unwrap_or_else(|| time_zone.clone());
                Self::Calendar(Box::new(calendar), read_zone(&zone)?)
            }
            Schedule::Learned { .. } => Self::Learned,
        })
    }

    /// The first time after this moment; nothing where it does not come any more, and where only
    /// the job knows.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(period) => Some(moment.plus(*period)),
            Self::Cron(crontab, zone) => on_the_wall(moment, zone, |wall| {
                let as_utc = wall.to_zoned(TimeZone::UTC).ok()?;
                let next = crontab.find_next(MakeTimestamp(as_utc.timestamp())).ok()?;
                Some(next.datetime())
            }),
            Self::Calendar(calendar, zone) => {
                on_the_wall(moment, zone, |wall| calendar.next_after(wall))
            }
            Self::Learned => None,
        }
    }
}

/// The first moment after this one at which the clock on the wall says what `next` finds. In the
/// night in which it is set back, what it says twice counts once.
fn on_the_wall(
    moment: Timestamp,
    zone: &TimeZone,
    next: impl Fn(civil::DateTime) -> Option<civil::DateTime>,
) -> Option<Timestamp> {
    let instant = jiff::Timestamp::from_millisecond(i64::try_from(moment.millis()).ok()?).ok()?;
    let mut wall = zone.to_datetime(instant);
    // What the clock skips is due when it has skipped it, which may be before this very moment.
    for _ in 0..4 {
        wall = next(wall)?;
        let found = wall.to_zoned(zone.clone()).ok()?.timestamp();
        if found > instant {
            return u64::try_from(found.as_millisecond()).ok().map(Timestamp::from_millis);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn cron(expression: &str, zone: &str) -> Schedule {
        Schedule::Cron { expression: expression.to_owned(), time_zone: zone.to_owned() }
    }

    fn calendar(expression: &str, zone: &str) -> Schedule {
        Schedule::Calendar { expression: expression.to_owned(), time_zone: zone.to_owned() }
    }

    fn after(schedule: &Schedule, moment: &str) -> String {
        Due::read(schedule).unwrap().after(at(moment)).unwrap().to_string()
    }

    #[test]
    fn the_clock_on_the_wall_of_a_time_zone_says_when() {
        let nightly = cron("30 2 * * *", "Europe/Paris");
        assert_eq!(after(&nightly, "2026-01-10T00:00:00Z"), "2026-01-10T01:30:00.000Z");
        assert_eq!(after(&nightly, "2026-01-10T01:30:00Z"), "2026-01-11T01:30:00.000Z");
        assert_eq!(after(&nightly, "2026-07-10T00:00:00Z"), "2026-07-10T00:30:00.000Z");
        let weekdays = calendar("Mon..Fri 18:30", "Europe/Paris");
        assert_eq!(after(&weekdays, "2026-01-09T17:30:00Z"), "2026-01-12T17:30:00.000Z");
        // The zone of the event itself goes before the other.
        let said = calendar("*-*-* 06:00 America/New_York", "Europe/Paris");
        assert_eq!(after(&said, "2026-01-10T00:00:00Z"), "2026-01-10T11:00:00.000Z");
    }

    #[test]
    fn a_time_that_the_clock_skips_or_says_twice_is_due_once_and_later_than_asked() {
        for schedule in [cron("30 2 * * *", "Europe/Paris"), calendar("02:30", "Europe/Paris")] {
            let due = Due::read(&schedule).unwrap();
            for begin in ["2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z"] {
                let mut found = std::collections::BTreeSet::new();
                for minute in 0..(24 * 60) {
                    let moment = at(begin).plus(Duration::from_secs(60 * minute));
                    let next = due.after(moment).unwrap();
                    assert!(next > moment, "{schedule:?} {moment}: {next}");
                    found.insert(next);
                }
                assert!((1..=2).contains(&found.len()), "{schedule:?} {begin}: {found:?}");
            }
        }
    }

    #[test]
    fn what_never_comes_or_cannot_be_read_is_refused() {
        assert_eq!(cron("0 3 29 2 *", "UTC").check(), Ok(()));
        assert!(matches!(cron("0 3 30 2 *", "UTC").check(), Err(ScheduleError::Cron(_))));
        assert!(matches!(cron("often", "UTC").check(), Err(ScheduleError::Cron(_))));
        assert!(matches!(cron("0 3 * * *", "Mars/Base").check(), Err(ScheduleError::Cron(_))));
        assert!(matches!(cron(&"*".repeat(300), "UTC").check(), Err(ScheduleError::Expression)));
        assert!(matches!(calendar("*-02-30", "UTC").check(), Err(ScheduleError::Cron(_))));
        assert!(matches!(calendar("whenever", "UTC").check(), Err(ScheduleError::Calendar(_))));
        assert!(matches!(calendar("daily Mars/Base", "UTC").check(), Err(ScheduleError::Cron(_))));
    }
}
