//! Peers as they are shown.

use super::SCHEMA;
use protocol::{
    agent::Agent,
    document::Verdict,
    ledger::roster::{Member, Standing},
    name::{IncidentId, Labels, PeerId},
    record::{Because, Seen},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether a peer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// Gossip hears of it.
    Alive,
    /// Gossip does not hear of it; nobody has looked yet.
    Suspect,
    /// The leader and its witnesses have seen for themselves that it does not answer.
    Silent,
    /// It was stopped on purpose.
    Left,
    /// It was let in, and its daemon was not started yet.
    Joined,
}

/// What a peer is in the Raft group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The elected voter.
    Leader,
    /// It votes.
    Voter,
    /// It is about to vote.
    Learner,
    /// It follows the log.
    Worker,
}

/// The worst of a peer's checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All pass.
    Passing,
    /// One warns.
    Warning,
    /// One fails.
    Failing,
    /// None has said anything, one cannot be run, or the peer is not there.
    Unknown,
}

impl PeerState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Silent => "silent",
            Self::Left => "left",
            Self::Joined => "joined",
        }
    }
}

impl Role {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Voter => "voter",
            Self::Learner => "learner",
            Self::Worker => "worker",
        }
    }
}

impl Health {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Failing => "failing",
            Self::Unknown => "unknown",
        }
    }
}

/// A peer in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRow {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Whether it is there.
    pub state: PeerState,
    /// What it is in the Raft group.
    pub role: Role,
    /// Its fault domain; empty when it has none.
    pub zone: String,
    /// Its labels.
    pub labels: Labels,
    /// Where it is reached.
    pub address: String,
    /// The worst of its checks.
    pub health: Health,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// The version of Hearten that it runs.
    pub version: String,
}

/// All peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeersView {
    /// The version of this shape.
    pub schema: u32,
    /// The peers, by name.
    pub peers: Vec<PeerRow>,
}

/// What a check says on a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// Its name.
    pub name: String,
    /// Its verdict.
    pub verdict: String,
    /// Since when, by the peer's time.
    pub since: Timestamp,
    /// The first lines of its latest output.
    pub summary: String,
    /// Whether the verdict comes and goes, so that no incident is opened about it.
    #[serde(default)]
    pub flapping: bool,
    /// The failing check that explains it, so that no incident is opened about it.
    #[serde(default)]
    pub muted_by: Option<String>,
}

/// Who saw a peer silent, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceView {
    /// The incident about it.
    pub incident: IncidentId,
    /// `crashed` or `dark`.
    pub kind: String,
    /// When it was first suspected.
    pub since: Timestamp,
    /// Who probed it directly.
    pub witnesses: Vec<super::TestimonyView>,
}

/// Everything about one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// The version of this shape.
    pub schema: u32,
    /// What the listing says.
    #[serde(flatten)]
    pub row: PeerRow,
    /// When it became a member.
    pub joined_at: Timestamp,
    /// How often its daemon was started.
    pub generation: u64,
    /// Its store's id in the Raft group.
    pub raft_id: String,
    /// Its public key, in hexadecimal digits.
    pub public_key: String,
    /// Facts of its host.
    pub facts: BTreeMap<String, String>,
    /// Its checks.
    pub checks: Vec<CheckView>,
    /// Who saw it silent, while it is.
    pub silence: Option<SilenceView>,
    /// Its incidents that are not over.
    pub open_incidents: Vec<IncidentId>,
}

/// The member that an operator means: by name, else by id.
pub fn find_peer<'a>(agent: &'a Agent, name: &str) -> Option<(PeerId, &'a Member)> {
    let roster = agent.ledger().roster();
    roster.by_name(name).or_else(|| {
        let peer = PeerId::parse(name).ok()?;
        roster.member(peer).map(|member| (peer, member))
    })
}

/// The word for what a probe saw.
pub(super) const fn seen(seen: Seen) -> &'static str {
    match seen {
        Seen::Reached => "reached",
        Seen::Refused => "refused",
        Seen::NoAnswer => "no answer",
        Seen::Heard => "heard",
        Seen::Abstained => "abstained",
        Seen::Unreachable => "not asked",
    }
}

fn state(agent: &Agent, peer: PeerId, member: &Member) -> (PeerState, Timestamp) {
    // What it was before this daemon began to listen, the log says: it runs since its start.
    let heard_since = || agent.view().changed(peer).unwrap_or(member.since).max(member.since);
    if member.standing != Standing::Running {
        let joined = member.has_not_started();
        return (if joined { PeerState::Joined } else { PeerState::Left }, member.since);
    }
    if let Some(silence) = agent.ledger().silence_of(peer) {
        return (PeerState::Silent, silence.because.since());
    }
    let heard = agent.view().is_alive(peer).unwrap_or_else(|| {
        // Before gossip has said anything, a report that came directly is a sign of life.
        agent.view().report(peer).is_some_and(|r| r.generation == member.card.generation)
    });
    // Gossip is slower than those who watch it, of whom this peer may be one.
    if peer == agent.card().id || (heard && !agent.is_suspected(peer)) {
        (PeerState::Alive, heard_since())
    } else {
        (PeerState::Suspect, heard_since())
    }
}

