//! Who may say what a record says, and which incident it is about.

use super::Record;
use crate::{
    name::{IncidentId, PeerId},
    order::Action,
};

/// Who may say what a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// Who founds the mesh: its first entry.
    Founder,
    /// Operators: it carries their signatures, whoever brings it.
    Operators,
    /// Any peer of the mesh, in its own name.
    Anyone,
    /// This peer alone: it is about itself.
    Peer(PeerId),
    /// Whoever leads, in the term that it decides in.
    Leader,
}

impl Record {
    /// Who may say it.
    ///
    /// What the leader decides holds only in the term that it was made in. The others are facts that
    /// their authors state and documents and orders that operators signed: they are as true in the
    /// next term.
    pub const fn author(&self) -> Author {
        match self {
            Self::Founded(_) => Author::Founder,
            Self::Ordered { .. } | Self::DocumentsApplied { .. } => Author::Operators,
            Self::PeerStarted { peer } => Author::Peer(peer.id),
            Self::PeerStopped { peer } | Self::PeerLeft { peer } | Self::Booted { peer, .. } => {
                Author::Peer(*peer)
            }
            Self::EvidenceTaken { .. }
            | Self::Reported { .. }
            | Self::Alerted { .. }
            | Self::JobsTold { .. }
            | Self::Claimed { .. }
            | Self::Operated { .. } => Author::Anyone,
            Self::PeerJoined { .. }
            | Self::Opened { .. }
            | Self::Assigned { .. }
            | Self::Lost { .. }
            | Self::Held { .. }
            | Self::Resolved { .. }
            | Self::Escalated { .. }
            | Self::Called { .. }
            | Self::Notified { .. }
            | Self::Skipped { .. }
            | Self::Restarted { .. }
            | Self::CalledAgain { .. }
            | Self::Streamed { .. }
            | Self::Missed { .. }
            | Self::Forgotten { .. }
            | Self::Listening
            | Self::Withdrawn { .. }
            | Self::NotRebooted { .. } => Author::Leader,
        }
    }

    /// The incident that it is about, if it is about one that is there and names it.
    pub const fn incident(&self) -> Option<IncidentId> {
        match self {
            Self::EvidenceTaken { incident, .. }
            | Self::Assigned { incident, .. }
            | Self::Reported { incident, .. }
            | Self::Lost { incident, .. }
            | Self::Held { incident, .. }
            | Self::Called { incident, .. }
            | Self::Resolved { incident, .. }
            | Self::Escalated { incident, .. }
            | Self::Notified { incident, .. }
            | Self::Skipped { incident, .. }
            | Self::Restarted { incident }
            | Self::CalledAgain { incident, .. }
            | Self::Claimed { incident, .. }
            | Self::Withdrawn { incident, .. }
            | Self::NotRebooted { incident, .. } => Some(*incident),
            Self::Ordered { order } => match &order.order.action {
                Action::Close { incident, .. }
                | Action::Approve { incident }
                | Action::Deny { incident, .. }
                | Action::Acknowledge { incident } => Some(*incident),
                Action::CreateToken(_)
                | Action::RemovePeer { .. }
                | Action::Freeze { .. }
                | Action::Thaw
                | Action::StartMaintenance { .. }
                | Action::EndMaintenance { .. }
                | Action::RunRunbook { .. }
                | Action::EndAlert { .. } => None,
            },
            // An operation is known by its own number.
            Self::Operated { .. }
            | Self::Founded(_)
            | Self::PeerJoined { .. }
            | Self::PeerStarted { .. }
            | Self::PeerStopped { .. }
            | Self::PeerLeft { .. }
            | Self::DocumentsApplied { .. }
            | Self::Booted { .. }
            | Self::Alerted { .. }
            | Self::JobsTold { .. }
            | Self::Missed { .. }
            | Self::Forgotten { .. }
            | Self::Listening
            | Self::Streamed { .. }
            | Self::Opened { .. } => None,
        }
    }
}
