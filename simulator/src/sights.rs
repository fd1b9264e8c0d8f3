//! What must be seen *sometimes*: constellations in which mistakes like to hide. An invariant that
//! holds says little when what could break it never came about; so each run notes what it has seen,
//! and `hearten-sim run --coverage` says in how many runs that was, and fails where something never
//! came about.

/// A constellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sight {
    /// A replica was given a whole ledger while nobody led.
    SnapshotInAnElection,
    /// A worker died after its start was on disk and before anybody heard how it ended.
    WorkerDiedAfterTheStart,
    /// A worker died while its start was being written.
    WorkerDiedInTheWrite,
    /// The leader died while a repair was under way.
    LeaderDiedInARepair,
    /// The leader was halted and another one led when it went on.
    DeposedWhileHalted,
    /// A decision came into the log in a later term than its own.
    DecisionOfAnEarlierTerm,
    /// What a deposed leader had appended was committed by its successor.
    SuccessorCommits,
    /// What a deposed leader had appended was lost.
    DecisionLost,
    /// An agent proposed what it could not any more, as it did not lead.
    DeposedLeaderProposes,
    /// The storm brake was engaged.
    BrakeEngaged,
    /// It was engaged when another leader took over.
    BrakeThroughAnElection,
    /// A leader saw that it was in a minority, and stepped down.
    SteppedDown,
    /// An attempt whose worker fell silent was given up.
    AttemptLost,
    /// Nobody knows how an attempt ended.
    OutcomeUnknown,
    /// A worker refused what it was given.
    WorkRefused,
    /// A silence was attested and the peer was well again before anybody acted.
    SilenceCleared,
    /// A silence was opened while the network was divided.
    SilenceInAPartition,
    /// A notice was sent twice.
    NoticeRepeated,
    /// A repair waited for its evidence in vain.
    EvidenceMissing,
    /// A repair was held back by a limit on how much is done at once.
    HeldByALimit,
    /// A repair was held back by a cool-down.
    HeldByACoolDown,
    /// A repair was held back by a freeze.
    HeldByAFreeze,
    /// A person was called.
    PersonCalled,
    /// A wall clock went back while a repair was under way.
    ClockBackInARepair,
    /// A worker's disk was full when it wanted to write its start.
    StartNotWritten,
    /// A fact came to the leader twice.
    FactTwice,
    /// A host lost what it had not synced when its power failed.
    UnsyncedLost,
    /// What executed a rung died half-way.
    ExecutorDied,
}

impl Sight {
    /// All of them.
    pub(crate) const ALL: [Self; 28] = [
        Self::SnapshotInAnElection,
        Self::WorkerDiedAfterTheStart,
        Self::WorkerDiedInTheWrite,
        Self::LeaderDiedInARepair,
        Self::DeposedWhileHalted,
        Self::DecisionOfAnEarlierTerm,
        Self::SuccessorCommits,
        Self::DecisionLost,
        Self::DeposedLeaderProposes,
        Self::BrakeEngaged,
        Self::BrakeThroughAnElection,
        Self::SteppedDown,
        Self::AttemptLost,
        Self::OutcomeUnknown,
        Self::WorkRefused,
        Self::SilenceCleared,
        Self::SilenceInAPartition,
        Self::NoticeRepeated,
        Self::EvidenceMissing,
        Self::HeldByALimit,
        Self::HeldByACoolDown,
        Self::HeldByAFreeze,
        Self::PersonCalled,
        Self::ClockBackInARepair,
        Self::StartNotWritten,
        Self::FactTwice,
        Self::UnsyncedLost,
        Self::ExecutorDied,
    ];

    /// What it is, in words.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SnapshotInAnElection => "a snapshot was installed during an election",
            Self::WorkerDiedAfterTheStart => "a worker died between started and reported",
            Self::WorkerDiedInTheWrite => "a worker died while it wrote its start",
            Self::LeaderDiedInARepair => "the leader died in the middle of a repair",
            Self::DeposedWhileHalted => "a leader was halted and deposed meanwhile",
            Self::DecisionOfAnEarlierTerm => "a decision was logged in a later term than its own",
            Self::SuccessorCommits => "a successor committed what the old leader had appended",
            Self::DecisionLost => "what the old leader had appended was lost",
            Self::DeposedLeaderProposes => "a deposed leader proposed something",
            Self::BrakeEngaged => "the storm brake engaged",
            Self::BrakeThroughAnElection => "the storm brake outlived a leader",
            Self::SteppedDown => "a leader in a minority stepped down",
            Self::AttemptLost => "an attempt was given up, its worker silent",
            Self::OutcomeUnknown => "nobody knew how an attempt ended",
            Self::WorkRefused => "a worker refused an assignment",
            Self::SilenceCleared => "a silent peer came back before anybody acted",
            Self::SilenceInAPartition => "a silence was opened in a divided network",
            Self::NoticeRepeated => "a notice was sent twice",
            Self::EvidenceMissing => "a repair went on without its evidence",
            Self::HeldByALimit => "a limit held a repair back",
            Self::HeldByACoolDown => "a cool-down held a repair back",
            Self::HeldByAFreeze => "a freeze held a repair back",
            Self::PersonCalled => "a person was called",
            Self::ClockBackInARepair => "a clock went back in the middle of a repair",
            Self::StartNotWritten => "a start could not be written, the disk was full",
            Self::FactTwice => "a fact came to the leader twice",
            Self::UnsyncedLost => "a host lost what it had not synced",
            Self::ExecutorDied => "an executor died half-way",
        }
    }
}
