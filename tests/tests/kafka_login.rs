//! Topics of a cluster that wants TLS and a login: they are read by each mechanism, what keeps them
//! from being read is said in words that help, and the password stays where it is.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    fs, net::TcpListener, ops::Range, os::unix::fs::PermissionsExt, path::Path, process::Command,
};
use tests::{Authority, Broker, Door, Host, Mesh, door::LOGIN, until};

/// What the door's certificate is for.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// Each mechanism, and how a document calls it.
const MECHANISMS: [(&str, &str); 3] =
    [("PLAIN", "plain"), ("SCRAM-SHA-256", "scram-sha-256"), ("SCRAM-SHA-512", "scram-sha-512")];

/// What is not the password.
const WRONG: &str = "wr0ng-one";

/// How many messages there are, over all partitions.
const MESSAGES: u32 = 12;

const STREAM: &str = r#"
[[stream]]
name    = "NAME"
kind    = "kafka"
brokers = BROKERS
topic   = "alerts"
begin   = "earliest"
labels  = { number = "/number" }
set     = { alertname = "Noise" }
"#;

/// What another client, which has nothing of ours, reads through a door.
const CONSUMER: &str = r#"
import json, sys
from confluent_kafka import Consumer, TopicPartition
told = json.loads(sys.argv[1])
consumer = Consumer(told["how"])
consumer.assign([TopicPartition("alerts", number, 0) for number in range(4)])
for _ in range(told["messages"]):
    message = consumer.poll(30)
    assert message and not message.error(), message and message.error()
print("all")
"#;

fn document(name: &str, brokers: &[String], how: &str) -> String {
    STREAM.replace("NAME", name).replace("BROKERS", &format!("{brokers:?}")) + how + "\n"
}

fn tls(authority: &Authority) -> String {
    format!("tls = true\nca = '''\n{}'''\n", authority.pem())
}

fn login(mechanism: &str, secret: &str) -> String {
    let user = LOGIN.0;
    format!("user = \"{user}\"\npassword = \"secret:{secret}\"\nmechanism = \"{mechanism}\"\n")
}

/// What the host knows as `right`, and as `mended`.
fn keep_secrets(host: &Host, mended: &str) -> Result<()> {
    let file = host.data.join("secrets.toml");
    fs::write(&file, format!("right = \"{}\"\nmended = \"{mended}\"\n", LOGIN.1))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

fn stream(host: &Host, name: &str) -> Option<Value> {
    let listed = host.json(&["stream", "list"]).ok()?;
    listed["streams"].as_array()?.iter().find(|stream| stream["name"] == name).cloned()
}

fn taken(stream: &Value) -> u64 {
    let partitions = stream["partitions"].as_array().into_iter().flatten();
    partitions.filter_map(|partition| partition["taken"].as_u64()).sum()
}

fn all_is_read(host: &Host, name: &str, messages: u32) -> Result<()> {
    let messages = u64::from(messages);
    let read = until("everything is read", || {
        stream(host, name).filter(|read| taken(read) >= messages && read["error"].is_null())
    });
    let read = read.with_context(|| format!("{:#?}", stream(host, name)))?;
    ensure!(taken(&read) == messages, "{read:#}");
    Ok(())
}

/// A cluster with all messages in it.
fn cluster() -> Result<Option<Broker>> {
    let Some(mut broker) = Broker::start(2)? else { return Ok(None) };
    send(&mut broker, 0..MESSAGES)?;
    Ok(Some(broker))
}

fn send(broker: &mut Broker, numbers: Range<u32>) -> Result<()> {
    for number in numbers {
        broker.send("alerts", number % 4, &format!("{{\"number\":{number}}}"))?;
    }
    Ok(())
}

#[test]
fn another_client_takes_the_door_for_a_cluster() -> Result<()> {
    let Some(broker) = cluster()? else { return Ok(()) };
    let authority = Authority::new()?;
    let folder = tempfile::tempdir()?;
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, authority.pem())?;
    let read = |door: &Door, mechanism: Option<&str>, password: &str| -> Result<(bool, String)> {
        let mut how = serde_json::json!({
            "bootstrap.servers": door.brokers.join(","), "group.id": "other",
            "ssl.ca.location": ca, "ssl.endpoint.identification.algorithm": "https",
            "security.protocol": if mechanism.is_some() { "SASL_SSL" } else { "SSL" },
        });
        if let Some(mechanism) = mechanism {
            how["sasl.mechanism"] = mechanism.into();
            how["sasl.username"] = LOGIN.0.into();
            how["sasl.password"] = password.into();
        }
        let told = serde_json::json!({ "how": how, "messages": MESSAGES }).to_string();
        let done = Command::new("/usr/bin/python3").args(["-c", CONSUMER, &told]).output()?;
        Ok((done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned()))
    };
    let door = Door::open(&broker, &authority, &NAMES, &[])?;
    let (good, said) = read(&door, None, "")?;
    ensure!(good, "{said}");
    for (mechanism, _) in MECHANISMS {
        let door = Door::open(&broker, &authority, &NAMES, &[mechanism])?;
        let (good, said) = read(&door, Some(mechanism), LOGIN.1)?;
        ensure!(good, "{mechanism}: {said}");
    }
    let door = Door::open(&broker, &authority, &NAMES, &["SCRAM-SHA-512"])?;
    let (good, said) = read(&door, Some("SCRAM-SHA-512"), "another")?;
    ensure!(!good && said.contains("invalid credentials"), "{said}");
    Ok(())
}

