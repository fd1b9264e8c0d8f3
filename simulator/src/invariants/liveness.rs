//! Whatever fired ends: some time after the faults are over everything is repaired, handed to a
//! person who was told, or held by a rule that `explain` names; and nothing that is well again is
//! still called wrong.

use super::{Invariant, Observed, Step};
use protocol::{
    ledger::incident::{Incident, State, Subject},
    name::{Name, PeerId},
};
use std::collections::BTreeSet;

/// Looks at the end only.
#[derive(Debug)]
pub(super) struct Liveness;

/// How far a replica may be behind: what was committed in the last moment.
const BEHIND_MAX: u64 = 2;

impl Invariant for Liveness {
    fn name(&self) -> &'static str {
        "every condition comes to its end"
    }

    fn after(&mut self, _world: &dyn Observed, _step: &Step<'_>) -> Result<(), String> {
        Ok(())
    }

    fn at_end(&mut self, world: &dyn Observed) -> Result<(), String> {
        if !world.is_led() {
            return Err("nobody leads".to_owned());
        }
        for peer in world.peers() {
            let Some(replica) = world.replica(*peer) else { continue };
            let behind = world.committed().saturating_sub(replica.position().index);
            if behind > BEHIND_MAX {
                return Err(format!("{} is {behind} entries behind", world.name(*peer)));
            }
        }
        let ailing = world.ailing();
        for incident in world.truth().open_incidents() {
            well_held(world, incident, &ailing)?;
        }
        for (peer, check) in &ailing {
            if is_there(world, *peer) && !has_open(world, *peer, Subject::Check(check.clone())) {
                let who = world.name(*peer);
                return Err(format!("check {check} fails on {who} and no incident is open"));
            }
        }
        for peer in world.peers() {
            let silent = !world.runs(*peer) && !world.is_stopped(*peer);
            if silent && !has_open(world, *peer, Subject::Silence) {
                return Err(format!("{} is silent and no incident is open", world.name(*peer)));
            }
        }
        Ok(())
    }
}

/// Whether a host is there to be ill: a guest always is.
fn is_there(world: &dyn Observed, peer: PeerId) -> bool {
    world.runs(peer) || world.truth().roster().is_guest(peer)
}

fn has_open(world: &dyn Observed, peer: PeerId, subject: Subject) -> bool {
    let latest = world.truth().latest_about(peer, subject);
    // What an operator closed stays closed until the check has passed once.
    latest.is_some_and(|incident| incident.state != State::Resolved)
}

/// Whether an open incident is where it may stay, and is still about something.
fn well_held(
    world: &dyn Observed,
    incident: &Incident,
    ailing: &BTreeSet<(PeerId, Name)>,
) -> Result<(), String> {
    let runs = is_there(world, incident.peer);
    let is_wrong = match Subject::of(&incident.because) {
        Subject::Check(check) => !runs || ailing.contains(&(incident.peer, check)),
        Subject::Silence => !runs,
        // It has to be calm for a while first, and a leader that hears half of the mesh or less
        // does not know.
        Subject::Storm => world.truth().brake().is_some(),
        // Its checks may be those of other hosts.
        Subject::Ladder(_) => !ailing.is_empty(),
        // It is over when its rung has succeeded, whatever is wrong.
        // Whether a notifier takes something again is seen when there is something to tell.
        Subject::Operator(_) | Subject::Notifier(_) => true,
        Subject::Job(_, job) => {
            let known = world.truth().heartbeats().named(&job);
            known.is_some_and(|job| job.trouble.is_some())
        }
    };
    let shown = format!("{} about {}", incident.id, world.name(incident.peer));
    if !is_wrong {
        let state = incident.state.as_str();
        return Err(format!("{shown} is still {state}, and nothing is wrong any more"));
    }
    match incident.state {
        State::Escalated => {}
        State::Waiting if incident.held.is_some() => {}
        State::Open | State::Acting | State::Verifying | State::Waiting => {
            let state = incident.state.as_str();
            return Err(format!("{shown} is still {state}, and no rule holds it"));
        }
        State::Resolved | State::Closed => return Err(format!("{shown} is open and over")),
    }
    match incident.notices_due().next() {
        None => Ok(()),
        Some(notice) => Err(format!("{shown}: nobody was told of notice {}", notice.number)),
    }
}
