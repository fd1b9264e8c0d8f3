//! A host that hangs and is cut off is switched off and on by a neighbour, through its management
//! controller; and what happens when that controller cannot be believed.
//!
//! The controllers are Debian's `ipmi_sim`, asked by Debian's `fence_ipmilan`: what they switch off
//! is really dead. See [`tests::lab`].

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::{Duration, Instant};
use tests::{
    Lab,
    lab::{FENCING, Manner, Sampler, ready, service},
    until, until_within,
};

/// Its power is cycled; off is believed only when the controller says so.
const CYCLE: &str = r#"
[[runbook]]
name     = "host-is-dark"
on       = { peer = "dark" }
cooldown = "0s"

[[runbook.rung]]
name    = "cycle its power"
fence   = { agent = "fence_ipmilan", action = "reboot", params = { ip = "label:bmc", username = "ops", password = "secret:bmc-password" } }
timeout = "8s"
reboot  = true
settle  = "30s"

[[runbook.rung]]
name   = "call a person"
notify = "ops"

[[notifier]]
name = "ops"
kind = "webhook"
url  = "HOOK"
"#;

fn boot_id(lab: &Lab, host: usize) -> Result<String> {
    Ok(std::fs::read_to_string(lab.bed.boot_file(host)?)?.trim().to_owned())
}

#[test]
fn a_frozen_host_is_fenced_by_its_neighbour_and_comes_back_healed() -> Result<()> {
    if !ready(&FENCING) {
        return Ok(());
    }
    let mut lab = Lab::with_bmcs(&[""; 5], |_| Manner::Honest)?;
    let hook = lab.hook()?;
    lab.apply(&CYCLE.replace("HOOK", &hook.url()))?;
    let victim = lab.follower()?;
    let (name, pid) = (lab[victim].name.clone(), lab[victim].pid()?);
    let before = boot_id(&lab, victim)?;

    lab.hang(victim)?;
    let about = |i: &Value| i["peer"] == *name && i["state"] == "resolved";
    let incident = lab.incident(0, "the host is back", about)?;
    ensure!(incident["because"]["silence"] == "dark", "{incident:#}");
    let attempts = incident["attempts"].as_array().context("attempts")?;
    ensure!(attempts.len() == 1 && attempts[0]["outcome"] == "succeeded", "{attempts:#?}");
    ensure!(attempts[0]["worker"] != *name, "{attempts:#?}");
    ensure!(lab.bmcs[victim].orders()? == ["0", "1"], "{:?}", lab.bmcs[victim].orders());
    for host in (0..5).filter(|host| *host != victim) {
        ensure!(lab.bmcs[host].orders()?.is_empty(), "h{} was switched", host + 1);
    }
    ensure!(!lab.hosts[victim].is_running() && lab.bed.processes(&lab.bed.host(victim))? != [pid]);
    let after = boot_id(&lab, victim)?;
    let story = lab[0].ok(&["incident", "explain", incident["id"].as_str().context("an id")?])?;
    let boots = format!("back with another boot id: {before} -> {after}");
    ensure!(before != after && story.contains(&boots), "{boots}? {story}");
    lab.calm(0)?;
    ensure!(hook.taken().is_empty(), "nobody had to be told: {:?}", hook.taken());
    Ok(())
}

/// The controller of the host that hangs and holds the service's address has these manners: nobody
/// takes the address over, and a person is told within ten seconds after fencing began.
fn a_bad_controller(manner: Manner) -> Result<()> {
    if !ready(&FENCING) {
        return Ok(());
    }
    const HOLDER: usize = 3;
    let labels = ["", "", "", service::MAY_HOLD, service::MAY_HOLD];
    let lab = Lab::with_bmcs(&labels, |host| if host == HOLDER { manner } else { Manner::Honest })?;
    let hook = lab.hook()?;
    let name = lab[HOLDER].name.clone();
    service::serve(&lab, HOLDER, &hook.url())?;
    let sampler = Sampler::watch(&lab.bed, &[HOLDER, HOLDER + 1], service::ADDRESS)?;
    lab.hang(HOLDER)?;
    until("fencing begins", || {
        let incidents = lab.incidents(0).ok()?;
        let silences = incidents.iter().filter(|i| i["because"]["kind"] == "silent");
        let mut attempts = silences.filter_map(|i| i["attempts"].as_array());
        attempts.any(|attempts| !attempts.is_empty()).then_some(())
    })?;
    let began = Instant::now();
    until_within(Duration::from_secs(10), "a person is told", || {
        hook.taken().iter().any(|told| told.to_string().contains(&name)).then_some(())
    })
    .with_context(|| format!("{:#?}", lab.incidents(0)))?;
    eprintln!("{manner:?}: a person was told {:?} after fencing began", began.elapsed());
    let about = |i: &Value| i["peer"] == *name && i["state"] == "escalated";
    let incident = lab.incident(0, "it is a person's now", about)?;
    let attempts = incident["attempts"].as_array().context("attempts")?;
    ensure!(attempts.len() == 1 && attempts[0]["rung"] == service::FENCE, "{attempts:#?}");
    let outcome = &attempts[0]["outcome"];
    ensure!(outcome == "failed" || outcome == "timed_out", "{attempts:#?}");
    let orders = lab.bmcs[HOLDER].orders()?;
    let was_told = orders.iter().any(|order| order == "0");
    ensure!(was_told == (manner == Manner::Lies), "{orders:?}: {attempts:#?}");
    let held = sampler.seen()?;
    ensure!(held.holders == [HOLDER] && held.both == 0 && held.rounds > 100, "{held:?}");
    Ok(())
}

#[test]
fn a_controller_that_says_on_after_off_is_not_believed() -> Result<()> {
    a_bad_controller(Manner::Lies)
}

#[test]
fn a_controller_that_refuses_the_password_leaves_the_host_to_a_person() -> Result<()> {
    a_bad_controller(Manner::Refuses)
}

#[test]
fn a_controller_that_does_not_answer_leaves_the_host_to_a_person() -> Result<()> {
    a_bad_controller(Manner::Mute)
}
