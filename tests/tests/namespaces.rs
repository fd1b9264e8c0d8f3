//! Senders whose tokens are for a namespace: each makes and sees its own jobs, by every request that
//! is about jobs, and documents choose by it whom to tell, in PaceHB's words.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use tests::{
    Hook, Mesh, until_within,
    web::{ask, exchange},
};

/// What has to last is not told before a new leader has listened for forty seconds.
const LONG: Duration = Duration::from_secs(180);

const TOKENS: &str = "\
ops    s3cret
team-a aaa namespace=team-a   # theirs
team-b bbb namespace=team-b
typo   ttt namspace=team-a
";

const DOCUMENTS: &str = r#"
[[check]]
name         = "of-TEAM"
heartbeat    = { namespace = "TEAM" }
failing_for  = "2s"
forget_after = "2h"

[[runbook]]
name     = "call-TEAM"
on       = { check = "of-TEAM" }
cooldown = "0s"

[[runbook.rung]]
name   = "call a person"
notify = "TEAM"

[[notifier]]
name = "TEAM"
kind = "webhook"
url  = "HOOK"
body = '''{"org": "{job.namespace}", "check": "{job.check}", "tags": [{tags}], "anomaly_start": {began}, "state": "{state}"}'''
"#;

/// A mesh of one that takes what bears one of these tokens.
struct Tenants {
    mesh: Mesh,
    port: u16,
}

impl Tenants {
    fn move_in() -> Result<Self> {
        let mut mesh = Mesh::with_http(1)?;
        mesh.hosts[0].stop()?;
        let file = mesh[0].data.join("hearten.toml");
        let tokens = mesh.folder().join("tokens");
        std::fs::write(&tokens, TOKENS)?;
        let text = std::fs::read_to_string(&file).context("the host's configuration")?;
        std::fs::write(&file, format!("intake_tokens = {tokens:?}\n{text}"))?;
        mesh.hosts[0].start()?;
        let port = mesh[0].http.context("it takes HTTP")?;
        until_within(LONG, "it leads and takes requests", || {
            let leads = mesh[0].status().is_some_and(|status| status["quorum"] == true);
            let taken = exchange(port, &format!("GET /ping HTTP/1.1\r\nhost: h:{port}\r\n"), b"");
            (leads && taken.is_ok()).then_some(())
        })?;
        Ok(Self { mesh, port })
    }

