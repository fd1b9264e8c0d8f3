//! `PaceHB`'s rule for when the next heartbeat is due, as its API promises it: the span grows by a
//! fifth when a heartbeat was late, shrinks by a tenth when one was early.
//!
//! It works in whole seconds and rounds halves to the even number, as the original does. See
//! `adaptiveExpected` in <https://github.com/michaelneale/pacemaker>.

use serde::{Deserialize, Serialize};

/// How long the first heartbeat holds, and the most that a late one may make of it, in seconds.
pub const SPAN_SECONDS: u64 = 400;

/// What the rule knows of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaceHb {
    /// When the latest heartbeat came, in seconds since 1970.
    pub last_seen: u64,
    /// When the next one is due; nothing when the latest one holds for ever.
    pub expires: Option<u64>,
}

impl PaceHb {
    /// What is known after a heartbeat.
    ///
    /// `ttl` is what the heartbeat says for how many seconds it holds; a negative number is for
    /// ever. A heartbeat from before the latest one is taken as one of the same second.
    pub fn after(earlier: Option<Self>, at_seconds: u64, ttl: Option<i64>) -> Self {
        let last_seen = earlier.map_or(at_seconds, |earlier| at_seconds.max(earlier.last_seen));
        let holds_for = match (ttl, earlier) {
            (Some(ttl), _) => u64::try_from(ttl).ok(),
            (None, Some(Self { last_seen: before, expires: Some(expected) })) => {
                Some(learned(before, expected, last_seen))
            }
            // Nothing was learned while it held for ever.
            (None, None | Some(Self { expires: None, .. })) => Some(SPAN_SECONDS),
        };
        Self { last_seen, expires: holds_for.map(|span| last_seen.saturating_add(span)) }
    }

    /// What is known after a heartbeat that the span before it says nothing about: nobody could
    /// hear, or nobody was to come. It holds as long as the one before.
    pub fn after_silence(self, at_seconds: u64) -> Self {
        let last_seen = at_seconds.max(self.last_seen);
        let span = self.span();
        Self { last_seen, expires: span.map(|span| last_seen.saturating_add(span)) }
    }

    /// For how many seconds the latest heartbeat holds; nothing when for ever.
    pub fn span(&self) -> Option<u64> {
        self.expires.map(|expires| expires.saturating_sub(self.last_seen))
    }

    /// Whether it is late.
    pub fn is_late(&self, at_seconds: u64) -> bool {
        self.expires.is_some_and(|expires| at_seconds > expires)
    }
}

/// For how many seconds a heartbeat holds, by when the one before it came and held until.
fn learned(last_seen: u64, expected: u64, now: u64) -> u64 {
    if now > expected {
        return part_of(now.saturating_sub(last_seen), 6, 5).min(SPAN_SECONDS);
    }
    let span = expected.saturating_sub(last_seen);
    let early = expected.saturating_sub(now) > part_of(span, 1, 10);
    if early { part_of(span, 9, 10) } else { span }
}

/// A part of a number; halves go to the even number.
fn part_of(number: u64, part: u64, of: u64) -> u64 {
    let product = number.saturating_mul(part);
    let (whole, rest) = (product / of, product % of);
    let up = 2 * rest > of || (2 * rest == of && whole % 2 == 1);
    whole + u64::from(up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(arrivals: &[u64]) -> Vec<u64> {
        let mut known = None;
        let mut spans = Vec::new();
        for at in arrivals {
            let next = PaceHb::after(known, *at, None);
            spans.push(next.expires.unwrap() - next.last_seen);
            known = Some(next);
        }
        spans
    }

    #[test]
    fn it_shrinks_while_heartbeats_are_early_and_grows_when_one_is_late() {
        // 400 s, then a tenth less each time until a minute is within a tenth of it.
        assert_eq!(spans(&[0, 60, 120, 180]), [400, 360, 324, 292]);
        let minutes: Vec<u64> = (0..40).map(|n| n * 60).collect();
        assert_eq!(spans(&minutes).last(), Some(&61));
        // Late: a fifth more than it took, 400 s at the most.
        let mut late = minutes.clone();
        late.push(39 * 60 + 100);
        assert_eq!(spans(&late).last(), Some(&120));
        late.push(39 * 60 + 10_000);
        assert_eq!(spans(&late).last(), Some(&400));
    }

    #[test]
    fn a_heartbeat_may_say_how_long_it_holds() {
        let said = PaceHb::after(None, 1_000, Some(30));
        assert_eq!(said.expires, Some(1_030));
        assert!(!said.is_late(1_030) && said.is_late(1_031));
        let for_ever = PaceHb::after(Some(said), 1_010, Some(-1));
        assert_eq!(for_ever.expires, None);
        assert!(!for_ever.is_late(u64::MAX));
        assert_eq!(PaceHb::after(Some(for_ever), 2_000, None).expires, Some(2_400));
    }

    #[test]
    fn halves_go_to_the_even_number() {
        assert_eq!([5, 15, 25].map(|n| part_of(n, 9, 10)), [4, 14, 22]);
        assert_eq!([5, 15].map(|n| part_of(n, 1, 10)), [0, 2]);
    }

    proptest! {
        #[test]
        fn whatever_comes_it_is_never_due_before_it_came(
            arrivals in proptest::collection::vec((any::<u64>(), any::<Option<i64>>()), 0..50)
        ) {
            let mut known = None;
            for (at, ttl) in arrivals {
                let next = PaceHb::after(known, at, ttl);
                prop_assert!(next.expires.is_none_or(|expires| expires >= next.last_seen));
                prop_assert!(known.is_none_or(|known: PaceHb| known.last_seen <= next.last_seen));
                known = Some(next);
            }
        }
    }
}
