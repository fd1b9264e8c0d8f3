//! People are told in the words of their channel, with what only the host's file of secrets knows;
//! and that it is over by the same channel.

use anyhow::Result;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};
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
