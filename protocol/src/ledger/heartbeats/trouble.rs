//! What is wrong with a job, and since when: it lasts until the job is well, whatever it fails on or
//! does not come for meanwhile.

use super::Job;
use crate::{name::Name, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

/// What is wrong with a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What.
    pub kind: TroubleKind,
    /// Since when the log has it.
    pub since: Timestamp,
    /// Since when it is in trouble of whichever kind, without having been well in between.
    pub began: Timestamp,
    /// Since when it fails without a break, where it has failed more than once; else as `since`.
    pub unbroken_since: Timestamp,
    /// The checks that have told of it, or of one before it since it was well last.
    pub told: BTreeSet<Name>,
    /// Those of them whose incident an operator closed: they tell of the next one again.
    pub(super) closed: BTreeSet<Name>,
}

/// The ways in which a job can be in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TroubleKind {
    /// It did not check in by this moment.
    Missed {
        /// The deadline.
        deadline: Timestamp,
    },
    /// It began and did not end by this moment.
    Overran {
        /// The deadline.
        deadline: Timestamp,
    },
    /// It said that it failed; with its exit code, where it told one.
    Failed(Option<u8>),
}

impl Trouble {
    /// Whether the job was in trouble at that moment already and was not well since.
    pub fn lasts_since(&self, since: Timestamp) -> bool {
        self.began <= since
    }
}

impl TroubleKind {
    /// Whether the job itself said so.
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Failed(_) => true,
            Self::Missed { .. } | Self::Overran { .. } => false,
        }
    }
}

impl Job {
    pub(super) fn fall_into(&mut self, kind: TroubleKind, at: Timestamp) {
        let Some(before) = self.trouble.take() else {
            let (told, closed) = (BTreeSet::new(), BTreeSet::new());
            let (since, began, unbroken_since) = (at, at, at);
            self.trouble = Some(Trouble { kind, since, began, unbroken_since, told, closed });
            return;
        };
        // The next trouble is another one, even within one millisecond.
        let since = at.max(before.since.plus(Duration::from_millis(1)));
        let goes_on = before.kind.is_failure() && kind.is_failure();
        self.trouble = Some(Trouble {
            kind,
            since,
            began: before.began,
            unbroken_since: if goes_on { before.unbroken_since } else { since },
            // A job that fails again is not well: the incident that is open is about that as well.
            told: before.told.difference(&before.closed).cloned().collect(),
            closed: BTreeSet::new(),
        });
    }
}
