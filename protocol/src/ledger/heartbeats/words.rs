//! What people are told of a job.

use super::{Job, Learned, TroubleKind};
use crate::{
    heartbeat::Schedule,
    time::{Timestamp, format_span},
};
use std::time::Duration;

impl Job {
    /// What is told of its trouble: its own text with GoTel's placeholders filled in, or the usual
    /// words. `server` is the address of whoever tells it.
    pub fn told_as(&self, at: Timestamp, server: &str) -> String {
        if self.text.is_empty() {
            return self.in_words(at);
        }
        let mut facts = self.facts(at);
        facts.push(("srv", server.to_owned()));
        let facts = facts.into_iter().map(|(name, value)| (format!("{{{name}}}"), value));
        let values: Vec<(String, String)> = facts.collect();
        filled(&self.text, &values)
    }

    /// What is known of it, by the names that GoTel gave these places.
    pub fn facts(&self, at: Timestamp) -> Vec<(&'static str, String)> {
        let label = |key: &str| self.labels.get(key).cloned().unwrap_or_default();
        let frequency = match &self.pace.schedule {
            Schedule::Every { period } => format_span(*period),
            Schedule::Cron { expression, .. } | Schedule::Calendar { expression, .. } => {
                expression.clone()
            }
            Schedule::Learned { .. } => {
                let pace = self.learned.as_ref().and_then(Learned::pace);
                pace.map_or_else(
                    || "as learned".to_owned(),
                    |pace| format_span(whole_seconds(pace)),
                )
            }
        };
        let last = self.last.map_or_else(|| "never".to_owned(), |last| last.to_string());
        let since = self.last.unwrap_or(self.made_at);
        vec![
            ("jobid", self.id.to_string()),
            ("app", label("app")),
            ("component", label("component")),
            ("owner", label("owner")),
            ("notify", label("notify")),
            ("frequency", frequency),
            ("last", last),
            ("since", format!("{} ago", format_span(whole_seconds(at.since(since))))),
            ("checkins", self.checkins.to_string()),
        ]
    }

    /// What is wrong, in a line, as a person is told.
    pub fn in_words(&self, at: Timestamp) -> String {
        let Some(trouble) = &self.trouble else { return format!("job \"{}\" is well", self.name) };
        let last = self.last.map_or_else(
            || "it has never checked in".to_owned(),
            |last| format!("it checked in last {} ago", format_span(whole_seconds(at.since(last)))),
        );
        let what = match trouble.kind {
            TroubleKind::Missed { deadline } => format!("did not check in by {deadline}; {last}"),
            TroubleKind::Overran { deadline } => {
                format!("began and did not end by {deadline}; {last}")
            }
            TroubleKind::Failed(Some(code)) => format!("failed with exit code {code}"),
            TroubleKind::Failed(None) => "failed".to_owned(),
        };
        let said = match (trouble.kind, self.failed_with.lines().next()) {
            (TroubleKind::Failed(_), Some(line)) => format!(": {}", line.trim()),
            (
                TroubleKind::Missed { .. } | TroubleKind::Overran { .. } | TroubleKind::Failed(_),
                _,
            ) => String::new(),
        };
        format!("job \"{}\" {what}{said}", self.name)
    }
}

/// A text with its placeholders filled in, once each: what a value holds is no placeholder.
fn filled(text: &str, values: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(place) = rest.find('{') {
        out.push_str(&rest[..place]);
        rest = &rest[place..];
        match values.iter().find(|(key, _)| rest.starts_with(key.as_str())) {
            Some((key, value)) => {
                out.push_str(value);
                rest = &rest[key.len()..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Milliseconds are no use to a person.
const fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}
