//! Numbers, raw and summed up, ours beside serf's.

use anyhow::Result;
use serde_json::{Value, json};
use std::{fs::OpenOptions, io::Write, path::PathBuf};

/// The file of raw numbers: each line is one run.
pub(crate) struct Raw {
    file: PathBuf,
}

impl Raw {
    /// Lines are added to this file.
    pub(crate) fn to(file: PathBuf) -> Self {
        Self { file }
    }

    /// Keeps a line, with the load average and the time.
    pub(crate) fn keep(&self, part: &str, mut line: Value) -> Result<()> {
        line["schema"] = json!(1);
        line["bench"] = json!("silence");
        line["part"] = json!(part);
        line["load"] = json!(load_average());
        line["at_nanos"] = json!(super::now_nanos()?);
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file)?;
        // One write of one line: who is killed half-way leaves whole lines.
        Ok(file.write_all(format!("{line}\n").as_bytes())?)
    }
}

/// Spans in seconds, of both.
#[derive(Default)]
pub(crate) struct Pair {
    pub(crate) ours: Vec<f64>,
    pub(crate) theirs: Vec<f64>,
}

impl Pair {
    /// Prints a row: medians, 99th percentiles, greatest, and how many times longer serf took.
    pub(crate) fn show(&mut self, what: &str) {
        println!("{what:<34} {}   {}   {}", of(&mut self.ours), of(&mut self.theirs), self.ratio());
    }

    fn ratio(&self) -> String {
        let (ours, theirs) = (rank(&self.ours, 50), rank(&self.theirs, 50));
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours > 0.0 => format!("1/{:.1}", theirs / ours),
            _ => "-".to_owned(),
        }
    }

    /// The median of serf's.
    pub(crate) fn their_median(&self) -> Option<f64> {
        rank(&self.theirs, 50)
    }
}

/// The head of the rows that [`Pair::show`] prints.
pub(crate) fn head() {
    let columns = "median    p99    max    n";
    println!("{:<34} {columns:<28}   {columns:<28}   to serf", "seconds, hearten then serf");
}

fn of(spans: &mut [f64]) -> String {
    spans.sort_by(f64::total_cmp);
    let show = |span: Option<f64>| span.map_or_else(|| "-".to_owned(), |span| format!("{span:.2}"));
    format!(
        "{:>6} {:>6} {:>6} {:>4}    ",
        show(rank(spans, 50)),
        show(rank(spans, 99)),
        show(spans.last().copied()),
        spans.len()
    )
}

/// The nearest-rank percentile of sorted values.
fn rank(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

/// The kernel's three load averages.
pub(crate) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
