//! Spreading load by hashing: every peer that asks gets the same answer, and nobody throws dice.
//!
//! Highest random weight hashing (Thaler and Ravishankar, 1998): when a candidate goes, only what
//! it was chosen for moves.

use crate::name::PeerId;

/// How strongly a peer is preferred for a thing; higher goes first.
pub fn weight(thing: u64, peer: PeerId) -> u64 {
    // The finaliser of SplitMix64 (Steele, Lea and Flood, 2014), over both.
    let mut bits = thing ^ peer.bits().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn load_is_spread_and_only_the_lost_peers_things_move() {
        let peers: Vec<PeerId> = (1..=5).map(PeerId::from_random).collect();
        let choose = |thing: u64, peers: &[PeerId]| {
            peers.iter().copied().max_by_key(|peer| weight(thing, *peer)).unwrap()
        };
        let mut chosen: BTreeMap<PeerId, u32> = BTreeMap::new();
        for thing in 0..1_000 {
            let first = choose(thing, &peers);
            *chosen.entry(first).or_default() += 1;
            let without_last = choose(thing, &peers[..4]);
            assert!(first == peers[4] || first == without_last);
        }
        assert!(chosen.values().all(|count| (120..=280).contains(count)), "{chosen:?}");
    }
}
