//! Carrying out one attempt: a command, a request, or what is done to another host; and how it
//! ended. What the host's secrets are never leaves it: they are hidden in whatever was printed.

use super::{Daemon, plugins};
use crate::exec::{
    call,
    environment::Environment,
    fence::{self, FenceOrder},
    process, ssh, wake,
};
use protocol::{
    agent::{Input, Work, WorkOrder},
    document::{Argument, Command, HttpCall},
    ledger::attempts::OUTPUT_BYTES_MAX,
    name::Name,
    record::{AttemptReport, Outcome},
    refusal::Refusal,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How an attempt ended, with the exit code where there was one, and what it printed.
type Ended = (Outcome, Option<i32>, String);

/// Carries out an attempt within its time.
pub(super) async fn execute(daemon: &Arc<Daemon>, order: WorkOrder) -> Input {
    let WorkOrder { incident, attempt, work, timeout, variables } = order;
    let started_at = daemon.log_now();
    tracing::info!(%incident, attempt, "executing a rung");
    let environment = Environment::from(variables);
    let (outcome, exit_code, output) = carry_out(daemon, work, &environment, timeout).await;
    // What the check that verifies it sees must not be from before.
    daemon.facts.forget();
    tracing::info!(%incident, attempt, outcome = outcome.as_str(), "a rung ended");
    let finished_at = daemon.log_now();
    // Read again after the rung: a secret that was changed meanwhile is one as well.
    let output = bounded(daemon.secrets.mask().apply(output));
    let started_at = (outcome != Outcome::Refused).then_some(started_at);
    let report = AttemptReport { outcome, exit_code, started_at, finished_at, output };
    Input::Finished { incident, attempt, report }
}

async fn carry_out(
    daemon: &Arc<Daemon>,
    work: Work,
    environment: &Environment,
    timeout: Duration,
) -> Ended {
    match work {
        Work::Command(command) => run(daemon, &command, environment, timeout).await,
        Work::Http(request) => match secrets_in(daemon, &request, environment) {
            Ok(environment) => request_within(daemon, &request, &environment, timeout).await,
            Err(refusal) => (Outcome::Refused, None, refusal.to_string()),
        },
        Work::Heal(check) => plugins::heal(daemon, &check, environment, timeout).await,
        Work::Fence { agent, power, params } => match told(daemon, &params, environment) {
            Ok(params) => {
                let order = FenceOrder { agent, power, params, timeout };
                let fenced = fence::fence(&order, environment, &daemon.break_off).await;
                (fenced.outcome, fenced.exit_code, fenced.output)
            }
            Err(refusal) => (Outcome::Refused, None, refusal.to_string()),
        },
        Work::Wake { mac, broadcast } => match wake::wake(mac, broadcast).await {
            Ok(sent) => (Outcome::Succeeded, None, sent),
            Err(why) => (Outcome::Failed, None, why),
        },
        Work::Ssh(ssh) => {
            let address = environment.get("HEARTEN_PEER_ADDRESS").unwrap_or_default();
            run(daemon, &ssh::command(&ssh, address, timeout), environment, timeout).await
        }
    }
}

async fn request_within(
    daemon: &Daemon,
    request: &HttpCall,
    environment: &Environment,
    timeout: Duration,
) -> Ended {
    let called = tokio::select! {
        called = call::call(&daemon.http, request, environment, timeout) => called,
        () = daemon.break_off.cancelled() => {
            Err(call::CallError::Unknown { reason: "the daemon stopped".to_owned() })
        }
    };
    match called {
        Ok(answer) => (Outcome::Succeeded, None, answer),
        Err(error) => (error.outcome(), None, error.to_string()),
    }
}

/// What a fence agent is told, its secrets in their places.
fn told(
    daemon: &Daemon,
    params: &BTreeMap<String, Argument>,
    environment: &Environment,
) -> Result<BTreeMap<String, String>, Refusal> {
    params
        .iter()
        .map(|(key, argument)| {
            let value = match argument {
                Argument::Text(text) => text.clone(),
                Argument::Secret(name) => secret(daemon, name, environment)?,
            };
            if value.contains(['\n', '\r', '\0']) {
                // It would begin another parameter.
                let why = "has a value with a line end or a zero byte in it".to_owned();
                return Err(Refusal::Parameter { name: key.clone(), why });
            }
            Ok((key.clone(), value))
        })
        .collect()
}

/// The variables of a request together with the secrets that it names.
fn secrets_in(
    daemon: &Daemon,
    request: &HttpCall,
    environment: &Environment,
) -> Result<Environment, Refusal> {
    let mut variables: BTreeMap<String, String> =
        environment.variables().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for named in call::secrets_named_in(request) {
        let name = Name::parse(&named).map_err(|error| Refusal::Parameter {
            name: format!("secret:{named}"),
            why: error.to_string(),
        })?;
        variables.insert(format!("secret:{named}"), secret(daemon, &name, environment)?);
    }
    Ok(Environment::from(variables))
}

/// One secret of this host's, for the affected peer.
fn secret(daemon: &Daemon, name: &Name, environment: &Environment) -> Result<String, Refusal> {
    let peer = environment.get("HEARTEN_PEER").unwrap_or_default();
    let found = daemon.secrets.open().and_then(|opened| Ok(opened.get(peer, name)?.to_owned()));
    found.map_err(|error| Refusal::NoSecret { name: name.clone(), why: error.to_string() })
}

async fn run(
    daemon: &Daemon,
    command: &Command,
    environment: &Environment,
    timeout: Duration,
) -> Ended {
    let limits = process::RunLimits::new(timeout).guarded();
    let ran = process::run(command, environment, limits, &daemon.break_off).await;
    let (outcome, exit_code) = match &ran.end {
        process::End::Exited(0) => (Outcome::Succeeded, Some(0)),
        process::End::Exited(code) => (Outcome::Failed, Some(*code)),
        process::End::Signalled(_) | process::End::NotStarted(_) | process::End::Cancelled => {
            (Outcome::Failed, None)
        }
        process::End::TimedOut => (Outcome::TimedOut, None),
    };
    let mut output = ran.output;
    if !matches!(ran.end, process::End::Exited(_)) {
        if !output.is_empty() && !output.ends_with('\n') {
            output.push('\n');
        }
        output.push_str(&format!("[{}]", ran.end));
    }
    (outcome, exit_code, output)
}

/// What the log takes of an output.
fn bounded(mut output: String) -> String {
    let mut end = output.len().min(OUTPUT_BYTES_MAX);
    while !output.is_char_boundary(end) {
        end -= 1;
    }
    output.truncate(end);
    output
}
