//! Who votes: an odd number of healthy peers, spread over zones, changed one at a time.
//!
//! The leader works out the next single change from what is; a change that was lost is worked out
//! again. A peer is a learner first, so that a new voter has the log before its vote counts.

use super::Standing;
use crate::name::{PeerId, RaftId};
use std::collections::{BTreeMap, BTreeSet};

/// One change of the Raft group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    /// The peer begins to receive the log.
    AddLearner(PeerId, RaftId),
    /// The learner's vote counts from now on.
    Promote(PeerId, RaftId),
    /// The voter or learner is a member of the group no more.
    Remove(PeerId, RaftId),
}

/// A peer that may vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which peer.
    pub peer: PeerId,
    /// Its store's id now.
    pub raft_id: RaftId,
    /// Its zone.
    pub zone: String,
    /// Whether it is expected to answer and does.
    pub healthy: bool,
    /// Whether it was unhealthy for so long, or left, that another takes its seat.
    pub gone: bool,
}

/// The next single change towards the wanted group, or nothing when it is as it should be.
///
/// `candidates` are all members of the mesh; a voter that is not among them, or whose store has
/// another id by now, is gone for good.
pub fn next_change(
    me: PeerId,
    voters: &BTreeMap<PeerId, RaftId>,
    learners: &BTreeMap<PeerId, RaftId>,
    candidates: &[Candidate],
    voters_max: u32,
) -> Option<MemberChange> {
    let known: BTreeMap<PeerId, &Candidate> = candidates.iter().map(|c| (c.peer, c)).collect();
    let is_gone = |peer: &PeerId, raft_id: &RaftId| {
        *peer != me
            && known
                .get(peer)
                .is_none_or(|candidate| candidate.gone || candidate.raft_id != *raft_id)
    };
    // A learner that will not come back is in the way of nobody, but it is sent the log for ever.
    if let Some((peer, raft_id)) = learners.iter().find(|(peer, id)| is_gone(peer, id)) {
        return Some(MemberChange::Remove(*peer, *raft_id));
    }
    let gone: Vec<(PeerId, RaftId)> =
        voters.iter().filter(|(peer, id)| is_gone(peer, id)).map(|(p, r)| (*p, *r)).collect();
    let healthy_voters =
        voters.keys().filter(|peer| known.get(peer).is_some_and(|c| c.healthy && !c.gone)).count();
    let staying = voters.len() - gone.len();
    let spare: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| candidate.healthy && !voters.contains_key(&candidate.peer))
        .collect();
    let wanted = odd(usize::try_from(voters_max).unwrap_or(1).min(staying + spare.len()));

    // A seat is filled before a lost voter's is taken away, so that the group never shrinks for
    // longer than it must.
    if staying < wanted {
        let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
        for candidate in voters.keys().filter_map(|peer| known.get(peer)).filter(|c| !c.gone) {
            *zones.entry(&candidate.zone).or_default() += 1;
        }
        let crowd =
            |candidate: &Candidate| zones.get(candidate.zone.as_str()).copied().unwrap_or(0);
        // A learner that is under way is promoted first: nobody else is begun meanwhile.
        let chosen = spare
            .iter()
            .filter(|candidate| learners.get(&candidate.peer) == Some(&candidate.raft_id))
            .min_by_key(|candidate| (crowd(candidate), candidate.peer))
            .or_else(|| spare.iter().min_by_key(|candidate| (crowd(candidate), candidate.peer)));
        if let Some(candidate) = chosen {
            let (peer, raft_id) = (candidate.peer, candidate.raft_id);
            return Some(if learners.get(&peer) == Some(&raft_id) {
                MemberChange::Promote(peer, raft_id)
            } else {
                MemberChange::AddLearner(peer, raft_id)
            });
        }
    }
    // Who is merely silent keeps the seat while nobody is there to take it: a smaller group would
    // keep fewer copies of the log and survive nothing more.
    let replaced = voters.len().is_multiple_of(2);
    let left = |(peer, raft_id): &&(PeerId, RaftId)| {
        known.get(peer).is_none_or(|candidate| candidate.raft_id != *raft_id)
    };
    if let Some((peer, raft_id)) = gone.iter().find(|lost| replaced || left(lost)) {
        let agree = healthy_voters > voters.len() / 2;
        return agree.then_some(MemberChange::Remove(*peer, *raft_id));
    }
    if !gone.is_empty() {
        return None;
    }
    if voters.len() > wanted {
        return surplus(me, voters, &known).map(|(peer, id)| MemberChange::Remove(peer, id));
    }
    None
}

