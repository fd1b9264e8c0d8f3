//! From `kill -9` of a daemon to the start of a neighbour's rung.

use crate::{figures::Figures, now_nanos, settled};
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use tests::{Mesh, until};

/// Kills the leader or, in turn, those that do not lead.
pub(crate) fn measure(
    mesh: &mut Mesh,
    runs: u32,
    the_leader: bool,
    figures: &mut Figures,
) -> Result<()> {
    let folder = mesh.folder();
    let files = folder.display();
    mesh.apply(&format!(
        r#"
[[runbook]]
name     = "host-is-silent"
on       = {{ peer = "silent" }}
cooldown = "0s"

[[runbook.rung]]
name = "rescue"
by   = "neighbour"
run  = '''
date +%s%N > {files}/$HEARTEN_PEER.rung.new
mv {files}/$HEARTEN_PEER.rung.new {files}/$HEARTEN_PEER.rung'''
"#
    ))?;
    let mut turns = (0..mesh.hosts.len()).cycle();
    for _ in 0..runs {
        settled(mesh)?;
        let leader = mesh.leader()?;
        let other = turns.find(|host| *host != leader).context("there are others")?;
        let victim = if the_leader { leader } else { other };
        let name = mesh[victim].name.clone();
        let rung = folder.join(format!("{name}.rung"));
        let killed = now_nanos()?;
        mesh.hosts[victim].kill()?;
        until("the neighbour's rung was started", || rung.exists().then_some(()))?;
        let started = fs::read_to_string(&rung)?.trim().parse()?;
        let looker = (victim + 1) % mesh.hosts.len();
        let incidents = mesh.incidents(looker)?;
        let incident = incidents.into_iter().find(|incident| incident["peer"] == name.as_str());
        figures.took(killed, started, json!({"host": name, "incident": incident}))?;
        fs::remove_file(rung)?;
        mesh.hosts[victim].start()?;
    }
    settled(mesh)
}
