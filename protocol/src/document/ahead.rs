//! `ahead`: that a check tells before it fails.

use super::Verdict;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a check makes of a number that is on its way to where it is a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// It gets there within this time, if it goes on as it does.
    pub within: Duration,
    /// What the check then says, unless it says worse: `warn` or `fail`.
    pub verdict: Verdict,
    /// Which of its numbers, by their labels; nothing for all that have a range of failure.
    pub metric: Option<String>,
}

impl Ahead {
    /// Whether it is about the number with this label.
    pub fn is_about(&self, label: &str) -> bool {
        self.metric.as_ref().is_none_or(|metric| metric == label)
    }
}
