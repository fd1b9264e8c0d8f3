//! The checks of this peer, as the documents in force and the open incidents want them run.

use super::{Agent, Output, variables};
use crate::{
    document::{Check, Document, Probe},
    ledger::incident::{Incident, State},
    name::{Name, PeerId},
    record::Because,
    time::Now,
};
use std::time::Duration;

impl Agent {
    pub(super) fn run_checks(&mut self, now: Now, out: &mut Vec<Output>) {
        let revision = self.ledger.library().revision();
        if self.checks_of != Some(revision) {
            self.checks_of = Some(revision);
            let mine = self.own_checks();
            self.checks.set(mine.into_iter(), now.mono, self.card.id.bits());
        }
        let at = self.clock.now(now);
        if self.checks.expire(now.mono, at) {
            self.tell(now, out);
        }
        for check in self.checks.due(now.mono) {
            let variables = variables::for_check(self, &check);
            out.push(Output::RunCheck { check, variables });
        }
    }

    /// The checks that this peer runs: meant for its labels, and signed.
    fn own_checks(&self) -> Vec<Check> {
        let library = self.ledger.library();
        library
            .checks()
            .filter(|check| check.selector.fits(&self.card.labels))
            .filter(|check| !matches!(check.probe, Probe::Aggregate(_) | Probe::Heartbeat(_)))
            .filter(|check| {
                let document = Document::Check((*check).clone());
                let origin = library.origin(&document.key()).unwrap_or(0);
                self.is_authorised(&document, origin)
            })
            .cloned()
            .collect()
    }

    /// Runs checks again when the log says that what may have mended them has ended.
    pub(super) fn verify_repairs(&mut self, now: Now) {
        let me = self.card.id;
        for incident in self.ledger.open_incidents() {
            let (State::Verifying, Some(attempt)) = (incident.state, incident.last_attempt())
            else {
                continue;
            };
            if !incident.may_clear() {
                continue;
            }
            let settle = incident.rung(attempt.rung).map_or(Duration::ZERO, |rung| rung.settle);
            for check in checks_on(incident, me) {
                // Of a group it is this peer's part that the rung was for.
                let check = match self.ledger.library().check(check).map(|check| &check.probe) {
                    Some(Probe::Aggregate(aggregate)) => &aggregate.check,
                    Some(_) | None => check,
                };
                self.checks.verify(check, (incident.id, attempt.number), now.mono, settle);
            }
        }
    }

    /// What passes now is later than what opened an incident about it, though this host's clock may
    /// have gone back since, and its daemon forgotten what it had said: without this the incident
    /// would stay open until the clock has caught up.
    pub(super) fn outlive_incidents(&mut self, now: Now, out: &mut Vec<Output>) {
        let me = self.card.id;
        let mut redated = false;
        for incident in self.ledger.open_incidents().filter(|incident| incident.peer == me) {
            if let Because::Check { check, verdict, since, .. } = &incident.because {
                redated |= self.checks.outlive(check, *verdict, *since);
            }
        }
        if redated {
            self.tell(now, out);
        }
    }
}

/// The checks of this peer that say whether an incident is over.
fn checks_on(incident: &Incident, peer: PeerId) -> impl Iterator<Item = &Name> {
    let own = incident.because.check().filter(|_| incident.peer == peer);
    let of_ladder = match &incident.because {
        Because::Ladder { failing, .. } => failing.as_slice(),
        Because::Check { .. }
        | Because::Silent { .. }
        | Because::Operator { .. }
        | Because::Storm { .. }
        | Because::Untold { .. }
        | Because::Job { .. } => &[],
    };
    own.into_iter()
        .chain(of_ladder.iter().filter(move |one| one.peer == peer).map(|one| &one.check))
}
