//! Runbooks that a person has a part in: a disk that is replaced, a runbook that is run by hand.

use serde_json::{Value, json};
use tests::{Desk, Hook, Mesh, until};

/// The disk replacement as it is shipped, in the small: the same keys, other addresses and spans.
const REPLACE: &str = r#"
[[check]]
name    = "disk-healthy"
every   = "500ms"
command = "test $HEARTEN_PEER != PEER || test -e FOLDER/new-disk || exit 2"

[[runbook]]
name     = "replace-disk"
on       = { check = "disk-healthy", verdict = "fail" }
sequence = true

[[runbook.rung]]
name    = "drain"
by      = "leader"
http    = { method = "PUT", url = "DESK/hosts/${HEARTEN_PEER}", body = '{"state":"drained"}' }
effect  = "idempotent"

[[runbook.rung]]
name    = "ask for a disk"
by      = "leader"
http    = { method = "POST", url = "DESK/requests", body = '{"host":"${HEARTEN_PEER}","key":"${HEARTEN_INCIDENT}"}', status = 201 }
effect  = "once"
approve = true

[[runbook.rung]]
name    = "wait for the disk"
by      = "leader"
http    = { url = "DESK/requests/${HEARTEN_INCIDENT}", answer_contains = '"state":"done"' }
timeout = "2s"
every   = "1s"
within  = "10m"
on_unknown = "retry"

[[runbook.rung]]
name    = "reinstall"
run     = "echo $HEARTEN_PEER >> FOLDER/reinstalled; touch FOLDER/new-disk"
verify  = "test -e FOLDER/new-disk"
effect  = "once"

[[runbook.rung]]
name    = "undrain"
by      = "leader"
http    = { method = "PUT", url = "DESK/hosts/${HEARTEN_PEER}", body = '{"state":"active"}' }
effect  = "idempotent"

[[runbook.rung]]
name   = "call a person"
notify = "data-centre"

[[notifier]]
name = "data-centre"
kind = "webhook"
url  = "HOOK"
"#;

fn of_runbook(incident: &Value, runbook: &str) -> bool {
    incident["runbook"] == *runbook
}

