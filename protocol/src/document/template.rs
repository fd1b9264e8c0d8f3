//! What a notice says, in an operator's own words: a text with places for facts, `{incident}`.
//!
//! Only what looks like a place and is none is a mistake; any other brace is a brace, so that a
//! template may be JSON.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest template.
pub const TEMPLATE_BYTES_MAX: usize = 8 << 10;

/// The longest text that comes of one: what is longer is cut.
const FILLED_BYTES_MAX: usize = 32 << 10;

/// What is known of a notice, by the names of its places.
pub type Facts = BTreeMap<String, String>;

/// The places that a template may have, and what stands there. A fact that an incident does not
/// have is empty. Whoever adds a signal adds what is known of it here and in the agent's facts.
pub const PLACES: [(&str, &str); 30] = [
    ("mesh", "the mesh's name"),
    ("incident", "INC-42"),
    ("key", "what tells a repetition from news"),
    ("news", "called, asked, resolved or repaired"),
    ("title", "the usual title"),
    ("text", "the usual text"),
    ("host", "the affected peer's name"),
    ("address", "its address"),
    ("check", "the check that fails"),
    ("verdict", "what it says, or the kind of silence"),
    ("severity", "critical, warning or info"),
    ("why", "the signal in a sentence"),
    ("runbook", "the runbook that answers"),
    ("rung", "the rung that was reached, or that is asked about"),
    ("attempts", "how many executions there were"),
    ("ran", "the last of them: which rung, on which host, how it ended"),
    ("explain", "the command that tells the whole story"),
    ("jobid", "what it is about: a check, a ladder, silence, a job's number"),
    ("app", "the label `app` of the affected peer, or of the job"),
    ("component", "its label `component`"),
    ("owner", "its label `owner`"),
    ("notify", "the notifier"),
    ("frequency", "how often the check is run"),
    ("last", "since when it is wrong"),
    ("since", "for how long"),
    ("began", "since when it is wrong, in seconds since 1970"),
    ("state", "OK when it is over, else CRITICAL"),
    ("tags", "the tags of the job, in quotes: the inside of a list of JSON"),
    ("checkins", "how often the job has checked in"),
    ("srv", "the host that tells"),
];

/// What begins the name of a place for one of the affected peer's labels: `{label.rack}`.
pub const LABEL: &str = "label.";

/// The same for one of the labels of the job that it is about: `{job.check}`.
pub const JOB: &str = "job.";

/// The same for one of the labels of the alert that it is about: `{alert.device}`.
pub const ALERT: &str = "alert.";

/// The place for a list: what stands there is several texts with commas between them.
const TAGS: &str = "tags";

/// A text with places for facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template(String);

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It has a place that nothing is known for.
    #[error("nothing is known of a place {{{0}}}")]
    Unknown(String),
    /// It is too long.
    #[error("it has more than {TEMPLATE_BYTES_MAX} bytes")]
    TooLong,
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
}

