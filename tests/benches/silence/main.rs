//! Silent hosts: how soon a neighbour acts, how often wrongly, and what the watching costs, with
//! serf's agents beside ours on the same hosts at the same time.
//!
//! ```text
//! cargo bench -p tests --bench silence                                  everything, some hours
//! cargo bench -p tests --bench silence -- --hosts 5 --runs 3 crash dark
//! cargo bench -p tests --bench silence -- --hosts 30 --minutes 30 verdicts
//! ```
//!
//! It needs root, and Debian's packages `serf`, `iproute2` and `nftables`. Real daemons, built with
//! the release profile (or the binary that `HEARTEN_BIN` names) and Debian's serf, every setting at
//! its default on both sides, in network namespaces on this machine. Both meshes suffer the same at
//! the same moment and start the same handler, which notes the time. Its parts:
//!
//! - `idle`: share of a core, memory and bytes sent of each agent while nothing happens.
//! - `crash`: `kill -9` of both agents of a host → the first handler (ours is a rung of a neighbour's,
//!   whose assignment was committed first).
//! - `dark`: the same for a host whose cable is pulled, and for one on which everything stands still,
//!   at each of the losses.
//! - `verdicts`: for some minutes each of the troubles: losses, 5 hosts that stand still for 2 s of every 2.5 s, one
//!   that stands still for 10 s of each minute, 4 programs that compute at a higher priority: the
//!   incidents about hosts that were well.
//! - `partition`: a third and then a quarter of the hosts is cut off again and again, every other time
//!   in one direction only: what it does.
//! - `rack`: a third of the hosts, a zone, loses its power at once: rungs and messages.
//!
//! Options: `--hosts 5,30`, `--runs 20` of `crash`, `dark` and `rack`, `--loss 0,5,20,30`, `--minutes 5`
//! and `--trouble loss,flapping,stop,hogs` of the `verdicts`, `--times 100`, `--seconds 5` and `--parts 3,4` of `partition`, `--out FILE` for the raw
//! numbers (JSON lines, added to; `bench/silence.jsonl` in cargo's target directory unless said), and
//! names of parts (all unless said). The table goes to standard output. When serf's own figure strays
//! by more than 25 % from what it is known to need, the run says that it is void. A mesh is formed once
//! for each number of hosts; where `verdicts`, `partition` and `rack` are asked with several, they are
//! measured with the greatest alone.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its table")]

mod field;
mod figures;
mod idle;
mod onset;
mod partition;
mod rack;
mod serf;
mod verdicts;

use anyhow::{Context, Result, bail, ensure};
use field::Field;
use figures::{Raw, head, load_average};
use onset::Way;
use std::{
    path::PathBuf,
    process::ExitCode,
    str::FromStr,
    time::{Duration, SystemTime},
};
use tests::lab::ready;
use verdicts::Trouble;

/// The parts, in the order in which they run: the quiet one first.
const NAMES: [&str; 6] = ["idle", "crash", "dark", "verdicts", "partition", "rack"];

/// The kinds of trouble of `verdicts`, in the order in which they come.
const TROUBLES: [&str; 4] = ["loss", "flapping", "stop", "hogs"];

