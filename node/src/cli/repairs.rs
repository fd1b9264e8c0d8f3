//! Runbooks, approvals and maintenances: shown, and ordered with the operator's key.

use super::{
    arguments::{KeyOption, MaintenanceOptions, RunOptions, Shown},
    output,
    session::Session,
    table,
};
use crate::control::{
    Exit, Failure, Request,
    views::{MaintenanceRow, MaintenancesView, PeerView, PlanView},
};
use protocol::{
    document::Selector,
    name::{Name, PeerId},
    order::Action,
};
use serde_json::Value;

/// `hearten runbook list`
pub(super) fn list(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Runbooks)?;
    output::show(shown, &answer, |answer| {
        let row = |runbook: &Value| {
            let words = |key: &str| {
                let words: Vec<String> = table::list(&runbook[key]).map(table::text).collect();
                if words.is_empty() { "-".to_owned() } else { words.join(", ") }
            };
            let text = |key: &str| table::text(&runbook[key]);
            vec![
                text("name"),
                text("on"),
                text("mode"),
                text("peers"),
                text("revision"),
                words("open"),
                words("rungs"),
            ]
        };
        let rows = table::list(&answer["runbooks"]).map(row).collect();
        let headings = ["NAME", "ON", "MODE", "PEERS", "REVISION", "OPEN", "RUNGS"];
        table::rows(&headings, rows, "no runbooks")
    })
}

/// `hearten runbook run`
pub(super) fn run(session: &Session, options: RunOptions) -> Result<(), Failure> {
    let RunOptions { name: runbook, peer, reason, dry_run, key, shown } = options;
    if dry_run {
        let answer = session.ask(&Request::Plan { runbook, peer })?;
        return output::show(shown, &answer, plan);
    }
    let operator = session.operator(key)?;
    let peer = find(session, peer)?;
    let answer = session.order(&operator, Action::RunRunbook { runbook, peer, reason })?;
    output::show(shown, &answer, |answer| {
        format!(
            "{} is open: `hearten incident explain` tells how it goes\n",
            table::text(&answer["id"])
        )
    })
}

fn find(session: &Session, name: String) -> Result<PeerId, Failure> {
    let peer: PeerView = session.ask_for(&Request::Peer { name })?;
    PeerId::parse(&peer.row.id).map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

/// The rungs, then every rule with what it says.
fn plan(answer: &Value) -> String {
    let Ok(plan) = serde_json::from_value::<PlanView>(answer.clone()) else {
        return format!("{answer}\n");
    };
    let mut text = format!("runbook {} for {} would, in this order:\n", plan.runbook, plan.peer);
    for (number, step) in (1_u32..).zip(&plan.steps) {
        let notes = if step.notes.is_empty() {
            String::new()
        } else {
            format!("; {}", step.notes.join("; "))
        };
        let does = table::one_line(&step.does);
        text.push_str(&format!(
            "{number}. \"{}\" ({}): {does}{}\n",
            step.rung,
            step.by,
            table::one_line(&notes)
        ));
    }
    text.push_str("\nRules, for the first rung now:\n");
    for rule in &plan.rules {
        match &rule.because {
            None => text.push_str(&format!("  {:<18}passes\n", rule.rule)),
            Some(because) => {
                // Most rules' words begin with their names.
                let named = format!("{}: ", rule.rule);
                let because = because.strip_prefix(&named).unwrap_or(because);
                text.push_str(&format!("  {:<18}HOLDS BACK: {because}\n", rule.rule));
            }
        }
    }
    text
}

/// `hearten approve`, `hearten deny`, `hearten incident ack`
pub(super) fn answer(
    session: &Session,
    action: Action,
    said: &str,
    key: KeyOption,
) -> Result<(), Failure> {
    let operator = session.operator(key)?;
    session.order(&operator, action)?;
    output::message(said);
    Ok(())
}

/// `hearten maintenance list`
pub(super) fn maintenances(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Maintenances)?;
    output::show(shown, &answer, |answer| {
        let row = |one: &Value| {
            ["name", "when", "from", "until", "covers", "reason"]
                .map(|key| table::text(&one[key]))
                .to_vec()
        };
        let rows = table::list(&answer["maintenances"]).map(row).collect();
        let headings = ["NAME", "WHEN", "FROM", "ON UNTIL", "COVERS", "REASON"];
        table::rows(&headings, rows, "no maintenance")
    })
}

