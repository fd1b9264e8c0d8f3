//! Every command and its options.

use crate::setup::{
    config::{Http, LISTEN},
    data_dir,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use protocol::{
    document::{DocumentKey, DocumentKind},
    name::{IncidentId, Name, parse_label},
    time::{Timestamp, parse_span},
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// A mesh of agents that keep each other's hosts alive.
#[derive(Debug, Parser)]
#[command(name = "hearten", version, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// Where this host's data lie, and the daemon's control socket.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "HEARTEN_DATA_DIR",
        default_value = data_dir::DEFAULT
    )]
    pub data_dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 usage, 3 no such thing, 4 not allowed, 5 conflict,
6 no daemon, no leader or no quorum, 7 found something degraded.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Found a mesh on this host.
    Init(InitOptions),
    /// Make tokens with which hosts join.
    Token {
        /// What to do.
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Join a mesh.
    Join(JoinOptions),
    /// Run the daemon.
    Run,
    /// Take this peer out for good.
    Leave,
    /// Show how the mesh is.
    Status(StatusOptions),
    /// Show peers, or take out a lost one.
    Peer {
        /// What to do.
        #[command(subcommand)]
        command: PeerCommand,
    },
    /// Sign documents and make them the next revision.
    Apply(ApplyOptions),
    /// Show and check documents.
    Document {
        /// What to do.
        #[command(subcommand)]
        command: DocumentCommand,
    },
    /// Show checks, and try one.
    Check {
        /// What to do.
        #[command(subcommand)]
        command: CheckCommand,
    },
    /// Show what other systems say.
    Alert {
        /// What to do.
        #[command(subcommand)]
        command: AlertCommand,
    },
    /// Show the hosts that cannot run the daemon, and make what a surgeon on one needs.
    Guest {
        /// What to do.
        #[command(subcommand)]
        command: GuestCommand,
    },
    /// Show how far event streams are read.
    Stream {
        /// What to do.
        #[command(subcommand)]
        command: StreamCommand,
    },
    /// Show the jobs that must check in, and let them pause.
    Heartbeat {
        /// What to do.
        #[command(subcommand)]
        command: HeartbeatCommand,
    },
    /// Say that something is the case on a host, for checks of alerts, or that it is over.
    Signal(SignalOptions),
    /// Show, explain and close incidents.
    Incident {
        /// What to do.
        #[command(subcommand)]
        command: IncidentCommand,
    },
    /// Tell why nothing is done about a check on a peer.
    Explain(ExplainOptions),
    /// Stop all repairs in the whole mesh.
    Freeze {
        /// Why, for everyone to read.
        #[arg(long)]
        reason: String,
        /// With which key to sign.
        #[command(flatten)]
        key: KeyOption,
    },
    /// Let repairs go on.
    Thaw {
        /// With which key to sign.
        #[command(flatten)]
        key: KeyOption,
    },
    /// Show and run runbooks.
    Runbook {
        /// What to do.
        #[command(subcommand)]
        command: RunbookCommand,
    },
    /// Let the rung be climbed that an incident waits to have approved.
    Approve {
        /// Which incident.
        #[arg(value_parser = parse_incident)]
        id: IncidentId,
        /// With which key to sign.
        #[command(flatten)]
        key: KeyOption,
    },
    /// Do not let it be climbed: a person takes over.
    Deny {
        /// Which incident.
        #[arg(value_parser = parse_incident)]
        id: IncidentId,
        /// Why, for everyone to read.
        #[arg(long)]
        reason: String,
        /// With which key to sign.
        #[command(flatten)]
        key: KeyOption,
    },
    /// Keep repairs away from some peers for a while.
    Maintenance {
        /// What to do.
        #[command(subcommand)]
        command: MaintenanceCommand,
    },
    /// Print the public half of the operator's key, as runbooks name it.
    Operator {
        /// Which key.
        #[command(flatten)]
        key: KeyOption,
    },
    /// Show the Raft group.
    Raft {
        /// What to do.
        #[command(subcommand)]
        command: RaftCommand,
    },
    /// Show what this host's daemon counts.
    Counters(Shown),
    /// Show a mesh of real daemons on this host that heals itself.
    Demo(DemoOptions),
    /// The service that the demo breaks.
    #[command(hide = true)]
    DemoService(DemoServiceOptions),
    /// End the command of a rung in time, when the daemon that started it cannot.
    #[command(hide = true)]
    Guard(GuardOptions),
    /// Print a shell's completions.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages.
    Man {
        /// Into which directory.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// How something is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For scripts.
    Json,
    /// For scripts.
    Yaml,
}

/// In which form something is shown.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Shown {
    /// In which form to show it.
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    output: Format,
    /// Short for -o json.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl Shown {
    /// The form.
    pub const fn format(self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// An operator's key.
#[derive(Debug, Clone, Default, Args)]
pub struct KeyOption {
    /// The operator's key; DIR/operator.key unless said.
    #[arg(long, value_name = "FILE", env = "HEARTEN_OPERATOR_KEY")]
    pub key: Option<PathBuf>,
}

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
        /// With which key to sign.
        #[command(flatten)]
        key: KeyOption,
    },
}

