//! Who else keeps the evidence of an incident: it has to outlive the host that took it.
//!
//! A host in another zone is worth more than one beside it, since both may burn; among equals the
//! load is spread by hashing, so that no peer becomes the archive of all others.

use crate::{ledger::Ledger, ledger::incident::Incident, name::PeerId, rendezvous};
use std::cmp::Reverse;

/// How many other peers keep a bundle.
pub const KEEPERS: usize = 2;

/// How many are named in all, so that others stand in for those that do not answer.
pub const CANDIDATES_MAX: usize = 6;

/// The peers to ask to keep the evidence that `taker` takes of this incident, best first: those
/// that run and are not silent, neither the taker nor the affected peer, whose host may be
/// re-imaged next.
pub fn keepers(ledger: &Ledger, incident: &Incident, taker: PeerId) -> Vec<PeerId> {
    let roster = ledger.roster();
    let zone = |peer| roster.member(peer).map_or("", |member| member.zone());
    let (near, ill) = (zone(taker), zone(incident.peer));
    let mut candidates: Vec<(u8, Reverse<u64>, PeerId)> = roster
        .running()
        .filter(|(peer, _)| *peer != taker && *peer != incident.peer && !ledger.is_silent(*peer))
        .map(|(peer, member)| {
            // Without zones every peer is as far away as any other.
            let beside = u8::from(member.zone() == near) + u8::from(member.zone() == ill);
            (beside, Reverse(rendezvous::weight(incident.id.0, peer)), peer)
        })
        .collect();
    candidates.sort_unstable();
    candidates.into_iter().map(|(_, _, peer)| peer).take(CANDIDATES_MAX).collect()
}
