//! `PaceHB`'s API: heartbeats, votes, what is known of checks, and their history.
//!
//! Its `api_key` is one of the tokens of the file `intake_tokens`, and any word on a loopback
//! address without such a file. It stands in the body or the address, so a body is read before it is
//! known whose it is, and only a short one.

use super::{
    Shared,
    door::Known,
    jobs::{Failure, find, may_make},
    sender::{Caller, Sender},
};
use crate::intake::{
    namespace::Namespace,
    pacehb::{self, Asked, Heartbeat},
};
use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{RawQuery, State},
    http::{HeaderValue, header},
};
use protocol::{
    heartbeat::{Due, Health, JobRef, Word, shortened},
    learn::{
        Metric, OneIn,
        metric::{Question, Side},
    },
    ledger::heartbeats::{Heartbeats, Job},
    time::Timestamp,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The longest body: it is read before its key is.
const BODY_BYTES_MAX: usize = 64 << 10;

/// How long a body may take to come in.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// As many numbers are learned at each peer, of some six kilobytes each.
const METRICS_MAX: usize = 1_000;

/// What has told no number for so long is forgotten. `PaceHB`'s.
const SILENT_MAX: Duration = Duration::from_secs(3_600);

/// When a number is critical: once in ten thousand by chance, and a tenth off at least.
const QUESTION: Question = Question {
    one_in: OneIn::new(10_000),
    learn: Duration::ZERO,
    by_percent: 10,
    side: Side::Both,
};

/// What was learned of the numbers that this peer was told, by the jobs' names.
#[derive(Debug, Default)]
pub(super) struct Metrics(Mutex<BTreeMap<String, Learned>>);

/// What was learned of one.
#[derive(Debug)]
struct Learned {
    /// Who told it first, and takes up the room.
    whose: Namespace,
    latest: Timestamp,
    metric: Metric,
}

impl Metrics {
    /// How a check is by its number, and which one was expected. Where nothing more can be learned
    /// that is not known, as at `PaceHB` when its learner does not answer.
    fn judge(
        &self,
        whose: &Namespace,
        name: &str,
        at: Timestamp,
        value: f64,
    ) -> (Health, Option<f64>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(name) && !make_room(&mut known, whose, at) {
            return (Health::Unknown, None);
        }
        let new = || Learned { whose: whose.clone(), latest: at, metric: Metric::default() };
        let one = known.entry(name.to_owned()).or_insert_with(new);
        if at.since(one.latest) > SILENT_MAX {
            one.metric = Metric::default();
        }
        one.latest = at;
        match one.metric.observe(at, value, &QUESTION) {
            Some(expected) if expected.is_broken_by(value, QUESTION.side) => {
                (Health::Critical, Some(expected.value))
            }
            Some(expected) => (Health::Ok, Some(expected.value)),
            None => (Health::Ok, None),
        }
    }

    fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// Makes room for one more number of a sender's, where there is some for him: who has the most gives
/// way to who has less, so that nobody keeps others from having theirs learned.
fn make_room(known: &mut BTreeMap<String, Learned>, whose: &Namespace, at: Timestamp) -> bool {
    if known.len() < METRICS_MAX {
        return true;
    }
    known.retain(|_, one| at.since(one.latest) <= SILENT_MAX);
    if known.len() < METRICS_MAX {
        return true;
    }
    let count = |of: &Namespace| known.values().filter(|one| one.whose == *of).count();
    let namespaces: BTreeSet<&Namespace> = known.values().map(|one| &one.whose).collect();
    let most = namespaces.into_iter().map(|of| (count(of), of.clone())).max();
    let Some((_, most)) = most.filter(|(most, _)| count(whose) + 1 < *most) else { return false };
    let his = known.iter().filter(|(_, one)| one.whose == most);
    let oldest = his.min_by_key(|(_, one)| one.latest).map(|(name, _)| name.clone());
    oldest.is_some_and(|name| known.remove(&name).is_some())
}

/// `POST /`
pub(super) async fn beat(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let (who, body) = let_in(&shared, &caller, body).await?;
    take(&shared, &who, pacehb::heartbeat(&body, None)?).await
}

/// `POST /http`
pub(super) async fn beat_of_http(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let (who, body) = let_in(&shared, &caller, body).await?;
    take(&shared, &who, pacehb::heartbeat(&body, Some("http"))?).await
}

/// `POST /vote`: as there, a vote before anybody was told of the check changes nothing.
pub(super) async fn vote(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let (who, body) = let_in(&shared, &caller, body).await?;
    let (check, up) = pacehb::vote(&body)?;
    let jobs = who.jobs.clone();
    let asked = Asked { key: String::new(), check: Some(check.clone()), kind: None, jobs };
    let voted = |job: &Job| Word::Vote { job: JobRef::Id(job.id), up };
    let words = find(&shared, |heartbeats| some(those(heartbeats, &asked).map(voted))).await?;
    shared.jobs.commit(&who.sender, words.ok_or(Failure::Unknown(check))?).await?;
    Ok(Json(json!([])))
}

/// `GET /heartbeats`
pub(super) async fn heartbeats(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Failure> {
    let (_, asked) = let_ask(&shared, &caller, query.as_deref())?;
    let at = shared.daemon.log_now();
    let agent = shared.daemon.agent();
    let listed = those(agent.ledger().heartbeats(), &asked).filter_map(|job| {
        let due = Due::read(&job.pace.schedule).ok();
        let deadline = due.and_then(|due| job.deadline(&due)).map(|deadline| deadline.at);
        pacehb::listed(job, &asked, deadline, at)
    });
    Ok(Json(listed.collect()))
}

/// `DELETE /heartbeats`
pub(super) async fn forget(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<&'static str, Failure> {
    let (who, asked) = let_ask(&shared, &caller, query.as_deref())?;
    let check = named(&asked)?;
    let look = |heartbeats: &Heartbeats| {
        some(those(heartbeats, &asked).map(|job| (job.id, job.name.clone(), job.declared)))
    };
    let jobs = find(&shared, look).await?.ok_or(Failure::Unknown(check))?;
    if let Some((_, name, _)) = jobs.iter().find(|(_, _, declared)| *declared) {
        return Err(Failure::Declared(name.clone()));
    }
    let out = |(id, name, _): (_, String, _)| {
        shared.metrics.forget(&name);
        Word::Checkout { job: JobRef::Id(id) }
    };
    shared.jobs.commit(&who, jobs.into_iter().map(out).collect()).await?;
    Ok("OK")
}

/// `GET /history`: nothing of a check that is not known, as there.
pub(super) async fn history(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Failure> {
    let (_, asked) = let_ask(&shared, &caller, query.as_deref())?;
    named(&asked)?;
    let look = |heartbeats: &Heartbeats| those(heartbeats, &asked).next().map(pacehb::history);
    Ok(Json(find(&shared, look).await?.unwrap_or_default().into()))
}

/// `POST /echo`: what it is sent is told by the daemon's own log, so that somebody sees what a web
/// hook of his sends. What proves who somebody is stays out of it.
pub(super) async fn echo(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<&'static str, Failure> {
    shared.door.open(&caller)?;
    let body = read(body).await?;
    let secret = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];
    let headers: BTreeMap<&str, &HeaderValue> = caller
        .headers
        .iter()
        .filter(|(name, _)| !secret.contains(name))
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let body = shortened(&String::from_utf8_lossy(&body));
    tracing::info!(?body, ?headers, "somebody asked for an echo");
    Ok("ok")
}

/// Brings a heartbeat to the log, and says how the check is by it.
async fn take(shared: &Shared, who: &Known, told: Heartbeat) -> Result<Json<Value>, Failure> {
    let jobs = &who.jobs;
    let told = told.within(jobs)?;
    let at = shared.daemon.log_now();
    if find(shared, |heartbeats| his(heartbeats, jobs, &told).map(|_| ())).await?.is_none() {
        may_make(shared, jobs, &told.name)?;
    }
    // Nothing is learned of a number before it is known that the check is his.
    let judged = match (told.state, told.metric) {
        (None, Some(value)) => shared.metrics.judge(jobs, &told.name, at, value),
        (state, _) => (state.unwrap_or(Health::Unknown), None),
    };
    let uuid = crate::intake::healthchecks::new_uuid(rand::random());
    let words = {
        let agent = shared.daemon.agent();
        told.words(his(agent.ledger().heartbeats(), jobs, &told), at, judged, uuid)
    };
    shared.jobs.commit(&who.sender, words).await?;
    Ok(Json(json!({ "status": judged.0.as_str() })))
}

/// The job that a heartbeat is about, if its sender sees it.
fn his<'a>(heartbeats: &'a Heartbeats, jobs: &Namespace, told: &Heartbeat) -> Option<&'a Job> {
    heartbeats.named(&told.name).filter(|job| jobs.covers(job))
}

/// The jobs that are asked for.
fn those<'a>(heartbeats: &'a Heartbeats, asked: &Asked) -> impl Iterator<Item = &'a Job> {
    heartbeats.jobs().filter(|job| asked.is_for(job))
}

