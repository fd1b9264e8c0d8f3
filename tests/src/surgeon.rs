//! A surgeon as Hospital has it: asks for operations with a body in a GET, runs each with `sh -c`,
//! and says once how it ended.

use crate::web::exchange;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// What a surgeon is handed.
#[derive(Debug, Clone)]
pub struct Operation {
    /// By which it reports.
    pub id: u64,
    /// What it runs.
    pub script: String,
}

/// Asks a peer for something to do, and waits as long as the peer does.
///
/// # Errors
/// When it is answered with anything but operations or that there are none.
pub fn operations(port: u16, application_id: &str) -> Result<Vec<Operation>> {
    let body = json!({ "applicationID": application_id }).to_string();
    let head = format!(
        "GET /v1/operation HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n",
        body.len()
    );
    let (status, answer) = exchange(port, &head, body.as_bytes())?;
    match status {
        204 => Ok(Vec::new()),
        200 => {
            let all: Vec<Value> = serde_json::from_str(&answer)?;
            let one = |told: &Value| {
                let script = told["script"].as_str().unwrap_or_default().to_owned();
                Operation { id: told["id"].as_u64().unwrap_or_default(), script }
            };
            Ok(all.iter().map(one).collect())
        }
        _ => bail!("{status}: {answer}"),
    }
}

/// Says how an operation ended.
///
/// # Errors
/// When there is no answer.
pub fn report(port: u16, id: u64, status: &str, logs: &str) -> Result<(u16, Value)> {
    let body = json!({ "id": id, "status": status, "logs": logs }).to_string();
    crate::post(port, "/v1/report", body.as_bytes())
}

/// A surgeon at work.
#[derive(Debug)]
pub struct Surgeon {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Surgeon {
    /// One that asks these peers in turn, until it is dropped.
    pub fn at_work(ports: Vec<u16>, application_id: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, id) = (Arc::clone(&stop), application_id.to_owned());
        let thread = thread::spawn(move || {
            for port in ports.iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                match operations(*port, &id) {
                    Ok(operations) => operations.iter().for_each(|one| carry_out(*port, one)),
                    // As it does when its server is away.
                    Err(_away) => thread::sleep(Duration::from_millis(200)),
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

fn carry_out(port: u16, operation: &Operation) {
    let ended = Command::new("sh").args(["-c", &operation.script]).output();
    let (status, logs) = match ended {
        Ok(output) if output.status.success() => ("completed", output.stdout),
        Ok(output) => ("failed", output.stderr),
        Err(error) => ("failed", error.to_string().into_bytes()),
    };
    let told = report(port, operation.id, status, &String::from_utf8_lossy(&logs));
    if let Err(error) = told {
        eprintln!("a surgeon's report was not answered: {error:#}");
    }
}

impl Drop for Surgeon {
    fn drop(&mut self) {
        // It waits for its answer at most as long as the peer does; nobody waits for that here.
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take());
    }
}
