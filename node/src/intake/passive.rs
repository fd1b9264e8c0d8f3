//! Passive results of monitoring plugins, as NSCA brings them: host, service, return code, output.
//!
//! They come as JSON, one object or a list of them, or as `send_nsca` writes them: a line for each,
//! with tabs in between. What is not well is an alert with the labels `alertname` and `service` (the
//! service), `host`, and `severity` (`warning`, `critical`, `unknown`); what is well ends all three.

use super::{Unreadable, Words};
use protocol::{
    alert::{Alert, Word},
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a host check is called, which has no service.
const HOST_CHECK: &str = "host-check";

/// The return codes that are not well, with their severities.
const STATES: [(i64, &str); 3] = [(1, "warning"), (2, "critical"), (3, "unknown")];

/// The most results of a request.
const RESULTS_MAX: usize = 10_000;

/// One result.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    #[serde(alias = "host_name", alias = "hostname")]
    host: String,
    #[serde(default, alias = "service_description")]
    service: Option<String>,
    #[serde(alias = "code", alias = "exit_code", alias = "state")]
    return_code: i64,
    #[serde(default, alias = "plugin_output")]
    output: String,
}

impl Told {
    fn words(self, now: Timestamp) -> Result<Vec<Word>, String> {
        if self.host.trim().is_empty() {
            return Err("\"host\" is empty".to_owned());
        }
        if !(0..=3).contains(&self.return_code) {
            return Err(format!("\"return_code\" is {}: 0 to 3 are", self.return_code));
        }
        // What is behind the bar is for graphs.
        let summary = self.output.split('|').next().unwrap_or_default().trim();
        let service = self.service.as_deref().filter(|service| !service.trim().is_empty());
        let alert = |severity: &str| {
            let mut labels = BTreeMap::from([
                ("alertname".to_owned(), service.unwrap_or(HOST_CHECK).to_owned()),
                ("host".to_owned(), self.host.clone()),
                ("severity".to_owned(), severity.to_owned()),
            ]);
            labels.extend(service.map(|service| ("service".to_owned(), service.to_owned())));
            Alert::new(labels, summary, now, None).map_err(|error| error.to_string())
        };
        let word = |(code, severity): (i64, &str)| {
            let alert = alert(severity)?;
            Ok(if code == self.return_code {
                Word::Fires(alert)
            } else {
                Word::Ended { alert: alert.id(), starts_at: None, at: now }
            })
        };
        STATES.into_iter().map(word).collect()
    }
}

/// Reads either shape. The words say how it is, not since when.
///
/// # Errors
/// What cannot be read.
pub fn results(body: &[u8], now: Timestamp) -> Result<Words, Unreadable> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let told: Vec<Result<Told, String>> = match first {
        Some(b'[') => {
            let items: Vec<Value> = serde_json::from_slice(body)?;
            items.into_iter().map(from_json).collect()
        }
        Some(b'{') => vec![from_json(serde_json::from_slice(body)?)],
        Some(_) => {
            let text = std::str::from_utf8(body)
                .map_err(|error| Unreadable(format!("the body is not UTF-8: {error}")))?;
            let lines = text.split(['\n', '\x17']).map(|line| line.trim_end_matches('\r'));
            lines.filter(|line| !line.trim().is_empty()).map(from_line).collect()
        }
        None => return Err(Unreadable("the body is empty: a result is expected".to_owned())),
    };
    if told.len() > RESULTS_MAX {
        return Err(Unreadable(format!("{} results: {RESULTS_MAX} at most", told.len())));
    }
    let mut words = Words::default();
    for (number, one) in told.into_iter().enumerate() {
        match one.and_then(|told| told.words(now)) {
            Ok(said) => words.undated.extend(said),
            Err(why) => words.refuse("result", number, &why),
        }
    }
    Ok(words)
}