/// A piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Words(&'a str),
    Place(&'a str),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`], for the first place that there is not.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLong);
        }
        if text.trim().is_empty() {
            return Err(TemplateError::Empty);
        }
        for piece in pieces(text) {
            if let Piece::Place(name) = piece
                && !is_known(name)
            {
                return Err(TemplateError::Unknown(name.to_owned()));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The text with what is known in its places, each written by `form`.
    pub fn fill(&self, facts: &Facts, form: impl Fn(&str) -> String) -> String {
        let mut filled = String::with_capacity(self.0.len());
        for piece in pieces(&self.0) {
            match piece {
                Piece::Words(words) => filled.push_str(words),
                Piece::Place(name) => {
                    let fact = facts.get(name).map_or("", String::as_str);
                    if name == TAGS {
                        let tags = fact.split(',').filter(|tag| !tag.is_empty());
                        let tags: Vec<String> =
                            tags.map(|tag| format!("\"{}\"", form(tag))).collect();
                        filled.push_str(&tags.join(", "));
                    } else {
                        filled.push_str(&form(fact));
                    }
                }
            }
        }
        let mut end = filled.len().min(FILLED_BYTES_MAX);
        while !filled.is_char_boundary(end) {
            end -= 1;
        }
        filled.truncate(end);
        filled
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_known(name: &str) -> bool {
    let label = [LABEL, JOB, ALERT].into_iter().find_map(|kind| name.strip_prefix(kind));
    label.is_some_and(|label| !label.is_empty()) || PLACES.iter().any(|(known, _)| *known == name)
}

/// The pieces of a text. What stands between braces is a place when it is one word of small
/// letters, digits, dots, hyphens and underscores that begins with a letter.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((name, after)) = place(rest) {
            rest = after;
            return Some(Piece::Place(name));
        }
        let places = rest.match_indices('{').map(|(at, _)| at);
        let end = places.filter(|at| *at > 0).find(|at| rest.get(*at..).and_then(place).is_some());
        let (words, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(Piece::Words(words))
    })
}

/// The name of the place with which a text begins, and what follows it.
fn place(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let letters = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
    };
    let fits = name.bytes().all(letters) && name.starts_with(|c: char| c.is_ascii_lowercase());
    fits.then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts(pairs: &[(&str, &str)]) -> Facts {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn filled(text: &str, pairs: &[(&str, &str)]) -> String {
        Template::parse(text).unwrap().fill(&facts(pairs), str::to_owned)
    }

    #[test]
    fn a_place_holds_its_fact_and_any_other_brace_is_a_brace() {
        assert_eq!(filled("{host}: {why}", &[("host", "web-1"), ("why", "down")]), "web-1: down");
        assert_eq!(filled(r#"{"text": "{text}"}"#, &[("text", "x")]), r#"{"text": "x"}"#);
        assert_eq!(filled("{ {} {A} {host", &[]), "{ {} {A} {host");
        assert_eq!(filled("{{host}}", &[("host", "h")]), "{h}");
        assert_eq!(filled("{label.rack}|{check}|", &[("label.rack", "r1")]), "r1||");
        assert_eq!(filled("{job.check}|{job.x}|", &[("job.check", "a.b")]), "a.b||");
        assert_eq!(filled("[{tags}]", &[("tags", "a,b")]), r#"["a", "b"]"#);
        assert_eq!(filled("[{tags}]", &[]), "[]");
        let quoted = Template::parse("[{tags}]").unwrap();
        let escaped = quoted.fill(&facts(&[("tags", "a\"b")]), |text| text.replace('"', "\\\""));
        assert_eq!(escaped, r#"["a\"b"]"#);
        // What stands in a fact is no template.
        assert_eq!(filled("{why}", &[("why", "{host}"), ("host", "h")]), "{host}");
    }

    #[test]
    fn a_place_that_there_is_not_is_named() {
        assert_eq!(
            Template::parse("{host} {hots}"),
            Err(TemplateError::Unknown("hots".to_owned()))
        );
        assert_eq!(Template::parse("{label.}"), Err(TemplateError::Unknown("label.".to_owned())));
        assert_eq!(Template::parse(" \n"), Err(TemplateError::Empty));
        assert_eq!(Template::parse(&"x".repeat(9_000)), Err(TemplateError::TooLong));
    }

    #[test]
    fn what_comes_of_it_has_an_end() {
        let long = "ä".repeat(FILLED_BYTES_MAX);
        let text = filled("{why}{why}", &[("why", &long)]);
        assert!(text.len() <= FILLED_BYTES_MAX && text.ends_with('ä'));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_has_no_place_stays_as_it_is(text in "[{}a-z.\" ä]{0,40}") {
            let joined: String = pieces(&text).map(|piece| match piece {
                Piece::Words(words) => words.to_owned(),
                Piece::Place(name) => format!("{{{name}}}"),
            }).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
