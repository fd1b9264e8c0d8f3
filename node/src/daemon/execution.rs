//! Carrying out one attempt: a command or an HTTP request, and how it ended.

use super::{Daemon, plugins};
use crate::exec::{call, environment::Environment, process};
use protocol::{
    agent::{Input, Work, WorkOrder},
    document::Command,
    ledger::attempts::OUTPUT_BYTES_MAX,
    record::{AttemptReport, Outcome},
};
use std::{sync::Arc, time::Duration};

/// How an attempt ended, with the exit code where there was one, and what it printed.
type Ended = (Outcome, Option<i32>, String);

/// Carries out an attempt within its time.
pub(super) async fn execute(daemon: &Arc<Daemon>, order: WorkOrder) -> Input {
    let WorkOrder { incident, attempt, work, timeout, variables } = order;
    let started_at = Some(daemon.log_now());
    tracing::info!(%incident, attempt, "executing a rung");
    let environment = Environment::from(variables);
    let (outcome, exit_code, output) = match work {
        Work::Command(command) => run(daemon, &command, &environment, timeout).await,
        Work::Http(request) => {
            let called = tokio::select! {
                called = call::call(&daemon.http, &request, &environment, timeout) => called,
                () = daemon.break_off.cancelled() => {
                    Err(call::CallError::Unknown { reason: "the daemon stopped".to_owned() })
                }
            };
            match called {
                Ok(answer) => (Outcome::Succeeded, None, answer),
                Err(error) => (error.outcome(), None, error.to_string()),
            }
        }
        Work::Heal(check) => plugins::heal(daemon, &check, &environment, timeout).await,
    };
    // What the check that verifies it sees must not be from before.
    daemon.facts.forget();
    tracing::info!(%incident, attempt, outcome = outcome.as_str(), "a rung ended");
    let finished_at = daemon.log_now();
    let output = bounded(output);
    let report = AttemptReport { outcome, exit_code, started_at, finished_at, output };
    Input::Finished { incident, attempt, report }
}

async fn run(
    daemon: &Daemon,
    command: &Command,
    environment: &Environment,
    timeout: Duration,
) -> Ended {
    let limits = process::RunLimits::new(timeout);
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
