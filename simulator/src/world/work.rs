//! Checks, rungs and evidence: programs that the model does not run but knows the effect of.
//!
//! A program outlives a daemon that is killed in every second case, as it would on a host; what
//! the next start of the daemon finds, it ends. Whatever happens to the daemon, a program ends at
//! its time limit: the executor sees to that with something that does not depend on the daemon.

use super::{
    World,
    chronicle::Happened,
    queue::{Daemon, Event},
    surgeons::{SurgeonId, Surgery},
    tale::Mark,
};
use crate::{
    scenario::{Deed, Moment, Who},
    sights::Sight,
};
use protocol::{
    agent::{Input, Work, WorkOrder, output::Variables},
    document::{AlertProbe, Check, EvidenceStep, Power, Probe, Verdict},
    name::{IncidentId, Name, PeerId},
    record::{AttemptReport, EvidenceSummary, Outcome, Part},
    time::Timestamp,
};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// What a rung takes that the story says nothing about.
const TAKES: Duration = Duration::from_millis(300);

/// How long a host takes to come up.
const BOOT_TAKES: Duration = Duration::from_secs(20);

/// Who executes a rung.
#[derive(Debug, Clone)]
pub(super) enum Worker {
    /// A peer's daemon.
    Daemon(Daemon),
    /// A guest's surgeon.
    Surgeon(Surgery),
}

/// What is to be executed, as an order or a script says it.
#[derive(Debug)]
pub(super) struct Task<'a> {
    /// For which incident, as which attempt.
    pub(super) key: (IncidentId, u32),
    /// What its script is told.
    pub(super) variables: &'a Variables,
    /// Its time limit.
    pub(super) timeout: Duration,
    /// What becomes of the target's power.
    pub(super) power: Option<Power>,
    /// When it begins, by the clock of whoever executes it.
    pub(super) started_at: Timestamp,
}

/// An execution under way.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    /// By whom.
    worker: Worker,
    /// For which host.
    pub(crate) target: PeerId,
    /// The check that it answers; nothing when it answers a silence.
    pub(crate) check: Option<Name>,
    /// How it ends when it is not ended.
    ends: Outcome,
    /// Whether what was wrong is well afterwards.
    helps: bool,
    /// Which check of the target fails when it has ended well.
    breaks: Option<Name>,
    /// What becomes of the target's power.
    power: Option<Power>,
    started_at: Timestamp,
    /// Whether its time limit ends it.
    runs_out: bool,
}

