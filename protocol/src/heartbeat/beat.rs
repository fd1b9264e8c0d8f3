//! What `PaceHB`'s heartbeats say beside that something lives: how it is, for how long that holds,
//! and what becomes of it then.

use super::{BODY_BYTES_MAX, JobRef, SPAN_MAX, Signal, WordError};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How a check is, in `PaceHB`'s words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// `OK`
    Ok,
    /// `CRITICAL`
    Critical,
    /// `UNKNOWN`
    Unknown,
}

impl Health {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Reads a word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Ok, Self::Critical, Self::Unknown].into_iter().find(|one| one.as_str() == word)
    }
}

/// A number that was told, bit for bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Number(u64);

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(value.to_bits())
    }
}

impl From<Number> for f64 {
    fn from(number: Number) -> Self {
        Self::from_bits(number.0)
    }
}

/// One heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Whose.
    pub job: JobRef,
    /// When it came in, by the log's time as the peer that took it reckons it.
    pub at: Timestamp,
    /// How it is, by what it says or by its number.
    pub health: Health,
    /// For how many seconds that holds; a negative number is for ever. Nothing where that is
    /// learned.
    pub ttl: Option<i64>,
    /// How it is when that has passed, where it says so.
    pub then: Option<Health>,
    /// How long what it is about took, as it says.
    pub elapsed: Option<i64>,
    /// Its number.
    pub value: Option<Number>,
    /// The number that was expected.
    pub predicted: Option<Number>,
    /// What came with it.
    pub summary: String,
}

impl Beat {
    /// What any job may tell that says as much.
    pub const fn signal(&self) -> Signal {
        match self.health {
            Health::Critical => Signal::Fail(None),
            // It lives, at least.
            Health::Ok | Health::Unknown => Signal::Success,
        }
    }

    pub(super) fn check_size(&self) -> Result<(), WordError> {
        if self.summary.len() > BODY_BYTES_MAX {
            return Err(WordError::Body);
        }
        let seconds = self.ttl.and_then(|ttl| u64::try_from(ttl).ok());
        if seconds.is_some_and(|seconds| seconds > SPAN_MAX.as_secs()) {
            return Err(WordError::Span);
        }
        Ok(())
    }
}
