//! Runbooks: which signals they answer, and the rungs from gentle to drastic.

use super::{Command, EvidenceStep, Selector, Verdict};
use crate::name::Name;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which silence a runbook answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Silence {
    /// Either kind.
    Silent,
    /// The agent is gone and its host's kernel says so.
    Crashed,
    /// Nothing answers.
    Dark,
}

impl Silence {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Crashed => "crashed",
            Self::Dark => "dark",
        }
    }
}

/// What a runbook answers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum On {
    /// This check fails on a peer.
    Check(Name),
    /// A peer's agent does not answer.
    Peer(Silence),
}

/// A signal's answer: what to collect, which rungs to climb, within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runbook {
    /// What incidents call it.
    pub name: Name,
    /// The signal that it answers.
    pub on: On,
    /// The mildest verdict of its check that it answers: `warn` unless said, or `fail`.
    pub mildest: Verdict,
    /// Which affected peers it is for.
    pub selector: Selector,
    /// After a repair of a target, how long until the next incident of it may be repaired;
    /// 60 s unless said.
    pub cooldown: Duration,
    /// What to collect before the first rung.
    pub evidence: Vec<EvidenceStep>,
    /// The steps, from gentle to drastic; at least one.
    pub rungs: Vec<Rung>,
    /// What becomes of an attempt whose outcome is not known.
    pub on_unknown: OnUnknown,
}

/// What happens after an attempt whose outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnUnknown {
    /// A person decides (the default).
    Ask,
    /// The same rung once more, under a new attempt: for steps that may safely run twice.
    Retry,
}

/// One step of a runbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// What the timeline calls it: any printable text of up to 64 characters.
    pub name: String,
    /// What is done.
    pub action: Action,
    /// Who does it.
    pub by: By,
    /// How long it may take; 60 s unless said.
    pub timeout: Duration,
    /// How long nothing else acts on the target afterwards; zero unless said.
    pub settle: Duration,
}

/// What a rung does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Runs a command.
    Run(Command),
    /// Tells a person, by this notifier.
    Notify(Name),
}

/// Who carries out a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum By {
    /// The peer that is ill (the default).
    Affected,
    /// Another peer, near it.
    Neighbour,
    /// The leader's host.
    Leader,
}

impl By {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Affected => "affected",
            Self::Neighbour => "neighbour",
            Self::Leader => "leader",
        }
    }
}

impl Runbook {
    /// Whether a check that says this is a case for it. `unknown` never is: the probe itself did
    /// not work, and nothing is known of what it looks at.
    pub fn answers(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Fail => true,
            Verdict::Warn => self.mildest == Verdict::Warn,
            Verdict::Pass | Verdict::Unknown => false,
        }
    }
}
