//! What other systems send: their requests, read as the words that the log takes.
//!
//! Nothing here brings a command in. A request says that something is the case, of which host, and
//! since when; what is done about it stands in documents that operators signed.
//!
//! Each format has a file of its own that turns a body into [`Words`] without looking at anything
//! else: the same body at the same time gives the same words.

pub mod alertmanager;
pub mod gotel;
pub mod healthchecks;
pub mod hospital;
pub mod mapped;
pub mod namespace;
pub mod pacehb;
pub mod passive;
pub mod surgeon;

use protocol::{
    alert::{Alert, Word},
    time::Timestamp,
};
use serde::Deserialize;
use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

/// How far ahead of this mesh's time a sender's clock may be.
const AHEAD_MAX: Duration = Duration::from_secs(3_600);

/// The longest that an alert may be said to go on.
const ENDS_WITHIN: Duration = Duration::from_secs(7 * 86_400);

/// Of so many of a request's mistakes it is said what they are.
const REFUSED_MAX: usize = 100;

/// The annotations of an alert that say in a line what is wrong, the best first.
const SUMMARIES: [&str; 4] = ["summary", "title", "description", "message"];

/// What a request says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// What is to be brought to the log, in the order of the request.
    pub words: Vec<Word>,
    /// What says how it is and not since when: the log dates it.
    pub undated: Vec<Word>,
    /// What of it cannot be used, and why.
    pub refused: Vec<String>,
}

impl Words {
    /// What of it cannot be used. An answer must not be longer than what it answers.
    fn refuse(&mut self, what: &str, number: usize, why: &str) {
        match self.refused.len().cmp(&REFUSED_MAX) {
            Ordering::Less => self.refused.push(format!("{what} {}: {why}", number + 1)),
            Ordering::Equal => self.refused.push("and more, of which nothing is said".to_owned()),
            Ordering::Greater => {}
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.words.len() + self.undated.len()
    }

    /// Whether it says nothing.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A request that cannot be read at all: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("the body is not the JSON that is expected here: {error}"))
    }
}

/// An alert as Prometheus and Alertmanager write it. What is not here is not looked at.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(default)]
    status: Option<String>,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: Option<String>,
    #[serde(default)]
    ends_at: Option<String>,
}

impl Told {
    /// What it says at this moment of the mesh's time, and whether it says since when it is so. An
    /// alert without an end fires so long unless it is told again, or until its end is told.
    fn word(self, now: Timestamp, lasts: Option<Duration>) -> Result<(Word, bool), String> {
        let summary = SUMMARIES.iter().find_map(|key| self.annotations.get(*key));
        let summary = summary.map_or("", String::as_str);
        let since = moment("startsAt", self.starts_at.as_deref())?;
        let starts_at = since.unwrap_or(now);
        let ends_at = moment("endsAt", self.ends_at.as_deref())?;
        if starts_at > now.plus(AHEAD_MAX) {
            return Err(format!(
                "startsAt {starts_at} is in the future: its sender's clock is off"
            ));
        }
        let resolved = match self.status.as_deref() {
            Some("resolved") => true,
            Some("firing") => false,
            None => ends_at.is_some_and(|ends| ends <= now),
            Some(other) => return Err(format!("status {other:?} is neither firing nor resolved")),
        };
        // Alertmanager says when it would forget a firing alert itself; it will tell of its end.
        let told_until = ends_at.filter(|_| self.status.is_none());
        let told_until = told_until.or(lasts.map(|lasts| now.plus(lasts)));
        let until = told_until.map(|ends| ends.min(now.plus(ENDS_WITHIN)));
        let alert = Alert::new(self.labels, summary, starts_at, until);
        let alert = alert.map_err(|error| error.to_string())?;
        let word = if resolved {
            // By the clock that said when it began.
            let at = ends_at.filter(|ends| *ends <= now.plus(AHEAD_MAX)).unwrap_or(now);
            Word::Ended { alert: alert.id(), starts_at: since, at: at.max(starts_at) }
        } else {
            Word::Fires(alert)
        };
        Ok((word, since.is_some()))
    }
}

/// A moment as RFC 3339; nothing where none is said. Go writes year 1 for that.
fn moment(key: &str, text: Option<&str>) -> Result<Option<Timestamp>, String> {
    match text {
        None | Some("") => Ok(None),
        Some(text) if text.starts_with("0001-01-01") => Ok(None),
        Some(text) => Timestamp::parse(text).map(Some).map_err(|error| format!("{key}: {error}")),
    }
}

/// Alerts one after the other; what is wrong with one does not keep the others out.
fn words(
    told: impl IntoIterator<Item = serde_json::Value>,
    now: Timestamp,
    lasts: Option<Duration>,
) -> Words {
    let mut words = Words::default();
    for (number, one) in told.into_iter().enumerate() {
        let read = serde_json::from_value::<Told>(one).map_err(|error| error.to_string());
        match read.and_then(|told| told.word(now, lasts)) {
            Ok((word, true)) => words.words.push(word),
            Ok((word, false)) => words.undated.push(word),
            Err(why) => words.refuse("alert", number, &why),
        }
    }
    words
}

#[cfg(test)]
mod jobs_tests;
#[cfg(test)]
mod pacehb_tests;
#[cfg(test)]
mod tests;
