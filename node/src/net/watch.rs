//! Watching a few peers closely: their hosts' kernels are knocked at, their daemons are pinged.
//!
//! A crash is seen with the first knock after it, a host that is gone after a few pings that were
//! not answered. As long as they are answered they are rare; the first that is not is followed by
//! others at once. Either is only a suspicion, told to the agent; whoever was late itself says
//! nothing until it has caught up.

use super::{
    endpoint::Shared,
    knock::Knocker,
    pulse::{self, Beat},
};
use protocol::{name::PeerId, record::Seen};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::sleep_until,
};

/// How often a host is knocked at, and how soon a ping that was not answered is followed by the
/// next. A knock is cheap: the other side's kernel deals with it (see `knock::ignored_by`).
const ROUND: Duration = Duration::from_millis(100);

/// The same while all wards answer. Half of it would find a crash a sixteenth of a second sooner,
/// for an eighth more of what an idle daemon costs.
const CALM_ROUND: Duration = Duration::from_millis(250);

/// How often a daemon is pinged that answers. Each ping costs both sides three packets.
const PING_EVERY: Duration = Duration::from_millis(750);

/// The longest that an answer may take, however far away the ward is.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// A host that has refused is knocked at more rarely: its kernel answers six times and then once a
/// second, and the others want to hear it too.
const KNOCKS_SKIPPED: u32 = 5;

/// How long a peer that was never heard may take until it is missed.
const FIRST_WITHIN: Duration = Duration::from_secs(3);

/// How late a round may be. What was not heard meanwhile was not listened for.
const LATE: Duration = Duration::from_millis(300);

/// What the watch tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// What is seen of a ward, when that changes.
    Ward(PeerId, Seen),
    /// The watch itself was late by so much.
    Late(Duration),
}

/// One peer that is watched.
struct Ward {
    /// Nothing before this counts against it.
    since: Instant,
    /// What was told last, and when.
    told: Seen,
    told_at: Instant,
    /// When it was pinged last, and how long its answer may take.
    pinged: Option<Instant>,
    answer_within: Duration,
    refused: Arc<AtomicBool>,
    knocker: Option<Arc<Knocker>>,
    listener: Option<JoinHandle<()>>,
    address: Option<std::net::SocketAddr>,
}

impl Drop for Ward {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.abort();
        }
    }
}

/// Watches whom it is told to, until the endpoint is closed or nobody listens any more.
pub(crate) async fn watch(
    shared: Arc<Shared>,
    mut wanted: watch::Receiver<BTreeSet<PeerId>>,
    tell: mpsc::Sender<Told>,
) {
    let mut wards: BTreeMap<PeerId, Ward> = BTreeMap::new();
    let refusals = Arc::new(Notify::new());
    let mut round: u32 = 0;
    let mut last = Instant::now();
    let mut pause = CALM_ROUND;
    loop {
        let is_round = tokio::select! {
            () = shared.stop.cancelled() => return,
            () = refusals.notified() => false,
            () = sleep_until((last + pause).into()) => true,
        };
        let now = Instant::now();
        if is_round {
            let late = now.duration_since(last).saturating_sub(pause);
            last = now;
            if late > LATE {
                for ward in wards.values_mut() {
                    ward.since = now;
                }
                if tell.send(Told::Late(late)).await.is_err() {
                    return;
                }
            }
            round = round.wrapping_add(1);
            let peers = wanted.borrow_and_update().clone();
            wards.retain(|peer, _| peers.contains(peer));
            for peer in peers {
                let ward = wards.entry(peer).or_insert_with(|| Ward::new(now));
                ward.knock(&shared, peer, round, &refusals).await;
                ward.ping(&shared, peer, now);
            }
            let waits = wards.iter().any(|(peer, ward)| ward.waits(&shared, *peer));
            pause = if waits { ROUND } else { CALM_ROUND };
        }
        for (peer, ward) in &mut wards {
            if let Some(seen) = ward.look(&shared, *peer, now)
                && tell.send(Told::Ward(*peer, seen)).await.is_err()
            {
                return;
            }
        }
    }
}

