//! JSON of any shape, with a mapping that says where in it what stands.
//!
//! ```toml
//! [[intake]]
//! name      = "zabbix"                     # POST /v1/intake/zabbix
//! list      = "/events"                    # where the events stand; the whole body unless said
//! fires     = { at = "/status", is = ["PROBLEM"] }
//! over      = { at = "/status", is = ["OK"] }
//! summary   = "/message"
//! labels    = { alertname = "/trigger/name", host = "/host" }
//! set       = { source = "zabbix" }
//! ```
//!
//! Places are written as JSON pointers (RFC 6901). The mapping stands in the host's own
//! `hearten.toml`: it says how a sender is understood, and never what is done.

use super::{AHEAD_MAX, Unreadable, Words};
use protocol::{
    alert::{Alert, Word},
    document::{self, Stream},
    name::Name,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The most events of a body.
const EVENTS_MAX: usize = 10_000;

/// How a sender's JSON is understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// What it is called, and the end of its path.
    pub name: Name,
    /// A program that prints an event in JSON on each line for as long as it runs, by its argv;
    /// events are posted to `/v1/intake/NAME` unless one is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<String>,
    /// Where a list of events stands; the whole body is one event, or a list of them, unless said.
    #[serde(default)]
    pub list: Option<String>,
    /// Which events say that it fires; all that do not say that it is over, unless said.
    #[serde(default)]
    pub fires: Option<Case>,
    /// Which events say that it is over; none unless said.
    #[serde(default)]
    pub over: Option<Case>,
    /// Where a line for people stands.
    #[serde(default)]
    pub summary: Option<String>,
    /// The labels that are taken from the event, by the places where they stand.
    pub labels: BTreeMap<String, String>,
    /// Labels that are always the same.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Where the moment stands since when it is so. Only streams say it: whoever posts is answered
    /// by what the log knows.
    #[serde(skip)]
    pub time: Option<String>,
}

impl From<&Stream> for Mapping {
    fn from(stream: &Stream) -> Self {
        let case = |case: &document::Case| Case { at: case.at.clone(), is: case.is.clone() };
        let mapping = stream.mapping.clone();
        Self {
            name: stream.name.clone(),
            run: Vec::new(),
            list: mapping.list,
            fires: mapping.fires.as_ref().map(case),
            over: mapping.over.as_ref().map(case),
            summary: mapping.summary,
            labels: mapping.labels,
            set: mapping.set,
            time: mapping.time,
        }
    }
}

/// What an event has to say somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Where.
    pub at: String,
    /// One of these.
    pub is: BTreeSet<String>,
}

impl Case {
    fn holds(&self, event: &Value) -> bool {
        event.pointer(&self.at).and_then(in_words).is_some_and(|said| self.is.contains(&said))
    }
}

impl Mapping {
    /// What is wrong with it, if anything is.
    ///
    /// # Errors
    /// The key and what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let cases = self.fires.iter().chain(&self.over).map(|case| &case.at);
        let places = self.list.iter().chain(&self.summary).chain(self.labels.values()).chain(cases);
        for place in places {
            if !place.is_empty() && !place.starts_with('/') {
                return Err(format!(
                    "intake \"{}\": \"{place}\" is no place: write a JSON pointer, \"/host/name\"",
                    self.name
                ));
            }
        }
        if !self.labels.contains_key("alertname") && !self.set.contains_key("alertname") {
            return Err(format!(
                "intake \"{}\": nothing says what it is: write labels = {{ alertname = \"/PLACE\" }}",
                self.name
            ));
        }
        Ok(())
    }

    /// Reads a body. The words say how it is, and since when only where the mapping says it.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn words(&self, body: &[u8], now: Timestamp) -> Result<Words, Unreadable> {
        let body: Value = serde_json::from_slice(body)?;
        let listed = match &self.list {
            None => &body,
            Some(place) => body
                .pointer(place)
                .ok_or_else(|| Unreadable(format!("there is nothing at {place} of the body")))?,
        };
        let events = match listed.as_array() {
            Some(events) => events.as_slice(),
            None => std::slice::from_ref(listed),
        };
        if events.len() > EVENTS_MAX {
            return Err(Unreadable(format!("{} events: {EVENTS_MAX} at most", events.len())));
        }
        let mut words = Words::default();
        for (number, event) in events.iter().enumerate() {
            match self.word(event, now) {
                Ok(word) if self.time.is_some() => words.words.push(word),
                Ok(word) => words.undated.push(word),
                Err(why) => words.refuse("event", number, &why),
            }
        }
        Ok(words)
    }

    fn word(&self, event: &Value, now: Timestamp) -> Result<Word, String> {
        let mut labels = self.set.clone();
        for (label, place) in &self.labels {
            let found = event.pointer(place);
            // What is not there is no label; what is no text cannot be one.
            let Some(found) = found.filter(|found| !found.is_null()) else { continue };
            let said = in_words(found)
                .ok_or_else(|| format!("what stands at {place} is no text, number or boolean"))?;
            labels.insert(label.clone(), said);
        }
        if labels.get("alertname").is_none_or(String::is_empty) {
            let place = self.labels.get("alertname").map_or("", String::as_str);
            return Err(format!("nothing at {place} says what it is"));
        }
        let summary = self.summary.as_ref().and_then(|place| event.pointer(place));
        let summary = summary.and_then(in_words).unwrap_or_default();
        let since = match &self.time {
            Some(place) => moment(event, place, now)?,
            None => now,
        };
        let alert = Alert::new(labels, &summary, since, None).map_err(|error| error.to_string())?;
        let over = self.over.as_ref().is_some_and(|over| over.holds(event));
        let fires = self.fires.as_ref().map_or(!over, |fires| fires.holds(event));
        match (fires, over) {
            (true, false) => Ok(Word::Fires(alert)),
            (false, true) => Ok(Word::Ended { alert: alert.id(), starts_at: None, at: since }),
            (true, true) => Err("it says both that it fires and that it is over".to_owned()),
            (false, false) => Err("it says neither that it fires nor that it is over".to_owned()),
        }
    }
}

