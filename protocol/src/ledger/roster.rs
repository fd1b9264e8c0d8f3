//! Who is a member of the mesh, and who was.

use super::{Context, Effect, Outcome, documents::Library};
use crate::{
    document::{Document, DocumentKey, Guest, Selector},
    name::{Name, PeerId, RaftId},
    record::PeerCard,
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// Whether a member is expected to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Its daemon was started and has not said goodbye: its silence means something.
    Running,
    /// It stopped on purpose; its silence is expected.
    Stopped,
    /// It is a member no more. The entry stays, so that its id is never given again.
    Left,
    /// It is a guest: a host without a daemon, which is no member and is not expected to answer.
    Guest,
}

/// A member and what the log says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it said of itself.
    pub card: PeerCard,
    /// Whether it is expected to answer.
    pub standing: Standing,
    /// Since when it stands so.
    pub since: Timestamp,
    /// When it became a member.
    pub joined_at: Timestamp,
    /// Which boot of its host its daemon runs in, as it said itself.
    pub boot_id: Option<String>,
}

/// The label that names a peer's fault domain.
pub const ZONE_LABEL: &str = "zone";

impl Member {
    /// The peer's fault domain: its label `zone`, or nothing.
    pub fn zone(&self) -> &str {
        self.card.labels.get(ZONE_LABEL).map_or("", String::as_str)
    }

    /// Whether it was let in and its daemon was not started since.
    pub fn has_not_started(&self) -> bool {
        self.standing == Standing::Stopped && self.since == self.joined_at
    }
}

/// Every peer that is or was a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster(BTreeMap<PeerId, Member>);

impl Roster {
    /// The members, without those that have left.
    pub fn members(&self) -> impl Iterator<Item = (PeerId, &Member)> {
        self.0
            .iter()
            .filter(|(_, member)| !matches!(member.standing, Standing::Left | Standing::Guest))
            .map(|(peer, member)| (*peer, member))
    }

    /// The guests: hosts without a daemon, which documents name.
    pub fn guests(&self) -> impl Iterator<Item = (PeerId, &Member)> {
        self.0
            .iter()
            .filter(|(_, member)| member.standing == Standing::Guest)
            .map(|(peer, member)| (*peer, member))
    }

    /// Every host that may be repaired: the members and the guests.
    pub fn hosts(&self) -> impl Iterator<Item = (PeerId, &Member)> {
        self.members().chain(self.guests())
    }

    /// Whether this is a guest.
    pub fn is_guest(&self, peer: PeerId) -> bool {
        self.0.get(&peer).is_some_and(|member| member.standing == Standing::Guest)
    }

    /// The members that are expected to answer.
    pub fn running(&self) -> impl Iterator<Item = (PeerId, &Member)> {
        self.members().filter(|(_, member)| member.standing == Standing::Running)
    }

    /// Whether a peer is a member that is expected to answer.
    pub fn is_running(&self, peer: PeerId) -> bool {
        self.0.get(&peer).is_some_and(|member| member.standing == Standing::Running)
    }

