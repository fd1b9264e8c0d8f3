//! A host without a daemon, healed by Hospital's surgeon: each operation is handed over once, only
//! when the log has it, and survives the death of whoever leads.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{fs, io::Write, net::TcpStream, thread, time::Duration};
use tests::{
    Mesh, post,
    surgeon::{Surgeon, operations, report},
    until, until_within,
    web::{ask, exchange},
};

/// A claim of a minute's rung is over after this.
const LONG: Duration = Duration::from_secs(120);

const DOCUMENTS: &str = r#"
[[check]]
name  = "database"
alert = { alertname = "DatabaseDown" }
where = { role = "db" }

[[runbook]]
name     = "restart-database"
on       = { check = "database" }
cooldown = "0s"
repeat   = { within = "0s" }

[[runbook.rung]]
name    = "restart"
run     = "echo \"$HEARTEN_PEER $HEARTEN_WORKER $HEARTEN_LABEL_UNIT\" >> FOLDER/ran; echo restarted"
timeout = "1s"
"#;

/// A mesh with a guest, and the secret of its surgeon.
fn mesh() -> Result<(Mesh, String)> {
    let mesh = Mesh::with_http(3)?;
    let new = ["guest", "new", "old-db", "--label", "role=db", "--label", "unit=it's 5"];
    let guest = mesh[0].json(&new)?;
    let document = guest["document"].as_str().context("a document")?;
    let id = guest["application_id"].as_str().context("an id")?.to_owned();
    let folder = mesh.folder().to_string_lossy().into_owned();
    mesh.apply(&(DOCUMENTS.replace("FOLDER", &folder) + document))?;
    mesh.settled()?;
    Ok((mesh, id))
}

fn port(mesh: &Mesh, host: usize) -> u16 {
    mesh[host].http.unwrap_or_default()
}

/// Hospital's alert: by the application id of its host, and what is wrong.
fn alert(mesh: &Mesh, host: usize, id: &str, (level, minute): (&str, u8)) -> Result<()> {
    let body = json!({
        "id": id, "message": "DatabaseDown", "details": "",
        "time": format!("2026-01-01T00:{minute:02}:00Z"),
        "level": level, "previousLevel": "OK",
    });
    let (status, told) = post(port(mesh, host), "/v1/reception", body.to_string().as_bytes())?;
    ensure!(status == 200, "{status} {told}");
    Ok(())
}

fn ran(mesh: &Mesh) -> String {
    fs::read_to_string(mesh.folder().join("ran")).unwrap_or_default()
}

fn outcomes(incident: &Value) -> Vec<String> {
    let attempts = incident["attempts"].as_array().cloned().unwrap_or_default();
    let said = |attempt: &Value| attempt["outcome"].as_str().unwrap_or("none yet").to_owned();
    attempts.iter().map(said).collect()
}

#[test]
fn a_host_without_a_daemon_is_healed_once_by_one_of_its_surgeons() -> Result<()> {
    let (mesh, id) = mesh()?;
    let ports: Vec<u16> = (0..3).map(|host| port(&mesh, host)).collect();
    // Two with the same id, as it happens; both may run, one is handed the operation.
    let _surgeons = [
        Surgeon::at_work(ports.clone(), &id),
        Surgeon::at_work(ports.into_iter().rev().collect(), &id),
    ];
    alert(&mesh, 1, &id, ("CRITICAL", 1))?;
    let incident = mesh.incident(2, "its rung has succeeded", |incident| {
        incident["peer"] == "old-db" && outcomes(incident) == ["succeeded"]
    })?;
    assert_eq!(incident["attempts"][0]["worker"], "old-db", "{incident:#}");
    assert_eq!(incident["attempts"][0]["output"], "restarted\n", "{incident:#}");
    alert(&mesh, 0, &id, ("OK", 2))?;
    mesh.incident(1, "it is over", |incident| incident["state"] == "resolved")?;
    assert_eq!(ran(&mesh), "old-db old-db it's 5\n", "once, as it was written");
    let said = mesh[0].ok(&["incident", "explain", incident["id"].as_str().unwrap_or_default()])?;
    ensure!(said.contains("to the surgeon of old-db"), "{said}");
    // What makes a surgeon one is kept by nobody but the surgeon.
    for command in [&["alert", "list", "--json"][..], &["guest", "list", "--json"]] {
        ensure!(!mesh[1].ok(command)?.contains(&id), "{command:?}");
    }
    let guests = mesh[1].json(&["guest", "list"])?;
    assert_eq!(guests["guests"][0]["name"], "old-db", "{guests:#}");
    let peers = mesh[0].json(&["peer", "list"])?;
    assert_eq!(peers["peers"].as_array().map(Vec::len), Some(3), "a guest is no peer: {peers:#}");
    Ok(())
}

