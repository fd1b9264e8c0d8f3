//! When the next arrival of a stream is due: a posterior of the spans between its arrivals.
//!
//! Spans are taken by the stream's own clock ([`Seasons`]), and their logarithms go into a
//! [`Tail`]. The deadline is where the next span exceeds it in one case of so many.
//!
//! What is not well must not be learned as if it were: an arrival after the learner's own deadline
//! is counted as one and a half times that deadline, however long the outage was. When late ones
//! follow each other they count for more each time, and what contradicts them fades by half: a
//! stream that changed its pace is believed after a few. So it is when one after the other is
//! sooner, or later, than three of four.
//!
//! **Invariant:** the same arrivals give the same bits on every machine: whole numbers only. The
//! state has at most [`BYTES_MAX`] bytes.

use super::{
    OneIn, Seasons, Tail,
    scale::{HALF_AS_MUCH, exp2, log2},
};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most bytes that a stream takes in the ledger; see `its_state_has_a_bound`.
pub const BYTES_MAX: usize = 1_000;

/// By this the learner itself tells an outage from a span; it has nothing to do with what is asked.
const OWN: OneIn = OneIn::new(1_000);

/// Before so many spans nothing is an outage.
const OWN_SEEN: u64 = 8;

/// So many spans in a row on one side of three of four, and the pace has changed.
const RUN: u8 = 8;

/// An arrival so much before the latest one is no late message: the clock was set back.
const CLOCK_SET_BACK: Duration = Duration::from_secs(3_600);

/// What is known of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    latest: Option<Timestamp>,
    seen: u64,
    spans: Tail,
    seasons: Seasons,
    /// Late ones in a row.
    late: u8,
    /// Soon ones in a row, and slow ones.
    soon: u8,
    slow: u8,
    /// The latest of the soon ones, the soonest of the slow ones.
    edge: i64,
}

/// What an arrival was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The first one, or the first after the clock was set back: there is no span yet.
    First,
    /// One in its time.
    InTime,
    /// One that nobody would have waited for any more.
    Late,
    /// Not after the latest one: it says nothing.
    Ignored,
}

impl Arrivals {
    /// Takes note of an arrival.
    pub fn observe(&mut self, at: Timestamp) -> Taken {
        let Some(latest) = self.latest else {
            self.latest = Some(at);
            self.seen = 1;
            return Taken::First;
        };
        if at <= latest {
            if latest.since(at) < CLOCK_SET_BACK {
                return Taken::Ignored;
            }
            self.latest = Some(at);
            return Taken::First;
        }
        self.latest = Some(at);
        self.seen = self.seen.saturating_add(1);
        let place = log2(self.seasons.clock().between(latest, at));
        let taken = self.follow(place);
        self.seasons.passed(latest, at, taken == Taken::Late);
        taken
    }

    /// Takes note of an arrival after a span that says nothing: nobody could hear, or nobody was to
    /// come.
    pub fn begin_again(&mut self, at: Timestamp) {
        self.latest = Some(self.latest.map_or(at, |latest| latest.max(at)));
        self.seen = self.seen.saturating_add(1);
    }

    /// Whether enough was seen to miss anybody.
    pub const fn is_ready(&self) -> bool {
        self.seen > OWN_SEEN
    }

    /// The moment from which on the next arrival is missed: it comes later than that in one case of
    /// so many. Nothing before there was a span.
    pub fn deadline(&self, one_in: OneIn) -> Option<Timestamp> {
        self.deadline_after(self.latest?, one_in)
    }

    /// The same where it is waited for from another moment on than the latest arrival.
    pub fn deadline_after(&self, from: Timestamp, one_in: OneIn) -> Option<Timestamp> {
        let place = self.spans.above(one_in)?;
        // Never less than the whole milliseconds that were worked out.
        let span = exp2(place, 0).saturating_add(1);
        Some(self.seasons.clock().after(from, span))
    }

    /// How long after the latest arrival the next one is missed.
    pub fn patience(&self, one_in: OneIn) -> Option<Duration> {
        Some(self.deadline(one_in)?.since(self.latest?))
    }

    /// The latest arrival.
    pub const fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    /// How many arrived.
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// The span that half of the arrivals keep to, by the stream's own clock.
    pub fn pace(&self) -> Option<Duration> {
        Some(Duration::from_millis(exp2(self.spans.percentile(50)?, 0)))
    }

