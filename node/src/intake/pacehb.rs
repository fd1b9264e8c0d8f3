//! `PaceHB`'s requests: heartbeats, votes, and what is asked of checks, with its fields as they are.
//!
//! A check is a job that must check in. One that nobody knows is made by its first heartbeat, with a
//! deadline that is learned: by `PaceHB`'s rule, or where the heartbeat says `one_in` by ours, with
//! so few false alarms. Its type other than `heartbeat` is a part of the job's name: `http:foo.com`.
//!
//! A heartbeat may not say who is to be told: an address that comes with a request is never called.
//! Tags and type become labels, by which checks choose jobs; whom they tell stands in documents.

use super::{Unreadable, namespace::Namespace};
use protocol::{
    heartbeat::{
        Beat, Health, JobRef, NAMESPACE, ONE_IN, Pace, Reservation, Rule, SPAN_MAX, Schedule, Word,
        shortened,
    },
    learn::OneIn,
    ledger::heartbeats::{HISTORY_MAX, Job},
    time::{Timestamp, format_span, parse_span},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};

/// The type of a heartbeat that says none.
const PLAIN: &str = "heartbeat";

/// The longest name of a check; with its type it is that of a job.
const CHECK_BYTES_MAX: usize = 200;

/// The longest type.
const TYPE_BYTES_MAX: usize = 40;

/// Fields with which a heartbeat would say whom to call.
const ADDRESSES: [&str; 4] = ["webhook", "webhook_url", "webhook_config", "alert_endpoint"];

/// `POST /` and `POST /http`.
#[derive(Debug, Deserialize)]
struct Told {
    check: String,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    ttl: Option<i64>,
    #[serde(default)]
    elapsed: Option<i64>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    heartbeat_type: Option<String>,
    #[serde(default)]
    transition_to: Option<String>,
    #[serde(default)]
    metric: Option<f64>,
    #[serde(default)]
    one_in: Option<u32>,
    #[serde(default)]
    at_least: Option<String>,
    #[serde(default)]
    at_most: Option<String>,
}

/// `POST /vote`.
#[derive(Debug, Deserialize)]
struct Vote {
    check: String,
    vote: String,
}

/// A heartbeat that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// The job's name.
    pub name: String,
    /// How it is, where it says so; else its number does.
    pub state: Option<Health>,
    /// Its number.
    pub metric: Option<f64>,
    ttl: Option<i64>,
    then: Option<Health>,
    elapsed: Option<i64>,
    summary: String,
    labels: BTreeMap<String, String>,
    asks_for: Option<Rule>,
}

/// Which check is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The key of whoever asks.
    pub key: String,
    /// The check; nothing for all of them.
    pub check: Option<String>,
    /// Its type; nothing for any.
    pub kind: Option<String>,
    /// Whose jobs whoever asks sees.
    pub jobs: Namespace,
}

/// The key of whoever sends a body; nothing where there is none.
pub fn key(body: &[u8]) -> Result<String, Unreadable> {
    #[derive(Deserialize)]
    struct Key {
        api_key: String,
    }
    Ok(serde_json::from_slice::<Key>(body)?.api_key)
}

/// A heartbeat; with this type where its path says so.
///
/// # Errors
/// What is wrong with it.
pub fn heartbeat(body: &[u8], kind: Option<&str>) -> Result<Heartbeat, Unreadable> {
    let said: BTreeMap<String, Value> = serde_json::from_slice(body)?;
    if let Some(key) = ADDRESSES.into_iter().find(|key| said.contains_key(*key)) {
        let why = "no address that comes with a request is called: a runbook's notifier tells people, and stands in a document";
        return Err(Unreadable(format!("{key}: {why}")));
    }
    let told: Told = serde_json::from_slice(body)?;
    let state = match (told.state.as_deref(), told.metric) {
        (Some("OK"), _) => Some(Health::Ok),
        (Some("CRITICAL"), _) => Some(Health::Critical),
        (None, Some(_)) => None,
        (Some(_), _) | (None, None) => {
            let why = "Not a valid state value - should be OK or CRITICAL - or you should include a metric number to learn from.";
            return Err(Unreadable(why.to_owned()));
        }
    };
    let then = told.transition_to.as_deref().map(|word| {
        let why = || format!("transition_to {:?} is none of OK, CRITICAL and UNKNOWN", short(word));
        Health::parse(word).ok_or_else(|| Unreadable(why()))
    });
    let asks_for = rule(told.one_in, told.at_least.as_deref(), told.at_most.as_deref())?;
    if asks_for.is_some() && told.ttl.is_some() {
        let why = "ttl and one_in: either it says for how long it holds, or that is learned";
        return Err(Unreadable(why.to_owned()));
    }
    let seconds = told.ttl.and_then(|ttl| u64::try_from(ttl).ok());
    if seconds.is_some_and(|seconds| seconds > SPAN_MAX.as_secs()) {
        return Err(Unreadable("ttl is longer than a year".to_owned()));
    }
    let kind = kind.or(told.heartbeat_type.as_deref()).unwrap_or(PLAIN);
    let name = named(&told.check, kind)?;
    let mut labels = BTreeMap::from([
        ("job".to_owned(), name.clone()),
        ("check".to_owned(), told.check),
        ("heartbeat_type".to_owned(), kind.to_owned()),
    ]);
    if let Some(tags) = told.tags.filter(|tags| !tags.is_empty()) {
        labels.insert("tags".to_owned(), tags.join(","));
    }
    let heartbeat = Heartbeat {
        name,
        state,
        metric: told.metric,
        ttl: told.ttl,
        then: then.transpose()?,
        elapsed: told.elapsed,
        summary: shortened(told.summary.as_deref().unwrap_or_default()),
        labels,
        asks_for,
    };
    let reserve = Word::Reserve(heartbeat.reservation(None, 0));
    reserve.check().map_err(|error| Unreadable(error.to_string()))?;
    Ok(heartbeat)
}

