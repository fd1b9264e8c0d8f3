//! The kinds of probe, each below a key of its own.

use super::{
    alert::alert,
    check::kinds,
    heartbeat::heartbeat,
    host::{disk, file, load, percent, process, unit},
    mesh::mesh,
    plugin::plugin,
    reader::{Reader, Table, Zero, type_of},
};
use crate::document::{
    AggregateProbe, Expiry, HttpProbe, Pattern, Probe, Quorum, TextMatch, problem::quoted,
};
use std::time::Duration;
use toml::de::DeValue;

/// The kinds of probe by their keys.
pub(super) const KINDS: [&str; 14] = [
    "command",
    "http",
    "tcp",
    "process",
    "unit",
    "disk",
    "memory",
    "load",
    "file",
    "plugin",
    "aggregate",
    "mesh",
    "alert",
    "heartbeat",
];

/// Keys that stand beside a probe and belong to it.
const BESIDE: [(&str, &str); 20] = [
    ("status", "http"),
    ("body", "http"),
    ("tls_expires_within", "http"),
    ("settings", "plugin"),
    ("facts", "plugin"),
    ("warn", "mesh"),
    ("fail", "mesh"),
    ("host_label", "alert"),
    ("host_matches", "alert"),
    ("period", "heartbeat"),
    ("cron", "heartbeat"),
    ("on_calendar", "heartbeat"),
    ("learned", "heartbeat"),
    ("time_zone", "heartbeat"),
    ("grace", "heartbeat"),
    ("host", "heartbeat"),
    ("alert_text", "heartbeat"),
    ("uuid_sha256", "heartbeat"),
    ("failing_for", "heartbeat"),
    ("forget_after", "heartbeat"),
];

/// The longest text that a body is looked through for.
const BODY_TEXT_BYTES_MAX: usize = 1_024;

