//! Peers, and the Raft group among them.

use super::{age, arguments::Shown, output, session::Session, table};
use crate::control::{Failure, Request};
use serde_json::Value;
use std::fmt::Write;

/// `hearten peer list`
pub(super) fn list(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Peers)?;
    output::show(shown, &answer, |answer| table(&answer["peers"]))
}

/// The peers of an answer as a table.
pub(super) fn table(peers: &Value) -> String {
    let now = age::now();
    let rows = table::list(peers).map(|peer| {
        let cell = |key: &str| table::text(&peer[key]);
        vec![
            cell("name"),
            cell("state"),
            cell("role"),
            cell("health"),
            cell("zone"),
            cell("address"),
            age::ago(&peer["since"], now),
            cell("version"),
            table::labels(&peer["labels"]),
        ]
    });
    let headings =
        ["NAME", "STATE", "ROLE", "HEALTH", "ZONE", "ADDRESS", "SINCE", "VERSION", "LABELS"];
    table::rows(&headings, rows.collect(), "no peers")
}

/// `hearten peer show`
pub(super) fn show(session: &Session, name: String, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Peer { name })?;
    output::show(shown, &answer, peer)
}

fn peer(peer: &Value) -> String {
    let cell = |key: &str| table::text(&peer[key]);
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let written = writeln!(text, "{key:<12}{value}");
        assert!(written.is_ok(), "a string takes what is written to it");
    };
    line("peer", format!("{} ({})", cell("name"), cell("id")));
    line("state", format!("{} since {}", cell("state"), cell("since")));
    line("role", cell("role"));
    line("health", cell("health"));
    line("address", cell("address"));
    line("labels", table::labels(&peer["labels"]));
    line("version", cell("version"));
    line("joined", cell("joined_at"));
    line("started", format!("{} times", cell("generation")));
    line("store", cell("raft_id"));
    let incidents: Vec<String> = table::list(&peer["open_incidents"]).map(table::text).collect();
    line("incidents", if incidents.is_empty() { "none open".into() } else { incidents.join(" ") });
    for (fact, value) in peer["facts"].as_object().into_iter().flatten() {
        line(fact, table::text(value));
    }
    let silence = &peer["silence"];
    if silence.is_object() {
        let (kind, since) = (table::text(&silence["kind"]), table::text(&silence["since"]));
        let incident = table::text(&silence["incident"]);
        line("silence", format!("{kind} since {since}, {incident}"));
        let rows = table::list(&silence["witnesses"]).map(|witness| {
            ["witness", "seen", "at"].map(|key| table::text(&witness[key])).to_vec()
        });
        text.push('\n');
        text.push_str(&table::rows(&["WITNESS", "SAW", "AT"], rows.collect(), "no witnesses"));
    }
    let rows = table::list(&peer["checks"]).map(|check| {
        let mut cells = ["name", "verdict", "since", "summary"].map(|key| table::text(&check[key]));
        if check["flapping"] == true {
            cells[1].push_str(", flapping");
        }
        if check["muted_by"].is_string() {
            cells[1] = format!("{}, muted by {}", cells[1], table::text(&check["muted_by"]));
        }
        cells.to_vec()
    });
    text.push('\n');
    let headings = ["CHECK", "VERDICT", "SINCE", "SUMMARY"];
    text.push_str(&table::rows(&headings, rows.collect(), "no checks"));
    text
}

/// `hearten raft members`
pub(super) fn members(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::RaftMembers)?;
    output::show(shown, &answer, |answer| {
        let rows = table::list(&answer["members"]).map(|member| {
            ["name", "role", "id", "raft_id"].map(|key| table::text(&member[key])).to_vec()
        });
        let members = table::rows(&["NAME", "ROLE", "ID", "STORE"], rows.collect(), "no members");
        let (term, applied) = (table::text(&answer["term"]), table::text(&answer["applied"]));
        format!("term {term}, log applied up to {applied} here\n\n{members}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_silent_peer_is_shown_with_its_witnesses() {
        let shown = peer(&json!({
            "name": "web-2", "id": "paaaaaaad", "state": "silent",
            "facts": { "kernel": "6.12" },
            "silence": {
                "kind": "dark", "since": "2026-11-21T02:00:20.000Z", "incident": "INC-9",
                "witnesses": [{ "witness": "db-1", "seen": "no answer", "at": "02:00:21" }],
            },
            "checks": [],
        }));
        for part in ["web-2 (paaaaaaad)", "kernel      6.12", "db-1     no answer  02:00:21"] {
            assert!(shown.contains(part), "{shown}");
        }
        assert!(shown.ends_with("no checks\n"), "{shown}");
    }
}
