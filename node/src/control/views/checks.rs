//! Checks as they are shown: the list of them, and one run of one of them.

use super::SCHEMA;
use crate::exec::{check::CheckRun, environment::Environment, plugin::Finding, process::End};
use protocol::{
    agent::{Agent, leader::Count},
    document::{Check, DocumentKey, DocumentKind, Unusual},
    learn::{
        Metric,
        metric::{Expected, Seen, Side},
    },
    perfdata::Datum,
    time::{Timestamp, format_span},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A check in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRow {
    /// Its name.
    pub name: String,
    /// `command`, `http`, `process` and so on.
    pub kind: String,
    /// Time from one run to the next.
    pub every: String,
    /// For which peers it is; empty for all.
    #[serde(rename = "where")]
    pub selector: String,
    /// Whether it is for this peer.
    pub here: bool,
    /// The checks that it depends on.
    pub depends_on: Vec<String>,
    /// The revision that it comes from.
    pub revision: u64,
}

/// The checks in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksView {
    /// The version of this shape.
    pub schema: u32,
    /// The checks, by name.
    pub checks: Vec<CheckRow>,
}

impl ChecksView {
    /// The checks as this peer knows them.
    pub fn of(agent: &Agent) -> Self {
        let library = agent.ledger().library();
        let row = |check: &Check| {
            let key = DocumentKey { kind: DocumentKind::Check, name: check.name.clone() };
            CheckRow {
                name: check.name.to_string(),
                kind: check.probe.kind().to_owned(),
                every: format_span(check.every),
                selector: check.selector.to_string(),
                here: check.selector.fits(&agent.card().labels),
                depends_on: check.depends_on.iter().map(ToString::to_string).collect(),
                revision: library.origin(&key).unwrap_or(0),
            }
        };
        Self { schema: SCHEMA, checks: library.checks().map(row).collect() }
    }
}

/// One run of a check, with everything that its author may want to see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialView {
    /// The version of this shape.
    pub schema: u32,
    /// Which check.
    pub check: String,
    /// `command`, `http`, `process` and so on.
    pub kind: String,
    /// On which peer.
    pub peer: String,
    /// `pass`, `warn`, `fail` or `unknown`.
    pub verdict: String,
    /// The one line that others are told.
    pub summary: String,
    /// The program and its arguments; empty where none was run.
    pub command: Vec<String>,
    /// The names of the variables that it saw.
    pub environment: Vec<String>,
    /// How it ended: `exit code 2`, `timed out` and so on.
    pub end: Option<String>,
    /// Its exit code, if it has one.
    pub exit_code: Option<i32>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it printed, at most 4 KiB.
    pub stdout: String,
    /// What it printed as errors, at most 4 KiB.
    pub stderr: String,
    /// The lines after the first, without numbers.
    pub long_output: String,
    /// The numbers that it told.
    pub perfdata: Vec<DatumView>,
    /// What a plugin found.
    pub findings: Vec<Finding>,
}

/// A number and what it means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatumView {
    /// What it is of.
    pub label: String,
    /// The number; nothing where it is not known.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: String,
    /// The range outside of which it is worth a warning, as plugins write it.
    pub warn: Option<String>,
    /// The range outside of which it is a failure.
    pub crit: Option<String>,
    /// The least that it can be.
    pub min: Option<f64>,
    /// The most that it can be.
    pub max: Option<f64>,
    /// `ok`, `warn` or `crit` by these ranges; `unusual` when it is neither of these two and not
    /// what it usually is.
    pub within: String,
    /// What is expected of it, where its check tells what is unusual and it was seen before.
    pub expected: Option<ExpectedView>,
}

/// What is expected of a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectedView {
    /// The number itself.
    pub value: f64,
    /// What is below is unusual.
    pub low: f64,
    /// What is above is unusual.
    pub high: f64,
    /// Whether enough was seen to call anything unusual.
    pub ready: bool,
    /// How often it was seen at its turns.
    pub seen: u64,
    /// When it was seen first.
    pub since: Timestamp,
    /// The latest that were seen, beside what was expected of each; the earliest first.
    pub history: Vec<Seen>,
}

impl From<&Datum> for DatumView {
    fn from(datum: &Datum) -> Self {
        let alerts = |range: Option<protocol::perfdata::Range>| {
            range.zip(datum.value).is_some_and(|(range, value)| range.alerts(value))
        };
        let within = match (alerts(datum.crit), alerts(datum.warn)) {
            (true, _) => "crit",
            (false, true) => "warn",
            (false, false) => "ok",
        };
        Self {
            label: datum.label.clone(),
            value: datum.value,
            unit: datum.unit.clone(),
            warn: datum.warn.map(|range| range.to_string()),
            crit: datum.crit.map(|range| range.to_string()),
            min: datum.min,
            max: datum.max,
            within: within.to_owned(),
            expected: None,
        }
    }
}

impl TrialView {
    /// A run of a check on this peer.
    pub fn of(check: &Check, peer: &str, environment: &Environment, run: CheckRun) -> Self {
        let exit_code = match run.end {
            Some(End::Exited(code)) => Some(code),
            Some(End::Signalled(_) | End::TimedOut | End::Cancelled | End::NotStarted(_))
            | None => None,
        };
        let names = if run.command.is_empty() { Vec::new() } else { environment.names() };
        Self {
            schema: SCHEMA,
            check: check.name.to_string(),
            kind: check.probe.kind().to_owned(),
            peer: peer.to_owned(),
            verdict: run.verdict.as_str().to_owned(),
            summary: run.summary,
            command: run.command,
            environment: names,
            end: run.end.map(|end| end.to_string()),
            exit_code,
            took_ms: u64::try_from(run.took.as_millis()).unwrap_or(u64::MAX),
            stdout: run.output,
            stderr: run.errors,
            long_output: run.long,
            perfdata: run.data.iter().map(DatumView::from).collect(),
            findings: run.findings,
        }
    }

    /// Beside each number what is expected of it, by its label.
    #[must_use]
    pub fn with_expected(
        mut self,
        expected: &BTreeMap<&str, (&Metric, Option<Expected>)>,
        unusual: Option<&Unusual>,
    ) -> Self {
        for datum in &mut self.perfdata {
            let Some((model, Some(now))) = expected.get(datum.label.as_str()) else { continue };
            let side = unusual.map_or(Side::Both, |unusual| unusual.side);
            let odd = datum.value.is_some_and(|value| now.is_broken_by(value, side));
            if odd && datum.within == "ok" {
                "unusual".clone_into(&mut datum.within);
            }
            let (seen, since) = model.seen();
            let history = model.kept().copied().collect();
            let Expected { value, low, high, ready } = *now;
            datum.expected = Some(ExpectedView { value, low, high, ready, seen, since, history });
        }
        self
    }

    /// What an aggregate check comes to, as this peer sees its group.
    pub fn of_count(check: &Check, peer: &str, count: &Count) -> Self {
        Self {
            schema: SCHEMA,
            check: check.name.to_string(),
            kind: check.probe.kind().to_owned(),
            peer: peer.to_owned(),
            verdict: count.verdict().as_str().to_owned(),
            summary: count.summary(),
            command: Vec::new(),
            environment: Vec::new(),
            end: None,
            exit_code: None,
            took_ms: 0,
            stdout: String::new(),
            stderr: String::new(),
            long_output: String::new(),
            perfdata: Vec::new(),
            findings: Vec::new(),
        }
    }
}
