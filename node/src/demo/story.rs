//! What the demo shows: a service healed, a host helped by its neighbour, a repair that outlives
//! the leader.

use super::{Teller, documents, stage::Stage};
use crate::control::Request;
use anyhow::{Context, ensure};
use protocol::{name::IncidentId, time::Timestamp};
use serde_json::Value;
use std::time::Instant;

/// Tells the whole story.
///
/// # Errors
/// What was expected and not seen.
pub(super) fn tell(stage: &mut Stage, teller: &Teller) -> anyhow::Result<()> {
    gather(stage, teller)?;
    heal_a_service(stage, teller)?;
    help_a_neighbour(stage, teller)?;
    outlive_the_leader(stage, teller)?;
    teller.line("\nThe incident log:\n")?;
    let (witness, _) = leader(stage)?;
    teller.line(&stage.hearten(witness, &["incident", "list"])?)?;
    teller.say("all of it was seen: the mesh healed itself three times, and nobody was woken")
}

fn gather(stage: &mut Stage, teller: &Teller) -> anyhow::Result<()> {
    let count = stage.hosts.len();
    teller.say(&format!(
        "{count} hosts on loopback, each with its own daemon: real QUIC, TLS, disks"
    ))?;
    for host in 0..count {
        stage.enter(host)?;
        let name = &stage.hosts[host].name;
        if host == 0 {
            teller.say(&format!("{name} founded the mesh"))?;
        } else {
            teller.say(&format!("{name} joined with a token that works once"))?;
        }
    }
    let voters = [1, 1, 1, 3, 3, 5][count.min(5)];
    stage.until("all are alive and enough of them vote", || {
        let status = stage.ask(0, &Request::Status)?;
        let peers = status["peers"].as_array()?;
        let alive = peers.iter().filter(|peer| peer["state"] == "alive").count();
        let votes = peers.iter().filter(|p| p["role"] == "leader" || p["role"] == "voter").count();
        (alive == count && votes == voters).then_some(())
    })?;
    teller.say(&format!(
        "all {count} are alive; the leader made {voters} of them voters by itself"
    ))?;
    for host in stage.hosts.iter().filter(|host| host.role == "app") {
        std::fs::write(stage.folder().join(format!("{}.index", host.name)), "")?;
    }
    let file = stage.folder().join("documents.toml");
    let text = documents::text(&stage.program, stage.folder(), stage.service);
    std::fs::write(&file, text)?;
    let mut service = std::process::Command::new(&stage.program);
    service.args(["demo-service", "--listen", &stage.service.to_string(), "--pid-file"]);
    service.arg(stage.folder().join("web.pid"));
    stage.curtain.start(&mut service).context("starting the web service")?;
    stage.until("the web service has started", || {
        stage.folder().join("web.pid").exists().then_some(())
    })?;
    let applied = stage.hearten(0, &["apply", &file.to_string_lossy()])?;
    teller.say(&format!(
        "checks and runbooks are signed by the operator and committed: {}",
        applied.trim()
    ))?;
    stage.until("every check passes", || {
        let status = stage.ask(0, &Request::Status)?;
        let peers = status["peers"].as_array()?;
        peers.iter().all(|peer| peer["health"] == "passing").then_some(())
    })?;
    teller.say("every check passes")
}

fn heal_a_service(stage: &Stage, teller: &Teller) -> anyhow::Result<()> {
    teller.line("\nA service breaks.")?;
    let web = stage.hosts.iter().find(|host| host.role == "web").context("there is a web host")?;
    let pid = std::fs::read_to_string(stage.folder().join("web.pid"))?;
    let began = Instant::now();
    teller.say(&format!("kill -9 {}: the web service on {} is dead", pid.trim(), web.name))?;
    let status = std::process::Command::new("kill").args(["-9", pid.trim()]).status()?;
    ensure!(status.success(), "the service could not be killed");
    let incident = resolved(stage, 0, &web.name, "restart-web")?;
    tell_incident(teller, &incident, began)?;
    ensure!(attempts(&incident) == 1, "one attempt was enough");
    teller.say("the service answers again, with no hand on it")
}

