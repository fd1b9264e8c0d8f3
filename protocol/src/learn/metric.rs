//! What the next value of a metric will be, and whether the one that came is unusual.
//!
//! A value is a level, a trend, and what the hour of the day and the day of the week add to it. Each
//! of these follows what was seen, by at most three times the usual error: one wild value moves
//! nothing far. The errors go into a [`Tail`], so that "unusual" means what was asked for: an error
//! as large as one in so many. While values stay unusual the model holds on to what it knew; what
//! stays for [`BELIEVED_AFTER`] is the new level.
//!
//! This is one host's own and never in the ledger: it works with floating-point numbers. Hours and
//! days are those of UTC.

use super::{
    OneIn, Tail,
    scale::{HALF_AS_MUCH, OCTAVE},
};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, time::Duration};

/// So many values are kept beside what was expected.
pub const KEPT_MAX: usize = 120;

/// Fewer values say nothing, however long they took.
pub const SEEN_MIN: u64 = 100;

/// What is unusual for so long, and in [`BELIEVED_RUNS`] values, is usual from then on.
pub const BELIEVED_AFTER: Duration = Duration::from_secs(6 * 3_600);

/// See [`BELIEVED_AFTER`].
pub const BELIEVED_RUNS: u32 = 20;

/// How long the level takes to follow two thirds of the way.
const LEVEL_HOURS: f64 = 12.0;

/// The same for the trend.
const TREND_HOURS: f64 = 48.0;

/// So long an hour of the day is remembered, and a day of the week: in hours of each.
const REMEMBERED_HOURS: [f64; 2] = [14.0, 8.0 * 24.0];

/// What is supposed of an hour or a day weighs as much as one.
const SUPPOSED_HOURS: [f64; 2] = [1.0, 24.0];

/// By so many usual errors at most does one value move the model.
const PULL_MAX: f64 = 3.0;

/// The least error that is told from none: this part of the level.
const FINEST: f64 = 0.002;

/// A gap of more than this says nothing about what came before it, in hours.
const GAP_HOURS_MAX: f64 = 24.0;

/// A value so much before the latest one is no late one: the clock was set back.
const CLOCK_SET_BACK: Duration = Duration::from_secs(3_600);

/// Which values are unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// Those that are too high.
    Above,
    /// Those that are too low.
    Below,
    /// Both.
    Both,
}

/// What is asked of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// How often a false alarm is taken.
    pub one_in: OneIn,
    /// For how long nothing is unusual yet.
    pub learn: Duration,
    /// What differs by less from what was expected is never unusual, in percent of that.
    pub by_percent: u32,
    /// Which values are unusual.
    pub side: Side,
}

/// What was expected of a value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// The value itself.
    pub value: f64,
    /// What is below this is unusual.
    pub low: f64,
    /// What is above this is unusual.
    pub high: f64,
    /// Whether enough was seen to say so.
    pub ready: bool,
}

impl Expected {
    /// Whether a value is unusual; none is before enough was seen.
    pub fn is_broken_by(&self, value: f64, side: Side) -> bool {
        let (below, above) = (value < self.low, value > self.high);
        self.ready
            && match side {
                Side::Above => above,
                Side::Below => below,
                Side::Both => above || below,
            }
    }
}

/// A value that was seen, and what was expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// What it was.
    pub value: f64,
    /// What was expected; nothing of the first.
    pub expected: Option<f64>,
    /// Whether it was unusual.
    pub unusual: bool,
}

/// What is known of a metric.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    level: f64,
    /// In an hour.
    trend: f64,
    hours: [Part; 24],
    days: [Part; 7],
    /// The usual size of an error.
    spread: f64,
    /// The logarithms of the errors' sizes.
    errors: Tail,
    seen: u64,
    first: Timestamp,
    latest: Timestamp,
    /// Since when values have been unusual without a break, and how many.
    odd_since: Option<(Timestamp, u32)>,
    kept: VecDeque<Seen>,
}

/// What an hour or a day adds to the level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Part {
    adds: f64,
    /// For how long it was learned from, in hours.
    weight: f64,
}

impl Part {
    fn adds(&self, supposed: f64) -> f64 {
        self.adds * self.weight / (self.weight + supposed)
    }

    /// The mean of what it should have added.
    fn follow(&mut self, should: f64, hours: f64, remembered: f64) {
        self.weight = (self.weight + hours).min(remembered);
        if self.weight > 0.0 {
            self.adds += (should - self.adds) * (hours / self.weight).min(1.0);
        }
    }
}

