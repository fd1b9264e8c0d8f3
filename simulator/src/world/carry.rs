//! Carrying out what an agent wants done, as the daemon would: each output becomes something that
//! happens later, or never.

use super::{
    World,
    chronicle::Happened,
    network::Purpose,
    queue::{Daemon, Event},
    raft::Client,
    tale::Mark,
};
use crate::{scenario::Moment, sights::Sight};
use protocol::{
    agent::{Forwarding, Input, NotTaken, Output, Proposal},
    name::IncidentId,
    record::{AttemptReport, Entry, Outcome},
};
use std::time::Duration;

/// In how many of a hundred cases a decision waits before it is appended, in chaos.
const BUSY_PERCENT: u64 = 4;

/// For how long at the longest.
const BUSY_MAX: Duration = Duration::from_secs(8);

impl World<'_> {
    pub(super) fn carry(&mut self, daemon: Daemon, output: &Output) {
        match output {
            Output::RunCheck { check, .. } => self.run_check(daemon, check),
            Output::Publish(report) => self.publish(daemon, report),
            Output::Watch { peers } => self.set_wards(daemon, peers.iter().copied()),
            Output::Suspect { peer, seen } => {
                let process = &self.hosts[&daemon.peer].process;
                let leader = process.as_ref().and_then(|process| process.standing.leader);
                if let Some(to) = leader.filter(|to| self.network.open(daemon.peer, *to)) {
                    let delay = self.network.reliable_delay(&mut self.random);
                    let told = Input::Suspected { peer: *peer, seen: *seen };
                    let to = self.hosts[&to].daemon();
                    if self.network.doubled(&mut self.random) {
                        self.after(delay * 2, Event::Give(to, Box::new(told.clone())));
                    }
                    self.after(delay, Event::Give(to, Box::new(told)));
                }
            }
            Output::StepDown { .. } => self.step_down(daemon.peer),
            Output::Probe { peer } => self.send_probe(daemon, *peer, Purpose::Own),
            Output::AskWitness { witness, peer } => self.ask_witness(daemon, *witness, *peer),
            Output::Propose { proposal, entry } => {
                let what = Box::new((proposal.clone(), entry.clone()));
                // A host that is busy gets to it late, perhaps in a later term.
                let busy = self.story.chaos.is_some() && self.random.percent(BUSY_PERCENT);
                if busy {
                    let late = self.random.between(Duration::ZERO, BUSY_MAX);
                    self.after(late, Event::Proposed(daemon, what));
                } else {
                    self.proposed(daemon, *what);
                }
            }
            Output::Forward { forwarding, entry } => self.forward(daemon, forwarding, entry),
            Output::RecordStart { incident, attempt } => {
                self.record_start(daemon, (*incident, *attempt));
            }
            Output::Execute(order) => self.execute(daemon, order),
            Output::TakeEvidence { incident, steps, .. } => {
                self.take_evidence(daemon, *incident, steps);
            }
            Output::Notify { message, .. } => {
                let delay = self.random.millis(20, 200);
                let event = Event::NoticeArrives(daemon, message.incident, message.notice);
                self.after(delay, event);
            }
            Output::CheckIn(_) => {
                let answer = Event::Give(daemon, Box::new(Input::CheckedIn(Ok(()))));
                let back = self.random.millis(20, 200);
                self.after(back, answer);
            }
            Output::ChangeMembers(change) => self.change_members(daemon, *change),
        }
    }

    pub(super) fn proposed(&mut self, daemon: Daemon, (proposal, entry): (Proposal, Entry)) {
        if self.is_up(daemon) {
            self.propose(daemon.peer, entry, Client::Decision(daemon, proposal));
        }
    }

    fn forward(&mut self, daemon: Daemon, forwarding: &Forwarding, entry: &Entry) {
        let process = &self.hosts[&daemon.peer].process;
        let leader = process.as_ref().and_then(|process| process.standing.leader);
        match leader.filter(|leader| self.network.open(daemon.peer, *leader)) {
            Some(to) => {
                let delay = self.network.reliable_delay(&mut self.random);
                let (forwarding, entry) = (forwarding.clone(), Box::new(entry.clone()));
                if self.network.doubled(&mut self.random) {
                    // Sent again, as no answer had come: it is carried out twice, answered once.
                    self.saw(Sight::FactTwice);
                    let later = self.network.reliable_delay(&mut self.random);
                    let (from, entry) = (None, entry.clone());
                    let forwarding = forwarding.clone();
                    let again =
                        Event::ForwardArrives { from, by: daemon.peer, to, forwarding, entry };
                    self.after(later, again);
                }
                let (from, by) = (Some(daemon), daemon.peer);
                let event = Event::ForwardArrives { from, by, to, forwarding, entry };
                self.after(delay, event);
            }
            None => {
                let result = Err("the leader is not reached".to_owned());
                let input = Input::Forwarded { forwarding: forwarding.clone(), result };
                let delay = self.random.millis(1, 500);
                self.after(delay, Event::Give(daemon, Box::new(input)));
            }
        }
    }

    /// The start is written: durable after a while, known to be after another.
    fn record_start(&mut self, daemon: Daemon, key: (IncidentId, u32)) {
        let disk = self.disk_takes(daemon.peer);
        if !self.hosts[&daemon.peer].can_write() {
            return self.refuse_start(daemon, key, disk);
        }
        self.after(disk, Event::StartOnDisk(daemon, key));
        self.writing.insert((daemon, key));
        self.moment(Moment::Recording, daemon.peer);
    }

    /// The start cannot be written: then nothing is started, and the log hears why.
    fn refuse_start(&mut self, daemon: Daemon, key: (IncidentId, u32), after: Duration) {
        self.saw(Sight::StartNotWritten);
        let report = AttemptReport {
            outcome: Outcome::Refused,
            exit_code: None,
            started_at: None,
            finished_at: self.hosts[&daemon.peer].wall(self.time),
            output: "the start could not be written to disk: no space left".to_owned(),
        };
        let input = Input::Finished { incident: key.0, attempt: key.1, report };
        self.after(after, Event::Give(daemon, Box::new(input)));
    }

    pub(super) fn start_on_disk(&mut self, daemon: Daemon, (incident, attempt): (IncidentId, u32)) {
        self.writing.remove(&(daemon, (incident, attempt)));
        if !self.is_up(daemon) {
            // The daemon died before its write was durable. A write that was under way when the
            // daemon died may still have been made, or not.
            if !self.random.percent(50) {
                return;
            }
        }
        if let Some(host) = self.hosts.get_mut(&daemon.peer) {
            host.disk.started.insert((incident, attempt));
        }
        self.note(daemon.peer, &format!("has {incident}/{attempt} on disk as started"));
        let heard = self.random.between(Duration::from_micros(100), Duration::from_millis(2));
        let input = Input::StartRecorded { incident, attempt };
        self.after(heard, Event::Give(daemon, Box::new(input)));
        self.moment(Moment::Recorded, daemon.peer);
    }

    pub(super) fn notice_arrives(&mut self, daemon: Daemon, incident: IncidentId, notice: u32) {
        let result = if self.channel_up {
            let times = self.received.entry((incident, notice)).or_default();
            *times += 1;
            let again = *times > 1;
            self.saw_if(Sight::NoticeRepeated, again);
            self.chronicle.push((self.time, Happened::Told { key: (incident, notice) }));
            self.note_world(&format!("people are told: notice {notice} of {incident}"));
            let what = format!("people are told: notice {notice} of {incident}");
            self.tell_all(Mark::Person, &what);
            Ok("200".to_owned())
        } else {
            Err(NotTaken::this_time("connection refused"))
        };
        let back = self.random.millis(1, 100);
        let input = Input::NoticeSent { incident, notice, result };
        self.after(back, Event::Give(daemon, Box::new(input)));
    }
}
