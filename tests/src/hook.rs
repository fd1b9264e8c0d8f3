//! A web hook that keeps what it is sent.

use anyhow::Result;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A small HTTP server on loopback that takes every POST.
#[derive(Debug)]
pub struct Hook {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Value>>>,
    /// Whether it is to answer.
    answers: Arc<AtomicBool>,
    /// Whoever waits for an answer, or has given up.
    waiting: Arc<Mutex<Vec<TcpStream>>>,
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
        let answers = Arc::new(AtomicBool::new(true));
        let waiting = Arc::<Mutex<Vec<TcpStream>>>::default();
        let (kept, answering, held) =
            (Arc::clone(&taken), Arc::clone(&answers), Arc::clone(&waiting));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Some(body) = take(&stream) else { continue };
                // Whoever only asks sends nothing, and has his answer.
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend(json(&body));
                if !answering.load(Ordering::SeqCst) {
                    held.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
                } else if let Err(error) = stream.write_all(ANSWER) {
                    // It took too long for whoever asked: what was sent is known all the same.
                    eprintln!("an answer was not sent: {error}");
                }
            }
        });
        Ok(Self { address, taken, answers, waiting })
    }

    /// From now on it takes what is sent, and answers or does not.
    pub fn answer(&self, answers: bool) {
        self.answers.store(answers, Ordering::SeqCst);
    }

    /// How many wait for an answer that does not come.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn waiting(&self) -> Result<usize> {
        let mut count = 0;
        for stream in self.waiting.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            stream.set_nonblocking(true)?;
            // Who has gone has closed it.
            let open =
                stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            count += usize::from(open);
        }
        Ok(count)
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

/// What a receiver says that has taken it.
const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The body of a request that has come in.
fn take(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
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
    Some(body)
}

fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}
