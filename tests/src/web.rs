//! HTTP requests as other systems make them, byte by byte: what is wrong with them has to be ours.

use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(45);

/// Posts a body to a path on loopback; the answer's status and its body as JSON.
///
/// # Errors
/// When there is no answer, or one without JSON.
pub fn post(port: u16, path: &str, body: &[u8]) -> Result<(u16, Value)> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n",
        body.len()
    );
    ask(port, &head, body)
}

/// Sends a request whose head is given without its last empty line.
///
/// # Errors
/// As [`post`].
pub fn ask(port: u16, head: &str, body: &[u8]) -> Result<(u16, Value)> {
    let (status, body) = exchange(port, head, body)?;
    let body = serde_json::from_str(&body).with_context(|| format!("{status}: {body:?}"))?;
    Ok((status, body))
}

/// The same, for an answer of whatever kind, or none.
///
/// # Errors
/// When there is no answer.
pub fn exchange(port: u16, head: &str, body: &[u8]) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    // Who refuses a request by its head need not take its body.
    let sent = stream.write_all(body);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("no answer but {text:?} ({sent:?}, {read:?})"))?;
    let status = head.split(' ').nth(1).context("an answer has a status")?.parse()?;
    Ok((status, body.to_owned()))
}
