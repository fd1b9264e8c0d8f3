//! From `kill -9` of the leader to the next change of an operator's that is committed.

use crate::{figures::Figures, now_nanos, settled};
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use tests::{Mesh, until};

/// The operator asks a host that survives, again and again; each `hearten apply` is a process of
/// its own and part of what is measured.
pub(crate) fn measure(mesh: &mut Mesh, runs: u32, figures: &mut Figures) -> Result<()> {
    let key = mesh[0].data.join("operator.key");
    let documents = mesh.folder().join("change.toml");
    for run in 1..=runs {
        settled(mesh)?;
        fs::write(&documents, format!("[limits]\nat_once = {run}\n"))?;
        let leader = mesh.leader()?;
        let survivor = (leader + 1) % mesh.hosts.len();
        let arguments =
            ["apply", &documents.to_string_lossy(), "--key", &key.to_string_lossy(), "--json"]
                .map(str::to_owned);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (mut tries, mut refusal) = (0_u32, String::new());
        let killed = now_nanos()?;
        mesh.hosts[leader].kill()?;
        let applied = until("the change is committed", || {
            tries += 1;
            let output = mesh[survivor].hearten(&arguments).ok()?;
            refusal = String::from_utf8_lossy(&output.stderr).into_owned();
            output.status.success().then(now_nanos)
        })
        .with_context(|| refusal.clone())??;
        let name = &mesh[leader].name;
        figures.took(killed, applied, json!({"host": name, "tries": tries}))?;
        mesh.hosts[leader].start()?;
    }
    settled(mesh)
}
