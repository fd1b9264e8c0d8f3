//! `[[check]]`: a probe and when to run it.

use super::{
    Part,
    probe::{KINDS, probe},
    reader::{Reader, Table, Zero, type_of},
    unusual::{ahead, unusual},
};
use crate::document::{
    Check, Probe,
    problem::{Report, shown},
};
use crate::name::{Name, NameError};
use crate::time::format_span;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The most checks that one check may depend on.
const PARENTS_MAX: usize = 32;

/// What has no meaning where no peer runs anything.
const NOT_RUN: [&str; 8] = [
    "timeout",
    "jitter",
    "flapping",
    "stale_after",
    "depends_on",
    "every",
    "fail_after",
    "pass_after",
];

/// Reads one check, and where its references to other checks stand. A run may take longer than
/// `every`: runs of one check never overlap, the next one waits.
pub(super) fn check(
    table: Table<'_>,
    report: &mut Report,
) -> Option<(Check, BTreeMap<Part, usize>)> {
    let mut reader = Reader::new(table.title("check"), table, report);
    let name = reader.own_name();
    let probe = probe(&mut reader);
    let unusual = unusual(&mut reader, probe.as_ref());
    let selector = reader.selector();
    let of_alert = matches!(probe, Some(Probe::Alert(_)));
    let usual = if of_alert { Check::ALERT_EVERY } else { Check::EVERY };
    let every = reader.span("every", usual, Zero::Refused);
    let timeout = reader.span("timeout", Duration::from_secs(10), Zero::Refused);
    let ahead = ahead(&mut reader, probe.as_ref(), every).map(Box::new);
    let fail_after = reader.number("fail_after", 1..=100);
    // Whoever sends alerts has waited already.
    let fail_after = fail_after.unwrap_or(if of_alert { 1 } else { 2 });
    let pass_after = reader.number("pass_after", 1..=100).unwrap_or(1);
    let jitter = reader.span("jitter", Duration::ZERO, Zero::Allowed);
    if jitter >= every {
        let message = format!(
            "\"jitter\" must be shorter than \"every\": {} is not shorter than {}",
            format_span(jitter),
            format_span(every)
        );
        reader.complain("jitter", &message, None);
    }
    let depends_on = parents(&mut reader, name.as_ref());
    let flapping = reader.truth("flapping").unwrap_or(true);
    let usual = Check::stale_after(every, timeout);
    let stale_after = reader.span("stale_after", usual, Zero::Refused);
    if stale_after <= every {
        let message = format!(
            "\"stale_after\" must be longer than \"every\": {} is not longer than {}",
            format_span(stale_after),
            format_span(every)
        );
        reader.complain("stale_after", &message, None);
    }
    let kind = match &probe {
        Some(Probe::Aggregate(_)) => Some(("an aggregate", &NOT_RUN[..5])),
        // A deadline is one, whatever was before it.
        Some(Probe::Heartbeat(_)) => Some(("heartbeats", &NOT_RUN[..])),
        Some(_) | None => None,
    };
    if let Some((kind, keys)) = kind {
        for key in keys {
            if reader.has(key) {
                let message = format!("\"{key}\" has no meaning for {kind}: nothing is run");
                reader.complain(key, &message, Some("leave it out".to_owned()));
            }
        }
    }
    let parts = BTreeMap::from([
        (Part::DependsOn, reader.offset_of("depends_on")),
        (Part::Aggregate, reader.offset_of("aggregate")),
        (Part::Uuid, reader.offset_of("uuid_sha256")),
    ]);
    reader.finish();
    let check = Check {
        name: name?,
        probe: probe?,
        selector,
        every,
        timeout,
        fail_after,
        pass_after,
        jitter,
        depends_on,
        flapping,
        stale_after,
        unusual,
        ahead,
    };
    Some((check, parts))
}

fn parents(reader: &mut Reader<'_, '_>, own: Option<&Name>) -> BTreeSet<Name> {
    let mut parents = BTreeSet::new();
    let Some(value) = reader.value("depends_on") else { return parents };
    let Some(items) = value.as_array().filter(|items| items.len() <= PARENTS_MAX) else {
        let hint = "write depends_on = [\"OTHER-CHECK\"]".to_owned();
        let wanted = format!("a list of at most {PARENTS_MAX} names");
        reader.wrong_type("depends_on", &wanted, value, Some(hint));
        return parents;
    };
    for item in items.iter() {
        let fault = match item.get_ref().as_str().map(|text| (text, Name::parse(text))) {
            Some((_, Ok(name))) if Some(&name) == own => "it cannot depend on itself".to_owned(),
            Some((_, Ok(name))) => {
                parents.insert(name);
                continue;
            }
            Some((text, Err(_))) => {
                format!("\"depends_on\" = {}", NameError::Name { text: shown(text) })
            }
            None => {
                format!("\"depends_on\" must hold strings, not {}", type_of(item.get_ref()))
            }
        };
        let message = format!("{}: {fault}", reader.title());
        reader.report().add(item.span().start, Some("depends_on"), message, None);
    }
    parents
}

/// The kinds, as they are listed for an operator who wrote none.
pub(super) fn kinds() -> String {
    let (last, first) = KINDS.split_last().unwrap_or((&"command", &[]));
    let first: Vec<String> = first.iter().map(|kind| format!("{kind} = …")).collect();
    format!("{} or {last} = …", first.join(", "))
}
