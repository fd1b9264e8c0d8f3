//! When each peer was heard last, and how much gets lost on the way to it.
//!
//! A ping is a QUIC datagram of five bytes on the connection that is open anyway: authenticated,
//! never sent again, and answered by the daemon of the other side, not by its kernel. Everything
//! else that a peer sends of its own accord counts as a sign of life too; that its transport has
//! acknowledged something does not, for it would do so though its daemon were stuck.

use super::lock;
use protocol::name::PeerId;
use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// How many pings are looked back at for the loss, at the most.
const HISTORY: u32 = 40;

/// A peer that is cut off from what others send tries one voter after the other: each hears of it
/// at least as often as this.
const CALLED_WITHIN: Duration = Duration::from_secs(6);

/// The first byte of a ping, and of its answer.
const PING: u8 = 1;
const PONG: u8 = 2;

/// A datagram between members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Asks for an answer.
    Ping(u32),
    /// Is one.
    Pong(u32),
}

impl Beat {
    pub(crate) fn bytes(self) -> [u8; 5] {
        let (kind, number) = match self {
            Self::Ping(number) => (PING, number),
            Self::Pong(number) => (PONG, number),
        };
        let [a, b, c, d] = number.to_be_bytes();
        [kind, a, b, c, d]
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let [kind, number @ ..] = <[u8; 5]>::try_from(bytes).ok()?;
        let number = u32::from_be_bytes(number);
        match kind {
            PING => Some(Self::Ping(number)),
            PONG => Some(Self::Pong(number)),
            _ => None,
        }
    }
}

/// What is known of one peer.
#[derive(Debug, Clone, Copy, Default)]
struct Pulse {
    heard: Option<Instant>,
    ponged: Option<Instant>,
    called: Option<Instant>,
    /// The number of the latest ping, and one bit for each of the last 64: whether it was
    /// answered.
    number: u32,
    answered: u64,
}

/// What is known of the peers.
#[derive(Debug, Default)]
pub(crate) struct Pulses(Mutex<BTreeMap<PeerId, Pulse>>);

impl Pulses {
    /// Something of a peer's own came in.
    pub(crate) fn hear(&self, peer: PeerId) {
        lock(&self.0).entry(peer).or_default().heard = Some(Instant::now());
    }

    /// A connection was begun from a peer's very address. Nothing of it is proved yet, but a
    /// process is there that has this port.
    pub(crate) fn called(&self, peer: PeerId) {
        lock(&self.0).entry(peer).or_default().called = Some(Instant::now());
    }

    /// Whether that was a short while ago, and the last that was heard of it. Of a call that got
    /// through more is heard than the call: then it says nothing of what has become of the peer since.
    pub(crate) fn has_called(&self, peer: PeerId) -> bool {
        let Some(pulse) = lock(&self.0).get(&peer).copied() else { return false };
        pulse.called.is_some_and(|at| {
            at.elapsed() < CALLED_WITHIN && pulse.heard.is_none_or(|heard| heard <= at)
        })
    }

    /// A peer has answered a ping.
    pub(crate) fn pong(&self, peer: PeerId, number: u32) {
        let now = Instant::now();
        let mut pulses = lock(&self.0);
        let pulse = pulses.entry(peer).or_default();
        (pulse.heard, pulse.ponged) = (Some(now), Some(now));
        let ago = pulse.number.wrapping_sub(number);
        pulse.answered |= 1_u64.checked_shl(ago).unwrap_or(0);
    }

    /// The number of the next ping for a peer.
    pub(crate) fn next(&self, peer: PeerId) -> u32 {
        let mut pulses = lock(&self.0);
        let pulse = pulses.entry(peer).or_default();
        pulse.number = pulse.number.wrapping_add(1);
        pulse.answered <<= 1;
        pulse.number
    }

    /// When a peer was heard last.
    pub(crate) fn heard(&self, peer: PeerId) -> Option<Instant> {
        lock(&self.0).get(&peer).and_then(|pulse| pulse.heard)
    }

    /// Whether a peer has answered a ping since.
    pub(crate) fn has_ponged(&self, peer: PeerId, since: Instant) -> bool {
        lock(&self.0).get(&peer).and_then(|pulse| pulse.ponged).is_some_and(|at| at >= since)
    }

    /// Whether the latest ping was answered.
    pub(crate) fn is_answered(&self, peer: PeerId) -> bool {
        lock(&self.0).get(&peer).is_some_and(|pulse| pulse.answered & 1 == 1)
    }

