//! What an agent costs while nothing happens, of either kind.

use crate::{
    field::Field,
    figures::{Raw, load_average},
};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};
use tests::lab::bed::{feed, run};

/// How long is measured. This is no wait for luck: it is the measurement.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts what leaves a host, ours and serf's apart, with the headers of IP.
const COUNTERS: &str = "table inet cost\ndelete table inet cost\ntable inet cost {\n\
    counter ours { }\ncounter theirs { }\nchain out {\ntype filter hook output priority 0\n\
    oifname \"lo\" accept\nudp sport 4327 counter name ours accept\n\
    udp dport 4327 counter name ours accept\nth sport 7946 counter name theirs accept\n\
    th dport 7946 counter name theirs accept\n}\n}\n";

/// Share of a core, memory and bytes sent of each agent.
pub(crate) fn measure(field: &Field, raw: &Raw) -> Result<()> {
    field.calm()?;
    let bed = &field.lab.bed;
    let hosts = bed.hosts();
    for host in 0..hosts {
        feed("ip", &["netns", "exec", &bed.host(host), "nft", "-f", "-"], COUNTERS)?;
    }
    let roles = roles(field)?;
    let ticks_per_second: f64 = run("getconf", &["CLK_TCK"])?.trim().parse()?;
    // A young mesh gossips more; what it costs for good is asked.
    std::thread::sleep(WINDOW / 3);
    let look = || (0..hosts).map(|host| Costs::of(field, host)).collect::<Result<Vec<_>>>();
    let (began, before) = (Instant::now(), look()?);
    std::thread::sleep(WINDOW);
    let seconds = began.elapsed().as_secs_f64();
    let after = look()?;
    let mut kinds = BTreeMap::<&str, Vec<[f64; 4]>>::new();
    for (host, (before, after)) in before.iter().zip(&after).enumerate() {
        let name = field.name(host);
        let role = roles.get(name).map_or("worker", String::as_str);
        for (kind, before, after) in
            [(role, &before.ours, &after.ours), ("serf", &before.theirs, &after.theirs)]
        {
            let figures = [
                (after.ticks - before.ticks) / ticks_per_second / seconds * 100.0,
                after.resident_mib,
                after.share_mib,
                (after.bytes_sent - before.bytes_sent) / seconds,
            ];
            raw.keep(
                "idle",
                json!({
                    "host": name, "hosts": hosts, "kind": kind, "seconds": seconds,
                    "cpu_percent": figures[0], "resident_mib": figures[1],
                    "proportional_mib": figures[2], "bytes_sent_per_second": figures[3],
                }),
            )?;
            kinds.entry(kind).or_default().push(figures);
        }
    }
    for (kind, all) in kinds {
        let count = f64::from(u32::try_from(all.len())?);
        let mean = |place: usize| all.iter().map(|one| one[place]).sum::<f64>() / count;
        println!(
            "{:<34} {:.2} % of a core   {:.1} MiB resident   {:.1} MiB proportional   {:.0} B/s \
             sent   load {}",
            format!("idle {kind}, {count} of {hosts} hosts"),
            mean(0),
            mean(1),
            mean(2),
            mean(3),
            load_average(),
        );
    }
    Ok(())
}

/// The role of each peer.
fn roles(field: &Field) -> Result<BTreeMap<String, String>> {
    let status = field.lab[0].json(&["status"])?;
    let peers = status["peers"].as_array().context("peers")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(peers.iter().map(|peer| (text(&peer["name"]), text(&peer["role"]))).collect())
}

struct Costs {
    ours: Cost,
    theirs: Cost,
}

struct Cost {
    ticks: f64,
    resident_mib: f64,
    share_mib: f64,
    bytes_sent: f64,
}

impl Costs {
    fn of(field: &Field, host: usize) -> Result<Self> {
        let space = field.lab.bed.host(host);
        let sent = run("ip", &["netns", "exec", &space, "nft", "-j", "list", "counters"])?;
        let sent: Value = serde_json::from_str(&sent)?;
        let sent = |name: &str| {
            let all = sent["nftables"].as_array()?;
            let counter = all.iter().find(|one| one["counter"]["name"] == name)?;
            counter["counter"]["bytes"].as_f64()
        };
        Ok(Self {
            ours: Cost::of(field.lab[host].pid()?, sent("ours").context("no counter")?)?,
            theirs: Cost::of(field.serf.pid(host)?, sent("theirs").context("no counter")?)?,
        })
    }
}

impl Cost {
    fn of(pid: u32, bytes_sent: f64) -> Result<Self> {
        let process = format!("/proc/{pid}");
        // The program's name, in brackets, may hold blanks: counted from behind it, the time in
        // user space is the twelfth field and the time in the kernel the thirteenth.
        let stat = fs::read_to_string(format!("{process}/stat"))?;
        let (_, fields) = stat.rsplit_once(") ").context("a process has a state")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        Ok(Self {
            ticks: fields[11].parse::<f64>()? + fields[12].parse::<f64>()?,
            resident_mib: mebibytes(&format!("{process}/status"), "VmRSS:")?,
            share_mib: mebibytes(&format!("{process}/smaps_rollup"), "Pss:")?,
            bytes_sent,
        })
    }
}

/// A line such as `VmRSS:  1024 kB`.
fn mebibytes(file: &str, key: &str) -> Result<f64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
