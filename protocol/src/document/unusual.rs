//! `unusual`: that a check tells when one of its numbers is not what it usually is.

use super::Verdict;
use crate::learn::{
    OneIn,
    metric::{Question, Side},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a check makes of a number that is not what it usually is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusual {
    /// What the check then says, unless it says worse: `warn` or `fail`.
    pub verdict: Verdict,
    /// Which of its numbers, by their labels; nothing for all.
    pub metric: Option<String>,
    /// A false alarm in so many runs is taken; 10,000 unless said.
    pub one_in: OneIn,
    /// For how long only is learned; a day unless said.
    pub learn: Duration,
    /// A number that differs by less from what was expected, in percent of that, is none; 10
    /// unless said.
    pub by_percent: u32,
    /// Whether too high, too low or both; both unless said.
    pub side: Side,
}

impl Unusual {
    /// This verdict, and every default.
    pub const fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            metric: None,
            one_in: OneIn::new(10_000),
            learn: Duration::from_secs(86_400),
            by_percent: 10,
            side: Side::Both,
        }
    }

    /// What is asked of each number's model.
    pub const fn question(&self) -> Question {
        Question {
            one_in: self.one_in,
            learn: self.learn,
            by_percent: self.by_percent,
            side: self.side,
        }
    }

    /// Whether it is about the number with this label.
    pub fn is_about(&self, label: &str) -> bool {
        self.metric.as_ref().is_none_or(|metric| metric == label)
    }
}
