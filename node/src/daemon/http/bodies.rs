//! The bodies of requests: how long they may be and may take, and how many long ones are held.
//!
//! A short body costs little, whoever sends it. Long ones are shared out like connections, are read
//! aside from what the daemon does meanwhile, a few at a time, and are let go of before anything is
//! waited for.

use super::{
    gather::NotTaken,
    intake::Failure,
    sender::{Caller, Sender},
    shares::{Share, Shares},
};
use axum::{body::Body, http::header};
use futures::StreamExt;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The longest body.
pub(super) const BYTES_MAX: usize = 4 << 20;

/// The longest body of which the beginning is taken.
const PASSED_OVER_BYTES_MAX: usize = 64 << 20;

/// A body that is no longer needs no place among the long ones.
pub(super) const SHORT_BYTES_MAX: usize = 64 << 10;

/// As many long ones may be held at the same time.
const LONG_MAX: usize = 16;

/// As many long ones are read at the same time: what is made of one may be some twenty times as long.
const READ_MAX: usize = 2;

/// How long a body may take to come in.
pub(super) const WITHIN: Duration = Duration::from_secs(10);

/// What the bodies of all requests share.
#[derive(Debug)]
pub(super) struct Bodies {
    long: Shares,
    read: Semaphore,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { long: Shares::of(LONG_MAX), read: Semaphore::new(READ_MAX) }
    }
}

/// A body that came in.
#[derive(Debug)]
pub(super) struct Came {
    bytes: Vec<u8>,
    /// Whether there was more, which was not kept.
    cut: bool,
    /// Its place, if it is a long one.
    place: Option<Share>,
}

/// What is done with a body that turns out to be a long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Long {
    /// It is held, or refused where there is no place for it.
    Held,
    /// Of its beginning as much is kept as there is a place for. For who sends something once and has
    /// no shorter way to say it.
    Begun,
    /// A short beginning is all that is of use.
    Shortened,
}

impl Bodies {
    /// The body of a request that was let in.
    pub(super) async fn whole(
        &self,
        caller: &Caller,
        sender: &Sender,
        body: Body,
    ) -> Result<Came, Failure> {
        is_told_to_fit(caller)?;
        self.come(sender, body, Long::Held, BYTES_MAX).await
    }

    /// The short beginning of the body of a request that was let in.
    pub(super) async fn shortened(
        &self,
        caller: &Caller,
        sender: &Sender,
        body: Body,
    ) -> Result<Came, Failure> {
        is_told_to_fit(caller)?;
        self.come(sender, body, Long::Shortened, BYTES_MAX).await
    }

    /// The beginning of the body of a request that was let in: what is longer is read and not kept.
    pub(super) async fn begun(&self, sender: &Sender, body: Body) -> Result<Came, Failure> {
        self.come(sender, body, Long::Begun, PASSED_OVER_BYTES_MAX).await
    }

    async fn come(
        &self,
        sender: &Sender,
        body: Body,
        long: Long,
        most: usize,
    ) -> Result<Came, Failure> {
        let reading = async {
            let mut came = Came { bytes: Vec::new(), cut: false, place: None };
            let (mut read, mut room) = (0_usize, SHORT_BYTES_MAX);
            let mut frames = body.into_data_stream();
            while let Some(frame) = frames.next().await {
                let frame = frame.map_err(|error| {
                    tracing::debug!(%error, "a body was not read");
                    Failure::Broken
                })?;
                read = read.saturating_add(frame.len());
                if read > most {
                    return Err(Failure::TooLarge);
                }
                if read > room && !came.cut && room < BYTES_MAX {
                    match (self.long.take(sender, 1), long) {
                        (_, Long::Shortened) | (Err(_), Long::Begun) => {}
                        (Err(why), Long::Held) => return Err(Failure::NoPlace(why)),
                        (Ok(place), Long::Held | Long::Begun) => {
                            came.place = Some(place);
                            room = BYTES_MAX;
                        }
                    }
                }
                let left = room.saturating_sub(came.bytes.len());
                came.bytes.extend_from_slice(&frame[..left.min(frame.len())]);
                came.cut |= left < frame.len();
            }
            Ok(came)
        };
        match tokio::time::timeout(WITHIN, reading).await {
            Ok(came) => came,
            Err(_elapsed) => Err(Failure::TooSlow),
        }
    }

    /// What a body says; it is gone with that. A long one is read aside.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        came: Came,
        read: impl FnOnce(Vec<u8>, bool) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let Came { bytes, cut, place } = came;
        if bytes.len() <= SHORT_BYTES_MAX {
            return Ok(read(bytes, cut));
        }
        let _turn = self.read.acquire().await;
        let read = tokio::task::spawn_blocking(move || {
            let said = read(bytes, cut);
            drop(place);
            said
        });
        let stopping = |error| {
            tracing::debug!(%error, "a body was not read");
            Failure::NotTaken(NotTaken::Unknown("the daemon is stopping".to_owned()))
        };
        read.await.map_err(stopping)
    }
}

/// What says that it is too long is not read.
fn is_told_to_fit(caller: &Caller) -> Result<(), Failure> {
    let told = caller.headers.get(header::CONTENT_LENGTH);
    let told = told.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|length| length > BYTES_MAX) { Err(Failure::TooLarge) } else { Ok(()) }
}

