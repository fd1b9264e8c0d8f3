//! The alerts that fire, as the log has them.
//!
//! Only what changes something is committed: an alert that is told again and again is in the log
//! once, and once more every hour, so that one that nobody ends is over some day. Words arrive late,
//! twice and in any order; each says when its alert began, and by that an old word is known.

use super::{Context, Effect, Ledger, Outcome};
use crate::{
    alert::{Alert, AlertId, FIRES_FOR, Word},
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

/// How often an alert that goes on is committed anew.
const AGAIN_AFTER: Duration = Duration::from_secs(3_600);

/// How often what is over is forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// For how long it is remembered that an alert has ended, so that a late word does not revive it.
const ENDED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    /// What was told.
    pub alert: Alert,
    /// Since when the log has it.
    pub since: Timestamp,
    /// When it was committed last.
    pub told_at: Timestamp,
}

impl Firing {
    /// Whether it still fires.
    pub fn fires_at(&self, at: Timestamp) -> bool {
        let until = self.alert.ends_at.unwrap_or(self.told_at.plus(FIRES_FOR));
        at < until
    }
}

/// An alert that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    /// When it had begun.
    starts_at: Timestamp,
    /// When the log had it.
    told_at: Timestamp,
}

/// All alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerts {
    firing: BTreeMap<AlertId, Firing>,
    ended: BTreeMap<AlertId, Ended>,
    /// When what is over was forgotten last.
    tidied_at: Timestamp,
}

impl Alerts {
    /// Those that fire at this moment, by what they are known by.
    pub fn firing(&self, at: Timestamp) -> impl Iterator<Item = (AlertId, &Firing)> {
        let fires = move |(_, firing): &(&AlertId, &Firing)| firing.fires_at(at);
        self.firing.iter().filter(fires).map(|(id, firing)| (*id, firing))
    }

    /// Whether this alert fires at this moment.
    pub fn fires(&self, id: AlertId, at: Timestamp) -> bool {
        self.firing.get(&id).is_some_and(|firing| firing.fires_at(at))
    }

    /// A word of a sender that says how it is and not since when, dated as the log knows it: what
    /// fires already goes on, what has ended begins anew, and what does not fire has no end.
    pub fn dated(&self, word: Word, now: Timestamp) -> Option<Word> {
        const A_MOMENT: Duration = Duration::from_millis(1);
        match word {
            Word::Fires(mut alert) => {
                let id = alert.id();
                let known = self.firing.get(&id).filter(|known| known.fires_at(now));
                let ended = self.ended.get(&id);
                alert.starts_at = match (known, ended) {
                    (Some(known), _) => known.alert.starts_at,
                    // Another peer's clock may have been ahead.
                    (None, Some(ended)) => now.max(ended.starts_at.plus(A_MOMENT)),
                    (None, None) => now,
                };
                Some(Word::Fires(alert))
            }
            Word::Ended { alert, at, .. } => {
                let known = self.firing.get(&alert).filter(|known| known.fires_at(now))?;
                let starts_at = known.alert.starts_at.max(now);
                Some(Word::Ended { alert, starts_at, at })
            }
        }
    }

    /// The words of one such sender, dated in their order: of two about the same alert the second
    /// depends on the first.
    pub fn all_dated(&self, words: Vec<Word>, now: Timestamp) -> Vec<Word> {
        let mut these = Self::default();
        for word in &words {
            let id = match word {
                Word::Fires(alert) => alert.id(),
                Word::Ended { alert, .. } => *alert,
            };
            these.firing.extend(self.firing.get(&id).map(|known| (id, known.clone())));
            these.ended.extend(self.ended.get(&id).map(|known| (id, *known)));
        }
        let mut dated = Vec::new();
        for word in words {
            let Some(word) = these.dated(word, now) else { continue };
            if these.is_news(&word, now) {
                these.take(&word, now);
            }
            dated.push(word);
        }
        dated
    }

    /// Whether a word would change anything: asked before it is brought to the log.
    pub fn is_news(&self, word: &Word, at: Timestamp) -> bool {
        match word {
            Word::Fires(alert) => {
                let id = alert.id();
                if self.ended.get(&id).is_some_and(|ended| alert.starts_at <= ended.starts_at) {
                    return false;
                }
                let Some(known) = self.firing.get(&id).filter(|known| known.fires_at(at)) else {
                    return true;
                };
                // Its end and its new beginning may have overtaken each other.
                if alert.starts_at != known.alert.starts_at {
                    return alert.starts_at > known.alert.starts_at;
                }
                match (known.alert.ends_at, alert.ends_at) {
                    // Half of what it has left is time enough for the next word.
                    (Some(known), Some(told)) => known.since(at) * 2 < told.since(at),
                    (Some(_), None) => true,
                    (None, _) => known.told_at.plus(AGAIN_AFTER) <= at,
                }
            }
            Word::Ended { alert, starts_at, .. } => {
                match (self.firing.get(alert), self.ended.get(alert)) {
                    (Some(known), _) => known.alert.starts_at <= *starts_at,
                    // Its beginning may be on the way yet.
                    (None, known) => known.is_none_or(|known| known.starts_at < *starts_at),
                }
            }
        }
    }

