//! `[[runbook.evidence]]`: one thing to collect in each table, and what is blotted out of it.

use super::reader::{Reader, Table, Zero, type_of};
use crate::document::{
    Collect, EvidenceStep,
    problem::{Report, quoted},
};
use regex::RegexBuilder;
use std::time::Duration;
use toml::de::DeValue;

/// The most steps of one runbook: their time limits add up to how long a repair waits.
const STEPS_MAX: usize = 32;
/// The most files of one step.
const FILES_MAX: usize = 64;
/// The longest path that Linux takes.
const PATH_BYTES_MAX: usize = 4_095;
/// The longest name of a unit that systemd takes.
const UNIT_BYTES_MAX: usize = 255;
/// The most lines of the journal: what is longer would not fit a step.
const LINES_MAX: u32 = 10_000;
/// The lines of the journal unless said.
const LINES: u32 = 200;
/// The most patterns of one list.
const PATTERNS_MAX: usize = 32;
/// The longest pattern.
const PATTERN_BYTES_MAX: usize = 1_024;
/// What a pattern may take once it is compiled; every pattern that a person writes is far below.
const COMPILED_BYTES_MAX: usize = 256 << 10;

/// The keys that say what is collected; a step has one of them.
const KINDS: [&str; 6] = ["run", "files", "journal", "processes", "sockets", "filesystems"];

/// Reads `evidence` and `redact` of a runbook.
pub(super) fn steps(runbook: &mut Reader<'_, '_>) -> Vec<EvidenceStep> {
    let redact = patterns(runbook);
    let tables = runbook.tables("evidence", "[[runbook.evidence]]");
    if tables.len() > STEPS_MAX {
        let message = format!("it has {} steps of evidence; at most {STEPS_MAX} fit", tables.len());
        runbook.complain("evidence", &message, None);
    }
    if tables.is_empty() && !redact.is_empty() {
        let hint = "write [[runbook.evidence]], or leave \"redact\" out".to_owned();
        runbook.complain("redact", "it collects nothing that could be redacted", Some(hint));
    }
    let mut steps = Vec::new();
    for table in tables.into_iter().take(STEPS_MAX) {
        let title = format!("{}, evidence", runbook.title());
        steps.extend(step(title, table, &redact, runbook.report()));
    }
    steps
}

fn step(
    title: String,
    table: Table<'_>,
    redact: &[String],
    report: &mut Report,
) -> Option<EvidenceStep> {
    let mut reader = Reader::new(title, table, report);
    let collect = collect(&mut reader);
    let timeout = reader.span("timeout", Duration::from_secs(10), Zero::Refused);
    let mut own = patterns(&mut reader);
    match KINDS.iter().filter(|kind| reader.has(kind)).count() {
        1 => {}
        // A misspelt key is told below, and is reason enough.
        0 if misspelt(table) => {}
        0 => {
            let hint = "write one of run, files, journal, processes, sockets, filesystems";
            reader.complain("run", "it says not what to collect", Some(hint.to_owned()));
        }
        _ => {
            let second = KINDS.iter().filter(|kind| reader.has(kind)).nth(1).copied();
            let hint = "write a [[runbook.evidence]] for each".to_owned();
            let message = "it collects one kind of thing, not several";
            reader.complain(second.unwrap_or("run"), message, Some(hint));
        }
    }
    reader.finish();
    let mut redact = redact.to_vec();
    redact.append(&mut own);
    Some(EvidenceStep { collect: collect?, timeout, redact })
}

/// Whether a key is written that no step has.
fn misspelt(table: Table<'_>) -> bool {
    let known = |key: &str| KINDS.contains(&key) || matches!(key, "timeout" | "redact");
    table.entries.keys().any(|key| !known(key.get_ref()))
}

fn collect(reader: &mut Reader<'_, '_>) -> Option<Collect> {
    let run = reader.command("run").map(Collect::Run);
    let files = files(reader);
    let journal = journal(reader);
    let processes = yes(reader, "processes").then_some(Collect::Processes);
    let sockets = yes(reader, "sockets").then_some(Collect::Sockets);
    let filesystems = yes(reader, "filesystems").then_some(Collect::Filesystems);
    run.or(files).or(journal).or(processes).or(sockets).or(filesystems)
}

fn yes(reader: &mut Reader<'_, '_>, key: &'static str) -> bool {
    let Some(value) = reader.value(key) else { return false };
    match value.as_bool() {
        Some(true) => true,
        Some(false) => {
            let hint = format!("write {key} = true, or leave the step out");
            reader.complain(key, &format!("\"{key}\" = false collects nothing"), Some(hint));
            false
        }
        None => {
            reader.wrong_type(key, "true", value, Some(format!("write {key} = true")));
            false
        }
    }
}

