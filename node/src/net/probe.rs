//! Whether a peer is alive, or its host at least.
//!
//! Four things are tried at once: eight bytes on the connection that is open anyway, pings on the
//! same, eight bytes on a new connection, and a knock (see `knock`). One echo is enough for
//! [`Probed::Reached`]. The knock is for the other case: when the process is gone and its host is
//! not, the host's kernel says so, in a millisecond. That is what tells *crashed* from *dark*.

use super::{
    endpoint::Shared,
    error::Close,
    kind::StreamKind,
    knock::Knocker,
    links::{Link, Purpose},
    pulse::Beat,
};
use protocol::name::PeerId;
use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// After a refusal the host is asked once more: a daemon that is just being restarted is not
/// crashed.
const CONFIRM_AFTER: Duration = Duration::from_millis(30);

/// How long its second answer is waited for. Linux gives each other host six of them and then one
/// a second, and whatever else was sent to the dead port has its share: that none comes says
/// nothing. That no sign of life comes either, in all this time, says enough.
const CONFIRM_WITHIN: Duration = Duration::from_millis(30);

/// How long until the datagram is sent again when nothing has come back.
const KNOCK_EVERY: Duration = Duration::from_millis(200);

/// How long an open connection is given before a new one is tried as well.
const OPEN_FIRST: Duration = Duration::from_millis(60);

/// How often a ping is sent on the open connection: where much is lost, one of many comes back.
const PING_EVERY: Duration = Duration::from_millis(50);

/// How often is looked whether its answer has come.
const PONG_LOOK: Duration = Duration::from_millis(5);

/// What a probe said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probed {
    /// The daemon has answered.
    Reached {
        /// How long the echo took, without the making of a connection.
        round_trip: Duration,
    },
    /// The host's kernel has answered for a process that is not there.
    Refused,
    /// Nothing that counts came back.
    NoAnswer,
    /// It was not reached, but something of its own came in meanwhile.
    Heard,
}

pub(crate) async fn probe(shared: &Arc<Shared>, peer: PeerId, within: Duration) -> Probed {
    let Some(address) = shared.book.address(peer) else {
        return Probed::NoAnswer;
    };
    let refused_once = AtomicBool::new(false);
    let started = Instant::now();
    let outcome = async {
        let mut echoes = pin!(echoes(shared, peer, address));
        let mut pinged = pin!(pinged(shared, peer, started));
        let mut knock = pin!(knock(shared, address, &refused_once));
        tokio::select! {
            biased;
            echo = &mut echoes => match echo {
                Some(round_trip) => Probed::Reached { round_trip },
                // Someone has answered, and it was not the peer's daemon that is willing to.
                None => Probed::NoAnswer,
            },
            () = &mut pinged => Probed::Reached { round_trip: started.elapsed() },
            () = &mut knock => Probed::Refused,
        }
    };
    let probed = match timeout(within, outcome).await {
        Ok(probed) => probed,
        // The host may say so only once a second; in all this time no echo has come.
        Err(_elapsed) if refused_once.load(Ordering::Relaxed) => Probed::Refused,
        Err(_elapsed) => Probed::NoAnswer,
    };
    // What it says of its own accord is none the less a sign of life: it lives, and cannot be
    // reached. That somebody could forge the beginning of a connection is borne: it would keep a
    // silent host from being repaired, which whoever can do that may do more easily.
    let heard = shared.pulses.heard(peer).is_some_and(|heard| heard >= started)
        || shared.pulses.has_called(peer);
    match probed {
        Probed::Refused | Probed::NoAnswer if heard => Probed::Heard,
        Probed::Reached { .. } | Probed::Refused | Probed::NoAnswer | Probed::Heard => probed,
    }
}

/// The first echo on either connection; `None` when both have failed.
async fn echoes(shared: &Arc<Shared>, peer: PeerId, address: SocketAddr) -> Option<Duration> {
    let open = shared.links.best(peer);
    let mut on_open = pin!(async {
        match &open {
            Some(link) => echo(shared, link).await,
            None => None,
        }
    });
    // A connection that is open answers within a round trip, and spares the handshake.
    let patience = if open.is_some() { OPEN_FIRST } else { Duration::ZERO };
    let mut on_new = pin!(async {
        sleep(patience).await;
        on_new_connection(shared, peer, address).await
    });
    tokio::select! {
        Some(round_trip) = &mut on_open => Some(round_trip),
        Some(round_trip) = &mut on_new => Some(round_trip),
        else => None,
    }
}

async fn on_new_connection(
    shared: &Arc<Shared>,
    peer: PeerId,
    address: SocketAddr,
) -> Option<Duration> {
    let connection = match shared.connect(peer, address, &shared.prober).await {
        Ok(connection) => connection,
        Err(reason) => {
            tracing::debug!(%peer, %address, reason, "a probe could not connect");
            return None;
        }
    };
    let link = Link::new(peer, connection, Purpose::Probe, true);
    let echo = echo(shared, &link).await;
    Close::Done.close(&link.connection);
    echo
}

/// How long it takes for eight random bytes to come back.
async fn echo(shared: &Shared, link: &Arc<Link>) -> Option<Duration> {
    let nonce: [u8; 8] = rand::random();
    let started = Instant::now();
    let answer = shared.exchange(link, StreamKind::Probe, &nonce).await.ok()?;
    (answer == nonce).then(|| started.elapsed())
}

/// Returns when the host has said that nobody listens there, and a moment has passed since.
async fn knock(shared: &Shared, address: SocketAddr, refused_once: &AtomicBool) {
    if !shared.knocks {
        return std::future::pending().await;
    }
    let knocker = match shared.endpoint.local_addr() {
        Ok(own) => Knocker::new(own.ip(), address).await,
        Err(error) => Err(error),
    };
    let knocker = match knocker {
        Ok(knocker) => knocker,
        Err(error) => {
            tracing::debug!(%address, %error, "cannot knock");
            return std::future::pending().await;
        }
    };
    loop {
        knocker.knock().await;
        if timeout(KNOCK_EVERY, knocker.refused()).await.is_ok() {
            refused_once.store(true, Ordering::Relaxed);
            sleep(CONFIRM_AFTER).await;
            knocker.knock().await;
            let confirmed = timeout(CONFIRM_WITHIN, knocker.refused()).await.is_ok();
            tracing::trace!(%address, confirmed, "its host says that nobody listens");
            return;
        }
    }
}

/// Returns when a ping on the open connection was answered.
async fn pinged(shared: &Shared, peer: PeerId, started: Instant) {
    loop {
        if let Some(link) = shared.links.best(peer) {
            link.beat(Beat::Ping(shared.pulses.next(peer)));
        }
        let again = Instant::now() + PING_EVERY;
        while Instant::now() < again {
            if shared.pulses.has_ponged(peer, started) {
                return;
            }
            sleep(PONG_LOOK).await;
        }
    }
}
