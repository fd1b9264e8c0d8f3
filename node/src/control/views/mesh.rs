//! The mesh itself: what an operator signs for, the Raft group, and plain answers.

use super::{SCHEMA, peer::Role};
use protocol::{
    agent::Agent,
    ledger::{Effect, Outcome},
    name::{PeerId, RaftId},
    record::Trust,
    time::{Now, Timestamp},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::control::api::Failure;

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustView {
    /// Rises with every change.
    pub version: u64,
    /// How many operators must sign documents.
    pub threshold: u32,
    /// The operators' public keys, in hexadecimal digits.
    pub operators: Vec<String>,
}

impl TrustView {
    fn of(trust: &Trust) -> Self {
        let operators = trust.operators.iter();
        Self {
            version: trust.version,
            threshold: trust.threshold,
            operators: operators.map(|key| data_encoding::HEXLOWER.encode(key)).collect(),
        }
    }
}

/// What an operator has to know in order to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshView {
    /// The version of this shape.
    pub schema: u32,
    /// The mesh's name.
    pub mesh: String,
    /// The fingerprint of its root, in hexadecimal digits.
    pub fingerprint: String,
    /// The documents' revision.
    pub revision: u64,
    /// The log's time: orders expire by it.
    pub now: Timestamp,
    /// Whose signatures count.
    pub trust: TrustView,
}

impl MeshView {
    /// The mesh, once it is founded.
    pub fn of(agent: &Agent, now: Now) -> Option<Self> {
        let mesh = agent.ledger().mesh()?;
        Some(Self {
            schema: SCHEMA,
            mesh: mesh.name.to_string(),
            fingerprint: data_encoding::HEXLOWER.encode(&mesh.root_fingerprint),
            revision: agent.ledger().library().revision(),
            now: agent.log_now(now),
            trust: TrustView::of(&mesh.trust),
        })
    }
}

/// A member of the Raft group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// The peer's name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its store's id.
    pub raft_id: String,
    /// What it is.
    pub role: Role,
}

/// The Raft group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersView {
    /// The version of this shape.
    pub schema: u32,
    /// The term.
    pub term: u64,
    /// The leader's name, if one is known.
    pub leader: Option<String>,
    /// The index up to which this peer has applied the log.
    pub applied: u64,
    /// The members, voters first.
    pub members: Vec<MemberView>,
}

impl MembersView {
    /// The Raft group, as this agent knows it.
    pub fn of(agent: &Agent) -> Self {
        let (standing, roster) = (agent.standing(), agent.ledger().roster());
        let leader = agent.led_by();
        let shown = |(peer, raft_id): (&PeerId, &RaftId), role: Role| MemberView {
            name: roster.name(*peer),
            id: peer.to_string(),
            raft_id: raft_id.to_string(),
            role: if leader == Some(*peer) { Role::Leader } else { role },
        };
        let voters = standing.voters.iter().map(|member| shown(member, Role::Voter));
        let learners = standing.learners.iter().map(|member| shown(member, Role::Learner));
        Self {
            schema: SCHEMA,
            term: standing.term,
            leader: leader.map(|leader| roster.name(leader)),
            applied: agent.ledger().position().index,
            members: voters.chain(learners).collect(),
        }
    }
}

/// What the daemon counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersView {
    /// The version of this shape.
    pub schema: u32,
    /// The counters by name.
    pub counters: BTreeMap<String, u64>,
}

impl CountersView {
    /// The daemon's counters and the agent's own.
    pub fn of(agent: &Agent, counters: &BTreeMap<String, u64>) -> Self {
        let mut counters = counters.clone();
        counters.insert("reports_dropped".to_owned(), agent.view().dropped);
        Self { schema: SCHEMA, counters }
    }
}

/// Documents were committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedView {
    /// The version of this shape.
    pub schema: u32,
    /// The revision that they became.
    pub revision: u64,
}

/// It is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneView {
    /// The version of this shape.
    pub schema: u32,
    /// Always true.
    pub done: bool,
}

/// What is answered when the log has taken or refused a record.
///
/// # Errors
/// The refusal, with its exit code.
pub fn effect(outcome: &Outcome) -> Result<Value, Failure> {
    match outcome {
        Ok(Effect::Revision(revision)) => Ok(json!({ "schema": SCHEMA, "revision": revision })),
        Ok(Effect::Opened(id)) => Ok(json!({ "schema": SCHEMA, "id": id })),
        Ok(Effect::Done) => Ok(json!({ "schema": SCHEMA, "done": true })),
        Ok(Effect::PassedOver(refused)) => match refused.first() {
            Some((_, refusal)) => Err(refusal.clone().into()),
            None => Ok(json!({ "schema": SCHEMA, "done": true })),
        },
        Err(refusal) => Err(refusal.clone().into()),
    }
}
