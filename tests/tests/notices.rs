//! People are told in the words of their channel, with what only the host's file of secrets knows;
//! and that it is over by the same channel.

use anyhow::Result;
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
