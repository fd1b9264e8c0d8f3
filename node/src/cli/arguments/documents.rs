//! Arguments of documents, checks, runbooks and maintenances.

use super::{
    KeyOption, Shown,
    values::{parse_key, parse_name, parse_one_label, parse_some_time},
};
use clap::{Args, Subcommand};
use protocol::{document::DocumentKey, name::Name};
use std::{path::PathBuf, time::Duration};

/// `hearten apply`
#[derive(Debug, Clone, Args)]
pub struct ApplyOptions {
    /// Files of documents, or directories of which every *.toml is taken.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub files: Vec<PathBuf>,
    /// Whether, with which key, and how it is shown.
    #[command(flatten)]
    pub change: ChangeOptions,
}

/// What every change of documents is told.
#[derive(Debug, Clone, Default, Args)]
pub struct ChangeOptions {
    /// Show what would change and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// With which key to sign.
    #[command(flatten)]
    pub key: KeyOption,
    /// How it is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// `hearten document …`
#[derive(Debug, Subcommand)]
pub enum DocumentCommand {
    /// List the documents in force.
    List(Shown),
    /// Show a document as its operator wrote it.
    Show {
        /// Which one.
        #[arg(value_name = "KIND/NAME", value_parser = parse_key)]
        document: DocumentKey,
        /// How it is shown.
        #[command(flatten)]
        output: Shown,
    },
    /// List every revision.
    History(Shown),
    /// Show how the documents of two revisions differ, line by line.
    Diff {
        /// The one revision; 0 is before the first.
        #[arg(value_name = "REVISION")]
        from: u64,
        /// The other one; the latest unless said.
        #[arg(value_name = "REVISION")]
        to: Option<u64>,
        /// How it is shown.
        #[command(flatten)]
        output: Shown,
    },
    /// Make the documents what they were at a revision, as a new revision.
    Rollback(RollbackOptions),
    /// Check files without changing anything; works without a daemon too.
    Validate {
        /// Files of documents, or directories of which every *.toml is taken.
        #[arg(required = true, value_name = "FILE|DIR")]
        files: Vec<PathBuf>,
    },
}

/// `hearten document rollback`
#[derive(Debug, Clone, Args)]
pub struct RollbackOptions {
    /// The revision that comes back.
    pub revision: u64,
    /// Whether, with which key, and how it is shown.
    #[command(flatten)]
    pub change: ChangeOptions,
}

/// `hearten check …`
#[derive(Debug, Subcommand)]
pub enum CheckCommand {
    /// List the checks in force.
    List(Shown),
    /// Run a check once on this host and show everything that it did; ends with 7 where it does
    /// not pass.
    Run {
        /// Which one.
        #[arg(value_parser = parse_name)]
        name: Name,
        /// How it is shown.
        #[command(flatten)]
        output: Shown,
    },
}

/// `hearten runbook …`
#[derive(Debug, Subcommand)]
pub enum RunbookCommand {
    /// List the runbooks in force.
    List(Shown),
    /// Show a runbook as its operator wrote it.
    Show {
        /// Which one.
        #[arg(value_parser = parse_name)]
        name: Name,
        /// How it is shown.
        #[command(flatten)]
        output: Shown,
    },
    /// Run a runbook for a peer without its signal; every rule holds all the same.
    Run(RunOptions),
}

/// `hearten runbook run`
#[derive(Debug, Clone, Args)]
pub struct RunOptions {
    /// Which runbook.
    #[arg(value_name = "RUNBOOK", value_parser = parse_name)]
    pub name: Name,
    /// For which peer, by name or id.
    #[arg(long)]
    pub peer: String,
    /// Why, for everyone to read.
    #[arg(long, default_value = "by hand")]
    pub reason: String,
    /// Show the plan, with every rule's answer, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// With which key to sign.
    #[command(flatten)]
    pub key: KeyOption,
    /// How it is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// `hearten maintenance …`
#[derive(Debug, Subcommand)]
pub enum MaintenanceCommand {
    /// Begin one: nothing is repaired there, and a silence is none.
    Start(MaintenanceOptions),
    /// List those that are on or come again.
    List(Shown),
    /// End one that was begun by hand.
    End {
        /// Which one.
        #[arg(value_parser = parse_name)]
        name: Name,
        /// With which key to sign.
        #[command(flatten)]
        key: KeyOption,
    },
}

/// `hearten maintenance start`
#[derive(Debug, Clone, Args)]
pub struct MaintenanceOptions {
    /// What to call it.
    #[arg(value_parser = parse_name)]
    pub name: Name,
    /// For how long.
    #[arg(long = "for", value_name = "SPAN", value_parser = parse_some_time)]
    pub lasts: Duration,
    /// For this peer, by name or id; may be given again.
    #[arg(long = "peer", value_name = "PEER", conflicts_with = "labels")]
    pub peers: Vec<String>,
    /// For the peers with this label; all peers unless said.
    #[arg(long = "where", value_name = "KEY=VALUE", value_parser = parse_one_label)]
    pub labels: Vec<(String, String)>,
    /// Why, for everyone to read.
    #[arg(long)]
    pub reason: String,
    /// With which key to sign.
    #[command(flatten)]
    pub key: KeyOption,
}
