//! The alerts that fire, as the log has them.
//!
//! Only what changes something is committed: an alert that is told again and again is in the log
//! once, and once more every hour, so that one that nobody ends is over some day. Words arrive late,
//! twice and in any order; `said` has the rule by which an old one is known.

mod said;

use self::said::{Claims, Ends, Said};
use super::{
    Context, Effect, Ledger, Outcome,
    incident::{Fact, Incident},
    questions::short,
};
use crate::{
    alert::{Alert, AlertId, Word},
    document::Probe,
    name::IncidentId,
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The most alerts that fire at the same time.
pub const ALERTS_MAX: usize = 10_000;

/// The most words of one entry.
pub const WORDS_MAX: usize = 1_000;

/// How often what is over is forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// For how long it is remembered that an alert has ended, so that a late word does not revive it.
const ENDED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How late what a sender tells by itself may come. One Alertmanager tells one thing after the
/// other; the next of a cluster waits for a few times 15 s. An Alertmanager that tells of an old
/// beginning later than that says that it fires again: it had heard nothing of it, or an end by
/// another Prometheus. It says so when it looks at the group next, five minutes after the end unless
/// told otherwise, and once more only hours later.
const TOLD_WITHIN: Duration = Duration::from_secs(4 * 60);

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    /// What was told last. It began with the first who says so, and ends with the last.
    pub alert: Alert,
    /// Since when the log has it.
    pub since: Timestamp,
    claims: Claims,
}

impl Firing {
    /// Until when it fires, if nothing more is told.
    pub fn until(&self) -> Timestamp {
        self.claims.until()
    }

    /// Whether it still fires.
    pub fn fires_at(&self, at: Timestamp) -> bool {
        at < self.until()
    }
}

/// All alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerts {
    firing: BTreeMap<AlertId, Firing>,
    ended: BTreeMap<AlertId, Ends>,
    /// When what is over was forgotten last.
    tidied_at: Timestamp,
}

impl Alerts {
    /// Those that fire at this moment, by what they are known by.
    pub fn firing(&self, at: Timestamp) -> impl Iterator<Item = (AlertId, &Firing)> {
        let fires = move |(_, firing): &(&AlertId, &Firing)| firing.fires_at(at);
        self.firing.iter().filter(fires).map(|(id, firing)| (*id, firing))
    }

    /// How many are kept: those that fire, and some that fired a moment ago.
    pub fn kept(&self) -> usize {
        self.firing.len()
    }

    /// Whether this alert fires at this moment.
    pub fn fires(&self, id: AlertId, at: Timestamp) -> bool {
        self.firing.get(&id).is_some_and(|firing| firing.fires_at(at))
    }

    fn said(&self, id: AlertId) -> Said {
        let claims = self.firing.get(&id).map(|firing| firing.claims.clone());
        Said { claims: claims.unwrap_or_default(), ends: self.ended.get(&id).cloned() }
    }

    /// A word of a sender that says how it is and not since when, dated as the log knows it: what
    /// fires already goes on, what has ended begins anew, and what does not fire has no end.
    pub fn dated(&self, word: Word, now: Timestamp) -> Option<Word> {
        match word {
            Word::Fires(mut alert) => {
                let said = self.said(alert.id());
                alert.starts_at = said.beginning(alert.ends_at.is_some(), now);
                Some(Word::Fires(alert))
            }
            Word::Ended { alert, .. } => {
                let at = self.said(alert).end_of_all(now)?;
                Some(Word::Ended { alert, starts_at: None, at })
            }
        }
    }

    /// The words of one such sender, dated in their order: of two about the same alert the second
    /// depends on the first.
    pub fn all_dated(&self, words: Vec<Word>, now: Timestamp) -> Vec<Word> {
        let mut these = Self::default();
        for word in &words {
            let id = word.alert();
            these.firing.extend(self.firing.get(&id).map(|known| (id, known.clone())));
            these.ended.extend(self.ended.get(&id).map(|known| (id, known.clone())));
        }
        let mut dated = Vec::new();
        for word in words {
            let Some(word) = these.dated(word, now) else { continue };
            these.take(&word, now, TOLD_WITHIN);
            dated.push(word);
        }
        dated
    }

    /// Whether a word that a sender tells by itself would change anything: asked before it is
    /// brought to the log.
    pub fn is_news(&self, word: &Word, at: Timestamp) -> bool {
        self.with(word, at, TOLD_WITHIN).is_some()
    }

    /// What is said with this word, if it changes anything.
    fn with(&self, word: &Word, at: Timestamp, late: Duration) -> Option<Said> {
        let mut said = self.said(word.alert());
        let changes = match word {
            Word::Fires(alert) => said.fires(alert.starts_at, alert.ends_at, at, late),
            Word::Ended { starts_at, at: end, .. } => said.ends(*starts_at, *end, at),
        };
        changes.then_some(said)
    }

