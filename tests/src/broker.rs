//! A Kafka cluster that speaks the real protocol: librdkafka's mock cluster, by Debian's Python
//! bindings of it. A topic is made by its first message and has four partitions.

use crate::parts::program;
use anyhow::{Context, Result, ensure};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Debian's own Python, which Debian's packages are for.
const PYTHON: &str = "/usr/bin/python3";

/// A cluster on loopback, and who sends to it.
#[derive(Debug)]
pub struct Broker {
    /// Its brokers, `HOST:PORT`.
    pub brokers: Vec<String>,
    child: Child,
    input: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Broker {
    /// Starts a cluster of so many brokers; nothing where the bindings are not installed.
    ///
    /// # Errors
    /// When it cannot be started.
    ///
    /// # Panics
    /// In CI, when the bindings are missing.
    pub fn start(count: usize) -> Result<Option<Self>> {
        const PACKAGE: &str = "python3-confluent-kafka";
        if program("python3", "python3").is_none() {
            return Ok(None);
        }
        let there = Command::new(PYTHON).args(["-c", "import confluent_kafka"]).output()?;
        if !there.status.success() {
            let message = format!("confluent_kafka is missing: install Debian's package {PACKAGE}");
            assert!(std::env::var_os("CI").is_none(), "{message}");
            eprintln!("skipped: {message}");
            return Ok(None);
        }
        let mut child = Command::new(PYTHON)
            .args(["-c", include_str!("broker.py"), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let input = child.stdin.take().context("it has an input")?;
        let mut answers = BufReader::new(child.stdout.take().context("it has an output")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let brokers: Vec<String> = line.trim().split(',').map(str::to_owned).collect();
        ensure!(brokers.len() == count, "the cluster has ended: {line:?}");
        Ok(Some(Self { brokers, child, input, answers }))
    }

    /// Sends a message, which has no line break in it, and waits until the cluster has it.
    ///
    /// # Errors
    /// When it does not take it.
    pub fn send(&mut self, topic: &str, partition: u32, message: &str) -> Result<()> {
        writeln!(self.input, "{topic} {partition} {message}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(line.trim() == "taken", "{line:?}");
        Ok(())
    }

    /// Its brokers, as a document lists them.
    pub fn listed(&self) -> String {
        format!("{:?}", self.brokers)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the cluster was not ended: {error}");
        }
    }
}
