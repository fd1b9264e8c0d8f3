//! What the invariants look at: a mesh whose every step is seen, be it modelled or real.

use protocol::{
    document::{Verdict, bundle::Source},
    ledger::Ledger,
    name::{IncidentId, Name, PeerId},
    record::{Entry, Position},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::Duration,
};

/// A committed entry.
#[derive(Debug)]
pub struct Logged {
    /// Where it stands.
    pub position: Position,
    /// What it is; nothing where Raft wrote for itself.
    pub entry: Option<Entry>,
    /// The fingerprint of the ledger that has applied it, if it was taken.
    pub ledger: Option<[u8; 32]>,
}

/// An attempt, by its incident and its number.
pub type AttemptKey = (IncidentId, u32);

/// A job that checks in by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallingJob {
    /// How often.
    pub every: Duration,
    /// Since when.
    pub began: Duration,
    /// When it stopped, if it has.
    pub ended: Option<Duration>,
}

/// The label of an alert that is a message of a stream: `PARTITION/OFFSET`.
pub const MESSAGE: &str = "message";

/// What came to a partition of a stream's topic, and what of it the log took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Of which stream.
    pub stream: Name,
    /// Which partition.
    pub partition: u32,
    /// The offset of the next message that comes.
    pub end: u64,
    /// The offset that it was begun at, by the log; nothing before.
    pub begins: Option<u64>,
    /// The messages that the log took, in the order in which it did.
    pub taken: Vec<u64>,
}

impl Flow {
    /// One to which nothing came yet.
    pub const fn new(stream: Name, partition: u32) -> Self {
        Self { stream, partition, end: 0, begins: None, taken: Vec::new() }
    }
}

/// Something that was handed to a guest's surgeon, which then ran it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Which attempt.
    pub key: AttemptKey,
    /// Which surgeon ran it.
    pub by: String,
    /// What the log should know the operation by: the hash of its id.
    pub hash: [u8; 32],
    /// Up to where the log was committed when it was handed over.
    pub committed: u64,
    /// Whether the log had ended the attempt by then.
    pub was_over: bool,
    /// When it began.
    pub began: Duration,
}

/// A mesh as somebody sees it who sees everything.
pub trait Observed: Debug {
    /// The time since it began.
    fn time(&self) -> Duration;
    /// What a peer is called.
    fn name(&self, peer: PeerId) -> String;
    /// All peers that ever were to be in it.
    fn peers(&self) -> &[PeerId];
    /// Where a peer stands among them.
    fn place(&self, peer: PeerId) -> Option<usize>;
    /// Whether a peer's daemon runs.
    fn runs(&self, peer: PeerId) -> bool;
    /// Whether it was stopped on purpose.
    fn is_stopped(&self, peer: PeerId) -> bool;
    /// The replica of a peer whose daemon runs.
    fn replica(&self, peer: PeerId) -> Option<&Ledger>;
    /// The fingerprint of a replica.
    fn fingerprint(&self, peer: PeerId) -> Option<[u8; 32]> {
        self.replica(peer).map(super::fingerprint)
    }
    /// Whether somebody leads and knows it.
    fn is_led(&self) -> bool;
    /// Whether the network has fallen apart, and a peer is where less than a majority is.
    fn is_in_a_minority(&self, peer: PeerId) -> bool;
    /// Whether the network may have fallen apart at all.
    fn may_be_divided(&self) -> bool {
        true
    }
    /// What is committed, from the first entry on.
    fn log(&self) -> &[Logged];
    /// The ledger that follows from it.
    fn truth(&self) -> &Ledger;
    /// How often a leader was elected.
    fn elections(&self) -> u32;
    /// How many peers beside the leader could have seen a silence when it was opened.
    fn able_to_attest(&self, incident: IncidentId) -> usize;
    /// What is truly executed, and for whom.
    fn executions(&self) -> Box<dyn Iterator<Item = (AttemptKey, PeerId)> + '_>;
    /// How often each notice reached its channel.
    fn received(&self) -> &BTreeMap<AttemptKey, u32>;
    /// The services that do not work, and what their checks say.
    fn broken(&self) -> &BTreeMap<(PeerId, Name), Verdict>;
    /// The checks that have a reason not to pass.
    fn ailing(&self) -> BTreeSet<(PeerId, Name)>;
    /// The jobs that check in, or did, by their names.
    fn jobs(&self) -> Vec<(String, CallingJob)>;
    /// One of them.
    fn job(&self, name: &str) -> Option<CallingJob>;
    /// What came to topics and was taken of it; nothing where no streams are modelled.
    fn flows(&self) -> &[Flow] {
        &[]
    }
    /// What surgeons of guests ran, from the first on; nothing where no guests are modelled.
    fn operations(&self) -> &[Operation] {
        &[]
    }
    /// Whether any wall clock has jumped.
    fn clocks_jumped(&self) -> bool;
    /// The documents that the operator signed.
    fn documents(&self) -> &[Source];

    /// Up to where the log is committed.
    fn committed(&self) -> u64 {
        u64::try_from(self.log().len()).unwrap_or(u64::MAX)
    }

    /// The entry at an index, which starts at 1.
    fn logged(&self, index: u64) -> Option<&Logged> {
        self.log().get(usize::try_from(index.checked_sub(1)?).ok()?)
    }
}
