//! The mesh watches itself, and an outside switch watches the mesh: real daemons, a real server.

use serde_json::Value;
use std::time::Instant;
use tests::{Desk, Mesh, until};

/// Checks of the mesh itself. Whatever disk this runs on, more than 1 % of it is used: for the
/// limit it is full.
const CHECKS: &str = r#"
[[check]]
name       = "own-disk"
mesh       = "disk"
every      = "1s"
fail_after = 1
warn       = 1
fail       = 1
where      = { disk = "small" }

[[check]]
name  = "own-clock"
mesh  = "clock"
every = "1s"

[[check]]
name  = "own-certificate"
mesh  = "certificate"
every = "1s"

[[check]]
name  = "own-log"
mesh  = "follower"
every = "1s"

[[check]]
name  = "own-leader"
mesh  = "leader"
every = "1s"

[[check]]
name       = "own-voters"
mesh       = "voters"
every      = "1s"
fail_after = 1

[[runbook]]
name = "own-disk"
on   = { check = "own-disk" }

[[runbook.rung]]
name    = "clear"
run     = "true"
timeout = "5s"
"#;

fn open(incidents: &[Value], check: &str) -> Vec<Value> {
    let about = |incident: &&Value| {
        incident["because"]["check"] == *check && incident["state"] != "resolved"
    };
    incidents.iter().filter(about).cloned().collect()
}

#[test]
fn what_is_wrong_with_the_mesh_itself_is_an_incident_and_what_is_well_is_none() {
    let mut mesh = Mesh::of(&["", "", "disk=small"]).unwrap();
    mesh.apply(CHECKS).unwrap();
    let full = mesh
        .incident(0, "the small disk is told of", |incident| {
            incident["because"]["check"] == "own-disk"
        })
        .unwrap();
    assert_eq!(full["peer"], "h3");
    let said = full["because"]["summary"].as_str().unwrap();
    assert!(said.ends_with("% of the data directory's space is used"), "{said}");
    assert_eq!(full["runbook"], "own-disk");

    // The others are well, and each says what it measured.
    let said = |check: &str| {
        let ran = mesh[0].json(&["check", "run", check]).ok()?;
        Some((ran["verdict"].as_str()?.to_owned(), ran["summary"].as_str()?.to_owned()))
    };
    for (check, word) in [
        ("own-clock", "agrees with 2 others"),
        ("own-certificate", "expires in 36"),
        ("own-log", "level with the leader's log"),
    ] {
        until(check, || {
            said(check).filter(|(verdict, text)| verdict == "pass" && text.contains(word))
        })
        .unwrap_or_else(|error| panic!("{error}: {:?}", said(check)));
    }

    // A voter is gone: the leader says so, and nobody else beside it.
    let lost = mesh.follower().unwrap();
    let name = mesh[lost].name.clone();
    mesh.hosts[lost].kill().unwrap();
    let leader = mesh.leader().unwrap();
    let missed = mesh
        .incident(leader, "the lost voter is told of", |incident| {
            incident["because"]["check"] == "own-voters"
        })
        .unwrap();
    assert_eq!(missed["peer"], mesh[leader].name.as_str());
    let said = missed["because"]["summary"].as_str().unwrap();
    assert_eq!(said, format!("1 of 3 voters not heard: {name}"));
    assert_eq!(open(&mesh.incidents(leader).unwrap(), "own-voters").len(), 1);
    mesh.hosts[lost].start().unwrap();
    until("it is over", || {
        open(&mesh.incidents(leader).ok()?, "own-voters").is_empty().then_some(())
    })
    .unwrap();
    let all = mesh.incidents(leader).unwrap();
    for check in ["own-clock", "own-certificate", "own-log", "own-leader"] {
        let about = all.iter().filter(|incident| incident["because"]["check"] == *check);
        assert_eq!(about.count(), 0, "{check}: {all:#?}");
    }
}

#[test]
fn the_switch_is_called_by_the_leader_and_by_the_next_one_and_status_tells_when_it_does_not_answer()
{
    let mut mesh = Mesh::sized(3).unwrap();
    let desk = Desk::open().unwrap();
    let settings = |url: &str, method: &str| {
        format!("[mesh]\ncheck_in = {{ url = \"{url}\", method = \"{method}\", every = \"1s\" }}\n")
    };
    mesh.apply(&settings(&format!("{}/mesh/7", desk.url()), "POST")).unwrap();
    until("it is called three times", || (desk.asked().len() >= 3).then_some(())).unwrap();
    let asked = desk.asked();
    assert!(asked.iter().all(|asked| asked.what == "POST /mesh/7" && asked.body.is_empty()));

    // One caller: in five intervals there are not more than five calls and the one that was due.
    let (before, began) = (desk.asked().len(), Instant::now());
    until("five more", || (desk.asked().len() >= before + 5).then_some(())).unwrap();
    let took = began.elapsed();
    assert!(took.as_millis() >= 3_900, "five calls of one leader in {took:?}");

    // The next leader goes on.
    let leader = mesh.leader().unwrap();
    mesh.hosts[leader].kill().unwrap();
    let before = desk.asked().len();
    let next = mesh.leader().unwrap();
    assert_ne!(next, leader);
    until("the next leader calls", || (desk.asked().len() >= before + 3).then_some(())).unwrap();

    // Nobody leads: nobody calls.
    let other = (0..3).find(|n| *n != leader && *n != next).unwrap();
    mesh.hosts[other].kill().unwrap();
    until("there is no quorum", || (mesh[next].status()?["quorum"] == false).then_some(()))
        .unwrap();
    let before = desk.asked().len();
    let began = Instant::now();
    until("three intervals pass", || (began.elapsed().as_secs() >= 3).then_some(())).unwrap();
    assert_eq!(desk.asked().len(), before, "a leader without a quorum does not call");
    mesh.hosts[other].start().unwrap();
    mesh.hosts[leader].start().unwrap();
    mesh.settled().unwrap();

    // A switch that does not answer is told of wherever one asks.
    let nobody = tests::parts::free_port().unwrap();
    mesh.apply(&settings(&format!("http://127.0.0.1:{nobody}/"), "GET")).unwrap();
    for host in 0..3 {
        let told = until("it is told", || {
            mesh[host].status()?["check_in_problem"].as_str().map(str::to_owned)
        });
        let told = told.unwrap();
        assert!(told.starts_with("3 calls failed since") && told.contains("refused"), "{told}");
    }
    let headline = mesh[0].ok(&["status"]).unwrap();
    assert!(headline.contains("CHECK-IN FAILS: 3 calls failed since"), "{headline}");
    mesh.apply(&settings(&desk.url(), "GET")).unwrap();
    until("it is well again", || mesh[0].status()?["check_in_problem"].is_null().then_some(()))
        .unwrap();
}
