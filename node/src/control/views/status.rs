//! `hearten status`: the headline and the peers.

use super::{MaintenanceRow, MaintenancesView, PeerRow, PeerState, SCHEMA, peer::Health};
use protocol::{
    agent::Agent,
    ledger::{Ledger, incident::State},
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// The mesh-wide stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenView {
    /// Since when.
    pub since: Timestamp,
    /// The operator's words.
    pub reason: String,
}

/// The storm brake: no neighbour acts on a silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrakeView {
    /// Since when.
    pub since: Timestamp,
    /// When it is released, unless another peer falls silent.
    pub until: Timestamp,
    /// How many peers are silent.
    pub silent: u32,
    /// The incident that tells of it, once it is opened.
    pub incident: Option<String>,
}

impl BrakeView {
    fn of(ledger: &Ledger) -> Option<Self> {
        let brake = ledger.brake()?;
        let Refusal::StormBrake { since, silent, until } = ledger.braking(brake) else {
            return None;
        };
        let incident = brake.incident.map(|incident| incident.to_string());
        Some(Self { since, until, silent, incident })
    }
}

/// How many incidents there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentCounts {
    /// Those that are not over.
    pub open: usize,
    /// Those of them that wait for a limit or a person.
    pub waiting: usize,
    /// Those of them that were handed to a person.
    #[serde(default)]
    pub escalated: usize,
}

/// How the mesh is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The version of this shape.
    pub schema: u32,
    /// The mesh's name; empty before it is founded.
    pub mesh: String,
    /// The peer that answers.
    #[serde(rename = "self")]
    pub own: String,
    /// The leader's name, if one is known.
    pub leader: Option<String>,
    /// The Raft term.
    pub term: u64,
    /// Whether there is a leader that a majority follows, as far as is known here.
    pub quorum: bool,
    /// The documents' revision.
    pub revision: u64,
    /// The mesh-wide stop, when it is on.
    pub frozen: Option<FrozenView>,
    /// The maintenances that are on now.
    #[serde(default)]
    pub maintenances: Vec<MaintenanceRow>,
    /// The storm brake, while it is engaged.
    #[serde(default)]
    pub brake: Option<BrakeView>,
    /// Why the outside dead-man's switch does not take the leader's calls, if it does not.
    #[serde(default)]
    pub check_in_problem: Option<String>,
    /// Why the host that answers does not serve HTTP, if it should.
    #[serde(default)]
    pub http_problem: Option<String>,
    /// Of which incidents nobody could be told, and why not.
    #[serde(default)]
    pub untold: Vec<String>,
    /// The members.
    pub peers: Vec<PeerRow>,
    /// The incidents.
    pub incidents: IncidentCounts,
}

impl StatusView {
    /// How the mesh is at a moment of the log's time, as this agent knows it.
    pub fn of(agent: &Agent, at: Timestamp) -> Self {
        let (ledger, standing) = (agent.ledger(), agent.standing());
        let count = |state: State| ledger.open_incidents().filter(|i| i.state == state).count();
        Self {
            schema: SCHEMA,
            mesh: ledger.mesh().map_or_else(String::new, |mesh| mesh.name.to_string()),
            own: agent.card().name.to_string(),
            leader: agent.led_by().map(|leader| ledger.roster().name(leader)),
            // After a start the log is known before anybody tells how the group stands.
            term: standing.term.max(ledger.position().term),
            quorum: agent.has_quorum(),
            revision: ledger.library().revision(),
            frozen: ledger
                .frozen()
                .map(|freeze| FrozenView { since: freeze.since, reason: freeze.reason.clone() }),
            maintenances: MaintenancesView::on_now(agent, at),
            brake: BrakeView::of(ledger),
            check_in_problem: agent.check_in_problem().map(str::to_owned),
            http_problem: None,
            untold: ledger
                .open_incidents()
                .filter_map(|incident| {
                    Some(format!("{}: {}", incident.id, agent.untold(incident)?))
                })
                .collect(),
            peers: PeerRow::all(agent),
            incidents: IncidentCounts {
                open: ledger.open_incidents().count(),
                waiting: count(State::Waiting),
                escalated: count(State::Escalated),
            },
        }
    }

    /// The whole in one line.
    pub fn headline(&self) -> String {
        let leader = match &self.leader {
            Some(leader) if self.quorum => format!("leader {leader} (term {})", self.term),
            Some(leader) => format!("leader {leader} without a quorum (term {})", self.term),
            None => format!("no leader (term {})", self.term),
        };
        let alive = self.peers.iter().filter(|peer| peer.state == PeerState::Alive).count();
        let open = match self.incidents.open {
            1 => "1 open incident".to_owned(),
            open => format!("{open} open incidents"),
        };
        let mut parts = vec![
            format!("mesh {}", self.mesh),
            leader,
            format!("{}, {alive} alive", counted(self.peers.len(), "peer")),
            format!("revision {}", self.revision),
            open,
        ];
        if let Some(frozen) = &self.frozen {
            parts.push(format!("FROZEN since {}: {}", frozen.since, frozen.reason));
        }
        if let Some(BrakeView { since, until, silent, .. }) = &self.brake {
            parts.push(format!(
                "STORM BRAKE since {since}: {silent} peers silent, no neighbour acts before {until}"
            ));
        }
        if let Some(problem) = &self.check_in_problem {
            parts.push(format!("CHECK-IN FAILS: {problem}"));
        }
        if let Some(problem) = &self.http_problem {
            parts.push(format!("NO HTTP on {}: {problem}", self.own));
        }
        parts.extend(self.untold.iter().map(|untold| format!("NOT TOLD of {untold}")));
        parts.join(" · ")
    }

