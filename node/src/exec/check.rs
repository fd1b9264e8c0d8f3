//! Runs a check once and says what it found.
//!
//! A service that does not answer in time is not well: a timeout is `fail`. A probe that could not
//! be made at all (no such program, no address) says nothing about the service: that is `unknown`.
//!
//! Reading order: `command`, `http` and `tcp` ask a service; `processes`, `unit`, `disk`, `memory`,
//! `load` and `file` look at the host itself; what the mesh looks at about itself the daemon
//! measures ([`Own`]) and the protocol judges; plugins have a module of their own,
//! [`super::plugin`].

mod command;
mod host;
mod http;
mod tcp;
mod unit;

use crate::exec::{
    environment::Environment,
    facts::Facts,
    http::HttpClient,
    output::beginning,
    plugin::{self, Finding, Plugins},
    process::End,
};
use async_trait::async_trait;
use protocol::{
    document::{AlertProbe, Check, Measured, MeshProbe, Probe, Verdict},
    name::Labels,
    perfdata::{Datum, Range},
    time::format_span,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time;

/// The most of a check's output that is kept.
const OUTPUT_MAX_BYTES: usize = 4096;

/// The most of it that is told to others; gossip repeats it often.
const SUMMARY_MAX_BYTES: usize = 200;

/// What checks are run with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Asks servers.
    pub http: HttpClient,
    /// Knows the host.
    pub facts: Facts,
    /// What plugins said in earlier phases.
    pub plugins: Plugins,
    /// Which host this is.
    pub host: HostCard,
    /// Knows the daemon itself; nothing where there is none.
    pub own: Option<Arc<dyn Own>>,
}

/// What a daemon knows of itself and its place in the mesh.
#[async_trait]
pub trait Own: std::fmt::Debug + Send + Sync {
    /// Measures what a probe looks at.
    async fn measure(&self, probe: MeshProbe) -> Measured;

    /// What is known of alerts about this host.
    fn alerts(&self, probe: &AlertProbe) -> (Verdict, String);
}

/// Which host a plugin is told that it is on.
#[derive(Debug, Clone, Default)]
pub struct HostCard {
    /// The peer's name.
    pub name: String,
    /// Its IP address.
    pub address: String,
    /// Its labels.
    pub labels: Labels,
}

/// What one run of a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRun {
    /// What it says.
    pub verdict: Verdict,
    /// The first line of its output, or how it ended: one printable line of at most 200 bytes.
    pub summary: String,
    /// Its output, at most 4 KiB.
    pub output: String,
    /// What it printed as errors, at most 4 KiB.
    pub errors: String,
    /// The lines after the first, without numbers.
    pub long: String,
    /// The numbers that it told.
    pub data: Vec<Datum>,
    /// What a plugin found.
    pub findings: Vec<Finding>,
    /// The program and its arguments, where one was run.
    pub command: Vec<String>,
    /// How the program ended.
    pub end: Option<End>,
    /// How long it took.
    pub took: Duration,
}

/// Runs a check once, within its timeout.
///
/// A command that hangs takes up to [`process::RunLimits::longest`] to be ended on top.
///
/// [`process::RunLimits::longest`]: super::process::RunLimits::longest
pub async fn run_check(check: &Check, environment: &Environment, tools: &Tools) -> CheckRun {
    let started = Instant::now();
    let limit = check.timeout;
    let found = match &check.probe {
        Probe::Command(command) => command::run(command, environment, limit).await,
        Probe::Http(probe) => in_time(limit, http::probe(&tools.http, probe)).await,
        Probe::Tcp { address } => in_time(limit, tcp::probe(address, limit)).await,
        Probe::Process(probe) => in_time(limit, host::processes(&tools.facts, probe)).await,
        Probe::Unit(name) => in_time(limit, unit::probe(&tools.facts, name)).await,
        Probe::Disk(probe) => in_time(limit, host::disk(&tools.facts, probe)).await,
        Probe::Memory(limits) => host::memory(&tools.facts, limits),
        Probe::Load(probe) => host::load(&tools.facts, probe),
        Probe::File(probe) => in_time(limit, host::file(&tools.facts, probe)).await,
        Probe::Plugin(probe) => plugin::scan(check, probe, environment, tools).await,
        Probe::Aggregate(_) => {
            Found::new(Verdict::Unknown, "an aggregate is counted by the leader, not run on a host")
        }
        Probe::Heartbeat(_) => {
            Found::new(Verdict::Unknown, "the leader waits for jobs; nothing is run on a host")
        }
        Probe::Mesh(probe) => match &tools.own {
            Some(own) => {
                let looked = async {
                    let (verdict, summary) = probe.judge(&own.measure(*probe).await);
                    Found::new(verdict, summary)
                };
                in_time(limit, looked).await
            }
            None => Found::new(Verdict::Unknown, "only a daemon can look at its own mesh"),
        },
        Probe::Alert(probe) => match &tools.own {
            Some(own) => {
                let (verdict, summary) = own.alerts(probe);
                Found::new(verdict, summary)
            }
            None => Found::new(Verdict::Unknown, "only a daemon is told of alerts"),
        },
    };
    CheckRun {
        verdict: found.verdict,
        summary: summary_of(&found.summary),
        output: found.output,
        errors: found.errors,
        long: found.long,
        data: found.data,
        findings: found.findings,
        command: found.command,
        end: found.end,
        took: started.elapsed(),
    }
}

/// What a probe found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) verdict: Verdict,
    pub(super) summary: String,
    pub(super) output: String,
    pub(super) errors: String,
    pub(super) long: String,
    pub(super) data: Vec<Datum>,
    pub(super) findings: Vec<Finding>,
    pub(super) command: Vec<String>,
    pub(super) end: Option<End>,
}

impl Found {
    pub(super) fn new(verdict: Verdict, summary: impl Into<String>) -> Self {
        Self {
            verdict,
            summary: summary.into(),
            output: String::new(),
            errors: String::new(),
            long: String::new(),
            data: Vec::new(),
            findings: Vec::new(),
            command: Vec::new(),
            end: None,
        }
    }

    /// Adds a number that is worth a warning and a failure from these on.
    fn with(mut self, label: &str, value: f64, unit: &str, limits: [Option<f64>; 2]) -> Self {
        let below = |limit: Option<f64>| {
            limit.map(|to| Range { from: Some(0.0), to: Some(to), inside: false })
        };
        self.data.push(Datum {
            label: label.to_owned(),
            value: Some(value),
            unit: unit.to_owned(),
            warn: below(limits[0]),
            crit: below(limits[1]),
            min: Some(0.0),
            max: None,
        });
        self
    }
}

async fn in_time(timeout: Duration, probe: impl Future<Output = Found>) -> Found {
    match time::timeout(timeout, probe).await {
        Ok(found) => found,
        Err(_elapsed) => Found::new(Verdict::Fail, timed_out(timeout)),
    }
}

pub(super) fn timed_out(timeout: Duration) -> String {
    format!("timed out after {}", format_span(timeout))
}

/// One line that is safe to show anywhere.
fn summary_of(text: &str) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    beginning(printable.trim(), SUMMARY_MAX_BYTES).to_owned()
}

#[cfg(test)]
mod tests;
