//! What sees everything: every step of every agent, checked by the simulator's own invariants.

use node::daemon::Onlooker;
use protocol::{
    agent::{Agent, Input, Output, Standing},
    document::{Verdict, bundle::Source},
    ledger::Ledger,
    name::{IncidentId, Name, PeerId, RaftId},
    record::{Entry, Position},
};
use sha2::{Digest, Sha256};
use simulator::invariants::{
    self, AttemptKey, Broken, CallingJob, Invariant, Logged, Observed, Step, able_to_attest,
    fingerprint,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Locks; what a panic elsewhere has left is as good as before.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that is seen of a mesh, and what its services are like.
pub struct Eye {
    names: BTreeMap<PeerId, String>,
    order: Vec<PeerId>,
    documents: Vec<Source>,
    /// The services that do not work.
    pub broken: BTreeMap<(PeerId, Name), Verdict>,
    /// What is being executed, and for whom.
    pub executions: BTreeMap<AttemptKey, PeerId>,
    /// How often each notice reached its channel.
    pub received: BTreeMap<AttemptKey, u32>,
    /// Whether the channel to people works.
    pub channel_up: bool,
    /// Hosts that a rung has switched on.
    pub switched_on: BTreeSet<PeerId>,
    /// Whose daemon runs.
    pub running: BTreeSet<PeerId>,
    /// Who is on which side, where the network has fallen apart.
    pub parts: Option<BTreeMap<PeerId, usize>>,
    /// Whether a wall clock has jumped.
    pub clocks_jumped: bool,
    /// How many steps were seen.
    pub steps: u64,
    log: Vec<Logged>,
    truth: Ledger,
    /// What came before what precedes it.
    ahead: BTreeMap<u64, (Position, Option<Entry>)>,
    replicas: BTreeMap<PeerId, Ledger>,
    standings: BTreeMap<PeerId, Standing>,
    voters: BTreeMap<PeerId, RaftId>,
    terms: BTreeSet<u64>,
    able: BTreeMap<IncidentId, usize>,
    invariants: Vec<Box<dyn Invariant>>,
    /// The first thing that did not hold.
    pub violation: Option<Broken>,
    digest: Sha256,
    /// The history, if it is to be kept.
    pub history: Option<Vec<String>>,
}

impl fmt::Debug for Eye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Eye({} steps)", self.steps)
    }
}

impl Eye {
    /// Sees a mesh of these peers with these documents.
    pub fn new(names: Vec<(PeerId, String)>, documents: Vec<Source>, keep: bool) -> Self {
        Self {
            order: names.iter().map(|(peer, _)| *peer).collect(),
            names: names.into_iter().collect(),
            documents,
            broken: BTreeMap::new(),
            executions: BTreeMap::new(),
            received: BTreeMap::new(),
            channel_up: true,
            switched_on: BTreeSet::new(),
            running: BTreeSet::new(),
            parts: None,
            clocks_jumped: false,
            steps: 0,
            log: Vec::new(),
            truth: Ledger::default(),
            ahead: BTreeMap::new(),
            replicas: BTreeMap::new(),
            standings: BTreeMap::new(),
            voters: BTreeMap::new(),
            terms: BTreeSet::new(),
            able: BTreeMap::new(),
            invariants: invariants::all(),
            violation: None,
            digest: Sha256::new(),
            history: keep.then(Vec::new),
        }
    }

    /// Who is called so.
    pub fn peer_called(&self, name: &str) -> Option<PeerId> {
        self.names.iter().find(|(_, called)| *called == name).map(|(peer, _)| *peer)
    }

    /// The peers, in order.
    pub fn peers_in_order(&self) -> Vec<PeerId> {
        self.order.clone()
    }

    /// The members of the Raft group as far as they are known.
    pub fn voters(&self) -> usize {
        self.voters.len()
    }

    /// A daemon has died, or was begun.
    pub fn lives(&mut self, peer: PeerId, lives: bool) {
        self.note(&format!("{} {}", self.names[&peer], if lives { "begins" } else { "dies" }));
        if lives {
            self.running.insert(peer);
        } else {
            self.running.remove(&peer);
            self.replicas.remove(&peer);
            self.standings.remove(&peer);
        }
    }

    /// Writes something into the history.
    pub fn note(&mut self, what: &str) {
        let line = format!("{:?} {what}", self.time());
        self.digest.update(line.as_bytes());
        self.digest.update(b"\n");
        if let Some(history) = &mut self.history {
            history.push(line);
        }
    }

