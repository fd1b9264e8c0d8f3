//! What was learned of when a job comes.
//!
//! It stands in the ledger, so that whoever leads next has it as well: every replica learns the same
//! from the same entries, bit for bit. Times are those at which the job's words came in.
//!
//! What the mesh itself kept from coming in is not learned: a time in which it was deaf, a change of
//! term (who was sent back tries again), a pause or a snooze. The span that holds it is left out.

use crate::{
    heartbeat::{Rule, Schedule},
    learn::{Arrivals, OneIn, PaceHb, pacehb::SPAN_SECONDS},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What was learned of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Learned {
    /// By the spans between all that it told.
    Arrivals(Box<Arrivals>),
    /// By `PaceHB`'s rule; nothing before its first heartbeat.
    PaceHb(Option<PaceHb>),
}

impl Learned {
    /// Nothing yet, where it is to be learned.
    pub(super) fn of(schedule: &Schedule) -> Option<Self> {
        match schedule {
            Schedule::Learned { by: Rule::Arrivals { .. } | Rule::Within { .. } } => {
                Some(Self::Arrivals(Box::default()))
            }
            Schedule::Learned { by: Rule::PaceHb } => Some(Self::PaceHb(None)),
            Schedule::Every { .. } | Schedule::Cron { .. } | Schedule::Calendar { .. } => None,
        }
    }

    /// Whether two are learned alike.
    pub(super) const fn are_alike(one: Option<&Self>, other: Option<&Self>) -> bool {
        match (one, other) {
            (Some(Self::Arrivals(_)), Some(Self::Arrivals(_)))
            | (Some(Self::PaceHb(_)), Some(Self::PaceHb(_)))
            | (None, None) => true,
            (Some(Self::Arrivals(_) | Self::PaceHb(_)) | None, _) => false,
        }
    }

    /// The job told something. `ttl` is what it says for how many seconds that holds, which
    /// `PaceHB`'s rule alone looks at.
    pub(super) fn hear(&mut self, at: Timestamp, ttl: Option<i64>, teaches: bool) {
        match self {
            Self::Arrivals(arrivals) if teaches => {
                arrivals.observe(at);
            }
            Self::Arrivals(arrivals) => arrivals.begin_again(at),
            Self::PaceHb(known) => {
                let at = seconds(at);
                *known = Some(match *known {
                    Some(earlier) if !teaches && ttl.is_none() && earlier.expires.is_some() => {
                        earlier.after_silence(at)
                    }
                    earlier => PaceHb::after(earlier, at, ttl),
                });
            }
        }
    }

    /// When it is expected at the latest, where it is waited for from this moment on; nothing while
    /// too little is known, and where it need not come.
    pub(super) fn expected(&self, by: &Rule, from: Timestamp) -> Option<Timestamp> {
        match (self, by) {
            (Self::Arrivals(arrivals), Rule::Arrivals { one_in, at_least }) => {
                Some(usual(arrivals, from, *one_in)?.max(from.plus(*at_least)))
            }
            (Self::Arrivals(arrivals), Rule::Within { one_in, at_least, at_most }) => {
                let latest = from.plus(*at_most);
                let usual = usual(arrivals, from, *one_in);
                Some(usual.map_or(latest, |usual| usual.max(from.plus(*at_least)).min(latest)))
            }
            (Self::PaceHb(None), Rule::PaceHb) => {
                Some(from.plus(Duration::from_secs(SPAN_SECONDS)))
            }
            (Self::PaceHb(Some(known)), Rule::PaceHb) => {
                let expires = known.expires?;
                let span = Duration::from_secs(known.span()?);
                // It is waited for from later on where the mesh was deaf.
                let later = Some(from.plus(span)).filter(|_| seconds(from) > known.last_seen);
                Some(later.unwrap_or_else(|| moment(expires)))
            }
            // A job learns by its own schedule alone.
            (Self::Arrivals(_), Rule::PaceHb)
            | (Self::PaceHb(_), Rule::Arrivals { .. } | Rule::Within { .. }) => None,
        }
    }

    /// How often it comes, as far as that is known.
    pub fn pace(&self) -> Option<Duration> {
        match self {
            Self::Arrivals(arrivals) => arrivals.pace(),
            Self::PaceHb(known) => known.as_ref()?.span().map(Duration::from_secs),
        }
    }

    /// From how many arrivals it was learned; `PaceHB`'s rule counts none.
    pub fn arrivals(&self) -> Option<u64> {
        match self {
            Self::Arrivals(arrivals) => Some(arrivals.seen()),
            Self::PaceHb(_) => None,
        }
    }
}

/// When what was seen so far lets one expect it; nothing while that is too little.
fn usual(arrivals: &Arrivals, from: Timestamp, one_in: OneIn) -> Option<Timestamp> {
    let ready = Some(arrivals).filter(|arrivals| arrivals.is_ready())?;
    ready.deadline_after(from, one_in)
}

/// `PaceHB` knows whole seconds, and rounds to them.
const fn seconds(at: Timestamp) -> u64 {
    at.millis().saturating_add(500) / 1_000
}

const fn moment(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1_000))
}
