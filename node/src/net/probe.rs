//! Whether a peer is alive, or its host at least.
//!
//! Three things are tried at once: eight bytes on the connection that is open anyway, the same on
//! a new connection, and a single datagram from a *connected* socket. One echo is enough for
//! [`Probed::Reached`]. The datagram is for the other case: when the process is gone and its host
//! is not, the host's kernel answers with ICMP "port unreachable", which a connected socket is
//! told as `ECONNREFUSED` (ip(7)), in a millisecond. That is what tells *crashed* from *dark*.

use super::{
    endpoint::Shared,
    error::Close,
    kind::StreamKind,
    links::{Link, Purpose},
};
use protocol::name::PeerId;
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    net::UdpSocket,
    time::{sleep, timeout},
};

/// After a refusal the host is asked once more: a daemon that is just being restarted is not
/// crashed.
const CONFIRM_AFTER: Duration = Duration::from_millis(50);

/// How long until the datagram is sent again when nothing has come back. Linux sends one such
/// answer a second to a host that has had six.
const KNOCK_EVERY: Duration = Duration::from_millis(200);

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
}

pub(crate) async fn probe(shared: &Arc<Shared>, peer: PeerId, within: Duration) -> Probed {
    let Some(address) = shared.book.address(peer) else {
        return Probed::NoAnswer;
    };
    let refused_once = AtomicBool::new(false);
    let outcome = async {
        let mut echoes = pin!(echoes(shared, peer, address));
        let mut knock = pin!(knock(shared, address, &refused_once));
        tokio::select! {
            biased;
            echo = &mut echoes => match echo {
                Some(round_trip) => Probed::Reached { round_trip },
                // Someone has answered, and it was not the peer's daemon that is willing to.
                None => Probed::NoAnswer,
            },
            () = &mut knock => Probed::Refused,
        }
    };
    match timeout(within, outcome).await {
        Ok(probed) => probed,
        // The host may say so only once a second; in all this time no echo has come.
        Err(_elapsed) if refused_once.load(Ordering::Relaxed) => Probed::Refused,
        Err(_elapsed) => Probed::NoAnswer,
    }
}

/// The first echo on either connection; `None` when both have failed.
async fn echoes(shared: &Arc<Shared>, peer: PeerId, address: SocketAddr) -> Option<Duration> {
    let open = shared.links.best(peer);
    let mut on_open = pin!(async {
        match open {
            Some(link) => echo(shared, &link).await,
            None => None,
        }
    });
    let mut on_new = pin!(on_new_connection(shared, peer, address));
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

/// Returns when the host has said twice that nobody listens there.
async fn knock(shared: &Shared, address: SocketAddr, refused_once: &AtomicBool) {
    let socket = match knocker(shared, address).await {
        Ok(socket) => socket,
        Err(error) => {
            tracing::debug!(%address, %error, "cannot knock");
            return std::future::pending().await;
        }
    };
    loop {
        if refused(&socket).await {
            if refused_once.swap(true, Ordering::Relaxed) {
                return;
            }
            sleep(CONFIRM_AFTER).await;
        }
    }
}

/// A socket that is told what becomes of what it sends to `address`.
async fn knocker(shared: &Shared, address: SocketAddr) -> io::Result<UdpSocket> {
    let own = shared.endpoint.local_addr()?.ip();
    // From the address that the daemon itself uses, if it uses one.
    let from = match address {
        SocketAddr::V4(_) if own.is_ipv4() => own,
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) if own.is_ipv6() => own,
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(from, 0)).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// Sends one datagram, which no QUIC endpoint takes for anything, and says whether it was refused.
async fn refused(socket: &UdpSocket) -> bool {
    let is_refusal = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    // The refusal of an earlier one may be told here.
    if socket.send(&[0]).await.is_err_and(is_refusal) {
        return true;
    }
    let mut answer = [0; 1];
    match timeout(KNOCK_EVERY, socket.recv(&mut answer)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => true,
        Ok(Ok(_) | Err(_)) => {
            // Not what this waits for, and it may come at once every time.
            sleep(KNOCK_EVERY).await;
            false
        }
        Err(_elapsed) => false,
    }
}