fn files(reader: &mut Reader<'_, '_>) -> Option<Collect> {
    let paths = texts(reader, "files", FILES_MAX, "files = [\"/var/log/web.log\"]")?;
    let mut sound = Vec::new();
    for (offset, path) in paths {
        let fault = if !path.starts_with('/') {
            "is not absolute"
        } else if path.len() > PATH_BYTES_MAX {
            "is too long"
        } else if path.contains('\0') {
            "holds a NUL"
        } else {
            sound.push(path.to_owned());
            continue;
        };
        let message = format!("{}: the path {} {fault}", reader.title(), quoted(path));
        reader.report().add(offset, Some("files"), message, None);
    }
    Some(Collect::Files(sound))
}

fn journal(reader: &mut Reader<'_, '_>) -> Option<Collect> {
    const EXAMPLE: &str = "journal = { unit = \"nginx\", lines = 200 }";
    let table = reader.table("journal", EXAMPLE)?;
    let title = format!("{}, journal", reader.title());
    let mut reader = Reader::new(title, table, reader.report());
    if !reader.has("unit") {
        reader.missing("unit", "unit = \"nginx\"");
    }
    let unit = reader.text("unit");
    let fits = |unit: &&str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || "@._:\\-".contains(c);
        (1..=UNIT_BYTES_MAX).contains(&unit.len())
            && !unit.starts_with('-')
            && unit.chars().all(letter)
    };
    if let Some(odd) = unit.filter(|unit| !fits(unit)) {
        let message = format!("\"unit\" = {} is no name of a unit", quoted(odd));
        let hint = "write it as systemd does: letters, digits and @._:\\-".to_owned();
        reader.complain("unit", &message, Some(hint));
    }
    let lines = reader.number("lines", 1..=LINES_MAX).unwrap_or(LINES);
    reader.finish();
    Some(Collect::Journal { unit: unit?.to_owned(), lines })
}

/// The patterns of `redact`, each of which compiles and matches something.
fn patterns(reader: &mut Reader<'_, '_>) -> Vec<String> {
    const EXAMPLE: &str = "redact = ['password=\\S+']";
    let Some(found) = texts(reader, "redact", PATTERNS_MAX, EXAMPLE) else { return Vec::new() };
    let mut sound = Vec::new();
    for (offset, pattern) in found {
        match pattern_fault(pattern) {
            None => sound.push(pattern.to_owned()),
            Some((fault, hint)) => {
                let message =
                    format!("{}: the pattern {} {fault}", reader.title(), quoted(pattern));
                reader.report().add(offset, Some("redact"), message, hint);
            }
        }
    }
    sound
}

fn pattern_fault(pattern: &str) -> Option<(String, Option<String>)> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Some((format!("is longer than {PATTERN_BYTES_MAX} bytes"), None));
    }
    match RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).build() {
        Ok(regex) if regex.is_match("") => {
            let hint = "let it match one character at least: + instead of *".to_owned();
            Some(("matches nothing at all, and so everywhere".to_owned(), Some(hint)))
        }
        Ok(_) => None,
        Err(regex::Error::CompiledTooBig(_)) => {
            Some(("is too large once it is compiled".to_owned(), None))
        }
        Err(error) => {
            // Its last line says what is wrong; those before it draw an arrow, over several lines.
            let error = error.to_string();
            let why = error.lines().last().unwrap_or("").trim_start_matches("error: ");
            let hint = "write it as for grep -E, without look-around; in '…' nothing is escaped";
            Some((format!("is no regular expression: {why}"), Some(hint.to_owned())))
        }
    }
}

/// A list of strings, each with the byte where it stands.
fn texts<'a>(
    reader: &mut Reader<'a, '_>,
    key: &'static str,
    most: usize,
    example: &str,
) -> Option<Vec<(usize, &'a str)>> {
    let value = reader.value(key)?;
    let Some(items) = value.as_array() else {
        reader.wrong_type(key, "a list of strings", value, Some(format!("write {example}")));
        return None;
    };
    if items.is_empty() || items.len() > most {
        let message = format!("\"{key}\" must hold 1 to {most} strings, not {}", items.len());
        reader.complain(key, &message, Some(format!("write {example}")));
        return None;
    }
    let mut texts = Vec::new();
    for item in items.iter() {
        match item.get_ref() {
            DeValue::String(text) => texts.push((item.span().start, text.as_ref())),
            other @ (DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_)) => {
                let message = format!(
                    "{}: \"{key}\" must hold strings, not {}",
                    reader.title(),
                    type_of(other)
                );
                reader.report().add(item.span().start, Some(key), message, None);
            }
        }
    }
    Some(texts)
}
