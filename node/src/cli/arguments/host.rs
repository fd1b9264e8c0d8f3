//! Arguments of what makes a host a peer, shows peers, and runs on the host alone.

use super::{
    KeyOption, Shown,
    values::{parse_name, parse_one_label, parse_some_time},
};
use crate::setup::config::{Http, LISTEN};
use clap::{Args, Subcommand};
use protocol::name::Name;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// What both ways into a mesh are told about the host.
#[derive(Debug, Clone, Args)]
pub struct HostArguments {
    /// The peer's name, which no other peer of the mesh has.
    #[arg(long, value_parser = parse_name)]
    pub name: Name,
    /// Where to listen, over UDP; port 0 takes any that is free.
    #[arg(long, value_name = "IP:PORT", default_value_t = LISTEN)]
    pub listen: SocketAddr,
    /// Where the others reach this host; found out unless said.
    #[arg(long, value_name = "IP:PORT")]
    pub advertise: Option<SocketAddr>,
    /// Where to listen for HTTP, or off.
    #[arg(long, value_name = "IP:PORT|off", default_value_t)]
    pub http: Http,
    /// A label of this host; "zone" names its fault domain.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_one_label)]
    pub labels: Vec<(String, String)>,
}

/// `hearten init`
#[derive(Debug, Clone, Args)]
pub struct InitOptions {
    /// About the host.
    #[command(flatten)]
    pub host: HostArguments,
    /// The mesh's name.
    #[arg(long, default_value = "mesh", value_parser = parse_name)]
    pub mesh: Name,
}

/// `hearten join`
#[derive(Debug, Clone, Args)]
pub struct JoinOptions {
    /// About the host.
    #[command(flatten)]
    pub host: HostArguments,
    /// A peer of the mesh; may be given several times.
    #[arg(long = "peer", value_name = "HOST:PORT", required = true, num_args = 1..)]
    pub peers: Vec<String>,
    /// A file that holds the token.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// The token, or "-" to read it from standard input; HEARTEN_TOKEN unless said.
    #[arg(long)]
    pub token: Option<String>,
}

/// `hearten token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print a new token, alone, on standard output.
    Create(TokenOptions),
}

/// `hearten token create`
#[derive(Debug, Clone, Args)]
pub struct TokenOptions {
    /// How long it lets anyone in.
    #[arg(long, default_value = "1h", value_parser = parse_some_time)]
    pub ttl: Duration,
    /// How many hosts it lets in.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub uses: u32,
    /// The only name that it lets in.
    #[arg(long, value_parser = parse_name)]
    pub name: Option<Name>,
    /// With which key to sign.
    #[command(flatten)]
    pub key: KeyOption,
}

/// `hearten status`
#[derive(Debug, Clone, Args)]
pub struct StatusOptions {
    /// Answer as a monitoring plugin does: one line, and 0 fine, 1 warning, 2 critical, 3 unknown.
    #[arg(long)]
    pub check: bool,
    /// How it is shown.
    #[command(flatten)]
    pub shown: Shown,
}

/// `hearten peer …`
#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// List the peers.
    List(Shown),
    /// Show one peer: its facts, its checks, and who saw it silent.
    Show {
        /// Its name or its id.
        name: String,
        /// How it is shown.
        #[command(flatten)]
        output: Shown,
    },
    /// Take a lost peer out for good.
    Remove {
        /// Its name or its id.
        name: String,
        /// Even if it runs: it is cut off at once.
        #[arg(long)]
        force: bool,
        /// With which key to sign.
        #[command(flatten)]
        key: KeyOption,
    },
}

/// `hearten raft …`
#[derive(Debug, Subcommand)]
pub enum RaftCommand {
    /// List the members of the Raft group.
    Members(Shown),
}

/// `hearten demo`
#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// How many daemons.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(3..=50))]
    pub peers: u16,
    /// Leave the daemons running until Ctrl-C, and their data in place for good.
    #[arg(long)]
    pub keep: bool,
}

/// What a daemon tells the guardian of a command.
#[derive(Debug, Args)]
pub struct GuardOptions {
    /// What marks the command's processes.
    pub run: String,
    /// How long they have, in milliseconds.
    pub millis: u64,
    /// Whether what the command leaves running is ended, too.
    #[arg(long)]
    pub leftovers_end: bool,
}

/// The service that the demo breaks.
#[derive(Debug, Clone, Args)]
pub struct DemoServiceOptions {
    /// Where it listens.
    #[arg(long)]
    pub listen: SocketAddr,
    /// Where it leaves its process id.
    #[arg(long)]
    pub pid_file: PathBuf,
}
