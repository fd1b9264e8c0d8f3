//! The command line: `run` stories with seeds, `replay` one of them line by line, `test` documents
//! by their own `[[test]]` tables.
//!
//! Exit codes: 0 when everything held, 1 when something did not, 2 when the command line or a
//! story's file is wrong.

use crate::{
    coverage::Coverage,
    document_test::{self, Suite, Verdict},
    output,
    reduction::{Reduction, parse_numbers},
    report,
    run::{Run, run},
    scenario::{Scenario, read::read},
    shrink::{Shrunk, shrink},
};
use clap::{Args, Parser, Subcommand};
use protocol::time::parse_span;
use std::{
    collections::BTreeSet,
    num::NonZero,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How often a long run says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Runs stories through the model ring: the real agent and ledger, virtual time, hostile network.
#[derive(Debug, Parser)]
#[command(name = "hearten-sim", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs every story with every seed and says what held.
    Run(RunArguments),
    /// Runs one story with one seed and prints its whole history.
    Replay(ReplayArguments),
    /// Makes mistakes on purpose, one at a time, and says with how many runs each was found.
    #[cfg(feature = "mistakes")]
    Mistakes(MistakesArguments),
    /// Plays the `[[test]]` tables of documents: runbooks tried out without a mesh.
    Test(TestArguments),
}

#[derive(Debug, Args)]
struct RunArguments {
    /// Stories, or directories of them.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// The one seed to run.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "seeds")]
    seed: u64,
    /// The seeds to run, from A up to but without B.
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    seeds: Option<Seeds>,
    /// All faults are healed after so long, whatever the stories say.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    lasts: Option<Duration>,
    /// Says what rare constellations the runs have come through, and fails where one of them never
    /// came about.
    #[arg(long)]
    coverage: bool,
    /// Writes a page that draws each story: peers down, time across; of a story that failed, the
    /// first seed with which it did.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// For how long at most a failure is shrunk to its smallest reproduction.
    #[arg(long, value_name = "SPAN", default_value = "20s", value_parser = parse_span)]
    shrink: Duration,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ReplayArguments {
    /// The story.
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// The seed.
    #[arg(long, value_name = "N")]
    seed: u64,
    /// Only so many of the first peers.
    #[arg(long, value_name = "N")]
    peers: Option<usize>,
    /// All faults are healed after so long.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    lasts: Option<Duration>,
    /// Leaves out these of the faults that are drawn, counted from 1.
    #[arg(long, value_name = "1,3-7", value_parser = Numbers::parse)]
    without: Option<Numbers>,
    /// What happened in sentences, not every input and output of every agent.
    #[arg(long)]
    brief: bool,
    /// Writes a page that draws it: peers down, time across.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// The places of faults.
#[derive(Debug, Clone)]
struct Numbers(BTreeSet<u32>);

impl Numbers {
    fn parse(text: &str) -> Result<Self, String> {
        parse_numbers(text).map(Self)
    }
}

#[derive(Debug, Args)]
struct TestArguments {
    /// Files of documents, or directories of them; together they are one set of documents.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Only the tests whose names hold this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The seed: what a test leaves open, such as which neighbour acts, follows from it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Tells what happened also in tests that hold.
    #[arg(long, short)]
    verbose: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What looks for mistakes.
#[cfg(feature = "mistakes")]
#[derive(Debug, Args)]
struct MistakesArguments {
    /// Stories, or directories of them.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// The seeds to try, from A up to but without B.
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, default_value = "0..100")]
    seeds: Seeds,
    /// Only the mistakes whose names hold this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// The seeds from the first up to but without the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seeds(u64, u64);

fn parse_seeds(text: &str) -> Result<Seeds, String> {
    let seeds = text
        .split_once("..")
        .and_then(|(from, to)| Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?)));
    match seeds {
        Some((from, to)) if from < to => Ok(Seeds(from, to)),
        Some(_) => Err("the first seed must be less than the end".to_owned()),
        None => Err("write two numbers, 0..1000".to_owned()),
    }
}

