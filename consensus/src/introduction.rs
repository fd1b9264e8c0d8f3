//! Who is behind a store that is not in my membership.
//!
//! A member that was away may be called by one that was added meanwhile; its own log cannot tell
//! who that is, and the log can only grow by serving the call. A new member knows nobody at all. So
//! a stranger is accepted when the daemon has named him (from the answer that let this peer join),
//! or when a member that is known vouches for him. Only a peer that has no membership yet and to
//! which nobody was named believes whoever calls.

use crate::{
    group::{StoredMembership, owner},
    line::Lines,
    rpc::{Call, Reply},
};
use futures::{StreamExt, stream::FuturesUnordered};
use protocol::name::{PeerId, RaftId};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Strangers that are remembered at most; each is a store that once was a member.
const KNOWN_MAX: usize = 1_000;

/// The stores whose peers are known from elsewhere than from the log.
#[derive(Debug, Default)]
pub(crate) struct Acquaintances(Mutex<BTreeMap<RaftId, PeerId>>);

impl Acquaintances {
    /// Names peers.
    pub(crate) fn name(&self, peers: impl IntoIterator<Item = (RaftId, PeerId)>) {
        let mut known = self.known();
        for (store, peer) in peers {
            if known.len() < KNOWN_MAX || known.contains_key(&store) {
                known.insert(store, peer);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<RaftId, PeerId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `peer` owns `store`, as far as can be found out.
    pub(crate) async fn owns(
        &self,
        peer: PeerId,
        store: RaftId,
        membership: &StoredMembership,
        lines: &Lines,
        timeout: Duration,
    ) -> bool {
        let named = self.known().clone();
        if let Some(found) = owner(membership, store).or_else(|| named.get(&store).copied()) {
            return found == peer;
        }
        let mut members: BTreeMap<RaftId, PeerId> = named;
        members
            .extend(membership.membership().nodes().map(|(id, member)| (RaftId(*id), member.peer)));
        if members.is_empty() {
            return true;
        }
        let vouched = self.vouched(store, members, peer, lines, timeout).await;
        if let Some(found) = vouched {
            self.name([(store, found)]);
        }
        vouched == Some(peer)
    }

    /// Asks all others; the first who knows is believed.
    async fn vouched(
        &self,
        store: RaftId,
        members: BTreeMap<RaftId, PeerId>,
        claimant: PeerId,
        lines: &Lines,
        timeout: Duration,
    ) -> Option<PeerId> {
        let mut asked: FuturesUnordered<_> = members
            .into_iter()
            .filter(|(id, peer)| *id != lines.me && *peer != claimant)
            .map(|(id, peer)| lines.ask(peer, id, Call::WhoIs(store), timeout))
            .collect();
        while let Some(answer) = asked.next().await {
            if let Ok(Reply::Owner(Some(owner))) = answer {
                return Some(owner);
            }
        }
        None
    }
}
