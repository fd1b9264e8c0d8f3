//! Ten thousand jobs that check in once a minute each: what they cost, and how soon one that stays
//! away is missed. `--runs` says for how many minutes, two at least.

use crate::{alert::last_entry, figures::Figures};
use anyhow::{Context, Result, ensure};
use protocol::time::Timestamp;
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use tests::{Host, Mesh, post, until_within};

/// How many jobs there are; one a minute each.
const JOBS: u64 = 10_000;

/// Who sends at the same time, to every peer in turn.
const SENDERS: u64 = 64;

/// One of so many stays away after half of the time.
const STRAY: u64 = 100;

/// Their promise.
const PERIOD: Duration = Duration::from_secs(90);

/// How long it may take to miss all of them.
const FOUND_WITHIN: Duration = Duration::from_secs(300);

struct Cost {
    entries: u64,
    disk_bytes: u64,
    cpu_seconds: f64,
    resident_mib: f64,
}

/// Lets the jobs check in for so many minutes.
pub(crate) fn measure(mesh: &mut Mesh, minutes: u32, figures: &mut Figures) -> Result<()> {
    ensure!(minutes >= 2, "each job has to come once before some stay away: --runs 2 at least");
    let ports: Vec<u16> = mesh.hosts.iter().filter_map(|host| host.http).collect();
    reserve(&ports)?;
    let before = cost(mesh)?;
    let lasting = Duration::from_secs(u64::from(minutes) * 60);
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let half = u64::from(minutes) * JOBS / 2;
    let answers: Vec<(BTreeMap<String, u64>, Vec<u128>)> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| scope.spawn(|| send(&ports, &next, began, lasting, half)))
            .collect();
        senders.into_iter().filter_map(|sender| sender.join().ok()).collect()
    });
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut waits: Vec<u128> = Vec::new();
    for (some, took) in answers {
        waits.extend(took);
        for (answer, count) in some {
            *counts.entry(answer).or_default() += count;
        }
    }
    waits.sort_unstable();
    let seconds = began.elapsed().as_secs_f64();
    let after = cost(mesh)?;
    // From here on nobody comes, and all are missed in their turn.
    let ended = Timestamp::from_millis(crate::now_nanos()? / 1_000_000);
    let missed = missed(mesh, ended)?;
    let late: Vec<u128> = missed.iter().map(|(_, late)| *late).collect();
    let strays = u64::try_from(missed.iter().filter(|(stray, _)| *stray).count())?;
    let invented = missed.len() - missed.iter().filter(|(stray, _)| *stray).count();
    let entries = after.entries - before.entries;
    let disk = after.disk_bytes.saturating_sub(before.disk_bytes);
    let pings: u64 = counts.values().sum();
    let middle = |sorted: &[u128]| sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let (median, most) = (middle(&waits), waits.last().copied().unwrap_or_default());
    let latest = late.iter().max().copied().unwrap_or_default();
    println!(
        "heartbeats        {pings} pings in {seconds:.0} s, answers {counts:?}, answered after {median} ms \
         (at most {most}); {entries} log entries, {disk} bytes more on the leader's disk, {:.1} s of CPU on \
         all hosts, {:.0} -> {:.0} MiB; {strays} strays missed, {invented} others, at most {latest} ms late",
        after.cpu_seconds - before.cpu_seconds,
        before.resident_mib,
        after.resident_mib,
    );
    figures.keep(json!({
        "pings": pings, "seconds": seconds, "answers": counts, "answered_ms": median,
        "answered_max_ms": most, "entries": entries, "disk_bytes": disk,
        "cpu_seconds": after.cpu_seconds - before.cpu_seconds,
        "resident_mib_before": before.resident_mib, "resident_mib_after": after.resident_mib,
        "strays": strays, "invented": invented, "late_ms": late,
    }))
}

fn reserve(ports: &[u16]) -> Result<()> {
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                scope.spawn(move || -> Result<()> {
                    for job in (sender..JOBS).step_by(usize::try_from(SENDERS)?) {
                        let body = json!({
                            "app": "bench", "component": format!("j{job}"), "owner": "o",
                            "frequency": PERIOD.as_secs(), "time_units": "seconds",
                        });
                        let at = ports[usize::try_from(job)? % ports.len()];
                        let (status, told) = post(at, "/reservation", body.to_string().as_bytes())?;
                        ensure!(status == 200, "{told}");
                    }
                    Ok(())
                })
            })
            .collect();
        for sender in senders {
            sender.join().map_err(|_panic| anyhow::anyhow!("a sender failed"))??;
        }
        Ok(())
    })
}