/// The moment that stands somewhere: RFC 3339, or seconds or milliseconds since 1970.
fn moment(event: &Value, place: &str, now: Timestamp) -> Result<Timestamp, String> {
    /// More seconds than these are milliseconds: as seconds they would be in the year 5138.
    const SECONDS_MAX: f64 = 1e11;
    let found = event.pointer(place).filter(|found| !found.is_null());
    let found = found.ok_or_else(|| format!("nothing at {place} says since when"))?;
    let no_moment = || format!("what stands at {place} is no moment");
    let at = match found {
        Value::String(text) => {
            Timestamp::parse(text).map_err(|error| format!("{place}: {error}"))?
        }
        Value::Number(number) => {
            let number = number.as_f64().ok_or_else(no_moment)?;
            let seconds = if number < SECONDS_MAX { number } else { number / 1_000.0 };
            let since = Duration::try_from_secs_f64(seconds).map_err(|_error| no_moment())?;
            let millis = u64::try_from(since.as_millis()).map_err(|_error| no_moment())?;
            Timestamp::from_millis(millis)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(no_moment());
        }
    };
    if at > now.plus(AHEAD_MAX) {
        return Err(format!("{place}: {at} is in the future: its sender's clock is off"));
    }
    Ok(at)
}

/// A value as a label has it.
fn in_words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_millis(1_767_226_200_000);

    fn mapping() -> Mapping {
        let text = r#"
            name    = "zabbix"
            list    = "/events"
            fires   = { at = "/value", is = ["1"] }
            over    = { at = "/value", is = ["0"] }
            summary = "/text"
            labels  = { alertname = "/trigger/name", host = "/host", rack = "/rack" }
            set     = { source = "zabbix" }
        "#;
        toml::from_str(text).unwrap()
    }

    fn read(events: Value) -> Words {
        mapping().words(json!({ "events": events }).to_string().as_bytes(), NOW).unwrap()
    }

    #[test]
    fn an_event_is_understood_by_its_places() {
        let event = |value: i32| {
            json!({ "value": value, "host": "web-1", "trigger": { "name": "disk" },
                    "rack": null, "text": "99 %" })
        };
        let words = read(json!([event(1), event(0)]));
        let [Word::Fires(alert), Word::Ended { alert: ended, .. }] = &words.undated[..] else {
            panic!("{words:?}")
        };
        assert_eq!(*ended, alert.id(), "its end is known by the same labels");
        assert_eq!((alert.summary.as_str(), alert.labels.len()), ("99 %", 3));
        assert_eq!(alert.labels["source"], "zabbix");
    }

    #[test]
    fn what_is_wrong_is_said_and_keeps_nothing_else_out() {
        let good = json!({ "value": "1", "host": "a", "trigger": { "name": "x" } });
        for (bad, why) in [
            (json!({ "value": 1, "host": "a" }), "/trigger/name"),
            (json!({ "value": 7, "trigger": { "name": "x" } }), "neither"),
            (json!({ "value": 1, "trigger": { "name": { "a": 1 } } }), "no text"),
            (json!([]), "/trigger/name"),
            (json!("x"), "/trigger/name"),
        ] {
            let words = read(json!([bad, good]));
            assert_eq!(words.undated.len(), 1, "{words:?}");
            assert!(words.refused[0].contains(why), "{words:?}");
        }
        let error = mapping().words(b"{}", NOW).unwrap_err().to_string();
        assert!(error.contains("/events"), "{error}");
        assert!(mapping().words(b"\xff", NOW).is_err());
    }

    #[test]
    fn where_events_say_since_when_it_is_taken_from_them() {
        let timed = Mapping { time: Some("/at".to_owned()), ..mapping() };
        let read = |at: Value| {
            let event = json!({ "value": 1, "trigger": { "name": "x" }, "at": at });
            timed.words(json!({ "events": [event] }).to_string().as_bytes(), NOW).unwrap()
        };
        for at in [
            json!("2026-01-01T00:00:30Z"),
            json!(1_767_225_630),
            json!(1_767_225_630.0),
            json!(1_767_225_630_000_u64),
        ] {
            let words = read(at.clone());
            let [Word::Fires(alert)] = &words.words[..] else { panic!("{at}: {words:?}") };
            assert_eq!(alert.starts_at, Timestamp::from_millis(1_767_225_630_000), "{at}");
        }
        for (at, why) in [
            (json!(null), "since when"),
            (json!("soon"), "/at"),
            (json!(-1), "no moment"),
            (json!(1e300), "no moment"),
            (json!(true), "no moment"),
            (json!("2099-01-01T00:00:00Z"), "future"),
        ] {
            let words = read(at.clone());
            let said = words.refused.first().map_or("", String::as_str);
            assert!(words.words.is_empty() && said.contains(why), "{at}: {words:?}");
        }
    }

    #[test]
    fn a_mapping_that_could_not_work_is_refused_with_its_name() {
        assert_eq!(mapping().check(), Ok(()));
        let no_place = Mapping { summary: Some("text".to_owned()), ..mapping() };
        assert!(no_place.check().is_err_and(|why| why.contains("zabbix") && why.contains("text")));
        let nameless = Mapping { labels: BTreeMap::new(), ..mapping() };
        assert!(nameless.check().is_err_and(|why| why.contains("alertname")));
        assert!(toml::from_str::<Mapping>("name = \"x\"\nlabels = {}\nrun = \"rm\"").is_err());
    }
}
