//! What needs to be done once where many agents live in one process, as in the simulator.
//!
//! Replicas that stand at the same place come to the same next place, and a signature that is good
//! is good for everybody. So whoever drives thousands of agents may have an entry applied once
//! ([`Applied`]) and a report verified once ([`Verified`]), and hand both to all of them. Nothing is
//! taken on trust: these can only be made by doing the work, and an agent takes an [`Applied`] only
//! if it stands on the very ledger that this one began with. A daemon drives one agent and uses
//! none of it.

use super::{Agent, Output};
use crate::{
    ledger::{self, Effect, Ledger},
    record::{Entry, Position},
    report::{Report, SignedReport},
    time::Now,
};
use std::sync::Arc;

/// An entry of the log, and what it made of one ledger.
#[derive(Debug, Clone)]
pub struct Applied {
    position: Position,
    entry: Option<Entry>,
    before: Arc<Ledger>,
    after: Arc<Ledger>,
    outcome: ledger::Outcome,
}

impl Applied {
    /// Applies an entry to a copy of this ledger; nothing in it where Raft wrote for itself.
    pub fn new(before: Arc<Ledger>, position: Position, entry: Option<Entry>) -> Self {
        let mut after = Ledger::clone(&before);
        let outcome = apply(&mut after, position, entry.as_ref());
        Self { position, entry, before, after: Arc::new(after), outcome }
    }

    /// Where the entry stands.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The ledger that it was applied to.
    pub const fn before(&self) -> &Arc<Ledger> {
        &self.before
    }

    /// What came out.
    pub const fn after(&self) -> &Arc<Ledger> {
        &self.after
    }
}

/// Takes one entry of the log, or passes over what Raft wrote for itself.
pub(super) fn apply(
    ledger: &mut Ledger,
    position: Position,
    entry: Option<&Entry>,
) -> ledger::Outcome {
    match entry {
        Some(entry) => ledger.apply(position, entry),
        None => {
            ledger.skip(position);
            Ok(Effect::Done)
        }
    }
}

/// A report that the peer with this key has signed.
#[derive(Debug, Clone)]
pub struct Verified {
    report: Arc<Report>,
    public_key: [u8; 32],
}

impl Verified {
    /// Verifies a report; nothing if the key's owner did not sign exactly this.
    pub fn new(signed: SignedReport, public_key: [u8; 32]) -> Option<Self> {
        let good = signed.is_by(&public_key);
        good.then(|| Self { report: Arc::new(signed.report), public_key })
    }

    /// What was signed.
    pub const fn report(&self) -> &Arc<Report> {
        &self.report
    }

    /// Whether it was verified with this key.
    pub(super) fn is_by(&self, public_key: &[u8; 32]) -> bool {
        self.public_key == *public_key
    }
}

impl Agent {
    /// The ledger as this peer knows it, to be shared with others that stand at the same place.
    pub const fn shared_ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Begins with a ledger that others have as well, as if its origin had said so.
    pub fn begin_at(&mut self, ledger: Arc<Ledger>) {
        self.restore(ledger);
    }

    /// The same as [`super::Input::Committed`] for an entry that was applied already; nothing is
    /// done, and nothing returned, if this peer does not stand on the ledger that it was applied to.
    pub fn adopt(&mut self, now: Now, applied: &Applied) -> Option<Vec<Output>> {
        if !Arc::ptr_eq(&self.ledger, &applied.before) {
            return None;
        }
        let doubts_now = self.begin_step(now);
        self.ledger = Arc::clone(&applied.after);
        if let Some(entry) = &applied.entry {
            self.take_in(now, entry, &applied.outcome);
        }
        Some(self.concluded(now, doubts_now))
    }

    /// The same as [`super::Input::Restored`] with a ledger that others have as well.
    pub fn restore_shared(&mut self, now: Now, ledger: Arc<Ledger>) -> Vec<Output> {
        let doubts_now = self.begin_step(now);
        self.restored(now, ledger);
        self.concluded(now, doubts_now)
    }

    /// The same as [`super::Input::Heard`] with a report that was verified already.
    pub fn hear_verified(&mut self, now: Now, verified: &Verified) -> Vec<Output> {
        let doubts_now = self.begin_step(now);
        self.view.hear_verified(&self.ledger, verified);
        self.concluded(now, doubts_now)
    }

    fn concluded(&mut self, now: Now, doubts_now: bool) -> Vec<Output> {
        let mut out = Vec::new();
        self.end_step(now, doubts_now, &mut out);
        out
    }
}
