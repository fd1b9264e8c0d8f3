//! The commands of an operator.
//!
//! A command asks the daemon of this host over its control socket and shows what it answers. What
//! changes the mesh is signed here, with the operator's own key: the daemon never holds it. Data
//! go to standard output, messages to standard error.
//!
//! - [`arguments`]: every command and its options.
//! - `session`: the data directory, the daemon, the operator's key.
//! - `host`, `status`, `peers`, `documents`, `revisions`, `checks`, `alerts`, `guests`, `streams`, `heartbeats`, `signals`, `incidents`, `orders`, `manual`:
//!   the commands.
//! - `output`, `table`, [`yaml`], `age`: how answers are shown.

pub mod arguments;
pub mod yaml;

mod age;
mod alerts;
mod checks;
mod documents;
mod guests;
mod heartbeats;
mod host;
mod incidents;
mod manual;
mod orders;
mod output;
mod peers;
mod repairs;
mod revisions;
mod session;
mod signals;
mod status;
mod streams;
mod table;
#[cfg(test)]
mod tests;

use crate::{
    control::{Exit, Failure, Request},
    exec::guardian::{self, Charge, Guarded},
    setup::SetupError,
};
use arguments::{
    AlertCommand, CheckCommand, Cli, Command, DemoOptions, DocumentCommand, GuardOptions,
    GuestCommand, HeartbeatCommand, IncidentCommand, MaintenanceCommand, PeerCommand, RaftCommand,
    RunbookCommand, StreamCommand, TokenCommand,
};
use clap::Parser;
use protocol::{
    document::{DocumentKey, DocumentKind},
    order::Action,
};
use session::Session;
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Carries out the command that this process was started with. `run` is the daemon; it is given
/// the data directory. `demo` shows a mesh of daemons.
pub fn main_with(
    run: impl FnOnce(PathBuf) -> anyhow::Result<()>,
    demo: impl FnOnce(DemoOptions) -> anyhow::Result<()>,
) -> ExitCode {
    // clap ends the process itself: 2 for a wrong use, 0 for --help.
    let Cli { data_dir, command } = Cli::parse();
    let result = if matches!(command, Command::Run) {
        run(data_dir).map_err(failure).map(|()| 0)
    } else if let Command::Demo(options) = command {
        demo(options).map_err(failure).map(|()| 0)
    } else {
        carry_out(&Session::new(data_dir), command)
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output::message(&format!("hearten: {}", failure.message));
            ExitCode::from(failure.exit_code.code())
        }
    }
}

/// Prints data on standard output.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    output::data(text)
}

/// What an error of the daemon ends the command with.
fn failure(error: anyhow::Error) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => match error.downcast::<SetupError>() {
            Ok(error) => error.into(),
            Err(error) => Failure::new(Exit::Failed, format!("{error:#}")),
        },
    }
}

