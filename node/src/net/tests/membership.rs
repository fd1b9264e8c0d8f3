//! Who is let in and who is not.

use super::*;
use crate::identity::{
    PeerKey,
    certificate::{self, PeerCertificate},
};
use crate::net::{NetError, error::Close, tls};
use rustls::{RootCertStore, client::WebPkiServerVerifier, sign::SingleCertAndKey};

/// Calls `to` with this key and these certificates, for `protocol`, and tries to gossip at once.
/// Returns why the connection ended.
async fn call(
    issuer: &Issuer,
    key: &PeerKey,
    chain: Vec<rustls_pki_types::CertificateDer<'static>>,
    to: &Peer,
    protocol: &[u8],
) -> quinn::ConnectionError {
    let mut roots = RootCertStore::empty();
    roots.add(issuer.certificate().clone()).unwrap();
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), tls::provider()).build();
    let own = Arc::new(SingleCertAndKey::from(key.certified(chain).unwrap()));
    let config = tls::client(verifier.unwrap(), own, protocol).unwrap();
    let endpoint = quinn::Endpoint::client(LOOPBACK.parse().unwrap()).unwrap();
    let name = certificate::server_name(to.id);
    let connection = match endpoint.connect_with(config, to.address(), &name).unwrap().await {
        Ok(connection) => connection,
        Err(error) => return error,
    };
    if let Ok(mut stream) = connection.open_uni().await {
        let kind = StreamKind::Gossip.byte();
        let message = [kind, 0, 0, 0, 4, b'p', b's', b's', b't'];
        // It may be too late for that already.
        drop(stream.write_all(&message).await);
        drop(stream.finish());
    }
    tokio::time::timeout(SOON, connection.closed()).await.expect("the caller is turned away")
}

/// A certificate by which someone says of themselves that they are `peer`.
fn naming(peer: PeerId, key: &PeerKey) -> rustls_pki_types::CertificateDer<'static> {
    use rcgen::{CertificateParams, SanType, string::Ia5String};
    let mut parameters = CertificateParams::default();
    let text = |text: String| Ia5String::try_from(text).unwrap();
    parameters.subject_alt_names = vec![
        SanType::DnsName(text(certificate::server_name(peer))),
        SanType::URI(text(certificate::spiffe_id(&Name::parse("blue").unwrap(), peer))),
    ];
    parameters.self_signed(&key.for_rcgen().unwrap()).unwrap().into()
}

#[tokio::test]
async fn a_self_signed_caller_is_no_member() {
    let issuer = issuer("blue");
    let (a, b) = (Peer::start(&issuer, 1), Peer::start(&issuer, 2));
    introduce(&[&a, &b]);
    let key = PeerKey::generate();
    let forged = naming(a.id, &key);
    assert_eq!(PeerCertificate::read(&forged).unwrap().peer, a.id, "it looks like a member's");
    let calls = [
        (tls::MEMBER, key.self_signed().unwrap()),
        (tls::PROBE, key.self_signed().unwrap()),
        (tls::MEMBER, forged.clone()),
        (tls::PROBE, forged),
    ];
    for (number, (protocol, certificate)) in calls.into_iter().enumerate() {
        let chain = vec![certificate];
        let ended = call(&issuer, &key, chain, &b, protocol).await;
        assert_eq!(Close::said_by(&ended), Some(Close::NotAMember), "{ended}");
        assert_eq!(usize::try_from(b.counted("not_a_member")).unwrap(), number + 1);
    }
    assert!(b.recorder.heard_nothing());
}

#[tokio::test]
async fn a_certificate_of_another_mesh_is_refused_and_counted() {
    // The other mesh has the same name, and its peer the same id.
    let (ours, theirs) = (issuer("blue"), issuer("blue"));
    let b = Peer::start(&ours, 2);
    let a = Peer::start(&theirs, 1);
    introduce(&[&a, &b]);
    let key = PeerKey::generate();
    let leaf = theirs.issue(a.id, &key.public_key(), now()).unwrap();
    for chain in [
        vec![leaf.clone(), theirs.certificate().clone()],
        vec![leaf.clone(), ours.certificate().clone()],
        vec![leaf],
    ] {
        let refused = b.counted("foreign_certificate");
        let ended = call(&ours, &key, chain, &b, tls::MEMBER).await;
        assert!(matches!(ended, quinn::ConnectionError::ConnectionClosed(_)), "{ended}");
        until("it is counted", || b.counted("foreign_certificate") == refused + 1).await;
    }
    // Nor does a member of one dial the other.
    for (from, to) in [(&a, &b), (&b, &a)] {
        let error = from.ask(to.id, "hello").await.unwrap_err();
        assert!(matches!(error, NetError::Unreachable { .. }), "{error}");
        assert!(from.counted("dial_failed") > 0);
    }
    assert!(a.recorder.heard_nothing() && b.recorder.heard_nothing());
}