fn some<T>(found: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let found: Vec<T> = found.collect();
    (!found.is_empty()).then_some(found)
}

fn named(asked: &Asked) -> Result<String, Failure> {
    let why = || crate::intake::Unreadable("the address lacks check=…".to_owned());
    asked.check.clone().ok_or_else(|| why().into())
}

/// A body, of whoever it is.
async fn read(body: Body) -> Result<Vec<u8>, Failure> {
    match tokio::time::timeout(BODY_WITHIN, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => Ok(body.to_vec()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a body was not read");
            Err(Failure::TooLarge { most: BODY_BYTES_MAX })
        }
        Err(_elapsed) => Err(super::intake::Failure::TooSlow.into()),
    }
}

/// A request's body, if its key may come in.
async fn let_in(shared: &Shared, caller: &Caller, body: Body) -> Result<(Known, Vec<u8>), Failure> {
    let body = read(body).await?;
    let key = pacehb::key(&body);
    let who = open(shared, caller, key.as_deref().unwrap_or_default())?;
    key?;
    Ok((who, body))
}

/// What is asked for, if its key may come in.
fn let_ask(
    shared: &Shared,
    caller: &Caller,
    query: Option<&str>,
) -> Result<(Sender, Asked), Failure> {
    let asked = pacehb::asked(query);
    let Known { jobs, sender } =
        open(shared, caller, asked.as_ref().map_or("", |asked| &asked.key))?;
    Ok((sender, Asked { jobs, ..asked? }))
}

