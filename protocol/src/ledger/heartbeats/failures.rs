//! How often a job was missed or has failed lately, by the day: what is long ago is forgotten.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// For so many days it is remembered, today among them. GoTel's `daystostorelogs`.
pub const FAILURE_DAYS: u16 = 30;

const DAY_MILLIS: u64 = 86_400_000;

/// How often on each of the latest days, in UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// The latest day on which there was one, counted from 1970.
    day: u32,
    /// How often on that day, on the one before it, …; nothing after the earliest that counts.
    counts: VecDeque<u32>,
}

impl Failures {
    /// One more at this moment.
    pub(super) fn add(&mut self, at: Timestamp) {
        let day = day(at);
        let later = day.saturating_sub(self.day);
        if self.counts.is_empty() || later >= u32::from(FAILURE_DAYS) {
            self.counts = VecDeque::from([0]);
            self.day = day;
        }
        while self.day < day {
            self.counts.push_front(0);
            self.day += 1;
        }
        self.counts.truncate(usize::from(FAILURE_DAYS));
        // What came in before midnight may be in the log after what came later.
        if let Some(count) = self.counts.front_mut() {
            *count = count.saturating_add(1);
        }
    }

    /// The one of this moment was none.
    pub(super) fn take_back(&mut self, at: Timestamp) {
        let ago = usize::try_from(self.day.saturating_sub(day(at))).unwrap_or(usize::MAX);
        if let Some(count) = self.counts.get_mut(ago) {
            *count = count.saturating_sub(1);
        }
        while self.counts.back() == Some(&0) {
            self.counts.pop_back();
        }
    }

    /// How many there were within the days that are remembered, as it is at this moment.
    pub fn lately(&self, at: Timestamp) -> u64 {
        let ago = day(at).saturating_sub(self.day);
        let kept = u32::from(FAILURE_DAYS).saturating_sub(ago);
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        self.counts.iter().take(kept).map(|count| u64::from(*count)).sum()
    }
}

fn day(at: Timestamp) -> u32 {
    u32::try_from(at.millis() / DAY_MILLIS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn on(day: u64) -> Timestamp {
        Timestamp::from_millis((20_000 + day) * DAY_MILLIS + 7)
    }

    #[test]
    fn a_month_is_remembered_and_a_few_bytes_of_it() {
        let mut failures = Failures::default();
        assert_eq!((failures.lately(on(0)), crate::codec::encode(&failures).len()), (0, 3));
        for day in 0..100 {
            failures.add(on(day));
            failures.add(on(day));
        }
        assert_eq!(failures.lately(on(99)), 60);
        assert_eq!(failures.lately(on(100)), 58);
        assert_eq!((failures.lately(on(128)), failures.lately(on(129))), (2, 0));
        failures.take_back(on(99));
        assert_eq!(failures.lately(on(99)), 59);
        let bytes = crate::codec::encode(&failures).len();
        assert!(bytes < 40, "{bytes}");
        failures.add(on(500));
        assert_eq!(failures.lately(on(500)), 1);
    }

    proptest! {
        #[test]
        fn every_one_of_the_latest_days_counts_and_no_other(
            steps in proptest::collection::vec(0_u64..40, 1..60),
        ) {
            let (mut failures, mut days, mut today) = (Failures::default(), Vec::new(), 0);
            for step in steps {
                today += step;
                failures.add(on(today));
                days.push(today);
                let lately = days.iter().filter(|day| today - **day < 30).count();
                prop_assert_eq!(failures.lately(on(today)), u64::try_from(lately).unwrap());
            }
        }
    }
}
