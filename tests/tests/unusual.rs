//! A number that is not what it usually is opens an incident, says what was expected, and what was
//! learned outlives the daemon; one that is on its way to a failure is healed before it is one.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fs;
use tests::{Mesh, until};

const DOCUMENTS: &str = r#"
[[check]]
name       = "queue"
every      = "50ms"
fail_after = 1
flapping   = false
command    = ["/bin/sh", "-c", 'echo "the queue is there | length=$(cat FOLDER/length);;;0"']
unusual    = { verdict = "fail", one_in = 1000, learn = "0s", by_percent = 50, side = "above" }

[[runbook]]
name     = "drain"
on       = { check = "queue" }
cooldown = "0s"

[[runbook.rung]]
name    = "drain it"
run     = "echo 20 > FOLDER/length"
timeout = "10s"
settle  = "500ms"
"#;

fn trial(mesh: &Mesh) -> Option<Value> {
    // It ends with 7 where the check does not pass, and prints the same.
    let output = mesh[0].hearten(&["check", "run", "queue", "--json"]).ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

#[test]
fn a_number_that_is_not_what_it_usually_is_is_healed_and_what_is_usual_outlives_the_daemon()
-> Result<()> {
    let mut mesh = Mesh::sized(1)?;
    let folder = mesh.folder();
    let length = folder.join("length");
    fs::write(&length, "20\n")?;
    mesh.apply(&DOCUMENTS.replace("FOLDER", &folder.to_string_lossy()))?;

    // Nothing is unusual while it learns, then it knows.
    let learned = until("enough was seen", || {
        let trial = trial(&mesh)?;
        assert_eq!(trial["verdict"], "pass", "{trial:#}");
        (trial["perfdata"][0]["expected"]["ready"] == true).then_some(trial)
    })?;
    let expected = &learned["perfdata"][0]["expected"];
    assert_eq!((&expected["value"], &expected["high"]), (&json!(20.0), &json!(30.0)));
    let history = expected["history"].as_array().cloned().unwrap_or_default();
    assert!(history.len() > 50, "{expected:#}");
    assert_eq!(history.last().map(|seen| seen["value"].clone()), Some(json!(20.0)));
    assert!(mesh.incidents(0)?.is_empty());

    // What was learned is there after a restart; too little is not what is asked about.
    mesh.hosts[0].stop()?;
    mesh.hosts[0].start()?;
    fs::write(&length, "1\n")?;
    let little = until("it is tried", || trial(&mesh))?;
    assert_eq!(
        (&little["verdict"], &little["perfdata"][0]["within"]),
        (&json!("pass"), &json!("ok"))
    );
    fs::write(&length, "900\n")?;
    let incident = mesh.incident(0, "it is drained", |incident| incident["state"] == "resolved")?;
    assert_eq!((&incident["runbook"], &incident["peer"]), (&json!("drain"), &json!("h1")));
    let why = incident["because"]["summary"].as_str().unwrap_or_default();
    assert!(why.starts_with("length is 900, which is unusual: "), "{why}");
    assert!(why.ends_with("; the queue is there"), "{why}");
    assert_eq!(fs::read_to_string(&length)?, "20\n");
    let after = until("it is tried", || trial(&mesh))?;
    assert_eq!(after["verdict"], "pass", "{after:#}");
    let seen = &after["perfdata"][0]["expected"]["history"];
    let unusual = |seen: &Value| seen["unusual"] == true && seen["value"] == 900.0;
    assert!(seen.as_array().is_some_and(|seen| seen.iter().any(unusual)), "{seen:#}");
    Ok(())
}

/// A number that grows by one a second from when `FOLDER/since` says.
const FILLS: &str = r#"
[[check]]
name       = "spool"
every      = "1s"
fail_after = 2
flapping   = false
command    = ["/bin/sh", "-c", 'echo "it takes more | spool=$(($(date +%s) - $(cat FOLDER/since)))MB;;1000"']
ahead      = { within = "48s", verdict = "fail" }

[[runbook]]
name     = "empty"
on       = { check = "spool" }
cooldown = "0s"

[[runbook.rung]]
name    = "empty it"
run     = "date +%s > FOLDER/since"
timeout = "10s"
settle  = "5s"
"#;

#[test]
fn what_is_on_its_way_to_a_failure_is_healed_before_it_is_one() -> Result<()> {
    let mesh = Mesh::sized(1)?;
    let folder = mesh.folder();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    // It would be full in a minute and a half, and nothing is known of it yet.
    fs::write(folder.join("since"), (now - 910).to_string())?;
    mesh.apply(&FILLS.replace("FOLDER", &folder.to_string_lossy()))?;
    let incident = mesh.incident(0, "it is emptied", |incident| incident["state"] == "resolved")?;
    let why = incident["because"]["summary"].as_str().unwrap_or_default();
    let full: u32 = why
        .strip_prefix("spool is ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .context(why.to_owned())?;
    assert!((920..1_000).contains(&full), "before it is full: {why}");
    assert!(
        why.contains("MB and on its way to 1000MB, in 1m if it goes on so; it takes more"),
        "{why}"
    );
    assert_eq!(incident["attempts"].as_array().map(Vec::len), Some(1), "{incident:#}");
    Ok(())
}
