//! Checks: a probe, how often to run it, and what its runs make of the verdict.

use super::{Command, Selector};
use crate::name::Name;
use serde::{Deserialize, Serialize};
use std::time::Duration;

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
}

/// How a check finds its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    /// A program with the monitoring-plugin exit codes: 0 pass, 1 warn, 2 fail, 3 unknown.
    Command(Command),
    /// An HTTP request that must be answered with `status`.
    Http {
        /// The address, `http://…` or `https://…`.
        url: String,
        /// The status that passes; 200 unless said.
        status: u16,
    },
    /// A TCP connection that must come about.
    Tcp {
        /// `HOST:PORT`.
        address: String,
    },
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
}