    /// Learns a span.
    fn follow(&mut self, place: i64) -> Taken {
        let known = self.spans.seen() >= OWN_SEEN;
        let (Some(own), Some(low), Some(high)) =
            (self.spans.above(OWN), self.spans.percentile(25), self.spans.percentile(75))
        else {
            self.spans.add(place);
            return Taken::InTime;
        };
        if known && place > own {
            self.late = self.late.saturating_add(1);
            if self.late > 1 {
                self.spans.halve_below(own);
            }
            // A late one followed by slow ones is a new pace.
            self.edge = if self.slow > 0 { self.edge.min(place) } else { place };
            (self.soon, self.slow) = (0, (self.slow + RUN / 2).min(RUN - 1));
            let believed = own.saturating_add(HALF_AS_MUCH * i64::from(self.late));
            self.spans.add(place.min(believed));
            return Taken::Late;
        }
        self.late = 0;
        // A run that is one goes on with what is like it, until what was before it is gone.
        let goes_on = |run: u8| (RUN..3 * RUN).contains(&run);
        let near = HALF_AS_MUCH / 4;
        let soon = known && (place < low || goes_on(self.soon) && place < self.edge + near);
        let slow =
            known && !soon && (place > high || goes_on(self.slow) && place > self.edge - near);
        self.edge = match (soon, slow) {
            (true, _) if self.soon > 0 => self.edge.max(place),
            (_, true) if self.slow > 0 => self.edge.min(place),
            (true | false, true | false) => place,
        };
        self.soon = if soon { self.soon.saturating_add(1) } else { 0 };
        self.slow = if slow { self.slow.saturating_add(1) } else { 0 };
        if self.soon >= RUN {
            self.spans.halve_above(self.edge);
        } else if self.slow >= RUN {
            self.spans.halve_below(self.edge);
        }
        self.spans.add(place);
        Taken::InTime
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use proptest::prelude::*;

    const RATE: OneIn = OneIn::new(1_000);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_795_226_400_000 + millis)
    }

    /// A stream with these spans in milliseconds.
    fn of(spans: impl IntoIterator<Item = u64>) -> (Arrivals, u64) {
        let (mut stream, mut now) = (Arrivals::default(), 0);
        stream.observe(at(0));
        for span in spans {
            now += span;
            stream.observe(at(now));
        }
        (stream, now)
    }

    fn patience(stream: &Arrivals) -> u64 {
        u64::try_from(stream.patience(RATE).unwrap().as_millis()).unwrap()
    }

    #[test]
    fn a_steady_stream_is_soon_known_and_one_arrival_says_nothing() {
        assert_eq!(of([]).0.deadline(RATE), None);
        assert_eq!(Arrivals::default().deadline(RATE), None);
        let minutes = |count: usize| patience(&of(vec![60_000; count]).0);
        assert!((120_000..600_000).contains(&minutes(1)), "{}", minutes(1));
        assert!((60_001..80_000).contains(&minutes(10)), "{}", minutes(10));
        assert!((60_001..61_000).contains(&minutes(500)), "{}", minutes(500));
    }

    #[test]
    fn an_outage_is_not_learned() {
        let (mut stream, now) = of((0..300).map(|n| 59_000 + n * 77 % 2_000));
        let before = patience(&stream);
        assert_eq!(stream.observe(at(now + 86_400_000)), Taken::Late);
        let after = patience(&stream);
        assert!(before < 70_000 && after < 110_000, "{before} {after}");
        let mut now = now + 86_400_000;
        for n in 0..300 {
            now += 59_000 + n * 77 % 2_000;
            stream.observe(at(now));
        }
        assert!(patience(&stream) < 100_000, "{}", patience(&stream));
    }

    #[test]
    fn a_changed_pace_is_believed_after_a_few() {
        let (mut stream, mut now) = of((0..1_000).map(|n| 59_000 + n * 77 % 2_000));
        // Ten times slower: at each turn an alarm, until it is known.
        let mut alarms = 0;
        for _ in 0..100 {
            now += 600_000;
            alarms += u32::from(at(now) > stream.deadline(RATE).unwrap());
            stream.observe(at(now));
        }
        assert!((1..=8).contains(&alarms), "{alarms}");
        assert!(patience(&stream) < 900_000, "{}", patience(&stream));
        // And ten times faster than at first.
        for _ in 0..150 {
            now += 6_000;
            stream.observe(at(now));
        }
        assert!(patience(&stream) < 20_000, "{}", patience(&stream));
    }

    #[test]
    fn what_is_not_after_the_latest_says_nothing_until_the_clock_was_set_back() {
        let (mut stream, now) = of(vec![60_000; 20]);
        let before = stream.clone();
        assert_eq!(stream.observe(at(now)), Taken::Ignored);
        assert_eq!(stream.observe(at(now - 5_000)), Taken::Ignored);
        assert_eq!(stream, before);
        assert_eq!(stream.observe(Timestamp::from_millis(0)), Taken::First);
        assert_eq!(stream.observe(Timestamp::from_millis(60_000)), Taken::InTime);
    }

    #[test]
    fn its_state_has_a_bound() {
        let spans = (0..200_000_u64).map(|n| 1 + n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 3_600_000);
        let (stream, _) = of(spans);
        let bytes = codec::encode(&stream).len();
        assert!(bytes <= BYTES_MAX, "{bytes}");
        assert_eq!(codec::decode::<Arrivals>(&codec::encode(&stream)), Ok(stream));
    }

    /// The bits of a stream whose state was worked out once: on another kind of machine they must
    /// be these as well.
    #[test]
    fn its_bits_are_the_same_everywhere() {
        let hash = |n: u64| n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let (stream, _) = of((0..5_000).map(|n| 30_000 + hash(n) % 60_000));
        let sum = codec::encode(&stream)
            .iter()
            .fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        assert_eq!((sum, patience(&stream)), (6_024_545_498_344_280_784, 92_124));
    }

    proptest! {
        #[test]
        fn whatever_arrives_a_deadline_comes_after_it_and_rarer_ones_are_not_sooner(
            wild in proptest::collection::vec(any::<u64>(), 0..30),
            spans in proptest::collection::vec(0_u64..100_000_000, 0..300),
            many in 2_u32..10_000_000,
            more in 0_u32..10_000_000,
        ) {
            let mut stream = Arrivals::default();
            let mut now = 0;
            let moments = spans.iter().map(|span| { now += span; at(now) });
            let wild = wild.into_iter().map(Timestamp::from_millis);
            for moment in moments.collect::<Vec<_>>().into_iter().chain(wild) {
                stream.observe(moment);
                let Some(deadline) = stream.deadline(OneIn::new(many)) else { continue };
                let latest = stream.latest().unwrap();
                prop_assert!(deadline > latest || latest == Timestamp::from_millis(u64::MAX));
                let rarer = stream.deadline(OneIn::new(many.saturating_add(more)));
                prop_assert!(rarer >= Some(deadline), "{rarer:?} {deadline}");
            }
            prop_assert!(codec::encode(&stream).len() <= BYTES_MAX);
        }
    }
}
