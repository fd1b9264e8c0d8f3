//! Alerts of other systems: how long from the request to the rung, and what a flood of them does.

use crate::{figures::Figures, now_nanos, settled};
use anyhow::{Context, Result, ensure};
use protocol::time::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
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

/// How many different ones there are. Each is told twice in a row, so that half of what comes is
/// known; then the next one; and when all have had their turn, that it is over, and so on.
const DIFFERENT: u64 = 5_000;

/// As many of them checks are about, each of another check or host: these fire on.
const WATCHED: u64 = 100;

/// So many checks are about them.
const CHECKS: u64 = 20;

/// Who sends at the same time.
const SENDERS: u64 = 64;

fn port(mesh: &Mesh, host: usize) -> u16 {
    mesh[host].http.unwrap_or_default()
}

/// An alert as an Alertmanager tells it: with its beginning, and with its end once there is one.
fn alert(host: &str, since: Timestamp, until: Option<Timestamp>) -> Vec<u8> {
    let labels = json!({ "alertname": "Ill", "host": host });
    let mut one = json!({ "status": "firing", "labels": labels, "startsAt": since.to_string() });
    if let Some(until) = until {
        one["status"] = json!("resolved");
        one["endsAt"] = json!(until.to_string());
    }
    json!({ "version": "4", "alerts": [one] }).to_string().into_bytes()
}

fn moment(nanos: u64) -> Timestamp {
    Timestamp::from_millis(nanos / 1_000_000)
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
    for (_, place) in (0..runs).zip((0..mesh.hosts.len()).cycle()) {
        settled(mesh)?;
        if let Some(mended) = mended.get(&place) {
            std::thread::sleep((SETTLE * 3 / 2).saturating_sub(mended.elapsed()));
        }
        let (host, told) = (&mesh[place].name, port(mesh, (place + 1) % mesh.hosts.len()));
        let rung = folder.join(format!("{host}.rung"));
        let sent = now_nanos()?;
        let (status, answer) = post(told, "/v1/alertmanager", &alert(host, moment(sent), None))?;
        let committed = now_nanos()?;
        ensure!(status == 200, "{status}: {answer}");
        until("the rung was started", || rung.exists().then_some(()))?;
        let started = fs::read_to_string(&rung)?.trim().parse()?;
        figures.took(sent, started, json!({"host": host, "answered_nanos": committed - sent}))?;
        fs::remove_file(&rung)?;
        mended.insert(place, Instant::now());
        let over = alert(host, moment(sent), Some(moment(now_nanos()?)));
        let (status, answer) = post(told, "/v1/alertmanager", &over)?;
        ensure!(status == 200, "{status}: {answer}");
    }
    Ok(())
}

