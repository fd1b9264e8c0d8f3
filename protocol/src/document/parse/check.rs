//! `[[check]]`: a probe and when to run it.

use super::reader::{Reader, Table, Zero};
use crate::document::{Check, Probe, problem::Report};
use std::time::Duration;

/// The status that passes unless said otherwise.
const STATUS_OK: u32 = 200;

/// Reads one check. A run may take longer than `every`: runs of one check never overlap, the next
/// one waits.
pub(super) fn check(table: Table<'_>, report: &mut Report) -> Option<Check> {
    let mut reader = Reader::new(table.title("check"), table, report);
    let name = reader.own_name();
    let probe = probe(&mut reader);
    let selector = reader.selector();
    let every = reader.span("every", Duration::from_secs(30), Zero::Refused);
    let timeout = reader.span("timeout", Duration::from_secs(10), Zero::Refused);
    let fail_after = reader.number("fail_after", 1..=100).unwrap_or(2);
    let pass_after = reader.number("pass_after", 1..=100).unwrap_or(1);
    reader.finish();
    Some(Check { name: name?, probe: probe?, selector, every, timeout, fail_after, pass_after })
}

fn probe(reader: &mut Reader<'_, '_>) -> Option<Probe> {
    const KINDS: [&str; 3] = ["command", "http", "tcp"];
    let command = reader.command("command");
    let url = reader.url("http");
    let status = reader.number("status", 100..=599).unwrap_or(STATUS_OK);
    let address = reader.host_and_port("tcp");
    let kind = reader.choice("kind", &KINDS.map(|kind| (kind, kind)));

    let written: Vec<&str> = KINDS.into_iter().filter(|key| reader.has(key)).collect();
    match (written.as_slice(), kind) {
        ([], _) => {
            let key = kind.unwrap_or("command");
            let hint = "write one of command = …, http = … and tcp = …".to_owned();
            reader.complain(key, "it has no probe", Some(hint));
        }
        ([only], Some(kind)) if *only != kind => {
            let message = format!("\"kind\" says \"{kind}\", but the probe is \"{only}\"");
            reader.complain("kind", &message, Some("leave \"kind\" out".to_owned()));
        }
        ([_], _) => {}
        ([first, second, ..], _) => {
            let message = format!("it has two probes, \"{first}\" and \"{second}\"");
            let hint = "a check has one; write another check for the other".to_owned();
            reader.complain(second, &message, Some(hint));
        }
    }
    if reader.has("status") && !reader.has("http") {
        reader.complain("status", "\"status\" has no meaning without \"http\"", None);
    }

    let status = u16::try_from(status).ok()?;
    command
        .map(Probe::Command)
        .or_else(|| url.map(|url| Probe::Http { url, status }))
        .or_else(|| address.map(|address| Probe::Tcp { address }))
}