#[test]
fn an_operation_survives_the_leader_and_one_that_vanishes_is_asked_about() -> Result<()> {
    let (mut mesh, id) = mesh()?;
    let (leader, follower) = (mesh.leader()?, mesh.follower()?);
    alert(&mesh, follower, &id, ("CRITICAL", 3))?;
    let ask_for = |mesh: &Mesh, host: usize| operations(port(mesh, host), &id);
    let handed = ask_for(&mesh, leader)?;
    let [operation] = &handed[..] else { anyhow::bail!("one: {handed:?}") };
    mesh.hosts[leader].kill()?;
    let (status, told) = report(port(&mesh, follower), operation.id, "failed", "it was down")?;
    assert_eq!((status, &told["status"]), (200, &json!("success")), "{told}");
    let again = report(port(&mesh, follower), operation.id, "completed", "")?;
    assert_eq!(again.0, 200, "told again it is answered alike");
    let incident =
        mesh.incident(follower, "it is told", |incident| outcomes(incident) == ["failed"])?;
    assert_eq!(incident["attempts"][0]["output"], "it was down");
    mesh.hosts[leader].start()?;
    mesh.settled()?;
    alert(&mesh, follower, &id, ("OK", 4))?;
    until("the first is over", || {
        let all = mesh.incidents(follower).ok()?;
        all.iter().all(|incident| incident["state"] == "resolved").then_some(())
    })?;

    // Another episode, and a surgeon that is never heard of again.
    alert(&mesh, follower, &id, ("CRITICAL", 5))?;
    until("it is handed over", || {
        ask_for(&mesh, follower).ok().filter(|handed| handed.len() == 1)
    })?;
    let asked = until_within(LONG, "a person is asked", || {
        let all = mesh.incidents(follower).ok()?;
        all.into_iter().find(|incident| outcomes(incident) == ["unknown"])
    })?;
    ensure!(ask_for(&mesh, leader)?.is_empty(), "nobody is handed it again");
    let words = mesh[follower].ok(&[
        "incident",
        "explain",
        asked["id"].as_str().context("an incident has an id")?,
    ])?;
    ensure!(words.contains("unknown outcome"), "{words}");
    assert_eq!(ran(&mesh), "", "the test's surgeon ran nothing");
    Ok(())
}

#[test]
fn what_no_surgeon_says_is_refused_and_who_dawdles_is_sent_away() -> Result<()> {
    let (mesh, id) = mesh()?;
    let port = port(&mesh, 0);
    let get = |body: &str| {
        let head = format!(
            "GET /v1/operation HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {}\r\n",
            body.len()
        );
        ask(port, &head, body.as_bytes())
    };
    for (body, code, said) in [
        (r#"{"applicationID":"old-db"}"#, 401, "no guest"),
        (r#"{"applicationID":""}"#, 400, "1 to 1024"),
        (r#"{"surgeonID":"x"}"#, 400, "applicationID"),
        ("", 400, "JSON"),
        (&"[".repeat(1_000_000), 400, "recursion"),
    ] {
        let (status, told) = get(body)?;
        let error = told["error"].as_str().unwrap_or_default();
        assert!(status == code && error.contains(said), "{status} {told}");
    }
    for (body, code, said) in [
        (r#"{"id":7,"status":"completed","logs":""}"#, 404, "no surgeon was handed"),
        (r#"{"id":7,"status":"OK"}"#, 400, "completed"),
        (r#"{"id":7.5,"status":"failed"}"#, 400, "u64"),
        (r#"{"id":7,"status":"failed","logs":5}"#, 400, "string"),
        ("\u{feff}{}", 400, "JSON"),
    ] {
        let (status, told) = post(port, "/v1/report", body.as_bytes())?;
        let error = told["error"].as_str().unwrap_or_default();
        assert!(status == code && error.contains(said), "{status} {told}");
    }
    // Of logs that nobody would read to their end the beginning is read, and who sends them is heard.
    let long = format!(r#"{{"id":7,"status":"completed","logs":"{}"}}"#, "x".repeat(9 << 20));
    assert_eq!(post(port, "/v1/report", long.as_bytes())?.0, 404);
    let page = format!(
        "GET /v1/operation HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\norigin: http://evil.example\r\n"
    );
    assert_eq!(ask(port, &page, b"")?.0, 403);

    // Bodies that never come, on every path that takes one: each is told so, and meanwhile others
    // are served.
    let paths = [
        ("GET", "/v1/operation"),
        ("POST", "/v1/report"),
        ("POST", "/v1/passive"),
        ("POST", "/v1/alertmanager"),
        ("POST", "/v1/reception"),
        ("POST", "/checkin"),
        ("POST", "/ping/no-key/no-job"),
        ("POST", "/heartbeat-that-is-none"),
    ];
    let dawdlers: Vec<_> = paths
        .map(|(method, path)| {
            thread::spawn(move || {
                let head = format!(
                    "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: 100\r\n"
                );
                (path, exchange(port, &head, b"{"))
            })
        })
        .into_iter()
        .collect();
    // A head that never ends is closed without an answer.
    let mut head = TcpStream::connect(("127.0.0.1", port))?;
    head.write_all(b"GET /v1/operation HTTP/1.1\r\n")?;
    assert_eq!(get(r#"{"applicationID":"x"}"#)?.0, 401, "others are served");
    for dawdler in dawdlers {
        let (path, answer) =
            dawdler.join().map_err(|_panic| anyhow::anyhow!("a thread panicked"))?;
        let (status, body) = answer?;
        assert!([408, 404].contains(&status), "{path}: {status} {body}");
    }
    // As many surgeons as may wait leave room for the others.
    let waiting: Vec<_> = (0..80)
        .map(|_| {
            let id = id.clone();
            thread::spawn(move || operations(port, &id))
        })
        .collect();
    assert_eq!(get(r#"{"applicationID":"x"}"#)?.0, 401, "others are served");
    for one in waiting {
        let handed = one.join().map_err(|_panic| anyhow::anyhow!("a thread panicked"))??;
        ensure!(handed.is_empty(), "{handed:?}");
    }
    Ok(())
}
