//! What becomes of an agent's outputs: hosts that do as they are told.

use super::{Driver, Effect, id, number, sign_report};
use protocol::{
    agent::{Input, NotTaken, Output, WorkOrder, voters::MemberChange},
    document::{Probe, Verdict},
    ledger,
    name::PeerId,
    record::{AttemptReport, EvidenceSummary, Outcome, Seen},
    time::Timestamp,
};

impl Driver {
    pub(super) fn carry_out(&mut self, n: u64, output: Output) {
        let answer = match output {
            Output::RunCheck { check, .. } => {
                let host = &self.hosts[&n];
                let (verdict, summary) = if let Probe::Alert(probe) = &check.probe {
                    host.agent.judge_alerts(probe, self.clock(n))
                } else {
                    (host.finds(check.name.as_str()), "as it is".to_owned())
                };
                Input::CheckRan { verdict, check: check.name, summary }
            }
            Output::Publish(report) => {
                for other in self.others(n) {
                    self.queue.push_back((other, Input::Heard(sign_report(n, report.clone()))));
                }
                return;
            }
            // Only some tests say what the watch sees.
            Output::Watch { .. } => return,
            Output::Suspect { peer, seen } => {
                if let Some(leader) = self.leader {
                    self.queue.push_back((leader, Input::Suspected { peer, seen }));
                }
                return;
            }
            Output::StepDown { .. } => {
                self.leader = None;
                self.tell_standing();
                return;
            }
            Output::Probe { peer } => Input::Probed { peer, seen: self.seen(n, peer) },
            Output::AskWitness { witness, peer } => {
                let m = number(witness);
                let seen = self.hosts[&m].up.then(|| self.seen(m, peer));
                Input::Testified { witness, peer, seen }
            }
            Output::Propose { proposal, entry } => {
                let result = if self.leader == Some(n) {
                    Ok(self.commit(entry))
                } else {
                    Err("not the leader".to_owned())
                };
                Input::Proposed { proposal, result }
            }
            Output::Forward { forwarding, entry } => {
                let allowed = ledger::may_forward(id(n), &entry);
                let result = match (self.leader, allowed) {
                    (None, _) => Err("no leader".to_owned()),
                    (Some(_), Err(refusal)) => Ok(Err(refusal)),
                    (Some(_), Ok(())) => Ok(self.commit(entry).1),
                };
                Input::Forwarded { forwarding, result }
            }
            Output::RecordStart { incident, attempt } => {
                if !self.hosts[&n].disk {
                    return;
                }
                let first = self.host(n).started.insert((incident, attempt));
                assert!(first, "attempt {attempt} of {incident} is started twice");
                Input::StartRecorded { incident, attempt }
            }
            Output::Execute(order) => match self.execute(&order) {
                Some(input) => input,
                None => return,
            },
            Output::TakeEvidence { incident, .. } => Input::EvidenceTaken {
                incident,
                evidence: EvidenceSummary {
                    hash: [1; 32],
                    bytes: 1,
                    taken_by: id(n),
                    steps_failed: 0,
                    keepers: Vec::new(),
                },
            },
            Output::Notify { .. } if !self.channel_answers => return,
            Output::Notify { message, .. } => Input::NoticeSent {
                incident: message.incident,
                notice: message.notice,
                result: match (self.channel, self.refusing.get(message.notifier.as_str())) {
                    (Err(()), _) => Err(NotTaken::this_time("503")),
                    (Ok(()), Some(refusal)) => Err(refusal.clone()),
                    (Ok(()), None) => Ok("200".to_owned()),
                },
            },
            Output::CheckIn(_) => Input::CheckedIn(match self.switch {
                Ok(()) => Ok(()),
                Err(()) => Err("503".to_owned()),
            }),
            Output::ChangeMembers(change) => {
                self.change(change);
                Input::MembersChanged(Ok(()))
            }
        };
        self.queue.push_back((n, answer));
    }

    fn change(&mut self, change: MemberChange) {
        match change {
            MemberChange::AddLearner(peer, raft_id) => {
                self.learners.insert(peer, raft_id);
            }
            MemberChange::Promote(peer, raft_id) => {
                self.learners.remove(&peer);
                self.voters.insert(peer, raft_id);
            }
            MemberChange::Remove(peer, _) => {
                self.learners.remove(&peer);
                self.voters.remove(&peer);
            }
        }
        self.tell_standing();
    }

    fn seen(&self, witness: u64, peer: PeerId) -> Seen {
        let truth = if self.hosts[&number(peer)].up { Seen::Reached } else { Seen::NoAnswer };
        let lies = self.lied_about.is_empty() || self.lied_about.contains(&number(peer));
        self.lies.get(&witness).copied().filter(|_| lies).unwrap_or(truth)
    }

    fn execute(&mut self, order: &WorkOrder) -> Option<Input> {
        let rung = rung_of(order);
        let effect = *self.effects.get(&rung)?;
        let target = order.variables["HEARTEN_PEER"].clone();
        let outcome = match effect {
            Effect::Hangs => return None,
            Effect::Fails => Outcome::Failed,
            Effect::InVain => Outcome::Succeeded,
            Effect::HealsAll => {
                for host in self.hosts.values_mut() {
                    host.verdict = Verdict::Pass;
                    host.findings.clear();
                }
                Outcome::Succeeded
            }
            Effect::Heals => {
                let n: u64 = target.trim_start_matches("web-").parse().expect("a number");
                self.host(n).verdict = Verdict::Pass;
                if !self.hosts[&n].up {
                    self.restart(n);
                }
                Outcome::Succeeded
            }
        };
        let finished_at = Timestamp::from_millis(self.now);
        let report = AttemptReport {
            outcome,
            exit_code: Some(0),
            started_at: Some(finished_at),
            finished_at,
            output: String::new(),
        };
        Some(Input::Finished { incident: order.incident, attempt: order.attempt, report })
    }
}

/// What is executed: a rung, or `undo restart`.
pub(super) fn rung_of(order: &WorkOrder) -> String {
    let rung = &order.variables["HEARTEN_RUNG"];
    match order.variables.get("HEARTEN_PART") {
        Some(part) => format!("{part} {rung}"),
        None => rung.clone(),
    }
}
