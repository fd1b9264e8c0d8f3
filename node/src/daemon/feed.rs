//! The committed log, on its way to the agent.
//!
//! A member of the Raft group reads its own log. Every other peer subscribes to a voter: from the
//! index that it has reached, with a snapshot when the voter's log no longer reaches back so far,
//! and from another voter when that one dies. Along with the log comes how the group stands, so
//! that a follower knows the leader.

use super::Daemon;
use crate::net::{FrameSink, FrameSource};
use consensus::FeedItem;
use protocol::{
    agent::{Input, Standing},
    codec,
    ledger::Ledger,
    name::{PeerId, RaftId},
    record::{Entry, Position},
    rendezvous,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How often a follower is told how the group stands when nothing changes.
const STANDING_EVERY: Duration = Duration::from_millis(1_400);

/// A leader that no voter has told of for so long is believed in no more: it takes a few seconds
/// to leave a voter that fell silent and to find another.
const BELIEVED_FOR: Duration = Duration::from_secs(5);

/// A voter that has said nothing for so long is left for another.
const SILENT_AFTER: Duration = Duration::from_secs(3);

/// How long before the next voter is tried when none took the subscription.
const AGAIN: Duration = Duration::from_millis(50);

/// Bytes of a snapshot in one frame.
const PART_BYTES: usize = 4 << 20;

/// The largest snapshot that a follower takes, in bytes.
const SNAPSHOT_BYTES_MAX: usize = 256 << 20;

/// What a follower asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Subscription {
    /// The index that it has reached.
    after: u64,
}

/// One frame of a follow stream. Enums that travel are only ever appended to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Frame {
    /// The next entry of the log.
    Committed(Position, Option<Box<Entry>>),
    /// A piece of a ledger to begin anew with; the last one says so.
    Snapshot {
        /// The bytes.
        part: Vec<u8>,
        /// Whether the ledger is complete with it.
        last: bool,
    },
    /// How the group stands.
    Standing {
        /// The term.
        term: u64,
        /// Who leads.
        leader: Option<PeerId>,
        /// Who votes.
        voters: BTreeMap<PeerId, RaftId>,
        /// Who is to vote.
        learners: BTreeMap<PeerId, RaftId>,
    },
}

/// How the group looks from here: as a member of it, or as a voter told it.
pub(super) fn standing(daemon: &Daemon) -> Standing {
    let group = daemon.consensus.standing().borrow().clone();
    if takes_part(daemon, &group) {
        return of_member(&group);
    }
    let followed = daemon.followed.borrow().clone();
    if followed.leader.is_some() || followed.term >= group.term {
        return followed;
    }
    // Nobody tells anything: what this peer saw itself is the latest that it knows.
    Standing { leader: None, leads: false, ..of_member(&group) }
}

fn of_member(group: &consensus::Standing) -> Standing {
    Standing {
        term: group.term,
        // Whom it has not heard of late it only remembers.
        leader: group.leader.filter(|_| group.quorum || group.i_lead),
        // A leader that has not yet applied an entry of its own term may hold an old ledger.
        leads: group.i_lead && group.quorum && group.applied.term == group.term,
        voters: group.voters.clone(),
        learners: group.learners.clone(),
    }
}

/// Whether this peer is a member that hears its leader. One that does not may have been taken out
/// without knowing it: then a voter has to tell it what is committed.
fn takes_part(daemon: &Daemon, group: &consensus::Standing) -> bool {
    let mine = daemon.consensus.raft_id();
    let member = group.voters.get(&daemon.me) == Some(&mine)
        || group.learners.get(&daemon.me) == Some(&mine);
    member && (group.quorum || group.i_lead || group.voters.len() == 1)
}

/// Tells the agent how the group stands, whenever that changes.
pub(super) async fn tell_standing(daemon: Arc<Daemon>) {
    let mut group = daemon.consensus.standing();
    let mut followed = daemon.followed.subscribe();
    let mut told = None;
    loop {
        let now = standing(&daemon);
        if told.as_ref() != Some(&now) {
            daemon.note_leader(now.leader);
            daemon.tell(Input::Standing(now.clone())).await;
            told = Some(now);
        }
        tokio::select! {
            () = daemon.stop.cancelled() => return,
            changed = group.changed() => {
                let fatal = group.borrow_and_update().fatal.clone();
                if let Some(reason) = fatal.filter(|_| !daemon.stop.is_cancelled()) {
                    // The store takes nothing more: only a new start opens it again.
                    tracing::error!(%reason, "the Raft store has failed; the daemon ends");
                    daemon.stop.cancel();
                }
                if changed.is_err() { return; }
            }
            changed = followed.changed() => if changed.is_err() { return; },
        }
    }
}

