//! Hospital's `POST /v1/reception`, in both of its shapes: Kapacitor's alert, and Alertmanager's
//! webhook, of which Hospital itself took the first alert alone.
//!
//! Hospital began an operation when an alert left the level `OK`, and so never when that one request
//! was lost. Here the level counts, whatever it was before.

use super::{Unreadable, Words, alertmanager, moment};
use protocol::{
    alert::{Alert, Word},
    name::Name,
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What was read, and what Hospital would have answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reception {
    /// What it says.
    pub words: Words,
    /// `OK` or `CRITICAL`: how it was before.
    pub was: &'static str,
}

/// Kapacitor's alert.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kapacitor {
    id: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    time: Option<String>,
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

/// Reads either shape. `guest` says which guest's surgeon has an application id: Hospital's alerts
/// name their host by it, and say in their message what is wrong.
///
/// # Errors
/// What cannot be read, with its line and column.
pub fn reception(
    body: &[u8],
    now: Timestamp,
    guest: impl Fn(&str) -> Option<Name>,
) -> Result<Reception, Unreadable> {
    let value: Value = serde_json::from_slice(body)?;
    if value.get("alerts").is_some() {
        let words = alertmanager::webhook(body, now)?;
        let fires = words.words.iter().any(|word| matches!(word, Word::Fires(_)));
        return Ok(Reception { words, was: if fires { "OK" } else { "CRITICAL" } });
    }
    let told: Kapacitor = serde_json::from_value(value)?;
    let was = match told.previous_level.as_deref() {
        None | Some("OK" | "") => "OK",
        Some(_) => "CRITICAL",
    };
    let mut words = Words::default();
    let guest = guest(&told.id);
    match told.word(now, guest) {
        Ok(word) => words.undated.push(word),
        Err(why) => words.refused.push(why),
    }
    Ok(Reception { words, was })
}

impl Kapacitor {
    fn word(self, now: Timestamp, guest: Option<Name>) -> Result<Word, String> {
        // The time is that of the measured point, which moves: the alert began when it was told.
        let at = moment("time", self.time.as_deref())?.unwrap_or(now).min(now);
        let tags = self.data.series.into_iter().next().map(|series| series.tags);
        let mut labels = tags.unwrap_or_default();
        match guest {
            // The id is a secret, and is not kept.
            Some(guest) => {
                labels.insert("host".to_owned(), guest.to_string());
                labels.insert("alertname".to_owned(), self.message.clone());
            }
            None => {
                labels.insert("alertname".to_owned(), self.id);
            }
        }
        let alert = Alert::new(labels, &self.message, at, None);
        let alert = alert.map_err(|error| error.to_string())?;
        match self.level.as_str() {
            "OK" => Ok(Word::Ended { alert: alert.id(), starts_at: None, at }),
            "INFO" | "WARNING" | "CRITICAL" => Ok(Word::Fires(alert)),
            other => Err(format!("level {other:?} is none of OK, INFO, WARNING and CRITICAL")),
        }
    }
}
