//! Jobs that must check in, told as GoTel's README and Healthchecks' clients tell: what stays away
//! is found, whoever leads, and nobody else is.
#![expect(clippy::panic, reason = "a request that does not end is a failure of the test")]

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tests::{Hook, Mesh, PATIENCE, parts::program, post, until, until_within, web::ask};

/// Nobody is missed before a leader has led for forty seconds.
const LONG: Duration = Duration::from_secs(180);

/// What is done about jobs: a check for each kind, and a call of a person.
const DOCUMENTS: &str = r#"
[[check]]
name      = "jobs"
heartbeat = { app = "testapp" }

[[check]]
name      = "slugs"
heartbeat = { job = { matches = "^db-" } }

[[check]]
name      = "nightly"
heartbeat = "nightly-backup"
period    = "10s"
grace     = "0s"
host      = "h2"

[[runbook]]
name     = "call"
on       = { check = "jobs" }
cooldown = "0s"

[[runbook.rung]]
name   = "call a person"
notify = "ops"

[[runbook]]
name     = "again"
on       = { check = "nightly" }
cooldown = "0s"

[[runbook.rung]]
name   = "run it"
run    = "echo $HEARTEN_PEER $HEARTEN_JOB >> FOLDER/ran"
settle = "1s"

[[notifier]]
name = "ops"
kind = "webhook"
url  = "HOOK"
"#;

fn mesh(hook: &Hook, documents: &str) -> Result<Mesh> {
    let mesh = Mesh::with_http(3)?;
    let folder = mesh.folder().to_string_lossy().into_owned();
    mesh.apply(&documents.replace("FOLDER", &folder).replace("HOOK", &hook.url()))?;
    Ok(mesh)
}

fn port(mesh: &Mesh, host: usize) -> u16 {
    mesh[host].http.unwrap_or_default()
}

