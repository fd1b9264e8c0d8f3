//! Topics of Kafka are read by the leader, whoever that is: each message comes into the log once,
//! however often leaders die between, and what cannot be used keeps nothing else from being read.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tests::{Broker, Mesh, PATIENCE, until, until_within};

const DOCUMENTS: &str = r#"
[[stream]]
name    = "events"
kind    = "kafka"
brokers = BROKERS
topic   = "alerts"
begin   = "earliest"
over    = { at = "/status", is = ["OK"] }
summary = "/text"
time    = "/at"
labels  = { alertname = "/what", host = "/host", number = "/number" }

[[check]]
name  = "disk-full"
alert = { alertname = "DiskFull" }

[[runbook]]
name     = "make-room"
on       = { check = "disk-full" }
cooldown = "0s"

[[runbook.rung]]
name    = "delete"
timeout = "10s"
run     = "echo $HEARTEN_PEER >> FOLDER/started"
"#;

/// Partitions of a topic of the cluster.
const PARTITIONS: u32 = 4;

fn documents(mesh: &Mesh, broker: &Broker) -> String {
    let folder = mesh.folder().to_string_lossy().into_owned();
    DOCUMENTS.replace("FOLDER", &folder).replace("BROKERS", &broker.listed())
}

fn event(what: &str, host: &str, number: u32, status: &str, second: u32) -> String {
    let at = format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
    let text = "nothing is left";
    json!({ "what": what, "host": host, "number": number, "status": status, "at": at, "text": text })
        .to_string()
}

fn noise(number: u32) -> String {
    event("Noise", "elsewhere", number, "PROBLEM", number)
}

fn alerts(mesh: &Mesh, host: usize) -> Option<Vec<Value>> {
    mesh[host].json(&["alert", "list"]).ok()?["alerts"].as_array().cloned()
}

fn stream(mesh: &Mesh, host: usize, name: &str) -> Option<Value> {
    let listed = mesh[host].json(&["stream", "list"]).ok()?;
    listed["streams"].as_array()?.iter().find(|stream| stream["name"] == name).cloned()
}

fn sum(stream: &Value, key: &str) -> u64 {
    let partitions = stream["partitions"].as_array().into_iter().flatten();
    partitions.filter_map(|partition| partition[key].as_u64()).sum()
}

