//! [`Net`]: the endpoint of this peer, and what the daemon does with it.

use super::{
    admission,
    book::Book,
    counters::Counters,
    error::{Close, NetError},
    follow::FrameSource,
    handler::Handler,
    kind::StreamKind,
    knock,
    links::{Link, Links},
    probe::{self, Probed},
    pulse::Pulses,
    secrets, tls,
    watch::{self, Told},
    wire::{self, Reader},
};
use crate::identity::CurrentIdentity;
use protocol::name::PeerId;
use quinn::{AsyncUdpSocket, Endpoint, Runtime, TokioRuntime};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    sync::Semaphore,
    time::{MissedTickBehavior, interval, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// How often connections that nobody uses are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(2);

/// How long a one-way message may take to be handed to the network.
const SEND_TIME: Duration = Duration::from_secs(3);

/// How long closing waits for the others to be told.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// How often a request is begun anew because the other side closed the connection just before it
/// arrived.
const ATTEMPTS: usize = 3;

/// What an endpoint needs to begin.
pub struct NetConfig {
    /// Who this peer is. A certificate renewed in it is used from the next handshake on.
    pub identity: Arc<CurrentIdentity>,
    /// Where to listen; port 0 for any.
    pub listen: SocketAddr,
    /// Who is a member, and where.
    pub book: Arc<Book>,
    /// What answers.
    pub handler: Arc<dyn Handler>,
}

/// The endpoint of this peer. Clones are the same endpoint. It runs until [`Net::close`].
#[derive(Clone)]
pub struct Net {
    pub(super) shared: Arc<Shared>,
}

/// What all the tasks of an endpoint share.
pub(crate) struct Shared {
    pub(crate) own: PeerId,
    pub(crate) endpoint: Endpoint,
    pub(crate) book: Arc<Book>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) links: Links,
    pub(crate) pulses: Pulses,
    pub(crate) dials: Mutex<BTreeMap<PeerId, super::dial::Pending>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) gate: Arc<tls::Gate>,
    /// For connections to members, by what they are for.
    pub(crate) member: quinn::ClientConfig,
    pub(crate) prober: quinn::ClientConfig,
    pub(crate) handshakes: Arc<Semaphore>,
    pub(crate) joins: Arc<Semaphore>,
    /// Whether other hosts' kernels can be knocked at.
    pub(crate) knocks: bool,
    pub(crate) stop: CancellationToken,
}

impl Net {
    /// Opens the endpoint and begins to answer.
    ///
    /// # Errors
    /// [`NetError::Listen`] when the address is taken, [`NetError::Tls`] when the identity is of
    /// no use.
    pub fn start(config: NetConfig) -> Result<Self, NetError> {
        Self::start_on(config, None)
    }

    /// The same, on another socket than one of the host's. Nobody is knocked at then: what a
    /// kernel says is not known there.
    ///
    /// # Errors
    /// As [`Net::start`].
    pub fn start_on(
        config: NetConfig,
        socket: Option<Arc<dyn AsyncUdpSocket>>,
    ) -> Result<Self, NetError> {
        let NetConfig { identity, listen, book, handler } = config;
        let failed =
            |error: std::io::Error| NetError::Listen { address: listen, reason: error.to_string() };
        let counters = Arc::new(Counters::default());
        let gate = tls::Gate::new(Arc::clone(&identity), Arc::clone(&counters))?;
        let server = tls::server(Arc::clone(&gate))?;
        let knocks = socket.is_none();
        let socket = match socket {
            Some(socket) => socket,
            None => bound(listen).map_err(failed)?,
        };
        let current = identity.get();
        let endpoint = Endpoint::new_with_abstract_socket(
            secrets::endpoint_config(&current),
            Some(server),
            socket,
            Arc::new(TokioRuntime),
        )
        .map_err(failed)?;
        let shared = Arc::new(Shared {
            own: current.peer(),
            endpoint,
            book,
            handler,
            links: Links::new(current.peer()),
            pulses: Pulses::default(),
            dials: Mutex::new(BTreeMap::new()),
            counters,
            gate,
            member: tls::member(&identity, tls::MEMBER)?,
            prober: tls::member(&identity, tls::PROBE)?,
            handshakes: Arc::new(Semaphore::new(admission::HANDSHAKES_MAX)),
            joins: Arc::new(Semaphore::new(super::join_server::JOINS_MAX)),
            knocks,
            stop: CancellationToken::new(),
        });
        drop(tokio::spawn(admission::accept(Arc::clone(&shared))));
        drop(tokio::spawn(keep(Arc::clone(&shared))));
        Ok(Self { shared })
    }

