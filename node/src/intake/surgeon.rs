//! What a Hospital surgeon sends: who it is, and how an operation ended.

use super::Unreadable;
use protocol::{
    ledger::attempts::OUTPUT_BYTES_MAX,
    record::{AttemptReport, Outcome},
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// The longest application id that is looked for.
const ID_BYTES_MAX: usize = 1_024;

/// The longest piece of a text that says nothing without its rest: `\ud83d\ude0` of a character.
const CUT_BYTES_MAX: usize = 11;

/// How logs end whose rest is not kept. It begins with what completes no escape.
const CUT: &str = "[the rest of the logs was not kept]\"}";

#[derive(Debug, Deserialize)]
struct Asking {
    #[serde(rename = "applicationID")]
    application_id: String,
}

/// Of a body only this is looked at, where it stands: logs may be long.
#[derive(Debug, Deserialize)]
struct Told<'a> {
    id: u64,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    logs: Cow<'a, str>,
}

impl<'a> Told<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Unreadable> {
        let told = serde_json::from_slice(body)?;
        is_object(body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'))?;
        Ok(told)
    }
}

/// Who asks, by the body of `GET /v1/operation`.
///
/// # Errors
/// What cannot be read, or an id that is empty or too long to be one.
pub fn asking(body: &[u8]) -> Result<String, Unreadable> {
    let asking: Asking = read(body)?;
    let id = asking.application_id;
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(Unreadable(format!("\"applicationID\" must have 1 to {ID_BYTES_MAX} bytes")));
    }
    Ok(id)
}

/// Which operation ended and how, by the body of `POST /v1/report`. Of longer logs the end is kept.
///
/// # Errors
/// What cannot be read, or a status that a surgeon does not have.
pub fn report(body: &[u8], now: Timestamp) -> Result<(u64, AttemptReport), Unreadable> {
    let told = Told::read(body)?;
    let (outcome, exit_code) = match &*told.status {
        "completed" => (Outcome::Succeeded, Some(0)),
        "failed" => (Outcome::Failed, None),
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(Unreadable(format!(
                "\"status\" must be \"completed\" or \"failed\", not {shown:?}"
            )));
        }
    };
    let output = end_of(&told.logs).to_owned();
    let report = AttemptReport { outcome, exit_code, started_at: None, finished_at: now, output };
    Ok((told.id, report))
}

/// What is left of a body whose end was not kept, as a body of its own: a surgeon sends the logs
/// last. The body itself where it was not cut within a text.
pub fn completed(mut beginning: Vec<u8>) -> Vec<u8> {
    let whole = beginning.len();
    let tail_at = whole.saturating_sub(CUT_BYTES_MAX);
    let tail = beginning[tail_at..].to_vec();
    // It may have been cut within a character, or within the two halves of an escaped one: before
    // each escape that it ends with, the latest first.
    let character = tail.iter().rposition(|byte| !is_continued(*byte)).unwrap_or_default();
    let escapes = (0..tail.len()).rev().filter(|at| tail[*at] == b'\\');
    let ends = [tail.len(), character].into_iter().chain(escapes);
    for end in ends {
        beginning.truncate(tail_at);
        beginning.extend_from_slice(&tail[..end]);
        beginning.extend_from_slice(CUT.as_bytes());
        if Told::read(&beginning).is_ok() {
            return beginning;
        }
    }
    beginning.truncate(tail_at);
    beginning.extend_from_slice(&tail);
    beginning
}

/// Whether it belongs to the character that began before it.
const fn is_continued(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Bodies are objects: serde would take a list for one as well.
fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    let value: Value = serde_json::from_slice(body)?;
    is_object(value.is_object())?;
    Ok(serde_json::from_value(value)?)
}

fn is_object(it_is: bool) -> Result<(), Unreadable> {
    let why = || Unreadable("the body must be a JSON object".to_owned());
    it_is.then_some(()).ok_or_else(why)
}

fn end_of(logs: &str) -> &str {
    let mut from = logs.len().saturating_sub(OUTPUT_BYTES_MAX);
    while !logs.is_char_boundary(from) {
        from += 1;
    }
    &logs[from..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    #[test]
    fn a_surgeon_is_understood() {
        assert_eq!(asking(br#"{"applicationID":"old-db.7J"}"#).unwrap(), "old-db.7J");
        let (id, ended) = report(br#"{"id":7,"status":"completed","logs":"ok"}"#, NOW).unwrap();
        assert_eq!((id, ended.outcome, ended.exit_code), (7, Outcome::Succeeded, Some(0)));
        assert_eq!((ended.output.as_str(), ended.finished_at), ("ok", NOW));
        let (_, ended) = report(br#"{"id":7,"status":"failed"}"#, NOW).unwrap();
        assert_eq!((ended.outcome, ended.exit_code), (Outcome::Failed, None));
    }

    #[test]
    fn what_it_cannot_mean_is_told() {
        for (body, said) in [
            (&b""[..], "EOF"),
            (b"[]", "object"),
            (b"{}", "applicationID"),
            (br#"{"applicationID":5}"#, "string"),
            (br#"{"applicationID":""}"#, "1 to 1024"),
        ] {
            let why = asking(body).unwrap_err().to_string();
            assert!(why.contains(said), "{why}");
        }
        for (body, said) in [
            (&br#"{"id":-1,"status":"failed"}"#[..], "u64"),
            (br#"{"id":"7","status":"failed"}"#, "u64"),
            (br#"{"id":7,"status":"CRITICAL"}"#, "completed"),
            (br#"{"status":"failed"}"#, "id"),
            (b"[1,\"failed\",\"\"]", "object"),
        ] {
            let why = report(body, NOW).unwrap_err().to_string();
            assert!(why.contains(said), "{why}");
        }
    }

    #[test]
    fn of_long_logs_the_end_is_kept() {
        let logs = "ä".repeat(OUTPUT_BYTES_MAX) + "the end";
        let body = serde_json::json!({ "id": 1, "status": "failed", "logs": logs }).to_string();
        let (_, ended) = report(body.as_bytes(), NOW).unwrap();
        assert!(ended.output.len() <= OUTPUT_BYTES_MAX && ended.output.ends_with("the end"));
    }

    #[test]
    fn of_logs_that_are_too_long_to_be_read_the_beginning_is_kept() {
        let logs = r#"a \"quoted\" line\n\ud83d\ude00 and ä"#;
        let body = format!(r#"{{"id":7,"status":"completed","logs":"{logs}"#);
        let logs_at = body.find(logs).unwrap();
        for end in logs_at..body.len() {
            let (id, ended) = report(&completed(body.as_bytes()[..end].to_vec()), NOW).unwrap();
            assert_eq!((id, ended.outcome), (7, Outcome::Succeeded), "{end}");
            let said = ended.output.strip_suffix("[the rest of the logs was not kept]").unwrap();
            assert!("a \"quoted\" line\n😀 and ä".starts_with(said), "{said:?}");
        }
        // Not cut within a text.
        for whole in [r#"{"id":7,"stat"#, r#"{"id":7"#, "", "{"] {
            assert_eq!(completed(whole.as_bytes().to_vec()), whole.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn no_body_is_too_much(body: Vec<u8>) {
            drop(asking(&body));
            drop(report(&body, NOW));
            drop(completed(body));
        }
    }
}
