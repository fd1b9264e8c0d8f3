//! Real endpoints on loopback, with real certificates.
//!
//! Nothing here sleeps for luck: [`until`] waits for a condition, with a bound.

mod hostile;
mod joining;
mod membership;
mod probing;
mod restart;
mod talk;

use super::{Book, FrameSink, Handler, JoinBinding, Net, NetConfig, StreamKind, lock};
use crate::identity::{CurrentIdentity, Identity, Issuer};
use async_trait::async_trait;
use protocol::name::{Name, PeerId};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

const LOOPBACK: &str = "127.0.0.1:0";
const SOON: Duration = Duration::from_secs(5);

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn issuer(mesh: &str) -> Issuer {
    Issuer::create(&Name::parse(mesh).unwrap(), now()).unwrap()
}

fn id(number: u64) -> PeerId {
    PeerId::from_random(number)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(15), "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A daemon that remembers what it was told.
#[derive(Default)]
struct Recorder {
    gossip: Mutex<Vec<(PeerId, Vec<u8>)>>,
    joins: Mutex<Vec<(Vec<u8>, JoinBinding)>>,
    requests: AtomicUsize,
    followed: AtomicUsize,
    unwilling: AtomicBool,
}

impl Recorder {
    /// Whether anything at all has reached it.
    fn heard_nothing(&self) -> bool {
        lock(&self.gossip).is_empty()
            && lock(&self.joins).is_empty()
            && self.requests.load(Ordering::SeqCst) == 0
    }
}

/// Counts a follower for as long as it is served, however that ends.
struct Following<'a>(&'a AtomicUsize);

impl<'a> Following<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn answer(
        &self,
        from: PeerId,
        kind: StreamKind,
        request: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        match request.as_slice() {
            b"fail" => Err("because".to_owned()),
            b"hang" => std::future::pending().await,
            _ => Ok([format!("{from} {kind} ").as_bytes(), &request].concat()),
        }
    }

    async fn gossip(&self, from: PeerId, message: Vec<u8>) {
        lock(&self.gossip).push((from, message));
    }

    async fn follow(&self, _from: PeerId, request: Vec<u8>, mut sink: FrameSink) {
        let _following = Following::begin(&self.followed);
        let closed = sink.closed();
        for number in 0..3_u8 {
            sink.send(&[request.as_slice(), &[number]].concat()).await.unwrap();
        }
        if request == b"endless" {
            closed.await;
        }
    }

    async fn join(&self, request: Vec<u8>, binding: JoinBinding, _remote: SocketAddr) -> Vec<u8> {
        lock(&self.joins).push((request, binding));
        b"welcome".to_vec()
    }

    fn probe_answer(&self, _from: PeerId) -> bool {
        !self.unwilling.load(Ordering::SeqCst)
    }
}

struct Peer {
    id: PeerId,
    net: Net,
    book: Arc<Book>,
    recorder: Arc<Recorder>,
    identity: Arc<CurrentIdentity>,
}

impl Peer {
    fn start(issuer: &Issuer, number: u64) -> Self {
        let identity = Identity::create(issuer, id(number), now()).unwrap();
        Self::start_as(identity, LOOPBACK.parse().unwrap()).unwrap()
    }

    fn start_as(identity: Identity, listen: SocketAddr) -> Result<Self, super::NetError> {
        let identity = Arc::new(CurrentIdentity::new(identity));
        let book = Arc::new(Book::default());
        let recorder = Arc::new(Recorder::default());
        let net = Net::start(NetConfig {
            identity: Arc::clone(&identity),
            listen,
            book: Arc::clone(&book),
            handler: recorder.clone(),
        })?;
        Ok(Self { id: identity.get().peer(), net, book, recorder, identity })
    }

    fn address(&self) -> SocketAddr {
        self.net.local_addr().unwrap()
    }

    fn counted(&self, name: &str) -> u64 {
        self.net.counters()[name]
    }

    async fn ask(&self, peer: PeerId, text: &str) -> Result<Vec<u8>, super::NetError> {
        self.net.request(peer, StreamKind::Raft, text.as_bytes(), SOON).await
    }
}

/// Writes everybody into everybody's book.
fn introduce(peers: &[&Peer]) {
    let all: BTreeMap<_, _> = peers.iter().map(|peer| (peer.id, peer.address())).collect();
    for peer in peers {
        peer.book.set(all.clone());
    }
}

fn two() -> (Peer, Peer) {
    let issuer = issuer("blue");
    let (a, b) = (Peer::start(&issuer, 1), Peer::start(&issuer, 2));
    introduce(&[&a, &b]);
    (a, b)
}