    /// Where the endpoint listens.
    ///
    /// # Errors
    /// [`NetError::Closed`] when it does not any more.
    pub fn local_addr(&self) -> Result<SocketAddr, NetError> {
        self.shared.endpoint.local_addr().map_err(|_gone| NetError::Closed)
    }

    /// What was refused, by reason, and how many bytes were carried.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.shared.counters.snapshot()
    }

    /// Asks a peer and waits for its answer: [`StreamKind::Raft`] or [`StreamKind::Forward`].
    ///
    /// A request that was certainly not begun, because the other side closed an unused connection
    /// at that moment, is sent again; no other is.
    ///
    /// # Errors
    /// [`NetError`]. After [`NetError::NoAnswer`] and [`NetError::Lost`] the peer may yet have
    /// done what it was asked.
    pub async fn request(
        &self,
        peer: PeerId,
        kind: StreamKind,
        message: &[u8],
        within: Duration,
    ) -> Result<Vec<u8>, NetError> {
        assert!(
            matches!(kind, StreamKind::Raft | StreamKind::Forward),
            "a request is one that the other daemon answers"
        );
        fits(kind, message.len(), kind.request_max())?;
        let deadline = tokio::time::Instant::now() + within;
        let late = |_elapsed| NetError::NoAnswer { peer, after: within };
        let mut attempt = 1;
        loop {
            let link = timeout_at(deadline, self.shared.link(peer)).await.map_err(late)??;
            let exchange = self.shared.exchange(&link, kind, message);
            match timeout_at(deadline, exchange).await {
                Ok(Err(Interrupted::NotBegun)) if attempt < ATTEMPTS => attempt += 1,
                Ok(Err(Interrupted::NotBegun)) => {
                    let reason = "it closed every connection at once".to_owned();
                    return Err(NetError::Lost { peer, reason });
                }
                Ok(Err(Interrupted::Failed(error))) => return Err(error),
                Ok(Ok(answer)) => return Ok(answer),
                Err(elapsed) => {
                    // The peer may have restarted: what follows begins on a new connection.
                    link.retire();
                    return Err(late(elapsed));
                }
            }
        }
    }

    /// Sends a message without an answer: [`StreamKind::Gossip`]. Returns when it was handed to
    /// the network, which says nothing about its arrival.
    ///
    /// # Errors
    /// [`NetError`] when there is no connection to the peer.
    pub async fn send(
        &self,
        peer: PeerId,
        kind: StreamKind,
        message: Vec<u8>,
    ) -> Result<(), NetError> {
        assert!(kind.is_one_way(), "what has an answer is requested");
        fits(kind, message.len(), kind.request_max())?;
        let link = self.shared.link(peer).await?;
        let sending = async {
            let under_way = link.enter();
            let opened = link.connection.open_uni().await;
            let mut stream = opened.map_err(|error| super::error::lost(peer, &error))?;
            wire::write_request(&mut stream, kind, &message, &self.shared.counters)
                .await
                .map_err(|error| wire::write_failed(peer, error))?;
            drop(under_way);
            Ok(())
        };
        match timeout(SEND_TIME, sending).await {
            Ok(sent) => sent,
            Err(_elapsed) => {
                link.retire();
                Err(NetError::NoAnswer { peer, after: SEND_TIME })
            }
        }
    }

    /// Subscribes to a peer's frames: [`StreamKind::Follow`]. Dropping the source ends it.
    ///
    /// # Errors
    /// [`NetError`] when the request could not be sent; whether the peer follows it is seen at the
    /// first frame.
    pub async fn follow(&self, peer: PeerId, request: &[u8]) -> Result<FrameSource, NetError> {
        let kind = StreamKind::Follow;
        fits(kind, request.len(), kind.request_max())?;
        let mut attempt = 1;
        loop {
            let link = self.shared.link(peer).await?;
            match timeout(SEND_TIME, self.shared.open(&link, kind, request)).await {
                Ok(Err(Interrupted::NotBegun)) if attempt < ATTEMPTS => attempt += 1,
                Ok(Err(Interrupted::NotBegun)) => {
                    let reason = "it closed every connection at once".to_owned();
                    return Err(NetError::Lost { peer, reason });
                }
                Ok(Err(Interrupted::Failed(error))) => return Err(error),
                Ok(Ok((reader, under_way))) => {
                    return Ok(FrameSource::new(peer, reader, under_way));
                }
                Err(_elapsed) => {
                    link.retire();
                    return Err(NetError::NoAnswer { peer, after: SEND_TIME });
                }
            }
        }
    }

    /// Sees whether a peer is alive, or else whether its host is; see [`probe`].
    pub async fn probe(&self, peer: PeerId, within: Duration) -> Probed {
        probe::probe(&self.shared, peer, within).await
    }

    /// Watches the peers that are wanted, whoever they are by then, and tells what it sees of
    /// them; see [`watch`].
    pub async fn watch(
        &self,
        wanted: tokio::sync::watch::Receiver<BTreeSet<PeerId>>,
        tell: tokio::sync::mpsc::Sender<Told>,
    ) {
        watch::watch(Arc::clone(&self.shared), wanted, tell).await;
    }

    /// Closes every connection, tells the others, and stops. What is under way is broken off.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        let close = Close::Stopping;
        self.shared.endpoint.close(close.code(), close.reason().as_bytes());
        // Whoever has not been told by then will notice by itself.
        drop(timeout(CLOSE_TIME, self.shared.endpoint.wait_idle()).await);
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Net({} at {:?})", self.shared.own, self.local_addr())
    }
}