    /// What the whole history comes down to.
    pub fn digest(&self) -> String {
        let bytes = self.digest.clone().finalize();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Looks at the mesh when everything should have come to its end.
    pub fn at_end(&mut self) {
        let mut invariants = std::mem::take(&mut self.invariants);
        for invariant in &mut invariants {
            if self.violation.is_none()
                && let Err(what) = invariant.at_end(self)
            {
                self.violation = Some(Broken { invariant: invariant.name(), what });
            }
        }
        self.invariants = invariants;
    }

    fn saw(&mut self, peer: PeerId, agent: &Agent, input: &Input, outputs: &[Output]) {
        self.steps += 1;
        self.note(&format!("{}: {input:?} -> {outputs:?}", self.names[&peer]));
        let mut applied = false;
        match input {
            Input::Committed { position, entry } => {
                applied = true;
                self.committed_at(*position, entry.as_ref());
            }
            Input::Restored(_) => applied = true,
            Input::Standing(standing) => self.stands(peer, standing),
            Input::Tick
            | Input::CheckRan { .. }
            | Input::Heard(_)
            | Input::Liveness { .. }
            | Input::Watched { .. }
            | Input::Suspected { .. }
            | Input::Late { .. }
            | Input::Probed { .. }
            | Input::Testified { .. }
            | Input::Proposed { .. }
            | Input::Forwarded { .. }
            | Input::StartRecorded { .. }
            | Input::Finished { .. }
            | Input::EvidenceTaken { .. }
            | Input::NoticeSent { .. }
            | Input::MembersChanged(_)
            | Input::CheckedIn(_)
            | Input::Facts(_)
            | Input::Configured { .. }
            | Input::Stopping { .. } => {}
        }
        if applied {
            self.replicas.insert(peer, agent.ledger().clone());
        }
        let step = Step { peer, outputs, applied };
        let mut invariants = std::mem::take(&mut self.invariants);
        for invariant in &mut invariants {
            if self.violation.is_none()
                && let Err(what) = invariant.after(self, &step)
            {
                self.note(&format!("BROKEN {}: {what}", invariant.name()));
                self.violation = Some(Broken { invariant: invariant.name(), what });
            }
        }
        self.invariants = invariants;
    }

    fn stands(&mut self, peer: PeerId, standing: &Standing) {
        if standing.leader.is_some() {
            self.terms.insert(standing.term);
        }
        if standing.leads {
            self.voters.clone_from(&standing.voters);
        }
        self.standings.insert(peer, standing.clone());
    }

    /// Somebody has applied an entry: the first time that is what is committed, any other time it
    /// has to be the same.
    fn committed_at(&mut self, position: Position, entry: Option<&Entry>) {
        if let Some(known) = self.logged(position.index) {
            if (known.position, known.entry.as_ref()) != (position, entry) {
                let what = format!("two different entries are committed at {}", position.index);
                let invariant = "what is committed is the same everywhere";
                self.violation.get_or_insert(Broken { invariant, what });
            }
            return;
        }
        self.ahead.insert(position.index, (position, entry.cloned()));
        while let Some((position, entry)) = self.ahead.remove(&(self.committed() + 1)) {
            match &entry {
                Some(entry) => {
                    if let Some(able) = able_to_attest(&self.truth, entry) {
                        self.able.insert(IncidentId(position.index), able);
                    }
                    // What it is refused for is the ledger's, the same everywhere.
                    drop(self.truth.apply(position, entry));
                }
                None => self.truth.skip(position),
            }
            let ledger = Some(fingerprint(&self.truth));
            self.log.push(Logged { position, entry, ledger });
        }
    }
}

impl Observed for Eye {
    fn time(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_default()
    }

    fn name(&self, peer: PeerId) -> String {
        self.names[&peer].clone()
    }

    fn peers(&self) -> &[PeerId] {
        &self.order
    }

    fn place(&self, peer: PeerId) -> Option<usize> {
        self.order.iter().position(|other| *other == peer)
    }

    fn runs(&self, peer: PeerId) -> bool {
        self.running.contains(&peer)
    }

    fn is_stopped(&self, _peer: PeerId) -> bool {
        false
    }

    fn replica(&self, peer: PeerId) -> Option<&Ledger> {
        // A store may hold what no agent was told of yet.
        self.replicas.get(&peer).filter(|ledger| ledger.position().index <= self.committed())
    }

    fn is_led(&self) -> bool {
        self.standings.values().any(|standing| standing.leads)
    }

    fn is_in_a_minority(&self, peer: PeerId) -> bool {
        let Some(parts) = &self.parts else { return false };
        let near = |voter: &&PeerId| parts.get(voter) == parts.get(&peer);
        self.voters.keys().filter(near).count() * 2 <= self.voters.len()
    }

    fn log(&self) -> &[Logged] {
        &self.log
    }

    fn truth(&self) -> &Ledger {
        &self.truth
    }

    fn elections(&self) -> u32 {
        u32::try_from(self.terms.len()).unwrap_or(u32::MAX)
    }

    fn able_to_attest(&self, incident: IncidentId) -> usize {
        self.able.get(&incident).copied().unwrap_or(0)
    }

    fn executions(&self) -> Box<dyn Iterator<Item = (AttemptKey, PeerId)> + '_> {
        Box::new(self.executions.iter().map(|(key, target)| (*key, *target)))
    }

    fn received(&self) -> &BTreeMap<AttemptKey, u32> {
        &self.received
    }

    fn broken(&self) -> &BTreeMap<(PeerId, Name), Verdict> {
        &self.broken
    }

    fn ailing(&self) -> BTreeSet<(PeerId, Name)> {
        self.broken.keys().cloned().collect()
    }

    fn jobs(&self) -> Vec<(String, CallingJob)> {
        Vec::new()
    }

    fn job(&self, _name: &str) -> Option<CallingJob> {
        None
    }

    fn clocks_jumped(&self) -> bool {
        self.clocks_jumped
    }

    fn documents(&self) -> &[Source] {
        &self.documents
    }
}

/// One peer's window to the eye.
pub struct Window {
    /// Whose.
    pub peer: PeerId,
    /// What sees.
    pub eye: Arc<Mutex<Eye>>,
}

impl Onlooker for Window {
    fn stepped(&self, agent: &Agent, input: &Input, outputs: &[Output]) {
        lock(&self.eye).saw(self.peer, agent, input, outputs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_entries_at_one_place_are_seen_in_whatever_order_they_come() {
        let mut eye = Eye::new(Vec::new(), Vec::new(), false);
        let at = |index, term| Position { index, term };
        eye.committed_at(at(2, 1), None);
        assert_eq!(eye.committed(), 0, "what comes before it is not known yet");
        eye.committed_at(at(1, 1), None);
        assert_eq!(eye.committed(), 2);
        eye.committed_at(at(2, 1), None);
        assert!(eye.violation.is_none());
        eye.committed_at(at(2, 2), None);
        assert!(eye.violation.is_some(), "another leader's entry stands there");
    }
}
