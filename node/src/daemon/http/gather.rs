//! Words of many requests go to the log together.
//!
//! While one entry is on its way to the leader and back, whatever comes in waits for the next: a
//! thousand requests a second need no thousand entries a second. Each request is answered when its
//! own words are committed, or not: what is refused of one is nothing to the others.
//!
//! Alerts are few and are told at once. Jobs may be ten thousand that check in every minute: the
//! first ping goes at once, and what comes within half a second of it goes with the next entry.

use super::{
    sender::Sender,
    shares::{NoRoom, Share, Shares},
};
use crate::daemon::{Daemon, forward, service};
use protocol::{
    alert, codec, heartbeat,
    ledger::{Effect, alerts, heartbeats},
    record::{Entry, Record},
    refusal::Refusal,
};
use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

/// How long it may take until the leader has an entry committed.
const COMMITTED_WITHIN: Duration = Duration::from_secs(5);

/// So many words may wait, and of one sender no more than as many as are free yet; who brings more
/// is sent back.
const WAITING_MAX: usize = 20_000;

/// The most bytes of an entry: far from what the log takes, near to what travels at once.
const ENTRY_BYTES_MAX: usize = 256 << 10;

/// How long pings are gathered for the next entry.
const PINGS_FOR: Duration = Duration::from_millis(500);

/// A kind of words that are gathered.
pub(super) trait Gathered: Clone + Serialize + Send + 'static {
    /// The most of one entry.
    const MOST: usize;

    /// From the beginning of one entry to that of the next.
    const APART: Duration;

    /// What of it would still change anything.
    fn news(daemon: &Daemon, words: Vec<Self>) -> Vec<Self>;

    /// What the log says.
    fn record(words: Vec<Self>) -> Record;
}

impl Gathered for alert::Word {
    const MOST: usize = alerts::WORDS_MAX;
    const APART: Duration = Duration::ZERO;

    fn news(daemon: &Daemon, words: Vec<Self>) -> Vec<Self> {
        super::intake::news(daemon, words)
    }

    fn record(words: Vec<Self>) -> Record {
        Record::Alerted { words }
    }
}

impl Gathered for heartbeat::Word {
    const MOST: usize = heartbeats::WORDS_MAX;
    const APART: Duration = PINGS_FOR;

    fn news(_daemon: &Daemon, words: Vec<Self>) -> Vec<Self> {
        words
    }

    fn record(words: Vec<Self>) -> Record {
        Record::JobsTold { words, nonce: Some(rand::random()) }
    }
}

/// Why words are not known to be in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTaken {
    /// The ledger refuses them.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Too many wait already, of this sender or of all.
    #[error("too many words wait for the leader: {0}")]
    Waiting(NoRoom),
    /// They may be in the log, or not.
    #[error("{0}")]
    Unknown(String),
}

/// A request's words, and who waits for them.
struct Waiting<W> {
    words: Vec<W>,
    bytes: usize,
    /// Its share of what may wait.
    share: Share,
    answer: oneshot::Sender<Result<(), NotTaken>>,
}

/// What waits for the log.
pub(super) struct Gatherer<W> {
    waiting: Mutex<VecDeque<Waiting<W>>>,
    room: Shares,
    more: Notify,
}

impl<W> Default for Gatherer<W> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), room: Shares::of(WAITING_MAX), more: Notify::new() }
    }
}

impl<W: Gathered> Gatherer<W> {
    /// Brings a sender's words to the log, in as many entries as they need; returns when all are
    /// committed.
    ///
    /// # Errors
    /// [`NotTaken`]; what came before what was not taken is in the log.
    pub(super) async fn commit(&self, sender: &Sender, words: Vec<W>) -> Result<(), NotTaken> {
        for (piece, bytes) in pieces(words) {
            self.commit_piece(sender, piece, bytes).await?;
        }
        Ok(())
    }

    async fn commit_piece(
        &self,
        sender: &Sender,
        words: Vec<W>,
        bytes: usize,
    ) -> Result<(), NotTaken> {
        let (answer, answered) = oneshot::channel();
        let share = self.room.take(sender, words.len()).map_err(NotTaken::Waiting)?;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(Waiting {
            words,
            bytes,
            share,
            answer,
        });
        self.more.notify_one();
        let stopping = |_gone| NotTaken::Unknown("the daemon is stopping".to_owned());
        answered.await.map_err(stopping)?
    }

