//! Who may not send something, and what is wrong with what is sent: each is refused in JSON of the
//! same shape, and nothing of it is in the log.

use anyhow::{Context, Result, ensure};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};
use tests::{
    Authority, Mesh, post, until,
    web::{Answer, exchange_over},
};

const DOCUMENTS: &str = r#"
[[check]]
name  = "disk"
alert = { service = "disk" }
"#;

/// A mesh of one, with its HTTP address as these lines of `hearten.toml` have it.
fn mesh(lines: impl FnOnce(&Mesh, u16) -> Result<String>) -> Result<(Mesh, u16)> {
    let mut mesh = Mesh::with_http(1)?;
    mesh.apply(DOCUMENTS)?;
    let port = mesh[0].http.context("it takes HTTP")?;
    let lines = lines(&mesh, port)?;
    mesh.hosts[0].stop()?;
    let file = mesh[0].data.join("hearten.toml");
    let text = fs::read_to_string(&file).context("the host's configuration")?;
    let others = text.lines().filter(|line| !line.starts_with("http "));
    let others: Vec<&str> = others.collect();
    fs::write(&file, format!("{lines}\n{}\n", others.join("\n")))?;
    mesh.hosts[0].start()?;
    until("it leads and takes requests", || {
        let leads = mesh[0].status().is_some_and(|status| status["quorum"] == true);
        let taken = TcpStream::connect(("127.0.0.1", port)).is_ok();
        (leads && taken).then_some(())
    })?;
    Ok((mesh, port))
}

fn ask(port: u16, call: &str, more: &str, body: &str) -> Result<Answer> {
    let length = body.len();
    let head = format!(
        "{call} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: application/json\r\n\
         content-length: {length}\r\n{more}"
    );
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    exchange_over(stream, &head, |stream| stream.write_all(body.as_bytes()))
}

/// The log's last entry.
fn last_entry(mesh: &Mesh) -> Result<u64> {
    let members = mesh[0].json(&["raft", "members"])?;
    members["applied"].as_u64().with_context(|| format!("{members:#}"))
}

const ALERTMANAGER: &str = r#"{"version":"4","alerts":[{"status":"firing","startsAt":"2026-01-01T00:00:00Z","labels":{"alertname":"A","host":"h1"}}]}"#;

