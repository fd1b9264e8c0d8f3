//! Three peers in one process: elections, proposals, members that come and go.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Group, join, peer, propose_somewhere, record, until};
use consensus::{
    ChangeError, FoundError, MemberChange, Opening, Options, ProposeError, ServeError,
};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_leader_is_replaced_and_nothing_is_lost() {
    let group = Group::new(Options::default());
    let mut members = group.founded(3).await;
    for number in 0..20 {
        assert!(members[0].propose(record(&format!("before {number}"))).await.is_ok());
    }
    let leader = members.remove(0);
    let died = Instant::now();
    group.close(leader, 1).await;
    let position = propose_somewhere(&members, record("after")).await;
    let took = died.elapsed();
    assert!(took < Duration::from_secs(4), "a new leader accepted only after {took:?}");
    for member in &members {
        until("both have applied it", || member.ledger().position() == position).await;
        let standing = member.standing().borrow().clone();
        assert!(standing.quorum && standing.leader.is_some_and(|leader| leader != peer(1)));
    }
    assert_eq!(*members[0].ledger(), *members[1].ledger());

    let (back, opening) = group.open(1).await;
    assert_eq!(opening, Opening::Resumed);
    until("the old leader has caught up", || back.ledger().position() == position).await;
    assert_eq!(*back.ledger(), *members[0].ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_names_the_leader() {
    let group = Group::new(Options::default());
    let members = group.founded(3).await;
    until("the follower knows", || members[1].standing().borrow().leader == Some(peer(1))).await;
    let leader = Some(peer(1));
    let refused = members[1].propose(record("no")).await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader }));
    let refused = members[1].confirm_leadership().await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader }));
    let (peer, raft_id) = (peer(9), members[1].raft_id());
    let refused = members[1].change(MemberChange::AddLearner { peer, raft_id }).await;
    assert_eq!(refused, Err(ChangeError::NotLeader { leader }));
    let (position, _) = members[0].propose(record("yes")).await.unwrap();
    assert!(members[0].confirm_leadership().await.unwrap() >= position);
    assert_eq!(members[0].found().await, Err(FoundError::Member));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_a_majority_says_so_and_accepts_nothing() {
    let group = Group::new(Options::default());
    let members = group.founded(3).await;
    group.net.cut(peer(1));
    let alone = members[0].propose(record("alone")).await;
    assert!(alone.is_err(), "{alone:?}");
    until("it knows", || !members[0].standing().borrow().quorum).await;
    assert_eq!(members[0].confirm_leadership().await, Err(ProposeError::NoQuorum));
    propose_somewhere(&members[1..], record("together")).await;
    group.net.mend(peer(1));
    until("it follows again", || {
        let standing = members[0].standing();
        let standing = standing.borrow();
        standing.quorum && !standing.i_lead
    })
    .await;
    let last = propose_somewhere(&members, record("all")).await;
    until("it has caught up", || members[0].ledger().position() == last).await;
    assert_eq!(*members[0].ledger(), *members[1].ledger());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_is_replaced_by_another_peer_and_by_its_own_new_store() {
    let group = Group::new(Options::default());
    let mut members = group.founded(3).await;
    let lost = members.pop().unwrap();
    let old = lost.raft_id();
    group.close(lost, 3).await;
    let dir = group.dir.path().join("peer-3");
    std::fs::write(dir.join("witness"), b"damaged").unwrap();
    let (back, opening) = group.open(3).await;
    assert!(matches!(opening, Opening::Quarantined { .. }), "{opening:?}");
    let raft_id = back.raft_id();
    assert_ne!(raft_id, old);
    let leader = &members[0];
    leader.change(MemberChange::AddLearner { peer: peer(3), raft_id }).await.unwrap();
    until("it has caught up", || {
        leader.standing().borrow().lags.get(&raft_id).is_some_and(|lag| lag.entries < 10)
    })
    .await;
    let refused = leader.change(MemberChange::Promote { peer: peer(3), raft_id }).await;
    assert_eq!(refused, Err(ChangeError::VotesAlready { peer: peer(3), raft_id: old }));
    leader.change(MemberChange::Demote { peer: peer(3), raft_id: old }).await.unwrap();
    leader.change(MemberChange::Promote { peer: peer(3), raft_id }).await.unwrap();
    until("it votes", || {
        let standing = leader.standing();
        let standing = standing.borrow();
        standing.voters.get(&peer(3)) == Some(&raft_id) && standing.voters.len() == 3
    })
    .await;

    let (fourth, _) = group.open(4).await;
    join(leader, 4, fourth.raft_id()).await;
    let gone = MemberChange::Demote { peer: peer(2), raft_id: members[1].raft_id() };
    leader.change(gone).await.unwrap();
    leader.change(gone).await.unwrap();
    let (position, _) = leader.propose(record("with the new ones")).await.unwrap();
    for member in [leader, &back, &fourth] {
        until("all have it", || member.ledger().position() == position).await;
    }
    let standing = leader.standing().borrow().clone();
    assert_eq!(standing.voters.keys().copied().collect::<Vec<_>>(), [peer(1), peer(3), peer(4)]);
    assert!(standing.learners.is_empty() && !standing.changing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_far_behind_is_sent_a_snapshot_in_pieces() {
    let options = Options {
        snapshot_every: 50,
        keep: 10,
        lag_max: 50,
        snapshot_chunk_bytes: 16,
        ..Options::default()
    };
    let group = Group::new(options);
    let members = group.founded(1).await;
    let mut last = None;
    for number in 0..200 {
        last = Some(members[0].propose(record(&format!("entry {number}"))).await.unwrap().0);
    }
    let (learner, _) = group.open(2).await;
    let (peer, raft_id) = (peer(2), learner.raft_id());
    members[0].change(MemberChange::AddLearner { peer, raft_id }).await.unwrap();
    until("it has caught up", || Some(learner.ledger().position()) > last).await;
    assert!(matches!(learner.feed(0).next().await, Some(consensus::FeedItem::Snapshot { .. })));
    group.close(learner, 2).await;
    let (learner, opening) = group.open(2).await;
    assert_eq!(opening, Opening::Resumed);
    until("it stands where it was", || Some(learner.ledger().position()) > last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_longer_than_a_heartbeat_holds_nobody_up() {
    let group = Group::new(Options::default());
    let members = group.founded(3).await;
    group.net.delay(Duration::from_millis(180));
    for number in 0..3 {
        let since = Instant::now();
        propose_somewhere(&members, record(&format!("slow {number}"))).await;
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    }
    let leader = members.iter().find(|member| member.standing().borrow().i_lead).unwrap();
    until("the leader sees its quorum", || leader.standing().borrow().quorum).await;
    assert!(leader.confirm_leadership().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_was_cut_off_disturbs_nobody_when_it_returns() {
    let group = Group::new(Options::default());
    let members = group.founded(3).await;
    let term = members[0].standing().borrow().term;
    group.net.cut(peer(3));
    until("it wanted to stand several times", || group.net.astray(peer(3)) >= 8).await;
    assert_eq!(members[2].standing().borrow().term, term);
    group.net.mend(peer(3));
    let (position, _) = members[0].propose(record("as before")).await.unwrap();
    until("it follows again", || members[2].ledger().position() == position).await;
    assert_eq!(members[0].standing().borrow().term, term);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_hears_nobody_falls_silent_and_another_is_elected() {
    let group = Group::new(Options::default());
    let members = group.founded(3).await;
    let since = Instant::now();
    group.net.deafen(peer(1));
    propose_somewhere(&members[1..], record("by another")).await;
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_left_alone_leads_again_when_the_others_return() {
    let group = Group::new(Options::default());
    let members = group.founded(2).await;
    group.net.cut(peer(2));
    // This entry is in the first peer's log only, so the second one cannot be elected.
    let alone = members[0].propose(record("alone")).await;
    assert!(matches!(alone, Err(ProposeError::Unknown { .. })), "{alone:?}");
    until("it has fallen silent and asks", || {
        !members[0].standing().borrow().quorum && group.net.astray(peer(1)) >= 30
    })
    .await;
    group.net.mend(peer(2));
    propose_somewhere(&members, record("together again")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_for_another() {
    let group = Group::new(Options::default());
    let members = group.founded(3).await;
    let (outsider, _) = group.open(9).await;
    group.net.keep();
    assert!(members[0].propose(record("overheard")).await.is_ok());
    until("calls were made", || group.net.kept() >= 4).await;
    for call in group.net.take() {
        let served = outsider.serve(call.from, &call.request).await;
        assert!(matches!(served, Err(ServeError::NotMe { .. })), "{served:?}");
        let Some(member) = (1..=3).find(|number| peer(*number) == call.to) else { continue };
        let member = &members[usize::try_from(member - 1).unwrap()];
        for other in [peer(2), peer(3), peer(9)] {
            let served = member.serve(other, &call.request).await;
            assert!(matches!(served, Err(ServeError::Impostor { .. })), "{other}: {served:?}");
        }
        assert!(member.serve(call.from, &call.request).await.is_ok());
    }
    let served = members[0].serve(peer(2), b"hello").await;
    assert!(matches!(served, Err(ServeError::Unreadable { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_believed_only_when_a_known_member_vouches_for_him() {
    let group = Group::new(Options::default());
    let mut members = group.founded(3).await;
    // Peer 3 is away while peer 4 is added; all three that remain are then needed for a majority.
    group.net.cut(peer(3));
    let (fourth, _) = group.open(4).await;
    join(&members[0], 4, fourth.raft_id()).await;
    members.push(fourth);
    let founder = members.remove(0);
    group.close(founder, 1).await;
    // Nobody answers to peer 2's calls, and peer 3's log is too short: only the stranger can lead.
    group.net.silence(peer(2));
    group.net.mend(peer(3));
    propose_somewhere(&members, record("by the stranger")).await;
    assert!(members[2].standing().borrow().i_lead);

    // A peer to which the members were named does not believe anybody else.
    let (fifth, _) = group.open(5).await;
    let (sixth, _) = group.open(6).await;
    fifth.introduce([(members[0].raft_id(), peer(2))]);
    sixth.found().await.unwrap();
    until("peer 6 leads a group of its own", || sixth.standing().borrow().i_lead).await;
    let (peer, raft_id) = (peer(5), fifth.raft_id());
    sixth.change(MemberChange::AddLearner { peer, raft_id }).await.unwrap();
    group.net.keep();
    until("it was called", || group.net.kept() >= 10).await;
    for call in group.net.take().into_iter().filter(|call| call.to == peer) {
        let served = fifth.serve(call.from, &call.request).await;
        assert!(matches!(served, Err(ServeError::Impostor { .. })), "{served:?}");
    }
    assert_eq!(fifth.standing().borrow().term, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_steps_down_is_followed_by_another_and_follows_it() {
    let group = Group::new(Options::default());
    let members = group.founded(3).await;
    members[0].step_down(Duration::from_secs(60));
    until("another one leads", || {
        members[1..].iter().any(|member| member.standing().borrow().i_lead)
    })
    .await;
    let position = propose_somewhere(&members[1..], record("under another leader")).await;
    until("the one that stepped down follows", || {
        let standing = members[0].standing().borrow().clone();
        !standing.i_lead && standing.quorum && members[0].ledger().position() >= position
    })
    .await;
}
