//! Who is told of a job's trouble: each check tells of it once, by an incident.
//!
//! A trouble lasts until the job is well. What it fails on meanwhile, or does not come for, is told
//! by the incident that is open already; only after an operator has closed that one it is told anew.

use super::Quiet;
use crate::{
    heartbeat::JobRef,
    ledger::Ledger,
    name::{IncidentId, Name},
    record::Because,
    refusal::Refusal,
    time::format_span,
};

/// What became of what a check told of a job's trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Telling {
    /// It is told.
    Told,
    /// It was not the job that ended it: somebody else has to be told.
    Anew,
    /// An operator closed it: the job's next trouble is told again.
    Closed,
}

impl Ledger {
    /// The incident of a check about a job, about whichever peer, that is not over.
    pub fn open_about_job(&self, check: &Name, job: &str) -> Option<IncidentId> {
        let about = |because: &Because| match because {
            Because::Job { check: by, job: of, .. } => by == check && of == job,
            Because::Check { .. }
            | Because::Silent { .. }
            | Because::Ladder { .. }
            | Because::Operator { .. }
            | Because::Storm { .. }
            | Because::Untold { .. } => false,
        };
        let open = self.open_incidents().find(|incident| about(&incident.because));
        open.map(|incident| incident.id)
    }

    /// Whether an incident may be opened about a job: it is in this very trouble, the check is about
    /// it, nobody was told by this check yet, and no earlier incident of it is open.
    pub(in crate::ledger) fn job_is_due(&self, because: &Because) -> Result<(), Refusal> {
        let not = |why: String| Err(Refusal::Misassigned { why });
        let Because::Job { check, job, since, .. } = because else { return Ok(()) };
        let Some(known) = self.heartbeats.named(job) else {
            return not(format!("there is no job \"{job}\""));
        };
        let about = self.library.check(check).filter(|check| known.is_subject_of(check));
        let Some(about) = about else {
            return not(format!("check \"{check}\" is not about job \"{job}\""));
        };
        if let Some(needed) = self.heartbeats.lacks(known, about, self.last_at) {
            let needed = format_span(needed);
            return not(format!("job \"{job}\" has to fail for {needed} more without a break"));
        }
        if known.is_quiet(self.last_at) {
            return not(format!("job \"{job}\" is quiet for now, as somebody has voted"));
        }
        if let Some(incident) = self.open_about_job(check, job) {
            return Err(Refusal::AlreadyOpen { incident });
        }
        match &known.trouble {
            Some(trouble) if trouble.since == *since && !trouble.told.contains(check) => Ok(()),
            Some(_) | None => not(format!("job \"{job}\" is not in that trouble, or it is told")),
        }
    }

    /// Keeps in mind what became of what this check told of the job's trouble.
    pub(in crate::ledger) fn tell_of_job(&mut self, because: &Because, telling: Telling) {
        let Because::Job { check, job, since, .. } = because else { return };
        let at = self.last_at;
        let Some(job) = self.heartbeats.find_mut(&JobRef::Name(job.clone())) else { return };
        let trouble = job.trouble.as_mut();
        let Some(trouble) = trouble.filter(|trouble| trouble.lasts_since(*since)) else { return };
        match telling {
            Telling::Told => {
                trouble.told.insert(check.clone());
                job.quiet = Some(Quiet::told(job.quiet, at));
            }
            Telling::Anew => {
                trouble.told.remove::<Name>(check);
            }
            Telling::Closed => {
                trouble.closed.insert(check.clone());
            }
        }
    }
}
