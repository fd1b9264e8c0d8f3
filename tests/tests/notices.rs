//! People are told in the words of their channel, with what only the host's file of secrets knows;
//! and that it is over by the same channel.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};
use tests::{Hook, Mesh, until};

const DOCUMENTS: &str = r#"
[[check]]
name    = "flag"
every   = "500ms"
command = "test $HEARTEN_PEER != h2 || test -e FOLDER/ok || exit 2"
fail_after = 1

[[check]]
name    = "other-flag"
every   = "500ms"
command = "test $HEARTEN_PEER != h2 || test -e FOLDER/ok || exit 2"
fail_after = 1

[[runbook]]
name = "page"
on   = { check = "flag" }

[[runbook.rung]]
name   = "pager"
notify = "pager"

[[runbook]]
name = "chat"
on   = { check = "other-flag" }

[[runbook.rung]]
name   = "chat"
notify = "chat"

[[notifier]]
name        = "pager"
kind        = "pagerduty"
url         = "PAGER"
routing_key = "secret:pagerduty"
severity    = "critical"

[[notifier]]
name = "chat"
kind = "slack"
url  = "secret:chat"
"#;

#[test]
fn a_call_and_its_end_reach_the_pager_and_the_chat() -> Result<()> {
    let (pager, chat) = (Hook::listen()?, Hook::listen()?);
    let mesh = Mesh::of(&["", "", ""])?;
    let folder = mesh.folder();
    let documents =
        DOCUMENTS.replace("PAGER", &pager.url()).replace("FOLDER", &folder.to_string_lossy());
    for host in &mesh.hosts {
        let file = host.data.join("secrets.toml");
        fs::write(&file, format!("pagerduty = \"k3y\"\nchat = \"{}\"\n", chat.url()))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    }
    mesh.apply(&documents)?;
    let incident = mesh.incident(0, "somebody is to be called", |incident| {
        incident["peer"] == "h2" && incident["runbook"] == "page"
    })?;
    let called = until("both are called", || {
        let first = pager.taken().first().cloned()?;
        chat.taken().first().map(|_| first)
    })?;
    let key = Value::from(format!("mesh/{}", incident["id"].as_str().unwrap_or_default()));
    assert_eq!(
        (&called["event_action"], &called["routing_key"]),
        (&json!("trigger"), &json!("k3y"))
    );
    assert_eq!((&called["dedup_key"], &called["payload"]["source"]), (&key, &json!("h2")));
    assert_eq!(called["payload"]["severity"], "critical");
    let said = &chat.taken()[0]["attachments"][0];
    assert_eq!((&said["color"], &said["fields"][0]["value"]), (&json!("danger"), &json!("h2")));

    fs::write(folder.join("ok"), "")?;
    let is_end = |event: &Value| event["event_action"] == "resolve" && event["dedup_key"] == key;
    until("the pager hears that it is over", || pager.taken().iter().any(is_end).then_some(()))?;
    until("the chat as well", || {
        chat.taken().iter().any(|one| one["attachments"][0]["color"] == "good").then_some(())
    })?;
    Ok(())
}

#[test]
fn where_nobody_listens_everything_that_is_asked_says_that_nobody_was_told() -> Result<()> {
    let pager = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mesh = Mesh::of(&["", ""])?;
    let (runbooks, _) = DOCUMENTS.split_once("[[notifier]]").unwrap_or_default();
    let mut documents = runbooks.replace("FOLDER", &mesh.folder().to_string_lossy());
    for name in ["pager", "chat"] {
        let notifier = "[[notifier]]\nkind = \"webhook\"";
        documents += &format!("{notifier}\nname = \"{name}\"\nurl = \"http://{pager}/\"\n");
    }
    mesh.apply(&documents)?;
    let words = "nobody could be told: notifier \"pager\": ";
    for host in &mesh.hosts {
        let line = until("the listing says so", || {
            let list = host.ok(&["incident", "list"]).ok()?;
            list.lines().find(|line| line.contains(words)).map(str::to_owned)
        })?;
        assert!(line.contains(", next at ") && line.contains("refused"), "{line}");
        let id = line.split_whitespace().next().unwrap_or_default();
        let told = host.ok(&["incident", "explain", id])?;
        assert!(told.contains(words), "{told}");
        assert!(!told.contains("a person was called"), "{told}");
        let status = host.ok(&["status"])?;
        assert!(status.contains(&format!("NOT TOLD of {id}: {words}")), "{status}");
    }
    Ok(())
}

/// Two checks that fail where a file says so, each with somebody of its own who is told.
const TWO: &str = r#"
[[check]]
name       = "one"
every      = "500ms"
command    = "test ! -e FOLDER/$HEARTEN_PEER-one || exit 2"
fail_after = 1

[[check]]
name       = "two"
every      = "500ms"
command    = "test ! -e FOLDER/$HEARTEN_PEER-two || exit 2"
fail_after = 1

[[runbook]]
name = "one"
on   = { check = "one" }

[[runbook.rung]]
name   = "slow"
notify = "slow"

[[runbook]]
name = "two"
on   = { check = "two" }

[[runbook.rung]]
name   = "quick"
notify = "quick"

[[notifier]]
name = "slow"
kind = "webhook"
url  = "SLOW"

[[notifier]]
name = "quick"
kind = "webhook"
url  = "QUICK"
"#;

fn two(mesh: &Mesh, slow: &Hook, quick: &Hook) -> Result<()> {
    let documents = TWO.replace("SLOW", &slow.url()).replace("QUICK", &quick.url());
    mesh.apply(&documents.replace("FOLDER", &mesh.folder().to_string_lossy()))?;
    Ok(())
}

