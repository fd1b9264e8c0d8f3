//! Silence that is none, and silence that nobody may act on: hosts that move, stop and boot,
//! firewalls that answer for agents that live, losses in one direction, splits, and slow cables.
//!
//! That nothing happens cannot be waited for. So each of these tests breaks something else as well,
//! under the same circumstances, and waits until that was found.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};
use tests::{
    Lab,
    lab::{
        Manners, Wire,
        faults::{Cut, Wall},
        ready,
    },
    until,
};

/// A neighbour notes itself and the host that is silent.
const RUNBOOK: &str = r#"
[[runbook]]
name     = "host-is-silent"
on       = { peer = "silent" }
cooldown = "0s"

[[runbook.rung]]
name = "note"
by   = "neighbour"
run  = "echo $HEARTEN_WORKER $HEARTEN_PEER >> FOLDER/noted"
"#;

fn lab(hosts: usize) -> Result<Option<Lab>> {
    if !ready(&[]) {
        return Ok(None);
    }
    let lab = Lab::sized(hosts)?;
    lab.apply(&RUNBOOK.replace("FOLDER", &lab.folder().to_string_lossy()))?;
    Ok(Some(lab))
}

/// Those that a silence was opened about.
fn found(lab: &Lab) -> Result<Vec<String>> {
    let incidents = lab.incidents(0)?;
    let silences = incidents.iter().filter(|i| i["because"]["kind"] == "silent");
    Ok(silences.filter_map(|i| i["peer"].as_str().map(str::to_owned)).collect())
}

/// Kills an agent, waits until that was found, and brings it back: whatever else was to be found
/// has been by then.
fn control(lab: &mut Lab, host: usize) -> Result<()> {
    let name = lab[host].name.clone();
    lab.hosts[host].kill()?;
    let about =
        |i: &Value| i["peer"] == *name && !i["attempts"].as_array().is_none_or(Vec::is_empty);
    lab.incident(0, "the killed one is found", about)?;
    lab.hosts[host].start()?;
    let over = |i: &Value| i["peer"] == *name && i["state"] == "resolved";
    lab.incident(0, "it is over", over).map(drop)
}

/// Nothing was found but the one that was killed.
fn found_but(lab: &Lab, control: usize) -> Result<()> {
    let found = found(lab)?;
    ensure!(found == [lab[control].name.as_str()], "{found:?}: {:#?}", lab.incidents(0));
    Ok(())
}

#[test]
fn a_peer_with_another_address_is_the_same_peer() -> Result<()> {
    let Some(mut lab) = lab(4)? else { return Ok(()) };
    let row = |lab: &Lab, looker: usize| lab[looker].peer("h3").context("its row");
    let before = row(&lab, 0)?;
    lab.renumber(2)?;
    let address = lab[2].address.to_string();
    ensure!(before["address"] != address.as_str(), "it has moved");
    for looker in [0, 1, 3] {
        until("its new address is known", || {
            let row = lab[looker].peer("h3")?;
            (row["address"] == address.as_str() && row["state"] == "alive").then_some(())
        })?;
        ensure!(row(&lab, looker)?["id"] == before["id"], "another peer");
        let status = lab[looker].status().context("a status")?;
        ensure!(status["peers"].as_array().is_some_and(|peers| peers.len() == 4), "{status:#}");
    }
    lab.settled()?;
    control(&mut lab, 3)?;
    found_but(&lab, 3)?;
    // And it is missed where it is now.
    lab.hosts[2].kill()?;
    lab.incident(0, "it is missed", |i| i["peer"] == "h3").map(drop)
}

#[test]
fn a_clean_stop_and_a_restart_open_nothing() -> Result<()> {
    let Some(mut lab) = lab(5)? else { return Ok(()) };
    ensure!(lab.hosts[1].stop()? == 0);
    until("it is known to be away", || (lab[0].peer("h2")?["state"] != "alive").then_some(()))?;
    lab.hosts[2].stop()?;
    lab.hosts[2].start()?;
    control(&mut lab, 3)?;
    found_but(&lab, 3)?;
    lab.hosts[1].start()?;
    lab.calm(0)?;
    found_but(&lab, 3)
}

#[test]
fn a_reboot_under_maintenance_opens_nothing() -> Result<()> {
    let Some(mut lab) = lab(5)? else { return Ok(()) };
    let key = lab.key();
    let order = ["maintenance", "start", "kernel", "--for", "1h", "--peer", "h2"];
    lab[0].ok(&[&order[..], &["--reason", "a new kernel", "--key", &key]].concat())?;
    lab.hosts[1].kill()?;
    lab.unplug(1)?;
    control(&mut lab, 3)?;
    found_but(&lab, 3)?;
    lab.bed.new_boot(1)?;
    lab.plug(1)?;
    lab.hosts[1].start()?;
    lab.calm(0)?;
    lab[0].ok(&["maintenance", "end", "kernel", "--key", &key])?;
    found_but(&lab, 3)?;
    // Without it, it is missed.
    lab.hosts[1].kill()?;
    lab.incident(0, "it is missed", |i| i["peer"] == "h2").map(drop)
}

#[test]
fn a_firewall_that_answers_for_an_agent_that_lives_is_no_crash() -> Result<()> {
    let Some(mut lab) = lab(5)? else { return Ok(()) };
    for wall in [Wall::RejectsNew, Wall::RejectsAll] {
        lab.wall(1, wall)?;
        control(&mut lab, 3)?;
        lab.unwall(1)?;
        lab.calm(0)?;
        let about = |i: &&Value| i["peer"] == "h2" && i["because"]["silence"] == "crashed";
        let incidents = lab.incidents(0)?;
        ensure!(!incidents.iter().any(|i| about(&i)), "{wall:?}: {incidents:#?}");
    }
    Ok(())
}

