//! Numbers, raw and summed up.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

/// Where the raw numbers go.
pub(crate) struct Figures(File);

impl Figures {
    /// Begins the file of raw numbers anew.
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        // The executable lies in `target/release/deps`.
        let own = std::env::current_exe()?;
        let target = own.ancestors().nth(3).map_or_else(|| PathBuf::from("."), PathBuf::from);
        let folder = target.join("bench");
        std::fs::create_dir_all(&folder)?;
        Ok(Self(File::create(folder.join(format!("{name}.jsonl")))?))
    }

    /// Keeps spans and shows their median, 99th percentile and maximum.
    pub(crate) fn keep(&mut self, name: &str, spans: &[Duration], what: &str) -> io::Result<()> {
        let shown = |span: Duration| format!("{:.3} ms", span.as_secs_f64() * 1_000.0);
        self.show(name, spans, what, shown)
    }

    /// Keeps the spans that so many records took together, and shows records a second: all of
    /// them, and the slowest of a hundred.
    pub(crate) fn rate(
        &mut self,
        name: &str,
        spans: &[Duration],
        records: u32,
        what: &str,
    ) -> io::Result<()> {
        let total: Duration = spans.iter().sum();
        let count = f64::from(records) * f64::from(u32::try_from(spans.len()).unwrap_or(u32::MAX));
        println!("{name:<10} {:>9.0} records/s over all: {what}", count / total.as_secs_f64());
        let shown = |span: Duration| format!("{:.0}/s", f64::from(records) / span.as_secs_f64());
        self.show(name, spans, what, shown)
    }

    fn show(
        &mut self,
        name: &str,
        spans: &[Duration],
        what: &str,
        shown: impl Fn(Duration) -> String,
    ) -> io::Result<()> {
        let load = load_average();
        let nanos: Vec<String> = spans.iter().map(|span| span.as_nanos().to_string()).collect();
        let raw = nanos.join(",");
        writeln!(
            self.0,
            "{{\"schema\":1,\"bench\":{name:?},\"what\":{what:?},\"load\":{load:?},\"nanos\":[{raw}]}}"
        )?;
        let mut sorted = spans.to_vec();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(place).copied().map_or_else(|| "-".to_owned(), &shown)
        };
        println!(
            "{name:<10} median {:>12}   p99 {:>12}   max {:>12}   {} runs, load {load}: {what}",
            rank(50),
            rank(99),
            rank(100),
            sorted.len(),
        );
        Ok(())
    }
}

/// The kernel's three load averages.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
