//! The history of a run: its digest, and its last lines for whoever has to find out what happened.
//!
//! The digest covers every line, so that two runs with the same digest were the same run.

use sha2::{Digest, Sha256};
use std::{collections::VecDeque, time::Duration};

/// How many lines are kept for the report of a violation.
const KEPT: usize = 60;

/// The history of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Sha256,
    last: VecDeque<String>,
    all: bool,
}

impl Trace {
    /// A history that keeps its last lines, or all of them.
    pub(crate) fn new(all: bool) -> Self {
        Self { hash: Sha256::new(), last: VecDeque::new(), all }
    }

    /// Adds a line.
    pub(crate) fn note(&mut self, at: Duration, who: &str, what: &str) {
        let line = format!("{:>11.6}  {who:<5} {what}", at.as_secs_f64());
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        self.last.push_back(line);
        if !self.all && self.last.len() > KEPT {
            self.last.pop_front();
        }
    }

    /// Adds to the digest what is not worth a line.
    pub(crate) fn mix(&mut self, bits: u64) {
        self.hash.update(bits.to_be_bytes());
    }

    /// The lines that were kept, oldest first.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    /// The digest so far, in hexadecimal.
    pub(crate) fn digest(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.hash.clone().finalize())
    }
}
