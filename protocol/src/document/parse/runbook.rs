//! `[[runbook]]` with its `[[runbook.evidence]]` and `[[runbook.rung]]`.

use super::{
    Part, evidence,
    reader::{Reader, Table, Zero},
};
use crate::document::{
    Action, By, On, OnUnknown, Runbook, Rung, Silence, Verdict,
    problem::{Report, quoted},
};
use std::{collections::BTreeMap, time::Duration};

/// The most characters of a rung's name: it has to fit a line of the timeline.
const RUNG_NAME_CHARACTERS_MAX: usize = 64;

/// Reads one runbook, and where its references to other documents stand.
pub(super) fn runbook(
    table: Table<'_>,
    report: &mut Report,
) -> Option<(Runbook, BTreeMap<Part, usize>)> {
    let mut reader = Reader::new(table.title("runbook"), table, report);
    let mut parts = BTreeMap::new();
    let name = reader.own_name();
    parts.insert(Part::On, reader.offset_of("on"));
    let (on, mildest) = on(&mut reader);
    let selector = reader.selector();
    let cooldown = reader.span("cooldown", Duration::from_secs(60), Zero::Allowed);
    let on_unknown =
        reader.choice("on_unknown", &[("ask", OnUnknown::Ask), ("retry", OnUnknown::Retry)]);

    let evidence = evidence::steps(&mut reader);

    let mut rungs: Vec<Rung> = Vec::new();
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    let tables = reader.tables("rung", "[[runbook.rung]]");
    if reader.value("rung").is_none_or(|value| value.as_array().is_some_and(|all| all.is_empty())) {
        let hint = "write [[runbook.rung]] with name = \"…\" and run = \"…\" below it".to_owned();
        reader.complain("rung", "it has no rung", Some(hint));
    }
    for (place, table) in tables.into_iter().enumerate() {
        let title = format!("{}, {}", reader.title(), table.title("rung"));
        let (rung, offset) = rung(title, table, reader.report());
        parts.insert(Part::Rung(place), offset);
        let Some(rung) = rung else { continue };
        if let Some(first) = named.get(&rung.name) {
            let message =
                format!("{}: rungs {first} and {} have the same name", reader.title(), place + 1);
            let message = format!("{message} {}", quoted(&rung.name));
            let hint = "a rung is found by its name in the timeline; give each its own".to_owned();
            reader.report().add(table.offset, Some("name"), message, Some(hint));
        } else {
            named.insert(rung.name.clone(), place + 1);
        }
        rungs.push(rung);
    }
    reader.finish();

    let runbook = Runbook {
        name: name?,
        on: on?,
        mildest,
        selector,
        cooldown,
        evidence,
        rungs,
        on_unknown: on_unknown.unwrap_or(OnUnknown::Ask),
    };
    Some((runbook, parts))
}

/// The signal, and the mildest verdict that is one.
fn on(reader: &mut Reader<'_, '_>) -> (Option<On>, Verdict) {
    const EXAMPLE: &str = "on = { check = \"NAME\" } or on = { peer = \"silent\" }";
    if !reader.has("on") {
        reader.missing("on", EXAMPLE);
    }
    let Some(table) = reader.table("on", EXAMPLE) else { return (None, Verdict::Warn) };
    let title = format!("{}, on", reader.title());
    let mut reader = Reader::new(title, table, reader.report());
    let check = reader.name("check");
    let silences = [Silence::Silent, Silence::Crashed, Silence::Dark]
        .map(|silence| (silence.as_str(), silence));
    let peer = reader.choice("peer", &silences);
    let verdicts = [Verdict::Warn, Verdict::Fail].map(|verdict| (verdict.as_str(), verdict));
    let mildest = reader.choice("verdict", &verdicts);
    if reader.has("verdict") && !reader.has("check") {
        reader.complain("verdict", "only a check has a verdict", None);
    }
    match (reader.has("check"), reader.has("peer")) {
        // A misspelt key is told below, and is reason enough.
        (false, false) if !table.entries.is_empty() => {}
        (false, false) => {
            reader.complain("on", "it names no signal", Some(format!("write {EXAMPLE}")));
        }
        (true, true) => {
            let hint = "write a runbook for each".to_owned();
            reader.complain("peer", "a runbook answers one signal, not two", Some(hint));
        }
        (true, false) | (false, true) => {}
    }
    reader.finish();
    (check.map(On::Check).or(peer.map(On::Peer)), mildest.unwrap_or(Verdict::Warn))
}

/// Reads one rung, and where it says whom to notify.
fn rung(title: String, table: Table<'_>, report: &mut Report) -> (Option<Rung>, usize) {
    let mut reader = Reader::new(title, table, report);
    let name = rung_name(&mut reader);
    let offset = reader.offset_of("notify");
    let action = action(&mut reader);
    let by = [By::Affected, By::Neighbour, By::Leader].map(|by| (by.as_str(), by));
    let by = reader.choice("by", &by).unwrap_or(By::Affected);
    let timeout = reader.span("timeout", Duration::from_secs(60), Zero::Refused);
    let settle = reader.span("settle", Duration::ZERO, Zero::Allowed);
    reader.finish();
    let rung = match (name, action) {
        (Some(name), Some(action)) => Some(Rung { name, action, by, timeout, settle }),
        (Some(_) | None, Some(_) | None) => None,
    };
    (rung, offset)
}

fn rung_name(reader: &mut Reader<'_, '_>) -> Option<String> {
    if !reader.has("name") {
        reader.missing("name", "name = \"…\"");
    }
    let name = reader.text("name")?;
    let fits = !name.trim().is_empty()
        && name.chars().count() <= RUNG_NAME_CHARACTERS_MAX
        && !name.chars().any(char::is_control);
    if !fits {
        let message =
            format!("\"name\" must be 1 to {RUNG_NAME_CHARACTERS_MAX} printable characters");
        reader.complain("name", &message, None);
    }
    fits.then(|| name.to_owned())
}

fn action(reader: &mut Reader<'_, '_>) -> Option<Action> {
    let run = reader.command("run");
    let notify = reader.name("notify");
    match (reader.has("run"), reader.has("notify")) {
        (false, false) => {
            let hint = "write run = \"SCRIPT\" or notify = \"NOTIFIER\"".to_owned();
            reader.complain("run", "it has neither \"run\" nor \"notify\"", Some(hint));
        }
        (true, true) => {
            let hint = "write a rung for each".to_owned();
            reader.complain("notify", "it has both \"run\" and \"notify\"", Some(hint));
        }
        (true, false) | (false, true) => {}
    }
    run.map(Action::Run).or(notify.map(Action::Notify))
}