/// The ends of a body, of some kilobytes each, and how many bytes between them were read and not
/// kept. For what is worth a look and must not keep the rest of a request from being taken: of what
/// is too long, or comes too slowly, there is what had come.
pub(super) async fn read_ends(body: Body) -> Ends {
    let mut ends = Ends::default();
    let reading = async {
        let mut frames = body.into_data_stream();
        while let Some(frame) = frames.next().await {
            match frame {
                Ok(frame) => ends.add(&frame),
                Err(error) => {
                    tracing::debug!(%error, "a body was not read");
                    return;
                }
            }
            if ends.between > PASSED_OVER_BYTES_MAX {
                return;
            }
        }
    };
    if tokio::time::timeout(WITHIN, reading).await.is_err() {
        tracing::debug!("a body did not come in time");
    }
    ends
}

/// What is kept of each end of a body.
const END_BYTES_MAX: usize = 4 << 10;

/// The beginning of a body, its end, and how much lies between them.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) beginning: Vec<u8>,
    pub(super) between: usize,
    pub(super) end: Vec<u8>,
}

impl Ends {
    fn add(&mut self, mut bytes: &[u8]) {
        let room = END_BYTES_MAX - self.beginning.len();
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.beginning.extend_from_slice(first);
        bytes = rest;
        self.end.extend_from_slice(bytes);
        let gone = self.end.len().saturating_sub(END_BYTES_MAX);
        self.end.drain(..gone);
        self.between += gone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(number: u8) -> Sender {
        Sender::at([10, 0, 0, number].into())
    }

    fn body(bytes: usize) -> Body {
        let piece = 10_000;
        let whole = std::iter::repeat_n(vec![b'x'; piece], bytes / piece);
        let pieces = whole.chain(std::iter::once(vec![b'x'; bytes % piece]));
        Body::from_stream(futures::stream::iter(pieces.map(Ok::<_, std::io::Error>)))
    }

    fn caller() -> Caller {
        Caller { headers: axum::http::HeaderMap::new(), from: [10, 0, 0, 1].into() }
    }

    /// How much of a body of so many bytes is kept, and whether that is all.
    async fn kept(bodies: &Bodies, came: Result<Came, Failure>) -> Result<(usize, bool), Failure> {
        bodies.read(came?, |bytes, cut| (bytes.len(), cut)).await
    }

    #[tokio::test]
    async fn of_a_body_as_much_is_kept_as_is_of_use() {
        let (bodies, caller, one) = (Bodies::default(), caller(), sender(1));
        for (bytes, whole, begun, shortened) in [
            (0, Some((0, false)), (0, false), Some((0, false))),
            (
                SHORT_BYTES_MAX,
                Some((SHORT_BYTES_MAX, false)),
                (SHORT_BYTES_MAX, false),
                Some((SHORT_BYTES_MAX, false)),
            ),
            (100_000, Some((100_000, false)), (100_000, false), Some((SHORT_BYTES_MAX, true))),
            (
                BYTES_MAX,
                Some((BYTES_MAX, false)),
                (BYTES_MAX, false),
                Some((SHORT_BYTES_MAX, true)),
            ),
            (BYTES_MAX + 1, None, (BYTES_MAX, true), None),
        ] {
            let came = bodies.whole(&caller, &one, body(bytes)).await;
            assert_eq!(kept(&bodies, came).await.ok(), whole, "{bytes}");
            let came = bodies.begun(&one, body(bytes)).await;
            assert_eq!(kept(&bodies, came).await.ok(), Some(begun), "{bytes}");
            let came = bodies.shortened(&caller, &one, body(bytes)).await;
            assert_eq!(kept(&bodies, came).await.ok(), shortened, "{bytes}");
        }
        let endless = bodies.begun(&one, body(PASSED_OVER_BYTES_MAX + 1)).await;
        assert!(matches!(endless, Err(Failure::TooLarge)));
    }

    #[tokio::test]
    async fn only_so_many_long_ones_are_held_and_of_one_sender_not_all_of_them() {
        let (bodies, caller) = (Bodies::default(), caller());
        let mut held = Vec::new();
        for _ in 0..LONG_MAX / 2 {
            held.push(bodies.whole(&caller, &sender(1), body(100_000)).await.unwrap());
        }
        let refused = bodies.whole(&caller, &sender(1), body(100_000)).await.unwrap_err();
        let (status, why) = refused.told();
        assert_eq!(status.as_u16(), 429);
        assert!(why.contains("10.0.0.1 has 8 of 16 already"), "{why}");
        // What cannot be said twice is not refused, and short ones are not either.
        let begun = bodies.begun(&sender(1), body(100_000)).await;
        assert_eq!(kept(&bodies, begun).await.unwrap(), (SHORT_BYTES_MAX, true));
        bodies.whole(&caller, &sender(1), body(SHORT_BYTES_MAX)).await.unwrap();
        bodies.whole(&caller, &sender(2), body(100_000)).await.unwrap();
        // What was read is held no more.
        kept(&bodies, held.pop().ok_or(Failure::TooSlow)).await.unwrap();
        bodies.whole(&caller, &sender(1), body(100_000)).await.unwrap();
    }

    #[test]
    fn of_a_long_body_both_ends_are_kept_however_it_comes() {
        let body: Vec<u8> = (0..30_000_u32).flat_map(u32::to_be_bytes).collect();
        for piece in [1, 1_000, 4_096, 5_000, 200_000] {
            let mut ends = Ends::default();
            for frame in body.chunks(piece) {
                ends.add(frame);
            }
            let Ends { beginning, between, end } = ends;
            assert_eq!(beginning, &body[..END_BYTES_MAX], "{piece}");
            assert_eq!(end, &body[body.len() - END_BYTES_MAX..], "{piece}");
            assert_eq!(between, body.len() - 2 * END_BYTES_MAX, "{piece}");
        }
        let mut short = Ends::default();
        short.add(&body[..5_000]);
        assert_eq!(
            (short.between, [short.beginning, short.end].concat()),
            (0, body[..5_000].to_vec())
        );
    }
}
