//! What `hearten-sim test` prints. A reader that goes away ends it quietly.

use super::{Fault, Verdict, history::clock};
use protocol::time::format_span;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    time::Duration,
};

/// One test's result in a line; what is otherwise than expected in full, with what happened.
///
/// # Errors
/// Nobody reads any more.
pub(crate) fn result(verdict: &Verdict<'_>, with_history: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Verdict { test, seed, lasted, faults, .. } = verdict;
    let (file, line, name) = (&test.file, test.place.line, &test.name);
    if verdict.holds() {
        let actions = verdict.history.actions();
        let actions = if actions == 1 { "1 rung".to_owned() } else { format!("{actions} rungs") };
        writeln!(out, "ok      {file}:{line}: {name} ({actions}, {})", format_span(*lasted))?;
    } else {
        writeln!(out, "FAILED  {file}:{line}: {name}")?;
    }
    for fault in faults {
        writeln!(out, "  {file}:{}: expected: {}", fault.line, fault.expected)?;
        writeln!(
            out,
            "  {:width$}     but: {}",
            "",
            fault.found,
            width = file.len() + digits(fault)
        )?;
    }
    if with_history || !verdict.holds() {
        writeln!(out, "  what happened (minutes:seconds of the test, seed {seed}):")?;
        for moment in &verdict.history.moments {
            writeln!(out, "  {:>10}  {}", clock(moment.at), moment.text)?;
        }
        writeln!(out, "  {:>10}  the test ends", clock(*lasted))?;
    }
    out.flush()
}

/// How wide the fault's line number is.
fn digits(fault: &Fault) -> usize {
    fault.line.to_string().len()
}

/// How many tests hold.
///
/// # Errors
/// Nobody reads any more.
pub(crate) fn summary(held: usize, failed: usize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let tests = if held + failed == 1 { "test" } else { "tests" };
    writeln!(out, "{} {tests}: {held} ok, {failed} failed", held + failed)?;
    out.flush()
}

/// All results as one JSON object.
///
/// # Errors
/// Nobody reads any more.
pub(crate) fn json(verdicts: &[Verdict<'_>]) -> io::Result<()> {
    let tests: Vec<Value> = verdicts.iter().map(as_json).collect();
    let held = verdicts.iter().all(Verdict::holds);
    let mut out = io::stdout().lock();
    writeln!(out, "{}", json!({ "schema": 1, "held": held, "tests": tests }))?;
    out.flush()
}

fn as_json(verdict: &Verdict<'_>) -> Value {
    let fault = |fault: &Fault| json!({ "line": fault.line, "expected": fault.expected, "found": fault.found });
    let moments = verdict
        .history
        .moments
        .iter()
        .map(|moment| json!({ "at": format_span(moment.at), "text": moment.text }));
    json!({
        "name": verdict.test.name,
        "file": &*verdict.test.file,
        "line": verdict.test.place.line,
        "seed": verdict.seed,
        "held": verdict.holds(),
        "lasted": format_span(verdict.lasted),
        "rungs": verdict.history.actions(),
        "faults": verdict.faults.iter().map(fault).collect::<Vec<Value>>(),
        "timeline": moments.collect::<Vec<Value>>(),
    })
}

/// How far a long test is.
pub(crate) fn progress(name: &str, done: Duration, of: Duration) {
    eprintln!("{name}: {} of {}", format_span(done), format_span(of));
}