/// A line of a shell, as a README has it, sent to this peer.
fn shell(mesh: &Mesh, host: usize, line: &str) -> Result<String> {
    let line = line.replace("127.0.0.1:8080", &format!("127.0.0.1:{}", port(mesh, host)));
    let output = Command::new("/bin/sh").args(["-c", &line]).output()?;
    ensure!(output.status.success(), "{line}: {output:?}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn job(mesh: &Mesh, host: usize, name: &str) -> Option<Value> {
    mesh[host].json(&["heartbeat", "show", name]).ok()
}

/// GoTel's README, with the comma that it leaves out left out.
const RESERVE: &str = r#"curl -XPOST 'http://127.0.0.1:8080/reservation' -i -H "Content-type: application/json" -d '
{
  "app": "testapp",
  "component": "requests",
  "notify": "jim@foo.com",
  "alert_msg": "App: [{app}] Component: [{component}] failed checkin on IP [{srv}]. Contact owner [{owner}]"
  "frequency": 5,
  "time_units": "minutes",
  "owner": "jim@foo.com"
}
'"#;

const CHECK_IN: &str = r#"curl -XPOST 'http://127.0.0.1:8080/checkin' -i -H "Content-type: application/json" -d '
{
  "app": "testapp",
  "component": "requests",
  "notes": "all is well"
}
'"#;

const SNOOZE: &str = r#"curl -XPOST 'http://127.0.0.1:8080/snooze' -i -H "Content-type: application/json" -d '
{
  "app": "testapp",
  "component": "requests",
  "duration": 10,
  "time_units": "hours"
}
'"#;

const CHECK_OUT: &str = r#"curl -XPOST 'http://127.0.0.1:8080/checkout' -i -H "Content-type: application/json" -d '
{
  "app": "testapp",
  "component": "requests"
}
'"#;

#[test]
fn gotels_readme_runs_as_it_stands_and_a_person_is_told_in_the_jobs_own_words() -> Result<()> {
    if program("curl", "curl").is_none() {
        return Ok(());
    }
    let hook = Hook::listen()?;
    let mesh = mesh(&hook, DOCUMENTS)?;
    // What GoTel answered with success, and never waited for.
    let unknown = shell(&mesh, 0, CHECK_IN)?;
    ensure!(unknown.contains("404") && unknown.contains("reserve it first"), "{unknown}");
    let reserved = shell(&mesh, 0, RESERVE)?;
    ensure!(reserved.contains("200 OK") && reserved.ends_with("\"OK\""), "{reserved}");
    // Any peer takes it, also one that has not seen the reservation yet.
    let answer = shell(&mesh, 1, CHECK_IN)?;
    ensure!(
        answer.contains("200 OK")
            && answer.contains(r#"{"message":"Application checked in: testapp","success":true}"#),
        "{answer}"
    );
    let listed = until("the third peer has it as well", || {
        let listed = shell(&mesh, 2, "curl 'http://127.0.0.1:8080/reservation'").ok()?;
        let listed: Value = serde_json::from_str(&listed).ok()?;
        (listed["result"][0]["number_of_checkins"] == 1).then_some(listed)
    })?;
    let one = &listed["result"][0];
    assert_eq!((&listed["success"], &one["app"]), (&json!(true), &json!("testapp")));
    for (field, value) in [
        ("component", json!("requests")),
        ("owner", json!("jim@foo.com")),
        ("notify", json!("jim@foo.com")),
        ("frequency", json!(5)),
        ("time_units", json!("minutes")),
        ("failing_sla", json!(false)),
        ("number_of_checkins", json!(1)),
    ] {
        assert_eq!(one[field], value, "{field}: {one}");
    }
    for field in ["job_id", "last_checkin", "last_checkin_str", "time_since_last_checkin"] {
        ensure!(!one[field].is_null(), "{field}: {one}");
    }
    let snoozed = shell(&mesh, 0, SNOOZE)?;
    ensure!(snoozed.contains("Application alerting paused: testapp"), "{snoozed}");
    until("it is snoozed", || {
        let shown = job(&mesh, 1, "testapp/requests")?;
        (shown["state"] == "snoozed" && shown["body"] == "all is well").then_some(())
    })?;
    let gone = shell(&mesh, 2, CHECK_OUT)?;
    ensure!(gone.contains("Application Removed [testapp/requests]"), "{gone}");
    let alive = shell(&mesh, 0, "curl 'http://127.0.0.1:8080/'")?;
    assert_eq!(
        serde_json::from_str::<Value>(&alive)?,
        json!({"success": true, "message": "A-OK!"})
    );

    // The same job more often: it checks in once and stays away. By cron's own way of retrying.
    let often =
        RESERVE.replace("\"frequency\": 5", "\"frequency\": 10").replace("minutes", "seconds");
    shell(&mesh, 0, &often)?;
    shell(&mesh, 0, CHECK_IN)?;
    let told = until_within(LONG, "a person is told", || hook.taken().first().cloned())?;
    let text = told["text"].as_str().unwrap_or_default();
    let own = "App: [testapp] Component: [requests] failed checkin on IP [127.0.0.1]. Contact owner [jim@foo.com]";
    ensure!(text.contains(own), "{told}");
    let pages = [
        ("status", "class=bad>missed"),
        ("badguests", "testapp<td>requests<td>1"),
        ("nodes", "leads"),
    ];
    for (page, said) in pages {
        let html = shell(&mesh, 1, &format!("curl 'http://127.0.0.1:8080/{page}'"))?;
        ensure!(html.contains(said), "{page}: {html}");
    }
    shell(&mesh, 1, CHECK_IN)?;
    mesh.incident(0, "it is resolved", |incident| {
        incident["because"]["job"] == "testapp/requests" && incident["state"] == "resolved"
    })?;
    until("a person is told that it is over", || {
        hook.taken()
            .iter()
            .any(|told| told["text"].as_str().is_some_and(|t| t.contains("is well again")))
            .then_some(())
    })?;
    Ok(())
}

#[test]
fn clients_of_healthchecks_work_unchanged_and_a_declared_job_is_run_again_on_its_host() -> Result<()>
{
    if program("curl", "curl").is_none() {
        return Ok(());
    }
    let hook = Hook::listen()?;
    let mesh = mesh(&hook, DOCUMENTS)?;
    let curl = |host: usize, path: &str, more: &str| {
        let line = format!(
            "curl -m 10 --retry 5 -s -o /dev/stdout -w ' %{{http_code}}' {more} 'http://127.0.0.1:8080/ping/{path}'"
        );
        shell(&mesh, host, &line)
    };
    assert!(curl(0, "k3y/db-dump", "")?.ends_with(" 404"));
    assert_eq!(curl(0, "k3y/db-dump?create=1", "")?, "Created 201");
    let shown = until("every peer knows it", || job(&mesh, 2, "db-dump"))?;
    assert_eq!((&shown["schedule"], &shown["grace"]), (&json!("1d"), &json!("1h")));
    let uuid = shown["uuid"].as_str().context("it has a secret")?.to_owned();
    let run = "?rid=5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278";
    assert_eq!(curl(1, &format!("{uuid}/start{run}"), "--head")?.lines().last(), Some(" 200"));
    until("it runs", || (job(&mesh, 0, "db-dump")?["state"] == "running").then_some(()))?;
    assert_eq!(curl(2, &format!("{uuid}/log{run}"), "--data-raw 'half of it'")?, "OK 200");
    assert_eq!(curl(2, &format!("{uuid}/3{run}"), "--data-raw 'disk full'")?, "OK 200");
    let incident = mesh.incident(0, "its failure is an incident", |incident| {
        incident["because"]["job"] == "db-dump"
    })?;
    let why = incident["because"]["summary"].as_str().unwrap_or_default();
    ensure!(why.contains("failed with exit code 3: disk full"), "{incident:#}");
    assert_eq!(curl(0, &format!("{uuid}{run}"), "")?, "OK 200");
    let shown =
        until("it is well", || job(&mesh, 1, "db-dump").filter(|job| job["state"] == "well"))?;
    ensure!(!shown["ran_for"].is_null() && shown["failures"] == 1, "{shown:#}");
    for (path, code) in [
        (format!("{uuid}/256"), "400"),
        (format!("{uuid}/soon"), "400"),
        (format!("{uuid}?rid=7"), "400"),
        ("5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278".to_owned(), "404"),
        ("nothing".to_owned(), "400"),
    ] {
        let told = curl(0, &path, "--retry 0")?;
        ensure!(told.ends_with(code) && told.contains("\"error\""), "{path}: {told}");
    }
    // The declared one never comes: it is run again on the host that it names.
    until_within(LONG, "it is run again", || {
        let ran = std::fs::read_to_string(mesh.folder().join("ran")).ok()?;
        ran.starts_with("h2 nightly-backup\n").then_some(())
    })?;
    let missed = mesh[1].json(&["heartbeat", "list"])?;
    let row = |name: &str| {
        let rows = missed["heartbeats"].as_array().into_iter().flatten();
        rows.into_iter().find(|row| row["name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(
        (&row("nightly-backup")["state"], &row("db-dump")["state"]),
        (&json!("missed"), &json!("well"))
    );
    assert_eq!(row("nightly-backup")["checks"], json!(["nightly on h2"]));
    mesh[2].ok(&["heartbeat", "pause", "nightly-backup"])?;
    mesh.incident(0, "a paused job is no incident", |incident| {
        incident["because"]["job"] == "nightly-backup" && incident["state"] == "resolved"
    })?;
    let table = mesh[0].ok(&["heartbeat", "list"])?;
    ensure!(table.contains("nightly-backup") && table.contains("paused"), "{table}");
    mesh[0].ok(&["heartbeat", "resume", "nightly-backup"])?;
    assert_eq!(curl(1, "k3y/nightly-backup", "")?, "OK 200");
    let refused = mesh[0].hearten(&["heartbeat", "pause", "nobody"])?;
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    Ok(())
}

/// Jobs that ping every two seconds and are to come every ten; one that does not come.
#[test]
fn no_leaders_death_invents_a_miss_or_loses_one() -> Result<()> {
    let hook = Hook::listen()?;
    let mut mesh = mesh(&hook, DOCUMENTS)?;
    let reservation = |component: &str| {
        json!({
            "app": "testapp", "component": component, "frequency": 10, "time_units": "seconds",
            "owner": "o", "notify": "n",
        })
        .to_string()
    };
    let check_in =
        |component: &str| json!({ "app": "testapp", "component": component }).to_string();
    let ports: Vec<u16> = (0..3).map(|host| port(&mesh, host)).collect();
    const JOBS: usize = 6;
    for number in 0..JOBS {
        let (status, told) =
            post(ports[0], "/reservation", reservation(&format!("j{number}")).as_bytes())?;
        ensure!(status == 200, "{told}");
    }
    let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let pinging: Vec<_> = (0..JOBS)
        .map(|number| {
            let (stop, taken, ports) = (Arc::clone(&stop), Arc::clone(&taken), ports.clone());
            let body = check_in(&format!("j{number}"));
            thread::spawn(move || {
                let mut turn = number;
                while !stop.load(Ordering::Relaxed) {
                    // As a client does that has several addresses: the next when one does not answer.
                    turn += 1;
                    let answer = post(ports[turn % ports.len()], "/checkin", body.as_bytes());
                    if answer.is_ok_and(|(status, _)| status == 200) {
                        taken.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(Duration::from_secs(2));
                    } else {
                        thread::sleep(Duration::from_millis(200));
                    }
                }
            })
        })
        .collect();
    until("all jobs ping", || (taken.load(Ordering::Relaxed) > 2 * JOBS).then_some(()))?;
    let (status, _) = post(ports[1], "/reservation", reservation("gone").as_bytes())?;
    assert_eq!(status, 200);
    let (status, _) = post(ports[1], "/checkin", check_in("gone").as_bytes())?;
    assert_eq!(status, 200);
    // Around its deadline the leader dies.
    let leader = mesh.leader()?;
    mesh.hosts[leader].kill()?;
    let other = (leader + 1) % 3;
    until("another one leads", || {
        let status = mesh[other].status()?;
        (status["quorum"] == true && status["leader"] != *mesh[leader].name).then_some(())
    })?;
    until_within(LONG, "the one that is gone is found", || {
        let incidents = mesh.incidents(other).ok()?;
        incidents.iter().any(|one| one["because"]["job"] == "testapp/gone").then_some(())
    })?;
    let before = taken.load(Ordering::Relaxed);
    until("they still ping", || (taken.load(Ordering::Relaxed) > before + JOBS).then_some(()))?;
    stop.store(true, Ordering::Relaxed);
    for thread in pinging {
        if thread.join().is_err() {
            panic!("a job's thread has failed");
        }
    }
    let listed = mesh[other].json(&["heartbeat", "list"])?;
    for row in listed["heartbeats"].as_array().into_iter().flatten() {
        let name = row["name"].as_str().unwrap_or_default();
        if name.starts_with("testapp/j") {
            assert_eq!(row["misses"], 0, "nobody is missed who came: {row:#}");
        }
    }
    let gone = job(&mesh, other, "testapp/gone").context("it is known")?;
    assert_eq!((&gone["misses"], &gone["state"]), (&json!(1), &json!("missed")));
    let ours = mesh.incidents(other)?;
    let about: Vec<&Value> = ours
        .iter()
        .filter(|one| one["because"]["kind"] == "job" && one["because"]["check"] == "jobs")
        .collect();
    assert_eq!(about.len(), 1, "it is one incident: {about:#?}");
    Ok(())
}

#[test]
fn what_is_wrong_with_a_request_is_said_in_json_and_changes_nothing() -> Result<()> {
    let mesh = Mesh::with_http(1)?;
    let at = port(&mesh, 0);
    let host = format!("host: 127.0.0.1:{at}\r\n");
    let with = |body: &str| format!("{host}content-length: {}\r\n", body.len());
    let fine = json!({ "app": "a", "component": "b", "frequency": 10, "time_units": "seconds" });
    let changed = |key: &str, value: Value| {
        let mut body = fine.clone();
        body[key] = value;
        body.to_string()
    };
    let deep = "[".repeat(100_000);
    let cases = [
        ("reservation", String::new(), 400, "EOF"),
        ("reservation", "{}".to_owned(), 400, "missing field"),
        ("reservation", deep.clone(), 400, "invalid type"),
        ("reservation", "\u{feff}{}".to_owned(), 400, "expected"),
        ("reservation", changed("frequency", json!(0)), 400, "must not be 0"),
        ("reservation", changed("frequency", json!(-1)), 400, "invalid value"),
        ("reservation", changed("frequency", json!("10")), 400, "invalid type"),
        ("reservation", changed("frequency", json!(9)), 400, "10s is the least"),
        ("reservation", changed("frequency", json!(1e30)), 400, "invalid"),
        ("reservation", changed("time_units", json!("moons")), 400, "moons"),
        ("reservation", changed("cron", json!("61 * * * *")), 400, "one of them"),
        ("reservation", changed("app", json!("x".repeat(4_000))), 400, "120 bytes"),
        ("checkin", fine.to_string(), 404, "reserve it first"),
        ("checkin", json!({ "app": ["a"], "component": "b" }).to_string(), 400, "invalid type"),
        (
            "snooze",
            json!({ "app": "a", "component": "b", "duration": 0, "time_units": "hours" })
                .to_string(),
            400,
            "must not be 0",
        ),
        (
            "snooze",
            json!({ "app": "a", "component": "b", "duration": 1, "time_units": "hours" })
                .to_string(),
            404,
            "reserve it first",
        ),
        ("checkout", fine.to_string(), 404, "reserve it first"),
        ("ping/a/b/c/d", String::new(), 400, "/ping/UUID"),
        ("ping/k/b%20c", String::new(), 400, "no slug"),
        ("ping/k/fine/999", String::new(), 400, "exit code"),
        ("status", "app=a&component=b&frequency=many".to_owned(), 400, "invalid type"),
    ];
    for (path, body, code, said) in cases {
        let head = format!("POST /{path} HTTP/1.1\r\n{}", with(&body));
        let (status, told) = ask(at, &head, body.as_bytes())?;
        let error = told["error"].as_str().unwrap_or_default();
        let shown: String = body.chars().take(80).collect();
        ensure!(status == code && error.contains(said), "{path} {shown}: {status} {told}");
        assert_eq!((&told["success"], &told["message"]), (&json!(false), &told["error"]), "{told}");
    }
    let large = format!("POST /checkin HTTP/1.1\r\n{host}content-length: 104857600\r\n");
    let (status, told) = ask(at, &large, b"")?;
    ensure!(status == 413, "{status} {told}");
    for (extra, said) in [
        ("origin: http://evil.example\r\n", "web pages"),
        ("sec-fetch-site: cross-site\r\n", "web pages"),
    ] {
        for (method, path) in
            [("POST", "/reservation"), ("GET", "/ping/k/slug?create=1"), ("POST", "/status")]
        {
            let body = fine.to_string();
            let head = format!("{method} {path} HTTP/1.1\r\n{extra}{}", with(&body));
            let (status, told) = ask(at, &head, body.as_bytes())?;
            ensure!(
                status == 403 && told["error"].as_str().is_some_and(|e| e.contains(said)),
                "{path}: {status} {told}"
            );
        }
    }
    let listed = mesh[0].json(&["heartbeat", "list"])?;
    assert_eq!(listed["heartbeats"], json!([]), "nothing came of any of it");
    // What is well formed is taken all the same, after all that.
    let (status, told) = post(at, "/reservation", fine.to_string().as_bytes())?;
    assert_eq!((status, told), (200, json!("OK")));
    until_within(PATIENCE, "it is there", || job(&mesh, 0, "a/b"))?;
    Ok(())
}
