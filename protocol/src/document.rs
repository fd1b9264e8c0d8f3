//! What operators write: checks, runbooks, notifiers and limits, as TOML, signed and committed.
//!
//! These are the documents as the rest of the crate uses them: valid in themselves, with every
//! default filled in. [`parse`] makes them from text, [`validate`] holds them against each other,
//! [`problem`] is what both complain with, [`diff`] tells what a change comes to, and [`bundle`] is
//! what an operator signs.

pub mod ahead;
pub mod bundle;
pub mod check;
pub mod diff;
pub mod evidence;
pub mod guest;
pub mod ladder;
pub mod mail;
pub mod maintenance;
pub mod mesh;
pub mod params;
pub mod parse;
pub mod pattern;
pub mod policy;
pub mod probe;
pub mod problem;
pub mod remote;
pub mod runbook;
pub mod selector;
pub mod setting;
pub mod settings;
pub mod stream;
pub mod template;
pub mod test;
pub mod unusual;
pub mod validate;
pub mod written;

pub use ahead::Ahead;
pub use check::{Check, Verdict};
pub use evidence::{Collect, EvidenceStep};
pub use guest::Guest;
pub use ladder::{Ladder, LadderLevel, Scope};
pub use mail::{Login, Mail, Security};
pub use maintenance::{Maintenance, Schedule};
pub use mesh::{Measured, MeshProbe};
pub use pattern::Pattern;
pub use policy::{Escalate, Policy, Quiet, Route, Severity};
pub use probe::{
    AggregateProbe, AlertProbe, DiskProbe, Expiry, FactKind, FileProbe, HeartbeatProbe, HostLabel,
    HttpProbe, Jobs, LoadProbe, PluginProbe, Probe, ProcessProbe, Quorum, TextMatch, Thresholds,
};
pub use remote::{Argument, Fence, Given, Power, Ssh, Wake};
pub use runbook::{
    Action, Approve, Breaker, By, Effect, HttpCall, Mode, On, OnUnknown, Param, ParamKind,
    ParamSource, Repeat, Retry, Runbook, Rung, SignalField, Silence,
};
pub use selector::{Condition, Selector};
pub use setting::Setting;
pub use settings::{
    Bounds, Channel, CheckIn, CheckInMethod, Limits, MeshSettings, Notifier, Where,
};
pub use stream::{Begin, Case, Mapping, Mechanism, Stream, Tls};
pub use template::{Template, TemplateError};
pub use unusual::Unusual;

use crate::name::Name;
use serde::{Deserialize, Serialize};
use std::fmt;

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
    /// The order in which an environment is brought back.
    Ladder(Ladder),
    /// When nothing is repaired on some peers.
    Maintenance(Maintenance),
    /// A topic whose messages are alerts.
    Stream(Stream),
    /// A host that cannot run the daemon.
    Guest(Guest),
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
    /// `[[ladder]]`
    Ladder,
    /// `[[maintenance]]`
    Maintenance,
    /// `[[stream]]`
    Stream,
    /// `[[guest]]`
    Guest,
}

impl DocumentKind {
    /// Every kind, in the order in which listings show them.
    pub const ALL: [Self; 9] = [
        Self::Check,
        Self::Runbook,
        Self::Ladder,
        Self::Notifier,
        Self::Maintenance,
        Self::Stream,
        Self::Guest,
        Self::Limits,
        Self::Mesh,
    ];

    /// The kind as operators write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Runbook => "runbook",
            Self::Notifier => "notifier",
            Self::Limits => "limits",
            Self::Mesh => "mesh",
            Self::Ladder => "ladder",
            Self::Maintenance => "maintenance",
            Self::Stream => "stream",
            Self::Guest => "guest",
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

impl Document {
    /// What this document is found by; for [`Document::Remove`], what it takes away.
    pub fn key(&self) -> DocumentKey {
        let single = |kind: DocumentKind| DocumentKey {
            kind,
            name: Name::parse(kind.as_str()).unwrap_or_else(|_| unreachable!("kinds are names")),
        };
        let named = |kind: DocumentKind, name: &Name| DocumentKey { kind, name: name.clone() };
        match self {
            Self::Check(check) => named(DocumentKind::Check, &check.name),
            Self::Runbook(runbook) => named(DocumentKind::Runbook, &runbook.name),
            Self::Notifier(notifier) => named(DocumentKind::Notifier, &notifier.name),
            Self::Ladder(ladder) => named(DocumentKind::Ladder, &ladder.name),
            Self::Maintenance(window) => named(DocumentKind::Maintenance, &window.name),
            Self::Stream(stream) => named(DocumentKind::Stream, &stream.name),
            Self::Guest(guest) => named(DocumentKind::Guest, &guest.name),
            Self::Limits(_) => single(DocumentKind::Limits),
            Self::Mesh(_) => single(DocumentKind::Mesh),
            Self::Remove(key) => key.clone(),
        }
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
