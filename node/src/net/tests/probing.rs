//! Alive, crashed or dark.

use super::*;
use crate::net::Probed;

#[tokio::test]
async fn a_peer_that_answers_is_reached_with_and_without_an_open_connection() {
    let (a, b) = two();
    let probed = a.net.probe(b.id, SOON).await;
    assert!(matches!(probed, Probed::Reached { .. }), "{probed:?}");
    a.ask(b.id, "hello").await.unwrap();
    let before = b.net.shared.links.best(a.id).unwrap();
    let probed = a.net.probe(b.id, SOON).await;
    assert!(matches!(probed, Probed::Reached { .. }), "{probed:?}");
    assert!(Arc::ptr_eq(&before, &b.net.shared.links.best(a.id).unwrap()));
}

#[tokio::test]
async fn a_probe_does_not_need_the_open_connection() {
    let (a, b) = two();
    a.ask(b.id, "hello").await.unwrap();
    // As it is when the other side has forgotten the connection.
    let link = a.net.shared.links.best(b.id).unwrap();
    link.connection.close(quinn::VarInt::from_u32(99), b"");
    let probed = a.net.probe(b.id, SOON).await;
    assert!(matches!(probed, Probed::Reached { .. }), "{probed:?}");
}

#[tokio::test]
async fn the_kernel_answers_for_a_process_that_is_gone() {
    let (a, b) = two();
    a.ask(b.id, "hello").await.unwrap();
    let vacant = std::net::UdpSocket::bind(LOOPBACK).unwrap().local_addr().unwrap();
    a.book.set(BTreeMap::from([(b.id, b.address()), (id(3), vacant)]));
    let started = Instant::now();
    assert_eq!(a.net.probe(id(3), SOON).await, Probed::Refused);
    assert!(started.elapsed() >= Duration::from_millis(30), "it asks twice");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn silence_is_no_answer() {
    let (a, b) = two();
    let silent = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let address = silent.local_addr().unwrap();
    a.book.set(BTreeMap::from([(b.id, b.address()), (id(3), address)]));
    let within = Duration::from_millis(500);
    assert_eq!(a.net.probe(id(3), within).await, Probed::NoAnswer);
    assert_eq!(a.net.probe(id(4), within).await, Probed::NoAnswer, "it is nowhere");
}

#[tokio::test]
async fn a_daemon_that_does_not_want_to_answer_is_not_reached() {
    let (a, b) = two();
    b.recorder.unwilling.store(true, Ordering::SeqCst);
    a.ask(b.id, "hello").await.unwrap();
    assert_eq!(a.net.probe(b.id, SOON).await, Probed::NoAnswer);
    assert!(b.counted("probe_unanswered") > 0);
}

#[tokio::test]
async fn a_connection_made_for_a_probe_is_for_nothing_else() {
    let (a, b) = two();
    let shared = &a.net.shared;
    let connection = shared.connect(b.id, b.address(), &shared.prober).await.unwrap();
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&[StreamKind::Raft.byte(), 0, 0, 0, 1, 0]).await.unwrap();
    receive.read_to_end(100).await.unwrap_err();
    assert_eq!(b.counted("misplaced_stream"), 1);
    assert!(b.recorder.heard_nothing());
}
