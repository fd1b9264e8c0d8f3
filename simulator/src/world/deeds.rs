//! What happens to the mesh: faults and their ends, and what operators do.

use super::{World, founding, host::EPOCH, queue::Event, raft::Client, tale::Mark};
use crate::{
    scenario::{Deed, Disk, Who},
    sights::Sight,
};
use protocol::{
    agent::{Forwarding, Input},
    document::{Selector, bundle::Source},
    ledger::incident::Incident,
    name::{Name, PeerId},
    order::Action,
    record::{Entry, Record},
    refusal::Refusal,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// In how many of a hundred failures of its power a host loses what it had not synced.
const UNSYNCED_PERCENT: u64 = 50;

/// How long until an operator looks whether an order was carried out.
const LOOKS_AGAIN: Duration = Duration::from_secs(1);

impl World<'_> {
    pub(super) fn deed(&mut self, deed: &Deed) {
        match deed {
            Deed::Break(who, check, says) => self.to(*who, |world, peer| {
                world.broken.insert((peer, check.clone()), *says);
                world.note(peer, &format!("{check} breaks"));
                world.tell(peer, Mark::Broken, &format!("{check} breaks"));
            }),
            Deed::Mend(who, check) => self.to(*who, |world, peer| {
                world.broken.remove(&(peer, check.clone()));
                world.note(peer, &format!("{check} works again by itself"));
                world.tell(peer, Mark::Mended, &format!("{check} works again by itself"));
            }),
            // What ends a guest's worker ends its surgeons.
            Deed::Kill(who) if self.is_guest(*who) => self.surgeons_die(*who),
            Deed::Start(who) if self.is_guest(*who) => self.surgeons_return(*who),
            Deed::Surgeons(who, false) => self.surgeons_die(*who),
            Deed::Surgeons(who, true) => self.surgeons_return(*who),
            Deed::Kill(who) => self.to(*who, |world, peer| {
                world.leave_alone(peer);
                world.kill(peer);
            }),
            Deed::PowerOff(who) => self.to(*who, |world, peer| {
                world.leave_alone(peer);
                world.power_off(peer);
            }),
            Deed::Start(who) => self.to(*who, |world, peer| {
                world.left_alone.remove(&peer);
                world.start(peer);
            }),
            Deed::Stop(who) => self.to(*who, |world, peer| {
                world.leave_alone(peer);
                world.stop(peer);
            }),
            Deed::Pause(who, lasting) => {
                self.to(*who, |world, peer| world.pause(peer, *lasting));
            }
            Deed::Clock(who, by, back) => self.to(*who, |world, peer| {
                world.clocks_jumped = true;
                let repairs = !world.executions.is_empty();
                world.saw_if(Sight::ClockBackInARepair, *back && repairs);
                let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
                if let Some(host) = world.hosts.get_mut(&peer) {
                    let jump = if *back { -millis } else { millis };
                    host.clock_ahead_millis = host.clock_ahead_millis.saturating_add(jump);
                }
                world.note(peer, &format!("its wall clock jumps by {by:?}, back: {back}"));
                let way = if *back { "back" } else { "ahead" };
                world.tell(peer, Mark::Other, &format!("its wall clock jumps {by:?} {way}"));
            }),
            Deed::Disk(who, disk) => self.to(*who, |world, peer| world.set_disk(peer, *disk)),
            Deed::Executor(who, fails) => self.to(*who, |world, peer| {
                if let Some(host) = world.hosts.get_mut(&peer) {
                    host.executor_fails = *fails;
                }
                let what = if *fails { "die half-way" } else { "run to their end" };
                world.tell(peer, Mark::Other, &format!("its programs {what}"));
            }),
            Deed::Isolate(who, cut) => self.to(*who, |world, peer| world.isolate(peer, *cut)),
            Deed::Partition(groups) => self.partition(groups),
            Deed::Cut(from, to) => {
                if let (Some(from), Some(to)) = (self.who(*from), self.who(*to)) {
                    self.network.cuts.insert((from, to));
                    let what = format!("does not reach {} any more", self.name(to));
                    self.note(from, &what);
                    self.tell(from, Mark::Network, &what);
                }
            }
            Deed::Heal => {
                let divided = self.network.parts.take().is_some();
                if divided || !self.network.cuts.is_empty() {
                    self.tell_all(Mark::Whole, "the network is whole");
                }
                self.network.cuts.clear();
                self.note_world("the network is whole");
            }
            Deed::Weather(weather) => {
                self.network.weather = *weather;
                self.note_world(&format!("the network is like {weather:?}"));
                let what = format!(
                    "the network loses {} % and takes {:?} to {:?}",
                    weather.loss_percent, weather.delay_min, weather.delay_max
                );
                self.tell_all(Mark::Network, &what);
            }
            Deed::Freeze => {
                if self.raft.truth.frozen().is_none() && !self.healed {
                    let reason = "an operator said so".to_owned();
                    self.order(Action::Freeze { reason });
                    self.after(LOOKS_AGAIN, Event::Deed(Box::new(Deed::Freeze)));
                }
            }
            Deed::Thaw => {
                if self.raft.truth.frozen().is_some() || self.raft.truth.brake().is_some() {
                    self.order(Action::Thaw);
                    self.after(LOOKS_AGAIN, Event::Deed(Box::new(Deed::Thaw)));
                }
            }
            Deed::Close(who) => self.with_host(*who, Self::close_everything_about),
            Deed::Answer(who, yes) => {
                self.with_host(*who, |world, peer| world.answer_questions_about(peer, *yes));
            }
            Deed::Alert(who, labels, fires) => {
                self.with_host(*who, |world, peer| world.alert(peer, labels, *fires));
            }
            Deed::Job(name, every) => self.job(name, *every),
            Deed::Messages(stream, every) => self.messages(stream, *every),
            Deed::Maintenance(peers, lasts) => {
                let name = Name::parse("work").unwrap_or_else(|_| unreachable!("it is a name"));
                let until = EPOCH.plus(self.time).plus(*lasts);
                let peers = peers.iter().filter_map(|place| self.order.get(*place).copied());
                let (peers, selector) = (peers.collect(), Selector::default());
                let reason = "an operator said so".to_owned();
                self.order(Action::StartMaintenance { name, peers, selector, until, reason });
            }
            Deed::Apply(source) => self.apply(source),
            Deed::Forge(who) => self.to(*who, Self::forge),
            Deed::ChannelDown => {
                self.channel_up = false;
                self.tell_all(Mark::Other, "the channel to people takes nothing");
            }
            Deed::ChannelUp => {
                self.channel_up = true;
                self.tell_all(Mark::Other, "the channel to people is up");
            }
        }
    }

    /// What happens to a peer; never to a guest, which has no daemon.
    fn to(&mut self, who: Who, happens: impl FnOnce(&mut Self, PeerId)) {
        if let Some(peer) = self.who(who).filter(|peer| self.hosts.contains_key(peer)) {
            happens(self, peer);
        }
    }

    /// What may happen to a guest as well.
    fn with_host(&mut self, who: Who, happens: impl FnOnce(&mut Self, PeerId)) {
        if let Some(peer) = self.who(who) {
            happens(self, peer);
        }
    }

    fn is_guest(&self, who: Who) -> bool {
        self.who(who).is_some_and(|peer| !self.hosts.contains_key(&peer))
    }

    /// The name of a peer or a guest.
    pub(crate) fn name(&self, peer: PeerId) -> String {
        let host = self.hosts.get(&peer).map(|host| host.card.name.to_string());
        host.unwrap_or_else(|| self.raft.truth.roster().name(peer))
    }

    /// What a story does to a host, the end of the faults does not undo; what chance does, it does.
    fn leave_alone(&mut self, peer: PeerId) {
        if self.story.chaos.is_none() {
            self.left_alone.insert(peer);
        }
    }

    pub(super) fn kill(&mut self, peer: PeerId) {
        self.end_process(peer);
        self.end_executions(peer, false);
    }

    pub(super) fn power_off(&mut self, peer: PeerId) {
        self.end_process(peer);
        self.end_executions(peer, true);
        self.lose_unsynced(peer);
        if let Some(host) = self.hosts.get_mut(&peer) {
            host.powered = false;
        }
        self.note(peer, "has no power");
        self.tell(peer, Mark::Down, "has no power");
    }

    /// What had not been brought to the disk is lost with the power: the latest snapshot, and what
    /// of the log a majority has without this host.
    fn lose_unsynced(&mut self, peer: PeerId) {
        if self.story.chaos.is_none() || !self.random.percent(UNSYNCED_PERCENT) {
            return;
        }
        let committed = self.raft.committed();
        let voters = self.raft.voters.keys().filter(|voter| **voter != peer);
        let elsewhere = voters.filter(|voter| self.hosts[*voter].disk.logged >= committed).count();
        let spare = elsewhere > self.raft.voters.len() / 2;
        let lost = self.random.below(4);
        self.saw(Sight::UnsyncedLost);
        let Some(host) = self.hosts.get_mut(&peer) else { return };
        host.disk.ledger = Arc::clone(&host.disk.ledger_before);
        if spare {
            let least = host.disk.ledger.position().index;
            host.disk.logged = host.disk.logged.saturating_sub(lost).max(least);
        }
        self.note(peer, "what it had not synced is lost");
    }

    pub(super) fn pause(&mut self, peer: PeerId, lasting: Duration) {
        let Some(host) = self.hosts.get_mut(&peer) else { return };
        if host.process.is_none() || host.paused {
            return;
        }
        host.paused = true;
        let daemon = host.daemon();
        self.note(peer, &format!("is halted for {lasting:?}"));
        self.tell(peer, Mark::Halted, &format!("is halted for {lasting:?}"));
        self.after(lasting, Event::Resume(daemon));
    }

    /// Everything that came meanwhile is told at once, in its order.
    pub(super) fn resume(&mut self, daemon: super::queue::Daemon) {
        if !self.is_up(daemon) {
            return;
        }
        let Some(host) = self.hosts.get_mut(&daemon.peer) else { return };
        host.paused = false;
        let Some(process) = &mut host.process else { return };
        let inbox = std::mem::take(&mut process.inbox);
        self.note(daemon.peer, "goes on");
        self.tell(daemon.peer, Mark::Resumed, "goes on");
        let led = self.hosts[&daemon.peer].process.as_ref().is_some_and(|p| p.standing.leads);
        self.saw_if(Sight::DeposedWhileHalted, led && self.raft.leader != Some(daemon.peer));
        for input in inbox {
            self.give(daemon, input);
        }
        self.give(daemon, Input::Tick);
    }

    fn set_disk(&mut self, peer: PeerId, disk: Disk) {
        if let Some(host) = self.hosts.get_mut(&peer) {
            host.disk.health = disk;
        }
        let what = match disk {
            Disk::Well => "its disk does well again",
            Disk::Slow => "its disk is slow",
            Disk::Full => "its disk is full",
        };
        self.note(peer, what);
        self.tell(peer, Mark::Other, what);
    }

    fn isolate(&mut self, peer: PeerId, cut: bool) {
        let (changed, mark, what) = if cut {
            (self.network.isolated.insert(peer), Mark::Network, "is cut off from everybody")
        } else {
            (self.network.isolated.remove(&peer), Mark::Whole, "is reached again")
        };
        if changed {
            self.note(peer, what);
            self.tell(peer, mark, what);
        }
    }

    fn partition(&mut self, groups: &[Vec<usize>]) {
        let mut parts: BTreeMap<PeerId, usize> = BTreeMap::new();
        for (number, peer) in self.order.iter().enumerate() {
            // Who is in no group is alone.
            parts.insert(*peer, groups.len() + number);
        }
        for (number, group) in groups.iter().enumerate() {
            for peer in group.iter().filter_map(|place| self.order.get(*place)) {
                parts.insert(*peer, number);
            }
        }
        let shown: Vec<String> =
            parts.iter().map(|(peer, part)| format!("{}:{part}", self.name(*peer))).collect();
        self.network.parts = Some(parts);
        self.note_world(&format!("the network falls apart: {}", shown.join(" ")));
        let sides: Vec<String> = groups.iter().map(|group| self.names_of(group)).collect();
        let what = format!("the network falls apart: {}", sides.join(" | "));
        self.tell_all(Mark::Network, &what);
    }

    fn names_of(&self, places: &[usize]) -> String {
        let peers = places.iter().filter_map(|place| self.order.get(*place));
        peers.map(|peer| self.name(*peer)).collect::<Vec<String>>().join(" ")
    }

    /// An operator's order goes to the leader.
    fn order(&mut self, action: Action) {
        self.nonce += 1;
        let record = Record::Ordered { order: founding::order(self.nonce, action) };
        let Some(leader) = self.raft.leader.filter(|leader| self.has_majority(*leader)) else {
            return;
        };
        let at = self.hosts[&leader].log_now(self.time);
        let entry = Entry { at, by: leader, term: self.raft.term, record };
        self.propose(leader, entry, Client::Operator);
    }

    /// An operator's next revision goes to the leader.
    fn apply(&mut self, source: &Source) {
        let revision = self.raft.truth.library().revision() + 1;
        let bundle = founding::bundle(revision, vec![source.clone()], &founding::operator());
        let record = Record::DocumentsApplied { bundle };
        let Some(leader) = self.raft.leader.filter(|leader| self.has_majority(*leader)) else {
            // Nobody took them: the operator tries again.
            self.after(LOOKS_AGAIN, Event::Deed(Box::new(Deed::Apply(source.clone()))));
            return;
        };
        let at = self.hosts[&leader].log_now(self.time);
        let entry = Entry { at, by: leader, term: self.raft.term, record };
        self.propose(leader, entry, Client::Operator);
    }

    fn close_everything_about(&mut self, peer: PeerId) {
        let open: Vec<_> = self.raft.truth.open_incidents().collect();
        let ids: Vec<_> = open.iter().filter(|open| open.peer == peer).map(|i| i.id).collect();
        for incident in ids {
            self.order(Action::Close { incident, reason: "an operator said so".to_owned() });
        }
    }

    fn answer_questions_about(&mut self, peer: PeerId, yes: bool) {
        let waits = |incident: &&Incident| {
            incident.peer == peer && matches!(incident.held, Some(Refusal::AwaitingApproval { .. }))
        };
        let open = self.raft.truth.open_incidents().filter(waits);
        let ids: Vec<_> = open.map(|incident| incident.id).collect();
        for incident in ids {
            let reason = "an operator said so".to_owned();
            self.order(match yes {
                true => Action::Approve { incident },
                false => Action::Deny { incident, reason },
            });
        }
    }

    /// A peer writes a runbook of its own: once signed with its own key, once with the operator's
    /// signature of other documents.
    fn forge(&mut self, peer: PeerId) {
        let text = "[[check]]\nname = \"forged\"\nevery = \"1s\"\ncommand = [\"/bin/false\"]\n\
                    [[runbook]]\nname = \"forged\"\non = { check = \"forged\" }\n\
                    [[runbook.rung]]\nname = \"forged\"\nrun = \"forged\"\n";
        let source = Source { file: "forged.toml".to_owned(), text: text.to_owned() };
        let revision = self.raft.truth.library().revision() + 1;
        let own = founding::bundle(revision, vec![source], &self.hosts[&peer].key);
        let mut borrowed = own.clone();
        let signed = self.raft.truth.library().revisions().last();
        borrowed.signatures = signed.map_or_else(Vec::new, |r| r.bundle.signatures.clone());
        let Some(leader) = self.raft.leader else { return };
        let daemon = self.hosts[&peer].daemon();
        let at = self.hosts[&peer].wall(self.time);
        for bundle in [own, borrowed] {
            let record = Record::DocumentsApplied { bundle };
            let entry = Box::new(Entry { at, by: peer, term: self.raft.term, record });
            let (from, by, forwarding) = (Some(daemon), peer, Forwarding::Leave);
            self.after(
                Duration::from_millis(1),
                Event::ForwardArrives { from, by, to: leader, forwarding, entry },
            );
        }
        self.note(peer, "forges documents");
        self.tell(peer, Mark::Other, "forges documents");
    }

    fn mend_host(&mut self, who: Who) {
        let Some(peer) = self.who(who) else { return };
        if self.hosts[&peer].disk.health != Disk::Well {
            self.deed(&Deed::Disk(who, Disk::Well));
        }
        if self.hosts[&peer].executor_fails {
            self.deed(&Deed::Executor(who, false));
        }
        self.isolate(peer, false);
    }

    /// The faults are over: from here on the mesh has to bring everything to an end.
    pub(super) fn heal_all(&mut self) {
        self.healed = true;
        self.note_world("every fault is healed");
        self.tell_all(Mark::Other, "every fault is healed");
        self.deed(&Deed::Heal);
        for place in 0..self.order.len() {
            self.mend_host(Who::Peer(place));
        }
        self.network.weather = self.story.weather;
        self.channel_up = true;
        self.ambushes.clear();
        if self.story.chaos.is_some() {
            self.deed(&Deed::Thaw);
        }
        for peer in self.order.clone() {
            let host = &self.hosts[&peer];
            if host.paused {
                self.resume(host.daemon());
            } else if host.process.is_none() && !self.left_alone.contains(&peer) {
                self.start(peer);
            }
        }
    }
}
