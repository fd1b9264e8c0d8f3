//! How a host is let in.

use super::*;
use crate::identity::{Fingerprint, PeerKey, Token, certificate::RootCertificate, verify};
use crate::net::{JoinError, ask, error::Close, tls};

#[tokio::test]
async fn an_applicant_asks_once_and_both_ends_agree_about_the_connection() {
    let issuer = issuer("blue");
    let b = Peer::start(&issuer, 2);
    let token = Token::create(1, [5; 32], issuer.fingerprint());
    let key = PeerKey::generate();
    let addresses = [b.address()];
    let joined = ask(&addresses, &token, &key, |binding| token.sign(&binding.bytes()).to_vec());
    let joined = joined.await.unwrap();
    assert_eq!(joined.answer, b"welcome");
    assert_eq!(RootCertificate::read(&joined.root).unwrap().fingerprint, issuer.fingerprint());
    let (request, binding) = lock(&b.recorder.joins).pop().unwrap();
    assert_eq!(binding.public_key, key.public_key());
    let signature = <[u8; 64]>::try_from(request).unwrap();
    assert!(verify(&token.verifying_key(), &binding.bytes(), &signature));
    assert_eq!(b.counted("join_misused"), 0);
    assert!(b.net.shared.links.open_with(id(1)) == 0);
}

#[tokio::test]
async fn an_applicant_sends_nothing_to_another_mesh() {
    let issuer = issuer("blue");
    let b = Peer::start(&issuer, 2);
    let token = Token::create(1, [5; 32], Fingerprint([0; 32]));
    let built = AtomicUsize::new(0);
    let key = PeerKey::generate();
    let addresses = [b.address()];
    let refused = ask(&addresses, &token, &key, |_binding| {
        built.fetch_add(1, Ordering::SeqCst);
        Vec::new()
    });
    let error = refused.await.unwrap_err();
    assert!(matches!(error, JoinError::AnotherMesh { .. }), "{error}");
    assert!(error.to_string().contains(&issuer.fingerprint().to_string()), "{error}");
    until("the failed handshake is seen", || b.counted("handshake_failed") == 1).await;
    assert_eq!(built.load(Ordering::SeqCst), 0);
    assert_eq!(b.counted("bytes_received"), 0);
    assert!(b.recorder.heard_nothing());
}

#[tokio::test]
async fn the_addresses_are_tried_in_order() {
    let issuer = issuer("blue");
    let b = Peer::start(&issuer, 2);
    let silent = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let silent = silent.local_addr().map(|address| (silent, address)).unwrap();
    let token = Token::create(1, [5; 32], issuer.fingerprint());
    let key = PeerKey::generate();
    let joined = ask(&[silent.1, b.address()], &token, &key, |_| Vec::new()).await.unwrap();
    assert_eq!(joined.address, b.address());
    let error = ask(&[silent.1], &token, &key, |_| Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains(&silent.1.to_string()), "{error}");
    assert_eq!(ask(&[], &token, &key, |_| Vec::new()).await.unwrap_err(), JoinError::NoAddress);
}

/// Why the connection of an applicant ended: at once, not when it has taken too long.
async fn ended(connection: &quinn::Connection) -> Option<Close> {
    let closed = tokio::time::timeout(Duration::from_secs(2), connection.closed()).await;
    Close::said_by(&closed.expect("it is cut off at once"))
}

/// A connection of an applicant, to do with as it likes.
async fn applicant(to: &Peer) -> quinn::Connection {
    let key = PeerKey::generate();
    // Whom it talks to is not what these tests are about.
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
        Arc::new({
            let mut roots = rustls::RootCertStore::empty();
            roots.add(to.identity.get().root().clone()).unwrap();
            roots
        }),
        tls::provider(),
    );
    let config = tls::applicant(&key, verifier.build().unwrap()).unwrap();
    let endpoint = quinn::Endpoint::client(LOOPBACK.parse().unwrap()).unwrap();
    let name = crate::identity::certificate::server_name(to.id);
    endpoint.connect_with(config, to.address(), &name).unwrap().await.unwrap()
}

#[tokio::test]
async fn an_applicant_that_does_anything_else_is_cut_off() {
    let issuer = issuer("blue");
    let b = Peer::start(&issuer, 2);
    for (number, kind) in
        [StreamKind::Raft, StreamKind::Forward, StreamKind::Follow, StreamKind::Probe]
            .into_iter()
            .enumerate()
    {
        let connection = applicant(&b).await;
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        send.write_all(&[kind.byte(), 0, 0, 0, 1, 0]).await.unwrap();
        assert_eq!(ended(&connection).await, Some(Close::Misused), "{kind}");
        assert_eq!(usize::try_from(b.counted("join_misused")).unwrap(), number + 1);
    }
    // A second stream beside the first, and gossip.
    let connection = applicant(&b).await;
    let (mut first, _receive) = connection.open_bi().await.unwrap();
    first.write_all(&[StreamKind::Join.byte()]).await.unwrap();
    let (mut second, _receive) = connection.open_bi().await.unwrap();
    second.write_all(&[StreamKind::Join.byte()]).await.unwrap();
    assert_eq!(ended(&connection).await, Some(Close::Misused));
    let connection = applicant(&b).await;
    let (mut first, _receive) = connection.open_bi().await.unwrap();
    first.write_all(&[StreamKind::Join.byte()]).await.unwrap();
    let mut gossip = connection.open_uni().await.unwrap();
    gossip.write_all(&[StreamKind::Gossip.byte(), 0, 0, 0, 1, 0]).await.unwrap();
    assert_eq!(ended(&connection).await, Some(Close::Misused));
    // More than a request may have.
    let connection = applicant(&b).await;
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(&[StreamKind::Join.byte(), 1, 0, 0, 0]).await.unwrap();
    assert_eq!(ended(&connection).await, Some(Close::Misused));
    assert!(b.recorder.heard_nothing());
}
