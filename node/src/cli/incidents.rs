//! Incidents: what is wrong, what was done about it, and why nothing is done now.

use super::{
    age,
    arguments::{ExplainOptions, IncidentListOptions, Shown, Since},
    output,
    session::{self, Session},
    table,
};
use crate::{
    control::{Exit, Failure, Request, views::EvidenceTextView},
    files::{PRIVATE, write_durably},
};
use protocol::{name::IncidentId, time::Timestamp};
use serde_json::Value;
use std::path::Path;

/// `hearten incident list`
pub(super) fn list(session: &Session, options: IncidentListOptions) -> Result<(), Failure> {
    let now = age::now();
    let since = options.since.map(|since| match since {
        Since::Moment(moment) => moment,
        Since::Ago(span) => {
            let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            Timestamp::from_millis(now.millis().saturating_sub(millis))
        }
    });
    let request = Request::Incidents { open: options.open, peer: options.peer, since };
    let answer = session.ask(&request)?;
    output::show(options.shown, &answer, |answer| {
        let rows = table::list(&answer["incidents"]).map(|incident| row(incident, now));
        let headings =
            ["ID", "STATE", "PEER", "BECAUSE", "RUNBOOK", "TRIED", "OPENED", "WAITS FOR"];
        table::rows(&headings, rows.collect(), "no incidents")
    })
}

fn row(incident: &Value, now: Timestamp) -> Vec<String> {
    let cell = |key: &str| table::text(&incident[key]);
    let attempts = table::list(&incident["attempts"]).count();
    vec![
        cell("id"),
        cell("state"),
        cell("peer"),
        because(&incident["because"]),
        cell("runbook"),
        attempts.to_string(),
        format!("{} ago", age::ago(&incident["opened_at"], now)),
        waits_for(incident),
    ]
}

/// What it waits for; that nobody could be told goes first, since whoever reads it may be the first
/// to know.
fn waits_for(incident: &Value) -> String {
    match (incident["untold"].as_str(), incident["waiting_for"].as_str()) {
        (Some(untold), Some(waits)) => format!("{untold}; {waits}"),
        (Some(untold), None) => untold.to_owned(),
        (None, _) => table::text(&incident["waiting_for"]),
    }
}

fn because(because: &Value) -> String {
    match because["kind"].as_str() {
        Some("check") => {
            format!("check {} {}", table::text(&because["check"]), table::text(&because["verdict"]))
        }
        Some("job") => format!("job {}", table::text(&because["job"])),
        Some(_) | None => table::text(&because["silence"]),
    }
}

/// `hearten incident show`
pub(super) fn show(session: &Session, id: IncidentId, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Incident { id })?;
    output::show(shown, &answer, incident)
}

fn incident(incident: &Value) -> String {
    let cell = |key: &str| table::text(&incident[key]);
    let mut text = format!(
        "{} on {}: {}, {}\n",
        cell("id"),
        cell("peer"),
        because(&incident["because"]),
        cell("state")
    );
    for (heading, key) in [
        ("waits for", "waiting_for"),
        ("not told", "untold"),
        ("runbook", "runbook"),
        ("opened", "opened_at"),
        ("closed", "closed_at"),
    ] {
        if !incident[key].is_null() {
            text.push_str(&format!("{heading:<12}{}\n", cell(key)));
        }
    }
    let evidence = &incident["evidence"];
    if evidence.is_object() {
        let (bytes, by) = (table::text(&evidence["bytes"]), table::text(&evidence["taken_by"]));
        let keepers = table::list(&evidence["keepers"]).map(table::text);
        let on: Vec<String> = [by].into_iter().chain(keepers).collect();
        text.push_str(&format!("evidence    {bytes} bytes on {}\n", on.join(", ")));
    }
    for attempt in table::list(&incident["attempts"]) {
        let cell = |key: &str| table::text(&attempt[key]);
        text.push_str(&format!(
            "\nattempt {}: rung \"{}\" on {}: {}",
            cell("number"),
            cell("rung"),
            cell("worker"),
            attempt["outcome"].as_str().unwrap_or("under way"),
        ));
        if !attempt["exit_code"].is_null() {
            text.push_str(&format!(", exit code {}", cell("exit_code")));
        }
        text.push('\n');
        text.push_str(&table::indented(attempt["output"].as_str().unwrap_or(""), "  | "));
    }
    text.push('\n');
    text.push_str(&lines(&incident["timeline"]));
    text
}

/// `hearten incident explain`
pub(super) fn explain(session: &Session, id: IncidentId, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Explain { id })?;
    output::show(shown, &answer, |answer| {
        let (id, state) = (table::text(&answer["id"]), table::text(&answer["state"]));
        format!("{id} is {state}\n\n{}", lines(&answer["story"]))
    })
}

/// `hearten explain`
pub(super) fn why_not(session: &Session, options: ExplainOptions) -> Result<(), Failure> {
    let ExplainOptions { check, peer, shown } = options;
    let answer = session.ask(&Request::WhyNot { check, peer })?;
    output::show(shown, &answer, |answer| {
        let text = table::text(&answer["text"]);
        match answer["until"].as_str() {
            Some(until) if !text.contains(until) => format!("{text} (until {until})\n"),
            Some(_) | None => format!("{text}\n"),
        }
    })
}

/// `hearten incident evidence`
pub(super) fn evidence(
    session: &Session,
    id: IncidentId,
    file: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    let answer = session.ask(&Request::Evidence { id })?;
    let view: EvidenceTextView = session::read(&answer)?;
    let text = if json { format!("{answer:#}\n") } else { view.text };
    let Some(path) = file else { return output::verbatim(&text) };
    write_durably(path, text.as_bytes(), PRIVATE).map_err(|error| {
        Failure::new(Exit::Failed, format!("writing {}: {error}", path.display()))
    })?;
    let EvidenceTextView { hash, taken_by, read_from, .. } = view;
    output::message(&format!(
        "taken by {taken_by}, read from {read_from}, SHA-256 {hash}; written to {}",
        path.display()
    ));
    Ok(())
}

/// Sentences below each other, each with its moment.
fn lines(story: &Value) -> String {
    let line = |told: &Value| {
        let at = told["at"].as_str().unwrap_or("");
        let by = told["by"].as_str().map_or_else(String::new, |by| format!("{by:<12}"));
        format!("{at:<26}{by}{}\n", table::text(&told["text"]))
    };
    table::list(story).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_incident_is_shown_with_what_its_attempts_printed() {
        let shown = incident(&json!({
            "id": "INC-42", "state": "resolved", "peer": "web-1", "runbook": "restart-web",
            "because": { "kind": "check", "check": "web-alive", "verdict": "fail" },
            "opened_at": "2026-11-21T02:00:00.000Z", "closed_at": null, "waiting_for": null,
            "attempts": [{
                "number": 1, "rung": "restart", "worker": "web-1", "outcome": "failed",
                "exit_code": 3, "output": "no unit\n\u{1b}[2Jgone\n",
            }],
            "timeline": [{
                "at": "2026-11-21T02:00:00.000Z", "fact": "Opened", "by": "db-1",
                "text": "check \"web-alive\" fails",
            }],
        }));
        assert!(shown.starts_with("INC-42 on web-1: check web-alive fail, resolved\n"), "{shown}");
        assert!(shown.contains("attempt 1: rung \"restart\" on web-1: failed, exit code 3\n"));
        assert!(shown.contains("  | no unit\n") && !shown.contains('\u{1b}'), "{shown}");
        assert!(shown.ends_with("db-1        check \"web-alive\" fails\n"), "{shown}");
    }
}
