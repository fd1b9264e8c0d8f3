//! The hosts by their ids, found in next to no time: every event asks for one or more.
//!
//! Ids are drawn evenly, so where an id stands among all of them follows from the id itself, but
//! for a few places.

use super::host::Host;
use protocol::name::PeerId;
use std::ops::Index;

/// An id is drawn from so many bits.
const ID_BITS: u32 = 40;

/// All hosts of a world; none comes or goes.
#[derive(Debug)]
pub(crate) struct Hosts {
    /// In order.
    ids: Vec<PeerId>,
    /// In the same order.
    hosts: Vec<Host>,
}

impl Hosts {
    /// These hosts.
    pub(crate) fn new(mut hosts: Vec<Host>) -> Self {
        hosts.sort_by_key(Host::id);
        Self { ids: hosts.iter().map(Host::id).collect(), hosts }
    }

    /// The host of a peer.
    pub(crate) fn get(&self, peer: &PeerId) -> Option<&Host> {
        self.hosts.get(self.find(*peer)?)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Host> {
        let found = self.find(*peer)?;
        self.hosts.get_mut(found)
    }

    /// Whether there is such a peer.
    pub(crate) fn contains_key(&self, peer: &PeerId) -> bool {
        self.find(*peer).is_some()
    }

    fn find(&self, peer: PeerId) -> Option<usize> {
        let last = self.ids.len().checked_sub(1)?;
        let length = u128::try_from(self.ids.len()).ok()?;
        let guess = (u128::from(peer.bits()) * length) >> ID_BITS;
        let mut place = usize::try_from(guess).map_or(last, |guess| guess.min(last));
        while *self.ids.get(place)? < peer {
            place += 1;
        }
        while self.ids[place] > peer {
            place = place.checked_sub(1)?;
        }
        (self.ids[place] == peer).then_some(place)
    }
}

impl Index<&PeerId> for Hosts {
    type Output = Host;

    fn index(&self, peer: &PeerId) -> &Host {
        let Some(host) = self.get(peer) else { unreachable!("{peer} is no peer of the story") };
        host
    }
}
