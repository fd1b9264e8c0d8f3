//! What a command prints, within a fixed size: its beginning and its end.
//!
//! The beginning tells what a command set out to do and the end how it went; a flood in between is
//! counted and left out. Both are kept as bytes while the command runs and become text at the end,
//! so that a character that arrives in two pieces stays whole.

use std::collections::VecDeque;

/// Room for the line that says how much was left out.
const MARKER_BYTES: usize = 64;

/// Keeps the head and the tail of a stream.
#[derive(Debug)]
pub(super) struct Output {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half_max: usize,
    seen_bytes: u64,
}

impl Output {
    /// Keeps at most `max_bytes`, the line about what is left out included; 256 at the least.
    pub(super) fn new(max_bytes: usize) -> Self {
        let half_max = (max_bytes.max(256) - MARKER_BYTES) / 2;
        Self { head: Vec::new(), tail: VecDeque::new(), half_max, seen_bytes: 0 }
    }

    /// Takes what came next.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.seen_bytes = self.seen_bytes.saturating_add(count(bytes.len()));
        let into_head = bytes.len().min(self.half_max - self.head.len());
        let (head, rest) = bytes.split_at(into_head);
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(self.half_max)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.half_max);
        drop(self.tail.drain(..surplus));
        self.tail.extend(rest);
    }

    /// Passes over bytes that the caller leaves out itself.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.seen_bytes = self.seen_bytes.saturating_add(bytes);
    }

    /// Whether bytes are being left out by now.
    pub(super) fn overflows(&self) -> bool {
        self.seen_bytes > count(self.head.len() + self.tail.len())
    }

    /// The text: all of it, or head and tail with a line in between that counts what is missing.
    ///
    /// Bytes that are no UTF-8 become `U+FFFD`.
    pub(super) fn into_text(self) -> String {
        let overflowed = self.overflows();
        let tail: Vec<u8> = self.tail.into();
        if !overflowed {
            let whole = [self.head, tail].concat();
            let text = String::from_utf8_lossy(&whole);
            // Each stray byte became three: only then can it be too long.
            if text.len() <= self.half_max * 2 {
                return text.into_owned();
            }
            return joined(&text, &text, self.half_max, count(text.len()));
        }
        let head = String::from_utf8_lossy(without_cut_end(&self.head));
        let tail = String::from_utf8_lossy(without_cut_start(&tail));
        joined(&head, &tail, self.half_max, self.seen_bytes)
    }
}

/// The longest beginning of `text` of at most `max_bytes` whole characters' bytes.
pub(super) fn beginning(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

fn joined(head: &str, tail: &str, half_max: usize, seen_bytes: u64) -> String {
    let head = beginning(head, half_max);
    let tail = &tail[tail.ceil_char_boundary(tail.len().saturating_sub(half_max))..];
    let left_out = seen_bytes.saturating_sub(count(head.len() + tail.len()));
    format!("{head}\n[… {left_out} bytes left out …]\n{tail}")
}

/// Takes off the first bytes of a character whose last ones were left out.
fn without_cut_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        // Without a length of the error the text just ends too early.
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        // A stray byte further ahead: then the cut is one more among them.
        Ok(_) | Err(_) => bytes,
    }
}

/// Takes off the last bytes of a character whose first ones were left out.
fn without_cut_start(bytes: &[u8]) -> &[u8] {
    let continued = bytes.iter().take(3).take_while(|&&byte| byte & 0b1100_0000 == 0b1000_0000);
    &bytes[continued.count()..]
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    #[test]
    fn whatever_is_printed_the_text_stays_within_its_size() {
        for seed in 0..300 {
            let mut dice = StdRng::seed_from_u64(seed);
            let max_bytes = dice.random_range(256..2_000);
            let mut output = Output::new(max_bytes);
            for _ in 0..dice.random_range(0..40) {
                let mut piece = vec![0; dice.random_range(0..300)];
                dice.fill(&mut piece[..]);
                output.push(&piece);
                assert!(output.head.len() + output.tail.len() <= max_bytes, "seed {seed}");
            }
            assert!(output.into_text().len() <= max_bytes, "seed {seed}");
        }
    }

    #[test]
    fn text_that_fits_is_kept_as_it_came() {
        let text = "häll😀 ".repeat(20);
        for piece_bytes in 1..text.len() {
            let mut output = Output::new(text.len() + MARKER_BYTES + 1);
            text.as_bytes().chunks(piece_bytes).for_each(|piece| output.push(piece));
            assert_eq!(output.into_text(), text);
        }
    }

    #[test]
    fn of_a_flood_the_head_and_the_tail_are_kept() {
        let mut output = Output::new(256);
        output.push(b"first\n");
        for _ in 0..1_000 {
            output.push("ä".as_bytes());
        }
        output.push(b"\nlast");
        let text = output.into_text();
        assert!(text.starts_with("first\nää"), "{text}");
        assert!(text.ends_with("ää\nlast"), "{text}");
        assert!(!text.contains('\u{fffd}'), "{text}");
        assert!(text.contains("bytes left out …]"), "{text}");
        let kept = text.len() - text.lines().find(|l| l.starts_with("[…")).unwrap().len() - 2;
        assert!(text.contains(&format!("[… {} bytes left out …]", 2_011 - kept)), "{text}");
    }
}
