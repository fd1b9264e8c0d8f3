//! `hearten`: the daemon and its commands in one binary.

use std::{path::PathBuf, process::ExitCode};
use tracing::Level;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

fn main() -> ExitCode {
    node::cli::main_with(run, |options| node::demo::run(options.peers.into(), options.keep))
}

/// Runs the daemon of a data directory, with its messages on standard error.
fn run(data: PathBuf) -> anyhow::Result<()> {
    let (filter, wrong) = filter();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    if let Some(wrong) = wrong {
        tracing::warn!("{wrong}");
    }
    // One thread does all that waits for the network: a second one would be woken with every other
    // packet, and costs an idle host more than it saves. What computes or blocks for long goes to
    // threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    node::exec::guardian::post();
    runtime.block_on(node::daemon::run(&data))
}

/// What is logged: the targets and levels of `RUST_LOG`, or all that an operator should know of;
/// and what is wrong with what was asked for, which is no reason to leave a host to itself.
fn filter() -> (Targets, Option<String>) {
    let usual = || {
        let usual = Targets::new().with_default(Level::INFO).with_target("openraft", Level::ERROR);
        // That a peer cannot be reached for a while is no error of this one: `status` tells of it.
        let usual = usual.with_target("openraft::replication", LevelFilter::OFF);
        // What keeps a topic from being read is said once, by whoever reads it.
        usual.with_target("rskafka", Level::ERROR)
    };
    let Some(wanted) = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.is_empty()) else {
        return (usual(), None);
    };
    wanted.parse().map_or_else(
        |error| {
            let expected = "targets and levels were expected, as in info,node=debug";
            (usual(), Some(format!("RUST_LOG is {wanted:?}: {error}; {expected}")))
        },
        |targets| (targets, None),
    )
}