/// Whether the group is as it should be, whoever else there is: it has as many voters as it may
/// have, each of them stays, and nobody is on the way. `voting` are the voters alone.
pub fn is_complete(me: PeerId, standing: &Standing, voting: &[Candidate], voters_max: u32) -> bool {
    let stays = |(peer, raft_id): (&PeerId, &RaftId)| {
        let known = voting.iter().find(|candidate| candidate.peer == *peer);
        *peer == me || known.is_some_and(|known| !known.gone && known.raft_id == *raft_id)
    };
    standing.learners.is_empty()
        && standing.voters.len() == odd(usize::try_from(voters_max).unwrap_or(1))
        && standing.voters.iter().all(stays)
}

/// The voter to let go when there is one too many: one that is unhealthy, or of the fullest zone;
/// never the leader itself.
fn surplus(
    me: PeerId,
    voters: &BTreeMap<PeerId, RaftId>,
    known: &BTreeMap<PeerId, &Candidate>,
) -> Option<(PeerId, RaftId)> {
    let zone = |peer: &PeerId| known.get(peer).map(|candidate| candidate.zone.as_str());
    let crowd = |peer: &PeerId| voters.keys().filter(|other| zone(other) == zone(peer)).count();
    let healthy = |peer: &PeerId| known.get(peer).is_some_and(|candidate| candidate.healthy);
    voters
        .iter()
        .filter(|(peer, _)| **peer != me)
        .max_by_key(|(peer, _)| (!healthy(peer), crowd(peer), **peer))
        .map(|(peer, id)| (*peer, *id))
}

const fn odd(count: usize) -> usize {
    if count.is_multiple_of(2) { count.saturating_sub(1) } else { count }
}

