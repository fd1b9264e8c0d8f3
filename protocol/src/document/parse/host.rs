//! Probes of the host itself: processes, units, file systems, memory, load, files.

use super::{
    probe::TextOrTable,
    reader::{Reader, Zero, type_of},
};
use crate::document::{DiskProbe, FileProbe, LoadProbe, ProcessProbe, Thresholds, problem::quoted};
use std::time::Duration;

/// The longest path that a kernel takes.
const PATH_BYTES_MAX: usize = 4_095;

/// The longest name of a unit; systemd takes no longer one.
const UNIT_BYTES_MAX: usize = 255;

pub(super) fn process(reader: &mut Reader<'_, '_>) -> Option<ProcessProbe> {
    const EXAMPLE: &str = "process = { name = \"nginx\", min = 1 }";
    let table = match reader.text_or_table("process", EXAMPLE)? {
        TextOrTable::Text("") => {
            reader.complain("process", "\"process\" is empty", Some(format!("write {EXAMPLE}")));
            return None;
        }
        TextOrTable::Text(name) => {
            let (pattern, user, max) = (None, None, None);
            return Some(ProcessProbe { name: Some(name.to_owned()), pattern, user, min: 1, max });
        }
        TextOrTable::Table(table) => table,
    };
    let mut within = Reader::new(format!("{}, process", reader.title()), table, reader.report());
    let name = within.text("name").map(str::to_owned);
    let pattern = within.pattern("pattern");
    let user = within.text("user").map(str::to_owned);
    let min = within.number("min", 0..=1_000_000);
    let max = within.number("max", 0..=1_000_000);
    if !within.has("name") && !within.has("pattern") {
        within.missing("name", "name = \"…\" or pattern = \"…\"");
    }
    let min = min.unwrap_or_else(|| max.map_or(1, |max| max.min(1)));
    if max.is_some_and(|max| max < min) {
        within.complain("max", "\"max\" must not be less than \"min\"", None);
    }
    within.finish();
    Some(ProcessProbe { name, pattern, user, min, max })
}

/// A unit's full name, with its kind: `nginx.service`.
pub(super) fn unit(reader: &mut Reader<'_, '_>) -> Option<String> {
    let text = reader.text("unit")?;
    let good = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let valid = !text.starts_with('-')
        && text.len() <= UNIT_BYTES_MAX
        && text.chars().all(good)
        && text.rsplit_once('.').is_some_and(|(name, kind)| !name.is_empty() && !kind.is_empty());
    if !valid {
        let message = format!("\"unit\" = {} is no name of a unit", quoted(text));
        let hint = "write it with its kind, such as unit = \"nginx.service\"".to_owned();
        reader.complain("unit", &message, Some(hint));
    }
    valid.then(|| text.to_owned())
}

pub(super) fn disk(reader: &mut Reader<'_, '_>) -> Option<DiskProbe> {
    const EXAMPLE: &str = "disk = { path = \"/\", warn = 80, fail = 90 }";
    const USUAL: Thresholds = Thresholds { warn: Some(80), fail: Some(90) };
    let table = match reader.text_or_table("disk", EXAMPLE)? {
        TextOrTable::Text(_) => {
            let path = absolute(reader, "disk")?;
            return Some(DiskProbe { path, used: USUAL, inodes: USUAL });
        }
        TextOrTable::Table(table) => table,
    };
    let mut within = Reader::new(format!("{}, disk", reader.title()), table, reader.report());
    let path = absolute(&mut within, "path");
    if !within.has("path") {
        within.missing("path", "path = \"/\"");
    }
    let used = percents(&mut within, "warn", "fail", USUAL);
    let inodes = percents(&mut within, "inodes_warn", "inodes_fail", USUAL);
    within.finish();
    Some(DiskProbe { path: path?, used, inodes })
}

/// A share in percent from where on it is a warning or a failure.
pub(super) fn percent(reader: &mut Reader<'_, '_>, key: &'static str) -> Option<Thresholds> {
    const USUAL: Thresholds = Thresholds { warn: Some(90), fail: Some(95) };
    let table = reader.table(key, &format!("{key} = {{ warn = 90, fail = 95 }}"))?;
    let mut within = Reader::new(format!("{}, {key}", reader.title()), table, reader.report());
    let thresholds = percents(&mut within, "warn", "fail", USUAL);
    within.finish();
    Some(thresholds)
}

/// Two shares in percent; what is usual holds only where neither is written.
fn percents(
    within: &mut Reader<'_, '_>,
    warn: &'static str,
    fail: &'static str,
    usual: Thresholds,
) -> Thresholds {
    let found =
        Thresholds { warn: within.number(warn, 1..=100), fail: within.number(fail, 1..=100) };
    ordered(within, found, warn, fail);
    if within.has(warn) || within.has(fail) { found } else { usual }
}

