//! The questions that the agent's own knowledge answers, without asking anybody else.
//!
//! The ledger is at hand on every peer, so looking works without a leader too: an operator can
//! read what happened while the mesh has no quorum.

use super::{
    api::{Answer, Failure, Request},
    exit::Exit,
    views::{
        AlertsView, ChecksView, CountersView, DifferenceView, DocumentView, DocumentsView,
        ExplainView, Filter, GuestsView, HeartbeatView, HeartbeatsView, HistoryView, IncidentView,
        IncidentsView, MaintenancesView, MembersView, MeshView, PeerView, PeersView, PlanView,
        PreviewView, RollbackView, RunbooksView, StatusView, WhyNotView, find_peer,
    },
};
use protocol::{
    agent::Agent, ledger::incident::Incident, name::IncidentId, refusal::Refusal, time::Now,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer to a question about what is known; nothing for those that change something, which
/// the daemon has to carry out.
pub fn read(
    agent: &Agent,
    now: Now,
    counters: &BTreeMap<String, u64>,
    request: &Request,
) -> Option<Answer> {
    Some(match request {
        Request::Status => json(&StatusView::of(agent, agent.log_now(now))),
        Request::Peers => json(&PeersView::of(agent)),
        Request::Peer { name } => match find_peer(agent, name) {
            Some((peer, member)) => json(&PeerView::of(agent, peer, member)),
            None => Err(no_peer(name)),
        },
        Request::Incidents { open, peer, since } => {
            let peer = match peer {
                None => None,
                Some(name) => match known_peer(agent, name) {
                    Some(peer) => Some(peer),
                    None => return Some(Err(no_peer(name))),
                },
            };
            json(&IncidentsView::of(agent, now, Filter { open: *open, peer, since: *since }))
        }
        Request::Incident { id } => {
            incident(agent, *id).and_then(|found| json(&IncidentView::of(agent, now, found)))
        }
        Request::Explain { id } => {
            incident(agent, *id).and_then(|found| json(&ExplainView::of(agent, now, found)))
        }
        Request::WhyNot { check, peer } => match find_peer(agent, peer) {
            Some((peer, _)) => WhyNotView::of(agent, now, check, peer).and_then(|view| json(&view)),
            None => Err(no_peer(peer)),
        },
        Request::Documents => json(&DocumentsView::of(agent)),
        Request::Document { key } => match DocumentView::of(agent, key) {
            Some(view) => json(&view),
            None => Err(Refusal::UnknownDocument { key: key.clone() }.into()),
        },
        Request::History => json(&HistoryView::of(agent)),
        Request::Mesh => match MeshView::of(agent, now) {
            Some(view) => json(&view),
            None => Err(Refusal::NotFounded.into()),
        },
        Request::Preview { sources } => json(&PreviewView::of(agent, sources)),
        Request::Difference { from, to } => {
            let latest = agent.ledger().library().revision();
            let to = to.unwrap_or(latest);
            match DifferenceView::of(agent, *from, to) {
                Some(view) => json(&view),
                None => Err(no_revision((*from).max(to), latest)),
            }
        }
        Request::Rollback { revision } => match RollbackView::of(agent, *revision) {
            Some(view) => json(&view),
            None => Err(no_revision(*revision, agent.ledger().library().revision())),
        },
        Request::Runbooks => json(&RunbooksView::of(agent)),
        Request::Plan { runbook, peer } => match find_peer(agent, peer) {
            Some((peer, _)) => match PlanView::of(agent, runbook, peer, agent.log_now(now)) {
                Ok(view) => json(&view),
                Err(refusal) => Err(refusal.into()),
            },
            None => Err(no_peer(peer)),
        },
        Request::Maintenances => json(&MaintenancesView::of(agent, agent.log_now(now))),
        Request::Guests => json(&GuestsView::of(agent)),
        Request::Alerts => json(&AlertsView::of(agent, agent.log_now(now))),
        Request::Heartbeats => json(&HeartbeatsView::of(agent, agent.log_now(now))),
        Request::Heartbeat { name } => match HeartbeatView::of(agent, name, agent.log_now(now)) {
            Some(view) => json(&view),
            None => Err(Refusal::NoSuchJob { job: name.chars().take(80).collect() }.into()),
        },
        Request::Checks => json(&ChecksView::of(agent)),
        Request::RaftMembers => json(&MembersView::of(agent)),
        Request::Counters => json(&CountersView::of(agent, counters)),
        Request::Apply { .. }
        | Request::Order { .. }
        | Request::Leave
        | Request::PauseHeartbeat { .. }
        | Request::Evidence { .. }
        | Request::Signal { .. }
        | Request::Streams
        | Request::RunCheck { .. } => return None,
    })
}

/// A view as it is answered.
///
/// # Errors
/// When it is not one that JSON can hold: a mistake of ours.
pub(crate) fn json(view: &impl Serialize) -> Answer {
    serde_json::to_value(view).map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

fn incident(agent: &Agent, id: IncidentId) -> Result<&Incident, Failure> {
    let found = agent.ledger().incidents().get(&id);
    found.ok_or_else(|| Refusal::UnknownIncident { incident: id }.into())
}

/// A peer whose incidents are asked for may have left long ago.
fn known_peer(agent: &Agent, name: &str) -> Option<protocol::name::PeerId> {
    find_peer(agent, name).map(|(peer, _)| peer).or_else(|| {
        let roster = agent.ledger().roster();
        let affected = agent.ledger().incidents().values().rev().map(|incident| incident.peer);
        affected.into_iter().find(|peer| roster.name(*peer) == name || peer.to_string() == name)
    })
}

fn no_revision(wanted: u64, latest: u64) -> Failure {
    Failure::not_found(format!("there is no revision {wanted}: the latest is {latest}"))
}

fn no_peer(name: &str) -> Failure {
    Failure::not_found(format!("there is no peer \"{name}\": `hearten peer list` names them"))
}
