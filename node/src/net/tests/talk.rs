//! Two members talk.

use super::*;
use crate::net::NetError;

#[tokio::test]
async fn two_members_talk_both_ways_on_each_kind_over_one_connection() {
    let (a, b) = two();
    for (from, to) in [(&a, &b), (&b, &a)] {
        for kind in [StreamKind::Raft, StreamKind::Forward] {
            let answer = from.net.request(to.id, kind, b"hello", SOON).await.unwrap();
            assert_eq!(answer, format!("{} {kind} hello", from.id).as_bytes());
        }
        from.net.send(to.id, StreamKind::Gossip, b"psst".to_vec()).await.unwrap();
        let heard = (from.id, b"psst".to_vec());
        until("the gossip arrives", || lock(&to.recorder.gossip).contains(&heard)).await;
        let mut frames = from.net.follow(to.id, b"three").await.unwrap();
        for number in 0..3_u8 {
            let frame = frames.next().await.unwrap().unwrap();
            assert_eq!(frame, [b"three".as_slice(), &[number]].concat());
        }
        assert_eq!(frames.next().await.unwrap(), None);
    }
    assert_eq!(a.net.shared.links.open_with(b.id), 1);
    assert_eq!(b.net.shared.links.open_with(a.id), 1);
    assert!(a.counted("bytes_sent") > 0 && a.counted("bytes_received") > 0);
}

#[tokio::test]
async fn an_error_of_the_other_daemon_is_told() {
    let (a, b) = two();
    let error = a.ask(b.id, "fail").await.unwrap_err();
    assert_eq!(error, NetError::Failed { peer: b.id, message: "because".to_owned() });
    assert_eq!(a.ask(id(9), "hello").await.unwrap_err(), NetError::Unknown { peer: id(9) });
}

#[tokio::test]
async fn large_messages_fit_and_larger_ones_are_not_even_sent() {
    let (a, b) = two();
    let kind = StreamKind::Forward;
    let message = vec![7; kind.request_max() - 64];
    let answer = a.net.request(b.id, kind, &message, SOON * 4).await.unwrap();
    assert!(answer.ends_with(&message));
    let message = vec![7; kind.request_max() + 1];
    let error = a.net.request(b.id, kind, &message, SOON).await.unwrap_err();
    assert!(matches!(error, NetError::TooLarge { .. }), "{error}");
    // One that fits, while its answer would not: the caller is told.
    let message = vec![7; kind.request_max()];
    let error = a.net.request(b.id, kind, &message, SOON * 4).await.unwrap_err();
    assert!(error.to_string().contains("too large to send"), "{error}");
}

#[tokio::test]
async fn those_who_dial_at_once_share_one_connection() {
    let (a, b) = two();
    let asking = (0..20).map(|_| a.ask(b.id, "hello"));
    for answer in futures::future::join_all(asking).await {
        answer.unwrap();
    }
    assert_eq!(b.net.shared.links.open_with(a.id), 1);
}

#[tokio::test]
async fn both_prefer_the_same_of_two_connections_made_at_the_same_moment() {
    let (a, b) = two();
    let (left, right) = tokio::join!(a.ask(b.id, "hello"), b.ask(a.id, "hello"));
    left.unwrap();
    right.unwrap();
    let preferred = |from: &Peer, to: &Peer| {
        let link = from.net.shared.links.best(to.id)?;
        let mut secret = [0_u8; 8];
        link.connection.export_keying_material(&mut secret, b"test", b"").ok()?;
        Some(secret)
    };
    until("both prefer the same", || {
        preferred(&a, &b).is_some() && preferred(&a, &b) == preferred(&b, &a)
    })
    .await;
    // The other one, if there is one, is closed, and what is asked meanwhile is answered.
    until("one is left", || a.net.shared.links.open_with(b.id) == 1).await;
    a.ask(b.id, "hello").await.unwrap();
    b.ask(a.id, "hello").await.unwrap();
}

#[tokio::test]
async fn a_subscription_ends_when_either_side_goes() {
    let (a, b) = two();
    let mut frames = a.net.follow(b.id, b"endless").await.unwrap();
    assert!(frames.next().await.unwrap().is_some());
    drop(frames);
    until("the sink is closed", || b.recorder.followed.load(Ordering::SeqCst) == 0).await;

    let mut frames = a.net.follow(b.id, b"endless").await.unwrap();
    for _ in 0..3 {
        assert!(frames.next().await.unwrap().is_some());
    }
    let closing = Instant::now();
    b.net.close().await;
    let error = frames.next().await.unwrap_err();
    assert!(error.to_string().contains("stopping"), "{error}");
    assert!(closing.elapsed() < Duration::from_secs(3), "it is told at once");
    assert_eq!(b.ask(a.id, "hello").await.unwrap_err(), NetError::Closed);
}

#[tokio::test]
async fn a_frame_is_not_lost_when_the_wait_for_it_is_broken_off() {
    let (a, b) = two();
    let mut frames = a.net.follow(b.id, b"endless").await.unwrap();
    let mut received = 0;
    while received < 3 {
        let wait = tokio::time::timeout(Duration::from_micros(50), frames.next());
        if let Ok(frame) = wait.await {
            let frame = frame.unwrap().unwrap();
            assert_eq!(frame, [b"endless".as_slice(), &[received]].concat());
            received += 1;
        }
    }
}

#[tokio::test]
async fn after_silence_the_next_request_begins_on_a_new_connection() {
    let (a, b) = two();
    a.ask(b.id, "hello").await.unwrap();
    let before = a.net.shared.links.best(b.id).unwrap();
    let within = Duration::from_millis(100);
    let error = a.net.request(b.id, StreamKind::Raft, b"hang", within).await.unwrap_err();
    assert_eq!(error, NetError::NoAnswer { peer: b.id, after: within });
    a.ask(b.id, "hello").await.unwrap();
    let after = a.net.shared.links.best(b.id).unwrap();
    assert!(!Arc::ptr_eq(&before, &after));
}
