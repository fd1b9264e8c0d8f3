//! `hearten heartbeat …`: the jobs that must check in.

use super::{arguments::Shown, output, session::Session, table};
use crate::control::{Failure, Request};
use serde_json::Value;

/// `hearten heartbeat list`
pub(super) fn list(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Heartbeats)?;
    output::show(shown, &answer, |answer| {
        let rows = table::list(&answer["heartbeats"]).map(row).collect();
        let headings =
            ["NAME", "STATE", "SCHEDULE", "GRACE", "LAST", "DEADLINE", "MISSES", "CHECKS"];
        table::rows(&headings, rows, "no job checks in")
    })
}

/// `hearten heartbeat show`
pub(super) fn show(session: &Session, name: String, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Heartbeat { name })?;
    output::show(shown, &answer, |answer| {
        let mut facts = answer.clone();
        let body = facts["body"].take();
        let failed_with = facts["failed_with"].take();
        let recent = facts["recent"].take();
        if let Some(facts) = facts.as_object_mut() {
            facts.retain(|key, value| !value.is_null() && key != "schema");
        }
        let signals = table::list(&recent)
            .map(|told| vec![table::text(&told["at"]), table::text(&told["signal"])])
            .collect();
        let mut text = table::pairs(&facts);
        text.push('\n');
        text.push_str(&table::rows(&["AT", "SIGNAL"], signals, "it has told nothing yet"));
        let latest = body.as_str().unwrap_or_default();
        let failed = failed_with.as_str().filter(|failed| *failed != latest).unwrap_or_default();
        for (said, body) in [("it said:", latest), ("when it failed last, it said:", failed)] {
            if !body.is_empty() {
                text.push_str(&format!("\n{said}\n{}", table::indented(body, "  ")));
            }
        }
        text
    })
}

/// `hearten heartbeat pause` and `resume`
pub(super) fn pause(session: &Session, name: String, pauses: bool) -> Result<(), Failure> {
    session.ask(&Request::PauseHeartbeat { name: name.clone(), pauses })?;
    let said = if pauses {
        format!(
            "{name} is not waited for until `hearten heartbeat resume {name}`, or its next ping"
        )
    } else {
        format!("{name} is waited for again")
    };
    output::message(&said);
    Ok(())
}

fn row(job: &Value) -> Vec<String> {
    let checks: Vec<String> = table::list(&job["checks"]).map(table::text).collect();
    let checks = if checks.is_empty() { "none".to_owned() } else { checks.join(", ") };
    let schedule = match job["time_zone"].as_str() {
        None | Some("UTC") => table::text(&job["schedule"]),
        Some(zone) => format!("{} {zone}", table::text(&job["schedule"])),
    };
    let [name, state, grace, last, deadline, misses] =
        ["name", "state", "grace", "last", "deadline", "misses"].map(|key| table::text(&job[key]));
    vec![name, state, schedule, grace, last, deadline, misses, checks]
}
