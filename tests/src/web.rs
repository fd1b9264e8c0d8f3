//! HTTP requests as other systems make them, byte by byte: what is wrong with them has to be ours.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
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
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    let answer = exchange_over(stream, head, |stream| stream.write_all(body))?;
    Ok((answer.status, answer.body))
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its first line and its headers.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// What a header says.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| {
            line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        self.head.lines().find(named)?.split_once(':').map(|(_, value)| value.trim())
    }

    /// What it refuses with: every refusal is JSON of one shape.
    ///
    /// # Errors
    /// When it is of another, or none.
    pub fn error(&self) -> Result<String> {
        let said: Value = serde_json::from_str(&self.body).with_context(|| format!("{self:?}"))?;
        let error = said["error"].as_str().unwrap_or_default();
        let shape = said["schema"] == 1 && said["status"] == "error" && !error.is_empty();
        ensure!(shape && self.status >= 400, "{self:?} is no refusal");
        Ok(error.to_owned())
    }
}

/// Sends a request whose head is given without its last empty line, and then whatever `send` does;
/// reads the answer to its end.
///
/// # Errors
/// When there is no answer.
pub fn exchange_over(
    mut stream: TcpStream,
    head: &str,
    send: impl FnOnce(&mut TcpStream) -> std::io::Result<()>,
) -> Result<Answer> {
    stream.set_read_timeout(Some(WITHIN))?;
    // Who refuses a request by its head need not take its body, nor who hangs up the head.
    let sent = stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes());
    let sent = sent.and_then(|()| send(&mut stream));
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("no answer but {text:?} ({sent:?}, {read:?})"))?;
    let status = head.split(' ').nth(1).context("an answer has a status")?.parse()?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// A connection to a port on loopback from another address of it.
///
/// # Errors
/// When it is refused.
pub fn connect_from(from: [u8; 4], port: u16) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    Ok(socket.into())
}
