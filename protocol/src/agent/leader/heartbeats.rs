//! Jobs that must check in: whoever leads sees that a deadline has passed, and opens incidents.
//!
//! Nobody is missed while this leader may have been deaf. It has led for as long as a job that was
//! sent back goes on trying, by its own monotonic clock, and it waits a moment longer than it takes
//! to notice that its quorum is gone.

use super::{Agent, Output, Proposal};
use crate::{
    document::{Check, Probe},
    heartbeat::{Due, JobId, is_host},
    ledger::{
        heartbeats::{Deadline, Job, RETRIES_WITHIN, WORDS_MAX},
        roster::{Member, Standing as Running},
    },
    name::{Name, PeerId},
    record::{Because, Missing, Record, Silence},
    time::{Now, Timestamp, format_span},
};
use std::{collections::BTreeMap, time::Duration};

/// How long after its deadline a job is missed: a leader that has lost its quorum knows it by then,
/// and what came in before the deadline is in the log.
pub const MISSED_AFTER: Duration = Duration::from_secs(3);

/// How often the deadlines are looked at.
const LOOKS_EVERY: Duration = Duration::from_millis(500);

/// As many incidents about jobs are open at most; the next are opened as these are over. Each has
/// its own, so that each is told, and a thousand at once are told by their list.
const OPEN_MAX: usize = 100;

/// What the leader has worked out of jobs' deadlines.
#[derive(Debug, Clone, Default)]
pub(in crate::agent) struct Deadlines {
    /// Of which version of each job.
    known: BTreeMap<JobId, (u64, Option<Deadline>)>,
    due: Duration,
}

impl Deadlines {
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether a job's next time is still to come.
    fn has_time(&self, job: &Job, at: Timestamp) -> bool {
        match self.known.get(&job.id) {
            Some((_, Some(deadline))) => deadline.at > at,
            // What it is not waited for is not in here: it fails, say.
            Some((_, None)) | None => {
                Due::read(&job.pace.schedule).is_ok_and(|due| job.has_time(&due, at))
            }
        }
    }
}

impl Agent {
    /// Says which jobs are missed, that the mesh listens, and what is wrong with whom.
    pub(super) fn watch_heartbeats(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.ledger.heartbeats().is_empty() {
            return;
        }
        if self.leader.deadlines.due <= now.mono {
            self.leader.deadlines.due = now.mono + LOOKS_EVERY;
            self.say_who_is_missed(now, out);
            self.say_who_is_forgotten(now, out);
            self.say_that_it_listens(now, out);
        }
        self.open_jobs(now, out);
    }

    fn say_who_is_missed(&mut self, now: Now, out: &mut Vec<Output>) {
        let at = self.clock.now(now);
        let heartbeats = self.ledger.heartbeats();
        let known = &mut self.leader.deadlines.known;
        known.retain(|id, _| heartbeats.job(*id).is_some());
        for job in heartbeats.jobs() {
            if known.get(&job.id).is_none_or(|(version, _)| *version != job.version) {
                // What cannot be read was refused when it was reserved.
                let due = Due::read(&job.pace.schedule).ok();
                let deadline = due.and_then(|due| job.deadline(&due));
                known.insert(job.id, (job.version, deadline));
            }
        }
        let leads_for = now.mono.saturating_sub(self.leader.since.unwrap_or(now.mono));
        if leads_for < RETRIES_WITHIN || at < heartbeats.not_before() {
            return;
        }
        let missed = known.iter().filter_map(|(job, (version, deadline))| {
            let deadline = deadline.filter(|deadline| deadline.at.plus(MISSED_AFTER) <= at)?;
            let (job, version) = (*job, *version);
            Some(Missing { job, version, deadline: deadline.at, of_run: deadline.of_run })
        });
        let jobs: Vec<Missing> = missed.take(WORDS_MAX).collect();
        if !jobs.is_empty() {
            self.propose(now, Proposal::Missed, Record::Missed { jobs }, out);
        }
    }

    /// Says which jobs were silent for so long that a document has them forgotten. What came in
    /// before that is in the log by then.
    fn say_who_is_forgotten(&mut self, now: Now, out: &mut Vec<Output>) {
        let library = self.ledger.library();
        let Some(soonest) = library.forgets_soonest() else { return };
        let at = self.clock.now(now);
        let heartbeats = self.ledger.heartbeats();
        let leads_for = now.mono.saturating_sub(self.leader.since.unwrap_or(now.mono));
        if leads_for < RETRIES_WITHIN || at < heartbeats.not_before() {
            return;
        }
        let silent = heartbeats.jobs().filter_map(|job| {
            let since = job.silent_since()?;
            let long = |after: Duration| since.plus(after).plus(MISSED_AFTER) <= at;
            // Most jobs are not looked at any closer.
            let forgotten = long(soonest) && long(library.forgets_after(job)?);
            let forgotten = forgotten && !self.leader.deadlines.has_time(job, at);
            forgotten.then_some(Silence { job: job.id, since })
        });
        let jobs: Vec<Silence> = silent.take(WORDS_MAX).collect();
        if !jobs.is_empty() {
            self.propose(now, Proposal::Forgotten, Record::Forgotten { jobs }, out);
        }
    }

