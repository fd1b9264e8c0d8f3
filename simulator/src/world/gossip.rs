//! Modelled gossip: heartbeats and reports pass from peer to peer; who has not been heard of for a
//! while seems to be dead, who is heard of again seems to be alive.

use super::{
    World, describe,
    host::{Heard, Told},
    queue::{Daemon, Event, Gossip},
};
use ed25519_dalek::Signer;
use protocol::{
    agent::Input,
    agent::shared::Verified,
    name::PeerId,
    report::{Report, SignedReport},
};
use std::{rc::Rc, time::Duration};

/// The time from one round of watching to the next; every fourth is one of gossip as well.
pub(super) const EVERY: Duration = Duration::from_millis(250);

/// So many rounds of watching to one of gossip.
const WATCHES: u64 = 4;

/// How many others each round goes to.
const FANOUT: usize = 3;

/// Five rounds without a new heartbeat and a peer is suspected.
const SUSPECT_AFTER: Duration = Duration::from_millis(5_000);

impl World<'_> {
    pub(super) fn gossip_round(&mut self, daemon: Daemon) {
        if !self.is_up(daemon) {
            return;
        }
        if self.rests(daemon) {
            return;
        }
        let jitter = self.random.millis(0, 20);
        self.after(EVERY + jitter, Event::GossipRound(daemon));
        let Some(host) = self.hosts.get_mut(&daemon.peer) else { return };
        let paused = host.paused;
        let Some(process) = host.process.as_mut().filter(|_| !paused) else { return };
        process.rounds += 1;
        let gossips = process.rounds % WATCHES == 1;
        self.watch_round(daemon);
        if !gossips {
            return;
        }
        let Some(host) = self.hosts.get_mut(&daemon.peer) else { return };
        let Some(process) = host.process.as_mut() else { return };
        process.rumours.count += 1;
        let host = &self.hosts[&daemon.peer];
        let (own, places) = (host.place_in_cell, self.cells[host.cell].places.clone());
        let Some(gossip) = host.gossip(false).map(Rc::new) else { return };
        for to in self.random.others(places.len(), own, FANOUT) {
            self.send_gossip(daemon.peer, self.order[places.start + to], &gossip);
        }
        self.suspect(daemon);
    }

    fn send_gossip(&mut self, from: PeerId, to: PeerId, gossip: &Rc<Gossip>) {
        if self.network.open(from, to) && !self.network.lost(&mut self.random) {
            let delay = self.network.delay(&mut self.random);
            self.after(delay, Event::GossipArrives(from, to, Rc::clone(gossip)));
            if self.network.doubled(&mut self.random) {
                let later = self.network.delay(&mut self.random);
                self.after(delay + later, Event::GossipArrives(from, to, Rc::clone(gossip)));
            }
        }
    }

    pub(super) fn gossip_arrives(&mut self, from: PeerId, to: PeerId, gossip: &Gossip) {
        let time = self.time;
        let Some(host) = self.hosts.get_mut(&to).filter(|host| host.is_active()) else { return };
        let (daemon, own) = (host.daemon(), host.place_in_cell);
        let Some(process) = &mut host.process else { return };
        let beats = gossip.beats.iter().enumerate();
        for (place, beat) in beats.filter(|(place, beat)| *place != own && **beat != (0, 0)) {
            let heard = process.rumours.heard[place].get_or_insert(Heard {
                beat: (0, 0),
                at: time,
                alive: None,
            });
            if *beat > heard.beat {
                heard.beat = *beat;
                heard.at = time;
            }
        }
        let known = Rc::clone(&process.rumours.reports);
        for (report, known) in gossip.reports.iter().zip(known.iter()) {
            match (report, known) {
                (Some(report), Some(known)) if Rc::ptr_eq(report, known) => {}
                (Some(report), _) => self.hear(to, report),
                (None, _) => {}
            }
        }
        self.suspect(daemon);
        if !gossip.answer
            && let Some(answer) = self.hosts[&to].gossip(true).map(Rc::new)
        {
            self.send_gossip(to, from, &answer);
        }
    }

    /// Passes on what the failure detector thinks, where it has changed its mind.
    fn suspect(&mut self, daemon: Daemon) {
        let time = self.time;
        let Some(host) = self.hosts.get_mut(&daemon.peer) else { return };
        let first = self.cells[host.cell].places.start;
        let Some(process) = &mut host.process else { return };
        let mut changes = Vec::new();
        for (place, heard) in process.rumours.heard.iter_mut().enumerate() {
            let Some(heard) = heard else { continue };
            let alive = time < heard.at + SUSPECT_AFTER;
            if heard.alive != Some(alive) {
                heard.alive = Some(alive);
                changes.push((self.order[first + place], alive));
            }
        }
        for (peer, alive) in changes {
            self.give(daemon, Input::Liveness { peer, alive });
        }
    }

    /// A report comes in, by whatever way.
    pub(super) fn hear(&mut self, to: PeerId, told: &Rc<Told>) {
        let Some(host) = self.hosts.get_mut(&to).filter(|host| host.is_active()) else { return };
        let daemon = host.daemon();
        let report = &told.signed.report;
        let peer = report.peer;
        let Some(of) = self.hosts.get(&peer) else { return };
        let (place, cell) = (of.place_in_cell, of.cell);
        let Some(host) = self.hosts.get_mut(&to) else { return };
        let same_cell = host.cell == cell;
        let Some(process) = &mut host.process else { return };
        // Of another cell, gossip keeps nothing: such a report came directly.
        let known = if same_cell {
            process.rumours.reports[place].as_ref().map(|known| &known.signed.report)
        } else {
            process.agent.view().report(peer)
        };
        if known.is_some_and(|known| !report.is_newer_than(known)) {
            return;
        }
        if same_cell {
            Rc::make_mut(&mut process.rumours.reports)[place] = Some(Rc::clone(told));
        }
        match &told.verified {
            _ if peer == to => {}
            Some(verified) => {
                let said = describe::heard(report);
                self.step(daemon, &said, |agent, now| agent.hear_verified(now, verified));
            }
            None => self.give(daemon, Input::Heard(told.signed.clone())),
        }
    }

    /// A peer signs its report, gossips it and sends it to the leader.
    pub(super) fn publish(&mut self, daemon: Daemon, report: &Report) {
        self.rouse(daemon);
        let Some(host) = self.hosts.get_mut(&daemon.peer) else { return };
        let signature = host.key.sign(&report.signed_bytes()).to_bytes().to_vec();
        let signed = SignedReport { report: report.clone(), signature };
        let verified = Verified::new(signed.clone(), host.card.public_key);
        let told = Rc::new(Told { signed, verified });
        let place = host.place_in_cell;
        let Some(process) = &mut host.process else { return };
        Rc::make_mut(&mut process.rumours.reports)[place] = Some(Rc::clone(&told));
        let leader = process.standing.leader;
        if let Some(leader) = leader.filter(|leader| *leader != daemon.peer)
            && self.network.open(daemon.peer, leader)
        {
            let delay = self.network.reliable_delay(&mut self.random);
            if self.network.doubled(&mut self.random) {
                self.after(delay * 2, Event::ReportArrives(leader, Rc::clone(&told)));
            }
            self.after(delay, Event::ReportArrives(leader, told));
        }
    }
}
