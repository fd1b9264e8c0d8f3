//! The one word for each refusal, as operators write it in a `[[test]]` and machines read it.

use super::Refusal;

/// Gives each variant its word; one without a word stops the build.
macro_rules! words {
    ($($variant:ident => $word:literal,)+) => {
        impl Refusal {
            /// Every word, in the order of the variants.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word for this refusal: `cool-down`, `blast-radius`, `frozen`.
            pub const fn word(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $word,)+
                }
            }
        }
    };
}

words! {
    AlreadyFounded => "already-founded",
    NotFounded => "not-founded",
    StaleTerm => "stale-term",
    NotAllowed => "not-allowed",
    UnknownPeer => "unknown-peer",
    IdTaken => "id-taken",
    NameTaken => "name-taken",
    TokenUnknown => "token-unknown",
    TokenExpired => "token-expired",
    TokenUsed => "token-used",
    TokenBound => "token-bound",
    RevisionConflict => "revision-conflict",
    NotSigned => "not-signed",
    InvalidDocuments => "invalid-documents",
    UnknownIncident => "unknown-incident",
    AlreadyOpen => "already-open",
    IncidentOver => "incident-over",
    WrongState => "wrong-state",
    AttemptOutOfOrder => "attempt-out-of-order",
    AttemptUnderWay => "attempt-under-way",
    CoolDown => "cool-down",
    BlastRadius => "blast-radius",
    Share => "share",
    Frozen => "frozen",
    Settling => "settling",
    AwaitingEvidence => "awaiting-evidence",
    NoRunbook => "no-runbook",
    NoWorker => "no-worker",
    UnknownOutcome => "unknown-outcome",
    NotAttested => "not-attested",
    TooLate => "too-late",
    Misassigned => "misassigned",
    UnknownDocument => "unknown-document",
    LocalPolicy => "local-policy",
    OrderNotSigned => "order-not-signed",
    OrderExpired => "order-expired",
    OrderSpent => "order-spent",
    PeerNotRunning => "peer-not-running",
    TooLarge => "too-large",
    NoticeNotDue => "notice-not-due",
    PerHour => "per-hour",
    MinHealthy => "min-healthy",
    Zone => "zone",
    Breaker => "breaker",
    Repeated => "repeated",
    Maintenance => "maintenance",
    Shadow => "shadow",
    AwaitingApproval => "awaiting-approval",
    NotApprover => "not-approver",
    NothingToApprove => "nothing-to-approve",
    Backoff => "backoff",
    Parameter => "parameter",
    UndoFailed => "undo-failed",
    OnceOnly => "once-only",
    Quiescing => "quiescing",
    UnknownMaintenance => "unknown-maintenance",
    StormBrake => "storm-brake",
    NoStorm => "no-storm",
    NoSecret => "no-secret",
    NoProgram => "no-program",
    Returning => "returning",
    Needs => "needs",
    TooManyAlerts => "too-many-alerts",
    TooManyJobs => "too-many-jobs",
    NoSuchJob => "no-such-job",
    JobDeclared => "job-declared",
    NotMissed => "not-missed",
    OffsetMoved => "offset-moved",
    BadBatch => "bad-batch",
    TooManyPartitions => "too-many-partitions",
    IsGuest => "is-guest",
    Claimed => "claimed",
    NoSuchOperation => "no-such-operation",
    NotForSurgeons => "not-for-surgeons",
    JobOfAnother => "job-of-another",
    NotForgotten => "not-forgotten",
    UnknownAlert => "unknown-alert",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_word_stands_for_one_refusal() {
        let words: BTreeSet<&str> = Refusal::WORDS.iter().copied().collect();
        assert_eq!(words.len(), Refusal::WORDS.len());
        assert_eq!(Refusal::TokenUsed.word(), "token-used");
    }
}