fn help_a_neighbour(stage: &mut Stage, teller: &Teller) -> anyhow::Result<()> {
    teller.line("\nA host falls silent.")?;
    let (leading, _) = leader(stage)?;
    let victim = (0..stage.hosts.len())
        .rev()
        .find(|host| *host != leading && stage.hosts[*host].role == "app")
        .context("there is a host to kill")?;
    let name = stage.hosts[victim].name.clone();
    let began = Instant::now();
    teller.say(&format!("kill -9: the daemon of {name} is dead"))?;
    stage.kill(victim)?;
    let incident = resolved(stage, leading, &name, "host-is-silent")?;
    tell_incident(teller, &incident, began)?;
    let worker = incident["attempts"][0]["worker"].as_str().unwrap_or_default().to_owned();
    ensure!(worker != name && !worker.is_empty(), "a neighbour acted");
    teller.say(&format!("{worker} acted for its neighbour, and {name} is back"))
}

fn outlive_the_leader(stage: &mut Stage, teller: &Teller) -> anyhow::Result<()> {
    teller.line("\nThe leader dies in the middle of a repair.")?;
    let (leading, led_by) = leader(stage)?;
    let patient = (0..stage.hosts.len())
        .find(|host| *host != leading && stage.hosts[*host].role == "app")
        .context("there is a host to break")?;
    let name = stage.hosts[patient].name.clone();
    let began = Instant::now();
    teller.say(&format!("the index of {name} is deleted; rebuilding it takes 4 s"))?;
    std::fs::remove_file(stage.folder().join(format!("{name}.index")))?;
    stage.until("the repair is under way", || {
        stage.folder().join("rebuilds").exists().then_some(())
    })?;
    teller.say(&format!("the repair is under way; kill -9: {led_by}, the leader, is dead"))?;
    let killed = Instant::now();
    stage.kill(leading)?;
    let successor = stage.until("there is another leader", || {
        let status = stage.ask(patient, &Request::Status)?;
        let name = status["leader"].as_str()?;
        (status["quorum"] == true && name != led_by).then(|| name.to_owned())
    })?;
    let took = killed.elapsed().as_secs_f64();
    teller.say(&format!("{successor} leads now, {took:.1} s later"))?;
    let incident = resolved(stage, patient, &name, "rebuild-index")?;
    tell_incident(teller, &incident, began)?;
    let rebuilds = std::fs::read_to_string(stage.folder().join("rebuilds"))?;
    ensure!(rebuilds.lines().count() == attempts(&incident), "each attempt was executed once");
    teller.say("the repair outlived the leader, and it was executed exactly once")?;
    resolved(stage, patient, &led_by, "host-is-silent")?;
    teller.say(&format!("and {led_by} was brought back by a neighbour, too"))
}

/// Who leads, as the first host says that answers.
fn leader(stage: &Stage) -> anyhow::Result<(usize, String)> {
    stage.until("there is a leader", || {
        let status = (0..stage.hosts.len()).find_map(|host| stage.ask(host, &Request::Status))?;
        let name = status["leader"].as_str()?;
        let place = stage.hosts.iter().position(|host| host.name == name)?;
        (status["quorum"] == true).then(|| (place, name.to_owned()))
    })
}

/// Waits for the resolved incident of a peer and a runbook, as `witness` knows it.
fn resolved(stage: &Stage, witness: usize, peer: &str, runbook: &str) -> anyhow::Result<Value> {
    stage.until(&format!("the incident of {peer} is resolved"), || {
        let list = Request::Incidents { open: false, peer: Some(peer.to_owned()), since: None };
        let list = stage.ask(witness, &list)?;
        let found = list["incidents"]
            .as_array()?
            .iter()
            .find(|incident| incident["runbook"] == runbook && incident["state"] == "resolved")?;
        let id = IncidentId::parse(found["id"].as_str()?).ok()?;
        stage.ask(witness, &Request::Incident { id })
    })
}

fn attempts(incident: &Value) -> usize {
    incident["attempts"].as_array().map_or(0, Vec::len)
}

/// The incident's lines, with the times between them.
fn tell_incident(teller: &Teller, incident: &Value, began: Instant) -> anyhow::Result<()> {
    let lines = incident["timeline"].as_array().map(Vec::as_slice).unwrap_or_default();
    let id = incident["id"].as_str().unwrap_or_default();
    let mut before: Option<Timestamp> = None;
    for line in lines {
        let at = line["at"].as_str().and_then(|at| Timestamp::parse(at).ok());
        let after = match (before, at) {
            (Some(before), Some(at)) => format!("+{} ms", at.since(before).as_millis()),
            (_, _) => String::new(),
        };
        before = at;
        let text = line["text"].as_str().unwrap_or_default();
        let by = line["by"].as_str().unwrap_or_default();
        teller.line(&format!("           {after:>9}  {id} {by}: {text}"))?;
    }
    let took = began.elapsed().as_secs_f64();
    teller.say(&format!("{id} is resolved, {took:.1} s after it began"))
}
