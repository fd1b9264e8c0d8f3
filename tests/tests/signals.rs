//! What a host's own programs say: by the command line, as passive results, as JSON of their own.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::{fs, io::Write};
use tests::{Mesh, post, until, web::ask};

const DOCUMENTS: &str = r#"
[[check]]
name  = "raid"
alert = { alertname = "RaidDegraded", severity = "page" }

[[check]]
name  = "disk"
alert = { service = "disk", severity = ["critical", "unknown"] }

[[check]]
name  = "zabbix"
alert = { source = "zabbix", alertname = "cpu" }
"#;

const SOURCE: &str = r#"
[[intake]]
name   = "watcher"
run    = ["/bin/sh", "-c", "cat FOLDER/events; echo nonsense; exec sleep 0.1"]
over   = { at = "/ok", is = ["true"] }
labels = { alertname = "/what" }
set    = { severity = "page", host = "h3" }
"#;

const MAPPING: &str = r#"
[[intake]]
name    = "zabbix"
list    = "/events"
fires   = { at = "/value", is = ["1"] }
over    = { at = "/value", is = ["0"] }
summary = "/text"
labels  = { alertname = "/trigger", host = "/host" }
set     = { source = "zabbix" }
"#;

/// The checks that fail on a peer, as the first host hears.
fn failing(mesh: &Mesh, peer: &str) -> Vec<String> {
    let Ok(shown) = mesh[0].json(&["peer", "show", peer]) else { return Vec::new() };
    let checks = shown["checks"].as_array().cloned().unwrap_or_default();
    let fails = |check: &&Value| check["verdict"] == "fail";
    checks.iter().filter(fails).map(|check| check["name"].to_string().replace('"', "")).collect()
}

fn until_failing(mesh: &Mesh, peer: &str, wanted: &[&str]) -> Result<()> {
    until(&format!("{wanted:?} fail on {peer}"), || (failing(mesh, peer) == wanted).then_some(()))
}

#[test]
fn what_a_program_of_the_host_says_fails_its_check_until_it_says_that_it_is_over() -> Result<()> {
    let mesh = Mesh::of(&["", "", ""])?;
    mesh.apply(DOCUMENTS)?;
    let degraded = ["signal", "RaidDegraded", "--severity", "page", "--label", "array=md0"];
    let said = mesh[1].json(&[&degraded[..], &["--summary", "md0: 1 of 2"]].concat())?;
    assert_eq!((&said["fires"], &said["news"]), (&json!(true), &json!(true)), "{said}");
    let incident = mesh.incident(0, "it is an incident", |incident| incident["peer"] == "h2")?;
    let why = incident["because"]["summary"].as_str().unwrap_or_default();
    ensure!(why.contains("md0: 1 of 2"), "{incident:#}");
    // Said again, here or for it elsewhere, it is the same.
    ensure!(mesh[1].ok(&degraded)?.contains("fires already"));
    // One that nobody ends is ended by an operator; told again, it fires again.
    let about = incident["id"].as_str().unwrap_or_default();
    let listed = mesh[2].json(&["alert", "list"])?;
    let row = &listed["alerts"][0];
    let (id, held) = (row["id"].as_str().unwrap_or_default(), row["until"].as_str().unwrap_or("?"));
    assert_eq!(row["ends_at"], Value::Null, "{listed}");
    ensure!(mesh[2].ok(&["alert", "list"])?.contains(held), "{listed}");
    let end = ["alert", "end", id, "--reason", "the array is gone"];
    let ended = mesh[0].json(&end)?;
    assert_eq!(
        (&ended["id"], &ended["name"], &ended["checks"]),
        (&json!(id), &json!("RaidDegraded"), &json!(["raid on h2"])),
    );
    until_failing(&mesh, "h2", &[])?;
    until("its incident says so", || {
        let told = mesh[1].ok(&["incident", "explain", about]).ok()?;
        told.contains("the array is gone").then_some(())
    })?;
    mesh[0].refused(&end, 3, &[id, "hearten alert list"])?;
    let (code, said) = mesh[0].fails(&["alert", "end", "INC-1", "--reason", "x"])?;
    ensure!(code == 2 && said.contains("16 digits"), "{said}");
    mesh[1].refused(&end, 4, &["--key"])?;
    ensure!(mesh[1].ok(&degraded)?.trim_end().ends_with("fires"), "it fires again");
    until_failing(&mesh, "h2", &["raid"])?;
    let elsewhere = [&degraded[..], &["--host", "h2"]].concat();
    ensure!(mesh[2].ok(&elsewhere)?.contains("fires already"));
    ensure!(mesh[2].ok(&[&elsewhere[..], &["--over"]].concat())?.contains("is over"));
    ensure!(mesh[1].ok(&[&degraded[..], &["--over"]].concat())?.contains("did not fire"));
    mesh.incident(0, "it is over", |incident| incident["state"] == "resolved")?;
    let wrong = mesh[1].hearten(&["signal", "x", "--label", "nonsense"])?;
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    Ok(())
}

