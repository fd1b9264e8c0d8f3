//! A third of the hosts loses its power at once.

use crate::{field::Field, figures::Raw, now_nanos};
use anyhow::Result;
use serde_json::json;
use std::time::Duration;

/// How long it is looked what is done. This is no wait for luck: it is the measurement.
const WINDOW: Duration = Duration::from_secs(30);

/// The last third of the hosts, which is a zone, goes and comes back, so many times.
pub(crate) fn measure(field: &mut Field, runs: usize, raw: &Raw) -> Result<()> {
    let hosts = field.lab.hosts.len();
    let rack: Vec<usize> = (hosts - hosts / 3..hosts).collect();
    for run in 0..runs {
        field.calm()?;
        let known = field.incidents()?;
        let told = field.hook.taken().len();
        let gone = now_nanos()?;
        for host in &rack {
            field.lab.unplug(*host)?;
        }
        for host in &rack {
            field.lab.hosts[*host].kill()?;
            field.serf.kill(*host)?;
        }
        std::thread::sleep(WINDOW);
        let stamps = field.ours()?;
        let rungs = stamps.iter().filter(|stamp| stamp.nanos >= gone).count();
        let incidents = field.silences(&known)?;
        let messages = field.hook.taken().split_off(told);
        println!(
            "{:<34} {rungs} rungs started, {} incidents, {} messages to a person",
            format!("rack of {} of {hosts}", rack.len()),
            incidents.len(),
            messages.len(),
        );
        raw.keep(
            "rack",
            json!({
                "hosts": hosts, "run": run, "rack": rack.len(), "rungs": rungs,
                "incidents": incidents, "messages": messages,
            }),
        )?;
        for host in &rack {
            field.lab.plug(*host)?;
            field.lab.hosts[*host].start()?;
            field.serf.restart(&field.lab.bed, *host)?;
        }
    }
    field.calm()
}