    /// What a monitoring plugin would say: 0 fine, 1 worth a look, 2 broken.
    pub fn plugin_code(&self) -> u8 {
        let any_state = |state: PeerState| self.peers.iter().any(|peer| peer.state == state);
        let any_health = |health: Health| self.peers.iter().any(|peer| peer.health == health);
        let broken = !self.quorum
            || any_state(PeerState::Silent)
            || any_health(Health::Failing)
            || self.incidents.waiting + self.incidents.escalated > 0;
        let worth_a_look = self.frozen.is_some()
            || self.brake.is_some()
            || self.check_in_problem.is_some()
            || self.http_problem.is_some()
            || !self.untold.is_empty()
            || self.incidents.open > 0
            || any_state(PeerState::Suspect)
            || any_health(Health::Warning);
        if broken { 2 } else { u8::from(worth_a_look) }
    }
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::super::{
        MembersView, Role,
        testing::{Sample, name},
    };
    use super::*;
    use serde_json::json;

    #[test]
    fn the_status_is_the_one_of_the_contract() {
        let sample = Sample::with_failing_check();
        let status = StatusView::of(&sample.agent, sample.now().wall);
        assert_eq!(
            status.headline(),
            "mesh prod · leader db-1 (term 1) · 3 peers, 2 alive · revision 1 · 1 open incident"
        );
        assert_eq!(status.plugin_code(), 2);
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["schema"], 1);
        assert_eq!(json["self"], "db-1");
        assert_eq!(json["frozen"], json!(null));
        assert_eq!(json["incidents"], json!({ "open": 1, "waiting": 0, "escalated": 0 }));
        let states: Vec<(&str, &str, &str, &str)> = json["peers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|peer| {
                let text = |key: &str| peer[key].as_str().unwrap();
                (text("name"), text("state"), text("role"), text("health"))
            })
            .collect();
        assert_eq!(
            states,
            [
                ("db-1", "alive", "leader", "unknown"),
                ("web-1", "alive", "voter", "failing"),
                ("web-2", "suspect", "worker", "unknown"),
            ]
        );
        assert_eq!(json["peers"][1]["labels"], json!({ "role": "web", "zone": "a" }));
        assert_eq!(json["peers"][1]["zone"], "a");
        assert_eq!(json["peers"][1]["address"], "10.0.0.2:4327");
        let back: StatusView = serde_json::from_value(json).unwrap();
        assert_eq!(back, status);
    }

    #[test]
    fn a_stopped_peer_shows_as_left_and_a_removed_one_not_at_all() {
        let mut sample = Sample::with_failing_check();
        sample.stop("web-2");
        let state = |sample: &Sample, peer: &str| {
            let peers = StatusView::of(&sample.agent, sample.now().wall).peers;
            peers.into_iter().find(|row| row.name == peer).map(|row| row.state)
        };
        assert_eq!(state(&sample, "web-2"), Some(PeerState::Left));
        sample.remove("web-2");
        assert_eq!(state(&sample, "web-2"), None);
        assert!(sample.agent.ledger().roster().by_name(name("web-1").as_str()).is_some());
    }

    #[test]
    fn who_was_let_in_and_never_started_has_joined_and_not_left() {
        let mut sample = Sample::quiet();
        sample.join(4, "web-3");
        let row = |sample: &Sample| {
            let peers = StatusView::of(&sample.agent, sample.now().wall).peers;
            peers.into_iter().find(|row| row.name == "web-3").unwrap()
        };
        let joined = row(&sample);
        assert_eq!(joined.state, PeerState::Joined);
        assert_eq!(serde_json::to_value(&joined).unwrap()["state"], "joined");
        sample.stop("web-3");
        assert_eq!(row(&sample).state, PeerState::Left);
    }

    #[test]
    fn a_maintenance_that_is_on_is_told_with_whom_it_covers() {
        let mut sample = Sample::quiet();
        assert!(StatusView::of(&sample.agent, sample.now().wall).maintenances.is_empty());
        sample.maintain("kernel", "web");
        let status = StatusView::of(&sample.agent, sample.now().wall);
        let told = &status.maintenances[0];
        assert_eq!((told.name.as_str(), told.peers), ("kernel", 2));
        assert_eq!((told.covers.as_str(), told.reason.as_str()), ("web-1, web-2", "new kernel"));
        let until = told.until.unwrap();
        assert!(StatusView::of(&sample.agent, until).maintenances.is_empty(), "it is over");
        sample.maintain("kernel", "nobody");
        let status = StatusView::of(&sample.agent, sample.now().wall);
        assert_eq!(status.maintenances[0].covers, "nobody at the moment");
    }

    #[test]
    fn a_peer_is_there_since_its_start_and_not_since_it_was_first_heard_here() {
        let mut sample = Sample::quiet();
        let since = |sample: &Sample| {
            let peers = StatusView::of(&sample.agent, sample.now().wall).peers;
            peers.into_iter().find(|row| row.name == "web-1").unwrap().since
        };
        let started = sample.agent.ledger().roster().by_name("web-1").unwrap().1.since;
        assert_eq!(since(&sample), started);
        sample.hear(2, false);
        sample.hear(2, true);
        assert!(since(&sample) > started, "it was missed and is back");
    }

    #[test]
    fn who_froze_the_mesh_first_is_told() {
        let mut sample = Sample::quiet();
        sample.freeze("storm");
        let first = StatusView::of(&sample.agent, sample.now().wall).frozen;
        sample.freeze("another reason");
        assert_eq!(StatusView::of(&sample.agent, sample.now().wall).frozen, first);
    }

    #[test]
    fn a_freeze_is_in_the_headline() {
        let mut sample = Sample::quiet();
        let calm = StatusView::of(&sample.agent, sample.now().wall);
        assert_eq!(calm.plugin_code(), 1, "web-2 was never heard of");
        sample.freeze("storm");
        let status = StatusView::of(&sample.agent, sample.now().wall);
        assert!(status.headline().ends_with(": storm"), "{}", status.headline());
        assert_eq!(status.frozen.unwrap().reason, "storm");
    }

    #[test]
    fn the_storm_brake_and_a_check_in_that_fails_are_in_the_headline() {
        let mut sample = Sample::quiet();
        sample.storm();
        let status = StatusView::of(&sample.agent, sample.now().wall);
        let headline = status.headline();
        assert!(headline.contains("STORM BRAKE since"), "{headline}");
        assert!(headline.contains(": 2 peers silent, no neighbour acts before"), "{headline}");
        let brake = status.brake.clone().unwrap();
        assert!(brake.incident.is_some() && brake.until > brake.since);
        assert_eq!(status.plugin_code(), 2, "a person has to look");
        let failing = "3 calls failed since yesterday: refused".to_owned();
        let status = StatusView { check_in_problem: Some(failing), ..status };
        let headline = status.headline();
        assert!(headline.ends_with("CHECK-IN FAILS: 3 calls failed since yesterday: refused"));
        let untold = vec!["INC-7: nobody could be told: notifier \"ops\": refused".to_owned()];
        let quiet = Sample::quiet();
        let status = StatusView { untold, ..StatusView::of(&quiet.agent, quiet.now().wall) };
        let headline = status.headline();
        assert!(
            headline
                .ends_with("NOT TOLD of INC-7: nobody could be told: notifier \"ops\": refused")
        );
    }

    #[test]
    fn without_a_leader_there_is_no_quorum() {
        let mut sample = Sample::quiet();
        sample.stand(None);
        let status = StatusView::of(&sample.agent, sample.now().wall);
        assert!(!status.quorum && status.leader.is_none());
        assert!(status.headline().contains("no leader"));
        assert_eq!(status.plugin_code(), 2);
    }

    #[test]
    fn who_was_stopped_or_is_not_heard_does_not_lead_whatever_the_group_last_said() {
        let told = |sample: &Sample| {
            let status = StatusView::of(&sample.agent, sample.now().wall);
            let leads = status.peers.iter().any(|peer| peer.role == Role::Leader);
            let members = MembersView::of(&sample.agent);
            assert_eq!(members.leader, status.leader);
            let member = members.members.iter().any(|member| member.role == Role::Leader);
            assert_eq!((leads, member), (status.leader.is_some(), status.leader.is_some()));
            (status.leader, status.quorum)
        };
        let mut sample = Sample::quiet();
        sample.stand(Some(2));
        assert_eq!(told(&sample), (Some("web-1".to_owned()), true));
        sample.hear(2, false);
        assert_eq!(told(&sample), (None, false), "gossip does not hear it");
        sample.hear(2, true);
        assert_eq!(told(&sample), (Some("web-1".to_owned()), true));
        sample.stop("web-1");
        assert_eq!(told(&sample), (None, false), "it was stopped");
        assert!(StatusView::of(&sample.agent, sample.now().wall).headline().contains("no leader"));
    }

    #[test]
    fn a_leader_whom_half_of_the_voters_left_has_no_quorum() {
        let mut sample = Sample::quiet();
        sample.vote(&[2, 3], Some(2));
        assert!(
            StatusView::of(&sample.agent, sample.now().wall).quorum,
            "nothing is known of web-2"
        );
        sample.hear(3, false);
        let status = StatusView::of(&sample.agent, sample.now().wall);
        assert_eq!((status.leader.as_deref(), status.quorum), (Some("web-1"), false));
        assert!(status.headline().contains("leader web-1 without a quorum (term 1)"));
    }
}
