//! The numbers that bound a connection.
//!
//! They are modest because they are held for every other peer of the mesh: the daemon's goal is
//! 32 MiB altogether. A stream's window of 256 KiB still carries a snapshot at 25 MB/s over a
//! round trip of 10 ms.

use quinn::{TransportConfig, VarInt};
use std::{sync::Arc, time::Duration};

/// A connection from which nothing came for so long is dead. Nobody waits for that: what is asked
/// has time limits of its own, and after one of them the connection is left.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(35);

/// Three of these fit into [`IDLE_TIMEOUT`], so that two may be lost.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long it may take to make a connection before the caller gives up.
pub(crate) const DIAL_TIME: Duration = Duration::from_secs(1);

/// How long a caller may take for its handshake.
pub(crate) const HANDSHAKE_TIME: Duration = Duration::from_secs(3);

/// How long the message that opens a stream may take to arrive.
pub(crate) const READ_TIME: Duration = Duration::from_secs(30);

/// How many streams of each kind the other side may have open on one connection. quinn keeps a place
/// for each from the beginning.
const STREAMS: u32 = 64;

/// Pings that wait: a hundred or so.
const DATAGRAMS_BYTES: usize = 4 << 10;

/// The transport of every connection, in both roles.
pub(crate) fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS))
        .stream_receive_window(VarInt::from_u32(256 << 10))
        .receive_window(VarInt::from_u32(1 << 20))
        .send_window(1 << 20)
        .datagram_receive_buffer_size(Some(DATAGRAMS_BYTES))
        .datagram_send_buffer_size(DATAGRAMS_BYTES)
        .keep_alive_interval(Some(KEEP_ALIVE))
        // The default of 333 ms sends a lost first packet again after a second: after the dial's
        // time is over. Hosts of one mesh are mostly nearer than that.
        .initial_rtt(Duration::from_millis(100));
    let idle_timeout = quinn::IdleTimeout::try_from(IDLE_TIMEOUT);
    assert!(idle_timeout.is_ok(), "35 seconds are a valid idle timeout");
    transport.max_idle_timeout(idle_timeout.ok());
    Arc::new(transport)
}
