//! Prometheus, Alertmanager and the node exporter, as users run them: the exporter is killed, the
//! alert fires, the runbook starts it again, and what the sender then says closes the incident.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    PATIENCE,
    monitoring::Monitored,
    parts::{free_port, get},
};

/// The exporter is killed, started again by the mesh, and seen to be well by its sender.
fn heals(scene: &Monitored) -> Result<Value> {
    let before = scene.mesh.incidents(0)?.len();
    scene.exporter.kill()?;
    let healed = scene.mesh.incident(0, "the exporter is started again", |incident| {
        incident["because"]["check"] == "exporter-down" && incident["state"] == "resolved"
    })?;
    assert_eq!(get(scene.exporter.port, PATIENCE)?, 200);
    assert_eq!(scene.mesh.incidents(0)?.len(), before + 1, "one alert is one incident");
    let rungs = healed["attempts"].as_array().context("it has attempts")?;
    assert_eq!((rungs.len(), &healed["peer"]), (1, &Value::from("h1")), "{healed:#}");
    let why = healed["because"]["summary"].as_str().unwrap_or_default();
    ensure!(why.contains("the exporter of h1 is gone"), "{healed:#}");
    Ok(healed)
}

/// Where a host takes what an Alertmanager says.
fn hook(scene: &Monitored, host: usize) -> String {
    format!("http://127.0.0.1:{}/v1/alertmanager", scene.http(host))
}

#[test]
fn two_alertmanagers_that_tell_of_a_killed_exporter_heal_it_once() -> Result<()> {
    let Some(scene) = Monitored::with(3)? else { return Ok(()) };
    let gossip = (free_port()?, free_port()?);
    let (_first, one) = scene.alertmanager("am1", &[hook(&scene, 1)], "1s", gossip)?;
    let (_second, other) =
        scene.alertmanager("am2", &[hook(&scene, 2)], "1s", (gossip.1, gossip.0))?;
    let _prometheus = scene.prometheus(&[one, other])?;
    heals(&scene).map(drop)
}

#[test]
fn a_prometheus_without_an_alertmanager_sends_straight_to_the_mesh() -> Result<()> {
    let Some(scene) = Monitored::with(3)? else { return Ok(()) };
    let _prometheus = scene.prometheus(&[scene.http(2), scene.http(1)])?;
    heals(&scene).map(drop)
}