fn started(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("started")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn no_fail_over_skips_a_message_or_takes_it_twice() -> Result<()> {
    const ROUND: u32 = 60;
    let Some(mut broker) = Broker::start(3)? else { return Ok(()) };
    let mut mesh = Mesh::sized(3)?;
    mesh.apply(&documents(&mesh, &broker))?;
    let mut sent = 0;
    for round in 0..3 {
        let leader = mesh.leader()?;
        for number in 0..ROUND {
            // In the middle of what it reads, and half of it while nobody leads.
            if number == ROUND / 2 {
                mesh.hosts[leader].kill()?;
            }
            broker.send("alerts", sent % PARTITIONS, &noise(sent))?;
            sent += 1;
        }
        let other = (leader + 1) % 3;
        let read = until("everything is read by another leader", || {
            let read = stream(&mesh, other, "events")?;
            (sum(&read, "taken") >= u64::from(sent)).then_some(read)
        });
        let read = read.with_context(|| format!("{:#?}", stream(&mesh, other, "events")))?;
        ensure!(sum(&read, "taken") == u64::from(sent), "round {round}: {read:#}");
        ensure!(sum(&read, "offset") == u64::from(sent), "round {round}: {read:#}");
        let firing = alerts(&mesh, other).context("the alerts are listed")?;
        ensure!(firing.len() == usize::try_from(sent)?, "round {round}: {}", firing.len());
        mesh.hosts[leader].start()?;
        mesh.settled()?;
    }
    let read = stream(&mesh, 0, "events").context("it is listed")?;
    ensure!((sum(&read, "skipped"), sum(&read, "lost")) == (0, 0), "{read:#}");
    Ok(())
}

#[test]
fn an_event_is_an_incident_about_its_host_and_its_replay_is_nothing_new() -> Result<()> {
    let Some(mut broker) = Broker::start(1)? else { return Ok(()) };
    let mut mesh = Mesh::sized(3)?;
    mesh.apply(&documents(&mesh, &broker))?;
    let episode = [
        event("DiskFull", "h2", 1, "PROBLEM", 10),
        event("DiskFull", "h2", 1, "OK", 20),
        event("DiskFull", "h2", 1, "PROBLEM", 30),
    ];
    broker.send("alerts", 1, &episode[2])?;
    until("it is begun", || (started(&mesh.folder()) == ["h2"]).then_some(()))?;
    let incident = mesh.incident(0, "it is there", |_| true)?;
    assert_eq!((&incident["peer"], &incident["runbook"]), (&json!("h2"), &json!("make-room")));
    let why = incident["because"]["summary"].as_str().unwrap_or_default();
    ensure!(why.contains("nothing is left"), "{incident:#}");

    // All that was before, and it again, to the same partition and to another one, and another leader.
    let leader = mesh.leader()?;
    mesh.hosts[leader].kill()?;
    for event in episode.iter().chain(&episode) {
        broker.send("alerts", 1, event)?;
    }
    broker.send("alerts", 2, &episode[1])?;
    mesh.hosts[leader].start()?;
    mesh.settled()?;
    until("the replay is read", || {
        (sum(&stream(&mesh, 0, "events")?, "taken") == 8).then_some(())
    })?;
    let firing = alerts(&mesh, 0).context("the alerts are listed")?;
    ensure!(
        firing.len() == 1 && firing[0]["starts_at"] == "2026-01-01T00:00:30.000Z",
        "{firing:#?}"
    );
    broker.send("alerts", 1, &event("DiskFull", "h2", 1, "OK", 40))?;
    mesh.incident(0, "it is resolved", |one| one["state"] == "resolved")?;
    for event in &episode {
        broker.send("alerts", 1, event)?;
    }
    until("the last replay is read", || {
        (sum(&stream(&mesh, 0, "events")?, "taken") == 12).then_some(())
    })?;
    ensure!(alerts(&mesh, 0).is_some_and(|firing| firing.is_empty()), "{:#?}", alerts(&mesh, 0));
    ensure!(mesh.incidents(0)?.len() == 1, "{:#?}", mesh.incidents(0));
    assert_eq!(started(&mesh.folder()), ["h2"]);
    Ok(())
}

#[test]
fn what_cannot_be_used_is_counted_and_keeps_nothing_else_from_being_read() -> Result<()> {
    let Some(mut broker) = Broker::start(1)? else { return Ok(()) };
    let mesh = Mesh::sized(1)?;
    let port = tests::parts::free_port()?;
    let dead = format!(
        "[[stream]]\nname = \"dead\"\nkind = \"kafka\"\nbrokers = [\"127.0.0.1:{port}\"]\n\
         topic = \"x\"\nset = {{ alertname = \"X\" }}\n"
    );
    let documents = documents(&mesh, &broker);
    for message in ["no JSON", "[]", "{}", "\"text\"", &noise(1), "{\"what\": [1]}", &noise(2)] {
        broker.send("alerts", 0, message)?;
    }
    mesh.apply(&format!("{documents}\n{dead}"))?;
    let read = until("everything is read", || {
        stream(&mesh, 0, "events").filter(|read| sum(read, "offset") == 7)
    })?;
    let first = &read["partitions"][0];
    assert_eq!((&first["taken"], &first["skipped"]), (&json!(2), &json!(4)), "{read:#}");
    let why = first["last_skipped"].as_str().unwrap_or_default();
    ensure!(why.starts_with("offset 5: ") && why.contains("/what"), "{read:#}");
    let error = until("the dead one says what is wrong", || {
        stream(&mesh, 0, "dead")?["error"]["why"].as_str().map(str::to_owned)
    })?;
    ensure!(error.contains(&port.to_string()), "{error}");
    let table = mesh[0].ok(&["stream", "list"])?;
    ensure!(table.contains("events") && table.contains(&port.to_string()), "{table}");

    // While nobody reads it, its broker forgets more than was left to read.
    mesh.apply("[[remove]]\nkind = \"stream\"\nname = \"events\"\n")?;
    until("it is read no more", || stream(&mesh, 0, "events").is_none().then_some(()))?;
    let large = json!({ "text": "x".repeat(900_000) }).to_string();
    for _ in 0..8 {
        broker.send("alerts", 0, &large)?;
    }
    broker.send("alerts", 0, &noise(3))?;
    mesh.apply(&documents)?;
    let read = until_within(PATIENCE * 2, "it is read on from what there is", || {
        stream(&mesh, 0, "events").filter(|read| read["partitions"][0]["offset"] == 16)
    });
    let read = read.with_context(|| format!("{:#?}", stream(&mesh, 0, "events")))?;
    let first = &read["partitions"][0];
    let (lost, skipped) = (first["lost"].as_u64(), first["skipped"].as_u64());
    ensure!(lost.is_some_and(|lost| lost > 0), "{read:#}");
    assert_eq!(lost.zip(skipped).map(|(lost, skipped)| lost + skipped), Some(4 + 8), "{read:#}");
    assert_eq!(first["taken"], json!(3), "{read:#}");
    Ok(())
}
