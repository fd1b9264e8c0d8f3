//! Evidence: what is collected before a repair destroys it.
//!
//! Each step is one kind of thing to look at. Commands come from the operator like those of the
//! rungs; everything else is collected by the daemon itself, so that it works on a host on which
//! nothing can be started any more.

use super::Command;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One thing that is collected, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceStep {
    /// What.
    pub collect: Collect,
    /// How long it may take; 10 s unless said.
    pub timeout: Duration,
    /// What is blotted out before anything is stored: the runbook's patterns, then the step's own.
    pub redact: Vec<String>,
}

/// What a step collects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Collect {
    /// What a command prints.
    Run(Command),
    /// The beginning and the end of these files, by their absolute paths.
    Files(Vec<String>),
    /// The last lines that a unit wrote to the journal.
    Journal {
        /// The unit.
        unit: String,
        /// How many lines; 200 unless said.
        lines: u32,
    },
    /// Every process with its parent, user, state, memory, age and command line.
    Processes,
    /// Every TCP and UDP socket with its state, its ends and its process.
    Sockets,
    /// Every file system with its size and what is free, in bytes and in files.
    Filesystems,
}

impl Collect {
    /// The key that operators write for it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Files(_) => "files",
            Self::Journal { .. } => "journal",
            Self::Processes => "processes",
            Self::Sockets => "sockets",
            Self::Filesystems => "filesystems",
        }
    }
}
