//! Numbers, raw and summed up.

use anyhow::Result;
use serde_json::{Value, json};
use std::{fs::File, io::Write, path::Path, time::Duration};

/// The spans of one benchmark.
pub(crate) struct Figures {
    name: String,
    raw: File,
    spans: Vec<Duration>,
}

impl Figures {
    /// Begins the file of raw numbers anew.
    pub(crate) fn new(name: &str, folder: &Path) -> Result<Self> {
        let raw = File::create(folder.join(format!("{name}.jsonl")))?;
        Ok(Self { name: name.to_owned(), raw, spans: Vec::new() })
    }

    /// Takes the span from one moment to a later one, in nanoseconds since 1970, and what else is
    /// worth keeping with it.
    pub(crate) fn took(&mut self, from: u64, to: u64, more: Value) -> Result<()> {
        // A clock that was set back shows as 0, which nobody takes for a figure.
        let span = Duration::from_nanos(to.saturating_sub(from));
        self.spans.push(span);
        self.keep(json!({"run": self.spans.len(), "ms": milliseconds(span), "more": more}))
    }

    /// Keeps a line of raw numbers.
    pub(crate) fn keep(&mut self, mut line: Value) -> Result<()> {
        line["schema"] = json!(1);
        line["bench"] = json!(self.name);
        line["load"] = json!(load_average());
        line["at_nanos"] = json!(super::now_nanos()?);
        Ok(writeln!(self.raw, "{line}")?)
    }

    /// Prints median, 99th percentile and maximum.
    pub(crate) fn show(&mut self, wanted: u32) {
        self.spans.sort_unstable();
        let show = |span: Option<&Duration>| {
            span.map_or_else(|| "-".to_owned(), |span| format!("{:.0} ms", milliseconds(*span)))
        };
        println!(
            "{:<17} median {:>8}   p99 {:>8}   max {:>8}   min {:>8}   {} of {wanted} runs, load {}",
            self.name,
            show(rank(&self.spans, 50)),
            show(rank(&self.spans, 99)),
            show(self.spans.last()),
            show(self.spans.first()),
            self.spans.len(),
            load_average(),
        );
    }
}

/// The nearest-rank percentile of sorted values.
fn rank(sorted: &[Duration], percent: usize) -> Option<&Duration> {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1))
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// The kernel's three load averages.
pub(crate) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
