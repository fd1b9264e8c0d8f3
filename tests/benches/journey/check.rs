//! From the end of the second failing run of a check to the start of its rung.

use crate::{figures::Figures, settled};
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use tests::{Mesh, until};

/// The hosts fall ill in turn, the leader among them.
pub(crate) fn measure(mesh: &Mesh, runs: u32, figures: &mut Figures) -> Result<()> {
    let folder = mesh.folder();
    let files = folder.display();
    for host in &mesh.hosts {
        fs::write(folder.join(format!("{}.well", host.name)), "")?;
    }
    mesh.apply(&format!(
        r#"
[[check]]
name    = "well"
every   = "1s"
command = '''
test -e {files}/$HEARTEN_PEER.well && exit 0
date +%s%N >> {files}/$HEARTEN_PEER.failing
exit 2'''

[[runbook]]
name     = "make-well"
on       = {{ check = "well" }}
cooldown = "0s"

[[runbook.rung]]
name = "make well"
run  = '''
date +%s%N > {files}/$HEARTEN_PEER.rung.new
touch {files}/$HEARTEN_PEER.well
mv {files}/$HEARTEN_PEER.rung.new {files}/$HEARTEN_PEER.rung'''
"#
    ))?;
    for (_, host) in (0..runs).zip((0..mesh.hosts.len()).cycle()) {
        let name = &mesh[host].name;
        until("everyone is well", || {
            let status = mesh[0].status()?;
            let mut peers = status["peers"].as_array()?.iter();
            peers.all(|peer| peer["health"] == "passing").then_some(())
        })?;
        settled(mesh)?;
        let failing = folder.join(format!("{name}.failing"));
        let rung = folder.join(format!("{name}.rung"));
        fs::remove_file(folder.join(format!("{name}.well")))?;
        until("the rung was started", || rung.exists().then_some(()))?;
        let failed = fs::read_to_string(&failing)?;
        let second = failed.lines().nth(1).context("a rung after one failing run")?.parse()?;
        let started = fs::read_to_string(&rung)?.trim().parse()?;
        let led = mesh[0].status().is_some_and(|status| status["leader"] == name.as_str());
        figures.took(second, started, json!({"host": name, "leads": led}))?;
        fs::remove_file(failing)?;
        fs::remove_file(rung)?;
    }
    Ok(())
}
