//! What a daemon costs while nothing happens.

use crate::figures::{self, Figures};
use anyhow::{Context, Result};
use serde_json::json;
use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};
use tests::{Host, Mesh};

/// How long is measured. This is no wait for luck: it is the measurement.
const WINDOW: Duration = Duration::from_secs(30);

/// Share of a core, memory and bytes sent of each daemon.
pub(crate) fn measure(mesh: &Mesh, figures: &mut Figures) -> Result<()> {
    let ticks_per_second = Command::new("getconf").arg("CLK_TCK").output()?.stdout;
    let ticks_per_second: f64 = String::from_utf8(ticks_per_second)?.trim().parse()?;
    // A young mesh gossips more; what it costs for good is asked.
    std::thread::sleep(WINDOW / 3);
    let before = mesh.hosts.iter().map(Usage::of).collect::<Result<Vec<_>>>()?;
    let began = Instant::now();
    std::thread::sleep(WINDOW);
    for (host, before) in mesh.hosts.iter().zip(before) {
        let after = Usage::of(host)?;
        let seconds = began.elapsed().as_secs_f64();
        let percent = (after.ticks - before.ticks) / ticks_per_second / seconds * 100.0;
        let sent = (after.bytes_sent - before.bytes_sent) / seconds;
        let (resident, share) = (after.resident_mib, after.share_mib);
        println!(
            "idle {:<12} {percent:.2} % of a core   {resident:.1} MiB resident   \
             {share:.1} MiB proportional   {sent:.0} B/s sent   load {}",
            host.name,
            figures::load_average(),
        );
        figures.keep(json!({
            "host": host.name, "cpu_percent": percent, "resident_mib": resident,
            "proportional_mib": share, "bytes_sent_per_second": sent,
        }))?;
    }
    Ok(())
}

struct Usage {
    ticks: f64,
    resident_mib: f64,
    share_mib: f64,
    bytes_sent: f64,
}

impl Usage {
    fn of(host: &Host) -> Result<Self> {
        let process = format!("/proc/{}", host.pid()?);
        // The program's name, in brackets, may hold blanks: counted from behind it, the time in
        // user space is the twelfth field and the time in the kernel the thirteenth.
        let stat = fs::read_to_string(format!("{process}/stat"))?;
        let (_, fields) = stat.rsplit_once(") ").context("a process has a state")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        let counters = host.json(&["counters"])?;
        let sent = counters["counters"].get("bytes_sent").or_else(|| counters.get("bytes_sent"));
        Ok(Self {
            ticks,
            resident_mib: mebibytes(&format!("{process}/status"), "VmRSS:")?,
            share_mib: mebibytes(&format!("{process}/smaps_rollup"), "Pss:")?,
            bytes_sent: sent.and_then(serde_json::Value::as_f64).context("no bytes_sent")?,
        })
    }
}

/// A line such as `VmRSS:  1024 kB`.
fn mebibytes(file: &str, key: &str) -> Result<f64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
