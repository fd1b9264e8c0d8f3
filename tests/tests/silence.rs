//! A host that does not answer: who sees it, who acts for it, and who does not.

use serde_json::Value;
use std::{collections::BTreeSet, path::PathBuf};
use tests::{Mesh, until};

const RUNBOOK: &str = r#"
[[runbook]]
name     = "host-is-silent"
on       = { peer = "silent" }
cooldown = "0s"

[[runbook.rung]]
name    = "rescue"
by      = "neighbour"
run     = "echo $HEARTEN_PEER $HEARTEN_WORKER $HEARTEN_VERDICT $HEARTEN_INCIDENT/$HEARTEN_ATTEMPT >> FOLDER/rescues"
timeout = "10s"
settle  = "1s"
"#;

fn rescues(mesh: &Mesh) -> PathBuf {
    mesh.folder().join("rescues")
}

/// The rescues so far: whose, by whom, why, and which attempt.
fn rescued(mesh: &Mesh) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(rescues(mesh)).unwrap_or_default();
    text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

/// Those that saw the silence.
fn witnesses(incident: &Value) -> BTreeSet<String> {
    let all = incident["because"]["witnesses"].as_array().cloned().unwrap_or_default();
    let saw = all.iter().filter(|witness| witness["seen"] != "reached");
    saw.filter_map(|witness| witness["witness"].as_str().map(str::to_owned)).collect()
}

fn is_about<'a>(name: &'a str, state: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |incident| incident["peer"] == *name && incident["state"] == *state
}

#[test]
fn a_neighbour_acts_once_for_a_silent_host_and_it_is_over_when_the_host_returns() {
    let mut mesh = Mesh::sized(5).unwrap();
    mesh.apply(&RUNBOOK.replace("FOLDER", &mesh.folder().to_string_lossy())).unwrap();
    let leader = mesh.leader().unwrap();
    let leader_name = mesh[leader].name.clone();

    // Crashed: the process is gone, its host answers.
    let lost = mesh.follower().unwrap();
    let name = mesh[lost].name.clone();
    mesh.hosts[lost].kill().unwrap();
    let incident =
        mesh.incident(0, "every rung was climbed", is_about(&name, "escalated")).unwrap();
    assert_eq!(mesh[0].peer(&name).unwrap()["state"], "silent");
    assert_eq!(incident["because"]["kind"], "silent");
    assert_eq!(incident["because"]["silence"], "crashed");
    let saw = witnesses(&incident);
    assert!(saw.contains(&leader_name) && saw.len() >= 3 && !saw.contains(&name), "{saw:?}");
    let attempts = incident["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(attempts[0]["outcome"], "succeeded");
    let worker = attempts[0]["worker"].as_str().unwrap();
    assert_ne!(worker, name);
    let id = incident["id"].as_str().unwrap();
    let rescue = [name.as_str(), worker, "crashed", &format!("{id}/1")].map(str::to_owned);
    assert_eq!(rescued(&mesh), [rescue.to_vec()], "one neighbour, once");
    let story = mesh[0].ok(&["incident", "explain", id]).unwrap();
    for witness in &saw {
        assert!(story.contains(witness.as_str()), "{witness} is not named in {story}");
    }
    assert!(mesh[0].ok(&["incident", "show", id]).unwrap().contains(&name));
    mesh.hosts[lost].start().unwrap();
    mesh.incident(0, "it is over", is_about(&name, "resolved")).unwrap();

    // Dark: the process is there and says nothing, as a host does that hangs.
    mesh.settled().unwrap();
    let hung = mesh.follower().unwrap();
    let name = mesh[hung].name.clone();
    mesh[hung].signal("STOP").unwrap();
    let dark = |i: &Value| i["peer"] == *name && i["because"]["silence"] == "dark";
    let incident = mesh.incident(0, "the silence is attested", dark).unwrap();
    assert!(witnesses(&incident).len() >= 3, "{incident:#}");
    until("a neighbour acts", || (rescued(&mesh).len() == 2).then_some(())).unwrap();
    mesh[hung].signal("CONT").unwrap();
    let over = |i: &Value| i["id"] == incident["id"] && i["state"] == "resolved";
    mesh.incident(0, "it answers again", over).unwrap();
    mesh.settled().unwrap();
    assert_eq!(rescued(&mesh).len(), 2);
    assert_eq!(mesh[0].status().unwrap()["incidents"]["open"], 0);
}

#[test]
fn in_a_mesh_of_three_all_others_are_witnesses_and_without_a_quorum_nobody_acts() {
    let mut mesh = Mesh::sized(3).unwrap();
    mesh.apply(&RUNBOOK.replace("FOLDER", &mesh.folder().to_string_lossy())).unwrap();
    let lost = mesh.follower().unwrap();
    let name = mesh[lost].name.clone();
    mesh.hosts[lost].kill().unwrap();
    let incident = mesh.incident(0, "a neighbour acts", |i| {
        i["peer"] == *name && i["attempts"][0]["outcome"] == "succeeded"
    });
    let incident = incident.unwrap();
    let others: BTreeSet<String> =
        mesh.hosts.iter().map(|host| host.name.clone()).filter(|other| *other != name).collect();
    assert_eq!(witnesses(&incident), others);
    assert_eq!(rescued(&mesh).len(), 1);

    // One of three is left: it sees that the second is gone, and may do nothing about it.
    let second = (1..3).find(|n| *n != lost).unwrap();
    let second_name = mesh[second].name.clone();
    mesh.hosts[second].kill().unwrap();
    until("the last one knows that it is alone", || {
        let row = mesh[0].peer(&second_name)?;
        (row["state"] == "suspect" && mesh[0].status()?["quorum"] == false).then_some(())
    })
    .unwrap();
    // A command is carried about for eight seconds before it is refused: time enough to look twice.
    let (code, said) = mesh[0].fails(&["freeze", "--reason", "nobody is there"]).unwrap();
    assert_eq!(code, 6, "{said}");
    assert_eq!(mesh[0].fails(&["status", "--check"]).unwrap().0, 2);
    assert_eq!(mesh.incidents(0).unwrap().len(), 1, "nothing new is in the log");
    assert_eq!(rescued(&mesh).len(), 1, "nobody acted");

    // With the second one back there is a majority again.
    mesh.hosts[second].start().unwrap();
    until("there is a quorum", || (mesh[0].status()?["quorum"] == true).then_some(())).unwrap();
    mesh.hosts[lost].start().unwrap();
    mesh.incident(0, "the first one is back", is_about(&name, "resolved")).unwrap();
}