    /// A request with a token in its head.
    fn bearing(&self, token: &str, call: &str, body: &Value) -> Result<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{call} HTTP/1.1\r\nhost: h:{}\r\naccept: application/json\r\n\
             authorization: Bearer {token}\r\ncontent-length: {}\r\n",
            self.port,
            body.len()
        );
        ask(self.port, &head, body.as_bytes())
    }

    /// A request that has its key elsewhere.
    fn plain(&self, call: &str, body: &Value) -> Result<(u16, String)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        let head =
            format!("{call} HTTP/1.1\r\nhost: h:{}\r\ncontent-length: {length}\r\n", self.port);
        exchange(self.port, &head, body.as_bytes())
    }

    fn json(&self, call: &str, body: &Value) -> Result<(u16, Value)> {
        let (status, body) = self.plain(call, body)?;
        Ok((status, serde_json::from_str(&body).with_context(|| body.clone())?))
    }

    fn beat(&self, key: &str, check: &str, state: &str) -> Result<()> {
        let beat = json!({"api_key": key, "check": check, "state": state, "tags": ["web", "db"]});
        let told = self.json("POST /", &beat)?;
        ensure!(told == (200, json!({ "status": state })), "{told:?}");
        Ok(())
    }

    /// What a listing has under this key, sorted.
    fn names(&self, token: &str, path: &str, key: &str) -> Result<Vec<String>> {
        let (status, told) = self.bearing(token, &format!("GET {path}"), &Value::Null)?;
        ensure!(status == 200, "{status} {told}");
        let rows = told["result"].as_array().into_iter().flatten();
        let mut names: Vec<String> =
            rows.map(|row| row[key].as_str().unwrap_or_default().to_owned()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The checks that `PaceHB`'s listing has for a key, sorted.
    fn checks(&self, key: &str) -> Result<Vec<String>> {
        let (_, told) = self.json(&format!("GET /heartbeats?api_key={key}"), &Value::Null)?;
        let rows = told.as_array().into_iter().flatten();
        let name = |row: &Value| row["heartBeat"]["check"].as_str().unwrap_or_default().to_owned();
        let mut checks: Vec<String> = rows.map(name).collect();
        checks.sort_unstable();
        Ok(checks)
    }

    fn known(&self) -> Result<Vec<String>> {
        let listed = self.mesh[0].json(&["heartbeat", "list"])?;
        let rows = listed["heartbeats"].as_array().into_iter().flatten();
        Ok(rows.map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

#[test]
fn each_makes_and_sees_the_jobs_of_its_namespace_and_nobody_makes_anothers() -> Result<()> {
    let tenants = Tenants::move_in()?;
    for key in ["aaa", "bbb"] {
        tenants.beat(key, "foo.com", "OK")?;
    }
    tenants.beat("aaa", "only-a", "CRITICAL")?;
    tenants.beat("s3cret", "foo.com", "OK")?;
    assert_eq!(tenants.checks("aaa")?, ["foo.com", "only-a"]);
    assert_eq!(tenants.checks("bbb")?, ["foo.com"]);
    let all = ["foo.com", "team-a/foo.com", "team-a/only-a", "team-b/foo.com"];
    assert_eq!(tenants.checks("s3cret")?, all);
    assert_eq!(tenants.known()?, all);

    // What belongs to another is not there.
    let vote = json!({"api_key": "bbb", "check": "only-a", "vote": "down"});
    assert_eq!(tenants.json("POST /vote", &vote)?.0, 404);
    let past = |key: &str| {
        let told =
            tenants.json(&format!("GET /history?api_key={key}&check=only-a"), &Value::Null)?;
        anyhow::Ok(told.1.as_array().map_or(0, Vec::len))
    };
    assert_eq!((past("aaa")?, past("bbb")?, past("s3cret")?), (1, 0, 0));
    let delete = |key: &str, check: &str| {
        let call = format!("DELETE /heartbeats?api_key={key}&check={check}");
        anyhow::Ok(tenants.plain(&call, &Value::Null)?.0)
    };
    assert_eq!(delete("bbb", "only-a")?, 404);
    // Who sees all means his own, unless he says whose.
    assert_eq!(delete("s3cret", "foo.com")?, 200);
    assert_eq!(tenants.known()?, all[1..]);
    assert_eq!(delete("s3cret", "team-b/foo.com")?, 200);
    assert_eq!(tenants.known()?, all[1..3]);

    // Slugs.
    let get = |path: &str| tenants.plain(&format!("GET {path}"), &Value::Null);
    assert_eq!(get("/ping/aaa/nightly?create=1")?.0, 201);
    assert_eq!((get("/ping/aaa/nightly")?.0, get("/ping/bbb/nightly")?.0), (200, 404));
    let shown = tenants.mesh[0].json(&["heartbeat", "show", "team-a/nightly"])?;
    ensure!(shown["forgotten_at"].is_null(), "no document speaks of it");
    assert_eq!((&shown["checkins"], &shown["labels"]["namespace"]), (&json!(2), &json!("team-a")));
    let uuid = shown["uuid"].as_str().context("it has a secret")?;
    assert_eq!(get(&format!("/ping/{uuid}"))?.0, 200);

    // GoTel's requests.
    let job = |app: &str, component: &str| {
        json!({
            "app": app, "component": component, "frequency": 5, "time_units": "minutes",
            "duration": 1, "namespace": "team-b",
        })
    };
    let does = |token: &str, path: &str, app: &str, component: &str| {
        let told = tenants.bearing(token, &format!("POST {path}"), &job(app, component))?;
        anyhow::Ok(told.0)
    };
    assert_eq!(does("aaa", "/reservation", "shop", "orders")?, 200);
    for path in ["/checkin", "/snooze", "/checkout"] {
        assert_eq!(does("bbb", path, "shop", "orders")?, 404, "{path}");
    }
    assert_eq!(does("aaa", "/checkin", "shop", "orders")?, 200);
    assert_eq!(does("s3cret", "/checkin", "team-a", "shop/orders")?, 200, "he sees all");
    for path in ["/reservation", "/status"] {
        let mine = ["team-a/foo.com", "team-a/nightly", "team-a/only-a", "team-a/shop/orders"];
        assert_eq!(tenants.names("aaa", path, "name")?, mine, "{path}");
        assert_eq!(tenants.names("bbb", path, "name")?, [""; 0], "{path}");
    }
    assert_eq!(tenants.names("aaa", "/badguests", "app")?, ["team-a/only-a"]);
    assert_eq!(tenants.names("bbb", "/badguests", "app")?, [""; 0]);
    // A name that is somebody else's stays his, either way.
    assert_eq!(does("s3cret", "/reservation", "team-a", "shop/orders")?, 409);
    assert_eq!(does("s3cret", "/reservation", "team-b", "shop/orders")?, 200);
    assert_eq!(does("bbb", "/reservation", "shop", "orders")?, 409);
    assert_eq!(does("bbb", "/checkin", "shop", "orders")?, 404);
    assert_eq!(does("aaa", "/checkout", "shop", "orders")?, 200);

    // A line that is not understood lets nobody in, and says where it stands.
    let beat = json!({"api_key": "ttt", "check": "x", "state": "OK"});
    let (status, told) = tenants.json("POST /", &beat)?;
    let error = told["error"].as_str().unwrap_or_default();
    ensure!(status == 503 && error.contains("tokens:4: what follows the token"), "{status} {told}");
    Ok(())
}

#[test]
fn what_others_are_refused_teaches_a_number_nothing() -> Result<()> {
    let tenants = Tenants::move_in()?;
    tenants.beat("s3cret", "team-a/load", "OK")?;
    let number = |key: &str, check: &str, value: f64| {
        let beat = json!({"api_key": key, "check": check, "metric": value});
        anyhow::Ok(tenants.json("POST /", &beat)?.0)
    };
    // As many as it takes until one says something of the next.
    for _ in 0..110 {
        assert_eq!(number("aaa", "load", 900.0)?, 409);
    }
    assert_eq!(number("s3cret", "team-a/load", 42.0)?, 200);
    let past = "GET /history?api_key=s3cret&check=team-a/load";
    let (_, past) = tenants.json(past, &Value::Null)?;
    ensure!(past[0]["current"] == 42 && past[0].get("predicted").is_none(), "{past}");
    Ok(())
}

#[test]
fn documents_choose_by_the_namespace_whom_to_tell_in_pacehbs_words() -> Result<()> {
    let tenants = Tenants::move_in()?;
    let (a, b) = (Hook::listen()?, Hook::listen()?);
    let of = |team: &str, hook: &Hook| DOCUMENTS.replace("TEAM", team).replace("HOOK", &hook.url());
    tenants.mesh.apply(&(of("team-a", &a) + &of("team-b", &b)))?;
    tenants.beat("aaa", "foo.com", "CRITICAL")?;
    tenants.beat("bbb", "foo.com", "OK")?;
    let shown = tenants.mesh[0].json(&["heartbeat", "show", "team-a/foo.com"])?;
    ensure!(shown["forgotten_at"].is_string(), "{shown:#}");
    let critical = until_within(LONG, "it is told", || a.taken().first().cloned())?;
    let began = critical["anomaly_start"].as_u64().context("a moment")?;
    let said = |state: &str| {
        json!({
            "org": "team-a", "check": "foo.com", "tags": ["web", "db"], "anomaly_start": began,
            "state": state,
        })
    };
    assert_eq!(critical, said("CRITICAL"));
    ensure!(began > 1_700_000_000, "{began}");
    tenants.beat("aaa", "foo.com", "OK")?;
    let over = until_within(LONG, "that it is over is told", || a.taken().get(1).cloned())?;
    assert_eq!(over, said("OK"));
    assert_eq!(b.taken(), Vec::<Value>::new(), "it is none of theirs");
    // PaceHB's own sink for trying out a web hook.
    let head =
        "POST /echo HTTP/1.1\r\nhost: h\r\nauthorization: Bearer s3cret\r\ncontent-length: 4\r\n";
    assert_eq!(exchange(tenants.port, head, b"{ \n}")?, (200, "ok".to_owned()));
    let told = std::fs::read_to_string(tenants.mesh[0].log())?;
    ensure!(told.contains(r#"body="{ \n}""#) && !told.contains("s3cret"), "the log has it");
    Ok(())
}