impl Metric {
    /// Takes note of a value, and says what was expected of it; nothing of the first one, of one
    /// that is no number, and of one from before the latest.
    pub fn observe(&mut self, at: Timestamp, value: f64, question: &Question) -> Option<Expected> {
        if !value.is_finite() || value.abs() > f64::MAX / 1e6 {
            return None;
        }
        if self.latest.since(at) >= CLOCK_SET_BACK {
            (self.latest, self.first) = (at, self.first.min(at));
        }
        let Some(expected) = self.expect(at, question) else {
            if self.seen == 0 {
                (self.level, self.first, self.latest, self.seen) = (value, at, at, 1);
                self.keep(Seen { at, value, expected: None, unusual: false });
            }
            return None;
        };
        let unusual = expected.is_broken_by(value, question.side);
        self.keep(Seen { at, value, expected: Some(expected.value), unusual });
        let hours = self.hours_until(at);
        self.seen = self.seen.saturating_add(1);
        self.latest = at;
        let error = value - expected.value;
        let odd = expected.ready && (value < expected.low || value > expected.high);
        self.odd_since = odd.then(|| {
            let (since, count) = self.odd_since.unwrap_or((at, 0));
            (since, count.saturating_add(1))
        });
        self.learn_error(error, odd, question);
        match self.odd_since {
            Some((since, count)) if count >= BELIEVED_RUNS && at.since(since) >= BELIEVED_AFTER => {
                self.level += error;
                (self.trend, self.odd_since) = (0.0, None);
                self.errors.halve();
            }
            Some(_) => {}
            None => self.follow(at, error, hours),
        }
        Some(expected)
    }

    /// What is expected of a value at this moment; nothing before the first one, and of a moment
    /// before the latest.
    pub fn expect(&self, at: Timestamp, question: &Question) -> Option<Expected> {
        if self.seen == 0 || at < self.latest {
            return None;
        }
        let value = self.level + self.trend * self.hours_until(at) + self.season(at);
        let most = self.errors.above(question.one_in).map_or(0.0, power);
        let least = value.abs() * f64::from(question.by_percent) / 100.0;
        let wide = most.max(least).max(value.abs() * FINEST);
        let ready = self.seen >= SEEN_MIN && at.since(self.first) >= question.learn;
        let (low, high) = (value - wide, value + wide);
        let sane = value.is_finite() && low.is_finite() && high.is_finite();
        sane.then_some(Expected { value, low, high, ready })
    }

    /// How many values were seen, and since when.
    pub const fn seen(&self) -> (u64, Timestamp) {
        (self.seen, self.first)
    }

    /// The latest values beside what was expected, the earliest first.
    pub fn kept(&self) -> impl ExactSizeIterator<Item = &Seen> {
        self.kept.iter()
    }

    /// Level, trend and seasons follow an error that is nothing unusual.
    fn follow(&mut self, at: Timestamp, error: f64, hours: f64) {
        let pull = if self.seen > 10 && self.spread > 0.0 {
            error.clamp(-PULL_MAX * self.spread, PULL_MAX * self.spread)
        } else {
            error
        };
        let count = u32::try_from(self.seen).unwrap_or(u32::MAX);
        let gain = (hours / (LEVEL_HOURS + hours)).max(1.0 / f64::from(count)).min(1.0);
        self.level += gain * pull + self.trend * hours;
        if hours > 0.0 && self.seen > 10 {
            // A trend is what the level keeps lacking: it is damped, and never more than a usual
            // error in an hour.
            let slope = self.trend + pull * gain / TREND_HOURS.max(hours);
            self.trend = (slope * (1.0 - hours / (hours + 4.0 * TREND_HOURS)))
                .clamp(-self.spread, self.spread);
        }
        let (hour, day) = places(at);
        let rest = pull * (1.0 - gain);
        let (of_hour, of_day) =
            (self.hours[hour].adds(SUPPOSED_HOURS[0]), self.days[day].adds(SUPPOSED_HOURS[1]));
        self.hours[hour].follow(of_hour + rest, hours, REMEMBERED_HOURS[0]);
        // What the hour explains the day does not.
        let rest = rest + of_hour - self.hours[hour].adds(SUPPOSED_HOURS[0]);
        self.days[day].follow(of_day + rest, hours, REMEMBERED_HOURS[1]);
    }

