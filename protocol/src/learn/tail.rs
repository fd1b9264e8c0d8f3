//! The upper tail of a distribution, learned from what was seen of it: how large the next one will
//! be, but for one in so many.
//!
//! What is counted are places: logarithms to base two of spans or of errors. Where enough was seen
//! the answer is what was seen. Beyond it the excess over a high place is taken as exponential,
//! which for spans is a power law, the heaviest of the usual tails; its rate has a gamma posterior,
//! so the next excess is distributed as Lomax says, and the answer has a closed form. The prior's
//! scale is that of the last places below, and a quarter of an octave as long as nothing was seen.
//!
//! At most [`POINTS_MAX`] points are kept. Neighbours are merged where that matters least: the
//! highest ones stay apart. Later ones count more: the weight of all is bounded, so that earlier
//! ones fade.

use super::scale::{exp2, log2};
use serde::{Deserialize, Serialize};

/// The most points that are kept of a distribution.
pub const POINTS_MAX: usize = 48;

/// The weight of one that was seen.
const ONE: u64 = 256;

/// Of so many the weight is kept; with more, all fade by a sixteenth.
const SEEN_MAX: u64 = 1_024;

/// A point that has faded to this is forgotten.
const FADED: u32 = 4;

/// The tail is what the highest ten are, at least.
const TAIL_SEEN: u64 = 10;

/// What is supposed of the mean excess before anything was seen: a quarter of an octave, 19 %.
const PRIOR_SCALE: u64 = 16_384;

/// As much does that supposition weigh, in ones that were seen.
const PRIOR_SCALE_SEEN: u64 = 3;

/// As much does the scale of the wider tail weigh in the tail.
const PRIOR_SEEN: u64 = 4;

/// How often a false alarm is taken: one in so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OneIn(u32);

impl OneIn {
    /// One in so many; one in two at the least.
    pub const fn new(many: u32) -> Self {
        Self(if many < 2 { 2 } else { many })
    }

    /// In how many.
    pub const fn many(self) -> u32 {
        self.0
    }
}

/// What was seen of a distribution.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// In order of their places.
    points: Vec<Point>,
}

/// Some that were seen, spread evenly from one place to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Point {
    /// In 65,536ths of an octave.
    low: i32,
    high: i32,
    /// In 256ths of one that was seen.
    weight: u32,
}

impl Tail {
    /// Takes note of one more.
    pub fn add(&mut self, place: i64) {
        let place = place.clamp(i64::from(i32::MIN / 2), i64::from(i32::MAX / 2));
        let Ok(place) = i32::try_from(place) else { return };
        let at = self.points.partition_point(|point| point.high < place);
        match self.points.get_mut(at) {
            Some(point) if point.low <= place => {
                point.weight = point.weight.saturating_add(256);
                self.split(at);
            }
            Some(_) | None => {
                self.points.insert(at, Point { low: place, high: place, weight: 256 });
            }
        }
        if self.points.len() > POINTS_MAX {
            self.merge();
        }
        if self.weight() > SEEN_MAX * ONE {
            self.fade(15, 16, |_| true);
        }
    }

    /// Has all that was seen count for half as much: the world has changed.
    pub fn halve(&mut self) {
        self.fade(1, 2, |_| true);
    }

    /// Has what was seen above a place count for half as much: nothing is there any more.
    pub fn halve_above(&mut self, place: i64) {
        self.fade(1, 2, |point| i64::from(point.low) > place);
    }

    /// Has what was seen below a place count for half as much.
    pub fn halve_below(&mut self, place: i64) {
        self.fade(1, 2, |point| i64::from(point.high) < place);
    }

    /// How many were seen, what has faded left out.
    pub fn seen(&self) -> u64 {
        self.weight() / ONE
    }