#[test]
fn passive_results_and_mapped_json_are_alerts_and_steady_ones_stay_out_of_the_log() -> Result<()> {
    let mut mesh = Mesh::with_http(3)?;
    mesh.apply(DOCUMENTS)?;
    let config = mesh[2].data.join("hearten.toml");
    let events = mesh.folder().join("events");
    fs::write(&events, "")?;
    let source = SOURCE.replace("FOLDER", &mesh.folder().to_string_lossy());
    let more = format!("{MAPPING}{source}");
    fs::OpenOptions::new().append(true).open(&config)?.write_all(more.as_bytes())?;
    mesh.hosts[2].kill()?;
    mesh.hosts[2].start()?;
    mesh.settled()?;
    let ports: Vec<u16> = mesh.hosts.iter().map(|host| host.http.unwrap_or_default()).collect();
    let passive = |port: u16, code: i64| {
        let body = json!({ "host": "h2", "service": "disk", "return_code": code, "output": "99%" });
        post(port, "/v1/passive", body.to_string().as_bytes())
    };
    let news =
        |answer: Result<(u16, Value)>| answer.map(|(code, told)| (code, told["news"].clone()));

    assert_eq!(news(passive(ports[0], 0))?, (200, json!(0)), "what is well is nothing");
    assert_eq!(news(passive(ports[0], 2))?, (200, json!(1)));
    assert_eq!(news(passive(ports[0], 2))?, (200, json!(0)), "it goes on");
    until_failing(&mesh, "h2", &["disk"])?;
    assert_eq!(news(passive(ports[0], 1))?, (200, json!(2)), "another state");
    until_failing(&mesh, "h2", &[])?;
    let lines = "h2\tdisk\t3\tno answer\nh1\tdisk\t2\t99%\n";
    assert_eq!(post(ports[1], "/v1/passive", lines.as_bytes())?.0, 200);
    until_failing(&mesh, "h2", &["disk"])?;
    until_failing(&mesh, "h1", &["disk"])?;

    let event =
        |value: i64| json!({ "value": value, "trigger": "cpu", "host": "h3", "text": "hot" });
    let body = json!({ "events": [event(1), { "value": 1 }] }).to_string();
    let (code, told) = post(ports[2], "/v1/intake/zabbix", body.as_bytes())?;
    assert_eq!((code, &told["news"]), (200, &json!(1)), "{told}");
    ensure!(told["refused"][0].as_str().is_some_and(|why| why.contains("/trigger")), "{told}");
    until_failing(&mesh, "h3", &["zabbix"])?;
    let over = json!({ "events": [event(0)] }).to_string();
    assert_eq!(news(post(ports[2], "/v1/intake/zabbix", over.as_bytes()))?, (200, json!(1)));
    until_failing(&mesh, "h3", &[])?;

    // A program that ends is started again, and says how it is now.
    fs::write(&events, json!({ "what": "RaidDegraded", "ok": false }).to_string() + "\n")?;
    until_failing(&mesh, "h3", &["raid"])?;
    fs::write(&events, json!({ "what": "RaidDegraded", "ok": true }).to_string() + "\n")?;
    until_failing(&mesh, "h3", &[])?;

    for (path, body, code, said) in [
        ("/v1/intake/other", "{}", 404, "[[intake]]"),
        ("/v1/intake/zabbix", "{}", 400, "/events"),
        ("/v1/passive", "{\"host\":", 400, "JSON"),
        ("/v1/passive", "[{\"host\":\"h1\",\"return_code\":9}]", 400, "0 to 3"),
        ("/v1/passive", "h1\u{0}", 400, "tabs"),
        ("/v1/passive", &"[".repeat(1_000_000), 400, "recursion"),
    ] {
        let (status, told) = post(ports[2], path, body.as_bytes())?;
        let error = told["error"].as_str().unwrap_or_default();
        assert!(status == code && error.contains(said), "{path}: {status} {told}");
    }
    let huge = format!(
        "POST /v1/passive HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-length: 104857600\r\n",
        ports[2]
    );
    assert_eq!(ask(ports[2], &huge, b"")?.0, 413);
    Ok(())
}
