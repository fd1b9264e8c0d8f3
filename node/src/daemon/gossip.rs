//! Gossip: chitchat over QUIC streams.
//!
//! The only module that knows chitchat. It carries this peer's signed report to everybody and says
//! whom it hears of; what that means is for the agent to judge. chitchat authenticates nothing, so
//! a message is taken only from a member of the roster, over its own connection, and what it says
//! of peers that are no members is not passed on. Its task is supervised: when it ends, however it
//! ends, it is begun again as a new generation.

use super::Daemon;
use crate::net::StreamKind;
use async_trait::async_trait;
use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, ChitchatMessage, Deserializable,
    FailureDetectorConfig, Serializable, spawn_chitchat,
    transport::{Socket, Transport},
};
use data_encoding::BASE64;
use protocol::{agent::Input, name::PeerId, report::SignedReport};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// One round of gossip. It need not be fast: silences are first seen by those who watch a peer, and
/// the leader is told reports directly. It reaches whoever these do not.
const INTERVAL: Duration = Duration::from_secs(2);

/// A round that comes later than this after the one before it was late by two rounds.
const LATE: Duration = Duration::from_secs(6);

/// From which phi on a peer is suspected. At 30 % loss 8 gave no false suspicion in half an hour,
/// 6 a few, 4 hundreds.
const PHI_THRESHOLD: f64 = 8.0;

/// Samples that the failure detector keeps per peer: its default of 1,000 costs 8 KB for each.
const SAMPLES: usize = 64;

/// How long a dead generation is remembered.
const FORGET_AFTER: Duration = Duration::from_secs(20 * 60);

/// How long a peer that should run may be unknown to gossip before it counts as not heard: a young
/// peer needs a few rounds to be known.
const UNKNOWN_FOR: Duration = Duration::from_secs(20);

/// Messages that wait for chitchat; what comes faster is dropped, as a network would.
const WAITING_MAX: usize = 256;

/// The key under which a peer's report is gossiped.
const REPORT: &str = "report";

/// Where messages go that peers have sent.
type Incoming = mpsc::Sender<(PeerId, Vec<u8>)>;

/// This peer's part in the gossip.
#[derive(Default)]
pub(crate) struct Gossip {
    incoming: Mutex<Option<Incoming>>,
    chitchat: Mutex<Option<Arc<tokio::sync::Mutex<Chitchat>>>>,
    report: Mutex<Option<String>>,
    /// Messages that were dropped because too many waited.
    pub(crate) dropped: AtomicU64,
    /// Messages that were no gossip.
    pub(crate) malformed: AtomicU64,
    /// How often the task ended and was begun again.
    pub(crate) restarts: AtomicU64,
}