    /// The place that the next one is above of in one case of so many; nothing before the first.
    pub fn above(&self, one_in: OneIn) -> Option<i64> {
        let (all, many) = (self.weight(), u64::from(one_in.many()));
        if all == 0 {
            return None;
        }
        // What is wanted, the tail, and the wider one, by their weights.
        let wanted = all / many;
        let tail = (TAIL_SEEN * ONE).max(all / 50).min(all.div_ceil(2));
        if wanted >= tail {
            return Some(self.place_at(wanted));
        }
        let wider = (4 * tail).min(all.div_ceil(2));
        let (from, wider_from) = (self.place_at(tail), self.place_at(wider));
        let prior = PRIOR_SCALE_SEEN * ONE;
        let scale = (prior * PRIOR_SCALE + self.excess(wider_from)) / (prior + wider);
        // The posterior of the rate: so many were seen, and this is the sum of what they exceed by.
        let seen = PRIOR_SEEN * ONE + tail;
        let sum = (PRIOR_SEEN * ONE * scale + self.excess(from)) / ONE;
        // Of those in the tail one in 2^rarer is wanted.
        let rarer = (log2(tail) + log2(many) - log2(all)).max(0);
        let seen = i64::try_from(seen).unwrap_or(i64::MAX);
        let growth = exp2(rarer.saturating_mul(256) / seen, 16).saturating_sub(1 << 16);
        let excess = sum.saturating_mul(growth) >> 16;
        Some(from.saturating_add(i64::try_from(excess).unwrap_or(i64::MAX)))
    }

    /// The place with so much of a hundred below it; nothing before the first.
    pub fn percentile(&self, percent: u8) -> Option<i64> {
        let all = self.weight();
        (all > 0).then(|| self.place_at(all * u64::from(100 - percent.min(100)) / 100))
    }

    fn weight(&self) -> u64 {
        self.points.iter().map(|point| u64::from(point.weight)).sum()
    }

    /// The place that this much weight is above of.
    fn place_at(&self, weight: u64) -> i64 {
        let mut above = 0;
        for point in self.points.iter().rev() {
            let own = u64::from(point.weight);
            if above + own > weight {
                let part = i64::try_from(weight - above).unwrap_or(0);
                return i64::from(point.high) - point.width() * part / i64::from(point.weight);
            }
            above += own;
        }
        self.points.first().map_or(0, |lowest| i64::from(lowest.low))
    }

    /// By how much all that is above a place exceeds it, by weight.
    fn excess(&self, from: i64) -> u64 {
        let above = |point: &Point| {
            let (low, high) = (i64::from(point.low), i64::from(point.high));
            let beyond = u64::try_from(high - from).unwrap_or(0);
            let weight = u64::from(point.weight);
            if low >= from {
                return weight * u64::try_from((low - from + high - from) / 2).unwrap_or(0);
            }
            let part = u64::try_from(point.width()).unwrap_or(1).max(1);
            weight * beyond / 2 * beyond / part
        };
        self.points.iter().map(above).sum()
    }

    fn fade(&mut self, part: u32, of: u32, which: impl Fn(&Point) -> bool) {
        for point in self.points.iter_mut().filter(|point| which(point)) {
            let faded = u64::from(point.weight) * u64::from(part) / u64::from(of);
            point.weight = u32::try_from(faded).unwrap_or(u32::MAX);
        }
        self.points.retain(|point| point.weight > FADED);
    }

    /// Takes a wide point apart that holds much of the weight: it hides where that is.
    fn split(&mut self, at: usize) {
        let much = self.weight() / 16;
        let Some(point) = self.points.get_mut(at) else { return };
        if point.high == point.low || u64::from(point.weight) < much.max(2 * ONE) {
            return;
        }
        let middle = point.low + (point.high - point.low) / 2;
        let upper = Point { low: middle + 1, high: point.high, weight: point.weight / 2 };
        point.high = middle;
        point.weight -= upper.weight;
        self.points.insert(at + 1, upper);
    }

