//! The jobs that must check in, as the log has them.
//!
//! What jobs tell is gathered by the peers that they tell it to, and committed many at a time: an
//! entry holds hundreds of pings. A ping is dated with the log's time at which it came in, so that
//! one which waited for a leader counts as early as it was.
//!
//! **A miss is a record.** Whoever leads sees that a deadline has passed and says so; the ledger
//! takes it only if nothing was told of the job meanwhile. So all replicas agree on what is missed,
//! whatever time it is on their hosts, and a new leader finds every miss that the old one did not
//! come to tell.
//!
//! **Nobody is missed while the mesh is deaf.** Without a leader no job can check in, so what the
//! mesh did not hear is given back:
//!
//! * In a new term nobody is missed for [`RETRIES_WITHIN`]: who was sent back tries again by then.
//! * While jobs are waited for, the log is never silent for longer than [`Heartbeats::listens_every`];
//!   whoever leads commits [`crate::record::Record::Listening`] when nobody else commits anything.
//!   A gap of twice that says that there was no leader, or that a clock jumped. A job that was
//!   expected within the gap may have called in vain: one with a period has all of it again, from
//!   when the mesh hears again, and one with a calendar has its grace prolonged by the gap. Where it
//!   is learned when a job comes, such a gap, and one that a new term lies in, teaches nothing.
//!
//! A leader adds to that what only it can know: how long it has led by its own monotonic clock.

mod carried;
mod deadline;
mod failures;
mod feed;
mod forget;
mod job;
mod learned;
mod telling;
mod trouble;
mod words;

pub use deadline::Deadline;
pub use failures::{FAILURE_DAYS, Failures};
pub use feed::{Feed, HISTORY_MAX, Point, Quiet};
pub use forget::Forgotten;
pub use job::{Job, Run, Told};
pub use learned::Learned;
pub(super) use telling::Telling;
pub use trouble::{Trouble, TroubleKind};

use super::{Context, Effect, Ledger, Outcome, documents::Library};
use crate::{
    document::{Check, Jobs, Probe},
    heartbeat::{Beat, JobId, JobRef, NAMESPACE, Ping, Reservation, Schedule, Word, hash_of_uuid},
    mistakes::{self, Mistake},
    record::Missing,
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The most jobs of a mesh.
pub const JOBS_MAX: usize = 20_000;

/// The most words of one entry, and the most misses.
pub const WORDS_MAX: usize = 1_000;

/// How long a job that was sent back goes on trying: `curl --retry 5` waits 1, 2, 4, 8 and 16
/// seconds between its tries; and some for the tries themselves.
pub const RETRIES_WITHIN: Duration = Duration::from_secs(40);

/// A ping that took longer to the log was dated by a clock that is wrong.
const ON_THE_WAY_MAX: Duration = Duration::from_secs(60);

/// A gap in the log that is shorter is none, however short the jobs' periods are.
const GAP_MIN: Duration = Duration::from_secs(10);

/// All jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeats {
    jobs: BTreeMap<JobId, Job>,
    by_name: BTreeMap<String, JobId>,
    by_uuid: BTreeMap<u128, JobId>,
    /// Those whose documents have the hash of a UUID.
    by_hash: BTreeMap<[u8; 32], JobId>,
    /// Those that are missed or have failed.
    troubled: BTreeSet<JobId>,
    /// The highest number that was given.
    numbered: u64,
    /// The term of the latest entry that had a time.
    term: u64,
    /// Before this moment nobody is missed.
    not_before: Timestamp,
    /// Whether a document has jobs forgotten.
    forgets: bool,
    /// Those that were.
    gone: forget::Gone,
    /// The entries that peers brought lately.
    carried: carried::Carried,
}

impl Heartbeats {
    /// Every job, in the order in which they were made.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The jobs that are missed or have failed.
    pub fn troubled(&self) -> impl Iterator<Item = &Job> {
        self.troubled.iter().filter_map(|id| self.jobs.get(id))
    }

    /// The job with this number.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// The job of this name.
    pub fn named(&self, name: &str) -> Option<&Job> {
        self.by_name.get(name).and_then(|id| self.jobs.get(id))
    }

    /// The job with this secret: its own, or one whose hash a document has.
    pub fn with_uuid(&self, uuid: u128) -> Option<&Job> {
        let by_hash = || self.by_hash.get(&hash_of_uuid(uuid));
        self.by_uuid.get(&uuid).or_else(by_hash).and_then(|id| self.jobs.get(id))
    }

    /// The job that is meant.
    pub fn find(&self, job: &JobRef) -> Option<&Job> {
        match job {
            JobRef::Id(id) => self.job(*id),
            JobRef::Name(name) => self.named(name),
        }
    }

    /// Whether one more can be kept.
    pub fn has_room(&self) -> bool {
        self.jobs.len() < JOBS_MAX
    }

