//! What opened an incident, as it is shown.

use super::peer::seen;
use protocol::{
    agent::Agent,
    name::IncidentId,
    record::{Because, Testimony},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// What one peer saw when it probed another directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestimonyView {
    /// Who probed.
    pub witness: String,
    /// `reached`, `refused` or `no answer`.
    pub seen: String,
    /// When the answer came in.
    pub at: Timestamp,
}

impl TestimonyView {
    pub(super) fn all(agent: &Agent, witnesses: &[Testimony]) -> Vec<Self> {
        let roster = agent.ledger().roster();
        let shown = |testimony: &Testimony| Self {
            witness: roster.name(testimony.witness),
            seen: seen(testimony.seen).to_owned(),
            at: testimony.at,
        };
        witnesses.iter().map(shown).collect()
    }
}

/// What opened an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum BecauseView {
    /// A check.
    Check {
        /// Which.
        check: String,
        /// What it said.
        verdict: String,
        /// Since when.
        since: Timestamp,
        /// The first lines of its output.
        summary: String,
    },
    /// A silence.
    Silent {
        /// `crashed` or `dark`.
        silence: String,
        /// When it was first suspected.
        since: Timestamp,
        /// Who saw it.
        witnesses: Vec<TestimonyView>,
    },
    /// Checks that a ladder mends.
    Ladder {
        /// Which ladder.
        ladder: String,
        /// The widest level that is needed.
        level: u32,
        /// Since when they were seen to fail.
        since: Timestamp,
        /// `CHECK on PEER`, each.
        failing: Vec<String>,
    },
    /// An operator's order.
    Operator {
        /// Which runbook.
        runbook: String,
        /// When it was ordered.
        since: Timestamp,
        /// The operator's words.
        reason: String,
    },
    /// Many peers that are silent at once.
    Storm {
        /// Their names.
        peers: Vec<String>,
        /// `zone`, `leader` or `network`.
        cause: String,
        /// The zone that they are all of, where nothing is left of it.
        zone: Option<String>,
        /// When the leader saw it.
        since: Timestamp,
    },
    /// A job that did not check in, or failed.
    Job {
        /// The check that is about it.
        check: String,
        /// Which job.
        job: String,
        /// Since when.
        since: Timestamp,
        /// What is told of it.
        summary: String,
    },
    /// A notifier by which people could not be told.
    Untold {
        /// Which notifier.
        notifier: String,
        /// What they were to be told of.
        incident: IncidentId,
        /// When it was given up.
        since: Timestamp,
        /// What the channel said.
        detail: String,
    },
}

impl BecauseView {
    pub(super) fn of(agent: &Agent, because: &Because) -> Self {
        match because {
            Because::Check { check, verdict, since, summary } => Self::Check {
                check: check.to_string(),
                verdict: verdict.as_str().to_owned(),
                since: *since,
                summary: summary.clone(),
            },
            Because::Silent { kind, since, witnesses } => Self::Silent {
                silence: kind.as_str().to_owned(),
                since: *since,
                witnesses: TestimonyView::all(agent, witnesses),
            },
            Because::Ladder { ladder, level, failing, since } => {
                let roster = agent.ledger().roster();
                let failing = failing
                    .iter()
                    .map(|one| format!("{} on {}", one.check, roster.name(one.peer)))
                    .collect();
                Self::Ladder { ladder: ladder.to_string(), level: *level, since: *since, failing }
            }
            Because::Operator { runbook, reason, since, .. } => Self::Operator {
                runbook: runbook.to_string(),
                since: *since,
                reason: reason.clone(),
            },
            Because::Job { check, job, since, summary } => Self::Job {
                check: check.to_string(),
                job: job.clone(),
                since: *since,
                summary: summary.clone(),
            },
            Because::Untold { notifier, incident, detail, since } => Self::Untold {
                notifier: notifier.to_string(),
                incident: *incident,
                since: *since,
                detail: detail.clone(),
            },
            Because::Storm { silent, zone, cause, since } => Self::Storm {
                peers: silent.iter().map(|peer| agent.ledger().roster().name(*peer)).collect(),
                cause: cause.as_str().to_owned(),
                zone: zone.clone(),
                since: *since,
            },
        }
    }
}
