//! What a member that was taken over, or someone on the network, may try.

use super::*;

/// Opens a stream of a member by hand and writes these bytes on it.
async fn raw(from: &Peer, to: &Peer, bytes: &[u8]) -> (quinn::SendStream, quinn::RecvStream) {
    let link = from.net.shared.link(to.id).await.unwrap();
    let (mut send, receive) = link.connection.open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    (send, receive)
}

fn announcing(kind: StreamKind, bytes: usize) -> Vec<u8> {
    let length = u32::try_from(bytes).unwrap().to_be_bytes();
    [&[kind.byte()], length.as_slice()].concat()
}

#[tokio::test]
async fn an_oversized_frame_is_refused_and_the_connection_goes_on() {
    let issuer = issuer("blue");
    let (a, b, c) = (Peer::start(&issuer, 1), Peer::start(&issuer, 2), Peer::start(&issuer, 3));
    introduce(&[&a, &b, &c]);
    a.ask(b.id, "hello").await.unwrap();
    let before = a.net.shared.links.best(b.id).unwrap();
    for kind in [StreamKind::Raft, StreamKind::Follow, StreamKind::Forward, StreamKind::Probe] {
        let refused = b.counted("oversized_frame");
        let (_send, mut receive) = raw(&a, &b, &announcing(kind, kind.request_max() + 1)).await;
        let error = receive.read_to_end(100).await.unwrap_err();
        assert!(error.to_string().contains("reset by peer: error 1"), "{kind}: {error}");
        assert_eq!(b.counted("oversized_frame"), refused + 1);
    }
    a.ask(b.id, "hello").await.unwrap();
    c.ask(b.id, "hello").await.unwrap();
    assert!(Arc::ptr_eq(&before, &a.net.shared.links.best(b.id).unwrap()));
}

#[tokio::test]
async fn streams_without_a_place_are_refused() {
    let (a, b) = two();
    let (_send, mut receive) = raw(&a, &b, &[77]).await;
    receive.read_to_end(100).await.unwrap_err();
    assert_eq!(b.counted("unknown_kind"), 1);
    for kind in [StreamKind::Join, StreamKind::Gossip] {
        let misplaced = b.counted("misplaced_stream");
        let (_send, mut receive) = raw(&a, &b, &announcing(kind, 1)).await;
        receive.read_to_end(100).await.unwrap_err();
        assert_eq!(b.counted("misplaced_stream"), misplaced + 1, "{kind}");
    }
    let link = a.net.shared.link(b.id).await.unwrap();
    let mut send = link.connection.open_uni().await.unwrap();
    send.write_all(&announcing(StreamKind::Raft, 1)).await.unwrap();
    until("it is refused", || b.counted("misplaced_stream") == 3).await;
    assert!(b.recorder.heard_nothing());
    a.ask(b.id, "hello").await.unwrap();
}

#[tokio::test]
async fn a_peer_that_announces_much_keeps_only_itself_waiting() {
    let issuer = issuer("blue");
    let (a, b, c) = (Peer::start(&issuer, 1), Peer::start(&issuer, 2), Peer::start(&issuer, 3));
    introduce(&[&a, &b, &c]);
    let most = StreamKind::Forward.request_max();
    let _first = raw(&a, &b, &announcing(StreamKind::Forward, most)).await;
    let _second = raw(&a, &b, &announcing(StreamKind::Raft, StreamKind::Raft.request_max())).await;
    let entry = b.net.shared.links.add(&b.net.shared.link(a.id).await.unwrap()).0;
    let unit = 1 << 10;
    until("the first has its share", || {
        entry.available_permits() * unit < crate::net::wire::BUDGET_BYTES - most
    })
    .await;
    c.ask(b.id, "hello").await.unwrap();
    let short = Duration::from_millis(100);
    let waits = a.net.request(b.id, StreamKind::Raft, &vec![0; 5 << 20], short).await;
    assert!(waits.is_err(), "it waits for its own earlier ones");
}

#[tokio::test]
async fn noise_is_ignored() {
    let (a, b) = two();
    let socket = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
    for length in [0, 1, 20, 100, 1_199, 1_200, 1_452, 9_000] {
        for _ in 0..20 {
            let noise: Vec<u8> = (0..length).map(|_| rand::random()).collect();
            socket.send_to(&noise, b.address()).await.unwrap();
            // Of the form of a first packet, and of any later one.
            for first in [0xc0, 0x40] {
                let mut formed = noise.clone();
                if let Some(byte) = formed.first_mut() {
                    *byte = first;
                }
                if let Some(version) = formed.get_mut(1..5) {
                    version.copy_from_slice(&[0, 0, 0, 1]);
                }
                socket.send_to(&formed, b.address()).await.unwrap();
            }
        }
    }
    a.ask(b.id, "hello").await.unwrap();
    assert_eq!(b.net.shared.endpoint.open_connections(), 1);
}