/// Tells one peer of 10,000 alerts a second, half of which it knows. What it said to have taken is
/// there in the end, and each alert that a check is about is one incident.
pub(crate) fn flood(mesh: &Mesh, figures: &mut Figures) -> Result<()> {
    let check = |number: u64| {
        format!(
            "[[check]]\nname = \"watched-{number}\"\nalert = {{ alertname = \"Watched{number}\" }}\n"
        )
    };
    mesh.apply(&(0..CHECKS).map(check).collect::<String>())?;
    let (before, resident) = (last_entry(mesh)?, resident_mib(&mesh[1])?);
    let at = port(mesh, 1);
    let hosts: Vec<String> = mesh.hosts.iter().map(|host| host.name.clone()).collect();
    let next = AtomicU64::new(0);
    let began = Instant::now();
    let sent: Vec<Sent> = std::thread::scope(|scope| {
        let senders: Vec<_> =
            (0..SENDERS).map(|_| scope.spawn(|| send(at, &hosts, &next, began))).collect();
        senders.into_iter().filter_map(|sender| sender.join().ok()).collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
    let mut turns: BTreeMap<u64, (Option<u64>, Option<u64>)> = BTreeMap::new();
    for one in sent {
        for (status, count) in one.answers {
            *counts.entry(status).or_default() += count;
        }
        for (which, (taken, not)) in one.turns {
            let known = turns.entry(which).or_default();
            *known = (taken.max(known.0), not.max(known.1));
        }
    }
    let head = "GET /v1/alerts HTTP/1.1\r\nhost: localhost\r\n";
    let firing = ask(port(mesh, 2), head, b"")?.1;
    let firing: BTreeSet<u64> = firing["alerts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|alert| alert["labels"]["number"].as_str()?.parse().ok())
        .collect();
    // What was sent after the last turn that was answered with success may have come in or not.
    let certain = |(which, (taken, not)): (&u64, &(Option<u64>, Option<u64>))| {
        (*taken > *not).then(|| (*which, fires(*which, taken.unwrap_or_default())))
    };
    let certain: Vec<(u64, bool)> = turns.iter().filter_map(certain).collect();
    let lost = certain.iter().filter(|(which, fires)| firing.contains(which) != *fires).count();
    let watched = |incident: &&Value| {
        incident["because"]["check"].as_str().is_some_and(|check| check.starts_with("watched-"))
    };
    until("each is an incident", || {
        let incidents = mesh.incidents(2).ok()?;
        (incidents.iter().filter(watched).count() >= usize::try_from(WATCHED).ok()?).then_some(())
    })?;
    let opened = mesh.incidents(2)?.iter().filter(watched).count();
    let entries = last_entry(mesh)? - before;
    let after = resident_mib(&mesh[1])?;
    let requests: u64 = counts.values().sum();
    #[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "it is a rate")]
    let rate = (requests * ALERTS_PER_REQUEST) as f64 / seconds;
    println!(
        "flood             {rate:.0} alerts/s for {seconds:.0} s, answers {counts:?}, {lost} of {} \
         lost, {opened} incidents of {WATCHED} alerts, {entries} log entries, {resident:.0} -> \
         {after:.0} MiB",
        certain.len()
    );
    figures.keep(json!({
        "alerts_per_second": rate, "answers": counts, "known": certain.len(), "lost": lost,
        "incidents": opened, "entries": entries,
        "resident_mib_before": resident, "resident_mib_after": after,
    }))
}

/// What one sender was answered.
#[derive(Default)]
struct Sent {
    /// How often each status was; 0 where there was no answer.
    answers: BTreeMap<u16, u64>,
    /// The latest turn of each alert that was taken, and the latest that was not.
    turns: BTreeMap<u64, (Option<u64>, Option<u64>)>,
}

/// Whether an alert fires in this turn.
const fn fires(which: u64, turn: u64) -> bool {
    which < WATCHED || turn.is_multiple_of(2)
}

/// Sends its share, each request at its time.
fn send(at: u16, hosts: &[String], next: &AtomicU64, began: Instant) -> Sent {
    let mut sent = Sent::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = Duration::from_nanos(number * 1_000_000_000 / REQUESTS_PER_SECOND);
        if due >= FLOOD {
            return sent;
        }
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let told: Vec<(u64, u64)> = (0..ALERTS_PER_REQUEST)
            .map(|place| (number * ALERTS_PER_REQUEST + place) / 2)
            .map(|pair| (pair % DIFFERENT, pair / DIFFERENT))
            .collect();
        let alerts: Vec<Value> =
            told.iter().map(|(which, turn)| told_as(hosts, *which, *turn)).collect();
        let body = json!({ "version": "4", "alerts": alerts }).to_string();
        let status = post(at, "/v1/alertmanager", body.as_bytes()).map_or(0, |(status, _)| status);
        *sent.answers.entry(status).or_default() += 1;
        for (which, turn) in told {
            let (taken, not) = sent.turns.entry(which).or_default();
            let known = if status == 200 { taken } else { not };
            *known = (*known).max(Some(turn));
        }
    }
}

/// An alert as it is told in a turn: it fires in every second one, since that one, and is over in
/// between.
fn told_as(hosts: &[String], which: u64, turn: u64) -> Value {
    let since = |turn: u64| format!("2026-01-01T00:{:02}:00Z", turn.min(59));
    let number = which.to_string();
    if which < WATCHED {
        let host = usize::try_from(which / CHECKS).unwrap_or_default() % hosts.len();
        let name = format!("Watched{}", which % CHECKS);
        let labels = json!({ "alertname": name, "host": hosts[host], "number": number });
        return json!({ "labels": labels, "startsAt": since(0), "status": "firing" });
    }
    let labels = json!({ "alertname": "Flood", "number": number });
    if fires(which, turn) {
        return json!({ "labels": labels, "startsAt": since(turn), "status": "firing" });
    }
    let (since, until) = (since(turn - 1), since(turn));
    json!({ "labels": labels, "startsAt": since, "endsAt": until, "status": "resolved" })
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