impl Heartbeat {
    /// The same, of whoever makes and sees these jobs.
    ///
    /// # Errors
    /// When it is too large with the namespace.
    pub fn within(mut self, jobs: &Namespace) -> Result<Self, Unreadable> {
        let mut reservation = self.reservation(None, 0);
        jobs.put(&mut reservation)?;
        (self.name, self.labels) = (reservation.name, reservation.labels);
        Ok(self)
    }

    /// What it brings to the log at this moment. `known` is the job that it is about, `health` what
    /// its number says where it says nothing itself, `uuid` the secret of a new job.
    pub fn words(
        &self,
        known: Option<&Job>,
        at: Timestamp,
        (health, predicted): (Health, Option<f64>),
        uuid: u128,
    ) -> Vec<Word> {
        let beat = |job: JobRef| {
            Word::Beat(Beat {
                job,
                at,
                health: self.state.unwrap_or(health),
                ttl: self.ttl,
                then: self.then,
                elapsed: self.elapsed,
                value: self.metric.map(Into::into),
                predicted: predicted.map(Into::into),
                summary: self.summary.clone(),
            })
        };
        let Some(job) = known else {
            let reserve = Word::Reserve(self.reservation(None, uuid));
            return vec![reserve, beat(JobRef::Name(self.name.clone()))];
        };
        let mut words = Vec::new();
        // What a document or another's reservation says of a job is not for a heartbeat to change.
        let namespace = self.labels.get(NAMESPACE).map(String::as_str);
        if !job.declared && job.feed.is_some() && job.namespace() == namespace {
            let reserve = self.reservation(Some(job), uuid);
            if reserve.labels != job.labels || reserve.pace != job.pace {
                words.push(Word::Reserve(reserve));
            }
        }
        words.push(beat(JobRef::Id(job.id)));
        words
    }

    fn reservation(&self, known: Option<&Job>, uuid: u128) -> Reservation {
        let schedule = self.asks_for.map(|by| Schedule::Learned { by });
        let kept = known.map(|job| job.pace.schedule.clone());
        let schedule = schedule.or(kept).unwrap_or(Schedule::Learned { by: Rule::PaceHb });
        let pace = Pace { schedule, grace: Duration::ZERO };
        let mut reservation = Reservation::new(&self.name, pace);
        reservation.uuid = Some(uuid);
        reservation.labels = self.labels.clone();
        reservation.only_new = known.is_none();
        reservation
    }
}

/// A vote: of which check, and whether its alerts were worth it.
///
/// # Errors
/// What is wrong with it.
pub fn vote(body: &[u8]) -> Result<(String, bool), Unreadable> {
    let told: Vote = serde_json::from_slice(body)?;
    match told.vote.as_str() {
        "up" => Ok((told.check, true)),
        "down" => Ok((told.check, false)),
        _ => Err(Unreadable("Not a valid vote value - should be 'up' or 'down'.".to_owned())),
    }
}

/// What stands after `?`.
///
/// # Errors
/// When no key does.
pub fn asked(query: Option<&str>) -> Result<Asked, Unreadable> {
    let (mut key, mut check, mut kind) = (None, None, None);
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "api_key" => key = Some(value.into_owned()),
            "check" => check = Some(value.into_owned()),
            "type" => kind = Some(value.into_owned()),
            // Clients may say more to others.
            _ => {}
        }
    }
    let key = key.ok_or_else(|| Unreadable("the address lacks api_key=…".to_owned()))?;
    Ok(Asked { key, check, kind, jobs: Namespace::ALL })
}

impl Asked {
    /// Whether a job is one that is asked for: one that heartbeats are told of.
    pub fn is_for(&self, job: &Job) -> bool {
        let check = self.called(job);
        let kind = job.labels.get("heartbeat_type").map_or(PLAIN, String::as_str);
        job.feed.is_some()
            && self.jobs.covers(job)
            && self.check.as_ref().is_none_or(|asked| asked == check)
            && self.kind.as_ref().is_none_or(|asked| asked == kind)
    }

