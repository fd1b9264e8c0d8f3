//! The history of a run: its digest, and its last lines for whoever has to find out what happened.
//!
//! The digest covers every line, so that two runs with the same digest were the same run.

use sha2::{Digest, Sha256};
use std::{collections::VecDeque, fmt::Write, time::Duration};

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
        self.note_two(at, who, "", what);
    }

    /// Adds a line whose text has two parts.
    pub(crate) fn note_two(&mut self, at: Duration, who: &str, how: &str, what: &str) {
        let full = !self.all && self.last.len() >= KEPT;
        let oldest = if full { self.last.pop_front() } else { None };
        let mut line = oldest.unwrap_or_default();
        line.clear();
        let written = if at.subsec_nanos().is_multiple_of(1_000) {
            // The same as below, in whole numbers: every step of every agent comes by here.
            let (seconds, micros) = (at.as_secs(), at.subsec_micros());
            write!(line, "{seconds:>4}.{micros:06}  {who:<5} {how}{what}")
        } else {
            write!(line, "{:>11.6}  {who:<5} {how}{what}", at.as_secs_f64())
        };
        assert!(written.is_ok(), "a string takes everything");
        line.push('\n');
        self.hash.update(line.as_bytes());
        line.pop();
        self.last.push_back(line);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_look_the_same_whichever_way_they_are_written() {
        let mut trace = Trace::new(true);
        let times = [0, 1, 999_999, 1_000_000, 12_345_678, 9_999_999_999, 123_456_789_012_345];
        for micros in times {
            trace.note(Duration::from_micros(micros), "p1", "is here");
        }
        trace.note_two(Duration::from_nanos(1_234_567_891), "p1", "is ", "here");
        let expected = times.map(|micros| {
            format!("{:>11.6}  p1    is here", Duration::from_micros(micros).as_secs_f64())
        });
        let lines: Vec<&str> = trace.lines().collect();
        assert_eq!(lines[..7], expected);
        assert_eq!(lines[7], "   1.234568  p1    is here");
    }

    #[test]
    fn the_last_lines_are_kept_and_all_of_them_are_in_the_digest() {
        let (mut some, mut all) = (Trace::new(false), Trace::new(true));
        for second in 0..100 {
            some.note(Duration::from_secs(second), "--", "tick");
            all.note(Duration::from_secs(second), "--", "tick");
        }
        assert_eq!((some.lines().count(), all.lines().count()), (KEPT, 100));
        assert_eq!(some.lines().last(), all.lines().last());
        assert_eq!(some.digest(), all.digest());
    }
}
