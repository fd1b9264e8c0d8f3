//! No attempt is ever executed twice: not when its worker dies in the middle, not when the leader
//! does, however often.

use serde_json::Value;
use std::collections::BTreeMap;
use tests::{Hook, Mesh, until};

/// A check, and a runbook whose one rung leaves a line for every execution. `BODY` comes after it.
const DOCUMENTS: &str = r#"
[[check]]
name    = "NAME"
every   = "500ms"
timeout = "5s"
command = ["/bin/sh", "-c", "test $HEARTEN_PEER != ILL || test -e FOLDER/NAME.ok"]

[[runbook]]
name       = "mend-NAME"
on         = { check = "NAME" }
cooldown   = "0s"
on_unknown = "ON_UNKNOWN"

[[runbook.rung]]
name    = "mend"
run     = "echo $HEARTEN_INCIDENT/$HEARTEN_ATTEMPT >> FOLDER/NAME.executions; BODY"
timeout = "30s"
settle  = "500ms"
"#;

/// The documents, with which the host at `ill` is ill as long as `NAME.ok` is missing.
fn documents(mesh: &Mesh, (name, ill): (&str, usize), on_unknown: &str, body: &str) -> String {
    DOCUMENTS
        .replace("BODY", body)
        .replace("ILL", &mesh[ill].name)
        .replace("ON_UNKNOWN", on_unknown)
        .replace("NAME", name)
        .replace("FOLDER", &mesh.folder().to_string_lossy())
}

/// How often each attempt was executed.
fn executions(mesh: &Mesh, name: &str) -> BTreeMap<String, usize> {
    let file = mesh.folder().join(format!("{name}.executions"));
    let mut count = BTreeMap::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        *count.entry(line.to_owned()).or_default() += 1;
    }
    count
}

fn of_runbook<'a>(name: &'a str, state: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |incident| incident["runbook"] == *name && incident["state"] == *state
}