    /// Takes a word, if it changes anything.
    fn take(&mut self, word: &Word, at: Timestamp, late: Duration) {
        let Some(Said { claims, ends }) = self.with(word, at, late) else { return };
        let id = word.alert();
        let before = self.firing.remove(&id).filter(|known| known.fires_at(at));
        let firing = match (word, before) {
            (Word::Fires(alert), None) => Some((alert.clone(), at)),
            (Word::Fires(alert), Some(known)) => {
                let starts_at = alert.starts_at.min(known.alert.starts_at);
                Some((Alert { starts_at, ..alert.clone() }, known.since))
            }
            (Word::Ended { .. }, known) => known.map(|known| (known.alert, known.since)),
        };
        if let Some((mut alert, since)) = firing.filter(|_| at < claims.until()) {
            alert.starts_at = claims.promised_since().unwrap_or(alert.starts_at);
            alert.ends_at = claims.ends_at();
            self.firing.insert(id, Firing { alert, since, claims });
        }
        self.ended.extend(ends.map(|ends| (id, ends)));
    }

    /// Whether all of it can be kept.
    fn has_room_for(&self, words: &[Word], late: Option<Duration>, at: Timestamp) -> bool {
        if self.firing.len() + words.len() <= ALERTS_MAX {
            return true;
        }
        let new: BTreeSet<AlertId> = words
            .iter()
            .filter(|word| late.is_none_or(|late| self.with(word, at, late).is_some()))
            .filter_map(|word| match word {
                Word::Fires(alert) => Some(alert.id()),
                Word::Ended { .. } => None,
            })
            .filter(|id| !self.firing.contains_key(id))
            .collect();
        self.firing.len() + new.len() <= ALERTS_MAX
    }

    /// Takes words that were read of a stream; those that are not `timed` say how it is and not since
    /// when.
    pub(super) fn take_read(
        &mut self,
        words: &[Word],
        timed: bool,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        // A topic may be read from its beginning.
        self.take_all(words, timed.then_some(ENDED_FOR), at)
    }

    /// Takes words in their order, all of them or nothing: those that come at most so late, or those
    /// that do not say since when it is so.
    fn take_all(
        &mut self,
        words: &[Word],
        late: Option<Duration>,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let small = words.iter().all(|word| match word {
            Word::Fires(alert) => alert.is_small(),
            Word::Ended { .. } => true,
        });
        if words.len() > WORDS_MAX || !small {
            let limit_bytes = u64::try_from(WORDS_MAX).unwrap_or(u64::MAX);
            return Err(Refusal::TooLarge {
                what: "what was told of alerts".to_owned(),
                limit_bytes,
            });
        }
        if self.tidied_at.plus(TIDY_EVERY) <= at {
            self.tidy(at);
        }
        if !self.has_room_for(words, late, at) {
            self.tidy(at);
        }
        if !self.has_room_for(words, late, at) {
            return Err(Refusal::TooManyAlerts { most: ALERTS_MAX });
        }
        for word in words {
            // Of two about the same thing the second depends on the first.
            match late {
                Some(late) => self.take(word, at, late),
                None => {
                    if let Some(word) = self.dated(word.clone(), at) {
                        self.take(&word, at, ENDED_FOR);
                    }
                }
            }
        }
        Ok(())
    }

    /// Forgets what fires no more and what ended long ago.
    fn tidy(&mut self, at: Timestamp) {
        self.tidied_at = at;
        self.firing.retain(|_, firing| firing.fires_at(at));
        self.ended.retain(|_, ended| at < ended.told_at.plus(ENDED_FOR));
        while self.ended.len() > ALERTS_MAX {
            let oldest = self.ended.iter().min_by_key(|(_, ended)| ended.told_at);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { return };
            self.ended.remove(&oldest);
        }
    }
}

impl Ledger {
    /// The alerts that other systems told of.
    pub const fn alerts(&self) -> &Alerts {
        &self.alerts
    }

    /// An operator ends what its senders do not. That is no word of theirs: whoever says again that
    /// it fires is heard.
    pub(super) fn end_alert(
        &mut self,
        context: &Context,
        id: AlertId,
        operator: [u8; 32],
        reason: &str,
    ) -> Outcome {
        let fires = |firing: &Firing| firing.fires_at(context.at);
        if !self.alerts.firing.get(&id).is_some_and(fires) {
            return Err(Refusal::UnknownAlert { alert: id });
        }
        let Some(Firing { alert, .. }) = self.alerts.firing.remove(&id) else {
            return Err(Refusal::UnknownAlert { alert: id });
        };
        let by_it: Vec<IncidentId> = self
            .open_incidents()
            .filter(|incident| self.is_about(&alert, incident))
            .map(|incident| incident.id)
            .collect();
        for one in by_it {
            let fact = Fact::AlertEnded(id, short(operator), reason.to_owned());
            self.still_open(one)?.note(context.at, context.by, fact);
        }
        Ok(Effect::Done)
    }

    /// Whether the check that an incident is about fails by this alert.
    fn is_about(&self, alert: &Alert, incident: &Incident) -> bool {
        let check = incident.because.check().and_then(|check| self.library.check(check));
        let Some(Probe::Alert(probe)) = check.map(|check| &check.probe) else { return false };
        let mut hosts = self.roster.hosts();
        hosts.any(|(peer, member)| peer == incident.peer && probe.fits(alert, member))
    }

    /// A peer passes on what it was told. All of it is taken, or nothing.
    pub(super) fn take_words(&mut self, context: &Context, words: &[Word]) -> Outcome {
        self.roster
            .member(context.by)
            .ok_or(Refusal::UnknownPeer { peer: context.by.to_string() })?;
        self.alerts.take_all(words, Some(TOLD_WITHIN), context.at)?;
        self.weigh_again(words, context.at);
        Ok(Effect::Done)
    }
}

#[cfg(test)]
mod tests;
