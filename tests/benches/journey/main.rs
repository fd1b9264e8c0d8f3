//! How long the way is from something that breaks to the first step of its repair.
//!
//! ```text
//! cargo bench -p tests --bench journey -- --runs 20
//! cargo bench -p tests --bench journey -- --runs 5 leader idle
//! ```
//!
//! Real daemons, built with the release profile (or the binary that `HEARTEN_BIN` names), a mesh of
//! five on loopback, every setting at its default. The benchmarks:
//!
//! - `check`: the second failing run of a check ended → its rung was started.
//! - `neighbour`: `kill -9` of a daemon that does not lead → a neighbour's rung was started.
//! - `neighbour-leader`: the same, where the victim leads.
//! - `leader`: `kill -9` of the leader → an operator's next change is committed.
//! - `alert`: an alert was posted → its rung was started.
//! - `prometheus`: an exporter was killed → its rung was started, told by Prometheus itself; beside
//!   it, when the web hook of an Alertmanager that waits for nothing was called.
//! - `alertmanager`: the same, told by that Alertmanager.
//! - `flood`: what 10,000 alerts a second to one peer do.
//! - `heartbeats`: what 10,000 jobs cost that check in once a minute each, for `--runs` minutes.
//! - `idle`: what a daemon costs while nothing happens.
//!
//! Options: `--runs N` (20 unless said, or `HEARTEN_BENCH_RUNS`), `--out DIR` for the raw numbers,
//! names of benchmarks (all unless said). The table goes to standard output, the raw numbers as
//! JSON lines to `bench/NAME.jsonl` in cargo's target directory, each with the load average at its
//! time: figures taken on a busy machine say so. With fewer than a hundred runs the 99th percentile
//! is the greatest value.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its table")]

mod alert;
mod check;
mod figures;
mod heartbeats;
mod idle;
mod leader;
mod neighbour;
mod prometheus;

use anyhow::{Context, Result, bail, ensure};
use figures::Figures;
use std::{path::PathBuf, process::ExitCode, time::SystemTime};
use tests::{Mesh, until};

/// The benchmarks, in the order in which they run: the quiet one first.
const NAMES: [&str; 10] = [
    "idle",
    "check",
    "neighbour",
    "neighbour-leader",
    "leader",
    "alert",
    "prometheus",
    "alertmanager",
    "flood",
    "heartbeats",
];

/// How many hosts the mesh has.
const HOSTS: usize = 5;

struct Options {
    runs: u32,
    out: PathBuf,
    names: Vec<String>,
}

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1).peekable();
    let mut benched = false;
    let mut options = Options { runs: 20, out: default_out()?, names: Vec::new() };
    if let Ok(runs) = std::env::var("HEARTEN_BENCH_RUNS") {
        options.runs = runs.parse().context("HEARTEN_BENCH_RUNS is a number")?;
    }
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => benched = true,
            "--runs" => options.runs = arguments.next().context("--runs N")?.parse()?,
            "--out" => options.out = arguments.next().context("--out DIR")?.into(),
            name if NAMES.contains(&name) => options.names.push(name.to_owned()),
            other => bail!("{other:?} is no benchmark: there are {}", NAMES.join(", ")),
        }
    }
    // `cargo test --all-targets` starts this too; only `cargo bench` says so.
    if !benched {
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(options.runs > 0, "--runs must be 1 at least");
    std::fs::create_dir_all(&options.out)?;
    println!("load average {}, {} runs each\n", figures::load_average(), options.runs);

    let mut failed = false;
    for name in NAMES {
        if !options.names.is_empty() && !options.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let figures = Figures::new(name, &options.out)?;
        if let Err(error) = run(name, options.runs, figures) {
            failed = true;
            println!("{name}: FAILED: {error:?}");
        }
    }
    println!("\nthe raw numbers are in {}", options.out.display());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn run(name: &str, runs: u32, mut figures: Figures) -> Result<()> {
    let by = match name {
        "prometheus" => Some(prometheus::By::Prometheus),
        "alertmanager" => Some(prometheus::By::Alertmanager),
        _ => None,
    };
    if let Some(by) = by {
        let done = prometheus::measure(by, runs, &mut figures);
        figures.show(runs);
        return done;
    }
    let mut mesh = Mesh::with_http(HOSTS)?;
    let done = match name {
        "idle" => return idle::measure(&mesh, &mut figures),
        "heartbeats" => return heartbeats::measure(&mut mesh, runs, &mut figures),
        "flood" => return alert::flood(&mesh, &mut figures),
        "alert" => alert::measure(&mesh, runs, &mut figures),
        "check" => check::measure(&mesh, runs, &mut figures),
        "neighbour" => neighbour::measure(&mut mesh, runs, false, &mut figures),
        "neighbour-leader" => neighbour::measure(&mut mesh, runs, true, &mut figures),
        _ => leader::measure(&mut mesh, runs, &mut figures),
    };
    // What was measured before a failure is shown too: the slow runs are among those that fail.
    figures.show(runs);
    done
}

/// `bench` in the target directory that this program was built in: it is in `release/deps`.
fn default_out() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(3).context("cargo put this somewhere else")?.join("bench"))
}

/// Waits until everyone is alive and every incident is over.
fn settled(mesh: &Mesh) -> Result<()> {
    mesh.settled()?;
    until("every incident is over on every host", || {
        (0..mesh.hosts.len())
            .all(|host| {
                mesh.incidents(host).is_ok_and(|incidents| {
                    incidents.iter().all(|incident| {
                        incident["state"] == "resolved" || incident["state"] == "closed"
                    })
                })
            })
            .then_some(())
    })
    .with_context(|| format!("{:#?}", mesh.incidents(0)))
}

/// Nanoseconds since 1970, as `date +%s%N` prints them.
fn now_nanos() -> Result<u64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos().try_into()?)
}
