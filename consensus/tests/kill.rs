//! A process that is killed while it writes: whatever it had acknowledged is there afterwards.
//!
//! The test starts itself again as the process that is to be killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Group, peer, record, text, until};
use consensus::{Consensus, FeedItem, Opening, Options, Wire, WireError};
use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

const DIR: &str = "HEARTEN_KILL_TEST_DIR";
const ROUNDS: u64 = 8;

struct NoWire;

#[async_trait::async_trait]
impl Wire for NoWire {
    async fn call(
        &self,
        _to: protocol::name::PeerId,
        _request: Vec<u8>,
        _timeout: Duration,
    ) -> Result<Vec<u8>, WireError> {
        Err(WireError::Unreachable("there is nobody else".to_owned()))
    }
}

async fn open(dir: &Path) -> (Consensus, Opening) {
    let options = Options { snapshot_every: 60, keep: 20, lag_max: 60, ..Options::default() };
    Consensus::open(dir, peer(1), options, Arc::new(NoWire)).await.unwrap()
}

/// Not a test by itself: it writes until it is killed, and says what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn writes_until_it_is_killed() {
    let Some(dir) = env::var_os(DIR) else { return };
    let (consensus, opening) = open(Path::new(&dir)).await;
    match opening {
        Opening::Fresh => consensus.found().await.unwrap(),
        Opening::Resumed => {}
        Opening::Quarantined { why, .. } => panic!("{why}"),
    }
    until("it leads", || consensus.standing().borrow().i_lead).await;
    let mut out = std::io::stdout();
    for number in 0_u64.. {
        let written =
            format!("{number} {}", "x".repeat(usize::try_from(number % 50).unwrap() * 300));
        let (position, _) = consensus.propose(record(&written)).await.unwrap();
        writeln!(out, "\nacknowledged {} {} {number}", position.index, position.term).unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let group = Group::new(Options::default());
    let dir = group.dir.path().join("raft");
    let mut raft_id = None;
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["writes_until_it_is_killed", "--exact", "--nocapture", "--test-threads=1"])
            .env(DIR, &dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut seen = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let mut words = line.split(' ');
            if words.next() != Some("acknowledged") {
                continue;
            }
            let numbers: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
            acknowledged.push((numbers[0], numbers[1], numbers[2]));
            seen += 1;
            if seen > 30 + 17 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen > 30, "round {round}: the process ended by itself after {seen}");

        let (consensus, opening) = open(&dir).await;
        assert_eq!(opening, Opening::Resumed, "round {round}");
        assert_eq!(*raft_id.get_or_insert(consensus.raft_id()), consensus.raft_id());
        let last = acknowledged.last().copied().unwrap();
        until("it has applied again", || consensus.ledger().position().index >= last.0).await;
        let mut feed = consensus.feed(0);
        let mut reached = 0;
        while reached < last.0 {
            match feed.next().await.unwrap() {
                FeedItem::Snapshot { position, .. } => reached = position.index,
                FeedItem::Committed { position, entry } => {
                    reached = position.index;
                    let known = acknowledged.iter().find(|known| known.0 == reached);
                    if let Some((_, term, number)) = known {
                        assert_eq!(*term, position.term);
                        let text = entry.as_ref().and_then(text).unwrap();
                        assert!(text.starts_with(&format!("{number} ")), "{reached}: {text}");
                    }
                }
            }
        }
        consensus.shutdown().await;
    }
}
