//! What running a runbook would come to now: its rungs, and every rule with its answer.

use crate::{
    document::{Action, Command, Power, Rung},
    ledger::{Ledger, limits::RULES},
    name::{Name, PeerId},
    refusal::Refusal,
    time::{Timestamp, format_span},
};

/// A rung of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The rung's name.
    pub rung: String,
    /// What it does, in words.
    pub does: String,
    /// Who does it: `affected`, `neighbour` or `leader`.
    pub by: &'static str,
    /// What else is said of it.
    pub notes: Vec<String>,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which rule.
    pub rule: &'static str,
    /// Why it forbids the first rung now; nothing where it permits it.
    pub refusal: Option<Refusal>,
}

/// What would be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The rungs, in their order.
    pub steps: Vec<Step>,
    /// Every rule, in the order in which they are asked.
    pub answers: Vec<Answer>,
}

/// What an operator's order to run this runbook for this peer would come to at `at`.
///
/// The very functions that the leader asks are asked here, about a copy of the ledger in which the
/// order was given.
///
/// # Errors
/// The [`Refusal`] of the order itself: no such runbook, not for this peer, open already.
pub fn plan(ledger: &Ledger, runbook: &Name, peer: PeerId, at: Timestamp) -> Result<Plan, Refusal> {
    let (copy, id) = ledger.as_if_ordered(runbook, peer, at)?;
    let incident = copy.incidents().get(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
    let rungs = incident.plan.iter().flat_map(|plan| &plan.rungs);
    let answers = RULES
        .iter()
        .map(|rule| Answer { rule: rule.name, refusal: rule.permits(&copy, incident, at).err() });
    Ok(Plan { steps: rungs.map(step).collect(), answers: answers.collect() })
}

fn step(rung: &Rung) -> Step {
    let mut notes = vec![format!("at most {}", format_span(rung.timeout))];
    if !rung.settle.is_zero() {
        notes.push(format!("settles for {}", format_span(rung.settle)));
    }
    if let Some(approve) = &rung.approve {
        notes.push(format!("after approval within {}", format_span(approve.within)));
    }
    for (written, note) in [(&rung.verify, "verified by"), (&rung.undo, "undone by")] {
        if let Some(command) = written {
            notes.push(format!("{note} {}", in_words(command)));
        }
    }
    let does = match &rung.action {
        Action::Run(command) => format!("runs {}", in_words(command)),
        Action::Notify(notifier) => {
            notes.clear();
            format!("tells a person by notifier \"{notifier}\"")
        }
        Action::Heal => "runs the heal phase of the check's plugin".to_owned(),
        Action::Http(call) => format!("requests {} {}", call.method, call.url),
        Action::Fence(fence) => match fence.power {
            Power::Off => format!("switches the host off by {} and verifies it", fence.agent),
            Power::On => format!("switches the host on by {} and verifies it", fence.agent),
            Power::Reboot => {
                format!("switches the host off and on by {} and verifies both", fence.agent)
            }
        },
        Action::Wake(_) => "wakes the host by its network card".to_owned(),
        Action::Ssh(ssh) => format!("runs, as {} on the host: {}", ssh.user, ssh.command),
    };
    Step { rung: rung.name.clone(), does, by: rung.by.as_str(), notes }
}

fn in_words(command: &Command) -> String {
    match command {
        Command::Script(script) => match script.trim().split_once('\n') {
            Some((first, _)) => format!("{first} …"),
            None => script.trim().to_owned(),
        },
        Command::Argv(argv) => argv.join(" "),
    }
}
