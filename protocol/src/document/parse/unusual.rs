//! `unusual = "warn"` and `ahead = "4h"`, or tables that say more.

use super::{
    probe::TextOrTable,
    reader::{Reader, Zero},
};
use crate::document::{Ahead, Probe, Unusual, Verdict};
use crate::learn::{OneIn, ahead::KEPT_MAX, metric::Side};
use crate::time::format_span;
use std::time::Duration;

/// What an unusual number may come to.
const VERDICTS: [(&str, Verdict); 2] = [("warn", Verdict::Warn), ("fail", Verdict::Fail)];

const SIDES: [(&str, Side); 3] =
    [("above", Side::Above), ("below", Side::Below), ("both", Side::Both)];

/// The longest label that is looked for.
const LABEL_BYTES_MAX: usize = 256;

pub(super) fn unusual(reader: &mut Reader<'_, '_>, probe: Option<&Probe>) -> Option<Unusual> {
    const KEY: &str = "unusual";
    const EXAMPLE: &str = "unusual = \"warn\" or unusual = { verdict = \"warn\", one_in = 10000 }";
    needs_numbers(reader, KEY, probe);
    let table = match reader.text_or_table(KEY, EXAMPLE)? {
        TextOrTable::Text(_) => return reader.choice(KEY, &VERDICTS).map(Unusual::new),
        TextOrTable::Table(table) => table,
    };
    let mut within = Reader::new(format!("{}, {KEY}", reader.title()), table, reader.report());
    let usual = Unusual::new(Verdict::Warn);
    let verdict = within.choice("verdict", &VERDICTS).unwrap_or(usual.verdict);
    let metric = metric(&mut within);
    let one_in = within.number("one_in", 10..=1_000_000_000);
    let unusual = Unusual {
        verdict,
        metric,
        one_in: one_in.map_or(usual.one_in, OneIn::new),
        learn: within.span("learn", usual.learn, Zero::Allowed),
        by_percent: within.number("by_percent", 0..=10_000).unwrap_or(usual.by_percent),
        side: within.choice("side", &SIDES).unwrap_or(usual.side),
    };
    within.finish();
    Some(unusual)
}

/// What is said before a number is a failure; `every` is how often it is looked at.
pub(super) fn ahead(
    reader: &mut Reader<'_, '_>,
    probe: Option<&Probe>,
    every: Duration,
) -> Option<Ahead> {
    const KEY: &str = "ahead";
    const EXAMPLE: &str = "ahead = \"4h\" or ahead = { within = \"4h\", verdict = \"fail\" }";
    needs_numbers(reader, KEY, probe);
    let ahead = match reader.text_or_table(KEY, EXAMPLE)? {
        TextOrTable::Text(_) => {
            let within = reader.span_if_said(KEY, Zero::Refused)?;
            Ahead { within, verdict: Verdict::Warn, metric: None }
        }
        TextOrTable::Table(table) => {
            let mut inner =
                Reader::new(format!("{}, {KEY}", reader.title()), table, reader.report());
            let within = inner.span_if_said("within", Zero::Refused);
            if !inner.has("within") {
                inner.missing("within", "within = \"4h\"");
            }
            let verdict = inner.choice("verdict", &VERDICTS).unwrap_or(Verdict::Warn);
            let metric = metric(&mut inner);
            inner.finish();
            Ahead { within: within?, verdict, metric }
        }
    };
    let least = every.saturating_mul(KEPT_MAX);
    // What is no span at all was told already.
    if ahead.within < least && !ahead.within.is_zero() {
        let message = format!(
            "\"{KEY}\" must be at least {}, {KEPT_MAX} times \"every\": {} is too few values",
            format_span(least),
            format_span(ahead.within)
        );
        reader.complain(KEY, &message, Some("look further ahead, or more often".to_owned()));
    }
    Some(ahead)
}

fn needs_numbers(reader: &mut Reader<'_, '_>, key: &'static str, probe: Option<&Probe>) {
    if reader.has(key)
        && let Some(probe) = probe.filter(|probe| !tells_numbers(probe))
    {
        let message =
            format!("\"{key}\" has no meaning for \"{}\": it tells no numbers", probe.kind());
        reader.complain(key, &message, Some("leave it out".to_owned()));
    }
}

fn metric(reader: &mut Reader<'_, '_>) -> Option<String> {
    let metric = reader.text("metric");
    if metric.is_some_and(|label| label.is_empty() || label.len() > LABEL_BYTES_MAX) {
        let message = format!("\"metric\" must have 1 to {LABEL_BYTES_MAX} bytes");
        reader.complain("metric", &message, Some("write the label of a number".to_owned()));
    }
    metric.map(str::to_owned)
}

/// Whether its runs give numbers.
const fn tells_numbers(probe: &Probe) -> bool {
    match probe {
        Probe::Command(_)
        | Probe::Process(_)
        | Probe::Disk(_)
        | Probe::Memory(_)
        | Probe::Load(_)
        | Probe::File(_) => true,
        Probe::Http(_)
        | Probe::Tcp { .. }
        | Probe::Unit(_)
        | Probe::Plugin(_)
        | Probe::Aggregate(_)
        | Probe::Mesh(_)
        | Probe::Alert(_)
        | Probe::Heartbeat(_) => false,
    }
}