#[test]
fn a_peer_that_one_other_cannot_hear_is_not_missed() -> Result<()> {
    let Some(mut lab) = lab(5)? else { return Ok(()) };
    // Not even when that other leads.
    let leader = lab.leader()?;
    let quiet = (1..5).find(|host| *host != leader).context("another")?;
    let control_host = (1..5).find(|host| ![leader, quiet].contains(host)).context("another")?;
    lab.deafen(leader, &[quiet])?;
    control(&mut lab, control_host)?;
    found_but(&lab, control_host)?;
    lab.undeafen(leader)?;
    lab.calm(0)
}

#[test]
fn a_peer_that_stood_still_accuses_nobody_when_it_goes_on() -> Result<()> {
    let Some(mut lab) = lab(5)? else { return Ok(()) };
    // The leader has most to say.
    let leader = lab.leader()?;
    let looker = usize::from(leader == 0);
    let name = lab[leader].name.clone();
    lab.signal_all(leader, "STOP")?;
    lab.incident(looker, "it is missed", |i| i["peer"] == *name)?;
    lab.signal_all(leader, "CONT")?;
    lab.calm(looker)?;
    let victim = (1..5).find(|host| ![leader, looker].contains(host)).context("another")?;
    control(&mut lab, victim)?;
    let (mut found, mut expected) = (found(&lab)?, vec![name, lab[victim].name.clone()]);
    found.sort();
    expected.sort();
    ensure!(found == expected, "{found:?}: {:#?}", lab.incidents(0));
    Ok(())
}

#[test]
fn the_smaller_side_of_a_split_does_nothing() -> Result<()> {
    let Some(mut lab) = lab(5)? else { return Ok(()) };
    for time in 0..3 {
        // The one that leads is on the smaller side, every other time.
        let leader = lab.leader()?;
        let others: Vec<usize> = (0..5).filter(|host| *host != leader).collect();
        let side = if time % 2 == 0 { [leader, others[0]] } else { [others[0], others[1]] };
        let looker = others[3];
        let names: Vec<&str> = side.iter().map(|host| lab[*host].name.as_str()).collect();
        let before = lab.lines("noted").len();
        lab.partition(&side, Cut::Both)?;
        until("the larger side has acted for all of the smaller", || {
            let noted = lab.lines("noted").split_off(before);
            let about = |name: &&str| noted.iter().any(|line| line.ends_with(*name));
            names.iter().all(about).then_some(())
        })
        .with_context(|| format!("{:#?}", lab.incidents(looker)))?;
        let noted = lab.lines("noted").split_off(before);
        lab.rejoin()?;
        let by = |line: &String| names.contains(&line.split(' ').next().unwrap_or_default());
        ensure!(!noted.iter().any(by), "{names:?} acted: {noted:?}");
        lab.calm(looker)?;
        lab.settled()?;
    }
    Ok(())
}

#[test]
fn a_cable_that_delays_repeats_and_reorders_makes_nobody_silent() -> Result<()> {
    let Some(mut lab) = lab(4)? else { return Ok(()) };
    let manners = Manners {
        delay: Duration::from_millis(40),
        jitter: Duration::from_millis(60),
        twice_percent: 20,
    };
    let wire = Wire::stretch(&lab.bed, 1, manners)?;
    control(&mut lab, 3)?;
    found_but(&lab, 3)?;
    drop(wire);
    lab.settled()?;
    found_but(&lab, 3)
}

#[test]
fn a_cable_delays_and_both_ends_see_each_other() -> Result<()> {
    if !ready(&[]) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let bed = tests::Bed::build(2, folder.path())?;
    let delay = Duration::from_millis(50);
    let manners = Manners { delay, jitter: Duration::ZERO, twice_percent: 100 };
    let wire = Wire::stretch(&bed, 1, manners)?;
    let open = |host: usize| {
        let address = bed.address(host);
        let socket = bed.inside(&bed.host(host), || UdpSocket::bind((address, 4327)))??;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        anyhow::Ok(socket)
    };
    let sockets = [open(0)?, open(1)?];
    for (from, to) in [(0, 1), (1, 0)] {
        let mut bytes = [0; 16];
        let began = Instant::now();
        sockets[from].send_to(b"hello", sockets[to].local_addr()?)?;
        for _ in 0..2 {
            let (length, sender) = sockets[to].recv_from(&mut bytes).context("it is lost")?;
            ensure!(&bytes[..length] == b"hello" && sender == sockets[from].local_addr()?);
            ensure!(began.elapsed() >= delay, "after {:?}", began.elapsed());
        }
    }
    drop(wire);
    Ok(())
}

#[test]
fn a_bed_that_was_left_behind_is_removed_by_the_next() -> Result<()> {
    if !ready(&[]) {
        return Ok(());
    }
    // No process has this number: it is above what the kernel gives out.
    let left = "hearten-lab-99999999-0-h1";
    tests::lab::bed::run("ip", &["netns", "add", left])?;
    let folder = tempfile::tempdir()?;
    let bed = tests::Bed::build(1, folder.path())?;
    ensure!(!std::path::Path::new("/run/netns").join(left).exists(), "it is still there");
    let name = bed.host(0);
    ensure!(std::path::Path::new("/run/netns").join(&name).exists());
    drop(bed);
    ensure!(!std::path::Path::new("/run/netns").join(&name).exists(), "it does not clean up");
    Ok(())
}
