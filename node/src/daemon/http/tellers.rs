//! Whose alerts fire.
//!
//! The mesh has room for so many, and the log says which fire and not who told of them. So each peer
//! remembers who told it, and takes no new ones of a sender of whom more fire than three times what
//! is free yet. One that makes up an alert with each request has three quarters of the room in the end;
//! at however many peers it does so, some is left.

use super::{sender::Sender, shares::NoRoom};
use protocol::{
    alert::{AlertId, Word},
    ledger::alerts::ALERTS_MAX,
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// As many times what is free a sender's alerts may be.
const TIMES: usize = 3;

/// How often it is looked which of them fire no more, where that matters.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// What the log has of alerts.
pub(super) struct InLog<'a> {
    /// How many it keeps.
    pub(super) kept: usize,
    /// Whether one fires.
    pub(super) fires: &'a dyn Fn(AlertId) -> bool,
}

/// Who told of which.
#[derive(Debug, Default)]
pub(super) struct Tellers {
    of: BTreeMap<AlertId, Sender>,
    counts: BTreeMap<Sender, usize>,
    tidied_at: Timestamp,
}

impl Tellers {
    /// Remembers what a sender tells of, if that leaves room for others.
    ///
    /// # Errors
    /// [`NoRoom::Share`].
    pub(super) fn take(
        &mut self,
        sender: &Sender,
        words: &[Word],
        log: &InLog<'_>,
        at: Timestamp,
    ) -> Result<(), NoRoom> {
        let mut new = BTreeSet::new();
        for word in words {
            match word {
                Word::Fires(alert) => {
                    let id = alert.id();
                    if !(log.fires)(id) {
                        new.insert(id);
                    }
                }
                Word::Ended { alert, .. } => {
                    new.remove(alert);
                    self.forget(*alert);
                }
            }
        }
        // Where nothing is new nothing needs room.
        if new.is_empty() {
            return Ok(());
        }
        if !self.leaves_room(sender, new.len(), log) && self.tidied_at.plus(TIDY_EVERY) <= at {
            self.tidy(log, at);
        }
        if !self.leaves_room(sender, new.len(), log) {
            let has = self.has(sender);
            return Err(NoRoom::Share { sender: sender.clone(), has, whole: ALERTS_MAX });
        }
        for id in new {
            self.forget(id);
            self.of.insert(id, sender.clone());
            *self.counts.entry(sender.clone()).or_default() += 1;
        }
        // What was told of and did not come into the log is not kept for ever.
        if self.of.len() > 2 * ALERTS_MAX {
            self.tidy(log, at);
        }
        Ok(())
    }

    fn has(&self, sender: &Sender) -> usize {
        self.counts.get(sender).copied().unwrap_or_default()
    }

    fn leaves_room(&self, sender: &Sender, new: usize, log: &InLog<'_>) -> bool {
        let free = ALERTS_MAX.saturating_sub(log.kept + new);
        // Who has none of his own may have one: the last that is free is of use to nobody otherwise.
        self.has(sender) + new <= (TIMES * free).max(1)
    }

    fn forget(&mut self, id: AlertId) {
        let Some(sender) = self.of.remove(&id) else { return };
        if let Some(count) = self.counts.get_mut(&sender) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&sender);
            }
        }
    }

    /// Forgets those that fire no more.
    fn tidy(&mut self, log: &InLog<'_>, at: Timestamp) {
        self.tidied_at = at;
        self.of.retain(|id, _| (log.fires)(*id));
        self.counts.clear();
        for sender in self.of.values() {
            *self.counts.entry(sender.clone()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::alert::Alert;

    fn sender(number: u8) -> Sender {
        Sender::at([10, 0, 0, number].into())
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1_000)
    }

    fn alert(number: usize) -> Alert {
        let labels = BTreeMap::from([("number".to_owned(), number.to_string())]);
        Alert::new(labels, "", at(0), None).unwrap()
    }

    /// A log that takes what is told, and those who tell several peers of it.
    #[derive(Default)]
    struct Mesh {
        firing: BTreeSet<AlertId>,
        peers: BTreeMap<u8, Tellers>,
    }

    impl Mesh {
        fn tell(
            &mut self,
            peer: u8,
            who: u8,
            words: &[Word],
            now: Timestamp,
        ) -> Result<(), NoRoom> {
            let fires = |id: AlertId| self.firing.contains(&id);
            let log = InLog { kept: self.firing.len(), fires: &fires };
            self.peers.entry(peer).or_default().take(&sender(who), words, &log, now)?;
            for word in words {
                match word {
                    Word::Fires(alert) => drop(self.firing.insert(alert.id())),
                    Word::Ended { alert, .. } => drop(self.firing.remove(alert)),
                }
            }
            Ok(())
        }

        /// How many of these alerts it takes of somebody, ten at a time.
        fn floods(&mut self, peer: u8, who: u8, numbers: std::ops::Range<usize>) -> usize {
            let before = self.firing.len();
            let words: Vec<Word> = numbers.map(|number| Word::Fires(alert(number))).collect();
            for ten in words.chunks(10) {
                drop(self.tell(peer, who, ten, at(1)));
            }
            self.firing.len() - before
        }
    }

    fn ended(number: usize) -> Word {
        Word::Ended { alert: alert(number).id(), starts_at: Some(at(0)), at: at(1) }
    }

    #[test]
    fn one_who_makes_up_alerts_leaves_room_for_those_of_others() {
        let mut mesh = Mesh::default();
        assert_eq!(mesh.floods(1, 1, 0..20_000), 7_500);
        let why = mesh.tell(1, 1, &[Word::Fires(alert(20_000))], at(1)).unwrap_err();
        assert_eq!(why.to_string(), "10.0.0.1 has 7500 of 10000 already, which is its share");
        // What fires already is told again, and the others have room, whatever he does at another peer.
        assert_eq!(mesh.tell(1, 1, &[Word::Fires(alert(7))], at(1)), Ok(()));
        assert_eq!(mesh.floods(1, 2, 30_000..30_100), 100);
        assert!(mesh.floods(2, 1, 40_000..60_000) < 2_000);
        assert_eq!(mesh.floods(3, 3, 70_000..70_100), 100);
    }

    #[test]
    fn what_is_over_makes_room_for_new_ones_of_the_same_sender() {
        let mut mesh = Mesh::default();
        assert_eq!(mesh.floods(1, 1, 0..20_000), 7_500);
        mesh.tell(1, 1, &[ended(3), ended(4)], at(1)).unwrap();
        let new = [Word::Fires(alert(20_001)), Word::Fires(alert(20_002))];
        assert_eq!(mesh.tell(1, 1, &new, at(1)), Ok(()));
        // Of those that ended by themselves, or by another's word, it is heard a moment later.
        let gone: Vec<AlertId> = mesh.firing.iter().copied().take(2).collect();
        for id in gone {
            mesh.firing.remove(&id);
        }
        let new = [Word::Fires(alert(30_001)), Word::Fires(alert(30_002))];
        assert!(mesh.tell(1, 1, &new, Timestamp::from_millis(0)).is_err());
        assert_eq!(mesh.tell(1, 1, &new, at(10)), Ok(()));
        assert_eq!(mesh.peers[&1].counts[&sender(1)], 7_500);
    }

    #[test]
    fn who_has_none_may_have_the_last_one() {
        let firing = (0..ALERTS_MAX - 1).map(|number| alert(number).id()).collect();
        let mut mesh = Mesh { firing, ..Mesh::default() };
        assert_eq!(mesh.tell(1, 1, &[Word::Fires(alert(ALERTS_MAX))], at(1)), Ok(()));
    }
}
