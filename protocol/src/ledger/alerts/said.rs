//! What is said of one alert, and what of it holds.
//!
//! Words come late, twice and in any order, from senders that know nothing of each other. So no word
//! is compared with the one that came before it, but by the moments that it names itself, of its
//! senders' clocks. There are two kinds:
//!
//! - **Words without an end** (the webhook of Alertmanager, events, programs) are one *voice*,
//!   whoever says them: members of a cluster of Alertmanagers speak for each other, and give as the
//!   beginning of an alert the earliest that they heard of. The voice says that it fires while the
//!   latest beginning that it told of is later than the latest end. An end counts that is later than
//!   what is known to have begun, whatever it says itself of the beginning.
//! - **Words with an end** (a Prometheus that has no Alertmanager) are *promises*. Each sender makes
//!   its own, and is known by since when it says that it fires. A promise holds until the moment that
//!   it names, which each repetition moves on, or until the end of what began then is told; another
//!   sender's goes on. A word that reaches no farther than what was promised before that end is an
//!   old one.
//!
//! An alert fires while the voice says so or a promise holds. An end that does not say since when it
//! had fired ends whatever began before it.
//!
//! Both kinds hold the latest of what was told, so that order and repetition do not matter: for as
//! long as ends are remembered. Two senders who say that it fires since the same moment are one, as
//! they are for an Alertmanager: what one ends, the other opens again once it says so for as much
//! longer as no late word would.

use crate::{alert::FIRES_FOR, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How often what goes on without an end is committed anew.
const AGAIN_AFTER: Duration = Duration::from_secs(3_600);

/// The most promises of one alert, and the most ends of promises that are remembered.
const PROMISES_MAX: usize = 4;

/// How far a promise reaches at least: Prometheus gives four minutes unless told otherwise.
const REACHES: Duration = Duration::from_secs(5 * 60);

/// How much a sender's clock may be behind for an end to be told from what came before it.
const BEHIND: Duration = Duration::from_secs(60);

/// The smallest step of time.
pub(super) const A_MOMENT: Duration = Duration::from_millis(1);

/// What is said of an alert that fires.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    voice: Option<Voice>,
    /// By since when it fires.
    promises: BTreeMap<Timestamp, Promise>,
}

/// The latest beginning without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Voice {
    began: Timestamp,
    /// When it was committed last.
    told_at: Timestamp,
}

/// It fires until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Promise {
    until: Timestamp,
    /// When it was committed last.
    told_at: Timestamp,
}

/// What is known of the ends of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ends {
    /// The latest one.
    latest: Timestamp,
    /// When the log had it.
    pub(super) told_at: Timestamp,
    /// Of promises, by since when it had fired.
    promises: BTreeMap<Timestamp, Over>,
}

/// The end of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Over {
    /// The farthest that a word may reach which was said before the end.
    reach: Timestamp,
    end: Timestamp,
}

/// Both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) claims: Claims,
    pub(super) ends: Option<Ends>,
}

impl Voice {
    fn until(&self) -> Timestamp {
        self.told_at.plus(FIRES_FOR)
    }
}

impl Promise {
    /// The farthest that a word of this sender may reach which was said before this end.
    fn reach_of_words_before(&self, end: Timestamp) -> Timestamp {
        end.plus(REACHES.max(self.until.since(self.told_at) + BEHIND))
    }

    /// Whether it may have been made before this end.
    fn may_be_older_than(&self, end: Timestamp) -> bool {
        self.until <= self.reach_of_words_before(end)
    }
}

impl Claims {
    /// Until when it fires, if nothing more is said.
    pub(super) fn until(&self) -> Timestamp {
        let promised = self.promises.values().map(|promise| promise.until);
        promised.chain(self.voice.map(|voice| voice.until())).max().unwrap_or_default()
    }

    /// The end that its senders gave; nothing where one will say so.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        if self.voice.is_some() { None } else { Some(self.until()) }
    }

    /// Since when it fires at the most, where that is known of all who say so.
    pub(super) fn promised_since(&self) -> Option<Timestamp> {
        if self.voice.is_some() { None } else { self.promises.keys().next().copied() }
    }

    fn forget_what_is_over(&mut self, at: Timestamp) {
        self.voice = self.voice.filter(|voice| at < voice.until());
        self.promises.retain(|_, promise| at < promise.until);
    }
}

impl Said {
    /// It fires; whether that changes anything. What comes less than `late` after an end may have
    /// been said before it.
    pub(super) fn fires(
        &mut self,
        began: Timestamp,
        until: Option<Timestamp>,
        at: Timestamp,
        late: Duration,
    ) -> bool {
        self.claims.forget_what_is_over(at);
        match until {
            Some(until) => self.promise(began, Promise { until, told_at: at }),
            None => self.voice(began, at, late),
        }
    }

