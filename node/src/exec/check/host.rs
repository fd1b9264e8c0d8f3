//! Checks of the host itself: processes, file systems, memory, load, files.

use super::Found;
use crate::exec::facts::{Facts, filesystems::percent, processes::Process};
use protocol::{
    document::{DiskProbe, FileProbe, LoadProbe, ProcessProbe, Thresholds, Verdict},
    time::format_span,
};
use std::{fs, path::Path, time::Duration};

/// As many processes are named in the output.
const NAMED_MAX: usize = 20;

pub(super) async fn processes(facts: &Facts, probe: &ProcessProbe) -> Found {
    let all = facts.processes().await;
    let all = match all.as_ref() {
        Ok(all) => all,
        Err(reason) => return Found::new(Verdict::Unknown, reason.clone()),
    };
    let wanted = |process: &&Process| {
        !process.is_dead()
            && probe.name.as_ref().is_none_or(|name| process.is_called(name))
            && probe.pattern.as_ref().is_none_or(|pattern| pattern.fits(&process.command))
            && probe
                .user
                .as_ref()
                .is_none_or(|user| process.user == *user || process.uid.to_string() == *user)
    };
    let found: Vec<&Process> = all.iter().filter(wanted).collect();
    let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
    let wanted = match (probe.min, probe.max) {
        (min, None) => format!("at least {min}"),
        (min, Some(max)) if min == max => format!("exactly {min}"),
        (min, Some(max)) => format!("{min} to {max}"),
    };
    let what = [
        probe.name.as_ref().map(|name| format!("called {name}")),
        probe.pattern.as_ref().map(|pattern| format!("matching {pattern}")),
        probe.user.as_ref().map(|user| format!("of {user}")),
    ];
    let what: Vec<String> = what.into_iter().flatten().collect();
    let noun = if count == 1 { "process" } else { "processes" };
    let verdict = probe.judge(count);
    let mut summary = format!("{count} {noun} {}", what.join(", "));
    if verdict != Verdict::Pass {
        summary = format!("{summary}; wanted {wanted}");
    }
    let line =
        |process: &&Process| format!("{} {} {}\n", process.pid, process.user, process.command);
    Found {
        output: found.iter().take(NAMED_MAX).map(line).collect(),
        ..Found::new(verdict, summary)
    }
    .with("processes", f64::from(count), "", [None, probe.max.map(f64::from)])
}

pub(super) async fn disk(facts: &Facts, probe: &DiskProbe) -> Found {
    let space = facts.space(Path::new(&probe.path)).await;
    let space = match space.as_ref() {
        Ok(space) => *space,
        Err(reason) => return Found::new(Verdict::Unknown, reason.clone()),
    };
    let used = probe.used.judge(space.used_percent);
    // Some file systems make inodes as they need them.
    let inodes =
        if space.inodes == 0 { Verdict::Pass } else { probe.inodes.judge(space.inodes_percent) };
    let mut said = format!("{} is {} % full", probe.path, space.used_percent);
    if inodes != Verdict::Pass || (space.inodes > 0 && used == Verdict::Pass) {
        said = format!("{said}, {} % of its inodes are used", space.inodes_percent);
    }
    let limits =
        |thresholds: Thresholds| [thresholds.warn, thresholds.fail].map(|l| l.map(f64::from));
    Found::new(used.worse(inodes), said)
        .with(&probe.path, f64::from(space.used_percent), "%", limits(probe.used))
        .with("inodes", f64::from(space.inodes_percent), "%", limits(probe.inodes))
}

pub(super) fn memory(facts: &Facts, limits: &Thresholds) -> Found {
    let path = facts.places().proc.join("meminfo");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return Found::new(Verdict::Unknown, format!("{}: {error}", path.display())),
    };
    let kilobytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line?.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let (Some(total), Some(available)) = (kilobytes("MemTotal"), kilobytes("MemAvailable")) else {
        return Found::new(Verdict::Unknown, format!("{} cannot be read", path.display()));
    };
    let used = percent(total.saturating_sub(available), total);
    let summary = format!("{used} % of {} MiB are used", total / 1_024);
    Found::new(limits.judge(used), summary).with(
        "memory",
        f64::from(used),
        "%",
        [limits.warn, limits.fail].map(|limit| limit.map(f64::from)),
    )
}

pub(super) fn load(facts: &Facts, probe: &LoadProbe) -> Found {
    let read = |name: &str| fs::read_to_string(facts.places().proc.join(name)).unwrap_or_default();
    let place = match probe.minutes {
        1 => 0,
        5 => 1,
        _ => 2,
    };
    let load = read("loadavg").split_ascii_whitespace().nth(place).and_then(|text| {
        let (whole, hundredths) = text.split_once('.')?;
        whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths.parse().ok()?)
    });
    let is_processor = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let processors = u32::try_from(read("stat").lines().filter(is_processor).count()).unwrap_or(1);
    let (Some(load), true) = (load, processors > 0) else {
        return Found::new(Verdict::Unknown, "the load cannot be read");
    };
    let each = load.div_ceil(processors);
    let number = |hundredths: u32| f64::from(hundredths) / 100.0;
    let limits = probe.per_cpu_hundredths;
    let summary = format!(
        "load {:.2} over {} min on {processors} processors: {:.2} each",
        number(load),
        probe.minutes,
        number(each)
    );
    Found::new(limits.judge(each), summary).with(
        "load_per_cpu",
        number(each),
        "",
        [limits.warn, limits.fail].map(|limit| limit.map(number)),
    )
}

pub(super) async fn file(facts: &Facts, probe: &FileProbe) -> Found {
    let found = facts.file(Path::new(&probe.path)).await;
    let found = match found.as_ref() {
        Ok(found) => *found,
        // What cannot be looked at is as bad as missing: nobody can say that it is well.
        Err(reason) => return Found::new(Verdict::Fail, reason.clone()),
    };
    // One from the future is young.
    let age = found.written.elapsed().unwrap_or(Duration::ZERO);
    let shown = format_span(Duration::from_secs(age.as_secs()));
    let path = &probe.path;
    let found = match probe.max_age {
        Some(most) if age > most => {
            let most = format_span(most);
            Found::new(Verdict::Fail, format!("{path} was written {shown} ago; at most {most}"))
        }
        _ if found.bytes < u64::from(probe.min_bytes) => {
            let (bytes, least) = (found.bytes, probe.min_bytes);
            Found::new(Verdict::Fail, format!("{path} holds {bytes} bytes; at least {least}"))
        }
        _ => Found::new(Verdict::Pass, format!("{path} was written {shown} ago")),
    };
    let most = probe.max_age.map(|most| most.as_secs_f64());
    found.with("age", age.as_secs_f64().round(), "s", [None, most])
}