    fn take(&mut self, word: &Word, at: Timestamp) {
        match word {
            Word::Fires(alert) => {
                let id = alert.id();
                let before = self.firing.get(&id).filter(|known| known.fires_at(at));
                let since = before.map_or(at, |known| known.since);
                self.ended.remove(&id);
                self.firing.insert(id, Firing { alert: alert.clone(), since, told_at: at });
            }
            Word::Ended { alert, starts_at, .. } => {
                self.firing.remove(alert);
                self.ended.insert(*alert, Ended { starts_at: *starts_at, told_at: at });
            }
        }
    }

    /// Whether all of it can be kept.
    fn has_room_for(&self, words: &[Word], timed: bool, at: Timestamp) -> bool {
        if self.firing.len() + words.len() <= ALERTS_MAX {
            return true;
        }
        let new: BTreeSet<AlertId> = words
            .iter()
            .filter(|word| !timed || self.is_news(word, at))
            .filter_map(|word| match word {
                Word::Fires(alert) => Some(alert.id()),
                Word::Ended { .. } => None,
            })
            .filter(|id| !self.firing.contains_key(id))
            .collect();
        self.firing.len() + new.len() <= ALERTS_MAX
    }

    /// Takes words in their order, all of them or nothing; those that are not `timed` say how it is
    /// and not since when.
    pub(super) fn take_all(
        &mut self,
        words: &[Word],
        timed: bool,
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
        if !self.has_room_for(words, timed, at) {
            self.tidy(at);
        }
        if !self.has_room_for(words, timed, at) {
            return Err(Refusal::TooManyAlerts { most: ALERTS_MAX });
        }
        for word in words {
            // Of two about the same thing the second depends on the first.
            let dated = if timed { Some(word.clone()) } else { self.dated(word.clone(), at) };
            if let Some(word) = dated.filter(|word| self.is_news(word, at)) {
                self.take(&word, at);
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

    /// A peer passes on what it was told. All of it is taken, or nothing.
    pub(super) fn take_words(&mut self, context: &Context, words: &[Word]) -> Outcome {
        self.roster
            .member(context.by)
            .ok_or(Refusal::UnknownPeer { peer: context.by.to_string() })?;
        self.alerts.take_all(words, true, context.at)?;
        self.weigh_again(words, context.at);
        Ok(Effect::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn alert(starts: u64, ends: Option<u64>) -> Alert {
        let labels = BTreeMap::from([("alertname".to_owned(), "Down".to_owned())]);
        Alert::new(labels, "it is down", at(starts), ends.map(at)).unwrap()
    }

    fn fires(starts: u64) -> Word {
        Word::Fires(alert(starts, None))
    }

    fn ended(starts: u64) -> Word {
        let alert = alert(starts, None).id();
        Word::Ended { alert, starts_at: at(starts), at: at(starts + 60) }
    }

    fn told(words: &[(u64, Word)]) -> Alerts {
        let mut alerts = Alerts::default();
        for (when, word) in words {
            if alerts.is_news(word, at(*when)) {
                alerts.take(word, at(*when));
            }
            alerts.tidy(at(*when));
        }
        alerts
    }

    #[test]
    fn what_is_told_again_changes_nothing_until_an_hour_is_over() {
        let alerts = told(&[(100, fires(90))]);
        assert!(!alerts.is_news(&fires(90), at(101)));
        assert!(!alerts.is_news(&fires(90), at(100 + 3_599)));
        assert!(alerts.is_news(&fires(90), at(100 + 3_600)));
        let again = told(&[(100, fires(90)), (4_000, fires(90))]);
        assert!(
            !told(&[(100, ended(90)), (101, fires(90))]).firing.contains_key(&alert(9, None).id())
        );
        assert_eq!(again.firing(at(4_000)).next().unwrap().1.since, at(100));
    }

    #[test]
    fn an_alert_that_has_ended_is_not_revived_by_a_late_word() {
        let alerts =
            told(&[(100, fires(90)), (200, ended(90)), (201, fires(90)), (202, fires(80))]);
        assert_eq!(alerts.firing(at(202)).count(), 0);
        let anew = told(&[(100, fires(90)), (200, ended(90)), (300, fires(290))]);
        assert_eq!(anew.firing(at(300)).count(), 1);
    }

    #[test]
    fn who_says_only_how_it_is_opens_one_episode_and_ends_it_once() {
        let mut alerts = Alerts::default();
        let mut news = 0;
        let mut say = |when: u64, word: Word| {
            let dated = alerts.dated(word, at(when)).filter(|word| alerts.is_news(word, at(when)));
            news += dated.iter().count();
            if let Some(word) = dated {
                alerts.take(&word, at(when));
            }
            (news, alerts.firing(at(when)).count())
        };
        // What is well all the time is nothing.
        assert_eq!(say(10, ended(10)), (0, 0));
        assert_eq!(say(20, fires(20)), (1, 1));
        assert_eq!(say(80, fires(80)), (1, 1), "it goes on");
        // A peer whose clock is behind says that it is over, and then that it is back.
        assert_eq!(say(15, ended(15)), (2, 0));
        assert_eq!(say(16, ended(16)), (2, 0));
        assert_eq!(say(17, fires(17)), (3, 1));
        assert_eq!(say(90, ended(90)), (4, 0));
    }

    #[test]
    fn of_a_request_that_says_how_it_is_the_last_word_counts() {
        let (down, up) = (|| fires(20), || ended(20));
        for (before, words, fire) in [
            (vec![], vec![down(), up()], 0),
            (vec![], vec![down(), up(), down()], 1),
            (vec![down()], vec![up(), down()], 1),
            (vec![down()], vec![down(), up(), down(), up()], 0),
            (vec![down()], vec![down(), down()], 1),
        ] {
            let mut alerts = told(&before.into_iter().map(|word| (20, word)).collect::<Vec<_>>());
            let known = alerts.clone();
            let dated = alerts.all_dated(words.clone(), at(80));
            assert_eq!(alerts, known, "nothing is taken yet");
            let news: Vec<Word> =
                dated.into_iter().filter(|word| alerts.is_news(word, at(80))).collect();
            assert_eq!(alerts.take_all(&news, true, at(80)), Ok(()));
            assert_eq!(alerts.firing(at(80)).count(), fire, "{words:?}");
        }
    }

    #[test]
    fn an_old_end_does_not_end_what_began_later() {
        let alerts = told(&[(100, fires(90)), (300, fires(290)), (301, ended(90))]);
        assert_eq!(alerts.firing(at(301)).count(), 1);
        let over = told(&[(100, fires(90)), (300, fires(290)), (301, ended(290))]);
        assert_eq!(over.firing(at(301)).count(), 0);
    }

    #[test]
    fn what_its_sender_gives_a_time_is_over_by_then_and_is_told_anew_before() {
        let mut alerts = Alerts::default();
        alerts.take(&Word::Fires(alert(90, Some(340))), at(100));
        let next = |ends| Word::Fires(alert(90, Some(ends)));
        assert!(!alerts.is_news(&next(400), at(160)), "enough is left");
        assert!(alerts.is_news(&next(500), at(260)));
        assert_eq!(alerts.firing(at(339)).count(), 1);
        assert_eq!(alerts.firing(at(340)).count(), 0);
        assert!(alerts.is_news(&next(600), at(341)));
    }

    #[test]
    fn no_more_than_so_many_fire_at_the_same_time() {
        let numbered = |number: usize, ends: Option<u64>| {
            let labels = BTreeMap::from([("number".to_owned(), number.to_string())]);
            Word::Fires(Alert::new(labels, "", at(1), ends.map(at)).unwrap())
        };
        let mut alerts = Alerts::default();
        for number in 0..ALERTS_MAX {
            alerts.take(&numbered(number, Some(500)), at(100));
        }
        assert!(!alerts.has_room_for(&[numbered(ALERTS_MAX, None)], true, at(101)));
        assert!(alerts.has_room_for(&[numbered(7, None)], true, at(101)), "it fires already");
        alerts.tidy(at(501));
        assert!(alerts.has_room_for(&[numbered(ALERTS_MAX, None)], true, at(501)));
    }

    #[test]
    fn what_nobody_ends_is_over_some_day() {
        let alerts = told(&[(100, fires(90))]);
        assert_eq!(alerts.firing(at(100).plus(FIRES_FOR)).count(), 0);
    }
}
