//! What an incident is made of: attempts, notices, and the lines of its timeline.

use crate::{
    alert::AlertId,
    name::{Name, PeerId},
    record::{AttemptReport, Delivered, Outcome, Part},
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// One execution of one rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number within the incident, from 1.
    pub number: u32,
    /// Place of the rung in the runbook, from 0.
    pub rung: u32,
    /// Which part of the rung.
    pub part: Part,
    /// Who executes it.
    pub worker: PeerId,
    /// When it was given out.
    pub assigned_at: Timestamp,
    /// The term in which it was given out.
    pub term: u64,
    /// After this moment it must not be started any more.
    pub start_by: Timestamp,
    /// After this moment it can no longer act.
    pub until: Timestamp,
    /// How it ended, once that is known.
    pub report: Option<AttemptReport>,
    /// When the log learnt of its end, or gave it up.
    pub ended_at: Option<Timestamp>,
    /// The boot id of the host that it is for, as the log knew it when it was given out.
    pub boot_id: Option<String>,
    /// What is known of the reboot that it is to bring about.
    pub reboot: Reboot,
}

/// What is known of the reboot that an execution is to bring about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reboot {
    /// It is to bring about none.
    NotMeant,
    /// The host has not come back with another boot id yet.
    Awaited,
    /// The host is back, with this boot id.
    Seen(String),
    /// The host did not come back with another boot id in time.
    Missed,
}

impl Attempt {
    /// How it ended: nothing while it may still act, `unknown` when it was given up.
    pub fn outcome(&self) -> Option<Outcome> {
        match (&self.report, self.ended_at) {
            (Some(report), _) => Some(report.outcome),
            (None, Some(_)) => Some(Outcome::Unknown),
            (None, None) => None,
        }
    }
}

/// A message to people that is due until its sending is committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its number within the incident, from 1; with the incident's id it is the key by which a
    /// receiver recognises a repetition.
    pub number: u32,
    /// Which notifier carries it.
    pub notifier: Name,
    /// What it says.
    pub news: News,
    /// When it became due.
    pub due_at: Timestamp,
    /// When it was taken or given up; with what the channel said.
    pub done: Option<(Timestamp, Delivered, String)>,
}

/// What a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// A person has to look.
    Called,
    /// It is well again; told to those who were called.
    Resolved,
    /// A person has to approve a rung.
    Asked,
    /// A rung has repaired it, and nobody has to look.
    Repaired,
}

impl News {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Called => "called",
            Self::Resolved => "resolved",
            Self::Asked => "asked",
            Self::Repaired => "repaired",
        }
    }

    /// Whether somebody has to do something.
    pub const fn is_call(self) -> bool {
        match self {
            Self::Called | Self::Asked => true,
            Self::Resolved | Self::Repaired => false,
        }
    }
}

/// A line of an incident's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, by the ledger's time.
    pub at: Timestamp,
    /// Who wrote it.
    pub by: PeerId,
    /// What happened.
    pub fact: Fact,
}

/// What happened in an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// It was opened.
    Opened,
    /// Evidence was taken.
    EvidenceTaken,
    /// This attempt was given out.
    Assigned(u32),
    /// This attempt's worker said how it ended.
    Reported(u32),
    /// This attempt was given up, for this reason.
    Lost(u32, String),
    /// A rule holds it back.
    Held(Refusal),
    /// A person is called, by this notifier.
    Called(Name),
    /// This notice was taken (or given up).
    Notified(u32),
    /// It is well again; what was seen.
    Resolved(String),
    /// The runbook is at its end; why.
    Escalated(String),
    /// An operator closed it; why.
    Closed(String),
    /// This rung was approved, by this operator.
    Approved(u32, String),
    /// This rung was denied, by this operator; why.
    Denied(u32, String, String),
    /// This operator has seen it.
    Acknowledged(String),
    /// This rung was passed over, by this rule.
    Skipped(u32, Refusal),
    /// The way down the ladder was begun anew.
    Restarted,
    /// The host that this attempt was to reboot is back with another boot id.
    Rebooted(u32),
    /// The host that this attempt was to reboot did not come back with another boot id in time.
    NotRebooted(u32),
    /// The guest's surgeon was handed this attempt.
    Claimed(u32),
    /// No surgeon had asked for this attempt, and it was taken back, for this reason.
    Withdrawn(u32, String),
    /// An alert by which its check failed was ended by this operator; why.
    AlertEnded(AlertId, String, String),
}
