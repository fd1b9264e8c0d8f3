//! `unusual = "warn"`, or a table that says more.

use super::{
    probe::TextOrTable,
    reader::{Reader, Zero},
};
use crate::document::{Probe, Unusual, Verdict};
use crate::learn::{OneIn, metric::Side};

/// What an unusual number may come to.
const VERDICTS: [(&str, Verdict); 2] = [("warn", Verdict::Warn), ("fail", Verdict::Fail)];

const SIDES: [(&str, Side); 3] =
    [("above", Side::Above), ("below", Side::Below), ("both", Side::Both)];

/// The longest label that is looked for.
const LABEL_BYTES_MAX: usize = 256;

pub(super) fn unusual(reader: &mut Reader<'_, '_>, probe: Option<&Probe>) -> Option<Unusual> {
    const KEY: &str = "unusual";
    const EXAMPLE: &str = "unusual = \"warn\" or unusual = { verdict = \"warn\", one_in = 10000 }";
    if reader.has(KEY)
        && let Some(probe) = probe.filter(|probe| !tells_numbers(probe))
    {
        let message =
            format!("\"{KEY}\" has no meaning for \"{}\": it tells no numbers", probe.kind());
        reader.complain(KEY, &message, Some("leave it out".to_owned()));
    }
    let table = match reader.text_or_table(KEY, EXAMPLE)? {
        TextOrTable::Text(_) => return reader.choice(KEY, &VERDICTS).map(Unusual::new),
        TextOrTable::Table(table) => table,
    };
    let mut within = Reader::new(format!("{}, {KEY}", reader.title()), table, reader.report());
    let usual = Unusual::new(Verdict::Warn);
    let verdict = within.choice("verdict", &VERDICTS).unwrap_or(usual.verdict);
    let metric = within.text("metric");
    if metric.is_some_and(|label| label.is_empty() || label.len() > LABEL_BYTES_MAX) {
        let message = format!("\"metric\" must have 1 to {LABEL_BYTES_MAX} bytes");
        within.complain("metric", &message, Some("write the label of a number".to_owned()));
    }
    let one_in = within.number("one_in", 10..=1_000_000_000);
    let unusual = Unusual {
        verdict,
        metric: metric.map(str::to_owned),
        one_in: one_in.map_or(usual.one_in, OneIn::new),
        learn: within.span("learn", usual.learn, Zero::Allowed),
        by_percent: within.number("by_percent", 0..=10_000).unwrap_or(usual.by_percent),
        side: within.choice("side", &SIDES).unwrap_or(usual.side),
    };
    within.finish();
    Some(unusual)
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
