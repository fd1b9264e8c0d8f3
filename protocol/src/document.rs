//! What operators write: checks, runbooks, notifiers and limits, as TOML, signed and committed.
//!
//! These are the documents as the rest of the crate uses them: valid in themselves, with every
//! default filled in. [`parse`] makes them from text, [`validate`] holds them against each other,
//! [`problem`] is what both complain with, [`diff`] tells what a change comes to, and [`bundle`] is
//! what an operator signs.

pub mod bundle;
pub mod check;
pub mod diff;
pub mod parse;
pub mod problem;
pub mod runbook;
pub mod selector;
pub mod settings;
pub mod test;
pub mod validate;

pub use check::{Check, Probe, Verdict};
pub use runbook::{Action, By, EvidenceStep, On, OnUnknown, Runbook, Rung, Silence};
pub use selector::Selector;
pub use settings::{Channel, Limits, MeshSettings, Notifier};

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

/// A command of an operator's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A script for `/bin/sh -c`.
    Script(String),
    /// A program and its arguments; a whole element `$HEARTEN_…` is replaced by its value.
    Argv(Vec<String>),
}
