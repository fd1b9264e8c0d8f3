//! Verdicts that come and go: told by a weighted share of changes among the latest runs.
//!
//! The rule is that of Nagios and Icinga: of the latest twenty steps from one result to the next,
//! those that changed the result are added up, the oldest with weight 0.8 and the newest with 1.2.
//! From 30 % on a check flaps, and below 25 % it has come to rest. A repair of what flaps is a
//! repair of a moment, and the next one would follow it soon.

use crate::document::Verdict;
use std::collections::VecDeque;

/// How many steps are looked at.
const STEPS: usize = 20;
/// The weight of the oldest step, in thousandths.
const OLDEST: usize = 800;
/// By how much the newest weighs more, in thousandths.
const SPREAD: usize = 400;
/// From here on it flaps, in thousandths of a percent.
const STARTS_AT: usize = 30_000;
/// Below this it has come to rest.
const ENDS_BELOW: usize = 25_000;

/// The latest results of a check.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    last: Option<Verdict>,
    /// Whether each step changed the result, the oldest first.
    changed: VecDeque<bool>,
    flaps: bool,
}

impl History {
    /// Takes a result; says whether the check flaps now.
    pub(super) fn take(&mut self, result: Verdict) -> bool {
        if let Some(last) = self.last.replace(result) {
            self.changed.push_back(last != result);
            if self.changed.len() > STEPS {
                self.changed.pop_front();
            }
        }
        let share = self.share();
        self.flaps = if self.flaps { share >= ENDS_BELOW } else { share >= STARTS_AT };
        self.flaps
    }

    /// The weighted share of changes, in thousandths of a percent.
    fn share(&self) -> usize {
        // What was not seen yet has not changed: the newest step is always the last place.
        let first = STEPS - self.changed.len();
        let weights = (first..STEPS).map(|place| OLDEST + SPREAD * place / (STEPS - 1));
        let changes = self.changed.iter().zip(weights).filter(|(changed, _)| **changed);
        let sum: usize = changes.map(|(_, weight)| weight).sum();
        sum * 100 / STEPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternate(history: &mut History, times: usize) -> bool {
        let verdicts = [Verdict::Fail, Verdict::Pass].into_iter().cycle();
        verdicts.take(times).map(|verdict| history.take(verdict)).last().unwrap_or(false)
    }

    #[test]
    fn six_changes_in_a_row_are_flapping_and_five_are_not() {
        let mut history = History::default();
        assert!(!history.take(Verdict::Pass));
        assert!(!alternate(&mut history, 5));
        let share = history.share();
        assert!((28_000..30_000).contains(&share), "{share}");
        assert!(history.take(Verdict::Pass));
    }

    #[test]
    fn it_comes_to_rest_below_a_quarter_and_not_between() {
        let mut history = History::default();
        history.take(Verdict::Pass);
        alternate(&mut history, 6);
        let mut steady = 0;
        while history.take(Verdict::Pass) {
            steady += 1;
            assert!(steady < 25, "it never comes to rest");
            assert!(history.share() >= ENDS_BELOW);
        }
        // The six changes have to leave the window one by one: the weights alone fall to 24.9 %
        // only for five of them.
        assert!((10..20).contains(&steady), "{steady}");
        assert!(!alternate(&mut history, 1), "one change more is no relapse");
    }

    #[test]
    fn what_always_changes_is_a_hundred_percent_and_what_never_does_is_none() {
        let mut history = History::default();
        alternate(&mut history, 50);
        assert!((99_000..=100_000).contains(&history.share()), "{}", history.share());
        let mut steady = History::default();
        (0..50).for_each(|_| assert!(!steady.take(Verdict::Fail)));
        assert_eq!(steady.share(), 0);
    }
}