impl Gossip {
    /// Takes a message from a peer.
    pub(crate) fn receive(&self, from: PeerId, message: Vec<u8>) {
        let incoming = lock(&self.incoming).clone();
        if incoming.is_none_or(|incoming| incoming.try_send((from, message)).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a message or a report that was none.
    fn malformed(&self, from: PeerId) {
        let total = self.malformed.fetch_add(1, Ordering::Relaxed) + 1;
        // The first, the second, the fourth, …: whoever sends many does not fill the log.
        if total.is_power_of_two() {
            tracing::warn!(reason = "gossip_malformed", %from, total, "malformed gossip was dropped");
        }
    }

    /// Lets everybody know this peer's report.
    pub(crate) async fn publish(&self, report: &SignedReport) {
        let text = BASE64.encode(&report.encode());
        *lock(&self.report) = Some(text.clone());
        let chitchat = lock(&self.chitchat).clone();
        if let Some(chitchat) = chitchat {
            chitchat.lock().await.self_node_state().set(REPORT, text);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gossips until the daemon stops.
pub(super) async fn run(daemon: Arc<Daemon>) {
    let mut restarts = 0;
    let mut heard = Heard::default();
    while !daemon.stop.is_cancelled() {
        let began = Instant::now();
        match begin(&daemon, restarts).await {
            Ok(handle) => watch(&daemon, handle, &mut heard).await,
            Err(error) => tracing::error!(%error, "gossip could not be begun"),
        }
        if daemon.stop.is_cancelled() {
            return;
        }
        restarts += 1;
        daemon.gossip.restarts.fetch_add(1, Ordering::Relaxed);
        tracing::error!(restarts, "the gossip task ended; it is begun again");
        if began.elapsed() < INTERVAL {
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

async fn begin(daemon: &Arc<Daemon>, restarts: u64) -> anyhow::Result<ChitchatHandle> {
    let (card, cluster) = {
        let agent = daemon.agent();
        let card = agent.card().clone();
        (card, format!("{}/{}", daemon.identity.get().fingerprint(), agent.card().cell))
    };
    let config = ChitchatConfig {
        // A new start of the daemon outranks every restart of the task.
        chitchat_id: ChitchatId::new(
            card.id.to_string(),
            card.generation << 16 | restarts.min(0xffff),
            card.address,
        ),
        cluster_id: cluster,
        gossip_interval: INTERVAL,
        listen_addr: card.address,
        seed_nodes: seeds(daemon),
        failure_detector_config: FailureDetectorConfig::new(
            PHI_THRESHOLD,
            SAMPLES,
            Duration::from_secs(10),
            INTERVAL,
            FORGET_AFTER,
        ),
        marked_for_deletion_grace_period: FORGET_AFTER,
        catchup_callback: None,
        extra_liveness_predicate: None,
    };
    let report = lock(&daemon.gossip.report).clone();
    let values = report.map(|report| (REPORT.to_owned(), report)).into_iter().collect();
    let transport = Streams(Arc::downgrade(daemon));
    let handle = spawn_chitchat(config, values, &transport).await?;
    *lock(&daemon.gossip.chitchat) = Some(handle.chitchat());
    Ok(handle)
}

fn seeds(daemon: &Daemon) -> Vec<String> {
    let entries = daemon.book.entries();
    entries
        .iter()
        .filter(|(peer, _)| **peer != daemon.me)
        .map(|(_, address)| address.to_string())
        .collect()
}

/// What was last said to the agent.
#[derive(Default)]
struct Heard {
    alive: BTreeMap<PeerId, bool>,
    reports: BTreeMap<PeerId, String>,
    since: Option<Instant>,
}

/// Tells the agent what gossip hears, until the task ends.
async fn watch(daemon: &Arc<Daemon>, handle: ChitchatHandle, heard: &mut Heard) {
    let chitchat = handle.chitchat();
    let mut live = chitchat.lock().await.live_nodes_watcher();
    let ended = handle.termination_watcher();
    tokio::pin!(ended);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = daemon.stop.cancelled() => {
                handle.abort();
                return;
            }
            ended = &mut ended => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the gossip task failed");
                }
                return;
            }
            changed = live.changed() => if changed.is_err() { return; },
            _ = tick.tick() => meet_newcomers(daemon, &handle, heard),
        }
        let inputs = {
            let chitchat = chitchat.lock().await;
            news(daemon, &chitchat, heard)
        };
        for input in inputs {
            daemon.tell(input).await;
        }
    }
}

/// Greets members that gossip does not know: the list of seeds is as old as the daemon's start.
fn meet_newcomers(daemon: &Daemon, handle: &ChitchatHandle, heard: &Heard) {
    let entries = daemon.book.entries();
    let unknown = entries.iter().filter(|(peer, _)| !heard.alive.contains_key(peer));
    for (_, address) in unknown.filter(|(peer, _)| **peer != daemon.me) {
        if handle.gossip(*address).is_err() {
            return;
        }
    }
}

fn news(daemon: &Daemon, chitchat: &Chitchat, heard: &mut Heard) -> Vec<Input> {
    let mut inputs = Vec::new();
    let since = *heard.since.get_or_insert_with(Instant::now);
    let live: BTreeSet<&ChitchatId> = chitchat.live_nodes().collect();
    let mut alive: BTreeMap<PeerId, bool> = BTreeMap::new();
    for (id, state) in chitchat.node_states() {
        let Ok(peer) = PeerId::parse(&id.node_id) else { continue };
        if peer == daemon.me || !daemon.book.contains(peer) {
            continue;
        }
        *alive.entry(peer).or_default() |= live.contains(id);
        if let Some(report) = state.get(REPORT)
            && heard.reports.get(&peer).is_none_or(|known| known != report)
        {
            heard.reports.insert(peer, report.to_owned());
            let decoded = BASE64.decode(report.as_bytes()).ok();
            match decoded.and_then(|bytes| SignedReport::decode(&bytes).ok()) {
                Some(signed) if signed.report.peer == peer => inputs.push(Input::Heard(signed)),
                Some(_) | None => daemon.gossip.malformed(peer),
            }
        }
    }
    if since.elapsed() > UNKNOWN_FOR {
        for peer in unknown_members(daemon, &alive) {
            alive.insert(peer, false);
        }
    }
    for (peer, alive) in alive {
        // A peer that has just been heard of for the first time is not alive yet: its second
        // heartbeat makes it so. That is no reason to suspect it.
        let young = !alive && !heard.alive.contains_key(&peer) && since.elapsed() < UNKNOWN_FOR;
        if !young && heard.alive.insert(peer, alive) != Some(alive) {
            inputs.push(Input::Liveness { peer, alive });
        }
    }
    heard.reports.retain(|peer, _| daemon.book.contains(*peer));
    heard.alive.retain(|peer, _| daemon.book.contains(*peer));
    inputs
}

/// Members that should have been heard of by now: they run, by the log, and gossip never met them.
fn unknown_members(daemon: &Daemon, known: &BTreeMap<PeerId, bool>) -> Vec<PeerId> {
    let at = daemon.log_now();
    let agent = daemon.agent();
    let running = agent.ledger().roster().running();
    running
        .filter(|(peer, member)| {
            *peer != daemon.me && !known.contains_key(peer) && at.since(member.since) > UNKNOWN_FOR
        })
        .map(|(peer, _)| peer)
        .collect()
}

/// chitchat's network: QUIC streams to the members of the book.
struct Streams(Weak<Daemon>);

#[async_trait]
impl Transport for Streams {
    async fn open(&self, _listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let daemon = self.0.upgrade().ok_or_else(|| anyhow::anyhow!("the daemon is stopping"))?;
        let (sender, incoming) = mpsc::channel(WAITING_MAX);
        *lock(&daemon.gossip.incoming) = Some(sender);
        Ok(Box::new(Port { daemon: self.0.clone(), incoming, busy: Arc::default(), round: None }))
    }
}

struct Port {
    daemon: Weak<Daemon>,
    incoming: mpsc::Receiver<(PeerId, Vec<u8>)>,
    /// Peers to whom a message is on its way: the next one waits for the next round.
    busy: Arc<Mutex<BTreeSet<PeerId>>>,
    /// When the latest round began.
    round: Option<Instant>,
}

impl Port {
    /// By how much this round comes too late, if it does.
    fn late(&mut self) -> Option<Duration> {
        let before = self.round.replace(Instant::now());
        before.map(|before| before.elapsed()).filter(|since| *since > LATE)
    }
}

#[async_trait]
impl Socket for Port {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let daemon = self.daemon.upgrade().ok_or_else(|| anyhow::anyhow!("stopping"))?;
        let entries = daemon.book.entries();
        // chitchat takes this peer's own earlier generations for others.
        let mut others = entries.iter().filter(|(peer, _)| **peer != daemon.me);
        let Some(peer) = others.find(|(_, address)| **address == to).map(|(peer, _)| *peer) else {
            return Ok(());
        };
        // A syn begins a round; an answer to one is never held back behind it.
        let begins = matches!(message, ChitchatMessage::Syn { .. });
        if begins && let Some(since) = self.late() {
            let what = format!("its gossip paused for {} ms", since.as_millis());
            daemon.tell(Input::Late { what }).await;
        }
        if begins && !lock(&self.busy).insert(peer) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        message.serialize(&mut bytes);
        let busy = Arc::clone(&self.busy);
        // Whoever cannot be reached must not hold up the others: a dial takes up to a second.
        daemon.work.spawn({
            let daemon = Arc::clone(&daemon);
            async move {
                if let Err(error) = daemon.net().send(peer, StreamKind::Gossip, bytes).await {
                    tracing::trace!(%peer, %error, "a gossip message was not sent");
                }
                if begins {
                    lock(&busy).remove(&peer);
                }
            }
        });
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            let Some((from, bytes)) = self.incoming.recv().await else {
                anyhow::bail!("the gossip port was closed");
            };
            let daemon = self.daemon.upgrade().ok_or_else(|| anyhow::anyhow!("stopping"))?;
            let Some(address) = daemon.book.address(from) else { continue };
            let mut slice = bytes.as_slice();
            match ChitchatMessage::deserialize(&mut slice) {
                Ok(message) if slice.is_empty() => return Ok((address, message)),
                Ok(_) | Err(_) => daemon.gossip.malformed(from),
            }
        }
    }
}
