//! What a peer says of itself: its checks' verdicts and a few facts, signed with its own key.
//!
//! Gossip carries reports, and the leader is told of changes directly. They are observations:
//! nothing is done because of a report alone, but through a record in the log.

use crate::{
    codec::{self, CodecError},
    document::Verdict,
    name::{IncidentId, Name, PeerId},
    time::Timestamp,
};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest report that is read, in bytes.
pub const REPORT_BYTES_MAX: u64 = 48 << 10;

/// The longest summary of a check in a report, in bytes.
pub const SUMMARY_BYTES_MAX: usize = 200;

/// What one check says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckState {
    /// The verdict, after hysteresis.
    pub verdict: Verdict,
    /// Since when it is this, by the peer's time.
    pub since: Timestamp,
    /// The first lines of the latest output.
    pub summary: String,
    /// The repair after which it was run.
    pub verified: Option<Verification>,
    /// Whether the verdict comes and goes: no incident is opened before it stays.
    pub flapping: bool,
    /// The failing check that explains this one: no incident is opened about it meanwhile.
    pub muted_by: Option<Name>,
}

impl CheckState {
    /// Whether the verdict is told and left alone.
    pub const fn is_left_alone(&self) -> bool {
        self.flapping || self.muted_by.is_some()
    }
}

/// A run of a check that was made to see whether a rung helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// For which incident.
    pub incident: IncidentId,
    /// After which attempt.
    pub attempt: u32,
    /// Whether the rung's settling time had passed: only then a failing run means that the rung
    /// did not help.
    pub settled: bool,
}

/// What a peer says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who speaks.
    pub peer: PeerId,
    /// Which start of its daemon.
    pub generation: u64,
    /// Rises with every report of this start.
    pub sequence: u64,
    /// Its checks.
    pub checks: BTreeMap<Name, CheckState>,
    /// A few facts of the host: `boot_id`, `kernel`, `load`.
    pub facts: BTreeMap<String, String>,
}

impl Report {
    /// The worst verdict of all checks; nothing while none has one.
    pub fn worst(&self) -> Option<Verdict> {
        let rank = |verdict: &Verdict| match verdict {
            Verdict::Pass => 0,
            Verdict::Unknown => 1,
            Verdict::Warn => 2,
            Verdict::Fail => 3,
        };
        self.checks.values().map(|state| state.verdict).max_by_key(rank)
    }

    /// Whether this is later than another report of the same peer.
    pub const fn is_newer_than(&self, other: &Self) -> bool {
        self.generation > other.generation
            || (self.generation == other.generation && self.sequence > other.sequence)
    }

    /// The bytes that the peer signs.
    pub fn signed_bytes(&self) -> Vec<u8> {
        codec::encode(&("hearten report", self))
    }
}

/// A report with its author's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReport {
    /// The report.
    pub report: Report,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

impl SignedReport {
    /// The bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads what has travelled.
    ///
    /// # Errors
    /// When the bytes are not a report, or too many.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode_within(bytes, REPORT_BYTES_MAX)
    }

    /// Whether the peer with this key signed exactly this report.
    pub fn is_by(&self, public_key: &[u8; 32]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(public_key) else { return false };
        let Ok(signature) = Signature::from_slice(&self.signature) else { return false };
        key.verify_strict(&self.report.signed_bytes(), &signature).is_ok()
    }
}
