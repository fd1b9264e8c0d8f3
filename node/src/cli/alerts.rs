//! `hearten alert list`: what other systems say, and which checks fail by it.

use super::{arguments::Shown, output, session::Session, table};
use crate::control::{Failure, Request};
use serde_json::Value;

/// `hearten alert list`
pub(super) fn list(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Alerts)?;
    output::show(shown, &answer, |answer| {
        let rows = table::list(&answer["alerts"]).map(row).collect();
        let headings = ["ID", "NAME", "HOST", "SINCE", "UNTIL", "CHECKS", "SUMMARY"];
        table::rows(&headings, rows, "no alert fires")
    })
}

fn row(alert: &Value) -> Vec<String> {
    let checks: Vec<String> = table::list(&alert["checks"]).map(table::text).collect();
    let checks = if checks.is_empty() { "none".to_owned() } else { checks.join(", ") };
    let [id, name, since, until, summary] =
        ["id", "name", "since", "ends_at", "summary"].map(|key| table::text(&alert[key]));
    // As its sender has it: which peer that is a check says.
    let named = ["host", "instance"].map(|key| &alert["labels"][key]);
    let host = named.into_iter().find(|label| label.is_string()).unwrap_or(&Value::Null);
    vec![id, name, table::text(host), since, until, checks, summary]
}