#[tokio::test]
async fn whoever_is_at_the_address_of_another_is_not_taken_for_it() {
    let issuer = issuer("blue");
    let (a, b, c) = (Peer::start(&issuer, 1), Peer::start(&issuer, 2), Peer::start(&issuer, 3));
    introduce(&[&a, &b, &c]);
    a.book.set(BTreeMap::from([(b.id, c.address())]));
    let error = a.ask(b.id, "hello").await.unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }), "{error}");
    assert!(c.recorder.heard_nothing());
}

#[tokio::test]
async fn a_member_that_is_not_in_the_roster_is_refused_and_told_why() {
    let (a, b) = two();
    b.book.set(BTreeMap::new());
    let error = a.ask(b.id, "hello").await.unwrap_err();
    assert!(matches!(error, NetError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("roster"), "{error}");
    assert!(b.counted("not_in_roster") > 0);
    assert!(b.recorder.heard_nothing());
}

#[tokio::test]
async fn a_peer_that_leaves_the_roster_is_cut_off_at_once() {
    let issuer = issuer("blue");
    let (a, b, c) = (Peer::start(&issuer, 1), Peer::start(&issuer, 2), Peer::start(&issuer, 3));
    introduce(&[&a, &b, &c]);
    let mut cut = a.net.follow(b.id, b"endless").await.unwrap();
    let mut kept = c.net.follow(b.id, b"endless").await.unwrap();
    for frames in [&mut cut, &mut kept] {
        for _ in 0..3 {
            assert!(frames.next().await.unwrap().is_some());
        }
    }
    b.book.set(BTreeMap::from([(b.id, b.address()), (c.id, c.address())]));
    let ended = tokio::time::timeout(Duration::from_secs(1), cut.next()).await;
    let error = ended.expect("it is cut off within a second").unwrap_err();
    assert!(error.to_string().contains("roster"), "{error}");
    assert_eq!(b.counted("cut_off"), 1);
    until("its subscription is over", || b.recorder.followed.load(Ordering::SeqCst) == 1).await;
    assert!(a.ask(b.id, "hello").await.is_err());
    assert_eq!(b.ask(a.id, "hello").await.unwrap_err(), NetError::Unknown { peer: a.id });
    // The others do not notice.
    c.ask(b.id, "hello").await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(50), kept.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test]
async fn a_caller_with_the_own_name_is_refused() {
    let issuer = issuer("blue");
    let b = Peer::start(&issuer, 2);
    let twin = Peer::start(&issuer, 2);
    twin.book.set(BTreeMap::from([(b.id, b.address())]));
    b.book.set(BTreeMap::from([(b.id, b.address())]));
    let error = twin.ask(b.id, "hello").await.unwrap_err();
    assert!(error.to_string().contains("cloned"), "{error}");
    assert_eq!(b.counted("own_name"), 1);
}

#[tokio::test]
async fn a_member_has_no_business_on_the_way_in_for_applicants() {
    let issuer = issuer("blue");
    let b = Peer::start(&issuer, 2);
    let key = PeerKey::generate();
    let leaf = issuer.issue(id(1), &key.public_key(), now()).unwrap();
    let chain = vec![leaf, issuer.certificate().clone()];
    let ended = call(&issuer, &key, chain, &b, tls::JOIN).await;
    assert_eq!(Close::said_by(&ended), Some(Close::Misused), "{ended}");
    assert_eq!(b.counted("join_misused"), 1);
}

#[tokio::test]
async fn a_renewed_certificate_is_used_from_the_next_handshake_on() {
    let issuer = issuer("blue");
    let (a, b) = (Peer::start(&issuer, 1), Peer::start(&issuer, 2));
    introduce(&[&a, &b]);
    a.ask(b.id, "hello").await.unwrap();
    let leaf = issuer.issue(b.id, &b.identity.get().public_key(), now()).unwrap();
    b.identity.renew(leaf.clone()).unwrap();
    // The open connection stays as it is.
    let link = a.net.shared.link(b.id).await.unwrap();
    assert_ne!(tls::chain(&link.connection).first(), Some(&leaf));
    link.retire();
    a.ask(b.id, "hello").await.unwrap();
    let link = a.net.shared.link(b.id).await.unwrap();
    assert_eq!(tls::chain(&link.connection).first(), Some(&leaf));
}
