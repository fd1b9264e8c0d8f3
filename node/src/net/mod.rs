//! How peers talk: one QUIC endpoint on one UDP port, for everything, as client and as server.
//!
//! Every connection is TLS 1.3 with a certificate on both sides, before a byte of ours is read.
//! What a connection is for is agreed in the handshake (ALPN):
//!
//! | protocol | who | may open |
//! | --- | --- | --- |
//! | `hearten/1` | members: chains to this mesh's root, and in the roster | any stream but `Join` |
//! | `hearten-probe/1` | members likewise; a connection of its own, made to see if that works | `Probe` |
//! | `hearten-join/1` | an applicant with a self-signed certificate for its own key | one `Join` |
//!
//! **Invariant:** nothing from a connection reaches the daemon before the caller was admitted by
//! `admission`, and a peer that leaves the [`Book`] has no open connection a moment later
//! (`tests::membership`).
//!
//! - [`kind`]: the kinds of streams and how much each may carry.
//! - [`handler`]: what the daemon implements to be talked to.
//! - [`book`]: who is a member, and where.
//! - [`endpoint`]: [`Net`], the thing itself.
//! - [`follow`]: streams of frames that go on until one side stops.
//! - [`probe`]: whether a peer is alive, or its host at least; `knock` and `pulse` are its senses.
//! - [`watch`]: the same all the time, for a few peers.
//! - [`join_client`]: how a host asks to be let in.
//! - `wire`, `links`, `dial`, `admission`, `serve`, `join_server`, `tls`, `secrets`, `transport`,
//!   `counters`: the parts that these stand on.

pub mod book;
pub mod endpoint;
pub mod error;
pub mod follow;
pub mod handler;
pub mod join_client;
pub mod kind;
pub mod probe;
pub mod watch;

mod admission;
mod counters;
mod dial;
mod join_server;
mod knock;
mod links;
mod pulse;
mod secrets;
mod serve;
mod tls;
mod transport;
mod wire;

#[cfg(test)]
mod tests;

pub use book::Book;
pub use endpoint::{Net, NetConfig};
pub use error::NetError;
pub use follow::{FrameSink, FrameSource};
pub use handler::{Handler, JoinBinding};
pub use join_client::{JoinError, Joined, ask};
pub use kind::StreamKind;
pub use probe::Probed;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. What it guards here is whole at every moment, so a thread that panicked while
/// holding it has broken nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