#[test]
fn a_repair_whose_worker_died_is_not_started_again_and_its_fate_is_unknown() {
    let hook = Hook::listen().unwrap();
    let mut mesh = Mesh::sized(3).unwrap();
    let folder = mesh.folder();
    let file = |name: &str| folder.join(name);
    std::fs::write(file("ask.ok"), "").unwrap();
    std::fs::write(file("retry.ok"), "").unwrap();
    let second = "test $HEARTEN_ATTEMPT = 2 && touch FOLDER/retry.ok && exit 0; sleep 25";
    let notifier =
        format!("[[notifier]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}\"\n", hook.url());
    let all = [
        documents(&mesh, ("ask", 1), "ask", "sleep 25"),
        documents(&mesh, ("retry", 1), "retry", second),
        notifier,
    ];
    mesh.apply(&all.concat()).unwrap();
    until("h2 is well", || mesh[0].peer("h2").filter(|row| row["health"] == "passing")).unwrap();
    std::fs::remove_file(file("ask.ok")).unwrap();
    std::fs::remove_file(file("retry.ok")).unwrap();
    until("both repairs are under way", || {
        let both = !executions(&mesh, "ask").is_empty() && !executions(&mesh, "retry").is_empty();
        both.then_some(())
    })
    .unwrap();
    mesh.hosts[1].kill().unwrap();
    mesh.hosts[1].start().unwrap();

    // What it was in the middle of has ended for the log, and was not begun again.
    let ended = |name: &str| {
        let incidents = mesh.incidents(0).ok()?;
        let fits = |i: &&Value| i["runbook"] == format!("mend-{name}");
        incidents.iter().find(fits)?["attempts"][0]["outcome"].as_str().map(str::to_owned)
    };
    for name in ["ask", "retry"] {
        let outcome = until("the first attempt's fate is told, or it runs again", || {
            let again = executions(&mesh, name).into_values().any(|count| count > 1);
            ended(name).or_else(|| again.then(|| "executed twice".to_owned()))
        });
        assert_eq!(outcome.unwrap(), "unknown", "{name}");
    }

    // Asked not to guess: it waits for a person, who is called.
    let waits = mesh.incident(0, "a person is waited for", of_runbook("mend-ask", "waiting"));
    let waits = waits.unwrap();
    let attempts = waits["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0]["outcome"], "unknown");
    assert!(waits["waiting_for"].as_str().is_some_and(|why| why.contains("unknown")), "{waits:#}");
    let id = waits["id"].as_str().unwrap();
    let called = until("a person is called", || {
        hook.taken().into_iter().find(|body| body["incident"] == *id)
    })
    .unwrap();
    assert_eq!((called["news"].as_str(), called["peer"].as_str()), (Some("called"), Some("h2")));

    // Told that the step may be repeated: a second attempt, with its own number.
    let mended = mesh.incident(0, "it is mended", of_runbook("mend-retry", "resolved")).unwrap();
    let attempts = mended["attempts"].as_array().unwrap();
    let outcomes: Vec<&str> = attempts.iter().filter_map(|a| a["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["unknown", "succeeded"]);
    assert_eq!(attempts[1]["number"], 2);
    let id = mended["id"].as_str().unwrap();
    let once = |attempt: u32| (format!("{id}/{attempt}"), 1);
    assert_eq!(executions(&mesh, "retry"), BTreeMap::from([once(1), once(2)]));

    // All this while nobody touched the other.
    let id = waits["id"].as_str().unwrap();
    assert_eq!(executions(&mesh, "ask"), BTreeMap::from([(format!("{id}/1"), 1)]));
    assert_eq!(mesh[0].json(&["incident", "show", id]).unwrap()["state"], "waiting");
    mesh[0].ok(&["incident", "close", id, "--reason", "looked at it"]).unwrap();
    mesh.incident(1, "it is closed", of_runbook("mend-ask", "closed")).unwrap();
}

#[test]
fn a_repair_is_finished_under_the_next_leader_without_being_started_again() {
    let mut mesh = Mesh::sized(3).unwrap();
    let folder = mesh.folder();
    let leader = mesh.leader().unwrap();
    let ill = (0..3).find(|n| *n != leader).unwrap();
    let body = "while ! test -e FOLDER/go; do sleep 0.1; done; touch FOLDER/long.ok";
    mesh.apply(&documents(&mesh, ("long", ill), "ask", body)).unwrap();
    until("the repair is under way", || (executions(&mesh, "long").len() == 1).then_some(()))
        .unwrap();
    let before = mesh.leader().unwrap();
    assert_ne!(before, ill, "the leader has changed by itself");
    mesh.hosts[before].kill().unwrap();
    let name = mesh[before].name.clone();
    let status = until("another leads", || {
        mesh[ill].status().filter(|s| s["quorum"] == true && s["leader"] != *name)
    })
    .unwrap();
    assert_ne!(status["leader"], Value::Null);
    std::fs::write(folder.join("go"), "").unwrap();
    let incident = mesh.incident(ill, "it is mended", of_runbook("mend-long", "resolved")).unwrap();
    let attempts = incident["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(attempts[0]["outcome"], "succeeded");
    let id = incident["id"].as_str().unwrap();
    assert_eq!(executions(&mesh, "long"), BTreeMap::from([(format!("{id}/1"), 1)]));
    mesh.hosts[before].start().unwrap();
    mesh.settled().unwrap();
}

#[test]
fn whoever_dies_right_after_an_assignment_each_attempt_runs_at_most_once() {
    let mut mesh = Mesh::sized(3).unwrap();
    let flag = mesh.folder().join("flag.ok");
    std::fs::write(&flag, "").unwrap();
    mesh.apply(&documents(&mesh, ("flag", 2), "retry", "sleep 2; touch FOLDER/flag.ok")).unwrap();
    let mut mended = Vec::new();
    for round in 0..4 {
        until("h3 is well", || mesh[0].peer("h3").filter(|row| row["health"] == "passing"))
            .unwrap();
        let leader = mesh.leader().unwrap();
        std::fs::remove_file(&flag).unwrap();
        let known = mended.clone();
        let incident = mesh.incident(leader, "an attempt is given out", |incident| {
            !known.contains(&incident["id"]) && incident["attempts"][0]["number"] == 1
        });
        mesh.hosts[leader].kill().unwrap();
        let id = incident.unwrap()["id"].clone();
        // Every other time its worker dies with it, in the middle of the repair.
        if round % 2 == 1 && leader != 2 {
            let seen = || {
                executions(&mesh, "flag")
                    .contains_key(&format!("{}/1", id.as_str().unwrap_or_default()))
            };
            until("the repair has begun", || seen().then_some(())).unwrap();
            mesh.hosts[2].kill().unwrap();
            mesh.hosts[2].start().unwrap();
        }
        mesh.hosts[leader].start().unwrap();
        mesh.settled().unwrap();
        let over = |i: &Value| i["id"] == id && i["state"] == "resolved";
        mesh.incident(leader, "it is mended", over).unwrap();
        mended.push(id);
    }
    let executions = executions(&mesh, "flag");
    assert!(executions.len() >= mended.len(), "{executions:?}");
    assert!(executions.values().all(|count| *count == 1), "{executions:?}");
}
