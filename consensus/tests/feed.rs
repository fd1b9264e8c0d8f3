//! Subscribers see every entry once, in order, however late or slow they are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Group, peer, propose_somewhere, record, text, until};
use consensus::{Consensus, Feed, FeedItem, MemberChange, Options};
use protocol::{codec, ledger::Ledger, record::Position};
use std::time::Duration;

/// Follows a feed as an agent does, with a ledger of its own, until it reaches `last`.
async fn follow(mut feed: Feed, last: u64, pause: Duration) -> (Ledger, Vec<String>, u32) {
    let mut ledger = Ledger::default();
    let (mut texts, mut snapshots) = (Vec::new(), 0);
    while ledger.position().index < last {
        let item = tokio::time::timeout(common::BOUND, feed.next()).await.unwrap().unwrap();
        match item {
            FeedItem::Snapshot { ledger: bytes, position } => {
                ledger = codec::decode(&bytes).unwrap();
                assert_eq!(ledger.position(), position);
                snapshots += 1;
            }
            FeedItem::Committed { position, entry } => {
                assert_eq!(position.index, ledger.position().index + 1, "a gap or a repetition");
                match entry {
                    Some(entry) => {
                        texts.extend(text(&entry));
                        drop(ledger.apply(position, &entry));
                    }
                    None => ledger.skip(position),
                }
            }
        }
        tokio::time::sleep(pause).await;
    }
    (ledger, texts, snapshots)
}

async fn write(leader: &Consensus, count: usize) -> (Position, Vec<String>) {
    let mut last = Position::default();
    let texts: Vec<_> = (0..count).map(|number| format!("entry {number}")).collect();
    for text in &texts {
        last = leader.propose(record(text)).await.unwrap().0;
    }
    (last, texts)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_sees_every_entry_once_and_in_order() {
    let group = Group::new(Options::default());
    let members = group.founded(3).await;
    let early: Vec<_> = members
        .iter()
        .map(|member| {
            let feed = member.feed(0);
            tokio::spawn(async move { follow(feed, 60, Duration::ZERO).await })
        })
        .collect();
    let (last, texts) = write(&members[0], 70).await;
    assert!(last.index > 60);
    for task in early {
        let (_, seen, snapshots) = task.await.unwrap();
        assert_eq!(seen, texts[..seen.len()]);
        assert!(seen.len() >= 50 && snapshots == 0);
    }
    let (ledger, seen, _) = follow(members[2].feed(0), last.index, Duration::ZERO).await;
    assert_eq!(seen, texts);
    until("all have applied it", || members[0].ledger().position() == ledger.position()).await;
    assert_eq!(ledger, *members[0].ledger());
    let (_, seen, _) = {
        let mut half = members[1].feed(last.index - 3);
        let mut seen = Vec::new();
        for _ in 0..3 {
            if let Some(FeedItem::Committed { entry: Some(entry), .. }) = half.next().await {
                seen.extend(text(&entry));
            }
        }
        ((), seen, ())
    };
    assert_eq!(seen, texts[67..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_is_too_slow_takes_a_snapshot_and_holds_nobody_up() {
    let options = Options { snapshot_every: 40, keep: 5, lag_max: 40, ..Options::default() };
    let group = Group::new(options);
    let members = group.founded(1).await;
    let mut idle = members[0].feed(0);
    assert!(idle.next().await.is_some());
    let slow = members[0].feed(0);
    let slow = tokio::spawn(async move { follow(slow, 600, Duration::from_millis(2)).await });
    let (last, _) = write(&members[0], 610).await;
    assert!(last.index >= 600);
    let (ledger, _, _) = slow.await.unwrap();
    assert!(ledger.position().index >= 600);
    let mut snapshots = 0;
    let mut reached = 1;
    while reached < last.index {
        match idle.next().await.unwrap() {
            FeedItem::Snapshot { position, .. } => {
                assert!(position.index > reached);
                reached = position.index;
                snapshots += 1;
            }
            FeedItem::Committed { position, .. } => {
                assert_eq!(position.index, reached + 1);
                reached = position.index;
            }
        }
    }
    assert!(snapshots > 0, "the log was never shortened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_ends_when_the_group_stops_and_goes_on_after_a_restart() {
    let group = Group::new(Options::default());
    let members = group.founded(1).await;
    let (last, texts) = write(&members[0], 10).await;
    let mut feed = members[0].feed(last.index);
    let member = members.into_iter().next().unwrap();
    group.close(member, 1).await;
    let ended = tokio::time::timeout(common::BOUND, feed.next()).await;
    assert_eq!(ended.unwrap(), None);
    drop(feed);
    let (member, _) = group.open(1).await;
    let (_, seen, _) = follow(member.feed(0), last.index, Duration::ZERO).await;
    assert_eq!(seen, texts);
    propose_somewhere(std::slice::from_ref(&member), record("again")).await;
    let refused = member.change(MemberChange::Demote { peer: peer(1), raft_id: member.raft_id() });
    assert_eq!(refused.await, Err(consensus::ChangeError::LastVoter));
}
