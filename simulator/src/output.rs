//! What `hearten-sim` prints: results to standard output, progress and mistakes to standard error.
#![expect(clippy::print_stdout, reason = "the only module that prints")]

use crate::{
    cli::StoryResult, coverage::Coverage, reduction::Reduction, run::Run, scenario::Scenario,
    shrink::Shrunk, world::tale::Told,
};
use protocol::time::format_span;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How many failing seeds of a story are shown in full.
const SHOWN: usize = 3;

/// How many sentences of a tale are shown before a failure.
const SENTENCES: usize = 40;

/// One story's result in a line, and what did not hold in full.
pub(crate) fn story(result: &StoryResult<'_>) {
    let StoryResult { story, runs, shrunk } = result;
    let failed: Vec<&Run> = runs.iter().filter(|run| run.failure.is_some()).collect();
    line(story, runs);
    if let Some(shrunk) = shrunk {
        smallest(story, shrunk);
    }
    for run in failed.iter().skip(1).take(SHOWN) {
        let Some(failure) = &run.failure else { continue };
        println!("  seed {}: {} does not hold: {}", run.seed, failure.rule, failure.what);
    }
    if failed.len() > SHOWN + 1 {
        let others: Vec<String> =
            failed[SHOWN + 1..].iter().take(20).map(|run| run.seed.to_string()).collect();
        println!("  and with seeds {}", others.join(", "));
    }
}

fn line(story: &Scenario, runs: &[Run]) {
    let failed = runs.iter().filter(|run| run.failure.is_some()).count();
    let result = if failed == 0 {
        "held".to_owned()
    } else {
        format!("FAILED in {failed} of {} seeds", runs.len())
    };
    println!(
        "{:<26} seeds {:<10} virtual {:<12} steps {:<9} digest {}  {result}",
        story.name,
        seeds(runs),
        format_span(virtual_time(runs)),
        steps(runs),
        &digest(runs)[..16],
    );
}

/// The smallest reproduction of a failure: what happens in it, and how to play it again.
fn smallest(story: &Scenario, shrunk: &Shrunk) {
    let run = &shrunk.run;
    let Some(failure) = &run.failure else { return };
    println!("\n  {} does not hold: {}", failure.rule, failure.what);
    println!("  {}; what happens in it:", shrunk_in_words(story, shrunk));
    let reduced = shrunk.reduction.of(story);
    let skipped = run.tale.len().saturating_sub(SENTENCES);
    if skipped > 0 {
        println!("    … {skipped} earlier sentences");
    }
    for told in &run.tale[skipped..] {
        println!("    {}", sentence(&reduced, told));
    }
    println!("  replay it: {}\n", replay_command(story, run, &shrunk.reduction));
}

fn shrunk_in_words(story: &Scenario, shrunk: &Shrunk) -> String {
    let reduction = &shrunk.reduction;
    let left = shrunk.run.faults.saturating_sub(number(reduction.without.len()));
    let size = if shrunk.is_smallest { "the smallest" } else { "the smallest in the time given" };
    format!(
        "seed {}, {size} of {} stories that were tried: {} of {} peers, {left} faults by chance, \
         {} long",
        shrunk.run.seed,
        shrunk.tried + 1,
        reduction.peers.unwrap_or(story.peers.len()),
        story.peers.len(),
        format_span(reduction.lasts.unwrap_or(story.lasts)),
    )
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn sentence(story: &Scenario, told: &Told) -> String {
    let who = told.peer.and_then(|place| story.peers.get(place));
    let who = who.map_or_else(String::new, |peer| peer.name.to_string());
    format!("{:>9.3} s  {who:<5} {}", told.at.as_secs_f64(), told.what)
}

fn replay_command(story: &Scenario, run: &Run, reduction: &Reduction) -> String {
    format!("hearten-sim replay {} --seed {}{reduction}", story.path, run.seed)
}

/// A whole history, in sentences or line by line.
pub(crate) fn history(story: &Scenario, run: &Run, brief: bool) {
    if brief {
        run.tale.iter().for_each(|told| println!("{}", sentence(story, told)));
    } else {
        run.trace.iter().for_each(|line| println!("{line}"));
    }
}

/// What became of a story that was played again.
pub(crate) fn replayed(story: &Scenario, run: &Run, reduction: &Reduction) {
    line(story, std::slice::from_ref(run));
    if let Some(failure) = &run.failure {
        println!("  {} does not hold: {}", failure.rule, failure.what);
        println!("  replay it: {}", replay_command(story, run, reduction));
    }
}

/// How often each rare constellation came about.
pub(crate) fn coverage(coverage: &Coverage) {
    println!("\nseen in how many of {} runs:", coverage.runs);
    for (sight, times) in &coverage.seen {
        let never = if *times == 0 { "   NEVER" } else { "" };
        println!("{times:>7}  {}{never}", sight.as_str());
    }
}

/// All results as one JSON object.
pub(crate) fn json(results: &[StoryResult<'_>], coverage: &Coverage) {
    let scenarios: Vec<Value> = results.iter().map(as_json).collect();
    let seen: Vec<Value> = coverage
        .seen
        .iter()
        .map(|(sight, times)| json!({ "what": sight.as_str(), "runs": times }))
        .collect();
    println!("{}", json!({ "schema": 1, "scenarios": scenarios, "coverage": seen }));
}

fn as_json(result: &StoryResult<'_>) -> Value {
    let StoryResult { story, runs, shrunk } = result;
    let whole = Reduction::default();
    let one = |run: &Run| {
        let failure = run.failure.as_ref().map(|failure| {
            json!({
                "rule": failure.rule,
                "what": failure.what,
                "replay": replay_command(story, run, &whole),
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
    let smallest = shrunk.as_ref().map(|shrunk| {
        let reduced = shrunk.reduction.of(story);
        let tale = shrunk.run.tale.iter();
        json!({
            "seed": shrunk.run.seed,
            "peers": reduced.peers.len(),
            "lasts": format_span(reduced.lasts),
            "faults": shrunk.run.faults.saturating_sub(number(shrunk.reduction.without.len())),
            "tried": shrunk.tried,
            "is_smallest": shrunk.is_smallest,
            "tale": tale.map(|told| sentence(&reduced, told)).collect::<Vec<String>>(),
            "replay": replay_command(story, &shrunk.run, &shrunk.reduction),
        })
    });
    json!({
        "name": story.name,
        "file": story.path,
        "held": runs.iter().all(|run| run.failure.is_none()),
        "virtual_time": format_span(virtual_time(runs)),
        "steps": steps(runs),
        "digest": digest(runs),
        "runs": runs.iter().map(one).collect::<Vec<Value>>(),
        "smallest": smallest,
    })
}

/// Whether and how a mistake was found.
#[cfg(feature = "mistakes")]
pub(crate) fn mistake(
    mistake: protocol::mistakes::Mistake,
    found: Option<&crate::mistakes::Found>,
) {
    let said = found.map_or_else(
        || "NOT FOUND".to_owned(),
        |found| {
            let (runs, rule) = (found.runs, &found.failure.rule);
            format!("found by run {runs}, {} with seed {}: {rule}", found.story, found.seed)
        },
    );
    println!("{:<40} {said}", mistake.as_str());
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
