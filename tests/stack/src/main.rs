//! `hearten-stack`: runs of whole daemons, each from a seed, as JSON lines or words.

use anyhow::{Result, bail};
use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use stack::{
    run::{Outcome, Plan, run},
    socket::Weather,
};
use std::{io::Write, process::ExitCode, sync::Mutex, time::Duration};

/// Plays meshes of whole daemons through trouble, each run from its seed.
#[derive(Debug, Parser)]
#[command(name = "hearten-stack", version)]
struct Arguments {
    /// The seed; everything follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many hosts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    hosts: u16,
    /// For how many seconds there is trouble.
    #[arg(long, default_value_t = 60)]
    trouble: u64,
    /// No trouble: the time passes quietly.
    #[arg(long)]
    quiet: bool,
    /// How many seconds of peace follow.
    #[arg(long, default_value_t = 120)]
    calm: u64,
    /// How much of a hundred datagrams is lost, all the time.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=90))]
    loss: u32,
    /// Prints the whole history.
    #[arg(long)]
    history: bool,
    /// Prints what the daemons say to their log.
    #[arg(long)]
    verbose: bool,
}

/// What panicked first: a part of a daemon that ends so would end unseen.
static PANICKED: Mutex<Option<String>> = Mutex::new(None);

/// The real time, whatever the simulation's is.
fn real() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or_default())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.verbose {
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    }
    std::panic::set_hook(Box::new(|info| {
        if let Ok(mut first) = PANICKED.lock() {
            first.get_or_insert_with(|| info.to_string());
        }
    }));
    match play(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hearten-stack: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn play(arguments: &Arguments) -> Result<bool> {
    let plan = Plan {
        hosts: usize::from(arguments.hosts),
        seed: arguments.seed,
        trouble: Duration::from_secs(arguments.trouble),
        is_troubled: !arguments.quiet,
        calm: Duration::from_secs(arguments.calm),
        weather: Weather { lost: arguments.loss * 10, doubled: 0 },
        keeps_history: arguments.history,
    };
    let began = real();
    let played = run(&plan);
    let took = real().saturating_sub(began);
    if let Some(what) = PANICKED.lock().ok().and_then(|mut first| first.take()) {
        bail!("a panic: {what}");
    }
    let Outcome {
        digest,
        steps,
        simulated,
        committed,
        elections,
        incidents,
        troubles,
        violation,
        history,
    } = played?;
    let mut out = std::io::stdout().lock();
    for line in history {
        writeln!(out, "{line}")?;
    }
    let held = violation.is_none();
    let broken =
        violation.map(|broken| json!({ "invariant": broken.invariant, "what": broken.what }));
    let line = json!({
        "seed": plan.seed,
        "hosts": plan.hosts,
        "digest": digest,
        "steps": steps,
        "simulated_ms": u64::try_from(simulated.as_millis())?,
        "real_ms": u64::try_from(took.as_millis())?,
        "committed": committed,
        "elections": elections,
        "incidents": incidents,
        "troubles": troubles,
        "broken": broken,
    });
    writeln!(out, "{line}")?;
    Ok(held)
}