#[test]
fn a_receiver_that_never_answers_keeps_nobody_else_from_being_told() -> Result<()> {
    let (slow, quick) = (Hook::listen()?, Hook::listen()?);
    slow.answer(false);
    let mesh = Mesh::of(&["", "", ""])?;
    two(&mesh, &slow, &quick)?;
    for host in ["h1", "h2"] {
        fs::write(mesh.folder().join(format!("{host}-one")), "")?;
    }
    until("two calls wait for an answer", || (slow.waiting().ok()? == 2).then_some(()))?;
    fs::write(mesh.folder().join("h3-two"), "")?;
    let told = until("the other one is told meanwhile", || quick.taken().first().cloned())?;
    ensure!(told["news"] == "called" && told["peer"] == "h3", "{told}");
    ensure!(slow.waiting()? > 0, "nobody waits any more: it was told one after the other");
    Ok(())
}

#[test]
fn what_the_leader_could_not_say_was_taken_the_next_one_tells_under_the_same_key() -> Result<()> {
    let (slow, quick) = (Hook::listen()?, Hook::listen()?);
    slow.answer(false);
    let mut mesh = Mesh::of(&["", "", ""])?;
    two(&mesh, &slow, &quick)?;
    let leader = mesh.leader()?;
    // Not about the leader itself, whose end is news of another kind.
    let ill = mesh[(leader + 1) % 3].name.clone();
    let file = mesh.folder().join(format!("{ill}-one"));
    fs::write(&file, "")?;
    let first = until("the call is out", || slow.taken().first().cloned())?;
    mesh.hosts[leader].kill()?;
    slow.answer(true);
    let again = until("the next leader calls", || slow.taken().get(1).cloned())?;
    ensure!(again["key"] == first["key"] && again["news"] == "called", "{first}, {again}");
    let next = mesh.leader()?;
    ensure!(next != leader, "another one leads");
    let id = first["incident"].as_str().unwrap_or_default();
    until("the log has it", || {
        let incident = mesh[next].json(&["incident", "show", id]).ok()?;
        (incident["notices"][0]["delivered"] == true).then_some(())
    })?;
    fs::remove_file(&file)?;
    let about = |one: &Value| one["incident"] == first["incident"] && one["news"] == "resolved";
    until("whoever was called hears that it is over", || {
        slow.taken().iter().any(about).then_some(())
    })?;
    Ok(())
}

const ALERTS: &str = r#"
[[check]]
name  = "raid"
alert = { alertname = "RaidDegraded" }

[[runbook]]
name = "raid"
on   = { check = "raid" }

[runbook.params.array]
from    = "alert:array"
pattern = "md[0-9]"

[[runbook.rung]]
name    = "add"
run     = "echo $HEARTEN_PARAM_ARRAY >> FOLDER/added"
timeout = "5s"
settle  = "0s"

[[runbook.rung]]
name   = "call"
notify = "on-call"

[[notifier]]
name = "on-call"
kind = "route"

[[notifier.route]]
notify   = "pager"
severity = "critical"

[[notifier.route]]
notify = "chat"
where  = { team = "storage" }

[[notifier.route]]
notify = "pager"

[[notifier]]
name        = "pager"
kind        = "pagerduty"
url         = "PAGER"
routing_key = "secret:pagerduty"

[[notifier]]
name  = "chat"
kind  = "slack"
url   = "CHAT"
title = "{severity}: {alert.array} on {host}"
"#;

#[test]
fn an_alert_goes_where_its_own_labels_lead_and_its_labels_reach_the_repair() -> Result<()> {
    let (pager, chat) = (Hook::listen()?, Hook::listen()?);
    let mesh = Mesh::of(&["", ""])?;
    let documents = ALERTS.replace("PAGER", &pager.url()).replace("CHAT", &chat.url());
    for host in &mesh.hosts {
        let file = host.data.join("secrets.toml");
        fs::write(&file, "pagerduty = \"k3y\"\n")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    }
    mesh.apply(&documents.replace("FOLDER", &mesh.folder().to_string_lossy()))?;
    let signal = |host: &str, severity: &str, array: &str| {
        let array = format!("array={array}");
        let labels = ["--host", host, "--label", &array, "--label", "team=storage"];
        let words = ["signal", "RaidDegraded", "--severity", severity];
        mesh[0].ok(&[words.as_slice(), labels.as_slice()].concat())
    };
    signal("h1", "warning", "md0")?;
    let said = until("the chat is told", || chat.taken().first().cloned())?;
    let said = &said["attachments"][0];
    ensure!(said["title"] == "warning: md0 on h1", "{said}");
    let fields = said["fields"].as_array().cloned().unwrap_or_default();
    let field =
        |title: &str| fields.iter().find(|one| one["title"] == *title).map(|one| &one["value"]);
    ensure!(field("Alert") == Some(&json!("RaidDegraded")), "{said}");
    let ran = field("Ran").and_then(Value::as_str).unwrap_or_default();
    ensure!(ran.starts_with("add on h1: succeeded"), "{said}");
    let added = || fs::read_to_string(mesh.folder().join("added")).unwrap_or_default();
    ensure!(added().lines().all(|line| line == "md0") && !added().is_empty(), "{}", added());
    ensure!(pager.taken().is_empty(), "a warning wakes nobody");

    // What does not fit is handed to nobody, and the incident says why.
    let before = added();
    signal("h2", "page", "md0; reboot")?;
    mesh.incident(0, "it is held back", |incident| {
        let waits = incident["waiting_for"].as_str();
        incident["peer"] == "h2" && waits.is_some_and(|text| text.contains("\"array\""))
    })?;
    ensure!(added() == before, "{}", added());
    Ok(())
}