    /// Makes one of the two neighbours of which it tells least that they are two: little weight,
    /// near each other, with much above them.
    fn merge(&mut self) {
        let mut above = ONE;
        let mut least: Option<(u64, usize)> = None;
        for (n, pair) in self.points.windows(2).enumerate().rev() {
            let [low, high] = pair else { continue };
            let width = u64::try_from(i64::from(high.high) - i64::from(low.low)).unwrap_or(0);
            let weight = u64::from(low.weight) + u64::from(high.weight);
            let cost = (weight * 16 * width) / above;
            if least.is_none_or(|(known, _)| cost < known) {
                least = Some((cost, n));
            }
            above += u64::from(high.weight);
        }
        let Some((_, n)) = least else { return };
        let high = self.points.remove(n + 1);
        let low = &mut self.points[n];
        low.high = high.high;
        low.weight = low.weight.saturating_add(high.weight);
    }
}

impl Point {
    fn width(&self) -> i64 {
        i64::from(self.high) - i64::from(self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(numbers: impl IntoIterator<Item = u64>) -> Tail {
        let mut tail = Tail::default();
        numbers.into_iter().for_each(|number| tail.add(log2(number)));
        tail
    }

    fn above(tail: &Tail, many: u32) -> u64 {
        exp2(tail.above(OneIn::new(many)).unwrap(), 0)
    }

    #[test]
    fn what_is_always_the_same_is_soon_known() {
        let after = |count: usize| above(&of(vec![60_000; count]), 1_000);
        assert!((200_000..600_000).contains(&after(1)), "one says little: {}", after(1));
        assert!((63_000..80_000).contains(&after(10)), "{}", after(10));
        assert!(after(100) < 62_000, "{}", after(100));
        assert!(after(1_000) < 60_500, "{}", after(1_000));
        assert_eq!(Tail::default().above(OneIn::new(10)), None);
    }

    #[test]
    fn what_was_seen_often_enough_is_the_answer() {
        // Every tenth is eight times as long, in no order that matters.
        let tail = of((0..1_000_u64).map(|n| if n % 10 == 7 { 80_000 } else { 10_000 }));
        assert!((9_900..10_100).contains(&above(&tail, 5)), "{}", above(&tail, 5));
        assert!((79_000..81_000).contains(&above(&tail, 50)), "{}", above(&tail, 50));
        assert!((79_000..110_000).contains(&above(&tail, 1_000)), "{}", above(&tail, 1_000));
    }

    #[test]
    fn a_world_that_changed_is_forgotten_and_little_is_kept() {
        let mut tail = of((0..100_000_u64).map(|n| 1_000 + (n * 7_919) % 60_000));
        assert!(tail.points.len() <= POINTS_MAX);
        assert!(tail.seen() <= SEEN_MAX);
        let before = tail.seen();
        tail.halve();
        assert!(tail.seen() <= before / 2 + 1);
        (0..10_000).for_each(|_| tail.add(log2(500)));
        assert!(above(&tail, 1_000) < 520, "{}", above(&tail, 1_000));
    }

    proptest! {
        #[test]
        fn rarer_false_alarms_are_never_sooner(
            places in proptest::collection::vec(any::<i64>(), 1..200),
            near in proptest::collection::vec(0_i64..4_000_000, 0..200),
            many in 2_u32..1_000_000,
            more in 0_u32..1_000_000,
        ) {
            let mut tail = Tail::default();
            places.iter().chain(&near).for_each(|place| tail.add(*place));
            prop_assert!(tail.points.len() <= POINTS_MAX);
            prop_assert!(tail.points.is_sorted_by(|one, next| one.high < next.low));
            let (one, other) =
                (tail.above(OneIn::new(many)), tail.above(OneIn::new(many.saturating_add(more))));
            prop_assert!(one <= other, "{one:?} {other:?}");
        }

        #[test]
        fn as_many_are_above_as_was_asked_for(seed in any::<u64>(), many in 5_u32..50) {
            // A wide distribution without order: squares of hashes.
            let number = |n: u64| {
                let hash = seed.wrapping_add(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 44;
                1_000 + hash * hash / (1 << 20)
            };
            let tail = of((0..900).map(number));
            let limit = above(&tail, many);
            let beyond = u32::try_from((0..900).filter(|n| number(*n) > limit).count()).unwrap();
            let wanted = 900 / many;
            prop_assert!(beyond.abs_diff(wanted) <= wanted / 3 + 4, "{beyond} of {wanted}");
        }
    }
}