/// The zones that have a voter.
pub fn zones_of<'a>(
    voters: &BTreeMap<PeerId, RaftId>,
    candidates: &'a [Candidate],
) -> BTreeSet<&'a str> {
    candidates
        .iter()
        .filter(|candidate| voters.contains_key(&candidate.peer))
        .map(|candidate| candidate.zone.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> PeerId {
        PeerId::from_random(n)
    }

    fn peer(n: u64, zone: &str) -> Candidate {
        Candidate {
            peer: id(n),
            raft_id: RaftId(n),
            zone: zone.to_owned(),
            healthy: true,
            gone: false,
        }
    }

    /// Carries out changes until none is left; checks what must hold in between.
    fn settle(
        candidates: &[Candidate],
        voters: &mut BTreeMap<PeerId, RaftId>,
        learners: &mut BTreeMap<PeerId, RaftId>,
    ) -> usize {
        for steps in 0.. {
            let seated: Vec<Candidate> = candidates
                .iter()
                .filter(|candidate| voters.contains_key(&candidate.peer))
                .cloned()
                .collect();
            let standing = Standing {
                voters: voters.clone(),
                learners: learners.clone(),
                ..Standing::default()
            };
            let is_complete = is_complete(id(1), &standing, &seated, 5);
            let Some(change) = next_change(id(1), voters, learners, candidates, 5) else {
                return steps;
            };
            assert!(!is_complete, "nothing is to be changed in a complete group: {change:?}");
            assert!(steps < 40, "it comes to an end: {change:?}");
            match change {
                MemberChange::AddLearner(peer, raft_id) => {
                    assert!(learners.insert(peer, raft_id).is_none());
                }
                MemberChange::Promote(peer, raft_id) => {
                    assert_eq!(learners.remove(&peer), Some(raft_id), "a learner first");
                    voters.insert(peer, raft_id);
                }
                MemberChange::Remove(peer, _) => {
                    assert_ne!(peer, id(1), "the leader does not remove itself");
                    if learners.remove(&peer).is_none() {
                        voters.remove(&peer);
                    }
                }
            }
        }
        unreachable!()
    }

    #[test]
    fn the_group_grows_to_an_odd_number_with_the_mesh() {
        for (peers, expected) in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (6, 5), (30, 5)] {
            let candidates: Vec<Candidate> = (1..=peers).map(|n| peer(n, "a")).collect();
            let mut voters = BTreeMap::from([(id(1), RaftId(1))]);
            settle(&candidates, &mut voters, &mut BTreeMap::new());
            assert_eq!(voters.len(), expected, "{peers} peers");
            let standing = Standing { voters, ..Standing::default() };
            assert_eq!(is_complete(id(1), &standing, &candidates, 5), expected == 5);
        }
    }

    #[test]
    fn voters_are_spread_over_zones() {
        let zones = ["a", "a", "a", "a", "a", "a", "a", "b", "c"];
        let candidates: Vec<Candidate> = (1..).zip(zones).map(|(n, zone)| peer(n, zone)).collect();
        let mut voters = BTreeMap::from([(id(1), RaftId(1))]);
        settle(&candidates, &mut voters, &mut BTreeMap::new());
        assert_eq!(zones_of(&voters, &candidates), BTreeSet::from(["a", "b", "c"]));
    }

    #[test]
    fn a_voter_that_is_gone_is_replaced_and_one_that_is_merely_ill_is_not() {
        let mut candidates: Vec<Candidate> = (1..=6).map(|n| peer(n, "a")).collect();
        let (mut voters, mut learners) = (BTreeMap::from([(id(1), RaftId(1))]), BTreeMap::new());
        settle(&candidates, &mut voters, &mut learners);
        let seated: Vec<PeerId> = voters.keys().copied().collect();
        let lost = seated[2];
        let place = candidates.iter().position(|c| c.peer == lost).unwrap();
        candidates[place].healthy = false;
        assert_eq!(settle(&candidates, &mut voters, &mut learners), 0, "it may come back");
        candidates[place].gone = true;
        settle(&candidates, &mut voters, &mut learners);
        assert!(!voters.contains_key(&lost));
        assert_eq!(voters.len(), 5);
    }

    #[test]
    fn a_silent_voter_keeps_its_seat_while_nobody_can_take_it() {
        let mut candidates: Vec<Candidate> = (1..=3).map(|n| peer(n, "a")).collect();
        let (mut voters, mut learners) = (BTreeMap::from([(id(1), RaftId(1))]), BTreeMap::new());
        settle(&candidates, &mut voters, &mut learners);
        (candidates[2].healthy, candidates[2].gone) = (false, true);
        assert_eq!(settle(&candidates, &mut voters, &mut learners), 0);
        candidates.remove(2);
        settle(&candidates, &mut voters, &mut learners);
        assert_eq!(voters.len(), 1, "an odd number of those who are members");
    }

    #[test]
    fn a_voter_that_lost_its_store_gives_its_seat_to_its_new_self() {
        let mut candidates: Vec<Candidate> = (1..=3).map(|n| peer(n, "a")).collect();
        let (mut voters, mut learners) = (BTreeMap::from([(id(1), RaftId(1))]), BTreeMap::new());
        settle(&candidates, &mut voters, &mut learners);
        candidates[2].raft_id = RaftId(99);
        settle(&candidates, &mut voters, &mut learners);
        assert_eq!(voters.get(&id(3)), Some(&RaftId(99)));
        assert_eq!(voters.len(), 3);
    }

    #[test]
    fn a_lost_voter_stays_when_those_who_are_left_cannot_agree() {
        let mut candidates: Vec<Candidate> = (1..=3).map(|n| peer(n, "a")).collect();
        let (mut voters, mut learners) = (BTreeMap::from([(id(1), RaftId(1))]), BTreeMap::new());
        settle(&candidates, &mut voters, &mut learners);
        for lost in [1, 2] {
            candidates[lost].healthy = false;
            candidates[lost].gone = true;
        }
        assert_eq!(settle(&candidates, &mut voters, &mut learners), 0);
    }
}