    /// Before this moment nobody is missed.
    pub const fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// After how long without any entry whoever leads says that the mesh listens: a quarter of the
    /// shortest time that a job is waited for, from 5 s to a minute; a minute where jobs may be
    /// forgotten. Nothing while nobody is waited for.
    pub fn listens_every(&self) -> Option<Duration> {
        let waiting = self.jobs.values().filter(|job| job.is_waited_for());
        let shortest = waiting.filter_map(|job| match &job.pace.schedule {
            Schedule::Every { period } => Some(period.saturating_add(job.pace.grace)),
            Schedule::Cron { .. } | Schedule::Calendar { .. } => Some(job.pace.grace),
            // As long as nothing is known it is not waited for.
            Schedule::Learned { by } => Some(job.waits_for(by)?.saturating_add(job.pace.grace)),
        });
        let may_go = self.forgets && self.jobs.values().any(|job| !job.declared);
        let shortest = shortest.chain(may_go.then_some(forget::LISTENS_WITHIN));
        let (least, most) = (Duration::from_secs(5), Duration::from_secs(60));
        shortest.min().map(|shortest| (shortest / 4).clamp(least, most))
    }

    /// The log's time goes on, by an entry of this term.
    pub(super) fn pass(&mut self, from: Timestamp, until: Timestamp, term: u64) {
        if mistakes::is_made(Mistake::DeafnessForgotten) {
            return;
        }
        if self.term != term {
            self.term = term;
            self.not_before = until.plus(RETRIES_WITHIN);
            for job in self.jobs.values_mut() {
                job.learn_nothing();
            }
        }
        let silent = until.since(from);
        if silent < GAP_MIN {
            return;
        }
        let Some(listens_every) = self.listens_every() else { return };
        if silent < listens_every * 2 {
            return;
        }
        self.not_before = until.plus(RETRIES_WITHIN);
        for job in self.jobs.values_mut() {
            job.give_back(until, silent);
        }
    }

    /// For how much longer a job's failure has to last before this check tells of it; nothing where
    /// it is told. As long as the mesh may not have heard that it is over, it is not told either,
    /// where it has to last at all.
    pub fn lacks(&self, job: &Job, check: &Check, at: Timestamp) -> Option<Duration> {
        let Probe::Heartbeat(probe) = &check.probe else { return None };
        let trouble = job.trouble.as_ref().filter(|trouble| trouble.kind.is_failure())?;
        if probe.failing_for.is_zero() {
            return None;
        }
        let told_from = trouble.unbroken_since.plus(probe.failing_for).max(self.not_before);
        Some(told_from.since(at)).filter(|lacks| !lacks.is_zero())
    }

    fn find_mut(&mut self, job: &JobRef) -> Option<&mut Job> {
        let id = self.find(job)?.id;
        self.jobs.get_mut(&id)
    }

    /// Keeps in mind who is in trouble.
    fn index(&mut self, id: JobId) {
        if self.jobs.get(&id).is_some_and(|job| job.trouble.is_some()) {
            self.troubled.insert(id);
        } else {
            self.troubled.remove(&id);
        }
    }

    /// Takes a word; says why not, where it cannot.
    fn take(&mut self, word: &Word, at: Timestamp) -> Result<(), Refusal> {
        let unknown = |job: &JobRef| Refusal::NoSuchJob {
            job: match job {
                JobRef::Id(id) => id.to_string(),
                JobRef::Name(name) => name.chars().take(80).collect(),
            },
        };
        let reference = word.job();
        match word {
            Word::Reserve(reservation) => return self.reserve(reservation, at),
            Word::Checkout { .. } => {
                let job = self.find(&reference).ok_or_else(|| unknown(&reference))?;
                if job.declared {
                    return Err(Refusal::JobDeclared { job: job.name.clone() });
                }
                let id = job.id;
                self.forget(id);
                return Ok(());
            }
            Word::Ping(_)
            | Word::Snooze { .. }
            | Word::Pause { .. }
            | Word::Beat(_)
            | Word::Vote { .. } => {}
        }
        let job = self.find_mut(&reference).ok_or_else(|| unknown(&reference))?;
        let earliest = Timestamp::from_millis(
            at.millis().saturating_sub(Timestamp::default().plus(ON_THE_WAY_MAX).millis()),
        );
        match word {
            Word::Ping(ping) => {
                job.hear(&Ping { at: ping.at.clamp(earliest, at), ..ping.clone() });
            }
            Word::Beat(beat) => {
                job.beat(&Beat { at: beat.at.clamp(earliest, at), ..beat.clone() });
            }
            // Who was told of nothing has nothing to think of.
            Word::Vote { up, .. } => job.quiet = job.quiet.map(|quiet| quiet.vote(*up, at)),
            Word::Snooze { lasts, .. } => job.snooze(at.plus(*lasts)),
            Word::Pause { pauses, .. } => job.pause(*pauses, at),
            Word::Reserve(_) | Word::Checkout { .. } => {}
        }
        job.told_at = at;
        let id = job.id;
        self.index(id);
        Ok(())
    }

