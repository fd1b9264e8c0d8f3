//! `hearten check`: which checks there are, and what one of them does here and now.

use super::{
    arguments::Shown,
    output::{self, Colour},
    session::Session,
    table,
};
use crate::control::{Exit, Failure, Request, views::CheckRow};
use protocol::{learn::habits::short, name::Name};
use serde_json::Value;

/// `hearten check list`
pub(super) fn list(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Checks)?;
    output::show(shown, &answer, |answer| {
        let rows = table::list(&answer["checks"]).filter_map(|row| {
            let row: CheckRow = serde_json::from_value(row.clone()).ok()?;
            let selector = if row.selector.is_empty() { "-".to_owned() } else { row.selector };
            let here = if row.here { "yes" } else { "no" };
            let cells = [
                row.name,
                row.kind,
                row.every,
                selector,
                here.to_owned(),
                row.revision.to_string(),
            ];
            Some(cells.to_vec())
        });
        let headings = ["NAME", "KIND", "EVERY", "WHERE", "HERE", "REVISION"];
        table::rows(&headings, rows.collect(), "no checks")
    })
}

/// `hearten check run`: ends with 7 where the check does not pass.
pub(super) fn run(session: &Session, name: Name, shown: Shown) -> Result<u8, Failure> {
    let answer = session.ask(&Request::RunCheck { name })?;
    output::show(shown, &answer, trial)?;
    let passes = answer["verdict"] == "pass";
    Ok(if passes { 0 } else { Exit::Degraded.code() })
}

fn trial(trial: &Value) -> String {
    let cell = |key: &str| table::text(&trial[key]);
    let colour = match trial["verdict"].as_str() {
        Some("pass") => Colour::Green,
        Some("fail") => Colour::Red,
        Some(_) | None => Colour::Yellow,
    };
    let verdict = output::coloured(colour, &cell("verdict"));
    let mut text = format!("{} ({}) on {}: {verdict}\n", cell("check"), cell("kind"), cell("peer"));
    let mut line = |heading: &str, value: &str| {
        text.push_str(&format!("{heading:<13}{value}\n"));
    };
    line("summary", &cell("summary"));
    let words = |key: &str| table::list(&trial[key]).map(table::text).collect::<Vec<_>>();
    let command = words("command");
    if !command.is_empty() {
        let quoted: Vec<String> = command.iter().map(|word| quoted(word)).collect();
        line("command", &quoted.join(" "));
        line("environment", &words("environment").join(" "));
        line("ended", &cell("end"));
    }
    line("took", &format!("{} ms", cell("took_ms")));
    let findings: Vec<Vec<String>> = table::list(&trial["findings"])
        .map(|finding| {
            let mut rest = finding.as_object().cloned().unwrap_or_default();
            let mut take = |key: &str| table::text(&rest.remove(key).unwrap_or_default());
            let (severity, what) = (take("severity"), take("finding"));
            let details =
                if rest.is_empty() { "-".to_owned() } else { Value::Object(rest).to_string() };
            vec![severity, what, table::one_line(&details)]
        })
        .collect();
    if !findings.is_empty() {
        text.push('\n');
        text.push_str(&table::rows(&["SEVERITY", "FINDING", "DETAILS"], findings, ""));
    }
    let numbers: Vec<Vec<String>> = table::list(&trial["perfdata"])
        .map(|datum| {
            let keys = ["label", "value", "unit", "warn", "crit", "min", "max", "within"];
            let cells = keys.iter().map(|key| table::text(&datum[key]));
            cells.chain([expected(&datum["expected"])]).collect()
        })
        .collect();
    if !numbers.is_empty() {
        let headings =
            ["LABEL", "VALUE", "UNIT", "WARN", "CRIT", "MIN", "MAX", "WITHIN", "EXPECTED"];
        text.push('\n');
        text.push_str(&table::rows(&headings, numbers, ""));
    }
    for (heading, key) in [("printed", "stdout"), ("printed as errors", "stderr")] {
        if let Some(printed) = trial[key].as_str().filter(|printed| !printed.is_empty()) {
            text.push_str(&format!("\n{heading}:\n{}", table::indented(printed, "  | ")));
        }
    }
    text
}

/// What is expected of a number: it, and from where to where it is nothing unusual.
fn expected(expected: &Value) -> String {
    let number = |key: &str| expected[key].as_f64().map(short);
    let (Some(value), Some(low), Some(high)) = (number("value"), number("low"), number("high"))
    else {
        return "-".to_owned();
    };
    let learning = if expected["ready"] == true { "" } else { " (still learning)" };
    format!("{value} ({low} to {high}){learning}")
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_is_shown_with_everything_that_its_author_wants_to_see() {
        let shown = trial(&json!({
            "schema": 1, "check": "raid", "kind": "plugin", "peer": "db-1", "verdict": "fail",
            "summary": "sda is dying", "command": ["/opt/raid", "it's"],
            "environment": ["HEARTEN_PEER", "PATH"], "end": "exit code 0", "exit_code": 0,
            "took_ms": 12, "stdout": "{\"finding\": 1}\n", "stderr": "\u{1b}[2Joops\n",
            "long_output": "",
            "perfdata": [{ "label": "temp", "value": 51.5, "unit": "C", "warn": "50", "crit": null,
                           "min": 0.0, "max": null, "within": "warn",
                           "expected": { "value": 40.25, "low": 36.0, "high": 44.5, "ready": false } }],
            "findings": [{ "finding": "sda is dying", "severity": "fail", "disk": "sda" }],
        }));
        for line in [
            "raid (plugin) on db-1: fail\n",
            "summary      sda is dying\n",
            "command      /opt/raid 'it'\\''s'\n",
            "environment  HEARTEN_PEER PATH\n",
            "ended        exit code 0\n",
            "took         12 ms\n",
            "fail      sda is dying  {\"disk\":\"sda\"}\n",
            "temp   51.5   C     50    -",
            "warn    40.2 (36.0 to 44.5) (still learning)",
            "\nprinted:\n  | {\"finding\": 1}\n",
            "\nprinted as errors:\n  | \u{fffd}[2Joops\n",
        ] {
            assert!(shown.contains(line), "{line:?} is missing in\n{shown}");
        }
    }
}