    fn voice(&mut self, began: Timestamp, at: Timestamp, late: Duration) -> bool {
        let ended = self.ends.as_ref().filter(|ends| began <= ends.latest);
        if ended.is_some_and(|ends| at < ends.told_at.plus(late)) {
            return false;
        }
        // Said again so long after its end, it has begun anew. An Alertmanager that heard nothing of
        // it for a while gives the old beginning.
        let began = ended.map_or(began, |ends| ends.latest.plus(A_MOMENT));
        if let Some(known) = self.claims.voice
            && began <= known.began
        {
            let again = known.told_at.plus(AGAIN_AFTER) <= at;
            self.claims.voice = Some(if again { Voice { told_at: at, ..known } } else { known });
            return again;
        }
        self.claims.voice = Some(Voice { began, told_at: at });
        true
    }

    fn promise(&mut self, began: Timestamp, promise: Promise) -> bool {
        let Promise { until, told_at: at } = promise;
        let over = self.ends.as_ref().and_then(|ends| ends.promises.get(&began));
        let is_old =
            over.is_some_and(|over| until <= over.reach || promise.may_be_older_than(over.end));
        if until <= at || is_old {
            return false;
        }
        let promises = &mut self.claims.promises;
        match promises.get(&began) {
            // Half of what it has left is time enough for the next word.
            Some(known) if until.since(at) <= known.until.since(at) * 2 => return false,
            Some(_) => {}
            None => {
                let soonest = promises.iter().min_by_key(|(_, promise)| promise.until);
                let soonest = soonest.map(|(began, promise)| (*began, promise.until));
                if let Some((first, ends)) = soonest.filter(|_| promises.len() >= PROMISES_MAX) {
                    if until <= ends {
                        return false;
                    }
                    promises.remove(&first);
                }
            }
        }
        promises.insert(began, promise);
        true
    }

    /// It fires no more since `end`, in the words of who said that it fired since `began`, or of all;
    /// whether that changes anything.
    pub(super) fn ends(&mut self, began: Option<Timestamp>, end: Timestamp, at: Timestamp) -> bool {
        self.claims.forget_what_is_over(at);
        let mut changes = self.claims.voice.take_if(|voice| voice.began <= end).is_some();
        let known = self.ends.take();
        let later = known.as_ref().is_none_or(|known| known.latest < end);
        let new = Ends { latest: end, told_at: at, promises: BTreeMap::new() };
        let mut ends = known.unwrap_or(new);
        if later {
            (ends.latest, ends.told_at) = (end, at);
        }
        changes |= later;
        let over: Vec<Timestamp> = match began {
            Some(began) => vec![began],
            None => self.claims.promises.range(..=end).map(|(began, _)| *began).collect(),
        };
        for one in over {
            let promise = self.claims.promises.get(&one).copied();
            // It was made again after this end.
            if promise.is_some_and(|known| began.is_some() && !known.may_be_older_than(end)) {
                continue;
            }
            changes |= self.claims.promises.remove(&one).is_some();
            let reach = promise.map_or(end.plus(REACHES), |known| known.reach_of_words_before(end));
            changes |= ends.remember(one, Over { reach, end }, at);
        }
        self.ends = Some(ends);
        changes
    }

    /// A word of who does not say since when it fires, dated as what is known of it: what fires goes
    /// on, and what has ended begins anew.
    pub(super) fn beginning(&self, promised: bool, now: Timestamp) -> Timestamp {
        let mut claims = self.claims.clone();
        claims.forget_what_is_over(now);
        let last = claims.promises.iter().max_by_key(|(_, promise)| promise.until);
        let (known, ended) = if promised {
            let ends = self.ends.as_ref().and_then(|ends| ends.promises.keys().next_back());
            (last.map(|(began, _)| *began), ends.copied())
        } else {
            let ends = self.ends.as_ref().map(|ends| ends.latest);
            (claims.voice.map(|voice| voice.began), ends)
        };
        // Another peer's clock may have been ahead.
        let anew = ended.map_or(now, |ended| now.max(ended.plus(A_MOMENT)));
        known.unwrap_or(anew)
    }

    /// An end for whoever said that it fires, if anybody does.
    pub(super) fn end_of_all(&self, now: Timestamp) -> Option<Timestamp> {
        let mut claims = self.claims.clone();
        claims.forget_what_is_over(now);
        let voice = claims.voice.map(|voice| voice.began);
        let latest = claims.promises.keys().next_back().copied().into_iter().chain(voice).max();
        latest.map(|latest| now.max(latest))
    }
}

impl Ends {
    /// Remembers the end of a promise; whether it was not known.
    fn remember(&mut self, began: Timestamp, over: Over, at: Timestamp) -> bool {
        // A word that reaches no farther than this moment says nothing any more.
        self.promises.retain(|_, over| at < over.reach);
        let known = self.promises.get(&began).copied();
        if over.reach <= at || known.is_some_and(|known| over.reach <= known.reach) {
            return false;
        }
        let end = known.map_or(over.end, |known| known.end.max(over.end));
        self.promises.insert(began, Over { end, ..over });
        while self.promises.len() > PROMISES_MAX {
            let soonest = self.promises.iter().min_by_key(|(_, over)| over.reach);
            let Some(soonest) = soonest.map(|(began, _)| *began) else { return true };
            self.promises.remove(&soonest);
            if soonest == began {
                return false;
            }
        }
        true
    }
}
