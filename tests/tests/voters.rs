//! Who votes: how many, in which zones, what becomes of lost seats, lost stores and lost leaders.

use serde_json::Value;
use std::{collections::BTreeSet, path::Path};
use tests::{Mesh, until, until_within};

/// A document that does nothing, so that there is something to commit.
fn note(name: &str) -> String {
    format!("[[check]]\nname = \"{name}\"\nevery = \"1h\"\ncommand = \"exit 0\"\n")
}

/// The names of those that vote, as `host` sees it.
fn voters(mesh: &Mesh, host: usize) -> BTreeSet<String> {
    let peers = mesh[host].json(&["peer", "list"]).map(|list| list["peers"].clone());
    let peers = peers.ok().and_then(|peers| peers.as_array().cloned()).unwrap_or_default();
    let votes = |peer: &&Value| peer["role"] == "voter" || peer["role"] == "leader";
    let name = |peer: &Value| peer["name"].as_str().map(str::to_owned);
    peers.iter().filter(votes).filter_map(name).collect()
}

/// Flips bytes in every file below a folder.
fn damage(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            damage(&path)?;
        } else {
            let mut bytes = std::fs::read(&path)?;
            bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x5a);
            std::fs::write(&path, bytes)?;
        }
    }
    Ok(())
}

#[test]
fn three_voters_survive_a_lost_follower_a_lost_leader_and_a_lost_store() {
    let mut mesh = Mesh::sized(3).unwrap();
    for host in 0..3 {
        assert_eq!(voters(&mesh, host).len(), 3);
        let members = mesh[host].json(&["raft", "members"]).unwrap();
        assert_eq!(members["members"].as_array().map(Vec::len), Some(3), "{members:#}");
    }

    // A follower that was down learns what it has missed.
    let follower = mesh.follower().unwrap();
    mesh.hosts[follower].kill().unwrap();
    assert_eq!(mesh.apply(&note("first")).unwrap().trim(), "revision 1");
    mesh.hosts[follower].start().unwrap();
    until("the follower has caught up", || {
        (mesh[follower].status()?["revision"] == 1).then_some(())
    })
    .unwrap();
    mesh[follower].ok(&["document", "show", "check/first"]).unwrap();
    mesh.settled().unwrap();

    // Without its leader the mesh finds another, which takes the next command at once.
    let leader = mesh.leader().unwrap();
    let before = mesh[leader].status().unwrap()["term"].as_u64().unwrap();
    let at = (0..3).find(|n| *n != leader).unwrap();
    let leader_name = mesh[leader].name.clone();
    let key = mesh.key();
    mesh.hosts[leader].kill().unwrap();
    let status = until("another leads", || {
        mesh[at].status().filter(|s| s["quorum"] == true && s["leader"] != *leader_name)
    })
    .unwrap();
    assert!(status["term"].as_u64().unwrap() > before);
    let file = mesh.folder().join("second.toml");
    std::fs::write(&file, note("second")).unwrap();
    let said = mesh[at].ok(&["apply", &file.to_string_lossy(), "--key", &key]).unwrap();
    assert_eq!(said.trim(), "revision 2");
    mesh.hosts[leader].start().unwrap();
    until("the old leader knows", || (mesh[leader].status()?["revision"] == 2).then_some(()))
        .unwrap();
    mesh.settled().unwrap();

    // A damaged store is set aside; the peer comes back with a new one and votes again.
    let hurt = mesh.follower().unwrap();
    mesh.hosts[hurt].kill().unwrap();
    damage(&mesh[hurt].data.join("raft")).unwrap();
    mesh.hosts[hurt].start().unwrap();
    mesh.settled().unwrap();
    let log = std::fs::read_to_string(mesh[hurt].log()).unwrap();
    assert!(log.contains("damaged and set aside"), "nobody was told of it");
    until("it has every document again", || (mesh[hurt].status()?["revision"] == 2).then_some(()))
        .unwrap();
    assert_eq!(mesh.apply_at(hurt, &note("third")).unwrap().trim(), "revision 3");
    // Its vote counts: with another one lost the mesh still has its majority.
    let other = mesh.follower().unwrap();
    let lost = if other == hurt { mesh.leader().unwrap() } else { other };
    mesh.hosts[lost].kill().unwrap();
    let lost_name = mesh[lost].name.clone();
    until("two of three lead on", || {
        mesh[hurt].status().filter(|s| s["quorum"] == true && s["leader"] != *lost_name)
    })
    .unwrap();
    let file = mesh.folder().join("fourth.toml");
    std::fs::write(&file, note("fourth")).unwrap();
    mesh[hurt].ok(&["apply", &file.to_string_lossy(), "--key", &key]).unwrap();
}

#[test]
fn five_of_six_vote_over_all_zones_and_the_sixth_takes_the_seat_of_one_that_is_gone() {
    let mut mesh = Mesh::of(&["zone=a", "zone=a", "zone=b", "zone=b", "zone=c", "zone=c"]).unwrap();
    let seated = voters(&mesh, 0);
    assert_eq!(seated.len(), 5);
    let zone = |name: &String| mesh[0].peer(name).unwrap()["zone"].as_str().unwrap().to_owned();
    let zones: BTreeSet<String> = seated.iter().map(zone).collect();
    assert_eq!(zones.len(), 3, "all three zones vote: {seated:?}");
    mesh.apply("[mesh]\nvoter_gone_after = \"10s\"\n").unwrap();

    let spare = mesh.hosts.iter().map(|host| host.name.clone()).find(|n| !seated.contains(n));
    let spare = spare.unwrap();
    let lost = mesh.follower().unwrap();
    let lost_name = mesh[lost].name.clone();
    mesh.hosts[lost].kill().unwrap();
    let wanted: BTreeSet<String> =
        seated.iter().filter(|n| **n != lost_name).chain([&spare]).cloned().collect();
    until_within(tests::PATIENCE * 2, "the sixth has the seat", || {
        (voters(&mesh, 0) == wanted).then_some(())
    })
    .unwrap();
    assert_eq!(mesh[0].status().unwrap()["quorum"], true);

    // Who was gone and comes back finds the seat taken, and follows.
    mesh.hosts[lost].start().unwrap();
    mesh.settled().unwrap();
    assert_eq!(voters(&mesh, lost), wanted);
    assert_eq!(mesh[0].peer(&lost_name).unwrap()["role"], "worker");
}
