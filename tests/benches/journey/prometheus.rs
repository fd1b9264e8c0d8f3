//! A target of Prometheus' goes down: how long until its repair has begun, and until the plain web
//! hook of an Alertmanager that waits for nothing was called in the same run.

use crate::{figures::Figures, now_nanos};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::{fs, time::Duration};
use tests::{
    Hook, PATIENCE,
    monitoring::Monitored,
    parts::{free_port, get},
    until, until_within,
};

/// A host that was repaired is left to settle for a minute: what it then needs is no figure.
const SETTLES: Duration = Duration::from_secs(61);

/// How the mesh is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// By Prometheus itself.
    Prometheus,
    /// By the Alertmanager, as the web hook is.
    Alertmanager,
}

/// From the kill of the exporter to the start of the rung.
pub(crate) fn measure(by: By, runs: u32, figures: &mut Figures) -> Result<()> {
    let Some(scene) = Monitored::with(crate::HOSTS)? else { return Ok(()) };
    let hook = Hook::listen()?;
    let mut to = vec![hook.url()];
    if by == By::Alertmanager {
        to.push(format!("http://127.0.0.1:{}/v1/alertmanager", scene.http(1)));
    }
    let gossip = (free_port()?, free_port()?);
    let (_manager, port) = scene.alertmanager("manager", &to, "0s", gossip)?;
    let mut senders = vec![port];
    if by == By::Prometheus {
        senders.push(scene.http(1));
    }
    let _prometheus = scene.prometheus(&senders)?;
    let rung = scene.mesh.folder().join("rung");
    drop(fs::remove_file(&rung));
    for run in 0..runs {
        if run > 0 {
            std::thread::sleep(SETTLES);
        }
        until("no incident is open", || {
            let all = scene.mesh.incidents(0).ok()?;
            let over = |one: &Value| one["state"] == "resolved" || one["state"] == "closed";
            all.iter().all(over).then_some(())
        })?;
        // What is told of the end must not be taken for the next beginning.
        let patience = Duration::from_secs(120);
        until_within(patience, "the Alertmanager has told of the end", || {
            let taken = hook.taken();
            taken.last().is_none_or(|last| last["status"] == "resolved").then_some(())
        })?;
        let told = hook.taken().len();
        let killed = now_nanos()?;
        scene.exporter.kill()?;
        let mut hooked = None;
        until("the rung was started and the web hook called", || {
            if hooked.is_none() && hook.taken().len() > told {
                hooked = now_nanos().ok();
            }
            (rung.exists() && hooked.is_some()).then_some(())
        })?;
        let started = fs::read_to_string(&rung)?.trim().parse()?;
        fs::remove_file(&rung)?;
        let hooked = hooked.unwrap_or(killed);
        let hook_ms = hooked.saturating_sub(killed) / 1_000_000;
        figures.took(killed, started, json!({ "plain_web_hook_ms": hook_ms }))?;
        ensure!(until("the exporter answers", || get(scene.exporter.port, PATIENCE).ok())? == 200);
    }
    Ok(())
}