    /// How many pings in a row may be lost before a peer is missed.
    pub(crate) fn patience(&self, peer: PeerId) -> u32 {
        let pulse = lock(&self.0).get(&peer).copied().unwrap_or_default();
        patience(pulse.answered, pulse.number)
    }

    /// Forgets whoever is not wanted.
    pub(crate) fn retain(&self, wanted: impl Fn(PeerId) -> bool) {
        lock(&self.0).retain(|peer, _| wanted(*peer));
    }
}

/// How rarely a peer that is well may be missed, for each of its pings. What is missed is only
/// looked at.
const MISSED_BY_CHANCE: f64 = 0.01;

/// The fewest and the most pings in a row that have to be lost.
const PATIENCE: (u32, u32) = (3, 12);

/// So many pings in a row are lost by chance no more than once in a hundred times, going by what
/// was lost before the present row of lost ones.
fn patience(answered: u64, sent: u32) -> u32 {
    let (least, most) = PATIENCE;
    if answered == 0 {
        return least;
    }
    let before = answered >> answered.trailing_zeros();
    let looked_at = HISTORY.min(sent).min(64 - answered.trailing_zeros());
    let window = if looked_at >= 64 { u64::MAX } else { (1 << looked_at) - 1 };
    let came_back = (before & window).count_ones();
    let lost = 1.0 - f64::from(came_back) / f64::from(looked_at.max(1));
    (least..most)
        .find(|row| lost.powi(i32::try_from(*row).unwrap_or(i32::MAX)) <= MISSED_BY_CHANCE)
        .unwrap_or(most)
}

/// How long that is.
pub(crate) const fn row(patience: u32, every: Duration) -> Duration {
    every.saturating_mul(patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_is_lost_the_longer_it_is_waited() {
        assert_eq!(patience(0, 0), 3, "nothing is known yet");
        assert_eq!(patience(u64::MAX, 100), 3);
        assert_eq!(patience(u64::MAX << 20, 100), 3, "the present row does not count");
        let every_second = 0x5555_5555_5555_5555;
        assert_eq!(patience(every_second, 100), 7);
        let every_third = 0x9249_2492_4924_9249;
        assert_eq!(patience(every_third, 100), 11);
        assert_eq!(patience(0b1, 1), 3, "the first one came back");
        assert_eq!(patience(1 << 63, 100), 3, "only the oldest that is remembered");
    }

    #[test]
    fn pongs_are_counted_for_their_pings() {
        let pulses = Pulses::default();
        let peer = PeerId::from_random(1);
        let began = Instant::now();
        assert!(pulses.heard(peer).is_none());
        let numbers: Vec<u32> = (0..40).map(|_| pulses.next(peer)).collect();
        assert!(!pulses.has_ponged(peer, began));
        for number in numbers.iter().filter(|number| *number % 2 == 0) {
            pulses.pong(peer, *number);
        }
        assert!(pulses.has_ponged(peer, began) && pulses.heard(peer).is_some());
        assert_eq!(pulses.patience(peer), 7, "every second one was lost");
        assert!(pulses.is_answered(peer), "the last one was");
        let last = pulses.next(peer);
        assert!(!pulses.is_answered(peer));
        pulses.pong(peer, last);
        assert!(pulses.is_answered(peer));
        pulses.pong(peer, 3_000_000_000);
        pulses.retain(|_| false);
        assert!(pulses.heard(peer).is_none());
    }

    #[test]
    fn a_call_counts_until_more_is_heard() {
        let pulses = Pulses::default();
        let peer = PeerId::from_random(1);
        assert!(!pulses.has_called(peer));
        pulses.hear(peer);
        pulses.called(peer);
        assert!(pulses.has_called(peer), "nothing was heard since");
        pulses.hear(peer);
        assert!(!pulses.has_called(peer), "it got through, and what came after that is unknown");
        pulses.called(peer);
        assert!(pulses.has_called(peer));
    }

    #[test]
    fn a_beat_is_read_as_it_was_written() {
        for beat in [Beat::Ping(7), Beat::Pong(u32::MAX)] {
            assert_eq!(Beat::read(&beat.bytes()), Some(beat));
        }
        assert_eq!(Beat::read(&[3, 0, 0, 0, 0]), None);
        assert_eq!(Beat::read(&[1, 0, 0, 0]), None);
        assert_eq!(Beat::read(&[]), None);
    }
}