    fn say_that_it_listens(&mut self, now: Now, out: &mut Vec<Output>) {
        let silent = self.clock.now(now).since(self.ledger.last_at());
        // The shortest time is not looked for while it cannot be due.
        if silent < Duration::from_secs(5) {
            return;
        }
        if self.ledger.heartbeats().listens_every().is_some_and(|every| silent >= every) {
            self.propose(now, Proposal::Listening, Record::Listening, out);
        }
    }

    fn open_jobs(&mut self, now: Now, out: &mut Vec<Output>) {
        let mut troubled = self.ledger.heartbeats().troubled().peekable();
        if troubled.peek().is_none() {
            return;
        }
        let checks: Vec<&Check> = self
            .ledger
            .library()
            .checks()
            .filter(|check| matches!(check.probe, Probe::Heartbeat(_)))
            .collect();
        let at = self.clock.now(now);
        let server = self.card.address.ip().to_string();
        let open = self.ledger.open_incidents();
        let open = open.filter(|open| matches!(open.because, Because::Job { .. })).count();
        let mut found: Vec<(PeerId, Name, JobId, Because)> = Vec::new();
        for job in troubled {
            let Some(trouble) = &job.trouble else { continue };
            if job.is_quiet(at) {
                continue;
            }
            for check in &checks {
                if open + found.len() >= OPEN_MAX {
                    break;
                }
                if trouble.told.contains(&check.name) || !job.is_subject_of(check) {
                    continue;
                }
                if self.ledger.heartbeats().lacks(job, check, at).is_some() {
                    continue;
                }
                // Of an earlier trouble, for which something is still being done.
                if self.ledger.open_about_job(&check.name, &job.name).is_some() {
                    continue;
                }
                let Some(peer) = self.stands_for(job, check) else { continue };
                let because = Because::Job {
                    check: check.name.clone(),
                    job: job.name.clone(),
                    since: trouble.since,
                    summary: job.told_as(at, &server),
                };
                found.push((peer, check.name.clone(), job.id, because));
            }
        }
        for (peer, check, job, because) in found {
            let record = Record::Opened { peer, because };
            self.propose(now, Proposal::OpenJob(check, job), record, out);
        }
    }

    /// The peer that an incident about a job is about: its host; else the first by name of those
    /// that the check is for and that are there; else the first of them.
    pub fn stands_for(&self, job: &Job, check: &Check) -> Option<PeerId> {
        let fits = |member: &Member| check.selector.fits(&member.card.labels);
        let group = || self.ledger.roster().hosts().filter(|(_, member)| fits(member));
        let named = job.labels.get("host");
        let host = named.and_then(|host| group().find(|(_, member)| is_host(host, member)));
        if let Some((peer, _)) = host {
            return Some(peer);
        }
        let first = |there: bool| {
            group()
                .filter(|(peer, member)| {
                    // A guest stands for nobody but itself.
                    let guest = member.standing == Running::Guest;
                    let heard = *peer == self.card.id || self.view.is_alive(*peer) != Some(false);
                    !guest && (!there || (heard && member.standing == Running::Running))
                })
                .min_by_key(|(_, member)| member.card.name.clone())
                .map(|(peer, _)| peer)
        };
        first(true).or_else(|| first(false))
    }

    /// Whether the job of an incident is well, and how that was seen.
    pub(super) fn job_is_well(&self, check: &Name, name: &str, since: Timestamp) -> Option<String> {
        let known = self.ledger.library().check(check);
        if !known.is_some_and(|check| matches!(check.probe, Probe::Heartbeat(_))) {
            return Some(format!("check \"{check}\" is not about jobs any more"));
        }
        let Some(job) = self.ledger.heartbeats().named(name) else {
            return Some(match self.ledger.heartbeats().forgotten(name) {
                Some(gone) => format!(
                    "job \"{name}\" told nothing for {} and was forgotten, as a document has it",
                    format_span(Duration::from_secs(gone.silent.as_secs()))
                ),
                None => format!("job \"{name}\" was checked out"),
            });
        };
        // One that fails again is as ill as before; one that was well in between has an incident of
        // its own.
        let well = job.trouble.as_ref().is_none_or(|trouble| !trouble.lasts_since(since));
        well.then(|| match job.last {
            _ if job.paused => format!("job \"{name}\" pauses"),
            Some(last) if last >= since => format!("job \"{name}\" checked in at {last}"),
            _ if job.snoozed_until > since => {
                format!("job \"{name}\" is snoozed until {}", job.snoozed_until)
            }
            Some(_) | None => format!("job \"{name}\" is not in that trouble any more"),
        })
    }

    /// The names of the checks that are about a job, and whom they would tell it about.
    pub fn checks_of_job(&self, job: &Job) -> Vec<(Name, Option<PeerId>)> {
        let checks = self.ledger.library().checks();
        checks
            .filter(|check| job.is_subject_of(check))
            .map(|check| (check.name.clone(), self.stands_for(job, check)))
            .collect()
    }
}
