//! Real programs from Debian's packages that some tests need, and what their tests share.

use crate::Host;
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    time::Duration,
};

/// The program, where it is installed. Where it is missing, the test is skipped with a message,
/// unless `CI` is set: there a skipped test is a failed one.
///
/// # Panics
/// In CI, when the program is missing.
pub fn program(name: &str, package: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/nagios/plugins"];
    let found = folders.iter().map(|folder| PathBuf::from(folder).join(name)).find(|p| p.exists());
    if found.is_none() {
        let message = format!("{name} is missing: install Debian's package {package}");
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("skipped: {message}");
    }
    found
}

/// A TCP port on loopback that nobody listens on.
///
/// # Errors
/// When none is free.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The status of the answer to `GET /` from loopback.
///
/// # Errors
/// When there is no answer within `patience`.
pub fn get(port: u16, patience: Duration) -> Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.split(' ').nth(1).with_context(|| format!("{line:?} is no answer"))?;
    Ok(status.parse()?)
}

/// The bundle of evidence of an incident, as `host` shows it.
///
/// # Errors
/// When there is none.
pub fn evidence(host: &Host, incident: &Value) -> Result<String> {
    let id = incident["id"].as_str().context("the incident has an id")?;
    host.ok(&["incident", "evidence", id])
}
