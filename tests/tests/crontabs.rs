//! Crontabs that were written for Healthchecks: their UUIDs, and the logs that they send.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write};
use tests::{Mesh, PATIENCE, until, web::exchange};

fn port(mesh: &Mesh, host: usize) -> u16 {
    mesh[host].http.unwrap_or_default()
}

fn job(mesh: &Mesh, host: usize, name: &str) -> Option<Value> {
    mesh[host].json(&["heartbeat", "show", name]).ok()
}

#[test]
fn a_log_of_any_length_comes_with_a_ping_and_the_next_run_does_not_take_it_away() -> Result<()> {
    let mesh = Mesh::with_http(1)?;
    let at = port(&mesh, 0);
    let ping = |path: &str, body: &str| {
        let length = body.len();
        let head = format!(
            "POST /ping/k/{path} HTTP/1.1\r\nhost: 127.0.0.1:{at}\r\ncontent-length: {length}\r\n"
        );
        exchange(at, &head, body.as_bytes())
    };
    let log = format!("backup of db-1\n{}disk full\n", "copied\n".repeat(800_000));
    ensure!(log.len() > 5 << 20, "{}", log.len());
    assert_eq!(ping("db-nightly/1?create=1", &log)?, (201, "Created".to_owned()));
    assert_eq!(ping("db-nightly", "done")?, (200, "OK".to_owned()));
    let told = mesh[0].json(&["heartbeat", "show", "db-nightly"])?;
    let counts = (&told["checkins"], &told["failures"], &told["body"]);
    assert_eq!(counts, (&json!(1), &json!(1), &json!("done")));
    let failed = told["failed_with"].as_str().context("it said something")?;
    ensure!(failed.starts_with("backup of db-1\ncopied"), "{failed}");
    ensure!(failed.contains(" bytes are left out]") && failed.ends_with("disk full"), "{failed}");
    let shown = mesh[0].hearten(&["heartbeat", "show", "db-nightly"])?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    ensure!(shown.contains("when it failed last, it said:\n  backup of db-1"), "{shown}");
    Ok(())
}

const UUID: &str = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278";

/// The second has the hash of that.
const MOVED: &str = r#"
[[check]]
name      = "other"
heartbeat = "other"

[[check]]
name        = "moved"
heartbeat   = "moved"
uuid_sha256 = "614f72e1a65ad3435390830a966f382a3d218d3a77b00e033e49c23af51121e9"
"#;

#[test]
fn a_crontab_of_healthchecks_pings_by_its_uuid_as_before_and_so_may_a_page() -> Result<()> {
    let mesh = Mesh::with_http(3)?;
    mesh.apply(MOVED)?;
    let counts = |at: usize, name: &str| {
        let told = job(&mesh, at, name)?;
        Some((told["checkins"].as_u64()?, told["failures"].as_u64()?))
    };
    let send = |host: usize, call: &str, more: &str| {
        let at = port(&mesh, host);
        let head = format!("{call} HTTP/1.1\r\nhost: 127.0.0.1:{at}\r\n{more}");
        exchange(at, &head, b"")
    };
    until("every peer has it", || {
        (0..3).all(|host| counts(host, "moved").is_some()).then_some(())
    })?;
    // Any peer takes it, whichever way it is written.
    assert_eq!(send(1, &format!("GET /ping/{UUID}"), "")?, (200, "OK".to_owned()));
    let upper = UUID.to_uppercase();
    assert_eq!(send(2, &format!("HEAD /ping/{upper}"), "")?, (200, String::new()));
    assert_eq!(send(0, &format!("POST /ping/{UUID}/7"), "")?, (200, "OK".to_owned()));
    until("all are counted", || (counts(0, "moved") == Some((2, 1))).then_some(()))?;
    assert_eq!(counts(0, "other"), Some((0, 0)));
    let another = UUID.replace("278", "279");
    assert_eq!(send(0, &format!("GET /ping/{another}"), "")?.0, 404);

    // A page that knows it may do so, and nothing else.
    let page = "origin: http://shop.example\r\nsec-fetch-site: cross-site\r\n";
    let asks = format!("{page}access-control-request-method: POST\r\n");
    assert_eq!(send(0, &format!("OPTIONS /ping/{UUID}"), &asks)?.0, 204);
    assert_eq!(send(0, &format!("GET /ping/{UUID}"), page)?, (200, "OK".to_owned()));
    until("the question was no ping", || (counts(0, "moved") == Some((3, 1))).then_some(()))?;
    for call in ["GET /ping/key/moved", "OPTIONS /ping/key/moved", "POST /checkin"] {
        assert_eq!(send(0, call, page)?.0, 403, "{call}");
    }
    let answer = |call: &str| headers(port(&mesh, 0), call, page);
    let told = answer(&format!("GET /ping/{UUID}"))?;
    ensure!(told.contains("access-control-allow-origin: *"), "{told}");
    for call in [format!("GET /ping/{another}"), "GET /ping/key/moved".to_owned()] {
        let told = answer(&call)?;
        ensure!(!told.contains("access-control"), "{told}");
    }

    // A UUID is one job's.
    let twice = MOVED.replace("\"moved\"", "\"again\"");
    let file = mesh.folder().join("twice.toml");
    std::fs::write(&file, twice)?;
    let refused = mesh[0].hearten(&["apply", &file.to_string_lossy()])?;
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success(), "{refused:?}");
    ensure!(error.contains("check \"moved\" has the same UUID for another job"), "{error}");
    Ok(())
}

/// The head of an answer, in small letters.
fn headers(port: u16, call: &str, more: &str) -> Result<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head =
        format!("{call} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{more}connection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split("\r\n\r\n").next().unwrap_or_default().to_lowercase())
}
