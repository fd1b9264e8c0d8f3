//! What `hearten status` shows of a large mesh: 10,000 documents, 100,000 closed incidents, 1,000
//! peers of 20 checks, fifty open incidents. Aimed at: 100 ms.
//!
//! ```text
//! cargo bench -p node --bench status
//! ```
//!
//! The mesh and the figures are those of `protocol/benches/ledger`. `cargo test` builds it and runs
//! nothing.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its table")]
#![allow(dead_code, reason = "the other benchmark uses the rest")]

#[path = "../../protocol/benches/ledger/figures.rs"]
mod figures;
#[path = "../../protocol/benches/ledger/large.rs"]
mod large;

use figures::Figures;
use large::Large;
use node::control::views::StatusView;
use protocol::{
    agent::{Agent, Input, LocalPolicy, Origin},
    time::Now,
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

fn main() -> std::io::Result<()> {
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut large = Large::founded();
    let bundle = large.bundle();
    large.apply_documents(bundle);
    for _ in 0..100_000 {
        for (position, entry) in large.life() {
            large.ledger.apply(position, &entry).expect("it is taken");
        }
    }
    for peer in 0..large::OPEN {
        large.open(peer);
    }
    let mut agent = Agent::new(Origin {
        card: large.card(0),
        trust: large.trust(),
        policy: LocalPolicy::default(),
        ledger: large.ledger.clone(),
        started: BTreeSet::new(),
    });
    let now = Now { wall: large.now(), mono: Duration::from_secs(60) };
    for peer in 1..large::PEERS {
        agent.handle(now, Input::Liveness { peer: large.card(peer).id, alive: true });
        agent.handle(now, Input::Heard(large.report(peer)));
    }
    let mut spans = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        let status = StatusView::of(&agent, large.now());
        let bytes = serde_json::to_vec(&status).expect("a view is JSON");
        spans.push(began.elapsed());
        assert!(bytes.len() > 100_000 && status.incidents.open == 50, "it is the large mesh");
    }
    Figures::new("status")?.keep("status", &spans, "of a large mesh, as JSON")
}