impl World<'_> {
    pub(super) fn run_check(&mut self, daemon: Daemon, check: &Check) {
        if let Probe::Alert(probe) = &check.probe {
            return self.look_at_alerts(daemon, check, probe);
        }
        let verdict = self.broken.get(&(daemon.peer, check.name.clone()));
        let verdict = verdict.copied().unwrap_or(Verdict::Pass);
        let summary = match verdict {
            Verdict::Pass => "it answers",
            Verdict::Warn => "it answers slowly",
            Verdict::Fail => "it does not answer",
            Verdict::Unknown => "the probe does not work",
        };
        let (check, summary) = (check.name.clone(), summary.to_owned());
        let input = Input::CheckRan { check, verdict, summary };
        let takes = self.random.millis(2, 30);
        self.after(takes, Event::Give(daemon, Box::new(input)));
    }

    /// What other systems have told of, as the peer's own replica has it.
    fn look_at_alerts(&mut self, daemon: Daemon, check: &Check, probe: &AlertProbe) {
        let host = &self.hosts[&daemon.peer];
        let Some(process) = &host.process else { return };
        let (verdict, summary) = process.agent.judge_alerts(probe, host.now(self.time));
        let input = Input::CheckRan { check: check.name.clone(), verdict, summary };
        self.after(Duration::from_millis(1), Event::Give(daemon, Box::new(input)));
    }

    pub(super) fn execute(&mut self, daemon: Daemon, order: &WorkOrder) {
        let host = &self.hosts[&daemon.peer];
        let (dies, started_at) = (host.executor_fails, host.wall(self.time));
        let power = self.power_of(order);
        let key = (order.incident, order.attempt);
        let variables = &order.variables;
        let task = Task { key, variables, timeout: order.timeout, power, started_at };
        self.begin_execution(Worker::Daemon(daemon), &task, dies);
    }

    /// A rung begins to be executed, and will end as the story says; how long it takes.
    pub(super) fn begin_execution(
        &mut self,
        worker: Worker,
        task: &Task<'_>,
        dies: bool,
    ) -> Duration {
        let told = |key: &str| task.variables.get(key).map_or("", String::as_str);
        let target = self.named(told("HEARTEN_PEER"));
        // What looks at a rung or takes it back is not the rung: it ends well.
        let (incident, number) = task.key;
        let part = self.raft.truth.incidents().get(&incident).and_then(|incident| {
            Some(incident.attempts.iter().find(|attempt| attempt.number == number)?.part)
        });
        let effect = self.story.rungs.iter().filter(|_| part == Some(Part::Act)).find(|effect| {
            effect.runbook.as_ref().is_none_or(|runbook| runbook == told("HEARTEN_RUNBOOK"))
                && effect.rung == told("HEARTEN_RUNG")
                && effect.attempt.is_none_or(|attempt| attempt == number)
                && effect.peer.is_none_or(|who| self.who(who) == Some(target))
        });
        let nothing = (Outcome::Succeeded, false, TAKES, 100);
        let (mut ends, mut helps, takes, chance) = effect.map_or(nothing, |effect| {
            (effect.ends, effect.helps, effect.takes, effect.chance_percent)
        });
        if !self.random.percent(chance) {
            (ends, helps) = (Outcome::Failed, false);
        }
        // What dies half-way may have done its work before, or not.
        let takes = if dies {
            self.saw(Sight::ExecutorDied);
            (ends, helps) = (Outcome::Failed, helps && self.random.percent(50));
            self.random.between(Duration::ZERO, takes)
        } else {
            takes
        };
        let breaks = effect.and_then(|effect| effect.breaks.clone());
        let check = Name::parse(told("HEARTEN_CHECK")).ok();
        let runs_out = ends == Outcome::TimedOut || takes >= task.timeout;
        let by = self.host_of(&worker);
        let execution = Execution {
            worker,
            target,
            check,
            ends,
            helps,
            breaks,
            power: task.power,
            started_at: task.started_at,
            runs_out,
        };
        self.executions.insert(task.key, execution);
        let rung = told("HEARTEN_RUNG").to_owned();
        let what = format!("executes \"{rung}\" for {} ({incident})", self.name(target));
        self.tell(by, Mark::Acts, &what);
        let leads = self.raft.leader == Some(by);
        let happened = Happened::Executed { key: task.key, worker: by, leads };
        self.chronicle.push((self.time, happened));
        let lasts = if runs_out { task.timeout } else { takes };
        self.after(lasts, Event::ExecutionEnds(task.key));
        self.moment(Moment::Executing, by);
        lasts
    }

    /// The peer or guest with this name; the first peer where nobody has it.
    fn named(&self, name: &str) -> PeerId {
        let known = |peer: &&PeerId| self.hosts[*peer].card.name.as_str() == name;
        let guest = || {
            let mut guests = self.raft.truth.roster().guests();
            guests.find(|(_, guest)| guest.card.name.as_str() == name).map(|(id, _)| id)
        };
        self.order.iter().find(known).copied().or_else(guest).unwrap_or(self.order[0])
    }

    fn host_of(&self, worker: &Worker) -> PeerId {
        match worker {
            Worker::Daemon(daemon) => daemon.peer,
            Worker::Surgeon(surgery) => surgery.guest,
        }
    }

    pub(super) fn execution_ends(&mut self, key: (IncidentId, u32)) {
        let Some(execution) = self.executions.remove(&key) else { return };
        let by = self.host_of(&execution.worker);
        let outcome = if execution.runs_out { Outcome::TimedOut } else { execution.ends };
        let exit_code = match outcome {
            Outcome::Succeeded => Some(0),
            Outcome::Failed => Some(1),
            Outcome::TimedOut | Outcome::Refused | Outcome::Unknown => None,
        };
        self.note(by, &format!("ends {}/{}: {}", key.0, key.1, outcome.as_str()));
        let what = format!("attempt {} of {} ends: {}", key.1, key.0, outcome.as_str());
        self.tell(by, Mark::Acted, &what);
        self.chronicle.push((self.time, Happened::Ended { key, outcome }));
        // Nobody watches the power of a guest.
        let watched = self.hosts.contains_key(&execution.target);
        match execution.power.filter(|_| watched && outcome == execution.ends) {
            Some(Power::Off) if outcome == Outcome::Succeeded => self.power_off(execution.target),
            Some(Power::Reboot) if execution.helps => self.reboot(&execution),
            Some(_) | None if outcome == execution.ends && execution.helps => {
                self.repair(&execution);
                if let Some(check) = &execution.breaks {
                    self.broken.insert((execution.target, check.clone()), Verdict::Fail);
                    let what = format!("{check} breaks by it");
                    self.tell(execution.target, Mark::Broken, &what);
                }
            }
            Some(_) | None => {}
        }
        match execution.worker {
            Worker::Daemon(worker) => {
                let report = AttemptReport {
                    outcome,
                    exit_code,
                    started_at: Some(execution.started_at),
                    finished_at: self.hosts[&worker.peer].wall(self.time),
                    output: String::new(),
                };
                let input = Input::Finished { incident: key.0, attempt: key.1, report };
                self.after(Duration::from_millis(1), Event::Give(worker, Box::new(input)));
            }
            Worker::Surgeon(surgery) => self.surgery_ends(surgery, outcome),
        }
        self.moment(Moment::Finished, by);
    }

    /// What an order does to its target's power: what a fence says, and what a rung says that is to
    /// bring about a reboot.
    fn power_of(&self, order: &WorkOrder) -> Option<Power> {
        if let Work::Fence { power, .. } = order.work {
            return Some(power);
        }
        let incident = self.raft.truth.incidents().get(&order.incident)?;
        let attempt = incident.attempts.iter().find(|given| given.number == order.attempt)?;
        let rung = incident.rung(attempt.rung).filter(|_| attempt.part == Part::Act)?;
        rung.reboot.then_some(Power::Reboot)
    }

    /// The target goes down, and comes up well.
    fn reboot(&mut self, execution: &Execution) {
        self.power_off(execution.target);
        if let Some(check) = &execution.check {
            self.broken.remove(&(execution.target, check.clone()));
        }
        self.left_alone.remove(&execution.target);
        if let Some(place) = self.order.iter().position(|peer| *peer == execution.target) {
            self.after(BOOT_TAKES, Event::Deed(Box::new(Deed::Start(Who::Peer(place)))));
        }
    }

    fn repair(&mut self, execution: &Execution) {
        if self.alert_is_mended(execution) {
            return;
        }
        match &execution.check {
            Some(check) => {
                self.broken.remove(&(execution.target, check.clone()));
                self.note(execution.target, &format!("{check} works again"));
                self.tell(execution.target, Mark::Mended, &format!("{check} works again"));
            }
            None => {
                self.left_alone.remove(&execution.target);
                self.start(execution.target);
            }
        }
    }

    /// What becomes of a host's programs when its daemon dies; all of them when the host does.
    pub(super) fn end_executions(&mut self, peer: PeerId, all: bool) {
        let under_way: Vec<(IncidentId, u32)> = self
            .executions
            .iter()
            .filter(|(_, execution)| self.host_of(&execution.worker) == peer)
            .map(|(key, _)| *key)
            .collect();
        for key in under_way {
            if all || self.random.percent(50) {
                self.executions.remove(&key);
                self.note(peer, &format!("{}/{} dies with it", key.0, key.1));
                let what = format!("attempt {} of {} dies with it", key.1, key.0);
                self.tell(peer, Mark::Acted, &what);
            }
        }
    }

    /// What a surgeon runs dies with it; where it had done its work, that is done.
    pub(super) fn end_surgery(&mut self, guest: PeerId, who: &SurgeonId, has_done: bool) {
        let is_its = |execution: &Execution| match &execution.worker {
            Worker::Surgeon(surgery) => surgery.is_of(who),
            Worker::Daemon(_) => false,
        };
        let under_way = self.executions.iter().find(|(_, execution)| is_its(execution));
        let Some((key, execution)) = under_way.map(|(key, one)| (*key, one.clone())) else {
            return;
        };
        self.executions.remove(&key);
        self.note(guest, &format!("{}/{} dies with it", key.0, key.1));
        let what = format!("attempt {} of {} dies with it", key.1, key.0);
        self.tell(guest, Mark::Acted, &what);
        if has_done && execution.helps {
            self.repair(&execution);
        }
    }

    pub(super) fn take_evidence(
        &mut self,
        daemon: Daemon,
        incident: IncidentId,
        steps: &[EvidenceStep],
    ) {
        let mut takes = Duration::ZERO;
        for step in steps {
            takes += self.random.millis(10, 400).min(step.timeout);
        }
        // In chaos it comes to nothing now and then: its deadline has to pass.
        let is_lost = self.story.chaos.is_some() && self.random.percent(3);
        if !is_lost {
            self.after(takes, Event::EvidenceReady(daemon, incident));
        }
    }

    pub(super) fn evidence_ready(&mut self, daemon: Daemon, incident: IncidentId) {
        let evidence = EvidenceSummary {
            hash: Sha256::digest(incident.to_string()).into(),
            bytes: 1_000,
            taken_by: daemon.peer,
            steps_failed: 0,
            keepers: Vec::new(),
        };
        self.give(daemon, Input::EvidenceTaken { incident, evidence });
    }
}