/// A socket of the host's.
fn bound(listen: SocketAddr) -> std::io::Result<Arc<dyn AsyncUdpSocket>> {
    let socket = std::net::UdpSocket::bind(listen)?;
    if let Err(error) = knock::ignored_by(&socket) {
        tracing::debug!(%error, "knocks will wake this daemon");
    }
    TokioRuntime.wrap_udp_socket(socket)
}

fn fits(kind: StreamKind, bytes: usize, limit: usize) -> Result<(), NetError> {
    if bytes <= limit { Ok(()) } else { Err(NetError::TooLarge { kind, bytes, limit }) }
}

/// Why an exchange did not come to its end.
#[derive(Debug)]
pub(crate) enum Interrupted {
    /// The other side has certainly not begun with it: it may be sent again.
    NotBegun,
    /// Anything else.
    Failed(NetError),
}

impl Shared {
    /// Opens a stream with its message.
    pub(crate) async fn open(
        &self,
        link: &Arc<Link>,
        kind: StreamKind,
        message: &[u8],
    ) -> Result<(Reader, super::links::InFlight), Interrupted> {
        let under_way = link.enter().ok_or(Interrupted::NotBegun)?;
        // On a connection that is gone no stream is opened: nothing of this was sent.
        let opened = link.connection.open_bi().await;
        let (mut send, receive) = opened.map_err(|error| match Close::said_by(&error) {
            Some(close) if !close.nothing_was_begun() => {
                Interrupted::Failed(super::error::lost(link.peer, &error))
            }
            Some(_) | None => Interrupted::NotBegun,
        })?;
        wire::write_request(&mut send, kind, message, &self.counters)
            .await
            .map_err(|error| interrupted(link, wire::write_failed(link.peer, error)))?;
        Ok((Reader::new(receive, Arc::clone(&self.counters)), under_way))
    }

    /// One request and its answer, on one connection.
    pub(crate) async fn exchange(
        &self,
        link: &Arc<Link>,
        kind: StreamKind,
        message: &[u8],
    ) -> Result<Vec<u8>, Interrupted> {
        let (mut reader, under_way) = self.open(link, kind, message).await?;
        let answer = reader.answer(kind).await;
        drop(under_way);
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(message)) => {
                Err(Interrupted::Failed(NetError::Failed { peer: link.peer, message }))
            }
            Err(fault) => Err(interrupted(link, fault.for_caller(link.peer))),
        }
    }
}

/// Tells apart whether a failed exchange may be sent again.
fn interrupted(link: &Link, error: NetError) -> Interrupted {
    let close = link.connection.close_reason().and_then(|reason| Close::said_by(&reason));
    match close {
        Some(close) if close.nothing_was_begun() => Interrupted::NotBegun,
        Some(_) | None => Interrupted::Failed(error),
    }
}

/// Cuts off who leaves the book, and closes what nobody uses, until the endpoint is closed.
async fn keep(shared: Arc<Shared>) {
    let mut book = shared.book.watch();
    let mut tidy = interval(TIDY_EVERY);
    tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut book_lives = true;
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            changed = book.changed(), if book_lives => {
                book_lives = changed.is_ok();
                shared.pulses.retain(|peer| shared.book.contains(peer));
                for peer in shared.links.cut_off(|peer| shared.book.contains(peer)) {
                    shared.counters.cut_off.refused(peer, "it is no longer in the roster");
                }
            }
            _ = tidy.tick() => shared.links.tidy(Instant::now()),
        }
    }
}
