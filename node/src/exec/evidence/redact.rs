//! Blotting out what must not be stored.
//!
//! It is done before anything is compressed, hashed, written or sent, on what was collected and on
//! what it was collected with alike: a password may stand in the command itself.

use regex::{NoExpand, Regex};

/// What stands in the place of a match.
const BLOT: &str = "[redacted]";

/// How much beside a place where something was left out goes as well: half of a secret may stand
/// there, which no pattern for the whole of it matches. The longest common secret is a private
/// key of some 3 KB.
const SEAM_BYTES: usize = 8 << 10;

/// The patterns of a step.
#[derive(Debug, Clone, Default)]
pub(super) struct Redaction {
    patterns: Vec<Regex>,
    seams: Option<Regex>,
}

impl Redaction {
    /// Makes the patterns ready.
    ///
    /// # Errors
    /// With the pattern that is not one: then nothing may be stored.
    pub(super) fn new(patterns: &[String]) -> Result<Self, String> {
        if patterns.is_empty() {
            return Ok(Self::default());
        }
        let regex = |pattern: &str| {
            Regex::new(pattern).map_err(|error| format!("the pattern {pattern:?}: {error}"))
        };
        let patterns = patterns.iter().map(|pattern| regex(pattern)).collect::<Result<_, _>>()?;
        let seams = Some(regex(r"\n\[… \d+ bytes left out …\]\n")?);
        Ok(Self { patterns, seams })
    }

    /// The text without what matches.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for pattern in &self.patterns {
            text = pattern.replace_all(&text, NoExpand(BLOT)).into_owned();
        }
        match &self.seams {
            Some(seams) => without_seams(&text, seams),
            None => text,
        }
    }
}

/// Takes away what touches each place where something was left out.
fn without_seams(text: &str, seams: &Regex) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for seam in seams.find_iter(text) {
        let before = seam.start().saturating_sub(SEAM_BYTES).max(from);
        kept.push_str(&text[from..text.floor_char_boundary(before).max(from)]);
        kept.push_str(seam.as_str());
        from = text.ceil_char_boundary(seam.end().saturating_add(SEAM_BYTES).min(text.len()));
    }
    kept.push_str(&text[from.min(text.len())..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::output::Output;

    fn redaction(patterns: &[&str]) -> Redaction {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        Redaction::new(&patterns).unwrap()
    }

    #[test]
    fn every_match_of_every_pattern_is_blotted_out() {
        let redaction = redaction(&["password=\\S+", "(?s)-----BEGIN.*?END-----"]);
        let text = "a password=x1 b\npassword=$1\n-----BEGIN\nkey\nEND-----\nrest";
        assert_eq!(redaction.apply(text), "a [redacted] b\n[redacted]\n[redacted]\nrest");
        assert_eq!(Redaction::default().apply("as it is"), "as it is");
        assert!(Redaction::new(&["(".to_owned()]).unwrap_err().contains("the pattern \"(\""));
    }

    #[test]
    fn half_a_secret_beside_a_cut_is_not_kept() {
        // 4,000 bytes of secret lie across the cut: neither half matches by itself.
        let secret = format!("<{}>", "s3cret".repeat(700));
        let whole = format!("{}{secret}{}", "a\n".repeat(8_000), "b\n".repeat(8_000));
        let mut output = Output::new(36_000);
        output.push(whole.as_bytes());
        let cut = output.into_text();
        assert!(cut.contains("s3cret") && cut.contains("left out"), "the cut goes through it");
        let redacted = redaction(&["<[a-z0-9]+>"]).apply(&cut);
        assert!(!redacted.contains("s3cret"), "{}", redacted.len());
        assert!(redacted.starts_with("a\n") && redacted.ends_with("b\n"));
        assert!(redacted.contains("left out"), "that something is missing is still told");
    }
}