/// `hearten apply`
#[derive(Debug, Clone, Args)]
pub struct ApplyOptions {
    /// Files of documents, or directories of which every *.toml is taken.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub files: Vec<PathBuf>,
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
    /// Close an incident: nothing more is done about it.
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

/// `hearten alert …`
#[derive(Debug, Subcommand)]
pub enum AlertCommand {
    /// List the alerts that fire, and the checks that fail by them.
    List(Shown),
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
    /// Leave the daemons running and their data in place.
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

fn parse_name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|error| error.to_string())
}

fn parse_one_label(text: &str) -> Result<(String, String), String> {
    parse_label(text).map_err(|error| error.to_string())
}

fn parse_incident(text: &str) -> Result<IncidentId, String> {
    IncidentId::parse(text).map_err(|error| error.to_string())
}

fn parse_some_time(text: &str) -> Result<Duration, String> {
    match parse_span(text) {
        Ok(span) if span.is_zero() => Err("it has to be longer than nothing".to_owned()),
        Ok(span) => Ok(span),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_since(text: &str) -> Result<Since, String> {
    match (Timestamp::parse(text), parse_span(text)) {
        (Ok(moment), _) => Ok(Since::Moment(moment)),
        (Err(_), Ok(span)) => Ok(Since::Ago(span)),
        (Err(_), Err(_)) => {
            Err("write a moment such as 2026-11-21T02:00:00Z, or a span such as 2h".to_owned())
        }
    }
}

fn parse_key(text: &str) -> Result<DocumentKey, String> {
    let kinds = DocumentKind::ALL.map(DocumentKind::as_str).join(", ");
    let refusal = || format!("write KIND/NAME, with a KIND of {kinds}");
    // The single ones bear their kind as their name.
    let (kind, name) = text.split_once('/').unwrap_or((text, text));
    let kind = DocumentKind::ALL.into_iter().find(|known| known.as_str() == kind);
    let name = Name::parse(name).map_err(|error| error.to_string())?;
    match kind {
        Some(kind @ (DocumentKind::Limits | DocumentKind::Mesh)) => Ok(DocumentKey { kind, name }),
        Some(kind) if text.contains('/') => Ok(DocumentKey { kind, name }),
        Some(_) | None => Err(refusal()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_commands_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_is_understood() {
        for line in [
            "hearten demo --peers 5 --keep",
            "hearten init --name db-1 --data-dir /d --listen 127.0.0.1:0 --http off --label zone=a",
            "hearten init --name db-1 --mesh prod --advertise 10.0.0.5:4327 --label a=b --label c=d",
            "hearten token create --ttl 1h --uses 1 --name web-1",
            "hearten join --name web-1 --peer db-1:4327 --token-file /t",
            "hearten join --name web-1 --peer db-1:4327 --peer 10.0.0.1:4327 --token -",
            "hearten run --data-dir /d",
            "hearten --data-dir /d run",
            "hearten leave",
            "hearten peer remove web-1",
            "hearten status --check",
            "hearten status --json",
            "hearten peer list -o yaml",
            "hearten peer show web-1 -o json",
            "hearten apply a.toml b --dry-run",
            "hearten apply a.toml --key /k",
            "hearten document list --json",
            "hearten document show check/web-alive",
            "hearten document show limits",
            "hearten document history",
            "hearten document diff 3 4",
            "hearten document diff 3 --json",
            "hearten document rollback 3 --dry-run",
            "hearten document rollback 3 --key /k",
            "hearten document validate a.toml",
            "hearten check list --json",
            "hearten check run web-alive",
            "hearten check run web-alive -o yaml",
            "hearten incident list --open --peer web-1 --since 2h",
            "hearten incident list --since 2026-11-21T02:00:00Z --json",
            "hearten incident show INC-42 --json",
            "hearten incident explain 42",
            "hearten incident evidence INC-42",
            "hearten incident evidence 42 --output evidence.txt",
            "hearten incident evidence 42 --json",
            "hearten incident close INC-42 --reason done",
            "hearten explain --check web-alive --peer web-1 --json",
            "hearten freeze --reason storm",
            "hearten thaw",
            "hearten raft members",
            "hearten completions bash",
            "hearten man /tmp",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn what_is_not_understood_is_a_wrong_use() {
        for line in [
            "hearten",
            "hearten reboot",
            "hearten init",
            "hearten init --name a/b",
            "hearten init --name a --label x",
            "hearten join --name a",
            "hearten join --name a --peer b:1 --token x --token-file y",
            "hearten token create --ttl 0s",
            "hearten token create --uses 0",
            "hearten peer list -o json --json",
            "hearten document show web-alive",
            "hearten document show chek/web-alive",
            "hearten incident show first",
            "hearten incident close 42",
            "hearten incident list --since yesterday",
            "hearten freeze",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