/// Does what the command line says.
pub fn execute(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Run(arguments) => run_stories(&arguments),
        Command::Replay(arguments) => replay(&arguments),
        Command::Test(arguments) => test_documents(&arguments),
        #[cfg(feature = "mistakes")]
        Command::Mistakes(arguments) => find_mistakes(&arguments),
    }
}

#[cfg(feature = "mistakes")]
fn find_mistakes(arguments: &MistakesArguments) -> ExitCode {
    let stories = match all_stories_in(&arguments.paths) {
        Ok(stories) => stories,
        Err(message) => return wrong(&message),
    };
    let Seeds(from, to) = arguments.seeds;
    let mut all_found = true;
    let wanted = protocol::mistakes::Mistake::ALL.into_iter();
    for mistake in wanted.filter(|mistake| mistake.as_str().contains(&arguments.only)) {
        let found = crate::mistakes::find(mistake, &stories, from..to);
        output::mistake(mistake, found.as_ref());
        all_found &= found.is_some();
    }
    if all_found { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn all_stories_in(paths: &[PathBuf]) -> Result<Vec<Scenario>, String> {
    let mut stories = Vec::new();
    for path in paths {
        stories.extend(stories_in(path)?);
    }
    Ok(stories)
}

fn run_stories(arguments: &RunArguments) -> ExitCode {
    let mut stories = match all_stories_in(&arguments.paths) {
        Ok(stories) => stories,
        Err(message) => return wrong(&message),
    };
    for story in &mut stories {
        story.lasts = arguments.lasts.unwrap_or(story.lasts);
    }
    let one = Seeds(arguments.seed, arguments.seed.saturating_add(1));
    let seeds = arguments.seeds.unwrap_or(one);
    let mut results = Vec::new();
    for story in &stories {
        let runs = run_seeds(story, seeds);
        let failed = runs.iter().find(|run| run.failure.is_some());
        let mut shrunk = failed.map(|run| shrink(story, run.clone(), arguments.shrink));
        if let Some(shrunk) = &mut shrunk {
            // The file says something else.
            shrunk.reduction.lasts = shrunk.reduction.lasts.or(arguments.lasts);
        }
        let result = StoryResult { story, runs, shrunk };
        if !arguments.json {
            output::story(&result);
        }
        results.push(result);
    }
    let coverage = Coverage::of(results.iter().flat_map(|result| &result.runs));
    if arguments.json {
        output::json(&results, &coverage);
    } else if arguments.coverage {
        output::coverage(&coverage);
    }
    if let Some(file) = &arguments.report
        && let Err(message) = write_report(file, &results)
    {
        return wrong(&message);
    }
    let held = results.iter().all(StoryResult::holds);
    let covered = !arguments.coverage || coverage.is_full();
    if held && covered { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// What became of a story.
pub(crate) struct StoryResult<'s> {
    /// Which.
    pub(crate) story: &'s Scenario,
    /// With each of the seeds.
    pub(crate) runs: Vec<Run>,
    /// The smallest reproduction of the first failure.
    pub(crate) shrunk: Option<Shrunk>,
}

impl StoryResult<'_> {
    fn holds(&self) -> bool {
        self.runs.iter().all(|run| run.failure.is_none())
    }
}

/// Draws the smallest failure of each story, or its first run where it held.
fn write_report(file: &Path, results: &[StoryResult<'_>]) -> Result<(), String> {
    let smallest: Vec<Scenario> = results
        .iter()
        .map(|result| match &result.shrunk {
            Some(shrunk) => shrunk.reduction.of(result.story),
            None => result.story.clone(),
        })
        .collect();
    let shown = results.iter().zip(&smallest).filter_map(|(result, story)| {
        let run = result.shrunk.as_ref().map(|shrunk| &shrunk.run).or(result.runs.first())?;
        Some((story, run))
    });
    let page = report::page(&shown.collect::<Vec<_>>());
    std::fs::write(file, page).map_err(|error| format!("{}: {error}", file.display()))
}

/// Runs one story with all seeds, as many at once as there are processors; a seed that fails does
/// not stop the others.
fn run_seeds(story: &Scenario, Seeds(from, to): Seeds) -> Vec<Run> {
    let next = AtomicU64::new(from);
    let said = Mutex::new(Instant::now());
    let one_after_the_other = || {
        let mut runs = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= to {
                return runs;
            }
            let mut run = run(story, seed, false);
            if run.failure.is_none() {
                // Of what held, nobody reads the last lines, and the first seed alone is drawn.
                run.trace.clear();
                if seed > from {
                    run.tale.clear();
                }
            }
            runs.push(run);
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.elapsed() >= PROGRESS_EVERY {
                *said = Instant::now();
                output::progress(story, seed + 1 - from, to - from);
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut runs: Vec<Run> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(one_after_the_other)).collect();
        let done = threads.into_iter().map(|thread| match thread.join() {
            Ok(runs) => runs,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.flatten().collect()
    });
    runs.sort_by_key(|run| run.seed);
    runs
}

fn replay(arguments: &ReplayArguments) -> ExitCode {
    let story = match read(&arguments.path) {
        Ok(story) => story,
        Err(error) => return wrong(&error.to_string()),
    };
    if arguments.peers.is_some_and(|peers| !(1..=story.peers.len()).contains(&peers)) {
        return wrong(&format!("--peers must be 1 to {}", story.peers.len()));
    }
    let reduction = Reduction {
        peers: arguments.peers,
        lasts: arguments.lasts,
        without: arguments.without.clone().map_or_else(BTreeSet::new, |numbers| numbers.0),
    };
    let story = reduction.of(&story);
    let run = run(&story, arguments.seed, !arguments.brief);
    output::history(&story, &run, arguments.brief);
    if let Some(file) = &arguments.report {
        let page = report::page(&[(&story, &run)]);
        if let Err(error) = std::fs::write(file, page) {
            return wrong(&format!("{}: {error}", file.display()));
        }
    }
    output::replayed(&story, &run, &reduction);
    if run.failure.is_none() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn test_documents(arguments: &TestArguments) -> ExitCode {
    let suite = match Suite::read(&arguments.paths) {
        Ok(suite) => suite,
        Err(message) => return wrong(&message),
    };
    let only = arguments.only.as_deref().unwrap_or_default();
    let tests: Vec<_> = suite.tests.iter().filter(|test| test.name.contains(only)).collect();
    if tests.is_empty() {
        return wrong(&format!("no test's name holds {only:?}"));
    }
    let mut verdicts: Vec<Verdict<'_>> = Vec::new();
    for test in tests {
        let mut said = Instant::now();
        let verdict = suite.play(test, arguments.seed, |done, of| {
            if said.elapsed() >= PROGRESS_EVERY {
                said = Instant::now();
                document_test::output::progress(&test.name, done, of);
            }
        });
        let told =
            arguments.json || document_test::output::result(&verdict, arguments.verbose).is_ok();
        verdicts.push(verdict);
        if !told {
            return ExitCode::from(1);
        }
    }
    let held = verdicts.iter().filter(|verdict| verdict.holds()).count();
    let failed = verdicts.len() - held;
    let told = if arguments.json {
        document_test::output::json(&verdicts)
    } else {
        document_test::output::summary(held, failed)
    };
    if failed == 0 && told.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn wrong(message: &str) -> ExitCode {
    output::error(message);
    ExitCode::from(2)
}

/// The story of a file, or all stories of a directory in the order of their names.
fn stories_in(path: &Path) -> Result<Vec<Scenario>, String> {
    if !path.is_dir() {
        return Ok(vec![read(path).map_err(|error| error.to_string())?]);
    }
    toml_files(path)?.iter().map(|file| read(file).map_err(|error| error.to_string())).collect()
}

/// Every `*.toml` of a directory in the order of their names.
pub(crate) fn toml_files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|e| format!("{}: {e}", path.display()))?.path();
        if file.extension().is_some_and(|ending| ending == "toml") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: there is no *.toml in it", path.display()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range_without_its_end() {
        assert_eq!(parse_seeds("0..1000"), Ok(Seeds(0, 1000)));
        for bad in ["5", "5..5", "9..5", "a..b", "1..=2"] {
            assert!(parse_seeds(bad).is_err(), "{bad}");
        }
    }
}
