//! Who is in the mesh: joining, looking, commanding from any host, stopping, leaving, starting
//! again.

use serde_json::{Value, json};
use tests::{Host, Mesh, until};

const CHECK: &str = r#"
[[check]]
name    = "flag"
every   = "500ms"
timeout = "5s"
command = ["/bin/sh", "-c", "test -e FOLDER/$HEARTEN_PEER.ok"]
where   = { role = "web" }

[[runbook]]
name     = "raise-the-flag"
on       = { check = "flag" }
cooldown = "0s"

[[runbook.rung]]
name   = "raise"
run    = "touch FOLDER/$HEARTEN_PEER.ok"
settle = "1s"
"#;

fn documents(mesh: &Mesh) -> String {
    CHECK.replace("FOLDER", &mesh.folder().to_string_lossy())
}

/// The keys of an object.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

#[test]
fn every_peer_shows_the_whole_mesh_and_takes_every_command() {
    // The fourth does not vote: it follows the log.
    let mut mesh = Mesh::of(&["role=web,zone=a", "zone=b", "zone=c", "zone=a"]).unwrap();
    let leader = mesh.leader().unwrap();
    for host in &mesh.hosts {
        let status = host.status().unwrap();
        let promised = [
            "frozen",
            "incidents",
            "leader",
            "mesh",
            "peers",
            "quorum",
            "revision",
            "schema",
            "self",
            "term",
        ];
        for key in promised {
            assert!(keys(&status).contains(&key), "{key} is missing in {status:#}");
        }
        assert_eq!(status["schema"], 1);
        assert_eq!(status["self"], host.name);
        assert_eq!(status["leader"], mesh[leader].name);
        assert_eq!((&status["quorum"], &status["frozen"]), (&json!(true), &Value::Null));
        assert!(status["term"].as_u64().unwrap() >= 1);
        assert_eq!(
            (&status["incidents"]["open"], &status["incidents"]["waiting"]),
            (&json!(0), &json!(0))
        );
        let first = host.peer("h1").unwrap();
        let promised = [
            "address", "health", "id", "labels", "name", "role", "since", "state", "version",
            "zone",
        ];
        for key in promised {
            assert!(keys(&first).contains(&key), "{key} is missing in {first:#}");
        }
        assert_eq!(first["zone"], "a");
        assert_eq!(first["labels"], json!({ "role": "web", "zone": "a" }));
        assert_eq!(first["address"], mesh[0].address.to_string());
        let roles = ["h1", "h2", "h3", "h4"].map(|name| host.peer(name).unwrap()["role"].clone());
        assert_eq!(roles.iter().filter(|role| **role == "voter").count(), 2, "{roles:?}");
        assert_eq!(roles.iter().filter(|role| **role == "worker").count(), 1, "{roles:?}");
        let list = host.json(&["peer", "list"]).unwrap();
        assert_eq!(list["peers"].as_array().map(Vec::len), Some(4));
        assert_eq!(host.json(&["peer", "show", "h1"]).unwrap()["id"], first["id"]);
        assert_eq!(host.fails(&["peer", "show", "h9"]).unwrap().0, 3, "no such thing");
    }
    let worker = (0..4).find(|n| mesh[0].peer(&mesh[*n].name).unwrap()["role"] == "worker");
    let worker = worker.unwrap();

    // The operator's key is where the operator is: a host without it is not enough.
    let file = mesh.folder().join("documents.toml");
    std::fs::write(&file, documents(&mesh)).unwrap();
    let refused = mesh[3].fails(&["apply", &file.to_string_lossy()]).unwrap();
    assert!(refused.1.contains("operator"), "{refused:?}");
    assert_eq!(mesh[0].status().unwrap()["revision"], 0);
    let said = mesh.apply_at(worker, &documents(&mesh)).unwrap();
    assert_eq!(said.trim(), "revision 1");
    assert_eq!(mesh[worker].status().unwrap()["revision"], 1, "seen where it was given");
    mesh.incident(worker, "the flag is raised", |i| i["state"] == "resolved").unwrap();

    // A token that was made on one host lets a newcomer in at another.
    let follower = mesh.follower().unwrap();
    let token = mesh[follower].ok(&["token", "create", "--key", &mesh.key()]).unwrap();
    assert_eq!(token.trim().lines().count(), 1, "the token alone: {token}");
    let newcomer = Host::new(&mesh.folder(), "h5").unwrap();
    let (at, address) = (mesh[worker].address.to_string(), newcomer.address.to_string());
    let mut join = vec!["join", "--name", "h5", "--peer", &at, "--listen", &address];
    join.extend(["--advertise", &address, "--http", "off", "--token"]);
    let damaged = format!("{}x", token.trim());
    let refused = newcomer.fails(&[&join[..], &[damaged.as_str()]].concat()).unwrap();
    assert_ne!(refused.0, 0);
    newcomer.ok(&[&join[..], &[token.trim()]].concat()).unwrap();
    let again = Host::new(&mesh.folder(), "h6").unwrap();
    let address = again.address.to_string();
    let mut twice = vec!["join", "--name", "h6", "--peer", &at, "--listen", &address];
    twice.extend(["--advertise", &address, "--http", "off", "--token", token.trim()]);
    assert_eq!(again.fails(&twice).unwrap().0, 4, "a token is used once");
    mesh.hosts.push(newcomer);
    mesh.hosts[4].start().unwrap();
    mesh.settled().unwrap();

    // A data directory belongs to one daemon.
    let (code, said) = mesh[worker].fails(&["run"]).unwrap();
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("in use by another daemon"), "{said}");
    assert!(mesh.hosts[worker].is_running());
}