    fn reserve(&mut self, reservation: &Reservation, at: Timestamp) -> Result<(), Refusal> {
        let known = self.by_name.get(&reservation.name).copied();
        if let Some(job) = known.and_then(|id| self.jobs.get_mut(&id)) {
            if job.namespace() != reservation.labels.get(NAMESPACE).map(String::as_str) {
                let namespace = job.namespace().map(str::to_owned);
                return Err(Refusal::JobOfAnother { job: job.name.clone(), namespace });
            }
            if reservation.only_new {
                return Ok(());
            }
            if job.declared {
                return Err(Refusal::JobDeclared { job: job.name.clone() });
            }
            job.change(reservation, at);
            return Ok(());
        }
        if !self.has_room() {
            return Err(Refusal::TooManyJobs { most: JOBS_MAX });
        }
        self.add(reservation, at, false);
        Ok(())
    }

    fn add(&mut self, reservation: &Reservation, at: Timestamp, declared: bool) {
        self.numbered += 1;
        let id = JobId(self.numbered);
        // Whoever knows the secret of one job must not come by another's.
        let uuid = reservation.uuid.filter(|uuid| !self.by_uuid.contains_key(uuid));
        if let Some(uuid) = uuid {
            self.by_uuid.insert(uuid, id);
        }
        self.gone.is_back(&reservation.name);
        self.by_name.insert(reservation.name.clone(), id);
        self.jobs.insert(id, Job::new(id, reservation, uuid, at, declared));
    }

    fn forget(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        self.by_name.remove(&job.name);
        if let Some(uuid) = job.uuid {
            self.by_uuid.remove(&uuid);
        }
        self.troubled.remove(&id);
    }

    /// Takes over the jobs that documents declare. What a request had reserved under such a name
    /// is a document's from now on; what no document declares any more is gone.
    pub(super) fn declare(&mut self, library: &Library, at: Timestamp) {
        self.forgets = library.forgets_soonest().is_some();
        let mut declared = BTreeSet::new();
        for check in library.checks() {
            let Probe::Heartbeat(probe) = &check.probe else { continue };
            let Jobs::Job(reservation) = &probe.jobs else { continue };
            declared.insert(reservation.name.clone());
            match self.find_mut(&JobRef::Name(reservation.name.clone())) {
                Some(job) => {
                    let was = (job.declared, &job.pace, &job.labels, &job.text);
                    if was != (true, &reservation.pace, &reservation.labels, &reservation.text) {
                        job.declared = true;
                        job.change(reservation, at);
                    }
                }
                None => self.add(reservation, at, true),
            }
        }
        let gone = self.jobs.values().filter(|job| job.declared && !declared.contains(&job.name));
        let gone: Vec<JobId> = gone.map(|job| job.id).collect();
        for id in gone {
            self.forget(id);
        }
        self.by_hash = library
            .checks()
            .filter_map(|check| {
                let Probe::Heartbeat(probe) = &check.probe else { return None };
                let Jobs::Job(reservation) = &probe.jobs else { return None };
                Some((probe.uuid?, *self.by_name.get(&reservation.name)?))
            })
            .collect();
        // What a check that is gone told of is told again by one that comes back.
        for id in &self.troubled {
            if let Some(trouble) = self.jobs.get_mut(id).and_then(|job| job.trouble.as_mut()) {
                trouble.told.retain(|check| library.check(check).is_some());
            }
        }
    }

    /// Takes a miss; says why not, where something was told of the job meanwhile.
    fn miss(&mut self, missing: &Missing, at: Timestamp) -> Result<(), Refusal> {
        let not = |why: &str| Err(Refusal::NotMissed { why: why.to_owned() });
        let Some(job) = self.jobs.get_mut(&missing.job) else {
            return not("there is no such job any more");
        };
        if job.version != missing.version {
            return not("something was told of the job meanwhile");
        }
        if !job.is_waited_for() || missing.deadline > at {
            return not("it is not waited for");
        }
        if !job.may_be_missed(missing) {
            return not("its deadline is another one");
        }
        job.miss(missing, at);
        let id = job.id;
        self.index(id);
        Ok(())
    }
}

impl Ledger {
    /// The jobs that must check in.
    pub const fn heartbeats(&self) -> &Heartbeats {
        &self.heartbeats
    }

    /// Jobs did not check in by their deadlines.
    pub(super) fn take_misses(&mut self, context: &Context, missed: &[Missing]) -> Outcome {
        if missed.len() > WORDS_MAX {
            let limit_bytes = u64::try_from(WORDS_MAX).unwrap_or(u64::MAX);
            return Err(Refusal::TooLarge { what: "what was missed".to_owned(), limit_bytes });
        }
        if context.at < self.heartbeats.not_before {
            let why = format!("nobody is missed before {}", self.heartbeats.not_before);
            return Err(Refusal::NotMissed { why });
        }
        let mut refused = None;
        let mut taken = false;
        for missing in missed {
            match self.heartbeats.miss(missing, context.at) {
                Ok(()) => taken = true,
                Err(refusal) => refused = Some(refusal),
            }
        }
        refused.filter(|_| !taken).map_or(Ok(Effect::Done), Err)
    }
}

#[cfg(test)]
mod tests;