pub(super) fn probe(reader: &mut Reader<'_, '_>) -> Option<Probe> {
    // All are read, so that every key is known and every mistake is told.
    let found = [
        reader.command("command").map(Probe::Command),
        http(reader).map(Probe::Http),
        reader.host_and_port("tcp").map(|address| Probe::Tcp { address }),
        process(reader).map(Probe::Process),
        unit(reader).map(Probe::Unit),
        disk(reader).map(Probe::Disk),
        percent(reader, "memory").map(Probe::Memory),
        load(reader).map(Probe::Load),
        file(reader).map(Probe::File),
        plugin(reader).map(Probe::Plugin),
        aggregate(reader).map(Probe::Aggregate),
        mesh(reader).map(Probe::Mesh),
        alert(reader).map(Probe::Alert),
        heartbeat(reader).map(Probe::Heartbeat),
    ];
    let kind = reader.choice("kind", &KINDS.map(|kind| (kind, kind)));

    let written: Vec<&str> = KINDS.into_iter().filter(|key| reader.has(key)).collect();
    match (written.as_slice(), kind) {
        ([], _) => {
            let key = kind.unwrap_or("command");
            let hint = format!("write one of {}", kinds());
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
    for (key, owner) in BESIDE {
        if reader.has(key) && !reader.has(owner) {
            let message = format!("\"{key}\" has no meaning without \"{owner}\"");
            reader.complain(key, &message, None);
        }
    }
    found.into_iter().flatten().next()
}

fn http(reader: &mut Reader<'_, '_>) -> Option<HttpProbe> {
    let url = reader.url("http");
    let status = reader.number("status", 100..=599).unwrap_or(200);
    let body = body(reader);
    let tls_expires_within = expiry(reader);
    if tls_expires_within.is_some() && url.as_ref().is_some_and(|url| url.starts_with("http:")) {
        let message = "\"tls_expires_within\" has no meaning for http://, which has no certificate";
        reader.complain("tls_expires_within", message, None);
    }
    let status = u16::try_from(status).ok()?;
    Some(HttpProbe { url: url?, status, body, tls_expires_within })
}

fn body(reader: &mut Reader<'_, '_>) -> Option<TextMatch> {
    const EXAMPLE: &str = "body = \"TEXT\" or body = { matches = \"PATTERN\" }";
    let value = reader.value("body")?;
    if let Some(text) = value.as_str() {
        if text.is_empty() || text.len() > BODY_TEXT_BYTES_MAX {
            let message = format!("\"body\" must have 1 to {BODY_TEXT_BYTES_MAX} bytes");
            reader.complain("body", &message, None);
            return None;
        }
        return Some(TextMatch::Contains(text.to_owned()));
    }
    let table = reader.table("body", EXAMPLE)?;
    let mut within = Reader::new(format!("{}, body", reader.title()), table, reader.report());
    let pattern = within.pattern("matches");
    if !within.has("matches") {
        within.missing("matches", EXAMPLE);
    }
    within.finish();
    pattern.map(TextMatch::Matches)
}

/// A span is when it is worth a warning; a table says more.
fn expiry(reader: &mut Reader<'_, '_>) -> Option<Expiry> {
    const KEY: &str = "tls_expires_within";
    const EXAMPLE: &str = "tls_expires_within = { warn = \"21d\", fail = \"7d\" }";
    let value = reader.value(KEY)?;
    if value.is_str() {
        let warn = reader.span(KEY, Duration::ZERO, Zero::Refused);
        return Some(Expiry { warn: Some(warn), fail: None });
    }
    let table = reader.table(KEY, EXAMPLE)?;
    let mut within = Reader::new(format!("{}, {KEY}", reader.title()), table, reader.report());
    let mut limit = |key: &'static str| {
        within.has(key).then(|| within.span(key, Duration::ZERO, Zero::Refused))
    };
    let expiry = Expiry { warn: limit("warn"), fail: limit("fail") };
    if expiry.warn.is_none() && expiry.fail.is_none() {
        within.missing("warn", EXAMPLE);
    }
    if let (Some(warn), Some(fail)) = (expiry.warn, expiry.fail)
        && fail > warn
    {
        within.complain("fail", "\"fail\" must not be longer than \"warn\"", None);
    }
    within.value("warn");
    within.value("fail");
    within.finish();
    Some(expiry)
}

fn aggregate(reader: &mut Reader<'_, '_>) -> Option<AggregateProbe> {
    const EXAMPLE: &str = "aggregate = { check = \"NAME\", at_least = 2 }";
    let table = reader.table("aggregate", EXAMPLE)?;
    let title = format!("{}, aggregate", reader.title());
    let mut within = Reader::new(title, table, reader.report());
    if !within.has("check") {
        within.missing("check", EXAMPLE);
    }
    let check = within.name("check");
    let count = within.number("at_least", 1..=100_000).map(Quorum::AtLeast);
    let share = within.number("at_least_percent", 1..=100).map(Quorum::AtLeastPercent);
    match (within.has("at_least"), within.has("at_least_percent")) {
        (false, false) => within.missing("at_least", EXAMPLE),
        (true, true) => {
            let message = "it has both \"at_least\" and \"at_least_percent\"";
            within.complain("at_least_percent", message, Some("leave one out".to_owned()));
        }
        (true, false) | (false, true) => {}
    }
    within.finish();
    Some(AggregateProbe { check: check?, quorum: count.or(share)? })
}

impl<'a> Reader<'a, '_> {
    /// A regular expression.
    pub(super) fn pattern(&mut self, key: &'static str) -> Option<Pattern> {
        let text = self.text(key)?;
        match Pattern::parse(text) {
            Ok(pattern) => Some(pattern),
            Err(fault) => {
                let message = format!("\"{key}\" = {} is no pattern: {fault}", quoted(text));
                let hint = "write a regular expression such as \"^web-[0-9]+$\"".to_owned();
                self.complain(key, &message, Some(hint));
                None
            }
        }
    }

    /// True or false.
    pub(super) fn truth(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        if value.as_bool().is_none() {
            self.wrong_type(key, "true or false", value, None);
        }
        value.as_bool()
    }

    /// A text, or a table that says more.
    pub(super) fn text_or_table(
        &mut self,
        key: &'static str,
        example: &str,
    ) -> Option<TextOrTable<'a>> {
        let value = self.value(key)?;
        match value {
            DeValue::String(text) => Some(TextOrTable::Text(text)),
            DeValue::Table(entries) => {
                Some(TextOrTable::Table(Table { entries, offset: self.offset_of(key) }))
            }
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                let message =
                    format!("\"{key}\" must be a string or a table, not {}", type_of(value));
                self.complain(key, &message, Some(format!("write {example}")));
                None
            }
        }
    }
}

/// A text, or a table that says more.
#[derive(Debug, Clone, Copy)]
pub(super) enum TextOrTable<'a> {
    /// The short form.
    Text(&'a str),
    /// The long form.
    Table(Table<'a>),
}
