//! What is shown of the mesh, as typed JSON: a contract with scripts.
//!
//! Each view is made by a pure function from the agent's knowledge and the time; commands make
//! their tables from the same JSON that scripts read. Fields are added freely; one that is removed
//! or changes its meaning is a breaking change.

mod alerts;
mod because;
mod checks;
mod difference;
mod documents;
mod guests;
mod heartbeats;
mod incident;
mod mesh;
mod peer;
mod repairs;
mod status;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
mod why_not;

pub use alerts::{AlertRow, AlertsView};
pub use because::{BecauseView, TestimonyView};
pub use checks::{CheckRow, ChecksView, DatumView, TrialView};
pub use difference::{DifferenceView, DocumentDifference, RollbackView};
pub use documents::{
    ChangeView, DocumentRow, DocumentView, DocumentsView, HistoryView, PreviewView, ProblemView,
    RevisionView, TouchView,
};
pub use guests::{GuestRow, GuestsView};
pub use heartbeats::{
    HeartbeatRow, HeartbeatView, HeartbeatsView, SignalView, pause as pause_heartbeat,
    state as state_of_heartbeat,
};
pub use incident::{
    AttemptView, EvidenceTextView, EvidenceView, ExplainView, Filter, IncidentSummary,
    IncidentView, IncidentsView, NoticeView, SentenceView, TimelineView,
};
pub use mesh::{
    AppliedView, CountersView, DoneView, MemberView, MembersView, MeshView, TrustView, effect,
};
pub use peer::{
    CheckView, Health, PeerRow, PeerState, PeerView, PeersView, Role, SilenceView, find_peer,
};
pub use repairs::{
    MaintenanceRow, MaintenancesView, PlanView, RuleView, RunbookRow, RunbooksView, StepView,
};
pub use status::{FrozenView, IncidentCounts, StatusView};
pub use streams::{PartitionRow, StreamRow, StreamsView, TroubleView};
pub use why_not::WhyNotView;

/// The version of every view's shape.
pub const SCHEMA: u32 = 1;
