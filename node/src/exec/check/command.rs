//! `command`: a program with the exit codes, the long output and the numbers of monitoring plugins.

use super::{Found, OUTPUT_MAX_BYTES, timed_out};
use crate::exec::{
    environment::Environment,
    output::beginning,
    process::{self, End, RunLimits, Streams},
};
use protocol::{
    document::{Command, Verdict},
    perfdata::PluginOutput,
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// As much is read of what a program prints; numbers stand at the end of it.
const PRINTED_MAX_BYTES: usize = 64 << 10;

pub(super) async fn run(command: &Command, environment: &Environment, timeout: Duration) -> Found {
    let mut limits = RunLimits::new(timeout);
    limits.output_max_bytes = PRINTED_MAX_BYTES;
    let streams = Streams { apart: true, ..Streams::default() };
    let cancel = CancellationToken::new();
    let ran = process::run_with(command, environment, limits, streams, &cancel).await;
    let printed = PluginOutput::parse(&ran.output);
    let first_line = || {
        let errors = ran.errors.lines().map(str::trim).find(|line| !line.is_empty());
        match (printed.summary.as_str(), errors) {
            ("", Some(error)) => error.to_owned(),
            ("", None) => ran.end.to_string(),
            (summary, _) => summary.to_owned(),
        }
    };
    let (verdict, summary) = match &ran.end {
        End::Exited(code) => (Verdict::from_exit_code(*code), first_line()),
        End::TimedOut => (Verdict::Fail, timed_out(timeout)),
        End::Signalled(_) | End::NotStarted(_) | End::Cancelled => {
            (Verdict::Unknown, ran.end.to_string())
        }
    };
    Found {
        output: beginning(&ran.output, OUTPUT_MAX_BYTES).to_owned(),
        errors: beginning(&ran.errors, OUTPUT_MAX_BYTES).to_owned(),
        long: beginning(&printed.long, OUTPUT_MAX_BYTES).to_owned(),
        data: printed.data,
        command: environment.expand(command).unwrap_or_default(),
        end: Some(ran.end),
        ..Found::new(verdict, summary)
    }
}
