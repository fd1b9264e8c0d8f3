//! Daemons come up and go down, and what of them is on disk.

use super::{
    World, founding,
    host::{Process, Rumours},
    queue::{Daemon, Event},
    tale::Mark,
};
use protocol::{
    agent::{Agent, BOOT_ID, Input, LocalPolicy, Origin, Standing},
    ledger::{Ledger, roster},
    mistakes::{self, Mistake},
    name::PeerId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// How long a daemon that is asked to stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(5);

impl World<'_> {
    /// Starts a host and its daemon, unless they run.
    pub(super) fn start(&mut self, peer: PeerId) {
        let time = self.time;
        let Some(host) = self.hosts.get_mut(&peer) else { return };
        if !host.powered {
            host.powered = true;
            host.powered_on += 1;
        }
        host.stopped = false;
        if host.process.is_some() {
            return;
        }
        // What an earlier start left running is ended first.
        self.end_executions(peer, true);
        let Some(host) = self.hosts.get_mut(&peer) else { return };
        host.boot += 1;
        host.paused = false;
        host.card.generation = host.boot;
        let cell = self.cells[host.cell].places.len();
        let mut agent = Agent::new(Origin {
            card: host.card.clone(),
            trust: founding::trust(),
            policy: LocalPolicy::default(),
            ledger: Ledger::default(),
            started: if mistakes::is_made(Mistake::StartNotKept) {
                BTreeSet::new()
            } else {
                host.disk.started.clone()
            },
        });
        agent.begin_at(Arc::clone(&host.disk.ledger));
        host.process = Some(Process {
            agent,
            since: time,
            wake: 0,
            wakes_at: Duration::MAX,
            inbox: Vec::new(),
            feeding: false,
            standing: Standing::default(),
            members_known: 0,
            doubts_since: None,
            rumours: Rumours::new(cell),
            dozes: false,
            rounds: 0,
            wards: BTreeMap::new(),
            stopping: false,
        });
        let daemon = host.daemon();
        let facts = BTreeMap::from([(BOOT_ID.to_owned(), host.boot_id())]);
        self.note(peer, "starts");
        self.tell(peer, Mark::Up, "starts");
        let first = self.random.millis(1, 250);
        self.after(first, Event::GossipRound(daemon));
        self.give(daemon, Input::Facts(facts));
    }

    /// The daemon is gone, with everything that it had not written down.
    pub(super) fn end_process(&mut self, peer: PeerId) {
        self.see_the_end_of(peer);
        let Some(host) = self.hosts.get_mut(&peer) else { return };
        host.paused = false;
        if host.process.take().is_some() {
            self.note(peer, "the daemon is gone");
            self.tell(peer, Mark::Down, "its daemon is gone");
        }
    }

    pub(super) fn stop(&mut self, peer: PeerId) {
        let Some(host) = self.hosts.get_mut(&peer) else { return };
        let daemon = host.daemon();
        let Some(process) = &mut host.process else { return };
        process.stopping = true;
        host.stopped = true;
        self.after(STOP_WITHIN, Event::StopDeadline(daemon));
        self.give(daemon, Input::Stopping { for_good: false });
    }

    pub(super) fn end_when_it_may_stop(&mut self, daemon: Daemon) {
        let host = &self.hosts[&daemon.peer];
        let said_goodbye = host.process.as_ref().is_some_and(|process| {
            let member = process.agent.ledger().roster().member(daemon.peer);
            process.stopping && member.is_some_and(|m| m.standing == roster::Standing::Stopped)
        });
        if said_goodbye {
            self.end_process(daemon.peer);
        }
    }

    /// A snapshot is made now and then; what was applied since the last one is lost in a crash and
    /// comes again from the log.
    pub(super) fn keep_snapshot(&mut self, peer: PeerId, due: bool) {
        let Some(host) = self.hosts.get_mut(&peer) else { return };
        let Some(process) = &host.process else { return };
        let ledger = process.agent.shared_ledger();
        let far = ledger.position().index >= host.disk.ledger.position().index + 8;
        if host.can_write() && (due || far) {
            let next = Arc::clone(ledger);
            host.disk.ledger_before = std::mem::replace(&mut host.disk.ledger, next);
        }
    }
}
