//! How often a host that is well is taken for one that is not.

use crate::{field::Field, figures::Raw, now_nanos};
use anyhow::Result;
use serde_json::json;
use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What is wrong with the network or with some hosts, for how long it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// So many per cent of all packets are lost.
    Loss(u32),
    /// So many hosts stand still for 2 s of every 2.5 s, each at its own times.
    Flapping(usize),
    /// One host stands still for 10 s, once a minute.
    Stop,
    /// So many programs that do nothing but compute, with more right to it than the agents.
    Hogs(usize),
}

impl Trouble {
    /// Its name as an option.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Loss(_) => "loss",
            Self::Flapping(_) => "flapping",
            Self::Stop => "stop",
            Self::Hogs(_) => "hogs",
        }
    }
}

/// What stands still does for so long, and runs for so long.
const STOPPED: Duration = Duration::from_secs(2);
const RUNS: Duration = Duration::from_millis(500);

/// The one that stops: for so long, so often.
const LONG_STOP: Duration = Duration::from_secs(10);
const LONG_EVERY: Duration = Duration::from_secs(60);

/// How often it is looked whether something has to be done.
const TICK: Duration = Duration::from_millis(50);

/// Looks for so long, and counts.
pub(crate) fn measure(
    field: &mut Field,
    trouble: Trouble,
    window: Duration,
    raw: &Raw,
) -> Result<()> {
    field.calm()?;
    let hosts = field.lab.hosts.len();
    let known = field.incidents()?;
    let began = now_nanos()?;
    let mut hogs = Hogs(Vec::new());
    let mut unwell: Vec<usize> = Vec::new();
    match trouble {
        Trouble::Loss(percent) => {
            field.lab.loss_everywhere(percent)?;
            std::thread::sleep(window);
        }
        Trouble::Flapping(count) => {
            unwell = (1..hosts).take(count).collect();
            stand_still(field, &unwell, window, (STOPPED, RUNS))?;
        }
        Trouble::Stop => {
            unwell = vec![1];
            stand_still(field, &unwell, window, (LONG_STOP, LONG_EVERY - LONG_STOP))?;
        }
        Trouble::Hogs(count) => {
            for _ in 0..count {
                let mut hog = Command::new("nice");
                hog.args(["-n", "-15", "sh", "-c", "while :; do :; done"]).stdin(Stdio::null());
                hogs.0.push(hog.spawn()?);
            }
            std::thread::sleep(window);
        }
    }
    let silences = field.silences(&known)?;
    drop(hogs);
    field.lab.loss_everywhere(0)?;
    let names: Vec<&str> = unwell.iter().map(|host| field.name(*host)).collect();
    let is_unwell = |name: &str| names.contains(&name);
    let of_well = silences.iter().filter(|i| !is_unwell(i["peer"].as_str().unwrap_or_default()));
    let of_well = of_well.count();
    let theirs = field.theirs()?;
    let theirs: Vec<_> = theirs.iter().filter(|stamp| stamp.nanos >= began).collect();
    let about_well = |by_unwell: bool| {
        let by = theirs.iter().filter(|stamp| is_unwell(&stamp.by) == by_unwell);
        by.flat_map(|stamp| &stamp.about).filter(|name| !is_unwell(name)).count()
    };
    let (serf_well, serf_unwell) = (about_well(false), about_well(true));
    let minutes = window.as_secs_f64() / 60.0;
    println!(
        "{:<34} {minutes:.1} min: incidents about the well {of_well} (about the others {}); serf \
         failed the well {serf_well} times, and {serf_unwell} by the unwell",
        format!("{trouble:?}, {hosts} hosts"),
        silences.len() - of_well,
    );
    raw.keep(
        "verdicts",
        json!({
            "trouble": format!("{trouble:?}"), "hosts": hosts, "minutes": minutes,
            "incidents_about_well": of_well, "incidents": silences,
            "serf_failed_well_by_well": serf_well, "serf_failed_well_by_unwell": serf_unwell,
        }),
    )
}

/// Each of these stands still and runs in turn, out of step with the others; all run at the end.
fn stand_still(
    field: &Field,
    hosts: &[usize],
    window: Duration,
    (stopped, runs): (Duration, Duration),
) -> Result<()> {
    let began = Instant::now();
    let count = u32::try_from(hosts.len())?;
    let mut still = vec![false; hosts.len()];
    while began.elapsed() < window {
        for (place, host) in (0_u32..).zip(hosts) {
            let into = (began.elapsed() + (stopped + runs) * place / count).as_nanos()
                % (stopped + runs).as_nanos();
            let now = into < stopped.as_nanos();
            let was = &mut still[usize::try_from(place)?];
            if *was != now {
                field.lab.signal_all(*host, if now { "STOP" } else { "CONT" })?;
                *was = now;
            }
        }
        std::thread::sleep(TICK);
    }
    hosts.iter().try_for_each(|host| field.lab.signal_all(*host, "CONT"))
}

/// Ended when they are dropped.
struct Hogs(Vec<Child>);

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            // What cannot be killed has ended.
            drop(hog.kill());
            drop(hog.wait());
        }
    }
}