/// Who may not come in is not told what is wrong with his request.
fn open(shared: &Shared, caller: &Caller, key: &str) -> Result<Known, Failure> {
    if caller.headers.contains_key(header::AUTHORIZATION) {
        return Ok(shared.door.open(caller)?);
    }
    Ok(shared.door.open_with_key(caller, key)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::name::Name;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_795_226_400_000 + seconds * 1_000)
    }

    #[test]
    fn a_number_is_critical_when_it_is_not_what_it_usually_is() {
        let metrics = Metrics::default();
        assert_eq!(metrics.judge(&Namespace::ALL, "a", at(0), 42.0), (Health::Ok, None));
        for minute in 1..200 {
            let value = 42.0 + f64::from(u8::try_from(minute % 3).unwrap());
            let (health, predicted) = metrics.judge(&Namespace::ALL, "a", at(60 * minute), value);
            assert_eq!(health, Health::Ok, "{minute} {predicted:?}");
        }
        let (health, predicted) = metrics.judge(&Namespace::ALL, "a", at(60 * 200), 900.0);
        assert_eq!(health, Health::Critical);
        assert!(predicted.is_some_and(|value| (40.0..46.0).contains(&value)), "{predicted:?}");
        // An hour later it is another number.
        assert_eq!(metrics.judge(&Namespace::ALL, "a", at(60 * 300), 900.0), (Health::Ok, None));
    }

    #[test]
    fn only_so_many_numbers_are_learned_and_silent_ones_make_room() {
        let metrics = Metrics::default();
        for number in 0..METRICS_MAX {
            metrics.judge(&Namespace::ALL, &number.to_string(), at(0), 1.0);
        }
        assert_eq!(metrics.judge(&Namespace::ALL, "more", at(1), 1.0), (Health::Unknown, None));
        assert_eq!(metrics.judge(&Namespace::ALL, "7", at(1), 1.0).0, Health::Ok);
        assert_eq!(metrics.judge(&Namespace::ALL, "more", at(3_601), 1.0), (Health::Ok, None));
        assert_eq!(metrics.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn who_has_many_numbers_learned_gives_way_to_who_has_few() {
        let metrics = Metrics::default();
        let team = |name: &str| Namespace::of(Name::parse(name).unwrap());
        let (a, b) = (team("a"), team("b"));
        let judge =
            |whose: &Namespace, name: String, at: Timestamp| metrics.judge(whose, &name, at, 1.0).0;
        for number in 0..METRICS_MAX {
            let seconds = u64::try_from(METRICS_MAX - number).unwrap();
            assert_eq!(judge(&a, format!("a/{number}"), at(seconds)), Health::Ok);
        }
        let late = at(2_000);
        assert_eq!(judge(&a, "a/more".to_owned(), late), Health::Unknown);
        for number in 0..METRICS_MAX / 2 {
            assert_eq!(judge(&b, format!("b/{number}"), late), Health::Ok, "{number}");
        }
        // Each has half: nobody has to give way any more.
        assert_eq!(judge(&b, "b/more".to_owned(), late), Health::Unknown);
        assert_eq!(judge(&a, "a/more".to_owned(), late), Health::Unknown);
        let known = metrics.0.lock().unwrap();
        assert_eq!(known.len(), METRICS_MAX);
        // The one that was told longest ago went first.
        assert!(known.contains_key("a/0") && !known.contains_key("a/999"));
    }
}
