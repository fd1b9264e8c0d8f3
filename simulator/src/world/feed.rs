//! How committed entries come to the replicas: one after the other, late, from any voter that has
//! them; as a whole ledger when a replica is far behind.

use super::{
    World, describe,
    queue::{Daemon, Event},
};
use crate::sights::Sight;
use protocol::{agent::Input, ledger::Ledger, name::PeerId};
use std::{sync::Arc, time::Duration};

/// From so many missing entries on, a voter may send its ledger instead.
const FAR_BEHIND: u64 = 24;

impl World<'_> {
    /// A replica is told that there is more, unless it is fetching already.
    pub(super) fn offer(&mut self, peer: PeerId) {
        let committed = self.raft.committed();
        let Some(host) = self.hosts.get_mut(&peer) else { return };
        let daemon = host.daemon();
        let Some(process) = host.process.as_mut().filter(|_| !host.paused) else { return };
        if process.feeding || process.agent.ledger().position().index >= committed {
            return;
        }
        process.feeding = true;
        let slow = self.random.percent(5);
        let mut delay = self.network.reliable_delay(&mut self.random);
        if slow {
            delay += self.random.millis(50, 800);
        }
        self.after(delay, Event::Feed(daemon));
    }

    /// The next entry comes in, if anybody in reach has it.
    pub(super) fn feed(&mut self, daemon: Daemon) {
        if !self.is_up(daemon) {
            return;
        }
        let Some(host) = self.hosts.get_mut(&daemon.peer) else { return };
        let paused = host.paused;
        let Some(process) = &mut host.process else { return };
        process.feeding = false;
        let applied = process.agent.ledger().position().index;
        let available = self.available_to(daemon.peer);
        if paused || available <= applied {
            return;
        }
        match self.ledger_from_afar(daemon.peer, applied) {
            Some(ledger) => {
                let led = self.raft.leader.is_some_and(|leader| self.has_majority(leader));
                self.saw_if(Sight::SnapshotInAnElection, !led);
                let said = describe::restored(&ledger);
                self.step(daemon, &said, |agent, now| agent.restore_shared(now, ledger));
            }
            None => {
                let Some(logged) = self.raft.logged(applied + 1) else { return };
                let large = self.raft.is_large;
                let stands_on = self.hosts[&daemon.peer].process.as_ref().filter(|_| large);
                let stands_on = stands_on.map(|process| process.agent.shared_ledger());
                match stands_on.and_then(|before| self.shelf.apply(before, logged)) {
                    Some(applied) => {
                        let said = describe::committed(logged.position, logged.entry.as_ref());
                        self.step(daemon, &said, |agent, now| {
                            let Some(outputs) = agent.adopt(now, &applied) else {
                                unreachable!("it stands on the ledger that this was applied to")
                            };
                            outputs
                        });
                    }
                    None => {
                        let (position, entry) = (logged.position, logged.entry.clone());
                        self.give(daemon, Input::Committed { position, entry });
                    }
                }
            }
        }
        if let Some(host) = self.hosts.get_mut(&daemon.peer)
            && let Some(process) = &mut host.process
            && host.boot == daemon.boot
            && process.agent.ledger().position().index < available
            && !process.feeding
        {
            process.feeding = true;
            let next = self.random.between(Duration::from_micros(50), Duration::from_millis(3));
            self.after(next, Event::Feed(daemon));
        }
    }

    /// Up to where this peer can get the log now.
    fn available_to(&self, peer: PeerId) -> u64 {
        self.raft
            .voters
            .keys()
            .filter(|voter| self.hosts[*voter].is_active())
            .filter(|voter| self.network.both_ways(peer, **voter))
            .filter(|voter| **voter != peer || self.raft.leader == Some(peer))
            .map(|voter| self.hosts[voter].disk.logged)
            .max()
            .unwrap_or(0)
    }

    fn ledger_from_afar(&mut self, peer: PeerId, applied: u64) -> Option<Arc<Ledger>> {
        let voters: Vec<PeerId> = self.raft.voters.keys().copied().collect();
        let from = self.random.pick(&voters)?;
        let reached = from != peer && self.network.both_ways(peer, from);
        let ledger = self.hosts[&from].process.as_ref()?.agent.shared_ledger();
        let far = ledger.position().index > applied + FAR_BEHIND;
        (reached && far && self.hosts[&from].is_active()).then(|| Arc::clone(ledger))
    }
}
