//! Alerts of other systems: how long from the request to the rung, and what a flood of them does.

use crate::{figures::Figures, now_nanos, settled};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use tests::{Host, Mesh, post, until, web::ask};

/// How long a host rests after a rung, as the runbook has it: nothing else is begun there meanwhile.
const SETTLE: Duration = Duration::from_secs(1);

/// How long the flood lasts.
const FLOOD: Duration = Duration::from_secs(30);

/// Requests a second, and alerts in each of them: 10,000 alerts a second.
const REQUESTS_PER_SECOND: u64 = 1_000;
const ALERTS_PER_REQUEST: u64 = 10;

/// How many different ones there are; each is told again and again.
const DIFFERENT: u64 = 5_000;

/// Who sends at the same time.
const SENDERS: u64 = 16;

fn port(mesh: &Mesh, host: usize) -> u16 {
    mesh[host].http.unwrap_or_default()
}

fn alert(host: &str, status: &str, number: u32) -> Vec<u8> {
    let since = format!("2026-01-01T{:02}:{:02}:00Z", number / 60, number % 60);
    let labels = json!({ "alertname": "Ill", "host": host });
    let one = json!({ "status": status, "labels": labels, "startsAt": since });
    json!({ "version": "4", "alerts": [one] }).to_string().into_bytes()
}

/// From the moment before the request to the start of the rung; any host is told of any other. Each
/// is at rest again before it falls ill the next time: that it must rest is no part of what is
/// measured.
pub(crate) fn measure(mesh: &Mesh, runs: u32, figures: &mut Figures) -> Result<()> {
    let folder = mesh.folder();
    let (files, settle) = (folder.display(), SETTLE.as_secs());
    let mut mended: BTreeMap<usize, Instant> = BTreeMap::new();
    mesh.apply(&format!(
        r#"
[[check]]
name  = "ill"
alert = {{ alertname = "Ill" }}

[[runbook]]
name     = "make-well"
on       = {{ check = "ill" }}
repeat   = {{ times = 1000, within = "1m" }}
cooldown = "0s"

[[runbook.rung]]
name   = "make well"
settle = "{settle}s"
run    = "date +%s%N > {files}/$HEARTEN_PEER.new && mv {files}/$HEARTEN_PEER.new {files}/$HEARTEN_PEER.rung"
"#
    ))?;
    for (run, place) in (0..runs).zip((0..mesh.hosts.len()).cycle()) {
        settled(mesh)?;
        if let Some(mended) = mended.get(&place) {
            std::thread::sleep((SETTLE * 3 / 2).saturating_sub(mended.elapsed()));
        }
        let (host, told) = (&mesh[place].name, port(mesh, (place + 1) % mesh.hosts.len()));
        let rung = folder.join(format!("{host}.rung"));
        let sent = now_nanos()?;
        let (status, answer) = post(told, "/v1/alertmanager", &alert(host, "firing", run))?;
        let committed = now_nanos()?;
        ensure!(status == 200, "{status}: {answer}");
        until("the rung was started", || rung.exists().then_some(()))?;
        let started = fs::read_to_string(&rung)?.trim().parse()?;
        figures.took(sent, started, json!({"host": host, "answered_nanos": committed - sent}))?;
        fs::remove_file(&rung)?;
        mended.insert(place, Instant::now());
        let (status, answer) = post(told, "/v1/alertmanager", &alert(host, "resolved", run))?;
        ensure!(status == 200, "{status}: {answer}");
    }
    Ok(())
}

/// Tells one peer of 10,000 alerts a second, most of which it knows.
pub(crate) fn flood(mesh: &Mesh, figures: &mut Figures) -> Result<()> {
    let (before, resident) = (last_entry(mesh)?, resident_mib(&mesh[1])?);
    let at = port(mesh, 1);
    let next = AtomicU64::new(0);
    let began = Instant::now();
    let answers: Vec<BTreeMap<u16, u64>> = std::thread::scope(|scope| {
        let senders: Vec<_> =
            (0..SENDERS).map(|_| scope.spawn(|| send(at, &next, began))).collect();
        senders.into_iter().filter_map(|sender| sender.join().ok()).collect()
    });
    let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
    for (status, count) in answers.into_iter().flatten() {
        *counts.entry(status).or_default() += count;
    }
    let seconds = began.elapsed().as_secs_f64();
    let head = "GET /v1/alerts HTTP/1.1\r\nhost: localhost\r\n";
    let firing = ask(port(mesh, 2), head, b"")?.1["alerts"].as_array().map_or(0, Vec::len);
    let entries = last_entry(mesh)? - before;
    let after = resident_mib(&mesh[1])?;
    let requests: u64 = counts.values().sum();
    #[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "it is a rate")]
    let rate = (requests * ALERTS_PER_REQUEST) as f64 / seconds;
    println!(
        "flood             {rate:.0} alerts/s for {seconds:.0} s, answers {counts:?}, {firing} of \
         {DIFFERENT} fire, {entries} log entries, {resident:.0} -> {after:.0} MiB"
    );
    figures.keep(json!({
        "alerts_per_second": rate, "answers": counts, "firing": firing, "entries": entries,
        "resident_mib_before": resident, "resident_mib_after": after,
    }))
}

/// Sends its share, each request at its time; the answers by status, 0 where there was none.
fn send(at: u16, next: &AtomicU64, began: Instant) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = Duration::from_nanos(number * 1_000_000_000 / REQUESTS_PER_SECOND);
        if due >= FLOOD {
            return counts;
        }
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let one = |place: u64| {
            let which = (number * ALERTS_PER_REQUEST + place) % DIFFERENT;
            let labels = json!({ "alertname": "Flood", "number": which.to_string() });
            json!({ "labels": labels, "startsAt": "2026-01-01T00:00:00Z", "status": "firing" })
        };
        let alerts: Vec<Value> = (0..ALERTS_PER_REQUEST).map(one).collect();
        let body = json!({ "version": "4", "alerts": alerts }).to_string();
        let status = post(at, "/v1/alertmanager", body.as_bytes()).map_or(0, |(status, _)| status);
        *counts.entry(status).or_default() += 1;
    }
}

pub(crate) fn last_entry(mesh: &Mesh) -> Result<u64> {
    let members = mesh[0].json(&["raft", "members"])?;
    members["applied"].as_u64().with_context(|| format!("{members:#}"))
}

pub(crate) fn resident_mib(host: &Host) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid()?))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("it has a size")?;
    let kib: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kib / 1_024.0)
}