impl Ward {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            told: Seen::Reached,
            told_at: now,
            pinged: None,
            answer_within: ROUND,
            refused: Arc::default(),
            knocker: None,
            listener: None,
            address: None,
        }
    }

    async fn knock(&mut self, shared: &Shared, peer: PeerId, round: u32, refusals: &Arc<Notify>) {
        let address = shared.book.address(peer);
        if address != self.address || self.knocker.is_none() {
            self.address = address;
            self.listen(shared, address, refusals).await;
        }
        let rarely = self.told == Seen::Refused && !round.is_multiple_of(KNOCKS_SKIPPED);
        if let Some(knocker) = self.knocker.as_ref().filter(|_| !rarely) {
            knocker.knock().await;
        }
    }

    /// Listens for what the host at this address says.
    async fn listen(
        &mut self,
        shared: &Shared,
        address: Option<std::net::SocketAddr>,
        refusals: &Arc<Notify>,
    ) {
        if let Some(listener) = self.listener.take() {
            listener.abort();
        }
        self.knocker = None;
        if !shared.knocks {
            return;
        }
        let (Some(address), Ok(own)) = (address, shared.endpoint.local_addr()) else { return };
        let knocker = match Knocker::new(own.ip(), address).await {
            Ok(knocker) => Arc::new(knocker),
            Err(error) => {
                tracing::debug!(%address, %error, "cannot knock");
                return;
            }
        };
        self.knocker = Some(Arc::clone(&knocker));
        let (refused, refusals) = (Arc::clone(&self.refused), Arc::clone(refusals));
        self.listener = Some(tokio::spawn(async move {
            loop {
                knocker.refused().await;
                refused.store(true, Ordering::Relaxed);
                refusals.notify_one();
            }
        }));
    }

    /// What is to be told now, if it is something new.
    fn look(&mut self, shared: &Shared, peer: PeerId, now: Instant) -> Option<Seen> {
        let heard = shared.pulses.heard(peer);
        let refused = self.refused.swap(false, Ordering::Relaxed);
        let heard_again = heard.is_some_and(|heard| heard > self.told_at);
        let seen = if refused {
            Seen::Refused
        } else if self.told.is_silence() && heard_again {
            Seen::Reached
        } else if self.told.is_silence() {
            return None;
        } else {
            let quiet_since = heard.map_or(self.since, |heard| heard.max(self.since));
            let borne = match heard {
                Some(_) => {
                    let row = pulse::row(shared.pulses.patience(peer), self.answer_within);
                    PING_EVERY + row
                }
                None => FIRST_WITHIN,
            };
            if now.duration_since(quiet_since) <= borne {
                return None;
            }
            Seen::NoAnswer
        };
        let is_news = seen != self.told;
        self.told = seen;
        self.told_at = now;
        is_news.then_some(seen)
    }

    /// Whether an answer is awaited, of one that was heard a moment ago.
    fn waits(&self, shared: &Shared, peer: PeerId) -> bool {
        !self.told.is_silence() && !shared.pulses.is_answered(peer)
    }

    /// Pings the peer if it is time to, on the connection that is open, or sees to it that there is
    /// one for the next time.
    fn ping(&mut self, shared: &Arc<Shared>, peer: PeerId, now: Instant) {
        let wait = if shared.pulses.is_answered(peer) { PING_EVERY } else { self.answer_within };
        // Rounds are not exact: half of one sooner is nearer than half of one later.
        if self.pinged.is_some_and(|pinged| now.duration_since(pinged) + ROUND / 2 < wait) {
            return;
        }
        self.pinged = Some(now);
        match shared.links.best(peer) {
            Some(link) => {
                self.answer_within = (link.connection.rtt() * 2).clamp(ROUND, ANSWER_MAX);
                link.beat(Beat::Ping(shared.pulses.next(peer)));
            }
            None => {
                let shared = Arc::clone(shared);
                drop(tokio::spawn(async move {
                    if let Err(error) = shared.link(peer).await {
                        tracing::trace!(%peer, %error, "a ward is not reached");
                    }
                }));
            }
        }
    }
}
