//! Jobs whose deadline is learned, and `PaceHB`'s API: the lines of its README run as they stand.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{process::Command, time::Duration};
use tests::{Hook, Mesh, parts::program, post, until, until_within, web::ask};

/// Nobody is missed before a leader has led for forty seconds.
const LONG: Duration = Duration::from_secs(180);

const DOCUMENTS: &str = r#"
[[check]]
name      = "paced"
heartbeat = { tags = { matches = "bgoo" } }

[[runbook]]
name     = "call"
on       = { check = "paced" }
cooldown = "0s"

[[runbook.rung]]
name   = "call a person"
notify = "ops"

[[notifier]]
name = "ops"
kind = "webhook"
url  = "HOOK"

[[check]]
name      = "declared"
heartbeat = "declared"
learned   = { one_in = 1000, at_least = "20s" }
"#;

fn port(mesh: &Mesh, host: usize) -> u16 {
    mesh[host].http.unwrap_or_default()
}

/// A line of PaceHB's README, sent to this peer instead of the address that it leaves open.
fn line(mesh: &Mesh, host: usize, line: &str) -> Result<Value> {
    let here = format!("127.0.0.1:{}", port(mesh, host));
    let mut line = line.to_owned();
    for there in ["[docker ip]:7223", "[docker host ip]:7223", "boot2docker:7223"] {
        line = line.replace(there, &here);
    }
    let output = Command::new("/bin/sh").args(["-c", &line]).output()?;
    ensure!(output.status.success(), "{line}: {output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn get(mesh: &Mesh, host: usize, path: &str) -> Result<(u16, Value)> {
    let at = port(mesh, host);
    ask(at, &format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{at}\r\n"), b"")
}

fn beat(mesh: &Mesh, host: usize, body: &Value) -> Result<(u16, Value)> {
    post(port(mesh, host), "/", body.to_string().as_bytes())
}

fn job(mesh: &Mesh, host: usize, name: &str) -> Option<Value> {
    mesh[host].json(&["heartbeat", "show", name]).ok()
}

#[test]
fn pacehbs_readme_runs_as_it_stands() -> Result<()> {
    if program("curl", "curl").is_none() {
        return Ok(());
    }
    let mesh = Mesh::with_http(1)?;
    let number = r#"curl --data '{"api_key" : "12", "check" : "foo.com", "metric" : 42}' http://[docker ip]:7223"#;
    assert_eq!(line(&mesh, 0, number)?, json!({"status": "OK"}));
    let state = r#"curl --data '{"api_key" : "12", "check" : "foo.com", "state": "OK", "tags": ["bgoo"]}' http://[docker host ip]:7223"#;
    assert_eq!(line(&mesh, 0, state)?, json!({"status": "OK"}));
    let vote = r#"curl --data '{"api_key" : "12", "check" : "foo.com", "vote": "down"}' http://boot2docker:7223/vote"#;
    assert_eq!(line(&mesh, 0, vote)?, json!([]), "nobody was told: it is ignored");
    let all = r#"curl "http://[docker ip]:7223/heartbeats?api_key=12""#;
    let listed = line(&mesh, 0, all)?;
    let one = &listed[0];
    assert_eq!(
        one["heartBeat"],
        json!({
            "state": "OK", "api_key": "12", "check": "foo.com", "heartbeat_type": "heartbeat",
            "tags": ["bgoo"],
        })
    );
    let (expires, seen) = (one["expires"].as_i64(), one["lastSeen"].as_i64());
    // The first one holds for 400 s; the second came early: a tenth less.
    assert_eq!(expires.zip(seen).map(|(expires, seen)| expires - seen), Some(360), "{one}");
    let past = r#"curl "http://[docker ip]:7223/history?api_key=12&check=foo.com""#;
    let told = line(&mesh, 0, past)?;
    let states: Vec<&Value> =
        told.as_array().into_iter().flatten().map(|point| &point["state"]).collect();
    assert_eq!((states.len(), &told[1]["current"]), (2, &json!(42)), "{told}");
    ensure!(told[0].get("current").is_none() && told[0]["timestamp"].is_i64(), "{told}");
    let shown = job(&mesh, 0, "foo.com").context("it is a job")?;
    assert_eq!(
        (&shown["schedule"], &shown["learned_pace"]),
        (&json!("learned (PaceHB)"), &json!("6m"))
    );

    // The other path is another check of the same name, and both are listed.
    let http = json!({"api_key": "12", "check": "foo.com", "state": "CRITICAL", "ttl": -1});
    let (status, told) = post(port(&mesh, 0), "/http", http.to_string().as_bytes())?;
    assert_eq!((status, told), (200, json!({"status": "CRITICAL"})));
    let (_, listed) = get(&mesh, 0, "/heartbeats?api_key=12&type=http")?;
    assert_eq!(listed[0]["calculatedState"], "CRITICAL");
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let gone = r#"curl -X DELETE "http://boot2docker:7223/heartbeats?api_key=12&check=foo.com""#;
    assert_eq!(line(&mesh, 0, gone)?, json!("OK"));
    assert_eq!(line(&mesh, 0, all)?, json!([]));
    assert_eq!(line(&mesh, 0, past)?, json!([]));
    let alive = get(&mesh, 0, "/")?;
    assert_eq!(alive, (200, json!({"success": true, "message": "A-OK!"})), "as before");
    Ok(())
}

#[test]
fn who_stays_away_is_found_by_what_was_learned_whoever_leads_and_votes_make_it_quiet() -> Result<()>
{
    let hook = Hook::listen()?;
    let mut mesh = Mesh::with_http(3)?;
    mesh.apply(&DOCUMENTS.replace("HOOK", &hook.url()))?;
    // As fast as one peer commits them. The rate is one that so few can tell: of rarer ones nothing
    // is known yet, and the deadline would be far away.
    let learned = json!({
        "api_key": "12", "check": "fast", "state": "OK", "tags": ["bgoo"], "one_in": 10,
        "at_least": "5s",
    });
    for _ in 0..24 {
        let (status, told) = beat(&mesh, 0, &learned)?;
        assert_eq!((status, told), (200, json!({"status": "OK"})));
    }
    let known = job(&mesh, 0, "fast").context("it is known")?;
    ensure!(
        known["learned_from"] == 24 && known["deadline"].is_string(),
        "enough was seen: {known:#}"
    );
    // One that says itself for how long it holds, and that it is critical then.
    let said = json!({
        "api_key": "12", "check": "said", "state": "OK", "tags": ["bgoo"], "ttl": 5,
        "transition_to": "CRITICAL",
    });
    assert_eq!(beat(&mesh, 1, &said)?.0, 200);
    let leader = mesh.leader()?;
    mesh.hosts[leader].kill()?;
    let other = (leader + 1) % 3;
    until("another one leads", || {
        let status = mesh[other].status()?;
        (status["quorum"] == true && status["leader"] != *mesh[leader].name).then_some(())
    })?;
    let after = job(&mesh, other, "fast").context("it is known")?;
    for field in ["learned_from", "learned_pace"] {
        assert_eq!(after[field], known[field], "{field}: {after:#}");
    }
    let told = |name: &str| {
        let name = format!("job \"{name}\"");
        move |told: &Value| told["text"].as_str().is_some_and(|text| text.contains(&name))
    };
    until_within(LONG, "both are told", || {
        let taken = hook.taken();
        (taken.iter().any(told("fast")) && taken.iter().any(told("said"))).then_some(())
    })?;
    let (_, listed) = get(&mesh, other, "/heartbeats?api_key=12&check=said")?;
    assert_eq!(listed[0]["calculatedState"], "CRITICAL", "{listed}");
    let (_, past) = get(&mesh, other, "/history?api_key=12&check=said")?;
    let states: Vec<&Value> =
        past.as_array().into_iter().flatten().map(|point| &point["state"]).collect();
    assert_eq!(states, [&json!("CRITICAL"), &json!("OK")]);

    // Somebody did not want to know. It comes back, is critical again, and nobody is told.
    let down = json!({"api_key": "12", "check": "said", "vote": "down"});
    let (status, voted) = post(port(&mesh, other), "/vote", down.to_string().as_bytes())?;
    assert_eq!((status, voted), (200, json!([])));
    let shown = job(&mesh, other, "said").context("it is known")?;
    ensure!(shown["quiet_until"].is_string(), "{shown:#}");
    assert_eq!(beat(&mesh, other, &said)?.0, 200);
    mesh.incident(other, "it is resolved", |incident| {
        incident["because"]["job"] == "said" && incident["state"] == "resolved"
    })?;
    let critical = |check: &str| json!({"api_key": "12", "check": check, "state": "CRITICAL", "tags": ["bgoo"]});
    assert_eq!(beat(&mesh, other, &critical("said"))?.1, json!({"status": "CRITICAL"}));
    // What comes after it is told: it was its turn before.
    assert_eq!(beat(&mesh, other, &critical("loud"))?.1, json!({"status": "CRITICAL"}));
    mesh.incident(other, "another one is told", |incident| incident["because"]["job"] == "loud")?;
    let incidents = mesh.incidents(other)?;
    let about = incidents.iter().filter(|one| one["because"]["job"] == "said").count();
    assert_eq!(about, 1, "it is quiet");
    Ok(())
}

#[test]
fn what_is_wrong_with_a_request_is_said_and_changes_nothing() -> Result<()> {
    let mesh = Mesh::with_http(1)?;
    mesh.apply(DOCUMENTS.replace("HOOK", "http://127.0.0.1:9/").as_str())?;
    let fine = json!({"api_key": "12", "check": "a", "state": "OK"});
    let with = |key: &str, value: Value| {
        let mut body = fine.clone();
        body[key] = value;
        body.to_string()
    };
    let mut nobody = fine.clone();
    if let Some(fields) = nobody.as_object_mut() {
        fields.remove("api_key");
    }
    let at = port(&mesh, 0);
    let cases = [
        ("POST", "/", String::new(), 400, "EOF"),
        ("POST", "/", "[]".to_owned(), 400, "JSON"),
        ("POST", "/", nobody.to_string(), 400, "api_key"),
        ("POST", "/", with("state", json!("DOWN")), 400, "OK or CRITICAL"),
        ("POST", "/", with("state", Value::Null), 400, "OK or CRITICAL"),
        ("POST", "/", with("webhook", json!("http://evil.example")), 400, "is called"),
        ("POST", "/", with("check", json!("x".repeat(70_000))), 413, "65536 bytes"),
        ("POST", "/http", with("transition_to", json!("x")), 400, "transition_to"),
        ("POST", "/vote", with("vote", json!("sideways")), 400, "'up' or 'down'"),
        ("POST", "/vote", with("vote", json!("up")), 404, "no job"),
        ("GET", "/heartbeats", String::new(), 400, "api_key"),
        ("GET", "/history?api_key=1", String::new(), 400, "check"),
        ("DELETE", "/heartbeats?api_key=1", String::new(), 400, "check"),
        ("DELETE", "/heartbeats?api_key=1&check=a", String::new(), 404, "no job"),
    ];
    for (method, path, body, code, said) in cases {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{at}\r\ncontent-length: {}\r\n",
            body.len()
        );
        let (status, told) = ask(at, &head, body.as_bytes())?;
        let error = told["error"].as_str().unwrap_or_default();
        ensure!(status == code && error.contains(said), "{method} {path}: {status} {told}");
    }
    let page = format!(
        "POST / HTTP/1.1\r\nhost: 127.0.0.1:{at}\r\norigin: http://evil.example\r\n\
         content-length: {}\r\n",
        fine.to_string().len()
    );
    let (status, told) = ask(at, &page, fine.to_string().as_bytes())?;
    ensure!(status == 403, "{status} {told}");
    let listed = mesh[0].json(&["heartbeat", "list"])?;
    let names: Vec<&Value> =
        listed["heartbeats"].as_array().into_iter().flatten().map(|row| &row["name"]).collect();
    assert_eq!(names, [&json!("declared")], "nothing came of any of it");
    // What a document declares is told of by its heartbeats, and stays as it is declared.
    let declared = json!({"api_key": "12", "check": "declared", "state": "OK", "ttl": 5});
    assert_eq!(beat(&mesh, 0, &declared)?, (200, json!({"status": "OK"})));
    let shown = job(&mesh, 0, "declared").context("it is known")?;
    assert_eq!((&shown["schedule"], &shown["learned_from"]), (&json!("learned"), &json!(1)));
    let head =
        format!("DELETE /heartbeats?api_key=1&check=declared HTTP/1.1\r\nhost: 127.0.0.1:{at}\r\n");
    let (status, told) = ask(at, &head, b"")?;
    ensure!(status == 409, "{status} {told}");
    Ok(())
}
