//! Whether a number is on its way to where it is a failure, and how long it still takes.
//!
//! A disk that fills up says so hours before it is full. Of the latest values, thinned out over as
//! long as one wants to look ahead, the slopes between all pairs that lie well apart are compared
//! (after Theil and Sen): as long as a quarter of them says that the number does not move, or moves
//! less, that is believed. So a jump, noise, or a few wild values are no way to anywhere; nor is what
//! has stopped rising.
//!
//! Like [`super::metric`] this is one host's own and never in the ledger.

use crate::{perfdata::Range, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, time::Duration};

/// So many values are kept over the time that is looked back: as long as one looks ahead.
pub const KEPT_MAX: u32 = 48;

/// Fewer values say nothing.
const SEEN_MIN: usize = 12;

/// Nor do those of less than this part of the time.
const SEEN_PART: u32 = 4;

/// Two values tell of a slope when they are this part of all that is known apart.
const APART: u32 = 3;

/// What has slowed down, of late, to less than this part of the slope does not go on.
const GOES_ON: f64 = 0.25;

/// The latest values of a number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    points: VecDeque<(Timestamp, f64)>,
}

/// Where a number is on its way to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heading {
    /// From here on it is a failure.
    pub limit: f64,
    /// When it gets there.
    pub after: Duration,
}

impl Trend {
    /// Takes note of a value.
    pub fn note(&mut self, at: Timestamp, value: f64, within: Duration) {
        if !value.is_finite() {
            return;
        }
        // A clock that was set back has made what came after it untrue.
        self.points.retain(|(seen, _)| *seen <= at && seen.plus(within) > at);
        let apart = within / KEPT_MAX;
        if self.points.back().is_none_or(|(latest, _)| latest.plus(apart) <= at) {
            self.points.push_back((at, value));
        }
    }

    /// Whether it reaches a range of failure within this time, if it goes on as it does.
    pub fn heads_for(
        &self,
        range: &Range,
        now: (Timestamp, f64),
        within: Duration,
    ) -> Option<Heading> {
        let (at, value) = now;
        // What fails in the middle has two ways out.
        if range.inside || range.alerts(value) {
            return None;
        }
        let span = at.since(self.points.front()?.0);
        if self.points.len() < SEEN_MIN || span < within / SEEN_PART {
            return None;
        }
        [(range.to, 1.0), (range.from, -1.0)]
            .into_iter()
            .filter_map(|(limit, sign)| {
                let limit = limit?;
                let pace = self.pace(at, span, sign)?;
                let hours = sign * (limit - value) / pace;
                let after = Duration::try_from_secs_f64(hours * 3_600.0).ok()?;
                (after <= within).then_some(Heading { limit, after })
            })
            .min_by_key(|heading| heading.after)
    }

    /// How fast it goes up, or down where `sign` is negative, in an hour, at the least that can be
    /// believed; nothing where it does not, or does so no more.
    fn pace(&self, at: Timestamp, span: Duration, sign: f64) -> Option<f64> {
        let slopes = |span: Duration| {
            let apart = span / APART;
            let points = || self.points.iter().filter(move |(seen, _)| at.since(*seen) <= span);
            let mut slopes: Vec<f64> = points()
                .flat_map(|(a, before)| {
                    let later = points().filter(move |(b, _)| b.since(*a) >= apart && b > a);
                    later.map(move |(b, then)| {
                        sign * (then - before) / (b.since(*a).as_secs_f64() / 3_600.0)
                    })
                })
                .collect();
            slopes.sort_by(f64::total_cmp);
            slopes
        };
        let all = slopes(span);
        let pace = *all.get(all.len() / 4)?;
        let of_late = slopes(span / APART);
        let goes_on = *of_late.get(of_late.len() / 2)?;
        (pace > 0.0 && goes_on >= GOES_ON * pace).then_some(pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const WITHIN: Duration = Duration::from_secs(4 * 3_600);
    /// Of a disk: more than 90 percent is a failure.
    const FULL: Range = Range { from: Some(0.0), to: Some(90.0), inside: false };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_795_219_200_000 + seconds * 1_000)
    }

    /// Noise of one to each side that is the same each time.
    fn noise(number: u64) -> f64 {
        let hash = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
        f64::from(u32::try_from(hash % 2_001).unwrap()) / 1_000.0 - 1.0
    }

