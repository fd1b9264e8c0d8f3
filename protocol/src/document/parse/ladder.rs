//! `[[ladder]]` with its `[[ladder.level]]`.

use super::{
    Part,
    reader::{Reader, Table, Zero},
};
use crate::{
    document::{
        Ladder, LadderLevel, Scope,
        problem::{Report, quoted},
    },
    name::Name,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The most levels of a ladder.
const LEVELS_MAX: usize = 32;

/// Reads one ladder, and where its levels stand.
pub(super) fn ladder(
    table: Table<'_>,
    report: &mut Report,
) -> Option<(Ladder, BTreeMap<Part, usize>)> {
    let mut reader = Reader::new(table.title("ladder"), table, report);
    let name = reader.own_name();
    let selector = reader.selector();
    let quiesce = reader.span("quiesce", Duration::from_secs(30), Zero::Allowed);
    let tries = reader.number("tries", 1..=10).unwrap_or(1);
    let tables = reader.tables("level", "[[ladder.level]]");
    if tables.is_empty() || tables.len() > LEVELS_MAX {
        let hint = "write [[ladder.level]] with number = 1, name, scope and runbook below it";
        let message = format!("it must have 1 to {LEVELS_MAX} levels");
        reader.complain("level", &message, Some(hint.to_owned()));
    }
    let mut parts = BTreeMap::new();
    let mut numbered: BTreeMap<u32, LadderLevel> = BTreeMap::new();
    let mut mapped: BTreeMap<Name, u32> = BTreeMap::new();
    let mut broken = false;
    for (place, table) in tables.iter().enumerate() {
        let title = format!("{}, {}", reader.title(), table.title("level"));
        parts.insert(Part::Level(place), table.offset);
        let Some((number, level)) = level(title, *table, reader.report()) else {
            broken = true;
            continue;
        };
        for check in &level.checks {
            if let Some(other) = mapped.insert(check.clone(), number) {
                let message =
                    format!("{}: check \"{check}\" needs level {other} already", reader.title());
                let hint = "a check maps to one level".to_owned();
                reader.report().add(table.offset, Some("checks"), message, Some(hint));
            }
        }
        let again = numbered.values().any(|other| other.runbook == level.runbook);
        if again {
            let message = format!(
                "{}: runbook \"{}\" would be run at two levels",
                reader.title(),
                level.runbook
            );
            reader.report().add(table.offset, Some("runbook"), message, None);
        }
        if numbered.insert(number, level).is_some() {
            let message = format!("{}: there are two levels {number}", reader.title());
            reader.report().add(table.offset, Some("number"), message, None);
        }
    }
    let gap = (1_u32..).zip(numbered.keys()).find(|(expected, number)| expected != *number);
    if let Some((expected, _)) = gap.filter(|_| !broken) {
        let message = format!("level {expected} is missing: levels are numbered 1, 2, 3 and so on");
        reader.complain("level", &message, None);
    }
    reader.finish();
    let levels = numbered.into_values().collect();
    Some((Ladder { name: name?, selector, quiesce, tries, levels }, parts))
}

fn level(title: String, table: Table<'_>, report: &mut Report) -> Option<(u32, LadderLevel)> {
    let mut reader = Reader::new(title, table, report);
    let name = reader.own_name();
    for (key, example) in
        [("number", "number = 1"), ("scope", "scope = \"peer\""), ("runbook", "runbook = \"NAME\"")]
    {
        if !reader.has(key) {
            reader.missing(key, example);
        }
    }
    let number = reader.number("number", 1..=32);
    let scope = scope(&mut reader);
    let runbook = reader.name("runbook");
    let mut checks = BTreeSet::new();
    for text in reader.texts("checks", "[\"CHECK\"]").unwrap_or_default() {
        match Name::parse(&text) {
            Ok(check) => {
                checks.insert(check);
            }
            Err(error) => reader.complain("checks", &format!("\"checks\" = {error}"), None),
        }
    }
    reader.finish();
    Some((number?, LadderLevel { name: name?, scope: scope?, runbook: runbook?, checks }))
}

fn scope(reader: &mut Reader<'_, '_>) -> Option<Scope> {
    let text = reader.text("scope")?;
    let scope = match text.split_once(':') {
        None if text == "mesh" => Some(Scope::Mesh),
        None if text == "peer" => Some(Scope::Peer),
        None if text == "zone" => Some(Scope::Group("zone".to_owned())),
        Some(("group", label)) if !label.is_empty() => Some(Scope::Group(label.to_owned())),
        Some(_) | None => None,
    };
    if scope.is_none() {
        let hint = "write \"mesh\", \"zone\", \"group:LABEL\" or \"peer\"".to_owned();
        let message = format!("\"scope\" is none: {}", quoted(text));
        reader.complain("scope", &message, Some(hint));
    }
    scope
}
