//! A web hook that keeps what it is sent.

use anyhow::Result;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

/// A small HTTP server on loopback that takes every POST.
#[derive(Debug)]
pub struct Hook {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Hook {
    /// Begins to listen.
    ///
    /// # Errors
    /// When no port is free.
    pub fn listen() -> Result<Self> {
        Self::on(TcpListener::bind("127.0.0.1:0")?)
    }

    /// The same with a listener that somebody else has bound, maybe on another network.
    ///
    /// # Errors
    /// When the listener is not one.
    pub fn on(listener: TcpListener) -> Result<Self> {
        let address = listener.local_addr()?;
        let taken = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(body) = take(stream) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(body);
                }
            }
        });
        Ok(Self { address, taken })
    }

    /// The address for a notifier.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What was sent so far.
    pub fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn take(mut stream: TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .ok()?;
    serde_json::from_slice(&body).ok()
}
