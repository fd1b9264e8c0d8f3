//! Hospital's `POST /v1/reception`, in both of its shapes: Kapacitor's alert, and Alertmanager's
//! webhook, of which Hospital itself took the first alert alone.
//!
//! Hospital began an operation when an alert left the level `OK`, and so never when that one request
//! was lost. Here the level counts, whatever it was before: it is the label `severity`, and one level
//! ends the others.
//!
//! What Hospital called the type of an alert, by which it chose a script, is Kapacitor's `message`:
//! here the label `alert_type`. People let Kapacitor write the level and numbers into it, so these
//! are left out of the label; and an `OK` in other words ends whatever else fires of that id.

use super::{Unreadable, Words, alertmanager};
use protocol::{
    alert::{Alert, Word},
    ledger::alerts::Alerts,
    name::Name,
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The label that has the type of an alert.
const TYPE: &str = "alert_type";

/// The label that has its level.
const SEVERITY: &str = "severity";

/// The levels that are not well, with their severities.
const LEVELS: [(&str, &str); 3] =
    [("INFO", "info"), ("WARNING", "warning"), ("CRITICAL", "critical")];

/// The level that is well.
const WELL: &str = "OK";

/// What was read, and what Hospital would have answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reception {
    /// What it says.
    pub words: Words,
    /// `CRITICAL` where Hospital would have begun an operation, and `OK` where it would not: its
    /// "was" is no word about the level before.
    pub was: &'static str,
}

/// Kapacitor's alert. Its time is that of the measured point, which moves with each repetition.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kapacitor {
    id: String,
    #[serde(default)]
    message: String,
    level: String,
    #[serde(default)]
    previous_level: Option<String>,
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    #[serde(default)]
    series: Vec<Series>,
}

#[derive(Debug, Deserialize)]
struct Series {
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// A request of either shape, as it was read.
#[derive(Debug)]
pub struct Read(Shape);

#[derive(Debug)]
enum Shape {
    Webhook(Words),
    Kapacitor(Box<Kapacitor>),
}

/// Reads either shape.
///
/// # Errors
/// [`Unreadable`].
pub fn read(body: &[u8], now: Timestamp) -> Result<Read, Unreadable> {
    let value: Value = serde_json::from_slice(body)?;
    if value.get("alerts").is_some() {
        return Ok(Read(Shape::Webhook(alertmanager::webhook(body, now)?)));
    }
    Ok(Read(Shape::Kapacitor(Box::new(serde_json::from_value(value)?))))
}

impl Read {
    /// What it says. `guest` says which guest's surgeon has an application id: Hospital's alerts name
    /// their host by it. `alerts` are those that fire, of which an `OK` in other words is about all
    /// of its id.
    pub fn reception(
        self,
        now: Timestamp,
        alerts: &Alerts,
        guest: impl Fn(&str) -> Option<Name>,
    ) -> Reception {
        match self.0 {
            Shape::Webhook(words) => {
                let mut said = words.words.iter().chain(&words.undated);
                let fires = said.any(|word| matches!(word, Word::Fires(_)));
                Reception { words, was: if fires { "CRITICAL" } else { WELL } }
            }
            Shape::Kapacitor(told) => {
                let was =
                    if told.previous_level.as_deref() == Some(WELL) { "CRITICAL" } else { WELL };
                let mut words = Words::default();
                let guest = guest(&told.id);
                match told.words(now, alerts, guest) {
                    Ok(said) => words.undated = said,
                    Err(why) => words.refused.push(why),
                }
                Reception { words, was }
            }
        }
    }
}

impl Kapacitor {
    fn words(
        self,
        now: Timestamp,
        alerts: &Alerts,
        guest: Option<Name>,
    ) -> Result<Vec<Word>, String> {
        let is_known = self.level == WELL || LEVELS.iter().any(|(level, _)| *level == self.level);
        if !is_known {
            let level = self.level;
            return Err(format!("level {level:?} is none of OK, INFO, WARNING and CRITICAL"));
        }
        let kind = lasting(&self.message);
        let tags = self.data.series.into_iter().next().map(|series| series.tags);
        let mut labels = tags.unwrap_or_default();
        labels.insert(TYPE.to_owned(), kind.clone());
        match guest {
            // The id is a secret, and is not kept.
            Some(guest) => {
                labels.insert("host".to_owned(), guest.to_string());
                labels.insert("alertname".to_owned(), kind);
            }
            None => {
                labels.insert("alertname".to_owned(), self.id);
            }
        }
        let alert = |severity: &str| {
            let mut labels = labels.clone();
            labels.insert(SEVERITY.to_owned(), severity.to_owned());
            Alert::new(labels, &self.message, now, None).map_err(|error| error.to_string())
        };
        let ended = |alert| Word::Ended { alert, starts_at: None, at: now };
        let mut words = Vec::new();
        for (level, severity) in LEVELS {
            let alert = alert(severity)?;
            words.push(if level == self.level { Word::Fires(alert) } else { ended(alert.id()) });
        }
        let is_of_this = words.iter().any(|word| alerts.fires(word.alert(), now));
        if self.level == WELL && !is_of_this {
            let alike = alerts.firing(now).filter(|(_, firing)| {
                firing.alert.labels.contains_key(TYPE)
                    && apart_from_type(&firing.alert.labels).eq(apart_from_type(&labels))
            });
            words.extend(alike.map(|(alert, _)| ended(alert)));
        }
        Ok(words)
    }
}

/// What stays the same of an alert when its message changes. A guest's name is its type as well.
fn apart_from_type(
    labels: &BTreeMap<String, String>,
) -> impl Iterator<Item = (&String, &String)> + '_ {
    let kind = labels.get(TYPE);
    labels.iter().filter(move |(key, value)| match key.as_str() {
        TYPE | SEVERITY => false,
        "alertname" => Some(*value) != kind,
        _ => true,
    })
}

/// A message without what changes in it while it means the same: levels and numbers.
fn lasting(message: &str) -> String {
    let words = message.split_whitespace().map(|word| {
        let bare = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        let is_level = bare == WELL || LEVELS.iter().any(|(level, _)| *level == bare);
        let is_number = bare.starts_with(|letter: char| letter.is_ascii_digit());
        if is_level || is_number { "*" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}
