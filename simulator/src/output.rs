//! What `hearten-sim` prints: results to standard output, progress and mistakes to standard error.
#![expect(clippy::print_stdout, reason = "the only module that prints")]

use crate::{run::Run, scenario::Scenario};
use protocol::time::format_span;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How many failing seeds of a story are shown in full.
const SHOWN: usize = 3;

/// One story's result in a line, and what did not hold in full.
pub(crate) fn story(story: &Scenario, runs: &[Run]) {
    let failed: Vec<&Run> = runs.iter().filter(|run| run.failure.is_some()).collect();
    let result = if failed.is_empty() {
        "held".to_owned()
    } else {
        format!("FAILED in {} of {} seeds", failed.len(), runs.len())
    };
    println!(
        "{:<24} seeds {:<10} virtual {:<12} steps {:<9} digest {}  {result}",
        story.name,
        seeds(runs),
        format_span(virtual_time(runs)),
        steps(runs),
        &digest(runs)[..16],
    );
    for run in failed.iter().take(SHOWN) {
        failure(story, run);
    }
    if failed.len() > SHOWN {
        let others: Vec<String> =
            failed[SHOWN..].iter().take(20).map(|run| run.seed.to_string()).collect();
        println!("  and with seeds {}", others.join(", "));
    }
}

fn failure(story: &Scenario, run: &Run) {
    let Some(failure) = &run.failure else { return };
    println!("\n  {} does not hold: {}", failure.rule, failure.what);
    println!("  seed {}, step {}, at {:?}; before that:", run.seed, run.steps, run.virtual_time);
    let skipped = run.trace.len().saturating_sub(40);
    for line in &run.trace[skipped..] {
        println!("    {line}");
    }
    println!("  replay it: {}\n", replay_command(story, run));
}

fn replay_command(story: &Scenario, run: &Run) -> String {
    format!("hearten-sim replay {} --seed {}", story.path, run.seed)
}

/// A whole history.
pub(crate) fn history(run: &Run) {
    for line in &run.trace {
        println!("{line}");
    }
}

/// All results as one JSON object.
pub(crate) fn json(results: &[(&Scenario, Vec<Run>)]) {
    let scenarios: Vec<Value> = results.iter().map(|(story, runs)| as_json(story, runs)).collect();
    println!("{}", json!({ "schema": 1, "scenarios": scenarios }));
}

fn as_json(story: &Scenario, runs: &[Run]) -> Value {
    let one = |run: &Run| {
        let failure = run.failure.as_ref().map(|failure| {
            json!({
                "rule": failure.rule,
                "what": failure.what,
                "replay": replay_command(story, run),
                "trace": run.trace,
            })
        });
        json!({
            "seed": run.seed,
            "held": run.failure.is_none(),
            "virtual_time": format_span(run.virtual_time),
            "steps": run.steps,
            "digest": run.digest,
            "failure": failure,
        })
    };
    json!({
        "name": story.name,
        "file": story.path,
        "held": runs.iter().all(|run| run.failure.is_none()),
        "virtual_time": format_span(virtual_time(runs)),
        "steps": steps(runs),
        "digest": digest(runs),
        "runs": runs.iter().map(one).collect::<Vec<Value>>(),
    })
}

/// How far a long run is.
pub(crate) fn progress(story: &Scenario, done: u64, of: u64) {
    eprintln!("{}: {done} of {of} seeds", story.name);
}

/// What is wrong with the command line or a file.
pub(crate) fn error(message: &str) {
    eprintln!("error: {message}");
}

fn seeds(runs: &[Run]) -> String {
    match runs {
        [] => "none".to_owned(),
        [run] => run.seed.to_string(),
        [first, .., last] => format!("{}..{}", first.seed, last.seed + 1),
    }
}

fn virtual_time(runs: &[Run]) -> Duration {
    runs.iter().map(|run| run.virtual_time).sum()
}

fn steps(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.steps).sum()
}

/// The digest of one run, or what the digests of several come to.
fn digest(runs: &[Run]) -> String {
    if let [run] = runs {
        return run.digest.clone();
    }
    let mut hash = Sha256::new();
    for run in runs {
        hash.update(run.digest.as_bytes());
    }
    data_encoding::HEXLOWER.encode(&hash.finalize())
}
