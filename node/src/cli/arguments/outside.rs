//! Arguments of what is told from outside: alerts, guests, streams, jobs.

use super::{
    KeyOption, Shown,
    values::{parse_name, parse_one_label, parse_some_time},
};
use clap::{Args, Subcommand};
use protocol::{alert::AlertId, name::Name};
use std::time::Duration;

/// `hearten alert …`
#[derive(Debug, Subcommand)]
pub enum AlertCommand {
    /// List the alerts that fire, and the checks that fail by them.
    List(Shown),
    /// End one that nobody else ends. If its sender says again that it fires, it does.
    End(EndAlertOptions),
}

/// `hearten alert end`
#[derive(Debug, Clone, Args)]
pub struct EndAlertOptions {
    /// Its id, as the list shows it.
    #[arg(value_name = "ID", value_parser = AlertId::parse)]
    pub id: AlertId,
    /// Why, for those who read the log.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// With which key to sign.
    #[command(flatten)]
    pub key: KeyOption,
    /// How the answer is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// `hearten guest …`
#[derive(Debug, Subcommand)]
pub enum GuestCommand {
    /// List the guests, what waits for their surgeons, and what these have.
    List(Shown),
    /// Print a document for a new guest, and the application id of its surgeon. Nothing is changed.
    New(NewGuestOptions),
}

/// `hearten guest new`
#[derive(Debug, Clone, Args)]
pub struct NewGuestOptions {
    /// What incidents call it.
    #[arg(value_name = "NAME", value_parser = parse_name)]
    pub name: Name,
    /// A label of it, KEY=VALUE; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_one_label)]
    pub label: Vec<(String, String)>,
    /// Where it is.
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<std::net::IpAddr>,
    /// How it is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// `hearten stream …`
#[derive(Debug, Subcommand)]
pub enum StreamCommand {
    /// List the streams, how far each partition is read, what was skipped, and what is wrong.
    List(Shown),
}

/// `hearten heartbeat …`
#[derive(Debug, Subcommand)]
pub enum HeartbeatCommand {
    /// List the jobs that must check in, when each is missed, and which checks tell of it.
    List(Shown),
    /// Show one with its latest signals, what it said, and the address that it pings.
    Show {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        /// How to show it.
        #[command(flatten)]
        shown: Shown,
    },
    /// Do not wait for a job any more, until it is resumed or pings.
    Pause {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Wait for a job again.
    Resume {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// `hearten signal`
#[derive(Debug, Args)]
pub struct SignalOptions {
    /// What is the case: the label alertname.
    pub name: String,
    /// On which host; on this one unless said.
    #[arg(long)]
    pub host: Option<String>,
    /// How bad it is: the label severity.
    #[arg(long)]
    pub severity: Option<String>,
    /// One more label; whoever says that it is over gives the same ones.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_one_label)]
    pub labels: Vec<(String, String)>,
    /// A line for people.
    #[arg(long, default_value = "")]
    pub summary: String,
    /// For how long, if nobody says before that it is over; 25h unless said.
    #[arg(long = "for", value_name = "SPAN", value_parser = parse_some_time, conflicts_with = "over")]
    pub lasts: Option<Duration>,
    /// It is over.
    #[arg(long)]
    pub over: bool,
    /// How the answer is shown.
    #[command(flatten)]
    pub shown: Shown,
}
