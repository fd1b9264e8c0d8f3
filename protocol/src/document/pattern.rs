//! Regular expressions as operators write them.
//!
//! A pattern is held and sent as its text. Every peer compiles it for itself, with an engine whose
//! time is linear in the text, which knows no Unicode tables that differ between versions, and
//! whose programs are bounded: the same pattern gives the same answer everywhere.

use regex_lite::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// The longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 512;

/// The largest compiled pattern, in bytes; `[a-z]{1000}{1000}` is far beyond it.
const COMPILED_BYTES_MAX: usize = 256 << 10;

/// A regular expression that is known to compile. It fits anywhere in a text unless it is anchored
/// with `^` and `$`.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    /// Compiled when it is first asked. Nothing when text that nobody checked came over the wire
    /// and does not compile: then it fits nothing.
    compiled: OnceLock<Option<Arc<Regex>>>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, to be shown behind the pattern.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("it has {} bytes; at most {PATTERN_BYTES_MAX} fit", text.len()));
        }
        let compiled = compile(text).map_err(|error| error.to_string())?;
        let holder = OnceLock::new();
        holder.get_or_init(|| Some(Arc::new(compiled)));
        Ok(Self { text: text.to_owned(), compiled: holder })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it fits the text, or a part of it.
    pub fn fits(&self, text: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text))
    }

    /// Its first group where it fits the text, or all of what it fits where it has no group.
    pub fn part<'t>(&self, text: &'t str) -> Option<&'t str> {
        let captures = self.regex()?.captures(text)?;
        let part = if captures.len() > 1 { captures.get(1) } else { captures.get(0) };
        part.map(|part| part.as_str())
    }

    fn regex(&self) -> Option<&Regex> {
        let compiled = self.compiled.get_or_init(|| compile(&self.text).ok().map(Arc::new));
        compiled.as_deref()
    }
}

fn compile(text: &str) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(text).size_limit(COMPILED_BYTES_MAX).nest_limit(32).build()
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Read as it is: what the mesh agreed on must stay readable, whatever later engines think.
        let text = String::deserialize(deserializer)?;
        Ok(Self { text, compiled: OnceLock::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn a_pattern_fits_anywhere_unless_it_is_anchored() {
        let fits = |pattern: &str, text: &str| Pattern::parse(pattern).unwrap().fits(text);
        assert!(fits("b-[0-9]", "db-12"));
        assert!(!fits("^b-[0-9]", "db-12"));
        assert!(fits("^db-[0-9]+$", "db-12") && !fits("^db-[0-9]+$", "db-12x"));
    }

    #[test]
    fn what_does_not_compile_or_is_too_large_is_refused() {
        for text in ["(", "a{2,1}", "[z-a]", "(?<=x)y", "[a-z]{1000}{1000}", &"a".repeat(600)] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
        assert!(Pattern::parse(&"(".repeat(400)).is_err());
    }

    #[test]
    fn a_pattern_travels_as_its_text_and_one_that_is_broken_fits_nothing() {
        let pattern = Pattern::parse("^a+$").unwrap();
        let travelled: Pattern = codec::decode(&codec::encode(&pattern)).unwrap();
        assert!(travelled == pattern && travelled.fits("aaa") && !travelled.fits("ab"));
        let broken: Pattern = codec::decode(&codec::encode(&"(".to_owned())).unwrap();
        assert!(!broken.fits("("));
    }
}
