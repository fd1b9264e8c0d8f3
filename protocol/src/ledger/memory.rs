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
            // What was tried longest ago goes: a rule that forgets acts, one that grows does not.
            let oldest = self.tried.iter().min_by_key(|(_, all)| all.back().map(|last| last.at));
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.tried.remove(&oldest);
            }
        }
        let all = self.tried.entry(key).or_default();
        all.push_back(tried);
        while all.front().is_some_and(|old| tried.at.since(old.at) >= within)
            || all.len() > KEPT_MAX
        {
            all.pop_front();
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