fn role(agent: &Agent, peer: PeerId) -> Role {
    let standing = agent.standing();
    if agent.led_by() == Some(peer) {
        Role::Leader
    } else if standing.voters.contains_key(&peer) {
        Role::Voter
    } else if standing.learners.contains_key(&peer) {
        Role::Learner
    } else {
        Role::Worker
    }
}

fn health(agent: &Agent, peer: PeerId, member: &Member, state: PeerState) -> Health {
    let there = matches!(state, PeerState::Alive | PeerState::Suspect);
    // What an earlier start of its daemon said holds no longer.
    let report =
        agent.view().report(peer).filter(|r| there && r.generation == member.card.generation);
    match report.and_then(protocol::report::Report::worst) {
        Some(Verdict::Pass) => Health::Passing,
        Some(Verdict::Warn) => Health::Warning,
        Some(Verdict::Fail) => Health::Failing,
        Some(Verdict::Unknown) | None => Health::Unknown,
    }
}

impl PeerRow {
    fn of(agent: &Agent, peer: PeerId, member: &Member) -> Self {
        let (state, since) = state(agent, peer, member);
        let card = &member.card;
        Self {
            name: card.name.to_string(),
            id: peer.to_string(),
            state,
            role: role(agent, peer),
            zone: member.zone().to_owned(),
            labels: card.labels.clone(),
            address: card.address.to_string(),
            health: health(agent, peer, member, state),
            since,
            version: card.version.clone(),
        }
    }

    /// Every member, by name.
    pub(super) fn all(agent: &Agent) -> Vec<Self> {
        let members = agent.ledger().roster().members();
        let mut rows: Vec<Self> =
            members.map(|(peer, member)| Self::of(agent, peer, member)).collect();
        rows.sort_by(|left, right| left.name.cmp(&right.name));
        rows
    }
}

impl PeersView {
    /// Every member.
    pub fn of(agent: &Agent) -> Self {
        Self { schema: SCHEMA, peers: PeerRow::all(agent) }
    }
}

impl PeerView {
    /// Everything about one member.
    pub fn of(agent: &Agent, peer: PeerId, member: &Member) -> Self {
        let report = agent.view().report(peer);
        let checks =
            report.iter().flat_map(|report| &report.checks).map(|(name, state)| CheckView {
                name: name.to_string(),
                verdict: state.verdict.as_str().to_owned(),
                since: state.since,
                summary: state.summary.clone(),
                flapping: state.flapping,
                muted_by: state.muted_by.as_ref().map(ToString::to_string),
            });
        let silence = agent.ledger().silence_of(peer).and_then(|incident| {
            let Because::Silent { kind, since, witnesses } = &incident.because else {
                return None;
            };
            Some(SilenceView {
                incident: incident.id,
                kind: kind.as_str().to_owned(),
                since: *since,
                witnesses: super::TestimonyView::all(agent, witnesses),
            })
        });
        let open = agent.ledger().open_incidents().filter(|incident| incident.peer == peer);
        Self {
            schema: SCHEMA,
            row: PeerRow::of(agent, peer, member),
            joined_at: member.joined_at,
            generation: member.card.generation,
            raft_id: member.card.raft_id.to_string(),
            public_key: data_encoding::HEXLOWER.encode(&member.card.public_key),
            facts: report.map_or_else(BTreeMap::new, |report| report.facts.clone()),
            checks: checks.collect(),
            silence,
            open_incidents: open.map(|incident| incident.id).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Sample;
    use super::*;

    fn show(sample: &Sample, named: &str) -> serde_json::Value {
        let (peer, member) = find_peer(&sample.agent, named).unwrap();
        serde_json::to_value(PeerView::of(&sample.agent, peer, member)).unwrap()
    }

    #[test]
    fn a_peer_is_shown_with_its_checks_and_facts() {
        let sample = Sample::with_failing_check();
        let json = show(&sample, "web-1");
        assert_eq!(json["schema"], 1);
        assert_eq!(json["name"], "web-1");
        assert_eq!(json["checks"][0]["name"], "web-alive");
        assert_eq!(json["checks"][0]["verdict"], "fail");
        assert_eq!(json["facts"]["kernel"], "6.12");
        assert_eq!(json["open_incidents"][0], sample.incident().to_string());
        assert!(json["silence"].is_null());
        let id = json["id"].as_str().unwrap();
        assert_eq!(show(&sample, id), json, "by its id as well");
        assert!(find_peer(&sample.agent, "nobody").is_none());
        let back: PeerView = serde_json::from_value(json).unwrap();
        assert_eq!(back.row.state, PeerState::Alive);
    }

    #[test]
    fn a_silent_peer_is_shown_with_who_saw_what_and_when() {
        let sample = Sample::with_silence();
        let json = show(&sample, "web-2");
        assert_eq!(json["state"], "silent");
        assert_eq!(json["health"], "unknown");
        assert_eq!(json["silence"]["kind"], "dark");
        let witness = &json["silence"]["witnesses"][0];
        assert_eq!(witness["witness"], "db-1");
        assert_eq!(witness["seen"], "no answer");
        assert_eq!(witness["at"], "2026-11-21T02:00:21.000Z");
    }
}
