//! What the mesh did to the outside world, in order: the ledger tells the rest.

use protocol::{
    name::{IncidentId, PeerId},
    record::Outcome,
};

/// Something that the outside world has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happened {
    /// A rung began to be executed.
    Executed {
        /// For which incident, as which attempt.
        key: (IncidentId, u32),
        /// By whom.
        worker: PeerId,
        /// Whether that peer led at that moment.
        leads: bool,
    },
    /// An execution ended.
    Ended {
        /// For which incident, as which attempt.
        key: (IncidentId, u32),
        /// How.
        outcome: Outcome,
    },
    /// A notice reached its channel.
    Told {
        /// Of which incident, with which number.
        key: (IncidentId, u32),
    },
}
