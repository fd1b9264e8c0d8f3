//! From the moment at which an agent or a host is gone to the first step that is taken for it.

use crate::{
    field::Field,
    figures::{Pair, Raw},
    now_nanos, serf,
};
use anyhow::Result;
use serde_json::json;
use std::time::Duration;

/// How a host goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `kill -9` of both agents; the host lives.
    Killed,
    /// Its cable is pulled.
    Unplugged,
    /// Everything on it stands still.
    Stopped,
}

/// What serf still does about a member that has returned: without this pause the next victim would
/// be looked for by a mesh that is busy with the last one.
const AFTER_RETURN: Duration = Duration::from_secs(6);

/// One victim after the other, the leader among them.
pub(crate) fn measure(
    field: &mut Field,
    way: Way,
    loss: u32,
    runs: usize,
    raw: &Raw,
) -> Result<()> {
    let hosts = field.lab.hosts.len();
    let mut pair = Pair::default();
    field.lab.loss_everywhere(loss)?;
    for run in 0..runs {
        // The founder is asked for the incidents: it stays.
        let victim = 1 + (run * 7) % (hosts - 1);
        let name = field.name(victim).to_owned();
        let leads = field.lab[0].status().is_some_and(|status| status["leader"] == name.as_str());
        let known = field.incidents()?;
        let gone = now_nanos()?;
        match way {
            Way::Killed => {
                field.lab.hosts[victim].kill()?;
                field.serf.kill(victim)?;
            }
            Way::Unplugged => field.lab.unplug(victim)?,
            Way::Stopped => field.lab.signal_all(victim, "STOP")?,
        }
        let firsts = field.first_about(victim, gone)?;
        let seconds = firsts.map(|first| first.map(|at| span(gone, at)));
        pair.ours.extend(seconds[0]);
        pair.theirs.extend(seconds[1]);
        let others: Vec<_> = field.silences(&known)?;
        let falsely = others.iter().filter(|incident| incident["peer"] != name.as_str()).count();
        raw.keep(
            "onset",
            json!({
                "way": format!("{way:?}"), "hosts": hosts, "loss_percent": loss, "run": run,
                "victim": name, "leads": leads, "hearten_s": seconds[0], "serf_s": seconds[1],
                "incidents_about_others": falsely,
                "incident": others.iter().find(|incident| incident["peer"] == name.as_str()),
            }),
        )?;
        match way {
            Way::Killed => field.lab.hosts[victim].start()?,
            Way::Unplugged => field.lab.plug(victim)?,
            Way::Stopped => field.lab.signal_all(victim, "CONT")?,
        }
        field.serf.restart(&field.lab.bed, victim)?;
        field.calm()?;
        std::thread::sleep(AFTER_RETURN);
    }
    field.lab.loss_everywhere(0)?;
    pair.show(&format!("{way:?} {loss} % loss, {hosts} hosts"));
    if let (Way::Killed, 0, Some(median)) = (way, loss, pair.their_median()) {
        let (expected, near) = serf::expected(hosts, median)?;
        if !near {
            println!("  VOID: serf took {median:.2} s, {expected:.2} s is what it takes");
        }
    }
    Ok(())
}

fn span(from: u64, to: u64) -> f64 {
    Duration::from_nanos(to.saturating_sub(from)).as_secs_f64()
}
