//! What operators write: checks, runbooks, notifiers and limits, as TOML, signed and committed.
//!
//! These are the documents as the rest of the crate uses them: valid in themselves, with every
//! default filled in. [`parse`] makes them from text, [`validate`] holds them against each other,
//! [`problem`] is what both complain with, [`diff`] tells what a change comes to, and [`bundle`] is
//! what an operator signs.

pub mod bundle;
pub mod diff;
pub mod parse;
pub mod problem;
pub mod validate;

use crate::name::{Labels, Name};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, time::Duration};

/// One document of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Document {
    /// A probe and when to run it.
    Check(Check),
    /// What to do about a signal.
    Runbook(Runbook),
    /// How to reach a person.
    Notifier(Notifier),
    /// How much may be under repair at once; there is one for the mesh.
    Limits(Limits),
    /// How the mesh itself is run; there is one for the mesh.
    Mesh(MeshSettings),
    /// Takes another document away.
    Remove(DocumentKey),
}

/// The kinds of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DocumentKind {
    /// `[[check]]`
    Check,
    /// `[[runbook]]`
    Runbook,
    /// `[[notifier]]`
    Notifier,
    /// `[limits]`
    Limits,
    /// `[mesh]`
    Mesh,
}

impl DocumentKind {
    /// Every kind, in the order in which listings show them.
    pub const ALL: [Self; 5] =
        [Self::Check, Self::Runbook, Self::Notifier, Self::Limits, Self::Mesh];

    /// The kind as operators write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Runbook => "runbook",
            Self::Notifier => "notifier",
            Self::Limits => "limits",
            Self::Mesh => "mesh",
        }
    }
}

/// What a document is found by: its kind and its name, `check/web-alive`.
///
/// The single documents `limits` and `mesh` bear their kind as their name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DocumentKey {
    /// What it is.
    pub kind: DocumentKind,
    /// Which one of them.
    pub name: Name,
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.kind.as_str(), self.name))
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

impl Document {
    /// What this document is found by; for [`Document::Remove`], what it takes away.
    pub fn key(&self) -> DocumentKey {
        let single = |kind: DocumentKind| DocumentKey {
            kind,
            name: Name::parse(kind.as_str()).unwrap_or_else(|_| unreachable!("kinds are names")),
        };
        match self {
            Self::Check(check) => {
                DocumentKey { kind: DocumentKind::Check, name: check.name.clone() }
            }
            Self::Runbook(runbook) => {
                DocumentKey { kind: DocumentKind::Runbook, name: runbook.name.clone() }
            }
            Self::Notifier(notifier) => {
                DocumentKey { kind: DocumentKind::Notifier, name: notifier.name.clone() }
            }
            Self::Limits(_) => single(DocumentKind::Limits),
            Self::Mesh(_) => single(DocumentKind::Mesh),
            Self::Remove(key) => key.clone(),
        }
    }
}

/// Which peers a document is for: those that bear all of these labels. An empty one fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector(pub BTreeMap<String, String>);

impl Selector {
    /// Whether a peer with these labels is meant.
    pub fn fits(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// A command of an operator's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A script for `/bin/sh -c`.
    Script(String),
    /// A program and its arguments; a whole element `$HEARTEN_…` is replaced by its value.
    Argv(Vec<String>),
}

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

/// One command whose output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceStep {
    /// The command.
    pub run: Command,
    /// How long it may take; 10 s unless said.
    pub timeout: Duration,
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

/// A way to reach people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifier {
    /// What rungs call it.
    pub name: Name,
    /// How the message goes out.
    pub channel: Channel,
}

/// How a message goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Channel {
    /// An HTTP POST of a JSON object.
    Webhook {
        /// Where to.
        url: String,
    },
}

/// How much may be under repair at once. What is not said is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Repairs under way in the whole mesh.
    pub at_once: Option<u32>,
    /// Targets under repair, as a share of the peers that the runbook fits, in percent; one is
    /// always allowed.
    pub share_percent: Option<u32>,
}

/// How the mesh itself is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshSettings {
    /// The most voters that the leader appoints: 1, 3, 5 or 7; 5 unless said.
    pub voters_max: u32,
    /// How long a voter may be silent before another peer takes its seat; 5 minutes unless said.
    pub voter_gone_after: Duration,
}

impl Default for MeshSettings {
    fn default() -> Self {
        Self { voters_max: 5, voter_gone_after: Duration::from_secs(300) }
    }
}