    /// Those who are next, as many as fit into one entry.
    fn next(&self) -> Vec<Waiting<W>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken: Vec<Waiting<W>> = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        while let Some(first) = waiting.front() {
            count += first.words.len();
            bytes += first.bytes;
            if (count > W::MOST || bytes > ENTRY_BYTES_MAX) && !taken.is_empty() {
                break;
            }
            taken.extend(waiting.pop_front());
        }
        taken
    }

    /// Carries what waits to the leader, entry by entry, until the daemon stops.
    pub(super) async fn carry(self: Arc<Self>, daemon: Arc<Daemon>) {
        loop {
            let next = self.next();
            if next.is_empty() {
                tokio::select! {
                    () = daemon.stop.cancelled() => return,
                    () = self.more.notified() => continue,
                }
            }
            let began = Instant::now();
            // Of what several hosts are told at once, the first may be in the log by now.
            let words: Vec<W> = next.iter().flat_map(|one| one.words.iter().cloned()).collect();
            let result = to_log(&daemon, W::news(&daemon, words)).await;
            answer(next, &result);
            tokio::select! {
                () = daemon.stop.cancelled() => return,
                () = tokio::time::sleep_until(began + W::APART) => {}
            }
        }
    }
}

/// Tells everybody what became of his own words: of what was passed over, the first refusal among them.
fn answer<W>(asked: Vec<Waiting<W>>, result: &Result<Vec<(u32, Refusal)>, NotTaken>) {
    let mut from = 0;
    for one in asked {
        let upto = from + one.words.len();
        let own = |place: u32| usize::try_from(place).is_ok_and(|at| (from..upto).contains(&at));
        let result = match result {
            Err(why) => Err(why.clone()),
            Ok(refused) => match refused.iter().find(|(place, _)| own(*place)) {
                Some((_, refusal)) => Err(NotTaken::Refused(Box::new(refusal.clone()))),
                None => Ok(()),
            },
        };
        // Whoever gave up waiting asks again; there is room for him before he is answered.
        drop(one.share);
        drop(one.answer.send(result));
        from = upto;
    }
}

/// Words in the order in which they came, cut so that each piece fits into an entry, and its bytes.
fn pieces<W: Gathered>(words: Vec<W>) -> Vec<(Vec<W>, usize)> {
    let mut pieces: Vec<(Vec<W>, usize)> = Vec::new();
    for word in words {
        let size = codec::encode(&word).len();
        match pieces.last_mut() {
            Some((piece, bytes)) if piece.len() < W::MOST && *bytes + size <= ENTRY_BYTES_MAX => {
                piece.push(word);
                *bytes += size;
            }
            Some(_) | None => pieces.push((vec![word], size)),
        }
    }
    pieces
}