    /// When it is said first that it heads for a failure, and where it was then; values come every
    /// minute for so many hours.
    fn said(hours: u64, range: &Range, value: impl Fn(f64, u64) -> f64) -> Option<(f64, Heading)> {
        let mut trend = Trend::default();
        (0..hours * 60).find_map(|minute| {
            let now = at(minute * MINUTE);
            let hour = f64::from(u32::try_from(minute).unwrap()) / 60.0;
            let value = value(hour, minute);
            trend.note(now, value, WITHIN);
            assert!(trend.points.len() <= usize::try_from(KEPT_MAX).unwrap() + 1);
            Some((hour, trend.heads_for(range, (now, value), WITHIN)?))
        })
    }

    #[test]
    fn what_fills_up_is_said_hours_before_it_is_full() {
        // It is full after 20 hours.
        let (hour, heading) = said(24, &FULL, |hour, _| 10.0 + 4.0 * hour).unwrap();
        assert!((15.9..16.2).contains(&hour), "{hour}");
        assert_eq!(heading.limit, 90.0);
        assert!(heading.after.abs_diff(WITHIN) < Duration::from_secs(120), "{heading:?}");
        let (noisy, _) = said(24, &FULL, |hour, n| 10.0 + 4.0 * hour + noise(n)).unwrap();
        assert!((15.5..17.5).contains(&noisy), "{noisy}");
        // The first thing that is known of it: an hour is enough.
        let (early, _) = said(2, &FULL, |hour, _| 60.0 + 20.0 * hour).unwrap();
        assert!((0.99..1.1).contains(&early), "{early}");
    }

    #[test]
    fn what_runs_out_is_said_as_well() {
        let free = Range { from: Some(10.0), to: None, inside: false };
        let (hour, heading) = said(24, &free, |hour, _| 90.0 - 4.0 * hour).unwrap();
        assert!((15.9..16.2).contains(&hour) && heading.limit == 10.0, "{hour} {heading:?}");
    }

    #[test]
    fn noise_jumps_and_what_goes_up_and_down_head_nowhere() {
        let quiet = |value: &dyn Fn(f64, u64) -> f64| said(72, &FULL, value);
        assert_eq!(quiet(&|_, _| 80.0), None);
        assert_eq!(quiet(&|_, n| 80.0 + 5.0 * noise(n)), None);
        // A file of a quarter of the disk, once.
        assert_eq!(quiet(&|hour, _| if hour < 5.0 { 50.0 } else { 75.0 }), None);
        // By day and by night, and once wild.
        assert_eq!(
            quiet(&|hour, _| 60.0 + 10.0 * (hour * std::f64::consts::TAU / 24.0).sin()),
            None
        );
        assert_eq!(quiet(&|_, n| if n % 97 == 0 { 89.0 } else { 40.0 }), None);
        // Too slow to get there in four hours.
        assert_eq!(said(20, &FULL, |hour, _| 20.0 + 2.0 * hour), None);
    }

    #[test]
    fn what_has_stopped_rising_is_on_its_way_no_more() {
        let value = |hour: f64| 40.0 + 10.0 * hour.min(3.0);
        let mut trend = Trend::default();
        let mut latest = None;
        for minute in 0..360_u32 {
            let hour = f64::from(minute) / 60.0;
            let now = at(u64::from(minute) * MINUTE);
            trend.note(now, value(hour), WITHIN);
            let heads = trend.heads_for(&FULL, (now, value(hour)), WITHIN).is_some();
            latest = if heads { Some(hour) } else { latest };
        }
        assert!(latest.is_some_and(|hour| (2.9..4.0).contains(&hour)), "{latest:?}");
    }

    #[test]
    fn a_clock_that_was_set_back_and_a_gap_begin_anew() {
        let mut trend = Trend::default();
        for minute in 0..120 {
            trend.note(
                at(86_400 + minute * MINUTE),
                50.0 + f64::from(u32::try_from(minute).unwrap()) / 4.0,
                WITHIN,
            );
        }
        let value = (at(86_400 + 119 * MINUTE), 80.0);
        assert!(trend.heads_for(&FULL, value, WITHIN).is_some());
        let mut back = trend.clone();
        back.note(at(0), 80.0, WITHIN);
        assert_eq!(back.heads_for(&FULL, (at(0), 80.0), WITHIN), None);
        trend.note(at(10 * 86_400), 80.0, WITHIN);
        assert_eq!(trend.points.len(), 1);
        trend.note(at(10 * 86_400), f64::NAN, WITHIN);
        assert_eq!(trend.points.len(), 1);
        let middle = Range { from: Some(10.0), to: Some(20.0), inside: true };
        assert_eq!(trend.heads_for(&middle, value, WITHIN), None);
    }
}
