//! A large mesh of which much is ill: what is written and sent grows with what is wrong, not with
//! its square, and not with time.

mod common;

use common::{Mesh, at, card, id, name, sign_report, trust, without_evidence};
use protocol::{
    agent::{Agent, Input, LocalPolicy, Origin, Output, Standing},
    document::Verdict,
    ledger::Ledger,
    name::RaftId,
    record::{Entry, Position},
    report::{CheckState, Report},
    time::Now,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

const PEERS: u64 = 199;

/// The leader alone, around a log that commits at once; the workers never say anything.
struct Lone {
    agent: Agent,
    ledger: Ledger,
    index: u64,
    now: u64,
    log: Vec<Entry>,
    outputs: usize,
}

impl Lone {
    fn tell(&mut self, input: Input) {
        let mut queue = VecDeque::from([input]);
        while let Some(input) = queue.pop_front() {
            let mono = Duration::from_millis(self.now);
            for output in self.agent.handle(Now { wall: at(self.now), mono }, input) {
                self.outputs += 1;
                if let Output::Propose { proposal, entry } = output {
                    self.index += 1;
                    let position = Position { index: self.index, term: 1 };
                    let result = Ok((position, self.ledger.apply(position, &entry)));
                    self.log.push(entry.clone());
                    queue.push_back(Input::Committed { position, entry: Some(entry) });
                    queue.push_back(Input::Proposed { proposal, result });
                }
            }
        }
    }
}

#[test]
fn when_every_peer_is_ill_at_once_each_is_written_down_once() {
    let mut mesh = Mesh::of(PEERS);
    let limits = "[limits]\nat_once = 2\nshare_percent = 30\n";
    mesh.documents(&format!("{}\n{limits}", without_evidence())).expect("valid");
    let origin = Origin {
        card: card(1),
        trust: trust(),
        policy: LocalPolicy { observe_only: true, ..LocalPolicy::default() },
        ledger: mesh.ledger.clone(),
        started: BTreeSet::new(),
    };
    let mut lone = Lone {
        agent: Agent::new(origin),
        ledger: mesh.ledger,
        index: mesh.index,
        now: mesh.now,
        log: Vec::new(),
        outputs: 0,
    };
    let voters = (1..=5).map(|n| (id(n), RaftId(n))).collect();
    let standing =
        Standing { term: 1, leader: Some(id(1)), leads: true, voters, ..Standing::default() };
    lone.tell(Input::Standing(standing));
    for n in 2..=PEERS {
        lone.tell(Input::Liveness { peer: id(n), alive: true });
    }
    let quiet = lone.outputs;
    assert!(quiet < 20, "a quiet mesh of {PEERS} peers: {quiet} outputs");
    for n in 2..=PEERS {
        let state = CheckState {
            verdict: Verdict::Fail,
            since: at(lone.now),
            summary: String::new(),
            verified: None,
            flapping: false,
            muted_by: None,
        };
        let checks = (0..20).map(|m| (name(&format!("other-{m}")), state.clone()));
        let mut checks: BTreeMap<_, _> = checks.collect();
        checks.insert(name("web"), state);
        let report =
            Report { peer: id(n), generation: 1, sequence: 1, checks, facts: BTreeMap::new() };
        lone.tell(Input::Heard(sign_report(n, report)));
    }
    let count = |lone: &Lone| u64::try_from(lone.log.len()).expect("few");
    // Opened, and held back or given out; no check is opened that the documents do not know.
    assert_eq!(count(&lone), 2 * (PEERS - 1));
    for _ in 0..5 {
        lone.now += 1_000;
        lone.tell(Input::Tick);
    }
    assert_eq!(count(&lone), 2 * (PEERS - 1), "time alone writes nothing");
    let acting = lone.ledger.open_incidents().filter(|i| i.in_flight().is_some()).count();
    assert_eq!(acting, 2);
    assert!(lone.outputs < 4 * lone.log.len(), "{} outputs", lone.outputs);
}
