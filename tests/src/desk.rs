//! A desk that other systems would stand behind: tickets, a load balancer, over HTTP.

use anyhow::Result;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

/// A request that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `PUT /hosts/h3`.
    pub what: String,
    /// What was sent.
    pub body: String,
    /// Its idempotency key.
    pub key: String,
}

#[derive(Debug, Default)]
struct State {
    asked: Vec<Asked>,
    answer: String,
}

/// A small HTTP server on loopback: answers a POST with 201, everything else with 200 and the
/// answer that is set.
#[derive(Debug)]
pub struct Desk {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Desk {
    /// Begins to listen.
    ///
    /// # Errors
    /// When no port is free.
    pub fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        let kept = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who hangs up in the middle has not asked.
                if let Err(error) = serve(stream, &kept) {
                    eprintln!("the desk: {error}");
                }
            }
        });
        Ok(Self { address, state })
    }

    /// Where it stands: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it answers from now on.
    pub fn answer(&self, text: &str) {
        text.clone_into(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).answer);
    }

    /// What was asked so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    /// How often exactly this was asked.
    pub fn count(&self, what: &str) -> usize {
        self.asked().iter().filter(|asked| asked.what == what).count()
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut length, mut key) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        match line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim())) {
            Some((name, value)) if name == "content-length" => length = value.parse()?,
            Some((name, value)) if name == "idempotency-key" => value.clone_into(&mut key),
            Some(_) | None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let what: Vec<&str> = first.split(' ').take(2).collect();
    let what = what.join(" ");
    let answer = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let body = String::from_utf8_lossy(&body).into_owned();
        state.asked.push(Asked { what: what.clone(), body, key });
        state.answer.clone()
    };
    let status = if what.starts_with("POST") { "201 Created" } else { "200 OK" };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    )?;
    Ok(())
}
