//! `hearten`: the daemon and its commands in one binary.

use std::{path::PathBuf, process::ExitCode};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

fn main() -> ExitCode {
    node::cli::main_with(run, |options| node::demo::run(options.peers.into(), options.keep))
}

/// Runs the daemon of a data directory, with its messages on standard error.
fn run(data: PathBuf) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,openraft=error"));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    // Two threads are enough for what a daemon does, and keep its memory small on large hosts.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    node::exec::guardian::post();
    runtime.block_on(node::daemon::run(&data))
}
