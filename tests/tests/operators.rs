//! What operators are told when they stop repairs, let them go on, or take a peer out.

use anyhow::{Result, ensure};
use tests::{Host, Mesh, until};

/// What a command that has to succeed said on standard error.
fn said(host: &Host, arguments: &[&str]) -> Result<String> {
    let output = host.hearten(arguments)?;
    let told = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{arguments:?}: {told}");
    Ok(told)
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "where is {part:?}? {text}");
    }
}

#[test]
fn what_keeps_repairs_away_is_answered_and_shown() {
    let mesh = Mesh::of(&["role=web", "role=db"]).unwrap();
    let start = |name: &str, whom: &[&str]| {
        let begun = ["maintenance", "start", name, "--for", "1h", "--reason", "a new kernel"];
        said(&mesh[0], &[&begun[..], whom].concat()).unwrap()
    };
    contains(&start("one", &["--peer", "h2"]), &["on 1 peer: h2"]);
    contains(&start("none", &["--where", "role=nobody"]), &["no peer has role=nobody"]);
    contains(&start("all", &[]), &["in the whole mesh, 2 peers"]);
    let told = mesh[0].ok(&["status"]).unwrap();
    contains(&told, &["maintenance one on h2 until ", ": a new kernel", "all on all 2 peers"]);
    let status = mesh[1].status().unwrap();
    let on: Vec<&str> = status["maintenances"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["covers"].as_str())
        .collect();
    assert_eq!(on, ["all 2 peers", "nobody at the moment", "h2"], "{status:#}");

    contains(&said(&mesh[0], &["thaw"]).unwrap(), &["was not frozen"]);
    contains(&said(&mesh[0], &["freeze", "--reason", "storm"]).unwrap(), &["frozen: no repair"]);
    let again = said(&mesh[0], &["freeze", "--reason", "another"]).unwrap();
    contains(&again, &["frozen already, since ", ": storm"]);
    assert_eq!(mesh[0].status().unwrap()["frozen"]["reason"], "storm");
    contains(&said(&mesh[0], &["thaw"]).unwrap(), &["repairs go on"]);
}

#[test]
fn a_peer_that_runs_is_not_removed_by_mistake_and_learns_of_it_when_it_is() {
    let mut mesh = Mesh::sized(2).unwrap();
    mesh[0]
        .refused(&["peer", "remove", "h2"], 5, &["h2 runs", "hearten leave", "--force"])
        .unwrap();
    assert_eq!(mesh[0].peer("h2").unwrap()["state"], "alive");

    // Let in and never started: not the same as having left.
    let (token, at) = (mesh[0].ok(&["token", "create"]).unwrap(), mesh[0].address.to_string());
    let host = Host::new(&mesh.folder(), "h3").unwrap();
    let join = |name: &'static str| {
        ["join", "--name", name, "--http", "off", "--peer", &at, "--token", token.trim()]
    };
    let clash = host.refused(&join("h2"), 5, &["choose another --name", "lost for good"]).unwrap();
    assert!(!clash.contains("or remove"), "it runs: {clash}");
    host.ok(&join("h3")).unwrap();
    until("it has joined", || mesh[0].peer("h3").filter(|row| row["state"] == "joined")).unwrap();

    mesh[0].ok(&["peer", "remove", "h2", "--force"]).unwrap();
    assert_eq!(mesh.hosts[1].ended().unwrap(), 5, "its daemon ends");
    let told = ["was removed from its mesh by an operator", "new --data-dir"];
    mesh[1].refused(&["status"], 6, &told).unwrap();
    mesh[1].refused(&["run"], 5, &told).unwrap();
    mesh[1].refused(&join("h2"), 5, &told).unwrap();
}