    /// The members that a document with this selector is for.
    pub fn selected<'a>(
        &'a self,
        selector: &'a Selector,
    ) -> impl Iterator<Item = (PeerId, &'a Member)> {
        self.members().filter(|(_, member)| selector.fits(&member.card.labels))
    }

    /// A member or a guest, unless it has left.
    pub fn member(&self, peer: PeerId) -> Option<&Member> {
        self.0.get(&peer).filter(|member| member.standing != Standing::Left)
    }

    /// Any peer that is or was a member or a guest.
    pub fn ever(&self, peer: PeerId) -> Option<&Member> {
        self.0.get(&peer)
    }

    /// The member or guest with this name, unless it has left.
    pub fn by_name(&self, name: &str) -> Option<(PeerId, &Member)> {
        self.hosts().find(|(_, member)| member.card.name.as_str() == name)
    }

    /// A peer's name for people; its id where the roster does not know it.
    pub fn name(&self, peer: PeerId) -> String {
        self.ever(peer).map_or_else(|| peer.to_string(), |member| member.card.name.to_string())
    }

    fn name_is_free(&self, name: &Name, id: PeerId) -> Result<(), Refusal> {
        match self.by_name(name.as_str()) {
            Some((other, _)) if other != id => Err(Refusal::NameTaken { name: name.clone() }),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn admit(&mut self, at: Timestamp, card: &PeerCard) -> Outcome {
        if self.0.contains_key(&card.id) {
            return Err(Refusal::IdTaken { id: card.id });
        }
        self.name_is_free(&card.name, card.id)?;
        // It has not started yet: until then its silence means nothing.
        let member = Member {
            card: card.clone(),
            standing: Standing::Stopped,
            since: at,
            joined_at: at,
            boot_id: None,
        };
        self.0.insert(card.id, member);
        Ok(Effect::Done)
    }

    pub(super) fn start(&mut self, context: &Context, card: &PeerCard) -> Outcome {
        self.name_is_free(&card.name, card.id)?;
        let others = self.members().filter(|(other, _)| *other != card.id);
        if others
            .into_iter()
            .any(|(_, other)| other.card.raft_id == card.raft_id && card.raft_id.0 != 0)
        {
            return Err(Refusal::NotAllowed {
                by: context.by,
                why: format!("store {} is another peer's", card.raft_id),
            });
        }
        let member = self.own_entry(context, card.id)?;
        if card.public_key != member.card.public_key {
            return Err(Refusal::NotAllowed { by: context.by, why: "a peer keeps its key".into() });
        }
        if card.generation < member.card.generation {
            return Err(Refusal::NotAllowed {
                by: context.by,
                why: format!("it was started {} times already", member.card.generation),
            });
        }
        member.card = card.clone();
        member.standing = Standing::Running;
        member.since = context.at;
        Ok(Effect::Done)
    }

    pub(super) fn boot(&mut self, context: &Context, peer: PeerId, boot_id: &str) -> Outcome {
        self.own_entry(context, peer)?.boot_id = Some(boot_id.to_owned());
        Ok(Effect::Done)
    }

    pub(super) fn stop(&mut self, context: &Context, peer: PeerId) -> Outcome {
        let member = self.own_entry(context, peer)?;
        member.standing = Standing::Stopped;
        member.since = context.at;
        Ok(Effect::Done)
    }

    pub(super) fn leave(&mut self, context: &Context, peer: PeerId) -> Outcome {
        self.own_entry(context, peer)?;
        self.remove(context.at, peer)
    }

    pub(super) fn remove(&mut self, at: Timestamp, peer: PeerId) -> Outcome {
        let Some(member) = self.0.get_mut(&peer).filter(|m| m.standing != Standing::Left) else {
            return Err(Refusal::UnknownPeer { peer: peer.to_string() });
        };
        if member.standing == Standing::Guest {
            return Err(Refusal::IsGuest { name: member.card.name.clone() });
        }
        member.standing = Standing::Left;
        member.since = at;
        Ok(Effect::Done)
    }

    /// Whether no guest of these documents has a member's name.
    pub(super) fn guests_are_free(
        &self,
        documents: &BTreeMap<DocumentKey, Document>,
    ) -> Result<(), Refusal> {
        for document in documents.values() {
            let Document::Guest(guest) = document else { continue };
            if self.members().any(|(_, member)| member.card.name == guest.name) {
                return Err(Refusal::NameTaken { name: guest.name.clone() });
            }
        }
        Ok(())
    }

    /// Takes in the guests that the documents of this revision name, and lets go those that they
    /// name no more. One that stays keeps its id, whatever else is said of it.
    pub(super) fn receive(&mut self, library: &Library, revision: u64, at: Timestamp) {
        let gone = |member: &Member| library.guests().all(|guest| guest.name != member.card.name);
        for member in self.0.values_mut() {
            if member.standing == Standing::Guest && gone(member) {
                member.standing = Standing::Left;
                member.since = at;
            }
        }
        for guest in library.guests() {
            let known = self.guests().find(|(_, member)| member.card.name == guest.name);
            let id = known.map_or_else(|| self.new_id(guest, revision), |(id, _)| id);
            let card = card_of(guest, id);
            let new = Member {
                card: card.clone(),
                standing: Standing::Guest,
                since: at,
                joined_at: at,
                boot_id: None,
            };
            self.0.entry(id).or_insert(new).card = card;
        }
    }

    /// An id that was never given: every replica has to find the same, so it is a hash and not
    /// drawn.
    fn new_id(&self, guest: &Guest, revision: u64) -> PeerId {
        let drawn = |turn: u64| {
            let mut hash = Sha256::new();
            hash.update(guest.name.as_str());
            hash.update(guest.surgeon);
            hash.update(revision.to_be_bytes());
            hash.update(turn.to_be_bytes());
            let mut bits = [0; 8];
            bits.copy_from_slice(&hash.finalize()[..8]);
            PeerId::from_random(u64::from_be_bytes(bits))
        };
        let mut ids = (0..).map(drawn);
        ids.find(|id| !self.0.contains_key(id)).unwrap_or_else(|| drawn(0))
    }

    /// The author's own entry: nobody speaks for another peer.
    fn own_entry(&mut self, context: &Context, peer: PeerId) -> Result<&mut Member, Refusal> {
        if context.by != peer {
            return Err(Refusal::NotAllowed {
                by: context.by,
                why: "a peer speaks for itself only".into(),
            });
        }
        self.0
            .get_mut(&peer)
            .filter(|member| !matches!(member.standing, Standing::Left | Standing::Guest))
            .ok_or_else(|| Refusal::UnknownPeer { peer: peer.to_string() })
    }
}

/// What the roster says of a guest: what its document does, and that it has no daemon.
fn card_of(guest: &Guest, id: PeerId) -> PeerCard {
    let address = guest.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    PeerCard {
        id,
        name: guest.name.clone(),
        labels: guest.labels.clone(),
        address: SocketAddr::new(address, 0),
        public_key: [0; 32],
        raft_id: RaftId(0),
        generation: 0,
        version: String::new(),
        cell: 0,
    }
}