/// Sends its share, each ping at its time, on a connection that stays; the answers, and how long
/// each took in milliseconds.
fn send(
    ports: &[u16],
    next: &AtomicU64,
    began: Instant,
    lasting: Duration,
    half: u64,
) -> (BTreeMap<String, u64>, Vec<u128>) {
    let (mut counts, mut waits) = (BTreeMap::new(), Vec::new());
    let mut streams: BTreeMap<u16, TcpStream> = BTreeMap::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = Duration::from_millis(number * 60_000 / JOBS);
        if due >= lasting {
            return (counts, waits);
        }
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let job = number % JOBS;
        if job.is_multiple_of(STRAY) && number > half {
            continue;
        }
        let at = ports[usize::try_from(number).unwrap_or_default() % ports.len()];
        let sent = Instant::now();
        // A connection that nobody has used for long may just be closed: clients try again.
        let answer = ping(&mut streams, at, job).or_else(|_closed| {
            streams.remove(&at);
            ping(&mut streams, at, job)
        });
        let answer = answer.unwrap_or_else(|_| {
            streams.remove(&at);
            "none".to_owned()
        });
        waits.push(sent.elapsed().as_millis());
        *counts.entry(answer).or_default() += 1;
    }
}

fn ping(streams: &mut BTreeMap<u16, TcpStream>, at: u16, job: u64) -> Result<String> {
    if let std::collections::btree_map::Entry::Vacant(place) = streams.entry(at) {
        place.insert(TcpStream::connect(("127.0.0.1", at))?);
    }
    let stream = streams.get_mut(&at).context("it is connected")?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let body = json!({ "app": "bench", "component": format!("j{job}") }).to_string();
    let head = format!(
        "POST /checkin HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut answer = [0; 2_048];
    let mut length = 0;
    // Every answer is one object of JSON.
    while !answer[..length].ends_with(b"}") {
        let more = stream.read(&mut answer[length..])?;
        ensure!(more > 0, "the connection was closed");
        length += more;
    }
    let text = String::from_utf8_lossy(&answer[..length]);
    Ok(text.split(' ').nth(1).context("a status")?.to_owned())
}

/// Who was missed: whether it has stayed away, and how late after its deadline it was, in
/// milliseconds.
fn missed(mesh: &Mesh, ended: Timestamp) -> Result<Vec<(bool, u128)>> {
    let mut found = Vec::new();
    until_within(FOUND_WITHIN, "all strays are missed", || {
        found.clear();
        let listed = mesh[1].json(&["heartbeat", "list"]).ok()?;
        for row in listed["heartbeats"].as_array()? {
            if row["misses"].as_u64()? == 0 {
                continue;
            }
            let number: u64 = row["name"].as_str()?.strip_prefix("bench/j")?.parse().ok()?;
            let moment = |key: &str| Timestamp::parse(row[key].as_str()?).ok();
            let stray = number.is_multiple_of(STRAY);
            if !stray && moment("since").is_some_and(|since| since >= ended) {
                continue;
            }
            // One that was missed and has come since is not late any more.
            let late = moment("since").zip(moment("last"));
            let late = late.map(|(since, last)| since.since(last.plus(PERIOD)).as_millis());
            found.push((stray, late.unwrap_or_default()));
        }
        let strays = found.iter().filter(|(stray, _)| *stray).count();
        (u64::try_from(strays).ok()? == JOBS / STRAY).then_some(())
    })?;
    Ok(found)
}

fn cost(mesh: &mut Mesh) -> Result<Cost> {
    let leader = mesh.leader()?;
    let mut cpu_seconds = 0.0;
    for host in &mesh.hosts {
        cpu_seconds += cpu(host)?;
    }
    Ok(Cost {
        entries: last_entry(mesh)?,
        disk_bytes: folder_bytes(&mesh[leader].data)?,
        cpu_seconds,
        resident_mib: crate::alert::resident_mib(&mesh[leader])?,
    })
}

/// User and system time of a daemon, in seconds.
fn cpu(host: &Host) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", host.pid()?))?;
    let fields: Vec<&str> =
        stat.rsplit_once(") ").context("a name")?.1.split_whitespace().collect();
    let ticks: f64 = [11, 12]
        .iter()
        .filter_map(|place| fields.get(*place).and_then(|field| field.parse::<f64>().ok()))
        .sum();
    Ok(ticks / 100.0)
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let known = entry.metadata()?;
        bytes += if known.is_dir() { folder_bytes(&entry.path())? } else { known.len() };
    }
    Ok(bytes)
}