/// Brings words to the log in one entry; which of them it passed over, by their places.
async fn to_log<W: Gathered>(
    daemon: &Daemon,
    words: Vec<W>,
) -> Result<Vec<(u32, Refusal)>, NotTaken> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let term = daemon.standing().term;
    let entry = Entry { at: daemon.log_now(), by: daemon.me, term, record: W::record(words) };
    match forward::to_leader(daemon, entry, COMMITTED_WITHIN).await {
        Ok((position, Ok(effect))) => {
            // Whoever is answered may ask here, and may say next that it is over.
            service::seen(daemon, position).await;
            match effect {
                Effect::PassedOver(refused) => Ok(refused),
                Effect::Done | Effect::Revision(_) | Effect::Opened(_) => Ok(Vec::new()),
            }
        }
        Ok((_, Err(refusal))) => Err(NotTaken::Refused(Box::new(refusal))),
        Err(error) => Err(NotTaken::Unknown(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{
        alert::{Alert, Word},
        ledger::alerts::WORDS_MAX,
        time::Timestamp,
    };
    use std::collections::BTreeMap;

    fn words(count: usize) -> Vec<Word> {
        let one = |number: usize| {
            let labels = BTreeMap::from([("number".to_owned(), number.to_string())]);
            Word::Fires(Alert::new(labels, "", Timestamp::from_millis(1), None).unwrap())
        };
        (0..count).map(one).collect()
    }

    fn sender(number: u8) -> Sender {
        Sender::at([10, 0, 0, number].into())
    }

    #[tokio::test]
    async fn what_waits_goes_together_as_far_as_it_fits_and_no_more_than_so_much_waits() {
        let gatherer = Arc::new(Gatherer::default());
        for count in [10, 20, WORDS_MAX] {
            let gatherer = Arc::clone(&gatherer);
            drop(tokio::spawn(async move { gatherer.commit(&sender(1), words(count)).await }));
            tokio::task::yield_now().await;
        }
        assert_eq!(
            gatherer.commit_piece(&sender(2), words(WAITING_MAX), 1).await,
            Err(NotTaken::Waiting(NoRoom::Full { whole: WAITING_MAX }))
        );
        let sizes =
            |taken: Vec<Waiting<Word>>| taken.iter().map(|one| one.words.len()).collect::<Vec<_>>();
        assert_eq!(sizes(gatherer.next()), [10, 20]);
        assert_eq!(sizes(gatherer.next()), [WORDS_MAX]);
    }

    #[tokio::test]
    async fn who_brings_many_words_leaves_room_for_those_of_others() {
        let gatherer = Arc::new(Gatherer::default());
        let bring = |number: u8| {
            let gatherer = Arc::clone(&gatherer);
            tokio::spawn(async move { gatherer.commit(&sender(number), words(WORDS_MAX)).await })
        };
        let many: Vec<_> = (0..30).map(|_| bring(1)).collect();
        tokio::task::yield_now().await;
        let mut refused = Vec::new();
        for one in many {
            if one.is_finished() {
                refused.push(one.await.unwrap());
            }
        }
        let why = NoRoom::Share { sender: sender(1), has: 10_000, whole: WAITING_MAX };
        assert_eq!(refused, vec![Err(NotTaken::Waiting(why)); 20]);
        let other = bring(2);
        tokio::task::yield_now().await;
        assert!(!other.is_finished(), "it waits for the leader");
        // When they were answered there is room again.
        for _ in 0..10 {
            answer(gatherer.next(), &Ok(Vec::new()));
        }
        let again = bring(1);
        tokio::task::yield_now().await;
        assert!(!again.is_finished());
    }

    #[tokio::test]
    async fn everybody_is_told_what_became_of_his_own_words() {
        let refused = |job: &str| Refusal::NoSuchJob { job: job.to_owned() };
        let told = |result: Result<Vec<(u32, Refusal)>, NotTaken>| {
            let (asked, answers): (Vec<_>, Vec<_>) = [1, 3, 2]
                .map(|count| {
                    let (answer, answered) = oneshot::channel();
                    let share = Shares::of(10).take(&sender(1), count).unwrap();
                    (Waiting { words: words(count), bytes: 1, share, answer }, answered)
                })
                .into_iter()
                .unzip();
            answer(asked, &result);
            answers.into_iter().map(|mut one| one.try_recv().unwrap()).collect::<Vec<_>>()
        };
        let no = |job: &str| Err(NotTaken::Refused(Box::new(refused(job))));
        assert_eq!(told(Ok(vec![])), [Ok(()), Ok(()), Ok(())]);
        assert_eq!(
            told(Ok(vec![(2, refused("b")), (3, refused("c")), (5, refused("d"))])),
            [Ok(()), no("b"), no("d")]
        );
        assert_eq!(told(Ok(vec![(0, refused("a"))])), [no("a"), Ok(()), Ok(())]);
        let lost = NotTaken::Unknown("no leader".to_owned());
        assert_eq!(told(Err(lost.clone())), [Err(lost.clone()), Err(lost.clone()), Err(lost)]);
    }

    #[test]
    fn what_does_not_fit_into_an_entry_is_cut() {
        let sizes = |words| pieces(words).iter().map(|(piece, _)| piece.len()).collect::<Vec<_>>();
        assert_eq!(sizes(words(2 * WORDS_MAX + 5)), [WORDS_MAX, WORDS_MAX, 5]);
        let large = |number: usize| {
            let labels = BTreeMap::from([
                ("number".to_owned(), number.to_string()),
                ("text".to_owned(), "x".repeat(4_000)),
            ]);
            Word::Fires(Alert::new(labels, "", Timestamp::from_millis(1), None).unwrap())
        };
        let cut = pieces((0..100).map(large).collect());
        assert!(cut.len() > 1 && cut.iter().all(|(_, bytes)| *bytes <= ENTRY_BYTES_MAX));
        assert_eq!(cut.iter().map(|(piece, _)| piece.len()).sum::<usize>(), 100);
    }
}