#[test]
fn who_stops_or_leaves_on_purpose_is_not_missed() {
    let mut mesh = Mesh::sized(4).unwrap();
    let gone = (1..4).find(|n| mesh[0].peer(&mesh[*n].name).unwrap()["role"] == "worker").unwrap();
    let gone_name = mesh[gone].name.clone();
    mesh[gone].ok(&["leave"]).unwrap();
    assert_eq!(mesh.hosts[gone].ended().unwrap(), 0, "the daemon ends by itself");
    until("nobody shows the peer that left", || mesh[0].peer(&gone_name).is_none().then_some(()))
        .unwrap();

    let stopped = mesh.follower().unwrap();
    let stopped_name = mesh[stopped].name.clone();
    assert_eq!(mesh.hosts[stopped].stop().unwrap(), 0);
    until("it is shown as stopped", || {
        mesh[0].peer(&stopped_name).filter(|row| row["state"] == "left")
    })
    .unwrap();
    assert_eq!(mesh[0].status().unwrap()["quorum"], true);
    mesh.hosts[stopped].start().unwrap();
    until("it is alive again", || {
        mesh[0].peer(&stopped_name).filter(|row| row["state"] == "alive")
    })
    .unwrap();

    // Stopped once more, and then another host dies: by the time that the mesh has noticed the
    // second, it would long have noticed the first.
    assert_eq!(mesh.hosts[stopped].stop().unwrap(), 0);
    mesh.hosts[stopped].start().unwrap();
    let dead = mesh.follower().unwrap();
    let dead_name = mesh[dead].name.clone();
    until("all three vote and are well", || {
        let status = mesh[0].status()?;
        let peers = status["peers"].as_array()?;
        let well = |p: &&Value| p["state"] == "alive" && p["role"] != "learner";
        (peers.iter().filter(well).count() == 3).then_some(())
    })
    .unwrap();
    mesh.hosts[dead].kill().unwrap();
    mesh.incident(0, "the dead host is missed", |i| i["peer"] == *dead_name).unwrap();
    let others = mesh.incidents(0).unwrap();
    assert!(others.iter().all(|i| i["peer"] == *dead_name), "{others:#?}");
}

#[test]
fn a_power_failure_of_every_host_loses_nothing() {
    let mut mesh = Mesh::of(&["role=web", "", ""]).unwrap();
    mesh.apply(&documents(&mesh)).unwrap();
    let before = mesh.incident(0, "resolved", |i| i["state"] == "resolved").unwrap();
    let history = mesh[0].json(&["document", "history"]).unwrap();
    let id = mesh[0].peer("h1").unwrap()["id"].clone();
    for host in &mut mesh.hosts {
        host.kill().unwrap();
    }
    for host in &mut mesh.hosts {
        host.start().unwrap();
    }
    mesh.settled().unwrap();
    for host in 0..3 {
        assert_eq!(mesh[host].json(&["document", "history"]).unwrap(), history);
        assert_eq!(mesh[host].status().unwrap()["revision"], 1);
        let id = before["id"].as_str().unwrap();
        assert_eq!(mesh[host].json(&["incident", "show", id]).unwrap(), before);
    }
    assert_eq!(mesh[0].peer("h1").unwrap()["id"], id, "a peer keeps its id");
    // And it goes on healing.
    std::fs::remove_file(mesh.folder().join("h1.ok")).unwrap();
    let newer = |i: &Value| i["state"] == "resolved" && i["id"] != before["id"];
    mesh.incident(1, "the flag is raised again", newer).unwrap();
}
