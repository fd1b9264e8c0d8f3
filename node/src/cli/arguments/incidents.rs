//! Arguments of incidents.

use super::{
    KeyOption, RunOptions, Shown,
    values::{parse_incident, parse_name, parse_since},
};
use clap::{Args, Subcommand};
use protocol::{
    name::{IncidentId, Name},
    time::Timestamp,
};
use std::{path::PathBuf, time::Duration};

/// `hearten incident …`
#[derive(Debug, Subcommand)]
pub enum IncidentCommand {
    /// List incidents, newest first.
    List(IncidentListOptions),
    /// Show one incident with its attempts and what they printed.
    Show {
        /// Which one.
        #[arg(value_parser = parse_incident)]
        id: IncidentId,
        /// How it is shown.
        #[command(flatten)]
        output: Shown,
    },
    /// Tell what happened and why nothing happens now.
    Explain {
        /// Which one.
        #[arg(value_parser = parse_incident)]
        id: IncidentId,
        /// How it is shown.
        #[command(flatten)]
        output: Shown,
    },
    /// Print what was collected before the repair, from whichever peer still keeps it.
    Evidence {
        /// Of which incident.
        #[arg(value_parser = parse_incident)]
        id: IncidentId,
        /// Write it to this file instead.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// As JSON, with its hash and who keeps it.
        #[arg(long)]
        json: bool,
    },
    /// Say that somebody has seen an incident.
    Ack {
        /// Which one.
        #[arg(value_parser = parse_incident)]
        id: IncidentId,
        /// With which key to sign.
        #[command(flatten)]
        key: KeyOption,
    },
    /// Open an incident by hand: a runbook is run without its signal.
    Open(RunOptions),
    /// Close an incident: nothing more is begun about it. A rung that is being executed runs on until
    /// its time limit at most; which one, the answer says.
    Close {
        /// Which one.
        #[arg(value_parser = parse_incident)]
        id: IncidentId,
        /// Why, for everyone to read.
        #[arg(long)]
        reason: String,
        /// With which key to sign.
        #[command(flatten)]
        key: KeyOption,
    },
}

/// `hearten incident list`
#[derive(Debug, Clone, Args)]
pub struct IncidentListOptions {
    /// Only those that are not over.
    #[arg(long)]
    pub open: bool,
    /// Only those of this peer.
    #[arg(long)]
    pub peer: Option<String>,
    /// Only those opened since a moment (RFC 3339) or within a span ("2h").
    #[arg(long, value_name = "TIME|SPAN", value_parser = parse_since)]
    pub since: Option<Since>,
    /// How it is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// `hearten explain`
#[derive(Debug, Clone, Args)]
pub struct ExplainOptions {
    /// The check.
    #[arg(long, value_parser = parse_name)]
    pub check: Name,
    /// The peer, by its name or its id.
    #[arg(long)]
    pub peer: String,
    /// How it is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// From this moment on.
    Moment(Timestamp),
    /// From so long ago on.
    Ago(Duration),
}
