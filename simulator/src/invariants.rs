//! What must hold, one property a file, checked after every step of every agent.
//!
//! An invariant looks at the world and at what the agent of the last step wants done. It keeps its
//! own books: nothing that it judges by comes from the code that it judges, except where the
//! ledger itself is the subject.

mod attested;
mod authorised;
mod brake;
mod cooldown;
mod equal_ledgers;
mod evidence_first;
mod forgotten;
mod frozen;
mod heartbeats;
mod limits;
mod liveness;
mod minority;
mod notices;
mod observed;
mod once;
mod quiet;
mod streams;
mod surgeons;
mod terms;
mod verified;

pub use observed::{AttemptKey, CallingJob, Flow, Logged, MESSAGE, Observed, Operation};

use protocol::{
    agent::Output,
    codec,
    ledger::{
        Ledger,
        incident::{Attempt, Incident},
    },
    name::PeerId,
    record::{Entry, Record},
};
use sha2::{Digest, Sha256};

/// One step of one agent.
#[derive(Debug)]
pub struct Step<'a> {
    /// Whose.
    pub peer: PeerId,
    /// What it wants done.
    pub outputs: &'a [Output],
    /// Whether it applied something of the log.
    pub applied: bool,
}

/// A property of the whole mesh.
pub trait Invariant: Send {
    /// What the report calls it.
    fn name(&self) -> &'static str;

    /// Looks at the world after a step.
    ///
    /// # Errors
    /// What does not hold.
    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String>;

    /// Looks at the world when everything should have come to its end.
    ///
    /// # Errors
    /// What does not hold.
    fn at_end(&mut self, _world: &dyn Observed) -> Result<(), String> {
        Ok(())
    }
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

/// All of them.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(once::Once::default()),
        Box::new(limits::Limits),
        Box::new(evidence_first::EvidenceFirst),
        Box::new(attested::Attested),
        Box::new(frozen::Frozen),
        Box::new(heartbeats::Heartbeats::default()),
        Box::new(forgotten::Forgotten::default()),
        Box::new(brake::Brake::default()),
        Box::new(minority::Minority::default()),
        Box::new(liveness::Liveness),
        Box::new(authorised::Authorised::default()),
        Box::new(cooldown::CoolDown::default()),
        Box::new(equal_ledgers::EqualLedgers),
        Box::new(notices::Notices::default()),
        Box::new(quiet::Quiet::default()),
        Box::new(streams::Streams::default()),
        Box::new(surgeons::Surgeons::default()),
        Box::new(terms::Terms::default()),
        Box::new(verified::Verified::default()),
    ]
}

/// The incident and the attempt of every execution that begins in this step, as the committed log
/// knows them.
fn executions<'w>(
    world: &'w dyn Observed,
    step: &Step<'_>,
) -> Vec<Result<(&'w Incident, &'w Attempt), String>> {
    let orders = step.outputs.iter().filter_map(|output| match output {
        Output::Execute(order) => Some(order),
        Output::RunCheck { .. }
        | Output::Publish(_)
        | Output::Watch { .. }
        | Output::Suspect { .. }
        | Output::StepDown { .. }
        | Output::Probe { .. }
        | Output::AskWitness { .. }
        | Output::Propose { .. }
        | Output::Forward { .. }
        | Output::RecordStart { .. }
        | Output::TakeEvidence { .. }
        | Output::Notify { .. }
        | Output::CheckIn(_)
        | Output::ChangeMembers(_) => None,
    });
    orders
        .map(|order| {
            let missing = || {
                let (incident, attempt) = (order.incident, order.attempt);
                format!("attempt {attempt} of {incident} is executed and not in the log")
            };
            let incident = world.truth().incidents().get(&order.incident).ok_or_else(missing)?;
            let attempt = incident.attempts.iter().find(|a| a.number == order.attempt);
            Ok((incident, attempt.ok_or_else(missing)?))
        })
        .collect()
}

/// A ledger's fingerprint: equal for equal ledgers only.
pub fn fingerprint(ledger: &Ledger) -> [u8; 32] {
    Sha256::digest(codec::encode(ledger)).into()
}

/// How many peers beside the leader and the peer itself could see what an entry says of a peer, if
/// it opens an incident.
pub fn able_to_attest(before: &Ledger, entry: &Entry) -> Option<usize> {
    let Record::Opened { peer, .. } = &entry.record else { return None };
    let able = before
        .roster()
        .running()
        .map(|(other, _)| other)
        .filter(|other| other != peer && *other != entry.by && !before.is_silent(*other));
    Some(able.count())
}
