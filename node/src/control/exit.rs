//! What the exit code of a command says, and which refusal leads to which.

use protocol::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// How a command ended. The numbers are a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", from = "u8")]
pub enum Exit {
    /// 0: it is done.
    Done,
    /// 1: it failed.
    Failed,
    /// 2: the command was used wrongly.
    Usage,
    /// 3: there is no such thing.
    NotFound,
    /// 4: it is not allowed, now or to this caller.
    NotAllowed,
    /// 5: it conflicts with what is there.
    Conflict,
    /// 6: no daemon, no leader or no quorum.
    Unavailable,
    /// 7: it was done, and something degraded was found: a check that was run does not pass.
    Degraded,
}

impl Exit {
    /// Every way to end.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::NotFound,
        Self::NotAllowed,
        Self::Conflict,
        Self::Unavailable,
        Self::Degraded,
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NotAllowed => 4,
            Self::Conflict => 5,
            Self::Unavailable => 6,
            Self::Degraded => 7,
        }
    }
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        exit.code()
    }
}

impl From<u8> for Exit {
    fn from(code: u8) -> Self {
        // A number of a newer daemon still means that it did not work.
        Self::ALL.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Failed)
    }
}

impl From<&Refusal> for Exit {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::UnknownPeer { .. }
            | Refusal::UnknownIncident { .. }
            | Refusal::UnknownDocument { .. }
            | Refusal::UnknownMaintenance { .. }
            | Refusal::UnknownAlert { .. }
            | Refusal::NoSuchJob { .. }
            | Refusal::NoSuchOperation
            | Refusal::NoRunbook => Self::NotFound,

            Refusal::NotAllowed { .. }
            | Refusal::TokenUnknown
            | Refusal::TokenExpired { .. }
            | Refusal::TokenUsed
            | Refusal::TokenBound { .. }
            | Refusal::NotSigned { .. }
            | Refusal::OrderNotSigned
            | Refusal::OrderExpired { .. }
            | Refusal::LocalPolicy { .. }
            | Refusal::CoolDown { .. }
            | Refusal::BlastRadius { .. }
            | Refusal::Share { .. }
            | Refusal::Frozen { .. }
            | Refusal::Settling { .. }
            | Refusal::AwaitingEvidence { .. }
            | Refusal::PerHour { .. }
            | Refusal::MinHealthy { .. }
            | Refusal::Zone { .. }
            | Refusal::Breaker { .. }
            | Refusal::Repeated { .. }
            | Refusal::Maintenance { .. }
            | Refusal::Shadow { .. }
            | Refusal::AwaitingApproval { .. }
            | Refusal::NotApprover
            | Refusal::Backoff { .. }
            | Refusal::OnceOnly { .. }
            | Refusal::Quiescing { .. }
            | Refusal::StormBrake { .. }
            | Refusal::NoStorm { .. }
            | Refusal::Needs { .. }
            | Refusal::Returning { .. }
            | Refusal::NotAttested { .. } => Self::NotAllowed,

            Refusal::AlreadyFounded
            | Refusal::IdTaken { .. }
            | Refusal::NameTaken { .. }
            | Refusal::RevisionConflict { .. }
            | Refusal::AlreadyOpen { .. }
            | Refusal::IncidentOver { .. }
            | Refusal::WrongState { .. }
            | Refusal::AttemptOutOfOrder { .. }
            | Refusal::AttemptUnderWay { .. }
            | Refusal::UnknownOutcome { .. }
            | Refusal::UndoFailed { .. }
            | Refusal::NothingToApprove { .. }
            | Refusal::OrderSpent
            | Refusal::JobDeclared { .. }
            | Refusal::NotMissed { .. }
            | Refusal::NotForgotten { .. }
            | Refusal::JobOfAnother { .. }
            | Refusal::OffsetMoved { .. }
            | Refusal::Claimed { .. }
            | Refusal::IsGuest { .. }
            | Refusal::NoticeNotDue { .. } => Self::Conflict,

            Refusal::NotFounded
            | Refusal::StaleTerm { .. }
            | Refusal::TooManyAlerts { .. }
            | Refusal::TooManyJobs { .. }
            | Refusal::TooManyPartitions { .. } => Self::Unavailable,

            Refusal::InvalidDocuments { .. }
            | Refusal::NoWorker { .. }
            | Refusal::TooLate { .. }
            | Refusal::Misassigned { .. }
            | Refusal::PeerNotRunning
            | Refusal::Parameter { .. }
            | Refusal::NoSecret { .. }
            | Refusal::NoProgram { .. }
            | Refusal::BadBatch { .. }
            | Refusal::NotForSurgeons { .. }
            | Refusal::TooLarge { .. } => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::name::{IncidentId, Name};

    #[test]
    fn the_numbers_are_the_contract() {
        let codes: Vec<u8> = Exit::ALL.into_iter().map(Exit::code).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7]);
        for exit in Exit::ALL {
            assert_eq!(Exit::from(exit.code()), exit);
        }
        assert_eq!(Exit::from(200), Exit::Failed);
    }

    #[test]
    fn a_refusal_says_what_kind_of_no_it_is() {
        let incident = IncidentId(4);
        let name = Name::parse("web-1").unwrap();
        for (refusal, code) in [
            (Refusal::UnknownIncident { incident }, 3),
            (Refusal::OrderNotSigned, 4),
            (Refusal::TokenBound { bound_to: name.clone() }, 4),
            (Refusal::NameTaken { name }, 5),
            (Refusal::RevisionConflict { base: 1, current: 2 }, 5),
            (Refusal::IncidentOver { incident }, 5),
            (Refusal::NotFounded, 6),
            (Refusal::StaleTerm { decided: 1, appended: 2 }, 6),
            (Refusal::InvalidDocuments { problem: String::new() }, 1),
        ] {
            assert_eq!(Exit::from(&refusal).code(), code, "{refusal}");
        }
    }
}