/// Brings the committed log to the agent, from wherever it can be had.
pub(super) async fn bring(daemon: Arc<Daemon>) {
    let mut tried = 0_u64;
    let mut told = Instant::now();
    while !daemon.stop.is_cancelled() {
        own_ledger(&daemon).await;
        let group = daemon.consensus.standing().borrow().clone();
        if takes_part(&daemon, &group) {
            // What voters told before is old by the time that it is asked for again.
            forget_leader(&daemon);
            own_log(&daemon).await;
            continue;
        }
        if told.elapsed() > BELIEVED_FOR {
            forget_leader(&daemon);
        }
        let Some(source) = subscribe(&daemon, tried).await else {
            tried = pause(&daemon, tried).await;
            continue;
        };
        let from = source.peer();
        let before = daemon.followed.borrow().clone();
        let why = follow(&daemon, source, &mut told).await;
        tracing::debug!(%from, why, "the follow stream ended");
        // A peer that is no voter ends the stream at once, without having said anything.
        if *daemon.followed.borrow() == before {
            tried = pause(&daemon, tried).await;
        } else {
            tried = 0;
        }
    }
}

/// Nobody tells of a leader any more; who votes is still good to know, to find one that does.
fn forget_leader(daemon: &Daemon) {
    daemon.followed.send_if_modified(|known| known.leader.take().is_some());
}

/// Gives the agent what this peer's own store holds, if that is more than it knows: after a start
/// it is all that is known, of the other peers' addresses too.
async fn own_ledger(daemon: &Daemon) {
    let own = daemon.consensus.ledger();
    if own.position().index > daemon.agent().ledger().position().index {
        let ledger = Box::new((*own).clone());
        drop(own);
        daemon.tell(Input::Restored(ledger)).await;
    }
}

/// Waits a moment before another voter is tried.
async fn pause(daemon: &Daemon, tried: u64) -> u64 {
    tokio::select! {
        () = daemon.stop.cancelled() => {}
        () = tokio::time::sleep(AGAIN) => {}
    }
    tried + 1
}

/// Reads this peer's own log for as long as it takes part in the group.
async fn own_log(daemon: &Daemon) {
    let reached = daemon.agent().ledger().position().index;
    let mut feed = daemon.consensus.feed(reached);
    let mut group = daemon.consensus.standing();
    loop {
        tokio::select! {
            () = daemon.stop.cancelled() => return,
            item = feed.next() => match item {
                Some(FeedItem::Committed { position, entry }) => {
                    daemon.tell(Input::Committed { position, entry }).await;
                }
                Some(FeedItem::Snapshot { ledger, .. }) => restore(daemon, &ledger).await,
                None => return,
            },
            changed = group.changed() => {
                let now = group.borrow_and_update().clone();
                if changed.is_err() || !takes_part(daemon, &now) {
                    return;
                }
            }
        }
    }
}

async fn restore(daemon: &Daemon, bytes: &[u8]) {
    match codec::decode::<Ledger>(bytes) {
        Ok(ledger) => daemon.tell(Input::Restored(Box::new(ledger))).await,
        Err(error) => tracing::error!(%error, "a snapshot of the ledger is unreadable"),
    }
}

/// Subscribes to a voter, a different one at each try.
async fn subscribe(daemon: &Daemon, tried: u64) -> Option<FrameSource> {
    let known = daemon.followed.borrow().voters.clone();
    // Before anything is known of the group, every peer in the book may be a voter.
    let mut candidates: Vec<PeerId> = if known.is_empty() || tried > 5 {
        daemon.book.entries().keys().copied().collect()
    } else {
        known.into_keys().collect()
    };
    candidates.retain(|peer| *peer != daemon.me);
    candidates.sort_by_key(|peer| rendezvous::weight(daemon.me.bits() ^ tried, *peer));
    let voter = candidates.pop()?;
    let after = daemon.agent().ledger().position().index;
    match daemon.net().follow(voter, &codec::encode(&Subscription { after })).await {
        Ok(source) => Some(source),
        Err(error) => {
            tracing::debug!(%voter, %error, "a voter could not be followed");
            None
        }
    }
}

