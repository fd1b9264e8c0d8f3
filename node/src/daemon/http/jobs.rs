//! What jobs tell: GoTel's requests, and what they share with Healthchecks' pings.
//!
//! A request is answered with success when what it says is committed; who is sent back with 503
//! tries again, as `curl --retry` does. A job that this peer does not know may have been reserved a
//! moment ago at another: before it says so, it brings its replica up to date.

use super::{
    Shared,
    door::{Barred, Known},
    gather::NotTaken,
    intake::let_in,
    sender::Caller,
};
use crate::{
    control::views::state_of_heartbeat,
    daemon::{
        Daemon,
        forward::{self, Ask, Reply},
        service::seen,
    },
    intake::{
        Unreadable,
        gotel::{self, Told},
        healthchecks,
        namespace::Namespace,
    },
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::{
    heartbeat::{JobRef, Ping, Schedule, Word},
    ledger::heartbeats::{Heartbeats, JOBS_MAX, Job},
    record::Position,
    refusal::Refusal,
    time::{Timestamp, format_span},
};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// How long the leader may take to say how far the log is.
const LEADER_WITHIN: Duration = Duration::from_secs(5);

/// So soon after it was brought up to date a replica knows what there is to know.
const FRESH_FOR: Duration = Duration::from_millis(300);

/// When this peer's replica was brought up to date last, for what somebody said that it did not know.
#[derive(Debug, Default)]
pub(super) struct Freshness(Mutex<Option<Instant>>);

/// Why a request of a job came to nothing.
pub(super) enum Failure {
    Request(super::intake::Failure),
    /// Nobody reserved it.
    Unknown(String),
    /// A document says what it is.
    Declared(String),
    /// It is of another namespace.
    Taken(String),
    /// No more jobs fit.
    Full,
    /// The body has more bytes than are read of somebody who is not known yet.
    TooLarge {
        /// As many.
        most: usize,
    },
}

impl Failure {
    fn told(&self) -> (StatusCode, String) {
        match self {
            Self::Request(failure) => failure.told(),
            Self::Unknown(job) => {
                (StatusCode::NOT_FOUND, format!("there is no job {job:?}: reserve it first"))
            }
            Self::Declared(job) => {
                let why = format!("job {job:?} is declared by a document: change it there");
                (StatusCode::CONFLICT, why)
            }
            Self::Taken(job) => {
                let why = format!("job {job:?} is somebody else's: give it another name");
                (StatusCode::CONFLICT, why)
            }
            Self::Full => {
                let why = format!("{JOBS_MAX} jobs must check in already: check out some");
                (StatusCode::TOO_MANY_REQUESTS, why)
            }
            Self::TooLarge { most } => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {most} bytes"))
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, error) = self.told();
        // GoTel's clients look at `success` and `message`.
        let body = Json(json!({
            "schema": 1, "status": "error", "success": false, "error": error, "message": error,
        }));
        let mut answer = (status, body).into_response();
        let again = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        if again.contains(&status) {
            answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        answer
    }
}

impl From<super::intake::Failure> for Failure {
    fn from(failure: super::intake::Failure) -> Self {
        Self::Request(failure)
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        Self::Request(error.into())
    }
}

impl From<Barred> for Failure {
    fn from(why: Barred) -> Self {
        Self::Request(super::intake::Failure::Barred(why))
    }
}

impl From<NotTaken> for Failure {
    fn from(why: NotTaken) -> Self {
        // What changed since it was looked for here is told as if it had been found so.
        if let NotTaken::Refused(refusal) = &why {
            if let Refusal::NoSuchJob { job } = refusal.as_ref() {
                return Self::Unknown(job.clone());
            }
            if let Refusal::JobDeclared { job } = refusal.as_ref() {
                return Self::Declared(job.clone());
            }
            if let Refusal::JobOfAnother { job, .. } = refusal.as_ref() {
                return Self::Taken(job.clone());
            }
            if let Refusal::TooManyJobs { .. } = refusal.as_ref() {
                return Self::Full;
            }
        }
        Self::Request(super::intake::Failure::NotTaken(why))
    }
}

/// `GET /`: that the daemon lives.
pub(super) async fn liveness() -> Json<Value> {
    Json(json!({ "success": true, "message": "A-OK!" }))
}

/// `POST /reservation`
pub(super) async fn reserve(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let uuid = healthchecks::new_uuid(rand::random());
    let read = move |body: &[u8], _now| gotel::reservation(body, uuid);
    let (who, told) = let_in(&shared, &caller, body, read).await?;
    make(&shared, &who, told).await?;
    Ok(Json(Value::from("OK")))
}

/// Brings a reservation to the log.
pub(super) async fn make(shared: &Shared, who: &Known, mut told: Told) -> Result<(), Failure> {
    let jobs = &who.jobs;
    if let Word::Reserve(reservation) = &mut told.word {
        jobs.put(reservation)?;
    }
    let name = jobs.job(&gotel::name(&told.app, &told.component));
    {
        let agent = shared.daemon.agent();
        let heartbeats = agent.ledger().heartbeats();
        match heartbeats.named(&name) {
            Some(job) if job.declared && jobs.covers(job) => return Err(Failure::Declared(name)),
            Some(job) if !jobs.is_of(job) => return Err(Failure::Taken(name)),
            None if !heartbeats.has_room() => return Err(Failure::Full),
            Some(_) | None => {}
        }
    }
    Ok(shared.jobs.commit(&who.sender, vec![told.word]).await?)
}

/// `POST /checkin`
pub(super) async fn check_in(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let (who, told) = let_in(&shared, &caller, body, gotel::check_in).await?;
    let app = known(&shared, &who, told).await?.0;
    Ok(success(format!("Application checked in: {app}")))
}

/// `POST /snooze`
pub(super) async fn snooze(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let (who, told) = let_in(&shared, &caller, body, |body, _now| gotel::snooze(body)).await?;
    let app = known(&shared, &who, told).await?.0;
    Ok(success(format!("Application alerting paused: {app}")))
}

/// `POST /checkout`
pub(super) async fn check_out(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let (who, told) = let_in(&shared, &caller, body, |body, _now| gotel::check_out(body)).await?;
    let name = gotel::name(&told.app, &told.component);
    let declared = {
        let agent = shared.daemon.agent();
        who.jobs.find(agent.ledger().heartbeats(), &name).is_some_and(|job| job.declared)
    };
    if declared {
        return Err(Failure::Declared(name));
    }
    let (app, component) = known(&shared, &who, told).await?;
    Ok(success(format!("Application Removed [{app}/{component}] ")))
}

fn success(message: String) -> Json<Value> {
    Json(json!({ "success": true, "message": message }))
}

/// Brings a word about a job that there is to the log, by the job's number.
async fn known(shared: &Shared, who: &Known, told: Told) -> Result<(String, String), Failure> {
    let jobs = &who.jobs;
    let Told { mut word, app, component } = told;
    let name = gotel::name(&app, &component);
    let id = find(shared, |heartbeats| jobs.find(heartbeats, &name).map(|job| job.id)).await?;
    let id = id.ok_or_else(|| Failure::Unknown(jobs.job(&name)))?;
    match &mut word {
        Word::Ping(Ping { job, .. }) | Word::Snooze { job, .. } | Word::Checkout { job } => {
            *job = JobRef::Id(id);
        }
        Word::Reserve(_) | Word::Pause { .. } | Word::Beat(_) | Word::Vote { .. } => {}
    }
    shared.jobs.commit(&who.sender, vec![word]).await?;
    Ok((app, component))
}

/// Whether a job of this name can be made, which its sender has not found. One of his own that is
/// there by now, made by another of his requests, is left as it is and pinged.
pub(super) fn may_make(shared: &Shared, jobs: &Namespace, name: &str) -> Result<(), Failure> {
    let agent = shared.daemon.agent();
    let heartbeats = agent.ledger().heartbeats();
    match heartbeats.named(name) {
        Some(job) if jobs.is_of(job) => Ok(()),
        Some(_) => Err(Failure::Taken(name.to_owned())),
        None if heartbeats.has_room() => Ok(()),
        None => Err(Failure::Full),
    }
}

/// Looks something up, on a replica that is up to date before it says that there is nothing.
pub(super) async fn find<T>(
    shared: &Shared,
    look: impl Fn(&Heartbeats) -> Option<T>,
) -> Result<Option<T>, Failure> {
    let found = look(shared.daemon.agent().ledger().heartbeats());
    if found.is_some() {
        return Ok(found);
    }
    be_fresh(shared).await?;
    Ok(look(shared.daemon.agent().ledger().heartbeats()))
}

/// Brings this peer's replica up to date, if that was not done a moment ago.
pub(super) async fn be_fresh(shared: &Shared) -> Result<(), NotTaken> {
    // One after the other: who waited for somebody else's question has his answer with it.
    let asked = Instant::now();
    let mut fresh = shared.fresh.0.lock().await;
    if fresh.is_none_or(|fresh| fresh < asked && fresh.elapsed() > FRESH_FOR) {
        catch_up(&shared.daemon).await?;
        *fresh = Some(Instant::now());
    }
    Ok(())
}

/// Waits until this peer's replica has what the leader's has.
async fn catch_up(daemon: &Daemon) -> Result<(), NotTaken> {
    match forward::ask_leader(daemon, &Ask::Time, LEADER_WITHIN).await {
        Ok(Reply::Time(_, index)) => {
            seen(daemon, Some(Position { index, term: 0 })).await;
            Ok(())
        }
        Ok(_) => Err(NotTaken::Unknown("the leader answered another question".to_owned())),
        Err(error) => Err(NotTaken::Unknown(error.to_string())),
    }
}

/// `GET /reservation`: newest check-in first.
pub(super) async fn reservations(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Json<Value>, Failure> {
    let seen = shared.door.open(&caller)?.jobs;
    let at = shared.daemon.log_now();
    let agent = shared.daemon.agent();
    let jobs = agent.ledger().heartbeats().jobs();
    let mut jobs: Vec<&Job> = jobs.filter(|job| seen.covers(job)).collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(last_check_in(job)));
    let result: Vec<Value> = jobs.into_iter().map(|job| as_gotel(job, at)).collect();
    Ok(Json(json!({ "success": true, "result": result })))
}

/// When a job checked in last. For one that has not, GoTel says when its first day is over.
pub(super) fn last_check_in(job: &Job) -> Timestamp {
    job.last.unwrap_or(job.waits_from)
}

/// A job with GoTel's fields, and a few more.
pub(super) fn as_gotel(job: &Job, at: Timestamp) -> Value {
    let label = |key: &str| job.labels.get(key).map_or("", String::as_str);
    let units = match label("time_units") {
        units @ ("minutes" | "hours") => units,
        _ => "seconds",
    };
    let (frequency, schedule) = match &job.pace.schedule {
        Schedule::Every { period } => {
            let seconds = period.as_secs();
            let frequency = match units {
                "hours" => seconds / 3_600,
                "minutes" => seconds / 60,
                _ => seconds,
            };
            (frequency, format_span(*period))
        }
        Schedule::Cron { expression, .. } | Schedule::Calendar { expression, .. } => {
            (0, expression.clone())
        }
        Schedule::Learned { .. } => (0, "learned".to_owned()),
    };
    let last = last_check_in(job);
    let seconds = i64::try_from(last.millis() / 1_000).unwrap_or(i64::MAX);
    let written = jiff::Timestamp::from_second(seconds);
    let written = written.map(|at| at.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string());
    let app = if label("app").is_empty() { job.name.as_str() } else { label("app") };
    json!({
        "job_id": job.id.0,
        "app": app,
        "component": label("component"),
        "owner": label("owner"),
        "notify": label("notify"),
        "alert_msg": job.text,
        "frequency": frequency,
        "time_units": units,
        "last_checkin": seconds,
        "last_checkin_str": written.unwrap_or_default(),
        "time_since_last_checkin": relative(last, at),
        "failing_sla": job.trouble.is_some(),
        "number_of_checkins": job.checkins,
        "name": job.name,
        "state": state_of_heartbeat(job, at),
        "schedule": schedule,
        "level": label("level"),
        "alerters": label("alerters"),
        "misses": job.misses,
        "failures": job.failures,
    })
}

/// `5 minutes ago`, as GoTel says it; `in 5 minutes` for what is to come.
pub(super) fn relative(moment: Timestamp, now: Timestamp) -> String {
    let ahead = moment > now;
    let seconds = if ahead { moment.since(now) } else { now.since(moment) }.as_secs();
    let (number, unit) = match seconds {
        0 => return "now".to_owned(),
        1..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    if ahead {
        format!("in {number} {unit}{plural}")
    } else {
        format!("{number} {unit}{plural} ago")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_is_said_as_gotel_says_it() {
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        for (then, now, said) in [
            (0, 0, "now"),
            (0, 1, "1 second ago"),
            (0, 59, "59 seconds ago"),
            (0, 120, "2 minutes ago"),
            (0, 7_300, "2 hours ago"),
            (0, 86_400, "1 day ago"),
            (86_400, 0, "in 1 day"),
        ] {
            assert_eq!(relative(at(then), at(now)), said);
        }
    }
}
