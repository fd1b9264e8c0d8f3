//! Who is a member of the mesh, and who was.

use super::{Context, Effect, Outcome};
use crate::{
    document::Selector,
    name::{Name, PeerId},
    record::PeerCard,
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether a member is expected to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Its daemon was started and has not said goodbye: its silence means something.
    Running,
    /// It stopped on purpose; its silence is expected.
    Stopped,
    /// It is a member no more. The entry stays, so that its id is never given again.
    Left,
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
}

/// Every peer that is or was a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster(BTreeMap<PeerId, Member>);

impl Roster {
    /// The members, without those that have left.
    pub fn members(&self) -> impl Iterator<Item = (PeerId, &Member)> {
        self.0
            .iter()
            .filter(|(_, member)| member.standing != Standing::Left)
            .map(|(peer, member)| (*peer, member))
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

    /// A member, unless it has left.
    pub fn member(&self, peer: PeerId) -> Option<&Member> {
        self.0.get(&peer).filter(|member| member.standing != Standing::Left)
    }

    /// Any peer that is or was a member.
    pub fn ever(&self, peer: PeerId) -> Option<&Member> {
        self.0.get(&peer)
    }

    /// The member with this name, unless it has left.
    pub fn by_name(&self, name: &str) -> Option<(PeerId, &Member)> {
        self.members().find(|(_, member)| member.card.name.as_str() == name)
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
        member.standing = Standing::Left;
        member.since = at;
        Ok(Effect::Done)
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
            .filter(|member| member.standing != Standing::Left)
            .ok_or_else(|| Refusal::UnknownPeer { peer: peer.to_string() })
    }
}
