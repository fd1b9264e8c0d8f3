//! What other systems tell of becomes an incident about the right host, whoever is told, however
//! often; what is wrong with a request is said, and comes to nothing.

use anyhow::{Result, ensure};
use protocol::time::Timestamp;
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};
use tests::{Mesh, PATIENCE, post, until, until_within, web::ask};

/// A runbook that writes down that it was begun, for whom.
const DOCUMENTS: &str = r#"
[[check]]
name  = "exporter-down"
alert = { alertname = "ExporterDown", severity = { matches = "^(page|critical)$" } }

[[runbook]]
name     = "exporter"
on       = { check = "exporter-down" }
cooldown = "0s"

[[runbook.rung]]
name    = "start it"
timeout = "10s"
settle  = "15s"
run     = "echo $HEARTEN_PEER >> FOLDER/started"
"#;

fn mesh_with_http() -> Result<Mesh> {
    let mesh = Mesh::with_http(3)?;
    let folder = mesh.folder().to_string_lossy().into_owned();
    mesh.apply(&DOCUMENTS.replace("FOLDER", &folder))?;
    Ok(mesh)
}

fn webhook(instance: &str, status: &str, since: &str) -> Vec<u8> {
    let ends = if status == "resolved" { "2026-01-02T00:00:00Z" } else { "0001-01-01T00:00:00Z" };
    let alert = json!({
        "status": status, "startsAt": since, "endsAt": ends, "fingerprint": "1",
        "labels": { "alertname": "ExporterDown", "severity": "page", "instance": instance },
        "annotations": { "summary": "nothing answers at its port" },
    });
    json!({ "version": "4", "status": status, "alerts": [alert] }).to_string().into_bytes()
}

fn port(mesh: &Mesh, host: usize) -> u16 {
    mesh[host].http.unwrap_or_default()
}

fn started(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("started")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn state(incident: &Value, wanted: &str) -> bool {
    incident["state"] == *wanted
}

#[test]
fn an_alert_is_one_incident_about_its_host_until_its_sender_says_that_it_is_over() -> Result<()> {
    let mut mesh = mesh_with_http()?;
    let first = "2026-01-01T00:00:00Z";
    let (status, told) =
        post(port(&mesh, 2), "/v1/alertmanager", &webhook("h2:9100", "firing", first))?;
    assert_eq!((status, &told["news"]), (200, &json!(1)), "{told}");
    let incident = mesh.incident(0, "it is verified", |incident| state(incident, "verifying"))?;
    assert_eq!((&incident["peer"], &incident["runbook"]), (&json!("h2"), &json!("exporter")));
    let why = incident["because"]["summary"].as_str().unwrap_or_default();
    ensure!(why.contains("nothing answers at its port"), "{incident:#}");
    // Another Alertmanager of the cluster, and the same one again, at every host.
    for host in [0, 1, 2] {
        let again =
            post(port(&mesh, host), "/v1/alertmanager", &webhook("h2:9100", "firing", first))?;
        assert_eq!((again.0, &again.1["news"]), (200, &json!(0)), "{again:?}");
    }
    let listed = mesh[1].json(&["alert", "list"])?;
    assert_eq!(listed["alerts"][0]["checks"], json!(["exporter-down on h2"]), "{listed:#}");
    let table = mesh[1].ok(&["alert", "list"])?;
    ensure!(table.contains("ExporterDown") && table.contains("exporter-down on h2"), "{table}");
    // What was answered with success outlives the leader.
    let leader = mesh.leader()?;
    mesh.hosts[leader].kill()?;
    let other = (leader + 1) % 3;
    let firing = until("another one leads and knows it", || {
        let status = mesh[other].status().filter(|status| status["quorum"] == true)?;
        let (_, told) =
            ask(port(&mesh, other), "GET /v1/alerts HTTP/1.1\r\nhost: localhost\r\n", b"").ok()?;
        (status["leader"] != *mesh[leader].name).then_some(told)
    })?;
    assert_eq!(firing["alerts"][0]["labels"]["instance"], "h2:9100", "{firing}");
    mesh.hosts[leader].start()?;
    mesh.settled()?;

    let over =
        post(port(&mesh, other), "/v1/alertmanager", &webhook("h2:9100", "resolved", first))?;
    assert_eq!((over.0, &over.1["news"]), (200, &json!(1)), "{over:?}");
    mesh.incident(0, "it is resolved", |incident| {
        incident["peer"] == "h2"
            && incident["because"]["check"] == "exporter-down"
            && state(incident, "resolved")
    })?;
    // A late copy of what is over opens nothing; what begins anew does, told as Prometheus does.
    let late = post(port(&mesh, 0), "/v1/alertmanager", &webhook("h2:9100", "firing", first))?;
    assert_eq!(late.1["news"], 0, "{late:?}");
    let anew = json!([{
        "labels": { "alertname": "ExporterDown", "severity": "page", "instance": "h2:9100" },
        "startsAt": "2026-01-03T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z",
    }]);
    let anew = post(port(&mesh, 0), "/api/v2/alerts", anew.to_string().as_bytes())?;
    assert_eq!((anew.0, &anew.1["news"]), (200, &json!(1)), "{anew:?}");
    // The host settles first.
    until_within(PATIENCE * 2, "it is begun a second time", || {
        (started(&mesh.folder()).len() == 2).then_some(())
    })?;
    assert_eq!(started(&mesh.folder()), ["h2", "h2"]);
    Ok(())
}

/// So many seconds after what was an hour ago.
fn moment(seconds: u64) -> Result<Timestamp> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let an_hour_ago = now.saturating_sub(Duration::from_secs(3_600));
    let at = an_hour_ago + Duration::from_secs(seconds);
    Ok(Timestamp::from_millis(u64::try_from(at.as_millis())?))
}

