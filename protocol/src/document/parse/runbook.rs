//! `[[runbook]]` with its `[[runbook.evidence]]` and `[[runbook.rung]]`.

use super::{
    Part, evidence,
    reader::{Reader, Table, Zero},
};
use super::{limits, params, rung};
use crate::document::{
    Breaker, Mode, On, OnUnknown, Repeat, Runbook, Rung, Silence, Verdict,
    problem::{Report, did_you_mean, quoted},
};
use std::{collections::BTreeMap, time::Duration};

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
    let on_unknown = reader.choice("on_unknown", &rung::ON_UNKNOWN);
    let modes = [Mode::Auto, Mode::Ask, Mode::Shadow].map(|mode| (mode.as_str(), mode));
    let mode = reader.choice("mode", &modes).unwrap_or(Mode::Auto);
    let sequence = reader.boolean("sequence").unwrap_or(false);
    let priority = reader.number("priority", 0..=1_000).unwrap_or(0);
    let bounds = match reader.table("limits", "limits = { at_once = 1 }") {
        Some(table) => {
            let title = format!("{}, limits", reader.title());
            limits::bounds_alone(title, table, reader.report())
        }
        None => crate::document::Bounds::default(),
    };
    let breaker = breaker(&mut reader);
    let repeat = repeat(&mut reader);
    let params = params::params(&mut reader);

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
        let (rung, offset) = rung::rung(title, table, reader.report());
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
        if let Some(needed) = &rung.needs {
            let fit =
                rungs.iter().any(|earlier| earlier.name == *needed && earlier.tells().is_none());
            if !fit {
                let message = format!(
                    "{}: rung {} needs rung {}, and no rung before it that acts has this name",
                    reader.title(),
                    quoted(&rung.name),
                    quoted(needed)
                );
                let known = rungs.iter().filter(|earlier| earlier.tells().is_none());
                let hint = did_you_mean(needed, known.map(|earlier| earlier.name.as_str()));
                reader.report().add(table.offset, Some("needs"), message, hint);
            }
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
        mode,
        sequence,
        priority,
        bounds,
        breaker,
        repeat,
        params,
    };
    Some((runbook, parts))
}

/// The signal, and the mildest verdict that is one.
fn on(reader: &mut Reader<'_, '_>) -> (Option<On>, Verdict) {
    const EXAMPLE: &str = "on = { check = \"NAME\" } or on = { peer = \"silent\" }";
    const SIGNALS: [&str; 4] = ["check", "peer", "ladder", "operator"];
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
    let ladder = reader.name("ladder");
    let operator = reader.boolean("operator");
    if operator == Some(false) {
        reader.complain("operator", "\"operator\" is true or not written at all", None);
    }
    let written: Vec<&str> = SIGNALS.into_iter().filter(|key| reader.has(key)).collect();
    match written.as_slice() {
        // A misspelt key is told below, and is reason enough.
        [] if !table.entries.is_empty() => {}
        [] => reader.complain("on", "it names no signal", Some(format!("write {EXAMPLE}"))),
        [_] => {}
        [_, second, ..] => {
            let hint = "write a runbook for each".to_owned();
            reader.complain(second, "a runbook answers one signal, not two", Some(hint));
        }
    }
    let on = check.map(On::Check).or(peer.map(On::Peer)).or(ladder.map(On::Ladder));
    reader.finish();
    (on.or(operator.map(|_| On::Operator)), mildest.unwrap_or(Verdict::Warn))
}

fn breaker(reader: &mut Reader<'_, '_>) -> Option<Breaker> {
    let table = reader.table("breaker", "breaker = { failures = 5, within = \"1h\" }")?;
    let title = format!("{}, breaker", reader.title());
    let mut reader = Reader::new(title, table, reader.report());
    if !reader.has("failures") {
        reader.missing("failures", "failures = 5");
    }
    let failures = reader.number("failures", 1..=1_000);
    let within = reader.span("within", Duration::from_secs(3_600), Zero::Refused);
    reader.finish();
    Some(Breaker { failures: failures?, within })
}

fn repeat(reader: &mut Reader<'_, '_>) -> Repeat {
    let default = Repeat::default();
    let Some(table) = reader.table("repeat", "repeat = { times = 3, within = \"1h\" }") else {
        return default;
    };
    let title = format!("{}, repeat", reader.title());
    let mut reader = Reader::new(title, table, reader.report());
    let times = reader.number("times", 1..=1_000).unwrap_or(default.times);
    let within = reader.span("within", default.within, Zero::Allowed);
    reader.finish();
    Repeat { times, within }
}
