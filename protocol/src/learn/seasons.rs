//! What the hour of the day and the day of the week change in the pace of a stream.
//!
//! Each hour and each day has a rate: how many arrived, for how long one could have. The posterior
//! of a rate is shrunk towards that of the stream, and a difference that chance explains is none.
//! The rates drive a clock of the stream's own, which runs fast while much arrives and hardly at
//! all while nothing does: by that clock the stream knows no seasons, and a silent night is a
//! moment. Hours and days are those of UTC.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;

/// The speed of a clock that runs with the world's, and its bounds: 64 times slower and faster.
const ONE: u64 = 1 << 16;
const SLOWEST: u64 = ONE / 64;
const FASTEST: u64 = ONE * 64;

/// An hour is told apart when there are three arrivals in it, usually; a day is when there are.
const SLOT_ARRIVALS: u64 = 3;

/// What is supposed of an hour or a day counts for as much as half of one that has passed.
const SUPPOSED_PART: u64 = 2;

/// An hour or a day that has not passed so often is none: what was once is no season.
const TIMES_MIN: u64 = 2;

/// As many arrivals at least does what is supposed count for.
const SUPPOSED_ARRIVALS: u64 = 20;

/// So often an hour of the day is remembered, and so often a day of the week.
const TIMES_MAX: [u64; 2] = [56, 16];

/// The arrivals by hours of the day and by days of the week.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seasons {
    hours: [Slot; 24],
    days: [Slot; 7],
}

/// One hour or one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    arrivals: u32,
    /// For how long one could have arrived in it, in milliseconds.
    exposed: u64,
}

impl Seasons {
    /// Takes note that nothing arrived between two moments, and one did at the later one. What was
    /// too long for the stream counts for half: it was an outage, or a season not yet known.
    pub fn passed(&mut self, from: Timestamp, to: Timestamp, too_long: bool) {
        let (mut at, to) = (from.millis(), to.millis());
        // More than a week says no more than a week does.
        let end = to.min(at.saturating_add(WEEK));
        while at < end {
            let next = next_hour(at).min(end);
            let (hour, day) = places(at);
            let exposed = (next - at) / if too_long { 2 } else { 1 };
            self.hours[hour].exposed += exposed;
            self.days[day].exposed += exposed;
            at = next;
        }
        let (hour, day) = places(to);
        let slots = [(&mut self.hours[hour], HOUR), (&mut self.days[day], DAY)];
        for ((slot, long), times) in slots.into_iter().zip(TIMES_MAX) {
            slot.arrivals = slot.arrivals.saturating_add(1);
            if slot.exposed > times * long || slot.arrivals == u32::MAX {
                slot.arrivals /= 2;
                slot.exposed /= 2;
            }
        }
    }

    /// The stream's own clock.
    pub fn clock(&self) -> Clock {
        let arrivals: u64 = self.hours.iter().map(|slot| u64::from(slot.arrivals)).sum();
        let exposed: u64 = self.hours.iter().map(|slot| slot.exposed).sum();
        let mut clock = Clock { hours: [ONE; 24], days: [ONE; 7] };
        let [hour, day] = [HOUR, DAY].map(|long| in_time(arrivals, long, exposed));
        if hour >= SLOT_ARRIVALS {
            for (speed, slot) in clock.hours.iter_mut().zip(&self.hours) {
                *speed = slot.speed(HOUR, arrivals, exposed);
            }
        }
        if day >= SLOT_ARRIVALS {
            for (speed, slot) in clock.days.iter_mut().zip(&self.days) {
                *speed = slot.speed(DAY, arrivals, exposed);
            }
        }
        clock
    }
}

impl Slot {
    /// How many times faster than the whole stream it is; what chance explains is no difference.
    fn speed(&self, long: u64, arrivals: u64, exposed: u64) -> u64 {
        if self.exposed < TIMES_MIN * long {
            return ONE;
        }
        let supposed = in_time(arrivals, long, exposed) / SUPPOSED_PART;
        let supposed = supposed.max(SUPPOSED_ARRIVALS);
        let expected = in_time(arrivals, self.exposed, exposed) + supposed;
        let ratio = (u64::from(self.arrivals) + supposed).saturating_mul(ONE) / expected;
        // Two standard deviations of a count.
        let by_chance = 2 * ONE * 256 / (expected << 16).isqrt().max(1);
        let speed = if ratio.abs_diff(ONE) > by_chance { ratio } else { ONE };
        speed.clamp(SLOWEST, FASTEST)
    }
}

/// A clock that runs as fast as a stream usually does at that hour of that day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    hours: [u64; 24],
    days: [u64; 7],
}

