//! Waking another host by its network card.
//!
//! The card listens for six bytes of ones followed by its own address sixteen times, while the
//! host sleeps. Nothing answers: whether it helped is seen when the host is heard of again. The
//! packet may be lost like any other, so it is sent a few times.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::net::UdpSocket;

/// How often the packet is sent.
const TIMES: usize = 3;

/// The pause in between; a burst is lost as a whole.
const PAUSE: Duration = Duration::from_millis(100);

/// Sends the packet, and says what was sent.
///
/// # Errors
/// What the network said, with the address.
pub async fn wake(mac: [u8; 6], broadcast: SocketAddr) -> Result<String, String> {
    let failed = |error: io::Error| format!("the packet cannot be sent to {broadcast}: {error}");
    let from: SocketAddr = if broadcast.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(from).await.map_err(failed)?;
    socket.set_broadcast(true).map_err(failed)?;
    let packet = packet(mac);
    for time in 0..TIMES {
        if time > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        socket.send_to(&packet, broadcast).await.map_err(failed)?;
    }
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    Ok(format!("the packet that wakes {mac} was sent to {broadcast} {TIMES} times"))
}

fn packet(mac: [u8; 6]) -> Vec<u8> {
    [&[0xff; 6][..], &mac.repeat(16)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_packet_is_what_network_cards_listen_for() {
        let listener = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
        let said = wake(mac, address).await.unwrap();
        assert!(said.contains("52:54:00:12:34:56"), "{said}");
        let mut buffer = [0; 200];
        for _ in 0..TIMES {
            let (bytes, _) = listener.recv_from(&mut buffer).await.unwrap();
            assert_eq!(bytes, 102);
            assert_eq!(buffer[..6], [0xff; 6]);
            assert!(buffer[6..bytes].chunks(6).all(|part| part == mac));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_told() {
        // Nobody may send to port 0.
        let refused = wake([0; 6], "127.0.0.1:0".parse().unwrap()).await.unwrap_err();
        assert!(refused.contains("cannot be sent to 127.0.0.1:0"), "{refused}");
    }
}