fn carry_out(session: &Session, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Init(options) => host::init(session, options)?,
        Command::Join(options) => host::join(session, options)?,
        Command::Leave => host::leave(session)?,
        Command::Status(options) => return status::status(session, &options),
        Command::Token { command: TokenCommand::Create(options) } => {
            orders::create_token(session, options)?;
        }
        Command::Peer { command } => match command {
            PeerCommand::List(shown) => peers::list(session, shown)?,
            PeerCommand::Show { name, output } => peers::show(session, name, output)?,
            PeerCommand::Remove { name, force, key } => {
                orders::remove_peer(session, name, force, key)?;
            }
        },
        Command::Apply(options) => documents::apply(session, options)?,
        Command::Document { command } => match command {
            DocumentCommand::List(shown) => documents::list(session, shown)?,
            DocumentCommand::Show { document, output } => {
                documents::show(session, document, output)?;
            }
            DocumentCommand::History(shown) => documents::history(session, shown)?,
            DocumentCommand::Diff { from, to, output } => {
                revisions::diff(session, from, to, output)?;
            }
            DocumentCommand::Rollback(options) => revisions::rollback(session, options)?,
            DocumentCommand::Validate { files } => documents::validate(session, &files)?,
        },
        Command::Check { command } => match command {
            CheckCommand::List(shown) => checks::list(session, shown)?,
            CheckCommand::Run { name, output } => return checks::run(session, name, output),
        },
        Command::Incident { command } => match command {
            IncidentCommand::List(options) => incidents::list(session, options)?,
            IncidentCommand::Show { id, output } => incidents::show(session, id, output)?,
            IncidentCommand::Explain { id, output } => incidents::explain(session, id, output)?,
            IncidentCommand::Evidence { id, output, json } => {
                incidents::evidence(session, id, output.as_deref(), json)?;
            }
            IncidentCommand::Ack { id, key } => {
                let said = format!("{id} is acknowledged");
                repairs::answer(session, Action::Acknowledge { incident: id }, &said, key)?;
            }
            IncidentCommand::Open(options) => repairs::run(session, options)?,
            IncidentCommand::Close { id, reason, key } => {
                orders::close(session, id, reason, key)?;
            }
        },
        Command::Explain(options) => incidents::why_not(session, options)?,
        Command::Runbook { command } => match command {
            RunbookCommand::List(shown) => repairs::list(session, shown)?,
            RunbookCommand::Show { name, output } => {
                let kind = DocumentKind::Runbook;
                documents::show(session, DocumentKey { kind, name }, output)?;
            }
            RunbookCommand::Run(options) => repairs::run(session, options)?,
        },
        Command::Approve { id, key } => {
            let said =
                format!("{id} is approved: the rung comes next, where every rule permits it");
            repairs::answer(session, Action::Approve { incident: id }, &said, key)?;
        }
        Command::Deny { id, reason, key } => {
            let said = format!("{id} is denied: a person takes over");
            repairs::answer(session, Action::Deny { incident: id, reason }, &said, key)?;
        }
        Command::Maintenance { command } => match command {
            MaintenanceCommand::Start(options) => repairs::start_maintenance(session, options)?,
            MaintenanceCommand::List(shown) => repairs::maintenances(session, shown)?,
            MaintenanceCommand::End { name, key } => repairs::end_maintenance(session, name, key)?,
        },
        Command::Guest { command } => match command {
            GuestCommand::List(shown) => guests::list(session, shown)?,
            GuestCommand::New(options) => guests::new(options)?,
        },
        Command::Stream { command: StreamCommand::List(shown) } => streams::list(session, shown)?,
        Command::Heartbeat { command } => match command {
            HeartbeatCommand::List(shown) => heartbeats::list(session, shown)?,
            HeartbeatCommand::Show { name, shown } => heartbeats::show(session, name, shown)?,
            HeartbeatCommand::Pause { name } => heartbeats::pause(session, name, true)?,
            HeartbeatCommand::Resume { name } => heartbeats::pause(session, name, false)?,
        },
        Command::Alert { command } => match command {
            AlertCommand::List(shown) => alerts::list(session, shown)?,
            AlertCommand::End(options) => alerts::end(session, options)?,
        },
        Command::Signal(options) => signals::signal(session, options)?,
        Command::Operator { key } => repairs::operator(session, key)?,
        Command::Freeze { reason, key } => orders::freeze(session, reason, key)?,
        Command::Thaw { key } => orders::thaw(session, key)?,
        Command::Raft { command: RaftCommand::Members(shown) } => peers::members(session, shown)?,
        Command::Counters(shown) => {
            let answer = session.ask(&Request::Counters)?;
            output::show(shown, &answer, |answer| table::pairs(&answer["counters"]))?;
        }
        Command::Completions { shell } => manual::completions(shell)?,
        Command::Man { folder } => manual::pages(&folder)?,
        Command::DemoService(options) => {
            crate::demo::service::serve(options.listen, &options.pid_file).map_err(failure)?;
        }
        Command::Guard(options) => guard(options)?,
        Command::Run | Command::Demo(_) => unreachable!("carried out by the caller"),
    }
    Ok(0)
}

/// Guards one command of the daemon that holds the other end of standard input.
fn guard(options: GuardOptions) -> Result<(), Failure> {
    let GuardOptions { run, millis, leftovers_end } = options;
    let charge = Charge { run, within: Duration::from_millis(millis), leftovers_end };
    let guarded = guardian::guard(&charge, std::io::stdin());
    let guarded =
        guarded.map_err(|error| Failure::new(Exit::Failed, format!("a guardian: {error}")))?;
    if let Guarded::Ended { gone, processes, survivors } = guarded {
        let why = if gone { "its daemon is gone" } else { "its time is over" };
        let left = if survivors.is_empty() {
            String::new()
        } else {
            format!("; the kernel holds on to {survivors:?}")
        };
        output::message(&format!("a rung's command was ended, {processes} processes: {why}{left}"));
    }
    Ok(())
}