fn ordered(within: &mut Reader<'_, '_>, found: Thresholds, warn: &str, fail: &str) {
    if let (Some(mild), Some(grave)) = (found.warn, found.fail)
        && mild > grave
    {
        let message = format!("\"{warn}\" must not be more than \"{fail}\"");
        within.complain(warn, &message, None);
    }
}

pub(super) fn load(reader: &mut Reader<'_, '_>) -> Option<LoadProbe> {
    const USUAL: Thresholds = Thresholds { warn: Some(200), fail: Some(400) };
    let table = reader.table("load", "load = { warn = 2.0, fail = 4.0, minutes = 5 }")?;
    let mut within = Reader::new(format!("{}, load", reader.title()), table, reader.report());
    let found = Thresholds { warn: within.hundredths("warn"), fail: within.hundredths("fail") };
    ordered(&mut within, found, "warn", "fail");
    let written = within.has("warn") || within.has("fail");
    let minutes = within.number("minutes", 1..=15);
    if minutes.is_some_and(|minutes| ![1, 5, 15].contains(&minutes)) {
        within.complain("minutes", "\"minutes\" must be 1, 5 or 15", None);
    }
    within.finish();
    let per_cpu_hundredths = if written { found } else { USUAL };
    Some(LoadProbe { per_cpu_hundredths, minutes: minutes.unwrap_or(5) })
}

pub(super) fn file(reader: &mut Reader<'_, '_>) -> Option<FileProbe> {
    const EXAMPLE: &str = "file = { path = \"/var/backups/last\", max_age = \"26h\" }";
    let table = match reader.text_or_table("file", EXAMPLE)? {
        TextOrTable::Text(_) => {
            let path = absolute(reader, "file")?;
            return Some(FileProbe { path, max_age: None, min_bytes: 0 });
        }
        TextOrTable::Table(table) => table,
    };
    let mut within = Reader::new(format!("{}, file", reader.title()), table, reader.report());
    let path = absolute(&mut within, "path");
    if !within.has("path") {
        within.missing("path", "path = \"…\"");
    }
    let max_age = within.span("max_age", Duration::ZERO, Zero::Refused);
    let max_age = within.has("max_age").then_some(max_age);
    let min_bytes = within.number("min_bytes", 0..=u32::MAX).unwrap_or(0);
    within.finish();
    Some(FileProbe { path: path?, max_age, min_bytes })
}

/// A path from the root.
fn absolute(reader: &mut Reader<'_, '_>, key: &'static str) -> Option<String> {
    let text = reader.text(key)?;
    let valid = text.starts_with('/')
        && text.len() <= PATH_BYTES_MAX
        && !text.chars().any(char::is_control);
    if !valid {
        let message = format!("\"{key}\" = {} is no path from the root", quoted(text));
        reader.complain(key, &message, Some(format!("write {key} = \"/…\"")));
    }
    valid.then(|| text.to_owned())
}

impl Reader<'_, '_> {
    /// A number of at most two digits after the point, in hundredths.
    fn hundredths(&mut self, key: &'static str) -> Option<u32> {
        let value = self.value(key)?;
        let written = match (value.as_integer(), value.as_float()) {
            (Some(integer), _) if integer.radix() == 10 => integer.as_str(),
            (_, Some(float)) => float.as_str(),
            (Some(_) | None, None) => {
                let message = format!("\"{key}\" must be a number, not {}", type_of(value));
                self.complain(key, &message, None);
                return None;
            }
        };
        let number = in_hundredths(written).filter(|number| (1..=1_000_000).contains(number));
        if number.is_none() {
            let message = format!(
                "\"{key}\" must be 0.01 to 10000, with at most two digits after the point, not {}",
                quoted(written)
            );
            self.complain(key, &message, None);
        }
        number
    }
}

fn in_hundredths(text: &str) -> Option<u32> {
    let text = text.replace('_', "");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    if rest.len() > 2 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rest: u32 = format!("{rest:0<2}").parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_in_hundredths_without_rounding() {
        for (text, number) in
            [("2", 200), ("2.0", 200), ("0.5", 50), ("1.25", 125), ("1_0.01", 1001)]
        {
            assert_eq!(in_hundredths(text), Some(number), "{text}");
        }
        for text in ["0.001", "-1.0", "1e3", "inf", "", "99999999999"] {
            assert_eq!(in_hundredths(text), None, "{text}");
        }
    }
}