#[test]
fn a_topic_is_read_in_tls_with_each_login_and_without_also_by_another_leader() -> Result<()> {
    let Some(mut broker) = cluster()? else { return Ok(()) };
    let authority = Authority::new()?;
    let mut mesh = Mesh::sized(3)?;
    for host in &mesh.hosts {
        keep_secrets(host, "")?;
    }
    let open = Door::open(&broker, &authority, &NAMES, &[])?;
    let mut documents = document("open", &open.brokers, &tls(&authority));
    let mut doors = vec![open];
    let mut names = vec!["open"];
    for (mechanism, word) in MECHANISMS {
        let door = Door::open(&broker, &authority, &NAMES, &[mechanism])?;
        let how = tls(&authority) + &login(word, "right");
        documents += &document(word, &door.brokers, &how);
        doors.push(door);
        names.push(word);
    }
    mesh.apply(&documents)?;
    for name in &names {
        all_is_read(&mesh[0], name, MESSAGES).context(*name)?;
    }
    // Logins end, and more comes before and after that.
    send(&mut broker, MESSAGES..MESSAGES * 2)?;
    for door in &doors {
        door.hang_up()?;
    }
    send(&mut broker, MESSAGES * 2..MESSAGES * 3)?;
    for name in &names {
        all_is_read(&mesh[0], name, MESSAGES * 3).context(*name)?;
    }
    // Another leader logs in itself, and goes on where the first one was.
    let leader = mesh.leader()?;
    send(&mut broker, MESSAGES * 3..MESSAGES * 4)?;
    mesh.hosts[leader].kill()?;
    send(&mut broker, MESSAGES * 4..MESSAGES * 5)?;
    for name in &names {
        all_is_read(&mesh[(leader + 1) % 3], name, MESSAGES * 5).context(*name)?;
    }
    mesh.hosts[leader].start()?;
    mesh.settled()?;
    mesh.hosts.iter().try_for_each(tells_no_password)
}

/// Nobody reads the password from what the host shows or writes.
fn tells_no_password(host: &Host) -> Result<()> {
    let data = host.data.clone();
    let listed = host.ok(&["stream", "list", "--json"])?;
    let shown = host.ok(&["document", "show", "stream/scram-sha-512"])?;
    let log = fs::read_to_string(host.log())?;
    ensure!(shown.contains("secret:right"), "{shown}");
    for said in [&listed, &shown, &log] {
        ensure!(!said.contains(LOGIN.1), "the password is told: {said}");
    }
    let stands_in = |file: &Path| -> Result<bool> {
        let bytes = fs::read(file)?;
        Ok(bytes.windows(LOGIN.1.len()).any(|part| part == LOGIN.1.as_bytes()))
    };
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.file_type()?.is_file() && entry.file_name() != "secrets.toml" {
                ensure!(!stands_in(&entry.path())?, "{}", entry.path().display());
            }
        }
    }
    Ok(())
}

