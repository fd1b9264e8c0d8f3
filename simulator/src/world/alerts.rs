//! Another system that tells of alerts: one that sends again until it is answered, as they do.

use super::{World, host::EPOCH, queue::Event, raft::Client, tale::Mark, work::Execution};
use crate::scenario::{Deed, Who};
use protocol::{
    alert::{Alert, Word},
    document::Probe,
    name::{Labels, Name, PeerId},
    record::{Entry, Record},
};
use std::{collections::BTreeSet, time::Duration};

/// How long until it sends again what nobody took.
const SENDS_AGAIN: Duration = Duration::from_secs(1);

/// How long it takes to see that what it told of is over.
const SEES_AFTER: Duration = Duration::from_secs(2);

impl World<'_> {
    /// An alert about a peer fires, or has ended.
    pub(super) fn alert(&mut self, peer: PeerId, labels: &Labels, fires: bool) {
        let mut labels = labels.clone();
        labels.insert("instance".to_owned(), format!("{}:9100", self.name(peer)));
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
            Word::Ended { alert: id, starts_at: *starts_at, at: now }
        };
        let Some(leader) = self.raft.leader.filter(|leader| self.has_majority(*leader)) else {
            let Some(place) = self.place(peer) else { return };
            let mut labels = self.firing.get(&id).map_or_else(Labels::new, |known| known.1.clone());
            labels.remove("instance");
            let again = Deed::Alert(Who::Peer(place), labels, fires);
            return self.after(SENDS_AGAIN, Event::Deed(Box::new(again)));
        };
        if !fires {
            self.firing.remove(&id);
        }
        let at = self.hosts[&leader].log_now(self.time);
        let record = Record::Alerted { words: vec![word] };
        let entry = Entry { at, by: leader, term: self.raft.term, record };
        self.propose(leader, entry, Client::Operator);
        let what = if fires { "another system tells of an alert" } else { "an alert has ended" };
        self.tell(peer, Mark::Other, what);
    }

    /// What is wrong on which peers: services that do not work, and what another system tells of.
    pub(crate) fn failing_by_the_story(&self) -> BTreeSet<(PeerId, Name)> {
        let mut ailing: BTreeSet<(PeerId, Name)> = self.broken.keys().cloned().collect();
        let now = EPOCH.plus(self.time);
        for (_, labels, _) in self.firing.values() {
            let Ok(alert) = Alert::new(labels.clone(), "", now, None) else { continue };
            for check in self.raft.truth.library().checks() {
                let Probe::Alert(probe) = &check.probe else { continue };
                let members = self.raft.truth.roster().members();
                let about = members.filter(|(_, member)| {
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
            if let Some(place) = self.place(peer) {
                let deed = Deed::Alert(Who::Peer(place), labels, false);
                self.after(SEES_AFTER, Event::Deed(Box::new(deed)));
            }
        }
        true
    }
}
