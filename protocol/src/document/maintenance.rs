//! Maintenance: when nothing is repaired on some peers, once or again and again.

use super::Selector;
use crate::{name::Name, time::Timestamp};
use cronexpr::Crontab;
use jiff::{Zoned, civil, tz::TimeZone, tz::TimeZoneDatabase};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A time in which nothing is repaired on the peers that it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// What operators call it.
    pub name: Name,
    /// For which peers.
    pub selector: Selector,
    /// When.
    pub schedule: Schedule,
    /// The operator's words.
    pub reason: String,
}

/// When a maintenance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// Once.
    Once {
        /// From this moment on.
        from: Timestamp,
        /// Up to this moment.
        until: Timestamp,
    },
    /// Again and again.
    Recurring {
        /// Minute, hour, day of the month, month, day of the week.
        cron: String,
        /// The time zone's name, `Europe/Paris`; UTC unless said.
        time_zone: String,
        /// How long each one lasts, by the clock on the wall of that time zone.
        lasts: Duration,
    },
}

/// Why a schedule is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression cannot be read.
    #[error("not a cron expression: {0}")]
    Cron(String),
    /// It names no moment that ever comes.
    #[error("it never comes, as far as four years can be seen ahead")]
    Never,
    /// No such time zone.
    #[error("there is no time zone \"{0}\"")]
    TimeZone(String),
}

impl Schedule {
    /// Until when the schedule covers this moment, if it does.
    ///
    /// A recurring one is worked out with the time zones that this program brings along, never
    /// with the host's: every replica has to come to the same answer. It goes by the clock on the
    /// wall, so in the night in which the clock is set back it lasts as much longer.
    pub fn covers(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once { from, until } => (*from <= at && at < *until).then_some(*until),
            Self::Recurring { cron, time_zone, lasts } => {
                let (crontab, zone) = (read_cron(cron).ok()?, read_zone(time_zone).ok()?);
                let wall = wall_clock(at, &zone)?;
                // What began at most `lasts` ago has not ended.
                let earliest = wall.checked_sub(*lasts).ok()?;
                let begin = next_after(&crontab, earliest)?;
                let end = begin.checked_add(*lasts).ok()?;
                if !(begin <= wall && wall < end) {
                    return None;
                }
                let until = end.to_zoned(zone).ok()?.timestamp().as_millisecond();
                // An hour that the clock skips must not make it end before it is seen.
                Some(Timestamp::from_millis(u64::try_from(until).ok()?.max(at.millis() + 1)))
            }
        }
    }
}

/// Reads a recurring schedule.
///
/// # Errors
/// [`ScheduleError`], also for one that never comes.
pub fn check_recurring(cron: &str, time_zone: &str) -> Result<(), ScheduleError> {
    read_zone(time_zone)?;
    let crontab = read_cron(cron)?;
    let some_day = civil::date(2026, 1, 1).at(0, 0, 0, 0);
    next_after(&crontab, some_day).map(|_| ()).ok_or(ScheduleError::Never)
}

pub(crate) fn read_cron(cron: &str) -> Result<Crontab, ScheduleError> {
    // The wall clock is handed over as if it were UTC; the zone is ours to look up.
    let read = cronexpr::parse_crontab(&format!("{} UTC", cron.trim()));
    read.map_err(|_unreadable| {
        ScheduleError::Cron(format!("\"{cron}\"; write \"MINUTE HOUR DAY MONTH WEEKDAY\""))
    })
}

pub(crate) fn read_zone(name: &str) -> Result<TimeZone, ScheduleError> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_unknown| ScheduleError::TimeZone(name.chars().take(64).collect()))
}

fn wall_clock(at: Timestamp, zone: &TimeZone) -> Option<civil::DateTime> {
    let millis = i64::try_from(at.millis()).ok()?;
    Some(zone.to_datetime(jiff::Timestamp::from_millisecond(millis).ok()?))
}

fn next_after(crontab: &Crontab, wall: civil::DateTime) -> Option<civil::DateTime> {
    let as_utc: Zoned = wall.to_zoned(TimeZone::UTC).ok()?;
    crontab
        .find_next(as_utc.timestamp().as_millisecond_timestamp())
        .ok()
        .map(|next| next.datetime())
}

/// The library's own type for a moment.
trait AsMakeTimestamp {
    fn as_millisecond_timestamp(&self) -> cronexpr::MakeTimestamp;
}

impl AsMakeTimestamp for jiff::Timestamp {
    fn as_millisecond_timestamp(&self) -> cronexpr::MakeTimestamp {
        cronexpr::MakeTimestamp(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn nightly(time_zone: &str) -> Schedule {
        Schedule::Recurring {
            cron: "30 2 * * *".to_owned(),
            time_zone: time_zone.to_owned(),
            lasts: Duration::from_secs(3_600),
        }
    }

    #[test]
    fn a_recurring_one_goes_by_the_clock_of_its_time_zone() {
        let paris = nightly("Europe/Paris");
        // Winter: an hour before UTC. Summer: two.
        assert_eq!(paris.covers(at("2026-01-10T01:29:59Z")), None);
        assert_eq!(paris.covers(at("2026-01-10T01:30:00Z")), Some(at("2026-01-10T02:30:00Z")));
        assert_eq!(paris.covers(at("2026-01-10T02:29:59Z")), Some(at("2026-01-10T02:30:00Z")));
        assert_eq!(paris.covers(at("2026-01-10T02:30:00Z")), None);
        assert_eq!(paris.covers(at("2026-07-10T00:45:00Z")), Some(at("2026-07-10T01:30:00Z")));
        assert!(nightly("UTC").covers(at("2026-07-10T02:45:00Z")).is_some());
        // The hour that the clock skips: nothing panics, and it ends.
        for minute in 0..180 {
            let moment = at("2026-03-29T00:00:00Z").plus(Duration::from_secs(60 * minute));
            if let Some(until) = paris.covers(moment) {
                assert!(until > moment, "{moment}");
            }
        }
    }

    #[test]
    fn one_that_never_comes_is_refused_and_so_is_what_cannot_be_read() {
        assert_eq!(check_recurring("0 3 * * 0", "Europe/Paris"), Ok(()));
        assert_eq!(check_recurring("0 3 29 2 *", "UTC"), Ok(()));
        assert_eq!(check_recurring("0 3 30 2 *", "UTC"), Err(ScheduleError::Never));
        assert!(matches!(check_recurring("often", "UTC"), Err(ScheduleError::Cron(_))));
        assert!(matches!(check_recurring("0 3 * * * UTC", "UTC"), Err(ScheduleError::Cron(_))));
        assert!(matches!(check_recurring("0 3 * * *", "Mars"), Err(ScheduleError::TimeZone(_))));
    }

    #[test]
    fn a_single_one_covers_its_own_time_and_no_more() {
        let once =
            Schedule::Once { from: at("2026-01-01T00:00:00Z"), until: at("2026-01-01T01:00:00Z") };
        assert_eq!(once.covers(at("2025-12-31T23:59:59Z")), None);
        assert!(once.covers(at("2026-01-01T00:59:59Z")).is_some());
        assert_eq!(once.covers(at("2026-01-01T01:00:00Z")), None);
    }
}
