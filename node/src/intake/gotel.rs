//! GoTel's requests: reservations, check-ins, snoozes, check-outs, with its fields as they are.
//!
//! Beside GoTel's own fields a reservation may say `level` (how urgent it is), `alerters` (who is
//! to be told), `host`, `grace` (in its time units), and instead of a frequency `cron` or
//! `on_calendar` with a `time_zone`. They become labels, by which checks choose jobs: what is done
//! about a job stands in documents. A check-in may say its `state`, `rid` and `exit_code`.
//!
//! GoTel took what it could not use for nothing said: a unit it did not know, a frequency of
//! nothing, a check-in of nobody. Here each is refused by name.

use super::Unreadable;
use protocol::{
    heartbeat::{
        BAKES_FOR, JobRef, PERIOD_MIN, Pace, Ping, Reservation, Schedule, Signal, Word, shortened,
    },
    time::Timestamp,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, time::Duration};

/// `POST /reservation`.
#[derive(Debug, Deserialize)]
struct Reserve {
    app: String,
    component: String,
    #[serde(default)]
    notify: String,
    #[serde(default)]
    alert_msg: String,
    #[serde(default)]
    frequency: Option<u64>,
    #[serde(default)]
    time_units: Option<String>,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    level: String,
    #[serde(default)]
    alerters: Alerters,
    #[serde(default)]
    host: String,
    #[serde(default)]
    grace: u64,
    #[serde(default)]
    cron: Option<String>,
    #[serde(default)]
    on_calendar: Option<String>,
    #[serde(default)]
    time_zone: Option<String>,
}

/// One, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Alerters {
    One(String),
    Many(Vec<String>),
}

impl Default for Alerters {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// `POST /checkin`.
#[derive(Debug, Deserialize)]
struct CheckIn {
    app: String,
    component: String,
    #[serde(default)]
    notes: String,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    rid: Option<String>,
    #[serde(default)]
    exit_code: Option<u8>,
}

/// `POST /snooze`.
#[derive(Debug, Deserialize)]
struct Snooze {
    app: String,
    component: String,
    duration: u64,
    time_units: String,
}

/// `POST /checkout`.
#[derive(Debug, Deserialize)]
struct Checkout {
    app: String,
    component: String,
}

/// What a request says, and of which application and component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What is brought to the log.
    pub word: Word,
    /// The application, for the answer.
    pub app: String,
    /// The component.
    pub component: String,
}

/// What GoTel calls a job.
pub fn name(app: &str, component: &str) -> String {
    format!("{app}/{component}")
}

/// A reservation. `uuid` is the secret that the job has if it is new.
///
/// # Errors
/// What is wrong with it.
pub fn reservation(body: &[u8], uuid: u128) -> Result<Told, Unreadable> {
    let told: Reserve = match serde_json::from_slice(body) {
        Ok(told) => told,
        Err(error) => read(&with_comma(body, &error).unwrap_or_else(|| body.to_vec()))?,
    };
    let pace = told.pace()?;
    let mut labels = BTreeMap::from([
        ("job".to_owned(), name(&told.app, &told.component)),
        ("app".to_owned(), told.app.clone()),
        ("component".to_owned(), told.component.clone()),
    ]);
    let alerters = match told.alerters {
        Alerters::One(one) => one,
        Alerters::Many(many) => many.join(","),
    };
    let said = [
        ("notify", told.notify),
        ("owner", told.owner),
        ("level", told.level),
        ("alerters", alerters),
        ("host", told.host),
        ("time_units", told.time_units.unwrap_or_default()),
    ];
    for (key, value) in said.into_iter().filter(|(_, value)| !value.is_empty()) {
        labels.insert(key.to_owned(), value);
    }
    let reservation = Reservation {
        name: named(&told.app, &told.component)?,
        uuid: Some(uuid),
        labels,
        pace,
        text: told.alert_msg,
        bakes_for: BAKES_FOR,
        only_new: false,
    };
    let word = Word::Reserve(reservation);
    word.check().map_err(|error| Unreadable(error.to_string()))?;
    Ok(Told { word, app: told.app, component: told.component })
}

/// A reservation as the form of the page for people sends it.
///
/// # Errors
/// What is wrong with it.
pub fn form(body: &[u8], uuid: u128) -> Result<Told, Unreadable> {
    let mut told = Map::new();
    for (key, value) in form_urlencoded::parse(body).filter(|(_, value)| !value.is_empty()) {
        let number = || value.parse::<u64>().map_or_else(|_| value.as_ref().into(), Value::from);
        let value = if key == "frequency" { number() } else { Value::from(value.as_ref()) };
        told.insert(key.into_owned(), value);
    }
    reservation(Value::Object(told).to_string().as_bytes(), uuid)
}

