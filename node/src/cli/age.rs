//! Moments as people read them in a table: how long ago.

use protocol::time::{Timestamp, format_span};
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What this host believes the time to be.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// How long ago a moment of an answer was, in its two largest units; a dash where there is none.
pub(super) fn ago(moment: &Value, now: Timestamp) -> String {
    match moment.as_str().and_then(|text| Timestamp::parse(text).ok()) {
        Some(moment) => rough(now.since(moment)),
        None => "-".to_owned(),
    }
}

/// A span in its two largest units, in whole seconds.
fn rough(span: Duration) -> String {
    let seconds = span.as_secs();
    let unit = match seconds {
        0..=3_599 => 1,
        3_600..=86_399 => 60,
        _ => 3_600,
    };
    format_span(Duration::from_secs(seconds / unit * unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_span_is_told_in_two_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (61, "1m1s"), (3_661, "1h1m"), (90_061, "1d1h")]
        {
            assert_eq!(rough(Duration::from_millis(seconds * 1_000 + 400)), text);
        }
        let now = Timestamp::parse("2026-11-21T02:05:00Z").unwrap();
        assert_eq!(ago(&json!("2026-11-21T02:00:00Z"), now), "5m");
        assert_eq!(ago(&json!("2026-11-21T03:00:00Z"), now), "0s", "a clock runs late");
        assert_eq!(ago(&Value::Null, now), "-");
    }
}
