//! A host that hangs and is cut off is switched off and on by a neighbour, through its management
//! controller; and what happens when that controller cannot be believed.
//!
//! The controllers are Debian's `ipmi_sim`, asked by Debian's `fence_ipmilan`: what they switch off
//! is really dead. See [`tests::lab`].

use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tests::{
    Hook, Lab,
    lab::{FENCING, Manner, faults::Wall, ready},
    until, until_within,
};

/// Off, believed only when the controller says that it is off, then on: by hand.
const FENCE: &str = r#"
[[runbook]]
name     = "host-is-dark"
on       = { peer = "dark" }
cooldown = "0s"

[[runbook.rung]]
name    = "fence"
by      = "neighbour"
run     = '''
fence() {
    printf 'ip=%s\nusername=ops\npassword=correct-horse\npower_timeout=3\naction=%s\n' \
        "$HEARTEN_LABEL_BMC" "$1" | fence_ipmilan
}
date +%s%N >> FOLDER/fences
fence off
fence status
[ $? = 2 ] || exit 1
echo "$HEARTEN_PEER" >> FOLDER/taken-over
fence on'''
timeout = "8s"
settle  = "SETTLE"

[[runbook.rung]]
name   = "call a person"
notify = "ops"

[[notifier]]
name = "ops"
kind = "webhook"
url  = "HOOK"
"#;

/// The documents: a host that was switched on again has so long to come back.
fn apply(lab: &Lab, hook: &Hook, settle: &str) -> Result<String> {
    let folder = lab.folder().to_string_lossy().into_owned();
    let documents = FENCE.replace("FOLDER", &folder).replace("HOOK", &hook.url());
    lab.apply(&documents.replace("SETTLE", settle))
}

/// What is in a file of the mesh's folder, line by line.
fn lines(lab: &Lab, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(lab.folder().join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn boot_id(lab: &Lab, host: usize) -> Result<String> {
    Ok(std::fs::read_to_string(lab.bed.boot_file(host)?)?)
}

/// Everything on the host stands still, and nothing comes in or gets out.
fn hang(lab: &Lab, host: usize) -> Result<()> {
    lab.signal_all(host, "STOP")?;
    lab.wall(host, Wall::Silent)
}

#[test]
fn a_frozen_host_is_fenced_by_its_neighbour_and_comes_back_healed() -> Result<()> {
    if !ready(&FENCING) {
        return Ok(());
    }
    let mut lab = Lab::with_bmcs(5, |_| Manner::Honest)?;
    let hook = lab.hook()?;
    apply(&lab, &hook, "30s")?;
    let victim = lab.follower()?;
    let (name, pid) = (lab[victim].name.clone(), lab[victim].pid()?);
    let before = boot_id(&lab, victim)?;

    hang(&lab, victim)?;
    let about = |i: &serde_json::Value| i["peer"] == *name && i["state"] == "resolved";
    let incident = lab.incident(0, "the host is back", about)?;
    ensure!(incident["because"]["silence"] == "dark", "{incident:#}");
    let attempts = incident["attempts"].as_array().context("attempts")?;
    ensure!(attempts.len() == 1 && attempts[0]["outcome"] == "succeeded", "{attempts:#?}");
    ensure!(attempts[0]["worker"] != *name, "{attempts:#?}");
    ensure!(lab.bmcs[victim].orders()? == ["0", "1"], "{:?}", lab.bmcs[victim].orders());
    for host in (0..5).filter(|host| *host != victim) {
        ensure!(lab.bmcs[host].orders()?.is_empty(), "h{} was switched", host + 1);
    }
    ensure!(lines(&lab, "taken-over") == [name.as_str()], "fenced once");
    ensure!(!lab.hosts[victim].is_running() && lab.bed.processes(&lab.bed.host(victim))? != [pid]);
    ensure!(boot_id(&lab, victim)? != before, "it was not booted anew");
    lab.calm(0)?;
    ensure!(hook.taken().is_empty(), "nobody had to be told: {:?}", hook.taken());
    Ok(())
}

/// The controller of the host that hangs has these manners: nobody takes over, and a person is told
/// within ten seconds after fencing began.
fn a_bad_controller(manner: Manner) -> Result<()> {
    if !ready(&FENCING) {
        return Ok(());
    }
    let lab = Lab::with_bmcs(5, |host| if host == 3 { manner } else { Manner::Honest })?;
    let hook = lab.hook()?;
    apply(&lab, &hook, "1s")?;
    let name = lab[3].name.clone();
    hang(&lab, 3)?;
    until("fencing begins", || lines(&lab, "fences").pop())?;
    let began = Instant::now();
    until_within(Duration::from_secs(10), "a person is told", || {
        hook.taken().iter().any(|told| told.to_string().contains(&name)).then_some(())
    })
    .with_context(|| format!("{:#?}", lab.incidents(0)))?;
    eprintln!("a person was told {:?} after fencing began ({manner:?})", began.elapsed());
    let about = |i: &serde_json::Value| i["peer"] == *name && i["state"] == "escalated";
    let incident = lab.incident(0, "it is a person's now", about)?;
    let outcome = &incident["attempts"][0]["outcome"];
    ensure!(outcome == "failed" || outcome == "timed_out", "{incident:#}");
    ensure!(lines(&lab, "taken-over").is_empty(), "it was taken over from a host that may live");
    ensure!(lines(&lab, "fences").len() == 1, "{:?}", lines(&lab, "fences"));
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
