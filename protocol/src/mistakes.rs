//! Mistakes that are made on purpose, one at a time, to see whether the simulator finds them.
//!
//! They are there with the feature `mistakes` alone, which only the simulator's own test of itself
//! turns on. Without it [`is_made`] is constantly false, and nothing of them is left in a program.

/// A mistake as it is really made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mistake {
    /// Half of the voters pass for a majority.
    QuorumOffByOne,
    /// That an attempt was started does not survive a restart of the daemon.
    StartNotKept,
    /// The leader minds the limits; the ledger does not ask again.
    LimitsOfTheLeaderAlone,
    /// What a leader decided in an earlier term still counts.
    StaleTermTaken,
    /// Each witness is counted twice.
    WitnessCountedTwice,
    /// A cool-down is reckoned by each leader's own wall clock.
    CoolDownByWallClock,
    /// A rung that succeeded passes for a service that works.
    ResolvedUnverified,
    /// A notice is sent again before its channel had time to answer.
    NoticeRepeated,
    /// A replica that was given a snapshot has no limits.
    SnapshotWithoutLimits,
    /// The storm brake is released when another leader takes over.
    BrakeForgotten,
    /// A batch of messages is taken wherever it begins.
    OffsetNotCompared,
    /// That messages were read is committed before what they say.
    OffsetBeforeWords,
    /// What messages say is committed before that they were read.
    OffsetAfterWords,
    /// What a job could not tell because nobody led counts as late.
    DeafnessForgotten,
    /// That is learned of a job in which nobody could hear it.
    DeafnessLearned,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::QuorumOffByOne,
        Self::StartNotKept,
        Self::LimitsOfTheLeaderAlone,
        Self::StaleTermTaken,
        Self::WitnessCountedTwice,
        Self::CoolDownByWallClock,
        Self::ResolvedUnverified,
        Self::NoticeRepeated,
        Self::SnapshotWithoutLimits,
        Self::BrakeForgotten,
        Self::OffsetNotCompared,
        Self::OffsetBeforeWords,
        Self::OffsetAfterWords,
        Self::DeafnessForgotten,
        Self::DeafnessLearned,
    ];

    /// What it is, in a few words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QuorumOffByOne => "half of the voters are a quorum",
            Self::StartNotKept => "a start does not survive a restart",
            Self::LimitsOfTheLeaderAlone => "limits are checked by the leader alone",
            Self::StaleTermTaken => "a stale leader's assignment is accepted",
            Self::WitnessCountedTwice => "a witness is counted twice",
            Self::CoolDownByWallClock => "a cool-down goes by the wall clock",
            Self::ResolvedUnverified => "resolved without verifying",
            Self::NoticeRepeated => "a notice is sent again and again",
            Self::SnapshotWithoutLimits => "a snapshot without the limits",
            Self::BrakeForgotten => "the brake forgets on leader change",
            Self::OffsetNotCompared => "messages are taken wherever they begin",
            Self::OffsetBeforeWords => "an offset is committed before its words",
            Self::OffsetAfterWords => "an offset is committed after its words",
            Self::DeafnessForgotten => "what nobody could hear counts as late",
            Self::DeafnessLearned => "a pace is learned while nobody hears",
        }
    }
}

#[cfg(feature = "mistakes")]
std::thread_local! {
    static MADE: std::cell::Cell<Option<Mistake>> = const { std::cell::Cell::new(None) };
}

/// From now on this thread makes this mistake, or none.
#[cfg(feature = "mistakes")]
pub fn make(mistake: Option<Mistake>) {
    MADE.set(mistake);
}

/// Whether this thread makes this mistake.
#[cfg(feature = "mistakes")]
pub fn is_made(mistake: Mistake) -> bool {
    MADE.get() == Some(mistake)
}

/// Whether this mistake is made: never.
#[cfg(not(feature = "mistakes"))]
pub const fn is_made(_mistake: Mistake) -> bool {
    false
}