    /// Errors are counted by their size; an unusual one as not much more than is usual.
    fn learn_error(&mut self, error: f64, odd: bool, question: &Question) {
        let least = (self.level.abs() * FINEST).max(f64::MIN_POSITIVE);
        let size = error.abs().max(least);
        let place = logarithm(size);
        let most = self.errors.above(question.one_in);
        let believed = most.filter(|_| odd).map(|most| most.saturating_add(HALF_AS_MUCH));
        // The first values only say where the level is, and what lasts is one event.
        let goes_on = self.odd_since.is_some_and(|(_, count)| count > 1);
        if self.seen > 3 && !goes_on {
            self.errors.add(believed.map_or(place, |believed| place.min(believed)));
        }
        let bounded = if self.spread > 0.0 && self.seen > 10 {
            size.min(PULL_MAX * self.spread)
        } else {
            size
        };
        let count = u32::try_from(self.seen.min(200)).unwrap_or(200);
        self.spread += (bounded - self.spread) / f64::from(count.max(2));
    }

    fn season(&self, at: Timestamp) -> f64 {
        let (hour, day) = places(at);
        self.hours[hour].adds(SUPPOSED_HOURS[0]) + self.days[day].adds(SUPPOSED_HOURS[1])
    }

    fn hours_until(&self, at: Timestamp) -> f64 {
        (at.since(self.latest).as_secs_f64() / 3_600.0).min(GAP_HOURS_MAX)
    }

    fn keep(&mut self, seen: Seen) {
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(seen);
    }
}

fn places(at: Timestamp) -> (usize, usize) {
    let hours = at.millis() / 3_600_000;
    let place = |number: u64| usize::try_from(number).unwrap_or(0);
    (place(hours % 24), place(hours / 24 % 7))
}

/// The logarithm to base two of a positive number, in 65,536ths: exponent and mantissa are in its
/// bits.
fn logarithm(number: f64) -> i64 {
    let bits = number.to_bits();
    let exponent = i64::try_from(bits >> 52 & 0x7ff).unwrap_or(0) - 1_023;
    let mantissa = (1 << 52) | (bits & ((1 << 52) - 1));
    exponent * OCTAVE + super::scale::log2(mantissa) - 52 * OCTAVE
}