/// One good request of each kind that needs somebody to be known.
const CALLS: [(&str, &str); 15] = [
    ("POST /v1/alertmanager", ALERTMANAGER),
    ("POST /api/v2/alerts", r#"[{"labels":{"alertname":"A"}}]"#),
    ("POST /v1/reception", r#"{"id":"cpu","level":"CRITICAL"}"#),
    ("POST /v1/passive", r#"{"host":"h1","service":"disk","return_code":2}"#),
    ("POST /v1/intake/any", "{}"),
    ("POST /reservation", r#"{"app":"a","component":"b","frequency":5,"time_units":"minutes"}"#),
    ("POST /checkin", r#"{"app":"a","component":"b"}"#),
    ("POST /snooze", r#"{"app":"a","component":"b","duration":5}"#),
    ("POST /checkout", r#"{"app":"a","component":"b"}"#),
    ("GET /reservation", ""),
    ("GET /status", ""),
    ("GET /v1/alerts", ""),
    ("POST /", r#"{"api_key":"wrong","check":"foo.com","state":"OK"}"#),
    ("GET /heartbeats?api_key=wrong", ""),
    ("POST /ping/wrong/job?create=1", ""),
];

#[test]
fn who_bears_no_token_is_refused_and_nothing_of_it_is_in_the_log() -> Result<()> {
    let (mesh, port) = mesh(|mesh, port| {
        let tokens = mesh.folder().join("tokens");
        fs::write(&tokens, "prometheus s3cret\n")?;
        Ok(format!("http = \"0.0.0.0:{port}\"\nintake_tokens = {tokens:?}"))
    })?;
    let before = last_entry(&mesh)?;
    for _ in 0..3 {
        for (call, body) in CALLS {
            for told in
                ["", "authorization: Bearer wrong\r\n", "authorization: Bearer prometheus\r\n"]
            {
                let answer = ask(port, call, told, body)?;
                let why = answer.error().with_context(|| call.to_owned())?;
                ensure!(answer.status == 401 && why.contains("token"), "{call}: {answer:?}");
            }
        }
        // Nobody knows this secret, and a job is not made by guessing.
        let guessed = ask(port, "POST /ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278", "", "")?;
        assert_eq!(guessed.status, 404, "{guessed:?}");
        guessed.error()?;
    }
    let (fire, jobs) = (mesh[0].json(&["alert", "list"])?, mesh[0].json(&["heartbeat", "list"])?);
    assert_eq!(fire["alerts"].as_array().map(Vec::len), Some(0), "{fire:#}");
    assert_eq!(jobs["heartbeats"].as_array().map(Vec::len), Some(0), "{jobs:#}");
    let entries = last_entry(&mesh)? - before;
    ensure!(entries < 10, "{entries} entries by 138 requests of strangers");

    // The same with the token, as a bearer and as a password of whoever.
    let basic = data_encoding::BASE64.encode(b"anybody:s3cret");
    for (told, news) in [
        ("authorization: Bearer s3cret\r\n".to_owned(), 1),
        (format!("authorization: Basic {basic}\r\n"), 0),
    ] {
        let answer = ask(port, "POST /v1/alertmanager", &told, ALERTMANAGER)?;
        let wanted = format!("\"news\":{news}");
        ensure!(answer.status == 200 && answer.body.contains(&wanted), "{told}: {answer:?}");
    }
    Ok(())
}

#[test]
fn without_tokens_nothing_is_taken_of_other_hosts() -> Result<()> {
    let (mesh, port) = mesh(|_, port| Ok(format!("http = \"0.0.0.0:{port}\"")))?;
    for (call, body) in CALLS {
        for told in ["", "authorization: Bearer s3cret\r\n"] {
            let answer = ask(port, call, told, body)?;
            let why = answer.error().with_context(|| call.to_owned())?;
            ensure!(answer.status == 403 && why.contains("intake_tokens"), "{call}: {answer:?}");
        }
    }
    assert_eq!(mesh[0].json(&["alert", "list"])?["alerts"].as_array().map(Vec::len), Some(0));
    Ok(())
}

#[test]
fn what_nobody_was_handed_is_told_without_the_log() -> Result<()> {
    let mesh = Mesh::with_http(3)?;
    let port = mesh[1].http.context("it takes HTTP")?;
    let before = last_entry(&mesh)?;
    for id in 0..50 {
        let body = format!(r#"{{"id":{id},"status":"completed","logs":""}}"#);
        let (status, told) = post(port, "/v1/report", body.as_bytes())?;
        let why = told["error"].as_str().unwrap_or_default();
        ensure!(status == 404 && why.contains("no surgeon was handed"), "{status} {told}");
    }
    let entries = last_entry(&mesh)? - before;
    ensure!(entries < 25, "{entries} entries by 50 reports of what nobody was handed");
    Ok(())
}

#[test]
fn every_refusal_is_json_of_one_shape() -> Result<()> {
    let (mesh, port) = mesh(|_, port| Ok(format!("http = \"127.0.0.1:{port}\"")))?;
    for (call, status, allow) in [
        ("GET /v1/alertmanager", 405, "POST"),
        ("OPTIONS /v1/passive", 405, "POST"),
        ("PUT /checkin", 405, "POST"),
        ("DELETE /v1/report", 405, "POST"),
        ("POST /v1/alerts", 405, "GET,HEAD"),
        ("PATCH /", 405, "GET,HEAD,POST"),
        ("DELETE /reservation", 405, "GET,HEAD,POST"),
        ("POST /heartbeats", 405, "DELETE,GET,HEAD"),
        ("TRACE /counters", 405, "GET,HEAD"),
        ("BREW /v1/intake/x", 405, "POST"),
        ("GET /v1/intake/%ff", 405, "POST"),
        ("POST /v1/intake/%ff", 404, ""),
        ("POST /v1/intake/none", 404, ""),
        ("POST /v1/intake/", 404, ""),
        ("GET /nowhere", 404, ""),
        ("GET /%ff", 404, ""),
        ("GET /v1/alerts/", 404, ""),
        ("POST /v1/passive", 400, ""),
        ("GET /ping/%ff", 400, ""),
        ("GET /ping/key/", 400, ""),
        ("GET /ping/key/nobody", 404, ""),
        ("GET /history", 400, ""),
        ("POST /checkin", 400, ""),
        ("POST /vote", 400, ""),
        ("GET /v1/operation", 400, ""),
    ] {
        let answer = ask(port, call, "", "")?;
        answer.error().with_context(|| call.to_owned())?;
        let allowed = answer.header("allow").unwrap_or_default();
        let mut allowed: Vec<&str> = allowed.split(',').map(str::trim).collect();
        allowed.sort_unstable();
        assert_eq!((answer.status, allowed.join(",").as_str()), (status, allow), "{call}");
    }
    drop(mesh);
    Ok(())
}

/// What a client is answered that trusts this authority alone, in TLS.
fn ask_in_tls(port: u16, trusted: &Authority) -> Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?;
    let mut stream = StreamOwned::new(session, TcpStream::connect(("127.0.0.1", port))?);
    stream.write_all(b"GET /ping HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn with_a_certificate_the_address_speaks_tls_alone_and_takes_up_one_that_is_renewed() -> Result<()>
{
    let (first, second) = (Authority::new()?, Authority::new()?);
    let (mesh, port) = mesh(|mesh, port| {
        let (chain, key) = first.certify(&["localhost"], &mesh.folder())?;
        Ok(format!("http = \"127.0.0.1:{port}\"\nhttp_certificate = {chain:?}\nhttp_key = {key:?}"))
    })?;
    let answer = ask_in_tls(port, &first)?;
    ensure!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("Pong"), "{answer}");
    ensure!(ask_in_tls(port, &second).is_err(), "it is another's");
    ensure!(ask(port, "GET /ping", "", "").is_err(), "nothing is said in the clear");
    // What does not belong together is not taken up.
    fs::write(mesh.folder().join("key.pem"), "nonsense")?;
    ask_in_tls(port, &first)?;
    second.certify(&["localhost"], &mesh.folder())?;
    until("it has the new certificate", || ask_in_tls(port, &second).ok())?;
    ensure!(ask_in_tls(port, &first).is_err(), "and the old one no more");
    Ok(())
}