fn from_json(value: Value) -> Result<Told, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// `HOST<tab>SERVICE<tab>CODE<tab>OUTPUT`, or without the service for a host check.
fn from_line(line: &str) -> Result<Told, String> {
    let fields: Vec<&str> = line.splitn(4, '\t').collect();
    let (host, service, code, output) = match fields.as_slice() {
        [host, code, output] => (host, None, code, output),
        [host, service, code, output] => (host, Some((*service).to_owned()), code, output),
        _ => return Err("HOST, SERVICE, CODE and OUTPUT stand with tabs in between".to_owned()),
    };
    let return_code = code.trim().parse().map_err(|_not_a_number| {
        format!("the return code is {:?}: 0 to 3 are", code.chars().take(20).collect::<String>())
    })?;
    Ok(Told { host: (*host).to_owned(), service, return_code, output: (*output).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_millis(1_767_226_200_000);

    fn fires(words: &Words) -> Vec<&Alert> {
        let firing = |word: &'_ Word| matches!(word, Word::Fires(_));
        let mut alerts = Vec::new();
        for word in words.undated.iter().filter(|word| firing(word)) {
            if let Word::Fires(alert) = word {
                alerts.push(alert);
            }
        }
        alerts
    }

    #[test]
    fn a_result_is_one_state_and_ends_the_others() {
        let body = json!({ "host": "web-1", "service": "disk", "return_code": 2,
                           "output": "DISK CRITICAL - 99% | /=99%;80;90" });
        let words = results(body.to_string().as_bytes(), NOW).unwrap();
        assert_eq!((words.undated.len(), words.refused.len()), (3, 0));
        let [alert] = fires(&words)[..] else { panic!("{words:?}") };
        assert_eq!(alert.summary, "DISK CRITICAL - 99%");
        let label = |key: &str| alert.labels.get(key).map(String::as_str);
        assert_eq!((label("alertname"), label("host")), (Some("disk"), Some("web-1")));
        assert_eq!((label("service"), label("severity")), (Some("disk"), Some("critical")));
        let well = json!([{ "host": "web-1", "service": "disk", "return_code": 0 }]);
        let words = results(well.to_string().as_bytes(), NOW).unwrap();
        assert_eq!((words.undated.len(), fires(&words).len()), (3, 0));
        let id = alert.id();
        assert!(
            words.undated.iter().any(|w| matches!(w, Word::Ended { alert, .. } if *alert == id))
        );
    }

    #[test]
    fn lines_of_send_nsca_are_read_as_well() {
        let body = "web-1\tdisk\t1\tDISK WARNING\tand more\r\nweb-2\t2\tPING CRITICAL\n";
        let words = results(body.as_bytes(), NOW).unwrap();
        let told: Vec<(&str, &str)> = fires(&words)
            .into_iter()
            .map(|alert| (alert.labels["alertname"].as_str(), alert.labels["severity"].as_str()))
            .collect();
        assert_eq!(told, [("disk", "warning"), ("host-check", "critical")]);
    }

    #[test]
    fn what_is_wrong_is_said_and_keeps_nothing_else_out() {
        let good = json!({ "host": "a", "service": "b", "return_code": 1, "output": "x" });
        for (bad, why) in [
            (json!({ "host": "a", "service": "b" }), "return_code"),
            (json!({ "host": "a", "service": "b", "return_code": "2" }), "invalid type"),
            (json!({ "host": "a", "service": "b", "return_code": 4 }), "0 to 3"),
            (json!({ "host": " ", "service": "b", "return_code": 1 }), "empty"),
            (json!({ "host": "a", "return_code": 1, "command": "rm" }), "command"),
            (json!(7), "invalid type"),
        ] {
            let body = json!([bad, good]).to_string();
            let words = results(body.as_bytes(), NOW).unwrap();
            assert_eq!(fires(&words).len(), 1, "{body}");
            assert!(words.refused[0].starts_with("result 1: "), "{words:?}");
            assert!(words.refused[0].contains(why), "{words:?}");
        }
        let nested = "[".repeat(100_000);
        for (body, why) in [
            (&b"{"[..], "EOF"),
            (b"", "empty"),
            (b"a\xff\t1\tx", "UTF-8"),
            (nested.as_bytes(), "recursion"),
        ] {
            let error = results(body, NOW).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let words = results(b"only words", NOW).unwrap();
        assert!(words.undated.is_empty() && words.refused.len() == 1, "{words:?}");
    }
}
