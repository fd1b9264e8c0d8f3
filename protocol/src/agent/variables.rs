//! What a script is told, in its environment: `HEARTEN_PEER` and the like.

use super::{Agent, output::Variables};
use crate::{
    document::Check,
    ledger::incident::{Attempt, Incident},
    name::PeerId,
    record::Because,
};

/// What a check's program is told.
pub(super) fn for_check(agent: &Agent, check: &Check) -> Variables {
    let mut variables = about_peer(agent, agent.card.id);
    set(&mut variables, "CHECK", check.name.to_string());
    variables
}

/// What a rung, or the evidence before it, is told.
pub(super) fn for_incident(
    agent: &Agent,
    incident: &Incident,
    attempt: Option<&Attempt>,
) -> Variables {
    let mut variables = about_peer(agent, incident.peer);
    set(&mut variables, "INCIDENT", incident.id.to_string());
    if let Some(plan) = &incident.plan {
        set(&mut variables, "RUNBOOK", plan.name.to_string());
    }
    match &incident.because {
        Because::Check { check, verdict, .. } => {
            set(&mut variables, "CHECK", check.to_string());
            set(&mut variables, "VERDICT", verdict.as_str().to_owned());
        }
        Because::Silent { kind, .. } => {
            set(&mut variables, "VERDICT", kind.as_str().to_owned());
        }
    }
    if let Some(attempt) = attempt {
        set(&mut variables, "ATTEMPT", attempt.number.to_string());
        if let Some(rung) = incident.rung(attempt.rung) {
            set(&mut variables, "RUNG", rung.name.clone());
        }
    }
    variables
}

fn about_peer(agent: &Agent, peer: PeerId) -> Variables {
    let mut variables = Variables::new();
    set(&mut variables, "WORKER", agent.card.name.to_string());
    let card = agent.ledger.roster().ever(peer).map_or(&agent.card, |member| &member.card);
    set(&mut variables, "PEER", card.name.to_string());
    set(&mut variables, "PEER_ADDRESS", card.address.ip().to_string());
    for (key, value) in &card.labels {
        set(&mut variables, &format!("LABEL_{}", key.to_ascii_uppercase()), value.clone());
    }
    variables
}

fn set(variables: &mut Variables, name: &str, value: String) {
    variables.insert(format!("HEARTEN_{name}"), value);
}
