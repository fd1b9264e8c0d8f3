//! What the smaller side of a split mesh does: nothing.

use crate::{
    field::{Field, Stamp},
    figures::Raw,
    now_nanos,
};
use anyhow::Result;
use serde_json::json;
use std::time::Duration;
use tests::lab::faults::Cut;

/// Which way the mesh is split, in turn.
const CUTS: [Cut; 4] = [Cut::Both, Cut::Inwards, Cut::Both, Cut::Outwards];

/// Splits the mesh again and again, for so long each time; the smaller side is one of `parts`.
pub(crate) fn measure(
    field: &mut Field,
    parts: usize,
    times: usize,
    lasts: Duration,
    raw: &Raw,
) -> Result<()> {
    let hosts = field.lab.hosts.len();
    let (mut by_minority, mut by_majority) = (0, 0);
    for (time, cut) in (0..times).zip(CUTS.into_iter().cycle()) {
        field.ours_calm()?;
        // Others each time, the leader and the founder among them in turn.
        let size = (hosts / parts).max(1);
        let side: Vec<usize> = (0..size).map(|place| (time * size + place) % hosts).collect();
        let names: Vec<String> = side.iter().map(|host| field.name(*host).to_owned()).collect();
        let looker = (0..hosts).find(|host| !side.contains(host)).unwrap_or_default();
        let status = field.lab[looker].status().unwrap_or_default();
        let known = field.incidents()?;
        let from = now_nanos()?;
        field.lab.partition(&side, cut)?;
        std::thread::sleep(lasts);
        let until = now_nanos()?;
        field.lab.rejoin()?;
        let stamps = field.ours()?;
        let during = stamps.iter().filter(|stamp| (from..until).contains(&stamp.nanos));
        let (few, many): (Vec<_>, Vec<_>) = during.partition(|stamp| names.contains(&stamp.by));
        by_minority += few.len();
        by_majority += many.len();
        let act = |stamp: &&Stamp| {
            let millis = (stamp.nanos - from) / 1_000_000;
            format!("{} about {} after {millis} ms", stamp.by, stamp.about.join(" "))
        };
        let acts: Vec<String> = few.iter().chain(&many).map(act).collect();
        // Why something was done can be read from these.
        let silences = if acts.is_empty() { Vec::new() } else { field.silences(&known)? };
        raw.keep(
            "partition",
            json!({
                "hosts": hosts, "time": time, "cut": format!("{cut:?}"), "minority": names,
                "leader": status["leader"], "voters": status["voters"], "from": from,
                "seconds": lasts.as_secs_f64(), "by_minority": few.len(), "by_majority": many.len(),
                "acts": acts, "silences": silences,
            }),
        )?;
    }
    field.ours_calm()?;
    println!(
        "{:<34} {times} times {} s: the smaller side acted {by_minority} times, the larger \
         {by_majority}",
        format!("partition 1/{parts}, {hosts} hosts"),
        lasts.as_secs(),
    );
    Ok(())
}
