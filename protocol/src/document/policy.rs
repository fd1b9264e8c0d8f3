//! When a notifier is used, beside the rungs that name it: again, not at night, and whom else.

use super::{Schedule, Selector};
use crate::{
    document::{Runbook, Silence, Verdict},
    name::{Labels, Name},
    record::Because,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

/// How bad an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Somebody wanted it.
    Info,
    /// A check warns.
    Warning,
    /// A check fails, a host is silent.
    Critical,
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    /// How bad a signal is.
    pub const fn of(because: &Because) -> Self {
        match because {
            Because::Check { verdict: Verdict::Warn, .. } => Self::Warning,
            Because::Check {
                verdict: Verdict::Pass | Verdict::Fail | Verdict::Unknown, ..
            }
            | Because::Silent {
                kind: Silence::Silent | Silence::Crashed | Silence::Dark, ..
            }
            | Because::Ladder { .. }
            | Because::Job { .. }
            | Because::Storm { .. }
            | Because::Untold { .. } => Self::Critical,
            Because::Operator { .. } => Self::Info,
        }
    }

    /// How bad an alert or a job says to be, by its label `severity` or `level`; nothing where
    /// neither says so in a word that is known.
    pub fn told(labels: &Labels) -> Option<Self> {
        ["severity", "level"].iter().find_map(|key| Self::meant(labels.get(*key)?))
    }

    /// What other systems mean by their words for it.
    fn meant(word: &str) -> Option<Self> {
        const CRITICAL: [&str; 14] = [
            "critical",
            "crit",
            "page",
            "error",
            "err",
            "fail",
            "failure",
            "fatal",
            "major",
            "high",
            "disaster",
            "emergency",
            "emerg",
            "alert",
        ];
        const WARNING: [&str; 5] = ["warning", "warn", "minor", "average", "medium"];
        const INFO: [&str; 7] =
            ["info", "information", "informational", "notice", "low", "debug", "none"];
        let word = word.trim().to_ascii_lowercase();
        let is = |words: &[&str]| words.contains(&word.as_str());
        if is(&CRITICAL) {
            return Some(Self::Critical);
        }
        if is(&WARNING) {
            return Some(Self::Warning);
        }
        is(&INFO).then_some(Self::Info)
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// When a notifier is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How long after a call it is made again, while nobody has acknowledged the incident; never
    /// unless said.
    pub repeat: Option<Duration>,
    /// Who is called when nobody acknowledges.
    pub escalate: Option<Escalate>,
    /// When it says nothing; what is due then is told afterwards, unless it is over by then.
    pub quiet: Option<Quiet>,
    /// Whether it tells that an incident is over; it does unless said.
    pub recovery: bool,
    /// Whether it tells of what a rung repaired without a call by it; it does not unless said.
    pub repairs: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { repeat: None, escalate: None, quiet: None, recovery: true, repairs: false }
    }
}

/// Who is called when nobody acknowledges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalate {
    /// By which notifier.
    pub to: Name,
    /// How long after the first was told, or should have been.
    pub after: Duration,
}

/// When a notifier says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// When.
    pub when: Schedule,
    /// What is told all the same.
    pub except: BTreeSet<Severity>,
}

impl Policy {
    /// Until when it says nothing of what is so bad, if it says nothing now.
    pub fn quiet_until(&self, severity: Severity, at: Timestamp) -> Option<Timestamp> {
        let quiet = self.quiet.as_ref().filter(|quiet| !quiet.except.contains(&severity))?;
        quiet.when.covers(at)
    }
}

/// Where a route leads to, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The notifiers that tell.
    pub notify: Vec<Name>,
    /// About what is so labelled: the labels of the peer, and those of the alert or the job that the
    /// peer has not.
    pub selector: Selector,
    /// About what is so bad; about everything when it is empty.
    pub severities: BTreeSet<Severity>,
    /// About incidents of these runbooks; of any, and of none, when it is empty.
    pub runbooks: BTreeSet<Name>,
}

impl Route {
    /// Whether it is for everything.
    pub fn is_for_all(&self) -> bool {
        self.selector.0.is_empty() && self.severities.is_empty() && self.runbooks.is_empty()
    }

    /// Whether it is for this.
    pub fn fits(&self, labels: &Labels, severity: Severity, runbook: Option<&Runbook>) -> bool {
        self.selector.fits(labels)
            && (self.severities.is_empty() || self.severities.contains(&severity))
            && (self.runbooks.is_empty()
                || runbook.is_some_and(|runbook| self.runbooks.contains(&runbook.name)))
    }
}
