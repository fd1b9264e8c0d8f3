//! What was done lately: for the limits that look back.
//!
//! Everything here is bounded and forgotten after a while; it says nothing that the incidents do
//! not say, only quicker.

use crate::{
    name::{IncidentId, Name, PeerId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// How long it is remembered that a repair was begun.
pub const HOUR: Duration = Duration::from_secs(3_600);

/// The most beginnings, failures of one runbook, or executions of one rung that are remembered.
const KEPT_MAX: usize = 10_000;

/// How many of them are forgotten at a stroke when there are too many.
const FORGOTTEN: usize = KEPT_MAX / 10;

/// A repair that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// When.
    pub at: Timestamp,
    /// By which runbook.
    pub runbook: Name,
    /// On which peer.
    pub peer: PeerId,
}

/// An execution of a rung on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// When it ended.
    pub at: Timestamp,
    /// In which incident.
    pub incident: IncidentId,
    /// Whether the condition was gone after it.
    pub helped: bool,
}

/// Which rung of which runbook, on which peer.
type RungOnPeer = (Name, String, PeerId);

/// What was done lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    begun: VecDeque<Begun>,
    failures: BTreeMap<Name, VecDeque<Timestamp>>,
    tried: BTreeMap<RungOnPeer, VecDeque<Tried>>,
}

impl Memory {
    /// Remembers that a repair was begun.
    pub(super) fn begin(&mut self, at: Timestamp, runbook: &Name, peer: PeerId) {
        self.begun.push_back(Begun { at, runbook: runbook.clone(), peer });
        while self.begun.front().is_some_and(|begun| at.since(begun.at) >= HOUR)
            || self.begun.len() > KEPT_MAX
        {
            self.begun.pop_front();
        }
    }

    /// The repairs that were begun within the hour before `at`, oldest first.
    pub fn begun(&self, at: Timestamp) -> impl Iterator<Item = &Begun> {
        self.begun.iter().filter(move |begun| at.since(begun.at) < HOUR)
    }

    /// Remembers that an attempt came to nothing.
    pub(super) fn fail(&mut self, at: Timestamp, runbook: &Name, within: Duration) {
        let failures = self.failures.entry(runbook.clone()).or_default();
        failures.push_back(at);
        while failures.front().is_some_and(|old| at.since(*old) >= within)
            || failures.len() > KEPT_MAX
        {
            failures.pop_front();
        }
    }

    /// The attempts of a runbook that came to nothing within `within` before `at`, oldest first.
    pub fn failures(
        &self,
        at: Timestamp,
        runbook: &Name,
        within: Duration,
    ) -> impl Iterator<Item = Timestamp> {
        let failures = self.failures.get(runbook).into_iter().flatten().copied();
        failures.filter(move |failed| at.since(*failed) < within)
    }

    /// Remembers that a rung acted on a peer.
    pub(super) fn tried(&mut self, key: RungOnPeer, tried: Tried, within: Duration) {
        if self.tried.len() >= KEPT_MAX && !self.tried.contains_key(&key) {
            self.forget_the_oldest();
        }
        let all = self.tried.entry(key).or_default();
        all.push_back(tried);
        while all.front().is_some_and(|old| tried.at.since(old.at) >= within)
            || all.len() > KEPT_MAX
        {
            all.pop_front();
        }
    }

    /// What was tried longest ago goes: a rule that forgets acts, one that grows does not. Many at
    /// a stroke, so that not every record has to look for the one that is oldest.
    fn forget_the_oldest(&mut self) {
        let last = |all: &VecDeque<Tried>| all.back().map(|last| last.at);
        let mut by_age: Vec<_> = self.tried.iter().map(|(key, all)| (last(all), key)).collect();
        by_age.sort_unstable();
        let gone: Vec<RungOnPeer> =
            by_age.into_iter().take(FORGOTTEN).map(|(_, key)| key.clone()).collect();
        for key in gone {
            self.tried.remove(&key);
        }
    }

    /// What a rung did on a peer seems to have helped.
    pub(super) fn helped(&mut self, key: &RungOnPeer, incident: IncidentId) {
        let last = self.tried.get_mut(key).and_then(|all| all.back_mut());
        if let Some(last) = last.filter(|last| last.incident == incident) {
            last.helped = true;
        }
    }

    /// What a rung did on a peer within `within` before `at`, in other incidents than this one;
    /// oldest first.
    pub fn on_peer(
        &self,
        at: Timestamp,
        key: &RungOnPeer,
        within: Duration,
        but: IncidentId,
    ) -> impl Iterator<Item = &Tried> {
        let all = self.tried.get(key).into_iter().flatten();
        all.filter(move |tried| at.since(tried.at) < within && tried.incident != but)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_rungs_those_that_were_tried_longest_ago_are_forgotten() {
        let mut memory = Memory::default();
        let key = |n: usize| {
            let name = Name::parse(&format!("r{n}")).unwrap();
            (name, "restart".to_owned(), PeerId::from_random(1))
        };
        let hour = Duration::from_secs(3_600);
        let try_it = |memory: &mut Memory, n: usize, at: usize| {
            let at = Timestamp::from_millis(u64::try_from(at).unwrap());
            memory.tried(key(n), Tried { at, incident: IncidentId(1), helped: false }, hour);
        };
        for n in 0..KEPT_MAX - 1 {
            try_it(&mut memory, n, n);
        }
        // The first was tried again.
        try_it(&mut memory, 0, KEPT_MAX);
        try_it(&mut memory, KEPT_MAX - 1, KEPT_MAX);
        assert_eq!(memory.tried.len(), KEPT_MAX, "no more than there may be");
        try_it(&mut memory, KEPT_MAX, KEPT_MAX + 1);
        assert_eq!(memory.tried.len(), KEPT_MAX - FORGOTTEN + 1);
        let knows = |n: usize| memory.tried.contains_key(&key(n));
        assert!(knows(0) && knows(KEPT_MAX) && knows(FORGOTTEN + 1));
        assert!((1..=FORGOTTEN).all(|n| !knows(n)));
    }
}