#[test]
fn a_disk_is_replaced_by_one_runbook_though_the_leader_dies_in_the_middle() {
    let (hook, desk) = (Hook::listen().unwrap(), Desk::open().unwrap());
    let mut mesh = Mesh::sized(5).unwrap();
    let ill = mesh.follower().unwrap();
    let name = mesh[ill].name.clone();
    let documents = REPLACE
        .replace("!= PEER", &format!("!= {name}"))
        .replace("FOLDER", &mesh.folder().to_string_lossy())
        .replace("DESK", &desk.url())
        .replace("HOOK", &hook.url());
    mesh.apply(&documents).unwrap();
    let asks = |incident: &Value| {
        let asks = incident["waiting_for"].as_str().is_some_and(|text| text.contains("approval"));
        of_runbook(incident, "replace-disk") && incident["state"] == "waiting" && asks
    };
    let incident = mesh.incident(ill, "a person is asked", asks).unwrap();
    let id = incident["id"].as_str().unwrap().to_owned();
    until("the question is told", || hook.taken().first().cloned()).unwrap();
    assert_eq!(hook.taken()[0]["news"], "asked");
    assert_eq!(desk.count("POST /requests"), 0, "nothing is asked for without approval");
    assert_eq!(desk.count(&format!("PUT /hosts/{name}")), 1);

    // Who is no operator may not; the operator may, from any host.
    assert_eq!(mesh[ill].fails(&["approve", "INC-999999", "--key", &mesh.key()]).unwrap().0, 3);
    mesh[ill].ok(&["approve", &id, "--key", &mesh.key()]).unwrap();
    assert_eq!(mesh[ill].fails(&["approve", &id, "--key", &mesh.key()]).unwrap().0, 5);
    let wait = format!("GET /requests/{id}");
    until("it asks again and again", || (desk.count(&wait) > 2).then_some(())).unwrap();
    let leader = mesh.leader().unwrap();
    mesh.hosts[leader].kill().unwrap();
    let before = desk.count(&wait);
    mesh.leader().unwrap();
    until("another leader goes on", || (desk.count(&wait) > before + 1).then_some(())).unwrap();
    desk.answer(r#"{"state":"done"}"#);
    let over =
        |incident: &Value| of_runbook(incident, "replace-disk") && incident["state"] == "resolved";
    let replaced = mesh.incident(ill, "the disk is replaced", over).unwrap();
    assert_eq!(desk.count("POST /requests"), 1, "one disk");
    let key = format!("{id}/2");
    let asked = desk.asked();
    let request = asked.iter().find(|asked| asked.what.starts_with("POST")).unwrap();
    assert_eq!(request.key, key, "the receiver can tell a repetition");
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body, json!({ "host": name, "key": id }));
    let last = asked.last().unwrap();
    assert_eq!(last.body, r#"{"state":"active"}"#, "and in the end it is put back: {asked:?}");
    let path = mesh.folder().join("reinstalled");
    let reinstalled = std::fs::read_to_string(path).unwrap();
    assert_eq!(reinstalled, format!("{name}\n"), "once, on the affected host");
    let rungs: Vec<&str> = replaced["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|attempt| attempt["rung"].as_str())
        .collect();
    assert_eq!(rungs.last(), Some(&"undrain"), "{rungs:?}");
    let story = mesh[ill].ok(&["incident", "explain", &id]).unwrap();
    assert!(story.contains("is approved by operator"), "{story}");
}

const BY_HAND: &str = r#"
[[runbook]]
name = "rotate"
on   = { operator = true }

[runbook.params.shard]
from    = "label:shard"
pattern = "[a-z]+"

[[runbook.rung]]
name = "rotate the logs"
run  = "echo $HEARTEN_PEER $HEARTEN_PARAM_SHARD >> FOLDER/rotated"
"#;

#[test]
fn an_operator_tries_a_runbook_out_and_then_runs_it() {
    let mesh = Mesh::of(&["", "shard=a", "shard=7"]).unwrap();
    mesh.apply(&BY_HAND.replace("FOLDER", &mesh.folder().to_string_lossy())).unwrap();
    let listed = mesh[1].json(&["runbook", "list"]).unwrap();
    assert_eq!(listed["runbooks"][0]["on"], "operator", "{listed}");
    assert!(mesh[1].ok(&["runbook", "show", "rotate"]).unwrap().contains("rotate the logs"));
    let rotated = mesh.folder().join("rotated");
    let plan = |peer: &str| {
        let plan = mesh[0].json(&["runbook", "run", "rotate", "--peer", peer, "--dry-run"]);
        let rules = plan.unwrap()["rules"].as_array().cloned().unwrap_or_default();
        let refused = rules.iter().filter(|rule| rule["permits"] == false);
        refused.filter_map(|rule| rule["rule"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert!(plan("h2").is_empty());
    assert_eq!(plan("h3"), ["parameters"], "its label does not fit the pattern");
    mesh[0].ok(&["freeze", "--reason", "a try"]).unwrap();
    assert_eq!(plan("h2"), ["freeze"]);
    mesh[0].ok(&["thaw"]).unwrap();
    let told = mesh[0].ok(&["runbook", "run", "rotate", "--peer", "h2", "--dry-run"]).unwrap();
    assert!(told.contains("1. \"rotate the logs\" (affected): runs echo"), "{told}");
    assert_eq!(mesh[0].fails(&["runbook", "run", "rotten", "--peer", "h2"]).unwrap().0, 3);
    assert_eq!(mesh[0].fails(&["runbook", "run", "rotate", "--peer", "h9"]).unwrap().0, 3);
    assert!(!rotated.exists(), "nothing was run");

    let start =
        ["maintenance", "start", "kernel", "--for", "1h", "--peer", "h2", "--reason", "new"];
    mesh[0].ok(&start).unwrap();
    let listed = mesh[2].json(&["maintenance", "list"]).unwrap();
    assert_eq!(listed["maintenances"][0]["name"], "kernel", "{listed}");
    mesh[0].ok(&["runbook", "run", "rotate", "--peer", "h2"]).unwrap();
    let waits = |incident: &Value| {
        incident["waiting_for"].as_str().is_some_and(|text| text.contains("kernel"))
    };
    mesh.incident(1, "it waits for the maintenance to end", waits).unwrap();
    mesh[0].ok(&["maintenance", "end", "kernel"]).unwrap();
    assert_eq!(mesh[0].fails(&["maintenance", "end", "kernel"]).unwrap().0, 3);
    let done = |incident: &Value| incident["state"] == "resolved";
    mesh.incident(1, "it is run", done).unwrap();
    assert_eq!(std::fs::read_to_string(&rotated).unwrap(), "h2 a\n");
}
