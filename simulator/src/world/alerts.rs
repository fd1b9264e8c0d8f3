//! Another system that tells of alerts: one that sends again until it is answered, as they do.

use super::{World, host::EPOCH, queue::Event, raft::Client, tale::Mark, work::Execution};
use crate::scenario::Deed;
use protocol::{
    alert::{Alert, AlertId, Word},
    document::Probe,
    name::{Labels, Name, PeerId},
    record::{Entry, Record},
};
use std::{collections::BTreeSet, time::Duration};

/// How long until it sends again what nobody took.
const SENDS_AGAIN: Duration = Duration::from_secs(1);

/// How long it waits until it looks whether what it told was heard.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// How long it takes to see that what it told of is over.
const SEES_AFTER: Duration = Duration::from_secs(2);

/// Something that was told, until the log has it.
#[derive(Debug, Clone)]
pub(crate) struct Telling {
    id: AlertId,
    word: Word,
}

impl World<'_> {
    /// An alert about a host fires, or has ended.
    pub(super) fn alert(&mut self, peer: PeerId, labels: &Labels, fires: bool) {
        let mut labels = labels.clone();
        if self.hosts.contains_key(&peer) {
            labels.insert("instance".to_owned(), format!("{}:9100", self.name(peer)));
        } else {
            // Nothing on a guest is scraped: whoever watches it says which host it is.
            labels.insert("host".to_owned(), self.name(peer));
        }
        let now = EPOCH.plus(self.time);
        let Ok(mut alert) = Alert::new(labels.clone(), "a story says so", now, None) else {
            return;
        };
        let id = alert.id();
        // What is told again began when it began.
        alert.starts_at = self.firing.get(&id).map_or(now, |(_, _, since)| *since);
        let word = if fires {
            self.firing.entry(id).or_insert((peer, labels, now));
            Word::Fires(alert)
        } else {
            let Some((_, _, starts_at)) = self.firing.get(&id) else { return };
            Word::Ended { alert: id, starts_at: Some(*starts_at), at: now }
        };
        let Some(leader) = self.raft.leader.filter(|leader| self.has_majority(*leader)) else {
            let Some(who) = self.whom(peer) else { return };
            let mut labels = self.firing.get(&id).map_or_else(Labels::new, |known| known.1.clone());
            labels.remove("instance");
            let again = Deed::Alert(who, labels, fires);
            return self.after(SENDS_AGAIN, Event::Deed(Box::new(again)));
        };
        if !fires {
            self.firing.remove(&id);
        }
        self.tell_leader(leader, Telling { id, word });
        let what = if fires { "another system tells of an alert" } else { "an alert has ended" };
        self.tell(peer, Mark::Other, what);
    }

    fn tell_leader(&mut self, leader: PeerId, telling: Telling) {
        let at = self.hosts[&leader].log_now(self.time);
        let record = Record::Alerted { words: vec![telling.word.clone()] };
        let entry = Entry { at, by: leader, term: self.raft.term, record };
        self.propose(leader, entry, Client::Operator);
        self.after(HEARD_WITHIN, Event::AlertTold(Box::new(telling)));
    }

    /// What a leader took may be lost with it: then it is told again.
    pub(super) fn alert_told(&mut self, telling: Telling) {
        let fires = matches!(telling.word, Word::Fires(_));
        let known = self.raft.truth.alerts().fires(telling.id, EPOCH.plus(self.time));
        let is_so_still = self.firing.contains_key(&telling.id) == fires;
        if !is_so_still || known == fires {
            return;
        }
        match self.raft.leader.filter(|leader| self.has_majority(*leader)) {
            Some(leader) => self.tell_leader(leader, telling),
            None => self.after(SENDS_AGAIN, Event::AlertTold(Box::new(telling))),
        }
    }

    /// What is wrong on which hosts: services that do not work, and what another system tells of.
    pub(crate) fn failing_by_the_story(&self) -> BTreeSet<(PeerId, Name)> {
        let mut ailing: BTreeSet<(PeerId, Name)> = self.broken.keys().cloned().collect();
        let now = EPOCH.plus(self.time);
        for (_, labels, _) in self.firing.values() {
            let Ok(alert) = Alert::new(labels.clone(), "", now, None) else { continue };
            for check in self.raft.truth.library().checks() {
                let Probe::Alert(probe) = &check.probe else { continue };
                let hosts = self.raft.truth.roster().hosts();
                let about = hosts.filter(|(_, member)| {
                    check.selector.fits(&member.card.labels) && probe.fits(&alert, member)
                });
                ailing.extend(about.map(|(peer, _)| (peer, check.name.clone())));
            }
        }
        ailing
    }

    /// Whether an execution mended what an alert tells of; then its system sees so after a while.
    pub(super) fn alert_is_mended(&mut self, execution: &Execution) -> bool {
        let check = execution.check.as_ref().and_then(|c| self.raft.truth.library().check(c));
        let Some(Probe::Alert(probe)) = check.map(|check| check.probe.clone()) else {
            return false;
        };
        let Some(member) = self.raft.truth.roster().member(execution.target).cloned() else {
            return false;
        };
        let now = EPOCH.plus(self.time);
        let fits = |labels: &Labels| {
            Alert::new(labels.clone(), "", now, None).is_ok_and(|alert| probe.fits(&alert, &member))
        };
        let ended: Vec<(PeerId, Labels)> = self
            .firing
            .values()
            .filter(|(_, labels, _)| fits(labels))
            .map(|(peer, labels, _)| (*peer, labels.clone()))
            .collect();
        for (peer, mut labels) in ended {
            labels.remove("instance");
            if let Some(who) = self.whom(peer) {
                let deed = Deed::Alert(who, labels, false);
                self.after(SEES_AFTER, Event::Deed(Box::new(deed)));
            }
        }
        true
    }
}