/// Two to the power of so many 65,536ths.
fn power(place: i64) -> f64 {
    let octave = f64::from(i32::try_from(OCTAVE).unwrap_or(1));
    let place = i32::try_from(place.clamp(-1_000 * OCTAVE, 1_000 * OCTAVE)).unwrap_or(0);
    (f64::from(place) / octave).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUESTION: Question = Question {
        one_in: OneIn::new(1_000),
        learn: Duration::from_secs(86_400),
        by_percent: 10,
        side: Side::Both,
    };
    /// A check each five minutes.
    const EVERY: u64 = 300_000;
    const DAY: u64 = 86_400_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_795_219_200_000 + millis)
    }

    /// Between minus one and one, without order.
    fn noise(n: u64) -> f64 {
        let hash = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        f64::from(u32::try_from(hash >> 33).unwrap()) / f64::from(1_u32 << 30) - 1.0
    }

    /// The unusual ones of so many days.
    fn play(metric: &mut Metric, days: std::ops::Range<u64>, value: impl Fn(u64) -> f64) -> usize {
        let moments = (days.start * DAY..days.end * DAY).step_by(300_000);
        moments
            .filter(|now| {
                let value = value(*now);
                let expected = metric.observe(at(*now), value, &QUESTION);
                expected.is_some_and(|expected| expected.is_broken_by(value, QUESTION.side))
            })
            .count()
    }

    /// A load that is high by day: 4 from 8 to 18 o'clock, else 1.
    fn load(now: u64) -> f64 {
        let day = (8..18).contains(&(now / 3_600_000 % 24));
        (if day { 4.0 } else { 1.0 }) + 0.2 * noise(now / EVERY)
    }

    #[test]
    fn a_jump_is_unusual_and_what_is_usual_is_not() {
        let mut metric = Metric::default();
        let usual = |now: u64| 50.0 + 5.0 * noise(now / EVERY);
        assert!(play(&mut metric, 0..10, usual) <= 6, "one in a thousand of 2,880");
        let now = 10 * DAY;
        let expected = metric.expect(at(now), &QUESTION).unwrap();
        assert!(expected.ready && (48.0..52.0).contains(&expected.value), "{expected:?}");
        assert!(expected.is_broken_by(70.0, Side::Above), "{expected:?}");
        assert!(!expected.is_broken_by(70.0, Side::Below));
        assert!(expected.is_broken_by(30.0, Side::Both));
        assert!(!expected.is_broken_by(54.9, Side::Both));
    }

    #[test]
    fn nothing_is_unusual_before_enough_was_seen() {
        let mut metric = Metric::default();
        let wild = |now: u64| if now.is_multiple_of(7 * EVERY) { 1e9 } else { noise(now) };
        assert_eq!(play(&mut metric, 0..1, wild), 0);
        let mut quick = Metric::default();
        for n in 0..90 {
            let expected = quick.observe(at(n * DAY), 1.0 + noise(n), &QUESTION);
            assert!(expected.is_none_or(|expected| !expected.ready), "{n} are too few");
        }
    }

    #[test]
    fn what_each_day_brings_is_expected_of_it() {
        let mut metric = Metric::default();
        play(&mut metric, 0..21, load);
        let of_hour = |hour: u64| {
            let mut ahead = metric.clone();
            let from = 21 * DAY;
            for now in (from..from + hour * 3_600_000).step_by(300_000) {
                ahead.observe(at(now), load(now), &QUESTION);
            }
            ahead.expect(at(from + hour * 3_600_000), &QUESTION).unwrap()
        };
        let (morning, noon, night) = (of_hour(8), of_hour(12), of_hour(23));
        assert!((2.9..5.0).contains(&morning.value), "{morning:?}");
        assert!((3.5..4.5).contains(&noon.value), "{noon:?}");
        assert!((0.5..1.5).contains(&night.value), "{night:?}");
        assert!(play(&mut metric, 21..31, load) <= 9, "one in a thousand of 2,880");
        // The load of the day is unusual by night.
        let night = metric.expect(at(31 * DAY + 2 * 3_600_000), &QUESTION).unwrap();
        assert!(night.is_broken_by(4.0, Side::Both), "{night:?}");
    }

    #[test]
    fn what_stays_is_usual_in_the_end_and_one_wild_value_moves_nothing() {
        let mut metric = Metric::default();
        let usual = |now: u64| 50.0 + noise(now / EVERY);
        play(&mut metric, 0..5, usual);
        metric.observe(at(5 * DAY), 1e12, &QUESTION);
        let after = metric.expect(at(5 * DAY + EVERY), &QUESTION).unwrap();
        assert!((49.0..51.0).contains(&after.value), "{after:?}");
        metric.observe(at(5 * DAY + EVERY), 50.0, &QUESTION);
        let odd = play(&mut metric, 6..7, |now| 100.0 + noise(now / EVERY));
        assert!((72..=80).contains(&odd), "six hours of it: {odd}");
        assert_eq!(play(&mut metric, 7..8, |now| 100.0 + noise(now / EVERY)), 0);
    }

    #[test]
    fn the_values_are_kept_beside_what_was_expected() {
        let mut metric = Metric::default();
        play(&mut metric, 0..3, load);
        assert_eq!(metric.kept().len(), KEPT_MAX);
        let last = metric.kept().last().unwrap();
        assert_eq!((last.at, last.value), (at(3 * DAY - EVERY), load(3 * DAY - EVERY)));
        assert!((0.5..1.5).contains(&last.expected.unwrap()), "{last:?}");
    }

    #[test]
    fn a_clock_that_was_in_the_future_does_not_end_the_learning() {
        let mut metric = Metric::default();
        play(&mut metric, 1_000..1_001, load);
        assert_eq!(metric.observe(at(1_001 * DAY - 2 * EVERY), 1.0, &QUESTION), None);
        play(&mut metric, 0..2, load);
        assert_eq!(metric.kept().last().unwrap().at, at(2 * DAY - EVERY));
        assert!(metric.expect(at(2 * DAY), &QUESTION).unwrap().ready);
    }

    #[test]
    fn a_logarithm_and_its_power_are_one_number() {
        for number in [1e-300, 0.001, 0.3, 1.0, 3.0, 1e300] {
            let back = power(logarithm(number));
            assert!((back / number - 1.0).abs() < 1e-4, "{number} {back}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_what_is_expected_is_a_number(
            values in proptest::collection::vec((any::<f64>(), 0_u64..10 * DAY), 1..300),
            moments in proptest::collection::vec(any::<u64>(), 0..20),
        ) {
            let mut metric = Metric::default();
            let mut now = 0;
            for (value, span) in values {
                now += span;
                metric.observe(at(now), value, &QUESTION);
            }
            for moment in moments {
                metric.observe(Timestamp::from_millis(moment), 1.0, &QUESTION);
            }
            if let Some(expected) = metric.expect(Timestamp::from_millis(u64::MAX), &QUESTION) {
                prop_assert!(expected.low <= expected.value && expected.value <= expected.high);
                prop_assert!(expected.low.is_finite() && expected.high.is_finite());
            }
            prop_assert!(metric.kept().len() <= KEPT_MAX);
        }
    }
}
