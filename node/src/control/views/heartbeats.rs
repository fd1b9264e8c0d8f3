//! The jobs that must check in, as they are shown.

use super::SCHEMA;
use crate::intake::healthchecks::uuid_text;
use protocol::{
    agent::Agent,
    heartbeat::{Due, JobRef, Rule, Schedule, Word},
    ledger::heartbeats::{Job, Learned, TroubleKind},
    record::Record,
    refusal::Refusal,
    time::{Timestamp, format_span},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatsView {
    /// The shape's version.
    pub schema: u32,
    /// One row each, by name.
    pub heartbeats: Vec<HeartbeatRow>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatRow {
    /// What it is called.
    pub name: String,
    /// Its number.
    pub id: u64,
    /// `new`, `well`, `running`, `snoozed`, `paused`, `missed`, `overran` or `failed`.
    pub state: String,
    /// What is wrong with it.
    pub trouble: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When it is expected: `5m`, `30 2 * * *`, `Mon..Fri 18:30`, `learned` or `learned (PaceHB)`.
    pub schedule: String,
    /// In which time zone; nothing for a period.
    pub time_zone: Option<String>,
    /// How much later it may be.
    pub grace: String,
    /// How often it comes, where that is learned: half of the spans are shorter; by `PaceHB`'s rule
    /// for how long its latest heartbeat holds.
    #[serde(default)]
    pub learned_pace: Option<String>,
    /// How long it is waited for, where that is learned.
    #[serde(default)]
    pub learned_wait: Option<String>,
    /// From how many check-ins it was learned.
    #[serde(default)]
    pub learned_from: Option<u64>,
    /// When it is missed, if nothing comes in; nothing while it cannot be.
    pub deadline: Option<Timestamp>,
    /// When it last checked in.
    pub last: Option<Timestamp>,
    /// How long its latest run took that said when it began.
    pub ran_for: Option<String>,
    /// How often it has checked in.
    pub checkins: u64,
    /// How often it was missed.
    pub misses: u32,
    /// How often it said that it failed.
    pub failures: u32,
    /// Until when nobody is told of it again, because somebody has voted.
    #[serde(default)]
    pub quiet_until: Option<Timestamp>,
    /// When it is forgotten, if nothing is told of it; nothing where it stays.
    #[serde(default)]
    pub forgotten_at: Option<Timestamp>,
    /// Until when it is snoozed.
    pub snoozed_until: Option<Timestamp>,
    /// Whether a document declares it.
    pub declared: bool,
    /// What checks choose it by.
    pub labels: BTreeMap<String, String>,
    /// Which check tells of it, about which peer. Where there is none, nobody is told.
    pub checks: Vec<String>,
}

/// A job with what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatView {
    /// The shape's version.
    pub schema: u32,
    /// As in the listing.
    #[serde(flatten)]
    pub row: HeartbeatRow,
    /// The secret by which it may be pinged.
    pub uuid: Option<String>,
    /// Since when the mesh knows it.
    pub made_at: Timestamp,
    /// The text that is told when it is in trouble, where it has its own.
    pub alert_text: String,
    /// Its latest signals, oldest first.
    pub recent: Vec<SignalView>,
    /// What came with the latest signal that said something.
    pub body: String,
    /// What came with its latest failure.
    #[serde(default)]
    pub failed_with: String,
}

/// A signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalView {
    /// When it came in.
    pub at: Timestamp,
    /// `success`, `start`, `fail` or `log`.
    pub signal: String,
}

impl HeartbeatsView {
    /// The jobs as this peer knows them.
    pub fn of(agent: &Agent, at: Timestamp) -> Self {
        let jobs = agent.ledger().heartbeats().jobs();
        let mut heartbeats: Vec<_> = jobs.map(|job| HeartbeatRow::of(agent, job, at)).collect();
        heartbeats.sort_by(|one, other| one.name.cmp(&other.name));
        Self { schema: SCHEMA, heartbeats }
    }
}

