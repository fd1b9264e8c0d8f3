//! Time as a value: moments of the log, moments of one host's own clock, and spans.
//!
//! Nothing here reads a clock. The daemon (or the simulator) says what time it is.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, time::Duration};

/// A moment: milliseconds since 1970-01-01 UTC. It reads as RFC 3339.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A moment from milliseconds since 1970-01-01 UTC.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The time that has passed since `earlier`; zero when that lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment and `span` later; stays at the end of time when that is beyond it.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Reads an RFC 3339 moment.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let moment: jiff::Timestamp =
            text.parse().map_err(|error: jiff::Error| error.to_string())?;
        match u64::try_from(moment.as_millisecond()) {
            Ok(millis) => Ok(Self(millis)),
            Err(_negative) => Err(format!("{text} lies before 1970")),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment =
            i64::try_from(self.0).ok().and_then(|m| jiff::Timestamp::from_millisecond(m).ok());
        match moment {
            Some(moment) => f.pad(&format!("{moment:.3}")),
            None => f.pad("the end of time"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

/// What a host's clocks say at one instant.
///
/// `wall` is what it believes the world's time to be; `mono` is the time since its daemon started,
/// which never jumps. Deadlines that guard actions use `mono`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The world's time, as this host believes it.
    pub wall: Timestamp,
    /// Time since the daemon started.
    pub mono: Duration,
}

/// Why a span was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a span of time: write \"90s\", \"5m\", \"2h30m\", \"200ms\" or \"1d\"")]
pub struct SpanError {
    /// What was given.
    pub text: String,
}

/// Reads a span such as `90s`, `5m`, `2h30m`, `200ms`, `1d`; units fall in size and occur once.
///
/// Zero is a span; whether it makes sense is for the caller to say. A negative one is refused.
///
/// # Errors
/// [`SpanError`] with the text.
pub fn parse_span(text: &str) -> Result<Duration, SpanError> {
    const UNITS: [(&str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let refusal = || SpanError { text: text.chars().take(80).collect() };
    let mut rest = text;
    let mut millis = 0_u64;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refusal)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let place = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(refusal)?;
        let number: u64 = number.parse().map_err(|_not_a_number| refusal())?;
        if place < next_unit {
            return Err(refusal());
        }
        next_unit = place + 1;
        let part = number.checked_mul(UNITS[place].1).ok_or_else(refusal)?;
        millis = millis.checked_add(part).ok_or_else(refusal)?;
        rest = tail;
    }
    if next_unit == 0 { Err(refusal()) } else { Ok(Duration::from_millis(millis)) }
}

/// Writes a span the way [`parse_span`] reads it, in whole milliseconds.
pub fn format_span(span: Duration) -> String {
    let mut millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, size) in
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
    {
        if millis >= size {
            text.push_str(&format!("{}{unit}", millis / size));
            millis %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_span_reads_back(millis in 0_u64..10_000_000_000) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(parse_span(&format_span(span)), Ok(span));
        }
    }

    #[test]
    fn spans_are_read_and_nonsense_is_refused() {
        assert_eq!(parse_span("2h30m"), Ok(Duration::from_secs(9_000)));
        assert_eq!(parse_span("200ms"), Ok(Duration::from_millis(200)));
        for bad in ["", "5", "-5s", "s", "5x", "30m2h", "5s5s", "1.5s", "99999999999999999999d"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_moment_reads_as_rfc_3339() {
        let moment = Timestamp::from_millis(1_795_226_400_000);
        assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
        assert!(moment.to_string().ends_with("00.000Z"), "{moment}");
    }
}