/// `hearten maintenance start`
pub(super) fn start_maintenance(
    session: &Session,
    options: MaintenanceOptions,
) -> Result<(), Failure> {
    let operator = session.operator(options.key)?;
    let mut peers = Vec::new();
    for name in options.peers {
        peers.push(find(session, name)?);
    }
    let until = operator.mesh.now.plus(options.lasts);
    let (name, reason) = (options.name, options.reason);
    let labels: Vec<String> =
        options.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let selector = Selector::of(options.labels);
    let begun = format!("maintenance \"{name}\" until {until}");
    let ordered = name.to_string();
    session.order(&operator, Action::StartMaintenance { name, peers, selector, until, reason })?;
    let all: MaintenancesView = session.ask_for(&Request::Maintenances)?;
    let is_it = |row: &&MaintenanceRow| row.name == ordered && row.from == "order";
    let row = all.maintenances.iter().find(is_it);
    output::message(&match row {
        Some(row) => format!("{begun}: {}", covered(row, &labels)),
        None => format!("{begun}: `hearten maintenance list` shows whom it covers"),
    });
    Ok(())
}

/// Whom a maintenance covers that was just begun for peers with these labels.
fn covered(row: &MaintenanceRow, labels: &[String]) -> String {
    match row.peers {
        0 => format!(
            "it covers nobody at the moment: no peer has {}; whoever joins with it is covered",
            labels.join(" and ")
        ),
        1 => format!("nothing is repaired on 1 peer: {}", row.covers),
        count if row.covers.starts_with("all ") => format!(
            "nothing is repaired in the whole mesh, {count} peers; --peer or --where narrow it down"
        ),
        count => format!("nothing is repaired on {count} peers: {}", row.covers),
    }
}

/// `hearten maintenance end`
pub(super) fn end_maintenance(
    session: &Session,
    name: Name,
    key: KeyOption,
) -> Result<(), Failure> {
    let operator = session.operator(key)?;
    let said = format!("maintenance \"{name}\" is over");
    session.order(&operator, Action::EndMaintenance { name })?;
    output::message(&said);
    Ok(())
}

/// `hearten operator`
pub(super) fn operator(session: &Session, key: KeyOption) -> Result<(), Failure> {
    let operator = session.operator(key)?;
    output::data(&format!(
        "{}\n",
        data_encoding::HEXLOWER.encode(operator.key.verifying_key().as_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_rule_says_whether_it_passes_or_holds_back_and_names_itself_once() {
        let rule = |rule: &str, because: Option<&str>| json!({ "rule": rule, "permits": because.is_none(), "because": because });
        let shown = plan(&json!({
            "schema": 1, "runbook": "restart-web", "peer": "web-2", "steps": [],
            "rules": [
                rule("freeze", None),
                rule("settling", Some("settling: nothing acts on this target until noon")),
                rule("maintenance", Some("maintenance \"night\" until noon: disks")),
            ],
        }));
        let expected = "Rules, for the first rung now:
  freeze            passes
  settling          HOLDS BACK: nothing acts on this target until noon
  maintenance       HOLDS BACK: maintenance \"night\" until noon: disks
";
        assert!(shown.ends_with(expected), "{shown}");
    }

    #[test]
    fn who_begins_a_maintenance_is_told_whom_it_covers() {
        let row = |peers: usize, covers: &str| MaintenanceRow {
            name: "kernel".to_owned(),
            when: "once".to_owned(),
            from: "order".to_owned(),
            until: None,
            peers,
            covers: covers.to_owned(),
            reason: String::new(),
        };
        for (row, told) in [
            (row(0, "nobody at the moment"), "nobody at the moment: no peer has role=nobody; "),
            (row(1, "h1"), "on 1 peer: h1"),
            (row(2, "h1, h2"), "on 2 peers: h1, h2"),
            (row(3, "all 3 peers"), "in the whole mesh, 3 peers; --peer or --where"),
        ] {
            let said = covered(&row, &["role=nobody".to_owned()]);
            assert!(said.contains(told), "{said}");
        }
    }
}