/// Follows a voter until it falls silent, or this peer becomes a member itself; notes when it was
/// last told how the group stands.
async fn follow(daemon: &Daemon, mut source: FrameSource, told: &mut Instant) -> &'static str {
    let mut group = daemon.consensus.standing();
    let mut snapshot: Vec<u8> = Vec::new();
    loop {
        let frame = tokio::select! {
            () = daemon.stop.cancelled() => return "the daemon stops",
            frame = tokio::time::timeout(SILENT_AFTER, source.next()) => frame,
            changed = group.changed() => {
                let now = group.borrow_and_update().clone();
                if changed.is_err() || takes_part(daemon, &now) {
                    return "this peer has become a member of the group";
                }
                continue;
            }
        };
        let frame = match frame {
            Err(_elapsed) => return "it fell silent",
            Ok(Err(_)) => return "the connection was lost",
            Ok(Ok(None)) => return "it ended the stream",
            Ok(Ok(Some(bytes))) => codec::decode::<Frame>(&bytes),
        };
        match frame {
            Ok(Frame::Committed(position, entry)) => {
                let entry = entry.map(|entry| *entry);
                daemon.tell(Input::Committed { position, entry }).await;
            }
            Ok(Frame::Snapshot { part, last }) => {
                if snapshot.len() + part.len() > SNAPSHOT_BYTES_MAX {
                    return "its snapshot is too large";
                }
                snapshot.extend_from_slice(&part);
                if last {
                    restore(daemon, &std::mem::take(&mut snapshot)).await;
                }
            }
            Ok(Frame::Standing { term, leader, voters, learners }) => {
                *told = Instant::now();
                let standing = Standing { term, leader, leads: false, voters, learners };
                daemon.followed.send_if_modified(|known| {
                    let differs = *known != standing;
                    if differs {
                        *known = standing;
                    }
                    differs
                });
            }
            Err(_malformed) => return "it sent something else than frames",
        }
    }
}

/// Sends a follower what is committed here, for as long as this peer takes part in the group.
pub(super) async fn serve(daemon: &Daemon, from: PeerId, request: &[u8], mut sink: FrameSink) {
    let Ok(Subscription { after }) = codec::decode(request) else {
        tracing::debug!(%from, "a subscription was malformed");
        return;
    };
    let mut group = daemon.consensus.standing();
    if !takes_part(daemon, &group.borrow().clone()) {
        return;
    }
    let mut feed = daemon.consensus.feed(after);
    let mut tick = tokio::time::interval(STANDING_EVERY);
    loop {
        let sent = tokio::select! {
            () = daemon.stop.cancelled() => return,
            () = sink.closed() => return,
            item = feed.next() => match item {
                Some(FeedItem::Committed { position, entry }) => {
                    sink.send(&codec::encode(&Frame::Committed(position, entry.map(Box::new)))).await
                }
                Some(FeedItem::Snapshot { ledger, .. }) => send_snapshot(&mut sink, &ledger).await,
                None => return,
            },
            _ = tick.tick() => send_standing(daemon, &mut sink).await,
            changed = group.changed() => {
                if changed.is_err() { return; }
                send_standing(daemon, &mut sink).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn send_standing(daemon: &Daemon, sink: &mut FrameSink) -> Result<(), crate::net::NetError> {
    let group = daemon.consensus.standing().borrow().clone();
    if !takes_part(daemon, &group) {
        // What is known here may be old: the follower looks for another voter.
        return Ok(());
    }
    let standing = of_member(&group);
    let Standing { term, leader, voters, learners, .. } = standing;
    // A leader whom no majority follows is none for others.
    let leader = leader.filter(|_| group.quorum);
    sink.send(&codec::encode(&Frame::Standing { term, leader, voters, learners })).await
}

async fn send_snapshot(sink: &mut FrameSink, ledger: &[u8]) -> Result<(), crate::net::NetError> {
    let mut parts = ledger.chunks(PART_BYTES).peekable();
    while let Some(part) = parts.next() {
        let frame = Frame::Snapshot { part: part.to_vec(), last: parts.peek().is_none() };
        sink.send(&codec::encode(&frame)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_a_member_only_remembers_is_none() {
        let told = |quorum, i_lead| {
            let leader = Some(PeerId::from_random(7));
            of_member(&consensus::Standing { leader, quorum, i_lead, ..Default::default() }).leader
        };
        assert_eq!(told(false, false), None);
        assert!(told(true, false).is_some() && told(false, true).is_some());
    }
}
