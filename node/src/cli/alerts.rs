//! `hearten alert …`: what other systems say, and which checks fail by it; and the end of what none
//! of them ends.

use super::{
    arguments::{EndAlertOptions, Shown},
    output,
    session::Session,
    table,
};
use crate::control::{
    Failure, Request,
    views::{AlertsView, SCHEMA},
};
use protocol::order::Action;
use serde_json::{Value, json};

/// `hearten alert list`
pub(super) fn list(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Alerts)?;
    output::show(shown, &answer, |answer| {
        let rows = table::list(&answer["alerts"]).map(row).collect();
        let headings = ["ID", "NAME", "HOST", "SINCE", "UNTIL", "CHECKS", "SUMMARY"];
        table::rows(&headings, rows, "no alert fires")
    })
}

/// `hearten alert end`
pub(super) fn end(session: &Session, options: EndAlertOptions) -> Result<(), Failure> {
    let EndAlertOptions { id: alert, reason, key, shown } = options;
    let operator = session.operator(key)?;
    let before: AlertsView = session.ask_for(&Request::Alerts)?;
    session.order(&operator, Action::EndAlert { alert, reason })?;
    let id = alert.to_string();
    let known = before.alerts.into_iter().find(|row| row.id == id);
    let (name, checks) = known.map_or((None, Vec::new()), |row| (row.name, row.checks));
    let answer = json!({ "schema": SCHEMA, "id": id, "name": name, "checks": checks });
    output::show(shown, &answer, |answer| {
        let named = answer["name"].as_str().map_or_else(String::new, |name| format!(" ({name})"));
        let checks: Vec<String> = table::list(&answer["checks"]).map(table::text).collect();
        let failed = match checks.as_slice() {
            [] => "no check failed by it".to_owned(),
            checks => format!("by it failed {}", checks.join(", ")),
        };
        format!(
            "alert {id}{named} is over; {failed}. If its sender says again that it fires, it does"
        )
    })
}

fn row(alert: &Value) -> Vec<String> {
    let checks: Vec<String> = table::list(&alert["checks"]).map(table::text).collect();
    let checks = if checks.is_empty() { "none".to_owned() } else { checks.join(", ") };
    let [id, name, since, until, summary] =
        ["id", "name", "since", "until", "summary"].map(|key| table::text(&alert[key]));
    // As its sender has it: which peer that is a check says.
    let named = ["host", "instance"].map(|key| &alert["labels"][key]);
    let host = named.into_iter().find(|label| label.is_string()).unwrap_or(&Value::Null);
    vec![id, name, table::text(host), since, until, checks, summary]
}
