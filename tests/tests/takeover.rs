//! A service's address moves from a host that hangs to its neighbour, after its power was cut: never
//! do both have it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    Bed, Lab,
    lab::{FENCING, Manner, Sampler, bed::run, ready, service},
};

const HOLDER: usize = 3;
const OTHER: usize = 4;

#[test]
fn an_address_is_taken_over_once_the_power_is_off_and_never_do_both_have_it() -> Result<()> {
    if !ready(&FENCING) {
        return Ok(());
    }
    let labels = ["", "", "", service::MAY_HOLD, service::MAY_HOLD];
    let lab = Lab::with_bmcs(&labels, |_| Manner::Honest)?;
    let hook = lab.hook()?;
    let (name, other) = (lab[HOLDER].name.clone(), lab[OTHER].name.clone());
    service::serve(&lab, HOLDER, &hook.url())?;
    let sampler = Sampler::watch(&lab.bed, &[HOLDER, OTHER], service::ADDRESS)?;
    lab.hang(HOLDER)?;
    let about = |i: &Value| i["peer"] == *name && i["attempts"][1]["outcome"] == "succeeded";
    let incident = lab.incident(0, "the take-over is in the log", about)?;
    let attempts = incident["attempts"].as_array().context("attempts")?;
    ensure!(attempts.len() == 2, "{attempts:#?}");
    for (attempt, rung) in attempts.iter().zip([service::FENCE, service::TAKE]) {
        let as_meant = attempt["rung"] == rung && attempt["outcome"] == "succeeded";
        ensure!(as_meant && attempt["worker"] == other.as_str(), "{attempts:#?}");
    }
    ensure!(!lab.bmcs[HOLDER].power()?, "the power is on");
    ensure!(lab.bmcs[HOLDER].orders()? == ["0"], "{:?}", lab.bmcs[HOLDER].orders());

    // A person switches it on again: it comes back without the address, and takes part.
    let address = lab.bmcs[HOLDER].address.to_string();
    let management = lab.bed.management();
    let mut words = vec!["netns", "exec", &management, "ipmitool", "-I", "lan", "-H", &address];
    words.extend(["-U", "ops", "-P", "correct-horse", "chassis", "power", "on"]);
    run("ip", &words)?;
    let over = |i: &Value| i["id"] == incident["id"] && i["state"] == "resolved";
    lab.incident(0, "it is over", over)?;
    lab.calm(0)?;
    let held = sampler.seen()?;
    ensure!(held.holders == [HOLDER, OTHER], "{held:?}");
    ensure!(held.both == 0 && held.rounds > 1_000, "{held:?}");
    ensure!(lab.bmcs[OTHER].orders()?.is_empty(), "the one that serves was switched");
    Ok(())
}

#[test]
fn the_sampler_sees_two_that_hold_one_address() -> Result<()> {
    if !ready(&[]) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let bed = Bed::build(2, folder.path())?;
    let sampler = Sampler::watch(&bed, &[0, 1], service::ADDRESS)?;
    let address = format!("{}/32", service::ADDRESS);
    for host in 0..2 {
        run("ip", &["-n", &bed.host(host), "addr", "add", &address, "dev", "eth0"])?;
    }
    // As long as the quickest that would go wrong: two commands.
    for host in 0..2 {
        run("ip", &["-n", &bed.host(host), "addr", "del", &address, "dev", "eth0"])?;
    }
    let held = sampler.seen()?;
    ensure!(held.both > 0 && held.holders == [0, 1], "{held:?}");
    Ok(())
}
