//! What a daemon needs of its host is somebody else's: it says what, where and what to do.

use anyhow::{Context, Result};
use std::{fs, net::TcpListener};
use tests::{Mesh, until};

#[test]
fn an_http_address_that_is_taken_is_in_the_status_until_it_is_free() -> Result<()> {
    let mut mesh = Mesh::with_http(1)?;
    let host = &mut mesh.hosts[0];
    let port = host.http.context("it takes HTTP")?;
    assert_eq!(host.json(&["status"])?["http_problem"], serde_json::Value::Null);
    host.stop()?;
    let other = TcpListener::bind(("127.0.0.1", port))?;
    host.start()?;
    let words = format!("NO HTTP on {}: cannot listen on 127.0.0.1:{port}: ", host.name);
    until("the status says so", || {
        host.ok(&["status"]).ok().filter(|status| status.contains(&words))
    })?;
    let told = host.json(&["status"])?["http_problem"].to_string();
    assert!(told.contains("hearten.toml"), "{told}");
    drop(other);
    until("it is served", || host.json(&["status"]).ok()?["http_problem"].is_null().then_some(()))
}

#[test]
fn an_address_that_another_daemon_has_is_named_with_the_key_to_change() -> Result<()> {
    let mut mesh = Mesh::sized(2)?;
    mesh.hosts[1].stop()?;
    let taken = mesh.hosts[0].address.to_string();
    let file = mesh.hosts[1].data.join("hearten.toml");
    let own = mesh.hosts[1].address.to_string();
    fs::write(&file, fs::read_to_string(&file)?.replace(&own, &taken))?;
    let run = mesh.hosts[1].hearten(&["run"])?;
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success());
    assert!(said.contains(&format!("cannot listen on {taken}: ")), "{said}");
    assert!(said.contains("`listen`") && said.contains("hearten.toml"), "{said}");
    Ok(())
}
