//! The replicated state: what the mesh agrees on.

use crate::{
    name::IncidentId,
    record::{Entry, Position},
    refusal::Refusal,
};
use serde::{Deserialize, Serialize};

/// What an applied record brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It is done.
    Done,
    /// The documents are at this revision now.
    Revision(u64),
    /// This incident was opened.
    Opened(IncidentId),
}

/// What became of a record: what it brought about, or why it changed nothing.
pub type Outcome = Result<Effect, Refusal>;

/// The replicated state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    position: Position,
}

impl Ledger {
    /// The place in the log up to which this ledger has applied.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Applies one entry; total and deterministic: what cannot be used is refused with a reason.
    pub fn apply(&mut self, position: Position, _entry: &Entry) -> Outcome {
        self.position = position;
        Ok(Effect::Done)
    }

    /// Passes over a log entry that holds no record (Raft's own blanks and membership changes).
    pub const fn skip(&mut self, position: Position) {
        self.position = position;
    }
}