    /// What whoever asks calls a job. Two namespaces may have a check of the same name: who sees
    /// both calls them by the names of their jobs.
    fn called<'a>(&self, job: &'a Job) -> &'a String {
        let of_another = self.jobs.is_all() && job.namespace().is_some();
        job.labels.get("check").filter(|_| !of_another).unwrap_or(&job.name)
    }
}

/// A check as `GET /heartbeats` lists it, for whoever asks.
pub fn listed(
    job: &Job,
    asked: &Asked,
    deadline: Option<Timestamp>,
    at: Timestamp,
) -> Option<Value> {
    let feed = job.feed.as_ref()?;
    let last_seen = seconds(feed.at);
    // As there: what holds for ever has expired before it came.
    let for_ever = feed.ttl.filter(|ttl| *ttl < 0).map(|ttl| last_seen.saturating_add(ttl));
    let expires = for_ever.or(deadline.map(seconds));
    let tags = job.labels.get("tags").map(|tags| tags.split(',').collect::<Vec<_>>());
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let heartbeat = json!({
        "api_key": asked.key,
        "check": asked.called(job),
        "state": feed.health.as_str(),
        "heartbeat_type": job.labels.get("heartbeat_type").map_or(PLAIN, String::as_str),
        "ttl": feed.ttl,
        "elapsed": feed.elapsed,
        "tags": tags,
        "summary": text(&job.body),
        "transition_to": feed.then.map(Health::as_str),
        "metric": feed.value.map(f64::from).map(number),
    });
    Some(said(json!({
        "expires": expires,
        "lastSeen": last_seen,
        "calculatedState": job.health(at).unwrap_or(feed.health).as_str(),
        "heartBeat": said(heartbeat),
    })))
}

/// What `GET /history` tells of a job: the latest first, [`HISTORY_MAX`] of them.
pub fn history(job: &Job) -> Vec<Value> {
    let points = job.feed.iter().flat_map(|feed| feed.history.iter().rev().take(HISTORY_MAX));
    let told = points.map(|point| {
        said(json!({
            "timestamp": seconds(point.at),
            "state": point.health.as_str(),
            "current": point.value.map(f64::from).map(number),
            "predicted": point.predicted.map(f64::from).map(number),
        }))
    });
    told.collect()
}

/// What is not said is left out.
fn said(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        *fields = std::mem::take(fields)
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect::<Map<_, _>>();
    }
    value
}

/// Whole numbers without a point, as there.
fn number(value: f64) -> Value {
    let text = format!("{value}");
    text.parse::<i64>().map_or_else(|_fraction| json!(value), Value::from)
}

fn seconds(at: Timestamp) -> i64 {
    i64::try_from(at.millis().saturating_add(500) / 1_000).unwrap_or(i64::MAX)
}

/// What a job is called for a check of this type.
fn named(check: &str, kind: &str) -> Result<String, Unreadable> {
    for (key, value, most) in
        [("check", check, CHECK_BYTES_MAX), ("heartbeat_type", kind, TYPE_BYTES_MAX)]
    {
        if value.is_empty() || value.len() > most || value.chars().any(char::is_control) {
            let why = format!("{key} has 1 to {most} bytes, none of them a control character");
            return Err(Unreadable(why));
        }
    }
    Ok(if kind == PLAIN { check.to_owned() } else { format!("{kind}:{check}") })
}

/// Our own rule, where a heartbeat asks for it.
fn rule(
    one_in: Option<u32>,
    at_least: Option<&str>,
    at_most: Option<&str>,
) -> Result<Option<Rule>, Unreadable> {
    let Some(one_in) = one_in else {
        return match (at_least, at_most) {
            (None, None) => Ok(None),
            (Some(_), _) => {
                Err(Unreadable("at_least needs one_in: PaceHB's rule has no least".to_owned()))
            }
            (None, Some(_)) => {
                Err(Unreadable("at_most needs one_in: PaceHB's rule has no most".to_owned()))
            }
        };
    };
    if !ONE_IN.contains(&one_in) {
        let why = format!("one_in: {} to {}", ONE_IN.start(), ONE_IN.end());
        return Err(Unreadable(why));
    }
    let span = |key: &str, text: Option<&str>| {
        let span = text.map(parse_span).transpose();
        span.map_err(|error| Unreadable(format!("{key}: {error}")))
    };
    let at_least = span("at_least", at_least)?.unwrap_or(Rule::AT_LEAST);
    let at_most = span("at_most", at_most)?;
    if let Some(at_most) = at_most.filter(|at_most| at_most.is_zero() || *at_most < at_least) {
        let (most, least) = (format_span(at_most), format_span(at_least));
        let why = format!("at_most: {most} is nothing, or shorter than at_least ({least})");
        return Err(Unreadable(why));
    }
    Ok(Some(Rule::arrivals(OneIn::new(one_in), at_least, at_most)))
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