impl Clock {
    /// How long it was by this clock, in milliseconds.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> u64 {
        let (mut at, to) = (from.millis(), to.millis());
        let weeks = to.saturating_sub(at) / WEEK;
        let mut passed = 0_u64;
        if weeks > 0 {
            passed = weeks.saturating_mul(self.week());
            at += weeks * WEEK;
        }
        while at < to {
            let next = next_hour(at).min(to);
            passed = passed.saturating_add((next - at) * self.speed(at) / ONE);
            at = next;
        }
        passed
    }

    /// The moment that is so many milliseconds later by this clock.
    pub fn after(&self, from: Timestamp, mut left: u64) -> Timestamp {
        let mut at = from.millis();
        // A week is longer than this by any clock, and most spans are shorter.
        if left > WEEK / 64 {
            let week = self.week();
            let weeks = left / week;
            left -= weeks * week;
            at = at.saturating_add(weeks.saturating_mul(WEEK));
        }
        while left > 0 && at < u64::MAX - WEEK {
            let (next, speed) = (next_hour(at), self.speed(at));
            let in_slot = (next - at) * speed / ONE;
            if left < in_slot {
                at += (left * ONE).div_ceil(speed);
                break;
            }
            left -= in_slot;
            at = next;
        }
        from.plus(Duration::from_millis(at.saturating_sub(from.millis())))
    }

    /// How long a week is by this clock.
    fn week(&self) -> u64 {
        let hours = (0..WEEK / HOUR).map(|hour| HOUR * self.speed(hour * HOUR) / ONE);
        hours.sum::<u64>().max(1)
    }

    fn speed(&self, at: u64) -> u64 {
        let (hour, day) = places(at);
        (self.hours[hour] * self.days[day] / ONE).clamp(SLOWEST, FASTEST)
    }
}

/// Which hour of the day and which day of the week a moment is in.
fn places(at: u64) -> (usize, usize) {
    let place = |number: u64| usize::try_from(number).unwrap_or(0);
    (place(at / HOUR % 24), place(at / DAY % 7))
}

fn next_hour(at: u64) -> u64 {
    (at / HOUR + 1).saturating_mul(HOUR)
}

/// How many are to be expected in a time, when so many came in another.
fn in_time(arrivals: u64, time: u64, exposed: u64) -> u64 {
    let product = u128::from(arrivals) * u128::from(time) / u128::from(exposed.max(1));
    u64::try_from(product).unwrap_or(u64::MAX).min(1 << 40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A Monday at midnight.
    const MONDAY: u64 = 4 * DAY + 2_900 * WEEK;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Every five minutes of three weeks, when it is so at that hour and day.
    fn learned(is_on: impl Fn(u64, u64) -> bool) -> Seasons {
        let mut seasons = Seasons::default();
        let mut last = MONDAY;
        for now in (MONDAY + 300_000..MONDAY + 3 * WEEK).step_by(300_000) {
            if is_on(now / HOUR % 24, (now - MONDAY) / DAY % 7) {
                seasons.passed(at(last), at(now), false);
                last = now;
            }
        }
        seasons
    }

    #[test]
    fn a_stream_without_seasons_goes_by_the_worlds_clock() {
        let clock = learned(|_, _| true).clock();
        assert_eq!(clock.between(at(MONDAY), at(MONDAY + 12_345_678)), 12_345_678);
        assert_eq!(clock.after(at(MONDAY), 12_345_678), at(MONDAY + 12_345_678));
        assert_eq!(Seasons::default().clock(), clock);
    }

    #[test]
    fn a_night_without_arrivals_is_short_and_a_weekend_is() {
        let office = learned(|hour, day| (8..18).contains(&hour) && day < 5);
        let clock = office.clock();
        let week = MONDAY + 3 * WEEK;
        let (evening, morning) = (week + 18 * HOUR, week + 32 * HOUR);
        let night = clock.between(at(evening), at(morning));
        let day = clock.between(at(morning), at(morning + 10 * HOUR));
        assert!(night < day / 3, "{night} {day}");
        let friday = week + 4 * DAY + 18 * HOUR;
        let weekend = clock.between(at(friday), at(friday + 62 * HOUR));
        assert!(weekend < day * 3 / 2, "{weekend} {day}");
    }

    #[test]
    fn an_hour_is_not_told_apart_where_hardly_anything_arrives_in_it() {
        let mut daily = Seasons::default();
        for day in 0..60 {
            daily.passed(at(MONDAY + day * DAY), at(MONDAY + (day + 1) * DAY), false);
        }
        assert_eq!(daily.clock(), Seasons::default().clock());
    }

    proptest! {
        #[test]
        fn whatever_comes_the_clock_goes_forward_and_back_again(
            moments in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..20),
            near in proptest::collection::vec(0_u64..HOUR, 0..200),
            from in any::<u64>(),
            span in 0_u64..4 * WEEK,
        ) {
            let mut seasons = Seasons::default();
            for (from, to) in moments {
                seasons.passed(at(from), at(to), false);
            }
            let mut now = MONDAY;
            for span in near {
                seasons.passed(at(now), at(now + span), false);
                now += span;
            }
            let clock = seasons.clock();
            let from = at(from);
            let later = clock.after(from, span);
            prop_assert!(later >= from);
            if from.millis() < u64::MAX / 2 {
                // Each hour is cut to whole milliseconds.
                let back = clock.between(from, later);
                prop_assert!(back.abs_diff(span) <= 64 + 4 * 168, "{span} {back}");
            }
            clock.between(at(0), from);
        }
    }
}