/// A check-in, at this moment of the log's time.
///
/// # Errors
/// What is wrong with it.
pub fn check_in(body: &[u8], at: Timestamp) -> Result<Told, Unreadable> {
    let told: CheckIn = read(body)?;
    let signal = match (told.state.as_deref(), told.exit_code) {
        (None | Some("success"), None | Some(0)) => Signal::Success,
        (None | Some("fail"), code) => Signal::Fail(code),
        (Some("start"), None) => Signal::Start,
        (Some("log"), None) => Signal::Log,
        (Some("start" | "log" | "success"), Some(code)) => {
            return Err(Unreadable(format!("exit_code {code} does not fit its state")));
        }
        (Some(other), _) => {
            return Err(Unreadable(format!(
                "state {other:?} is none of start, success, fail and log"
            )));
        }
    };
    let run = told.rid.as_deref().map(super::healthchecks::uuid).transpose()?;
    let job = JobRef::Name(named(&told.app, &told.component)?);
    let word = Word::Ping(Ping { job, at, signal, run, body: shortened(&told.notes) });
    Ok(Told { word, app: told.app, component: told.component })
}

/// A snooze.
///
/// # Errors
/// What is wrong with it.
pub fn snooze(body: &[u8]) -> Result<Told, Unreadable> {
    let told: Snooze = read(body)?;
    let lasts = span("duration", told.duration, &told.time_units)?;
    let word = Word::Snooze { job: JobRef::Name(named(&told.app, &told.component)?), lasts };
    word.check().map_err(|error| Unreadable(error.to_string()))?;
    Ok(Told { word, app: told.app, component: told.component })
}

/// A check-out.
///
/// # Errors
/// What is wrong with it.
pub fn check_out(body: &[u8]) -> Result<Told, Unreadable> {
    let told: Checkout = read(body)?;
    let word = Word::Checkout { job: JobRef::Name(named(&told.app, &told.component)?) };
    Ok(Told { word, app: told.app, component: told.component })
}

impl Reserve {
    fn pace(&self) -> Result<Pace, Unreadable> {
        let time_zone = self.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
        let grace = match (self.grace, &self.time_units) {
            (0, _) => Duration::ZERO,
            (grace, Some(units)) => span("grace", grace, units)?,
            (_, None) => return Err(Unreadable("grace needs time_units".to_owned())),
        };
        let schedule = match (self.frequency, &self.cron, &self.on_calendar) {
            (Some(frequency), None, None) => {
                let units = self.time_units.as_deref().unwrap_or_default();
                let period = span("frequency", frequency, units)?;
                if period < PERIOD_MIN {
                    let why = format!("frequency: {PERIOD_MIN:?} is the least");
                    return Err(Unreadable(why));
                }
                Schedule::Every { period }
            }
            (None, Some(cron), None) => Schedule::Cron { expression: cron.clone(), time_zone },
            (None, None, Some(event)) => {
                Schedule::Calendar { expression: event.clone(), time_zone }
            }
            (None, None, None) => {
                let why = "missing field `frequency` (or `cron`, or `on_calendar`)";
                return Err(Unreadable(why.to_owned()));
            }
            (Some(_), _, _) | (None, Some(_), Some(_)) => {
                let why = "frequency, cron and on_calendar: one of them says when";
                return Err(Unreadable(why.to_owned()));
            }
        };
        Ok(Pace { schedule, grace })
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(Unreadable::from)
}

fn named(app: &str, component: &str) -> Result<String, Unreadable> {
    for (key, value) in [("app", app), ("component", component)] {
        if value.is_empty() || value.len() > 120 || value.chars().any(char::is_control) {
            let why = format!("{key} has 1 to 120 bytes, none of them a control character");
            return Err(Unreadable(why));
        }
    }
    Ok(name(app, component))
}

fn span(key: &str, number: u64, units: &str) -> Result<Duration, Unreadable> {
    let seconds = match units {
        "seconds" => 1,
        "minutes" => 60,
        "hours" => 3_600,
        other => {
            let other: String = other.chars().take(40).collect();
            let why = format!("time_units {other:?} is none of seconds, minutes and hours");
            return Err(Unreadable(why));
        }
    };
    if number == 0 {
        return Err(Unreadable(format!("{key} must not be 0")));
    }
    let seconds = number.checked_mul(seconds);
    let span = seconds.map(Duration::from_secs);
    span.filter(|span| *span <= protocol::heartbeat::SPAN_MAX)
        .ok_or_else(|| Unreadable(format!("{key} is longer than a year")))
}

/// GoTel's own README leaves a comma out of its first example, after `alert_msg`. Where a comma is
/// all that is missing between two lines, it is put there.
fn with_comma(body: &[u8], error: &serde_json::Error) -> Option<Vec<u8>> {
    if !error.to_string().starts_with("expected `,` or `}`") {
        return None;
    }
    let before: usize =
        body.split(|byte| *byte == b'\n').take(error.line() - 1).map(|l| l.len() + 1).sum();
    let place = before + error.column().checked_sub(1)?;
    let (head, tail) = body.split_at_checked(place)?;
    let last = head.iter().rposition(|byte| !byte.is_ascii_whitespace())?;
    let on_two_lines = head[last..].contains(&b'\n') && tail.first() == Some(&b'"');
    on_two_lines.then(|| [&head[..=last], b",", &head[last + 1..], tail].concat())
}