impl HeartbeatRow {
    /// A job as this peer knows it.
    pub fn of(agent: &Agent, job: &Job, at: Timestamp) -> Self {
        let due = Due::read(&job.pace.schedule).ok();
        let deadline = due.and_then(|due| job.deadline(&due)).map(|deadline| deadline.at);
        let (schedule, time_zone) = match &job.pace.schedule {
            Schedule::Every { period } => (format_span(*period), None),
            Schedule::Cron { expression, time_zone }
            | Schedule::Calendar { expression, time_zone } => {
                (expression.clone(), Some(time_zone.clone()))
            }
            Schedule::Learned { by: Rule::Arrivals { .. } | Rule::Within { .. } } => {
                ("learned".to_owned(), None)
            }
            Schedule::Learned { by: Rule::PaceHb } => ("learned (PaceHB)".to_owned(), None),
        };
        let waits_for = match &job.pace.schedule {
            Schedule::Learned { by } => job.waits_for(by),
            Schedule::Every { .. } | Schedule::Cron { .. } | Schedule::Calendar { .. } => None,
        };
        let learned = job.learned.as_ref();
        let silent = job.silent_since().zip(agent.ledger().library().forgets_after(job));
        let roster = agent.ledger().roster();
        let checks = agent.checks_of_job(job).into_iter().map(|(check, peer)| match peer {
            Some(peer) => format!("{check} on {}", roster.name(peer)),
            None => format!("{check}, which is for no peer"),
        });
        Self {
            name: job.name.clone(),
            id: job.id.0,
            state: state(job, at).to_owned(),
            trouble: job.trouble.as_ref().map(|_| job.in_words(at)),
            since: job.trouble.as_ref().map(|trouble| trouble.since),
            schedule,
            time_zone,
            grace: format_span(job.pace.grace),
            learned_pace: learned.and_then(Learned::pace).map(format_span),
            learned_wait: waits_for.map(format_span),
            learned_from: learned.and_then(Learned::arrivals),
            deadline,
            last: job.last,
            ran_for: job.ran_for.map(format_span),
            checkins: job.checkins,
            misses: job.misses,
            failures: job.failures,
            quiet_until: job.quiet.map(|quiet| quiet.until).filter(|until| *until > at),
            forgotten_at: silent.map(|(since, after)| since.plus(after)),
            snoozed_until: Some(job.snoozed_until).filter(|until| *until > at),
            declared: job.declared,
            labels: job.labels.clone(),
            checks: checks.collect(),
        }
    }
}

impl HeartbeatView {
    /// The job of this name.
    pub fn of(agent: &Agent, name: &str, at: Timestamp) -> Option<Self> {
        let job = agent.ledger().heartbeats().named(name)?;
        let recent = job
            .recent
            .iter()
            .map(|told| SignalView { at: told.at, signal: told.signal.as_str().to_owned() });
        Some(Self {
            schema: SCHEMA,
            row: HeartbeatRow::of(agent, job, at),
            uuid: job.uuid.map(uuid_text),
            made_at: job.made_at,
            alert_text: job.text.clone(),
            recent: recent.collect(),
            body: job.body.clone(),
            failed_with: job.failed_with.clone(),
        })
    }
}

/// What a job is at this moment, in a word.
pub fn state(job: &Job, at: Timestamp) -> &'static str {
    match job.trouble.as_ref().map(|trouble| trouble.kind) {
        Some(TroubleKind::Missed { .. }) => "missed",
        Some(TroubleKind::Overran { .. }) => "overran",
        Some(TroubleKind::Failed(_)) => "failed",
        None if job.paused => "paused",
        None if job.snoozed_until > at => "snoozed",
        None if job.run.is_some() => "running",
        None if job.last.is_some() => "well",
        None => "new",
    }
}

/// What the log is told when an operator lets a job pause, or go on.
///
/// # Errors
/// When there is no such job.
pub fn pause(agent: &Agent, name: &str, pauses: bool) -> Result<Record, Refusal> {
    let job = agent.ledger().heartbeats().named(name);
    let known = job.ok_or_else(|| Refusal::NoSuchJob { job: name.chars().take(80).collect() })?;
    let words = vec![Word::Pause { job: JobRef::Id(known.id), pauses }];
    Ok(Record::JobsTold { words, nonce: None })
}
