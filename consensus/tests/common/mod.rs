//! A group in one process: peers whose calls travel through memory, over lines that can be cut.

#![allow(dead_code, reason = "each test binary uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use async_trait::async_trait;
use consensus::{Consensus, MemberChange, Opening, Options, ProposeError, Wire, WireError};
use protocol::{
    name::{IncidentId, PeerId, RaftId},
    record::{Entry, Position, Record},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Nothing in these tests takes longer, unless it never comes.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

pub(crate) fn peer(number: u64) -> PeerId {
    PeerId::from_random(number)
}

pub(crate) fn record(text: &str) -> Entry {
    let record = Record::Escalated { incident: IncidentId(1), reason: text.to_owned() };
    Entry { at: Timestamp::from_millis(1), by: peer(1), term: 0, record }
}

pub(crate) fn text(entry: &Entry) -> Option<String> {
    if let Record::Escalated { reason, .. } = &entry.record { Some(reason.clone()) } else { None }
}

#[derive(Default)]
pub(crate) struct Net {
    peers: Mutex<BTreeMap<PeerId, Consensus>>,
    cut: Mutex<BTreeSet<PeerId>>,
    silent: Mutex<BTreeSet<PeerId>>,
    deaf: Mutex<BTreeSet<PeerId>>,
    /// How many calls of each peer went astray.
    astray: Mutex<BTreeMap<PeerId, usize>>,
    delay: Mutex<Duration>,
    /// The calls that arrived, while they are kept.
    kept: Mutex<Option<Vec<Kept>>>,
}

/// A call as it was on the wire.
pub(crate) struct Kept {
    pub(crate) from: PeerId,
    pub(crate) to: PeerId,
    pub(crate) request: Vec<u8>,
}

impl Net {
    /// No call reaches this peer any more, and none of its own arrives.
    pub(crate) fn cut(&self, peer: PeerId) {
        self.cut.lock().unwrap().insert(peer);
    }

    pub(crate) fn mend(&self, peer: PeerId) {
        self.cut.lock().unwrap().remove(&peer);
    }

    /// This peer's own calls do not arrive any more; it answers those of others.
    pub(crate) fn silence(&self, peer: PeerId) {
        self.silent.lock().unwrap().insert(peer);
    }

    /// Nothing reaches this peer any more, neither calls nor answers; its own calls arrive.
    pub(crate) fn deafen(&self, peer: PeerId) {
        self.deaf.lock().unwrap().insert(peer);
    }

    /// How many calls of this peer went astray so far.
    pub(crate) fn astray(&self, peer: PeerId) -> usize {
        self.astray.lock().unwrap().get(&peer).copied().unwrap_or(0)
    }

    /// From now on every call is kept.
    pub(crate) fn keep(&self) {
        *self.kept.lock().unwrap() = Some(Vec::new());
    }

    pub(crate) fn kept(&self) -> usize {
        self.kept.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    pub(crate) fn take(&self) -> Vec<Kept> {
        self.kept.lock().unwrap().take().unwrap_or_default()
    }

    /// Every call takes so long there, and its answer as long back.
    pub(crate) fn delay(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    /// The way of a call.
    fn way(&self, from: PeerId, to: PeerId) -> Result<Consensus, WireError> {
        let found = self.peers.lock().unwrap().get(&to).cloned();
        let passes = self.passes(from, to) && !self.silent.lock().unwrap().contains(&from);
        found.filter(|_| passes).ok_or_else(|| {
            *self.astray.lock().unwrap().entry(from).or_default() += 1;
            WireError::Unreachable(format!("{from} to {to}"))
        })
    }

    fn passes(&self, from: PeerId, to: PeerId) -> bool {
        let cut = self.cut.lock().unwrap();
        !cut.contains(&from) && !cut.contains(&to) && !self.deaf.lock().unwrap().contains(&to)
    }
}

struct Line {
    me: PeerId,
    net: Weak<Net>,
}

#[async_trait]
impl Wire for Line {
    async fn call(
        &self,
        to: PeerId,
        request: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, WireError> {
        let net = self.net.upgrade().ok_or_else(|| WireError::Unreachable("ended".to_owned()))?;
        let delay = *net.delay.lock().unwrap();
        let call = async {
            tokio::time::sleep(delay).await;
            if let Some(kept) = net.kept.lock().unwrap().as_mut() {
                kept.push(Kept { from: self.me, to, request: request.clone() });
            }
            let served = net.way(self.me, to)?.serve(self.me, &request).await;
            tokio::time::sleep(delay).await;
            if net.passes(to, self.me) {
                served.map_err(|error| WireError::Refused(error.to_string()))
            } else {
                std::future::pending().await
            }
        };
        tokio::time::timeout(timeout, call).await.unwrap_or(Err(WireError::TimedOut(timeout)))
    }
}

pub(crate) struct Group {
    pub(crate) dir: TempDir,
    pub(crate) net: Arc<Net>,
    pub(crate) options: Options,
}

impl Group {
    pub(crate) fn new(options: Options) -> Self {
        Self { dir: TempDir::new().unwrap(), net: Arc::default(), options }
    }

    pub(crate) async fn open(&self, number: u64) -> (Consensus, Opening) {
        let me = peer(number);
        let dir = self.dir.path().join(format!("peer-{number}"));
        let wire = Line { me, net: Arc::downgrade(&self.net) };
        let opened = Consensus::open(&dir, me, self.options.clone(), Arc::new(wire)).await;
        let (consensus, opening) = opened.unwrap();
        self.net.peers.lock().unwrap().insert(me, consensus.clone());
        (consensus, opening)
    }

    /// Ends a peer's part; what it holds stays on disk.
    pub(crate) async fn close(&self, consensus: Consensus, number: u64) {
        self.net.peers.lock().unwrap().remove(&peer(number));
        consensus.shutdown().await;
    }

    /// A group of peers 1 to `voters`, led by peer 1.
    pub(crate) async fn founded(&self, voters: u64) -> Vec<Consensus> {
        let (first, opening) = self.open(1).await;
        assert_eq!(opening, Opening::Fresh);
        first.found().await.unwrap();
        until("peer 1 leads", || first.standing().borrow().i_lead).await;
        let mut group = vec![first];
        for number in 2..=voters {
            let (next, _) = self.open(number).await;
            join(&group[0], number, next.raft_id()).await;
            group.push(next);
        }
        group
    }
}

/// Makes a peer a learner and then a voter.
pub(crate) async fn join(leader: &Consensus, number: u64, raft_id: RaftId) {
    let peer = peer(number);
    leader.change(MemberChange::AddLearner { peer, raft_id }).await.unwrap();
    let caught_up = || {
        let standing = leader.standing();
        let standing = standing.borrow();
        standing.lags.get(&raft_id).is_some_and(|lag| lag.answered && lag.entries < 10)
    };
    until("the learner has caught up", caught_up).await;
    leader.change(MemberChange::Promote { peer, raft_id }).await.unwrap();
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Proposes at whoever leads, until one of them takes it.
pub(crate) async fn propose_somewhere(group: &[Consensus], entry: Entry) -> Position {
    let since = Instant::now();
    loop {
        for member in group {
            match member.propose(entry.clone()).await {
                Ok((position, _)) => return position,
                Err(
                    ProposeError::NotLeader { .. }
                    | ProposeError::NoQuorum
                    | ProposeError::Unknown { .. },
                ) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(since.elapsed() < BOUND, "nobody took the entry within {BOUND:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