struct Options {
    hosts: Vec<usize>,
    losses: Vec<u32>,
    runs: usize,
    minutes: f64,
    troubles: Vec<String>,
    times: usize,
    parts: Vec<usize>,
    seconds: f64,
    out: PathBuf,
    names: Vec<String>,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }

    /// What a mesh of so many has to bear.
    fn troubles(&self, hosts: usize) -> impl Iterator<Item = Trouble> {
        let losses = self.losses.iter().filter(|loss| **loss > 0).map(|l| Trouble::Loss(*l));
        let others = [Trouble::Flapping(hosts / 6), Trouble::Stop, Trouble::Hogs(4)];
        losses
            .chain(others)
            .filter(|trouble| self.troubles.iter().any(|kind| kind == trouble.kind()))
    }
}

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let mut benched = false;
    let mut options = Options {
        hosts: vec![5, 30],
        losses: vec![0, 5, 20, 30],
        runs: 20,
        minutes: 5.0,
        troubles: TROUBLES.map(str::to_owned).into(),
        times: 100,
        parts: vec![3, 4],
        seconds: 5.0,
        out: default_out()?,
        names: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--bench" => benched = true,
            "--hosts" => options.hosts = list(&value()?)?,
            "--loss" => options.losses = list(&value()?)?,
            "--runs" => options.runs = value()?.parse()?,
            "--minutes" => options.minutes = value()?.parse()?,
            "--trouble" => options.troubles = list(&value()?)?,
            "--times" => options.times = value()?.parse()?,
            "--parts" => options.parts = list(&value()?)?,
            "--seconds" => options.seconds = value()?.parse()?,
            "--out" => options.out = value()?.into(),
            name if NAMES.contains(&name) => options.names.push(name.to_owned()),
            other => bail!("{other:?} is no part: there are {}", NAMES.join(", ")),
        }
    }
    // `cargo test --all-targets` starts this too; only `cargo bench` says so.
    if !benched {
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(ready(&[("serf", "serf")]), "it needs root and the packages");
    for kind in &options.troubles {
        let known = TROUBLES.contains(&kind.as_str());
        ensure!(known, "{kind:?} is no trouble: there are {}", TROUBLES.join(", "));
    }
    ensure!(options.hosts.iter().all(|hosts| *hosts >= 3), "--hosts must be 3 at least");
    if let Some(folder) = options.out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    println!("load average {}, {} runs each\n", load_average(), options.runs);
    let raw = Raw::to(options.out.clone());
    let greatest = options.hosts.iter().max().copied();
    let mut failed = false;
    for hosts in &options.hosts {
        if let Err(error) = measure(*hosts, Some(*hosts) == greatest, &options, &raw) {
            failed = true;
            println!("{hosts} hosts: FAILED: {error:?}");
        }
    }
    println!("\nthe raw numbers are in {}", options.out.display());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All parts with a mesh of so many.
fn measure(hosts: usize, greatest: bool, options: &Options, raw: &Raw) -> Result<()> {
    let mut field = Field::form(hosts)?;
    field.calm()?;
    if options.wants("idle") {
        idle::measure(&field, raw)?;
    }
    head();
    if options.wants("crash") {
        onset::measure(&mut field, Way::Killed, 0, options.runs, raw)?;
    }
    if options.wants("dark") {
        for loss in &options.losses {
            for way in [Way::Unplugged, Way::Stopped] {
                onset::measure(&mut field, way, *loss, options.runs, raw)?;
            }
        }
    }
    if !greatest {
        return Ok(());
    }
    if options.wants("verdicts") {
        let window = Duration::from_secs_f64(options.minutes * 60.0);
        for trouble in options.troubles(hosts) {
            verdicts::measure(&mut field, trouble, window, raw)?;
        }
    }
    if options.wants("partition") {
        for parts in &options.parts {
            let lasts = Duration::from_secs_f64(options.seconds);
            partition::measure(&mut field, *parts, options.times, lasts, raw)?;
        }
    }
    if options.wants("rack") {
        rack::measure(&mut field, options.runs, raw)?;
    }
    Ok(())
}

fn list<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(text: &str) -> Result<Vec<T>> {
    text.split(',').map(|one| one.parse().with_context(|| format!("{one:?} in a list"))).collect()
}

/// `bench/silence.jsonl` in the target directory that this program was built in: it is in
/// `release/deps`.
fn default_out() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(3).context("cargo put this somewhere else")?;
    Ok(target.join("bench/silence.jsonl"))
}

/// Nanoseconds since 1970.
fn now_nanos() -> Result<u64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos().try_into()?)
}
