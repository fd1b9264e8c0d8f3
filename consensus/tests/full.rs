//! A full disk: refused with a clear error, nothing lost, and well again when there is room.
//!
//! Needs a small file system of its own, so it runs only when it is told where one is:
//! `mount -t tmpfs -o size=12m tmpfs /mnt/small; HEARTEN_SMALL_DISK=/mnt/small cargo test full`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{BOUND, peer, record, until};
use consensus::{Consensus, OpenError, Opening, Options, ProposeError, Wire, WireError};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

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

async fn open(dir: &Path) -> Result<(Consensus, Opening), OpenError> {
    Consensus::open(dir, peer(1), Options::default(), Arc::new(NoWire)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_refused_and_nothing_is_lost() {
    let Some(small) = env::var_os("HEARTEN_SMALL_DISK").map(PathBuf::from) else { return };
    let dir = small.join("raft");
    let ballast = small.join("ballast");
    fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    let (consensus, _) = open(&dir).await.unwrap();
    consensus.found().await.unwrap();
    until("it leads", || consensus.standing().borrow().i_lead).await;
    let mut last = None;
    let since = Instant::now();
    let refused = loop {
        match consensus.propose(record(&"x".repeat(20_000))).await {
            Ok((position, _)) => last = Some(position),
            Err(error) => break error,
        }
        assert!(since.elapsed() < BOUND, "the disk never filled");
    };
    assert!(matches!(refused, ProposeError::Fatal(_)), "{refused:?}");
    until("it says so", || consensus.standing().borrow().fatal.is_some()).await;
    consensus.shutdown().await;
    drop(consensus);
    fs::write(small.join("rest"), vec![1; 12 << 20]).unwrap_err();
    let refused = open(&dir).await.err().unwrap();
    let full = io::ErrorKind::StorageFull;
    assert!(matches!(refused, OpenError::Refused { kind, .. } if kind == full), "{refused}");

    fs::remove_file(small.join("rest")).unwrap();
    fs::remove_file(ballast).unwrap();
    let (consensus, opening) = open(&dir).await.unwrap();
    assert_eq!(opening, Opening::Resumed);
    until("it has applied again", || Some(consensus.ledger().position()) >= last).await;
    until("it leads", || consensus.standing().borrow().i_lead).await;
    assert!(consensus.propose(record("there is room")).await.is_ok());
    consensus.shutdown().await;
}
