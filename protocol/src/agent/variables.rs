//! What a script is told, in its environment: `HEARTEN_PEER` and the like.

use super::{Agent, output::Variables};
use crate::{
    document::{Check, Scope, params},
    ledger::incident::{Attempt, Incident},
    name::PeerId,
    record::{Because, Part},
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
    let rung = attempt.and_then(|attempt| incident.rung(attempt.rung));
    let level = rung.and_then(|rung| rung.level.as_ref());
    let target = level.and_then(|level| level.target).unwrap_or(incident.peer);
    let mut variables = about_peer(agent, target);
    set(&mut variables, "INCIDENT", incident.id.to_string());
    if let Some(plan) = &incident.plan {
        let runbook = level.map_or(&plan.name, |level| &level.runbook);
        set(&mut variables, "RUNBOOK", runbook.to_string());
        let affected = agent.ledger.roster().ever(incident.peer);
        let values = affected.map(|affected| {
            params::resolve(&plan.params, &affected.card.labels, &incident.because, &incident.told)
        });
        // One that does not resolve was refused before anything was given out.
        for (name, value) in values.into_iter().flatten().flatten() {
            set(&mut variables, &format!("PARAM_{}", name.to_ascii_uppercase()), value);
        }
    }
    match &incident.because {
        Because::Check { check, verdict, .. } => {
            set(&mut variables, "CHECK", check.to_string());
            set(&mut variables, "VERDICT", verdict.as_str().to_owned());
        }
        Because::Silent { kind, .. } => {
            set(&mut variables, "VERDICT", kind.as_str().to_owned());
        }
        Because::Ladder { ladder, failing, .. } => {
            set(&mut variables, "LADDER", ladder.to_string());
            if let Some(first) = failing.first() {
                set(&mut variables, "CHECK", first.check.to_string());
            }
            let meant = agent.ledger.library().ladder(ladder);
            let number = level.map_or(0, |level| level.number);
            if let Some(Scope::Group(label)) = meant.and_then(|l| l.level(number)).map(|l| &l.scope)
            {
                let member = agent.ledger.roster().ever(target);
                let value = member.and_then(|member| member.card.labels.get(label));
                set(&mut variables, "GROUP", value.cloned().unwrap_or_default());
            }
        }
        Because::Operator { check: Some(check), .. } => {
            set(&mut variables, "CHECK", check.to_string());
        }
        Because::Job { check, job, .. } => {
            set(&mut variables, "CHECK", check.to_string());
            set(&mut variables, "VERDICT", "fail".to_owned());
            set(&mut variables, "JOB", job.clone());
        }
        Because::Operator { check: None, .. } | Because::Storm { .. } | Because::Untold { .. } => {}
    }
    if let Some(level) = level {
        set(&mut variables, "LEVEL", level.number.to_string());
    }
    if let Some(attempt) = attempt {
        set(&mut variables, "ATTEMPT", attempt.number.to_string());
        if attempt.part != Part::Act {
            set(&mut variables, "PART", attempt.part.as_str().to_owned());
        }
    }
    if let Some(rung) = rung {
        set(&mut variables, "RUNG", rung.name.clone());
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
