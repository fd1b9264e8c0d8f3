//! The demo's patient: a small web service that says it is well for as long as it lives.

use anyhow::Context;
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
};

/// Serves until it is killed; leaves its process id in `pid_file`.
///
/// # Errors
/// When the address is taken or the file cannot be written.
pub fn serve(address: SocketAddr, pid_file: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
    std::fs::write(pid_file, std::process::id().to_string()).context("writing the pid file")?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        let mut request = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        // Whoever hangs up early is no reason to stop.
        while request.read_line(&mut line).is_ok_and(|read| read > 2) {
            line.clear();
        }
        drop(stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nI'm well",
        ));
    }
    Ok(())
}
