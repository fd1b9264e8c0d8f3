//! What the invariants see of the modelled world.

use super::World;
use crate::invariants::{AttemptKey, CallingJob, Flow, Logged, Observed, Operation};
use protocol::{
    document::{Verdict, bundle::Source},
    ledger::Ledger,
    name::{IncidentId, Name, PeerId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

impl fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World(\"{}\" at {:?})", self.story.name, self.time)
    }
}

impl Observed for World<'_> {
    fn time(&self) -> Duration {
        self.time
    }

    fn name(&self, peer: PeerId) -> String {
        World::name(self, peer)
    }

    fn peers(&self) -> &[PeerId] {
        &self.order
    }

    fn place(&self, peer: PeerId) -> Option<usize> {
        World::place(self, peer)
    }

    fn runs(&self, peer: PeerId) -> bool {
        self.hosts.get(&peer).is_some_and(|host| host.process.is_some())
    }

    fn is_stopped(&self, peer: PeerId) -> bool {
        self.hosts.get(&peer).is_some_and(|host| host.stopped)
    }

    fn replica(&self, peer: PeerId) -> Option<&Ledger> {
        self.hosts.get(&peer)?.process.as_ref().map(|process| process.agent.ledger())
    }

    fn fingerprint(&self, peer: PeerId) -> Option<[u8; 32]> {
        let process = self.hosts[&peer].process.as_ref()?;
        Some(self.shelf.fingerprint(process.agent.shared_ledger()))
    }

    fn is_led(&self) -> bool {
        let leader = self.raft.leader.and_then(|leader| self.hosts[&leader].process.as_ref());
        leader.is_some_and(|process| process.agent.standing().leads)
    }

    fn is_in_a_minority(&self, peer: PeerId) -> bool {
        let Some(parts) = &self.network.parts else { return false };
        let near = |voter: &&PeerId| parts.get(voter) == parts.get(&peer) || **voter == peer;
        self.raft.voters.keys().filter(near).count() * 2 <= self.raft.voters.len()
    }

    fn may_be_divided(&self) -> bool {
        self.network.parts.is_some()
    }

    fn log(&self) -> &[Logged] {
        &self.raft.log
    }

    fn truth(&self) -> &Ledger {
        &self.raft.truth
    }

    fn elections(&self) -> u32 {
        self.raft.elections
    }

    fn able_to_attest(&self, incident: IncidentId) -> usize {
        self.raft.able.get(&incident).copied().unwrap_or(0)
    }

    fn executions(&self) -> Box<dyn Iterator<Item = (AttemptKey, PeerId)> + '_> {
        Box::new(self.executions.iter().map(|(key, execution)| (*key, execution.target)))
    }

    fn received(&self) -> &BTreeMap<AttemptKey, u32> {
        &self.received
    }

    fn broken(&self) -> &BTreeMap<(PeerId, Name), Verdict> {
        &self.broken
    }

    fn ailing(&self) -> BTreeSet<(PeerId, Name)> {
        self.failing_by_the_story()
    }

    fn jobs(&self) -> Vec<(String, CallingJob)> {
        self.jobs.iter().map(|(name, job)| (name.clone(), *job)).collect()
    }

    fn job(&self, name: &str) -> Option<CallingJob> {
        self.jobs.get(name).copied()
    }

    fn flows(&self) -> &[Flow] {
        &self.flows
    }

    fn operations(&self) -> &[Operation] {
        self.surgeons.handed_over()
    }

    fn clocks_jumped(&self) -> bool {
        self.clocks_jumped
    }

    fn documents(&self) -> &[Source] {
        &self.story.documents
    }
}
