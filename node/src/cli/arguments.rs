//! Every command and its options.

mod documents;
mod host;
mod incidents;
mod outside;
mod values;

pub use documents::{
    ApplyOptions, ChangeOptions, CheckCommand, DocumentCommand, MaintenanceCommand,
    MaintenanceOptions, RollbackOptions, RunOptions, RunbookCommand,
};
pub use host::{
    DemoOptions, DemoServiceOptions, GuardOptions, HostArguments, InitOptions, JoinOptions,
    PeerCommand, RaftCommand, StatusOptions, TokenCommand, TokenOptions,
};
pub use incidents::{ExplainOptions, IncidentCommand, IncidentListOptions, Since};
pub use outside::{
    AlertCommand, EndAlertOptions, GuestCommand, HeartbeatCommand, NewGuestOptions, SignalOptions,
    StreamCommand,
};

use crate::setup::data_dir;
use clap::{Args, Parser, Subcommand, ValueEnum};
use protocol::name::IncidentId;
use std::path::PathBuf;
use values::parse_incident;

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
6 no daemon, no leader or no quorum, 7 a check that was run does not pass.";

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
    /// Show what other systems say, and end what they do not.
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
    /// Begin no more repairs in the whole mesh. A rung that is being executed runs on until its time
    /// limit at most; which ones, the answer says.
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
