//! What a large mesh costs: 10,000 documents, 100,000 closed incidents, 1,000 peers of 20 checks.
//!
//! ```text
//! cargo bench -p protocol --bench ledger
//! ```
//!
//! The benchmarks, in this order, each with what is aimed at:
//!
//! - `documents`: one bundle of 10,000 documents is read and applied.
//! - `records`: records are applied in memory while the ledger grows to 100,000 closed incidents,
//!   and when it holds them and forgets the oldest (20,000 a second).
//! - `start`: the snapshot becomes a ledger and the ledger an agent (2 s).
//! - `tick`: the leader looks at 1,000 peers of 20 checks each, all well, and with fifty incidents
//!   open (10 ms).
//!
//! The table goes to standard output, the raw numbers as JSON lines to `bench/ledger.jsonl` in
//! cargo's target directory, each with the load average at its time. `cargo test` builds it and
//! runs nothing.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its table")]
#![expect(
    clippy::disallowed_types,
    reason = "a benchmark reads the clock; what it measures does not"
)]

mod figures;
mod large;

use figures::Figures;
use large::Large;
use protocol::{
    agent::{Agent, Input, LocalPolicy, Origin, Standing},
    codec,
    ledger::Ledger,
    name::RaftId,
    time::Now,
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// How many closed incidents the ledger holds.
const INCIDENTS: u64 = 100_000;

/// Of how many incidents the lives are timed when the ledger is full.
const MORE_INCIDENTS: u64 = 10_000;

fn main() -> std::io::Result<()> {
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut figures = Figures::new("ledger")?;
    let mut large = Large::founded();

    let bundle = large.bundle();
    let began = Instant::now();
    large.apply_documents(bundle);
    figures.keep("documents", &[began.elapsed()], "10,000 documents applied")?;

    let growing = lives(&mut large, INCIDENTS);
    figures.rate("records", &growing, large::RECORDS_PER_LIFE, "while it grows to 100,000")?;
    let full = lives(&mut large, MORE_INCIDENTS);
    figures.rate("records", &full, large::RECORDS_PER_LIFE, "at 100,000 closed incidents")?;

    let snapshot = codec::encode(&large.ledger);
    let mut decoding = Vec::new();
    let mut starting = Vec::new();
    for _ in 0..7 {
        let began = Instant::now();
        let ledger: Ledger = codec::decode(&snapshot).expect("it was encoded");
        decoding.push(began.elapsed());
        let began = Instant::now();
        let agent = Agent::new(origin(&large, ledger));
        starting.push(began.elapsed());
        drop(agent);
    }
    let what = format!("a snapshot of {} MiB becomes a ledger", snapshot.len() >> 20);
    figures.keep("start", &decoding, &what)?;
    figures.keep("start", &starting, "the ledger becomes an agent")?;

    let mut agent = leader(&large);
    figures.keep("tick", &ticks(&mut agent, 0), "1,000 peers of 20 checks, all well")?;
    for life in 0..large::OPEN {
        large.open(life);
    }
    let mut agent = leader(&large);
    figures.keep("tick", &ticks(&mut agent, 0), "the same with 50 incidents open")
}

/// How long the records of each incident's life take to be applied.
fn lives(large: &mut Large, incidents: u64) -> Vec<Duration> {
    (0..incidents)
        .map(|_| {
            let life = large.life();
            let began = Instant::now();
            for (position, entry) in &life {
                large.ledger.apply(*position, entry).expect("it is taken");
            }
            began.elapsed()
        })
        .collect()
}

fn origin(large: &Large, ledger: Ledger) -> Origin {
    Origin {
        card: large.card(0),
        trust: large.trust(),
        policy: LocalPolicy::default(),
        ledger,
        started: BTreeSet::new(),
    }
}

/// The leader, who has heard of everybody.
fn leader(large: &Large) -> Agent {
    let mut agent = Agent::new(origin(large, large.ledger.clone()));
    let now = now(large, 0);
    let voters = (0..5).map(|peer| (large.card(peer).id, RaftId(peer + 1))).collect();
    let standing = Standing {
        term: large::TERM,
        leader: Some(large.card(0).id),
        leads: true,
        voters,
        ..Standing::default()
    };
    agent.handle(now, Input::Standing(standing));
    for peer in 1..large::PEERS {
        agent.handle(now, Input::Liveness { peer: large.card(peer).id, alive: true });
        agent.handle(now, Input::Heard(large.report(peer)));
    }
    agent
}

fn now(large: &Large, millis: u64) -> Now {
    let mono = Duration::from_millis(60_000 + millis);
    Now { wall: large.now().plus(mono), mono }
}

/// How long each look takes, one a second.
fn ticks(agent: &mut Agent, from: u64) -> Vec<Duration> {
    let wall = agent.ledger().last_at();
    (1..=300)
        .map(|second| {
            let mono = Duration::from_secs(60 + from + second);
            let began = Instant::now();
            agent.handle(Now { wall: wall.plus(mono), mono }, Input::Tick);
            began.elapsed()
        })
        .collect()
}