#[test]
fn two_senders_of_one_alert_are_one_incident_until_both_say_that_it_is_over() -> Result<()> {
    let mesh = mesh_with_http()?;
    let (first, second) = (moment(600)?, moment(900)?);
    let labels = json!({ "alertname": "ExporterDown", "severity": "page", "instance": "h2:9100" });
    // Two Prometheus, which see it since different moments and tell any host.
    let says = |host: usize, since: Timestamp, until: Timestamp| {
        let alert = json!([{ "labels": labels, "startsAt": since, "endsAt": until }]);
        let told = post(port(&mesh, host), "/api/v2/alerts", alert.to_string().as_bytes())?;
        ensure!(told.0 == 200, "{told:?}");
        Ok(told.1["news"].clone())
    };
    let fires = |host: usize| {
        let (_, told) =
            ask(port(&mesh, host), "GET /v1/alerts HTTP/1.1\r\nhost: localhost\r\n", b"")?;
        anyhow::Ok(told["alerts"].clone())
    };
    assert_eq!(says(0, second, moment(3_900)?)?, json!(1));
    assert_eq!(says(1, first, moment(3_900)?)?, json!(1));
    mesh.incident(0, "it is verified", |incident| state(incident, "verifying"))?;
    assert_eq!(says(2, second, moment(3_599)?)?, json!(1), "the second one sees no more of it");
    assert_eq!(says(0, second, moment(3_901)?)?, json!(0), "a late copy");
    assert_eq!(fires(2)?[0]["starts_at"], json!(first), "the first one does");
    assert_eq!(says(1, first, moment(5_000)?)?, json!(1));
    assert_eq!(says(2, first, moment(3_599)?)?, json!(1));
    assert_eq!(fires(2)?, json!([]));
    mesh.incident(0, "it is resolved", |incident| state(incident, "resolved"))?;

    // Two Alertmanagers: the one that tells of the end had heard of an earlier beginning.
    let hook = |host: usize, status: &str, since: &str| {
        let told = post(port(&mesh, host), "/v1/alertmanager", &webhook("h1", status, since))?;
        anyhow::Ok(told.1["news"].clone())
    };
    assert_eq!(hook(0, "firing", "2026-01-01T12:00:00Z")?, json!(1));
    mesh.incident(0, "it is verified", |incident| state(incident, "verifying"))?;
    assert_eq!(hook(1, "resolved", "2026-01-01T11:00:00Z")?, json!(1));
    assert_eq!(fires(1)?, json!([]));
    mesh.incident(0, "it is resolved", |incident| {
        incident["peer"] == "h1" && state(incident, "resolved")
    })?;
    assert_eq!(mesh.incidents(0)?.len(), 2, "one alert is one incident");
    Ok(())
}

#[test]
fn what_is_wrong_with_a_request_is_said_and_comes_to_nothing() -> Result<()> {
    let mesh = mesh_with_http()?;
    let at = port(&mesh, 1);
    let host = format!("host: 127.0.0.1:{at}\r\n");
    let alerts = "POST /v1/alertmanager HTTP/1.1\r\n";
    let good = webhook("h1", "firing", "2026-01-01T00:00:00Z");
    let length = format!("content-length: {}\r\n", good.len());
    for (head, body, code, said) in [
        (format!("{alerts}{host}content-length: 1\r\n"), &b"{"[..], 400, "JSON"),
        (format!("{alerts}{host}content-length: 2\r\n"), b"{}", 400, "alerts"),
        (format!("{alerts}{host}content-length: 104857600\r\n"), b"", 413, "bytes"),
        (
            format!("POST /v2/x HTTP/1.1\r\n{host}content-length: 0\r\n"),
            b"",
            404,
            "/v1/alertmanager",
        ),
        (format!("{alerts}{host}origin: http://evil.example\r\n{length}"), &good, 403, "web pages"),
        (format!("{alerts}host: evil.example\r\n{length}"), &good, 403, "evil.example"),
    ] {
        let (status, told) = ask(at, &head, body)?;
        let error = told["error"].as_str().unwrap_or_default();
        assert!(status == code && error.contains(said), "{head}: {status} {told}");
    }
    // A label is no command, whatever it says: it is looked at, and nothing is begun.
    let hostile = json!([{
        "labels": { "alertname": "ExporterDown", "severity": "page", "instance": "h9; touch x" },
        "annotations": { "runbook": "exporter", "command": "touch x" },
    }]);
    let (status, told) = post(at, "/api/v2/alerts", hostile.to_string().as_bytes())?;
    assert_eq!(status, 200, "{told}");
    let kapacitor = json!({ "id": "cpu", "level": "odd" }).to_string();
    let (status, told) = post(at, "/v1/reception", kapacitor.as_bytes())?;
    assert!(status == 400 && told["error"].as_str().is_some_and(|e| e.contains("odd")), "{told}");
    let (status, told) = post(at, "/v1/reception", &good)?;
    assert_eq!((status, told), (200, json!({ "status": "was CRITICAL" })));
    mesh.incident(0, "the good one is an incident", |incident| incident["peer"] == "h1")?;
    assert_eq!(mesh.incidents(0)?.len(), 1, "and nothing else is");
    Ok(())
}