#[test]
fn what_keeps_a_topic_from_being_read_is_said_until_it_is_put_right() -> Result<()> {
    let Some(broker) = cluster()? else { return Ok(()) };
    let authority = Authority::new()?;
    let mesh = Mesh::sized(1)?;
    keep_secrets(&mesh[0], WRONG)?;
    let scram = Door::open(&broker, &authority, &NAMES, &["SCRAM-SHA-256", "SCRAM-SHA-512"])?;
    let plain = Door::open(&broker, &authority, &NAMES, &["PLAIN"])?;
    let open = Door::open(&broker, &authority, &NAMES, &[])?;
    let elsewhere = Door::open(&broker, &authority, &["kafka.example.com"], &[])?;
    let six = TcpListener::bind("[::1]:0")?;
    let at_six = vec![six.local_addr()?.to_string()];
    let (known, unknown) = (tls(&authority), tls(&Authority::new()?));
    let right = known.clone() + &login("scram-sha-512", "right");
    let with = |mechanism, secret| known.clone() + &login(mechanism, secret);
    let words = ["write the right password as \"mended\" into the file of secrets"; 2];
    // What is wrong, what is said of it, and how it would be right; by the file of secrets alone
    // where it says nothing.
    let cases = [
        ("scram", &scram.brokers, with("scram-sha-512", "mended"), words[0], None),
        ("plain", &plain.brokers, with("plain", "mended"), words[1], None),
        (
            "not-offered",
            &scram.brokers,
            with("plain", "right"),
            "no login by this \"mechanism\"",
            Some(&right),
        ),
        (
            "no-secret",
            &scram.brokers,
            with("scram-sha-512", "missing"),
            "secret \"missing\" on h1: ",
            Some(&right),
        ),
        (
            "no-login",
            &scram.brokers,
            known.clone(),
            "write \"user\" and \"password\"",
            Some(&right),
        ),
        (
            "needless-login",
            &open.brokers,
            with("plain", "right"),
            "take \"user\" away",
            Some(&known),
        ),
        ("unknown-ca", &open.brokers, unknown, "write the certificate of who did", Some(&known)),
        ("other-name", &elsewhere.brokers, known.clone(), "kafka.example.com", None),
        ("six", &at_six, known.clone(), "an IPv4 address only", None),
        ("no-tls", &open.brokers, String::new(), "write tls = true", Some(&known)),
        ("needless-tls", &broker.brokers, known.clone(), "speak no TLS here", Some(&String::new())),
    ];
    let documents = cases.iter().map(|(name, brokers, how, ..)| document(name, brokers, how));
    mesh.apply(&documents.collect::<String>())?;
    for (name, _, _, words, _) in &cases {
        let said = |read: &Value| read["error"]["why"].as_str().is_some_and(|w| w.contains(words));
        let read = until("it is said", || stream(&mesh[0], name).filter(said));
        let read = read.with_context(|| format!("{name}: {:#?}", stream(&mesh[0], name)))?;
        ensure!(read["partitions"] == serde_json::json!([]), "{name}: {read:#}");
        let table = until("people read it", || {
            mesh[0].ok(&["stream", "list"]).ok().filter(|table| table.contains(words))
        })?;
        ensure!(!table.contains(LOGIN.1) && !table.contains(WRONG), "{table}");
    }

    keep_secrets(&mesh[0], LOGIN.1)?;
    let mended = cases.iter().filter_map(|(name, brokers, _, _, right)| {
        right.map(|right| document(name, brokers, right))
    });
    mesh.apply(&mended.collect::<String>())?;
    for (name, ..) in cases.iter().filter(|(name, ..)| !["other-name", "six"].contains(name)) {
        all_is_read(&mesh[0], name, MESSAGES).with_context(|| (*name).to_owned())?;
    }
    let log = fs::read_to_string(mesh[0].log())?;
    ensure!(!log.contains(LOGIN.1) && !log.contains(WRONG), "the password is told: {log}");
    Ok(())
}
