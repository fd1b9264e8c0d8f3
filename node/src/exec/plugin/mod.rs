//! Plugins: executables in any language that scan, analyse and heal.
//!
//! One object of JSON goes in on standard input, lines of JSON come out on standard output, and
//! what is printed as errors is for people. Hearten does the rest: it says when, ends what takes
//! too long, with its whole tree, keeps the evidence, and counts.
//!
//! A plugin is a stranger's program: whatever it prints, however much, and however it ends, there
//! is a named [`Fault`] for it and never half an answer.
//!
//! Reading order: `input` (what it is told), [`answer`] (what it says), `earlier` (what it said
//! before), and here how a phase is run.

pub mod answer;
mod earlier;
mod fault;
mod input;

pub use answer::{Answer, Evidence, Finding};
pub use earlier::Plugins;
pub use fault::Fault;

use super::{
    check::{Found, Tools, timed_out},
    environment::Environment,
    output::beginning,
    process::{self, End, RunLimits, Streams},
};
use protocol::document::{Check, Command, PluginProbe, Verdict};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The most that a plugin may print on each stream.
pub const PRINTED_MAX_BYTES: usize = 1 << 20;

/// The most of it that is kept for people to read.
const SHOWN_MAX_BYTES: usize = 4096;

/// What a plugin is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Whether anything is wrong: the run of the check.
    Scan,
    /// What can be known about it: evidence, when an incident is opened.
    Analyse,
    /// To mend it: a rung.
    Heal,
}

impl Phase {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Analyse => "analyse",
            Self::Heal => "heal",
        }
    }
}

/// What came of one phase.
#[derive(Debug)]
pub struct PhaseRun {
    /// What it said; nothing but what a [`Fault`] leaves of it.
    pub answer: Result<Answer, Fault>,
    /// How it ended.
    pub end: End,
    /// What it printed, as it is.
    pub output: String,
    /// What it printed as errors.
    pub errors: String,
    /// How many processes it left running that were ended.
    pub leftovers: usize,
    /// How many of its processes could not be ended.
    pub survivors: usize,
    /// How long it took.
    pub took: Duration,
}

/// Runs one phase of a check's plugin, within a time limit.
///
/// The answers of earlier phases are remembered in [`Tools::plugins`], and this one's with them.
/// What a scan or an analysis leaves running is ended with it; what heals may start a service.
pub async fn run_phase(
    phase: Phase,
    (check, probe): (&Check, &PluginProbe),
    environment: &Environment,
    tools: &Tools,
    timeout: Duration,
    cancel: &CancellationToken,
) -> PhaseRun {
    let started = Instant::now();
    let command = Command::Argv(probe.argv.clone());
    let readable = match environment.expand(&command) {
        Ok(argv) => fault::preflight(&argv),
        Err(error) => Err(Fault::NotStarted(error.to_string())),
    };
    if let Err(fault) = readable {
        return PhaseRun {
            end: End::NotStarted(fault.to_string()),
            answer: Err(fault),
            output: String::new(),
            errors: String::new(),
            leftovers: 0,
            survivors: 0,
            took: started.elapsed(),
        };
    }
    let input = input::of(phase, check, probe, tools).await;
    let mut limits = RunLimits::new(timeout);
    limits.output_max_bytes = 2 * PRINTED_MAX_BYTES;
    limits.guarded = phase == Phase::Heal;
    let streams =
        Streams { input, apart: true, floods_end: true, leftovers_end: phase != Phase::Heal };
    let ran = process::run_with(&command, environment, limits, streams, cancel).await;
    let answer = match fault::of(&ran, timeout) {
        Some(fault) => Err(fault),
        None => Answer::parse(&ran.output),
    };
    match &answer {
        Ok(answer) => tools.plugins.remember(&check.name, phase, answer),
        Err(_) if phase == Phase::Scan => tools.plugins.forget(&check.name),
        Err(_) => {}
    }
    PhaseRun {
        answer,
        end: ran.end,
        output: beginning(&ran.output, SHOWN_MAX_BYTES).to_owned(),
        errors: beginning(&ran.errors, SHOWN_MAX_BYTES).to_owned(),
        leftovers: ran.leftovers,
        survivors: ran.survivors.len(),
        took: started.elapsed(),
    }
}

/// The run of a check whose probe is a plugin.
pub(super) async fn scan(
    check: &Check,
    probe: &PluginProbe,
    environment: &Environment,
    tools: &Tools,
) -> Found {
    let cancel = CancellationToken::new();
    let subject = (check, probe);
    let run = run_phase(Phase::Scan, subject, environment, tools, check.timeout, &cancel).await;
    let (verdict, mut summary, findings) = match run.answer {
        Ok(answer) => (answer.verdict(), answer.summary(), answer.findings),
        // As with every other probe: who does not answer in time is not well.
        Err(Fault::TimedOut(limit)) => (Verdict::Fail, timed_out(limit), Vec::new()),
        Err(fault) => (Verdict::Unknown, fault.to_string(), Vec::new()),
    };
    for (count, what) in [
        (run.leftovers, "it left running and that were ended"),
        (run.survivors, "could not be ended"),
    ] {
        if count > 0 {
            summary = format!("{summary} [processes that {what}: {count}]");
        }
    }
    Found {
        output: run.output,
        errors: run.errors,
        findings,
        command: environment.expand(&Command::Argv(probe.argv.clone())).unwrap_or_default(),
        end: Some(run.end),
        ..Found::new(verdict, summary)
    }
}

#[cfg(test)]
mod tests;
