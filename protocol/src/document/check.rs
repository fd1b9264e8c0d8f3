//! Checks: a probe, how often to run it, and what its runs make of the verdict.

use super::{Ahead, Probe, Selector, Unusual};
use crate::name::Name;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

/// A probe, how often to run it, and how many results in a row make a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What runbooks call it.
    pub name: Name,
    /// How the answer is found.
    pub probe: Probe,
    /// On which peers it runs.
    pub selector: Selector,
    /// Time from one run to the next; 30 s unless said.
    pub every: Duration,
    /// How long one run may take; 10 s unless said.
    pub timeout: Duration,
    /// Failing runs in a row before the verdict is `fail`; 2 unless said.
    pub fail_after: u32,
    /// Passing runs in a row before the verdict is `pass` again; 1 unless said.
    pub pass_after: u32,
    /// How much later than its turn a run may begin, so that a mesh does not ask one server all at
    /// once; zero unless said. It is shorter than `every`.
    pub jitter: Duration,
    /// Checks whose failing on the same peer explains this one's: while one of them fails, no
    /// incident is opened about this one.
    pub depends_on: BTreeSet<Name>,
    /// Whether a verdict that comes and goes is left alone until it stays; true unless said.
    pub flapping: bool,
    /// After how long without any result the verdict is `unknown`.
    pub stale_after: Duration,
    /// What it says when one of its numbers is not what it usually is; nothing unless said.
    pub unusual: Option<Unusual>,
    /// What it says when one of its numbers is on its way to a failure; nothing unless said.
    pub ahead: Option<Box<Ahead>>,
}

impl Check {
    /// How often a check is run unless said otherwise.
    pub const EVERY: Duration = Duration::from_secs(30);

    /// How often alerts are looked at when none comes: for those that end by their time.
    pub const ALERT_EVERY: Duration = Duration::from_secs(5);

    /// A check with every default filled in.
    pub fn new(name: Name, probe: Probe) -> Self {
        let (every, timeout) = (Self::EVERY, Duration::from_secs(10));
        Self {
            name,
            probe,
            selector: Selector::default(),
            every,
            timeout,
            fail_after: 2,
            pass_after: 1,
            jitter: Duration::ZERO,
            depends_on: BTreeSet::new(),
            flapping: true,
            stale_after: Self::stale_after(every, timeout),
            unusual: None,
            ahead: None,
        }
    }

    /// When a verdict is stale unless said otherwise: three turns, each as long as it may take,
    /// and what it takes to end a program that does not want to.
    pub fn stale_after(every: Duration, timeout: Duration) -> Duration {
        every.saturating_add(timeout).saturating_mul(3).saturating_add(Duration::from_secs(10))
    }
}

/// What one run of a check, or the check as a whole, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// All is well (exit code 0).
    Pass,
    /// Not well, not broken (1).
    Warn,
    /// Broken (2).
    Fail,
    /// The probe itself did not work (3, and any other).
    Unknown,
}

impl Verdict {
    /// The verdict for a monitoring plugin's exit code.
    pub const fn from_exit_code(code: i32) -> Self {
        match code {
            0 => Self::Pass,
            1 => Self::Warn,
            2 => Self::Fail,
            _ => Self::Unknown,
        }
    }

    /// The word for it: `pass`, `warn`, `fail`, `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        }
    }

    /// The worse of two: `unknown` is worse than `pass` and better than what is known to be bad.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |verdict: Self| match verdict {
            Self::Pass => 0,
            Self::Unknown => 1,
            Self::Warn => 2,
            Self::Fail => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}
