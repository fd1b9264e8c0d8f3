//! Carrying out what the agent wants: each output in a task of its own, its result an input.

use super::{
    Daemon, evidence, execution,
    forward::{self, Ask, Reply},
    ground,
};
use crate::exec::{check::run_check, environment::Environment, notice, started::Recorded, webhook};
use crate::net::{Probed, StreamKind};
use consensus::aside;
use protocol::{
    agent::{Again, Input, Message, NotTaken, Output, voters::MemberChange},
    codec,
    document::{CheckIn, CheckInMethod, Notifier},
    name::{IncidentId, PeerId, RaftId},
    record::{AttemptReport, Entry, Outcome, Seen},
    report::{Report, SignedReport},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

/// How long a direct probe may take. Three round trips of a bad line; a host that is slower than
/// this to say a few bytes is not well.
pub(super) const PROBE_WITHIN: Duration = Duration::from_millis(600);

/// How long a witness may take: its own probe and the way there and back.
const WITNESS_WITHIN: Duration = Duration::from_millis(850);

/// How long the leader is told of a change directly before that is left to gossip.
const TELL_WITHIN: Duration = Duration::from_secs(1);

/// For how long a leader that has stepped down does not stand for election.
const STEPPED_DOWN_FOR: Duration = Duration::from_secs(10);

/// How long a fact is carried about until it has found the leader.
const FORWARD_WITHIN: Duration = Duration::from_secs(5);

/// Begins to carry out an output.
pub(super) fn carry_out(daemon: &Arc<Daemon>, output: Output) {
    let shared = Arc::clone(daemon);
    daemon.work.spawn(async move {
        if let Some(input) = result_of(&shared, output).await {
            shared.tell(input).await;
        }
    });
}

async fn result_of(daemon: &Arc<Daemon>, output: Output) -> Option<Input> {
    if let Some(hands) = daemon.ground.hands.as_ref().filter(|_| ground::is_by_hand(&output)) {
        return hands.carry_out(output, &|| daemon.log_now()).await;
    }
    match output {
        Output::RunCheck { check, variables } => {
            let environment = Environment::from(variables);
            let tools = daemon.tools();
            let run = run_check(&check, &environment, &tools);
            let mut run = tokio::select! {
                run = run => run,
                () = daemon.break_off.cancelled() => return None,
            };
            daemon.judge_habits(&check, &mut run);
            let (verdict, summary) = (run.verdict, run.summary);
            Some(Input::CheckRan { check: check.name, verdict, summary })
        }
        Output::Publish(report) => {
            publish(daemon, report).await;
            None
        }
        Output::Watch { peers } => {
            daemon.watched.send_replace(peers);
            None
        }
        Output::Suspect { peer, seen } => {
            tell_leader(daemon, &Ask::Suspect(peer, seen)).await;
            None
        }
        Output::StepDown { why } => {
            tracing::warn!(%why, "this leader steps down");
            daemon.consensus.step_down(STEPPED_DOWN_FOR);
            None
        }
        Output::Probe { peer } => Some(Input::Probed { peer, seen: probe(daemon, peer).await }),
        Output::AskWitness { witness, peer } => {
            let seen = ask_witness(daemon, witness, peer).await;
            Some(Input::Testified { witness, peer, seen })
        }
        Output::Propose { proposal, entry } => {
            let result = daemon.consensus.propose(entry).await;
            if let Ok((_, Err(refusal))) = &result {
                tracing::info!(?proposal, %refusal, "the log refused a decision");
            }
            Some(Input::Proposed { proposal, result: result.map_err(|error| error.to_string()) })
        }
        Output::Forward { forwarding, entry } => {
            let result = forward::to_leader(daemon, entry, FORWARD_WITHIN).await;
            if let Ok((_, Err(refusal))) = &result {
                tracing::warn!(?forwarding, %refusal, "the log refused what this peer says");
            }
            let result = result.map(|(_, outcome)| outcome).map_err(|error| error.to_string());
            Some(Input::Forwarded { forwarding, result })
        }
        Output::RecordStart { incident, attempt } => {
            Some(record_start(daemon, incident, attempt).await)
        }
        Output::Execute(order) => Some(execution::execute(daemon, order).await),
        Output::TakeEvidence { incident, steps, variables, keepers } => {
            let environment = Environment::from(variables);
            let taken = evidence::take(daemon, incident, &steps, &environment, keepers);
            tokio::select! {
                taken = taken => Some(taken),
                () = daemon.break_off.cancelled() => None,
            }
        }
        Output::Notify { notifier, message } => {
            let (incident, notice) = (message.incident, message.notice);
            let result = notify(daemon, &notifier, &message).await;
            if let Err(error) = &result {
                let again = match error.again {
                    Again::Later | Again::After(_) => "it will be sent again",
                    Again::Never => "it will not be sent again",
                };
                let reason = &error.why;
                tracing::warn!(%incident, notifier = %message.notifier, %reason, "a notice was not taken; {again}");
            }
            Some(Input::NoticeSent { incident, notice, result })
        }
        Output::CheckIn(called) => {
            let result = check_in(daemon, &called).await;
            if let Err(reason) = &result {
                tracing::warn!(%reason, "the outside dead-man's switch did not take the call; it is called again");
            }
            Some(Input::CheckedIn(result))
        }
        Output::ChangeMembers(change) => {
            tracing::info!(?change, "changing the members of the Raft group");
            let learns = daemon.standing().learners;
            let result = daemon.consensus.change(members(change, &learns)).await;
            if let Err(error) = &result {
                tracing::info!(%error, "the members were not changed; it is tried again");
            }
            Some(Input::MembersChanged(result.map_err(|error| error.to_string())))
        }
    }
}

fn members(change: MemberChange, learners: &BTreeMap<PeerId, RaftId>) -> consensus::MemberChange {
    use consensus::MemberChange as Wanted;
    match change {
        MemberChange::AddLearner(peer, raft_id) => Wanted::AddLearner { peer, raft_id },
        MemberChange::Promote(peer, raft_id) => Wanted::Promote { peer, raft_id },
        MemberChange::Remove(peer, raft_id) if learners.get(&peer) == Some(&raft_id) => {
            Wanted::RemoveLearner { peer, raft_id }
        }
        MemberChange::Remove(peer, raft_id) => Wanted::Demote { peer, raft_id },
    }
}

/// Signs a report, lets gossip carry it, and tells the leader at once.
async fn publish(daemon: &Daemon, report: Report) {
    let signature = daemon.identity.get().sign(&report.signed_bytes()).to_vec();
    let signed = SignedReport { report, signature };
    daemon.gossip.publish(&signed).await;
    tell_leader(daemon, &Ask::Hear(signed)).await;
}

/// Tells the leader something that is told again, or by gossip, if it does not hear it.
async fn tell_leader(daemon: &Daemon, ask: &Ask) {
    let Some(leader) = daemon.standing().leader.filter(|leader| *leader != daemon.me) else {
        return;
    };
    let ask = codec::encode(ask);
    let told = daemon.net().request(leader, StreamKind::Forward, &ask, TELL_WITHIN).await;
    if let Err(error) = told {
        tracing::debug!(%leader, %error, "the leader was not told directly");
    }
}

/// Probes a peer directly.
pub(super) async fn probe(daemon: &Daemon, peer: PeerId) -> Seen {
    match daemon.net().probe(peer, PROBE_WITHIN).await {
        Probed::Reached { .. } => Seen::Reached,
        Probed::Refused => Seen::Refused,
        Probed::NoAnswer => Seen::NoAnswer,
        Probed::Heard => Seen::Heard,
    }
}

async fn ask_witness(daemon: &Daemon, witness: PeerId, peer: PeerId) -> Option<Seen> {
    let ask = codec::encode(&Ask::Probe(peer));
    let answer =
        daemon.net().request(witness, StreamKind::Forward, &ask, WITNESS_WITHIN).await.ok()?;
    match codec::decode::<Reply>(&answer) {
        Ok(Reply::Saw(seen)) => Some(seen),
        Ok(_) | Err(_) => None,
    }
}

async fn record_start(daemon: &Arc<Daemon>, incident: IncidentId, attempt: u32) -> Input {
    let journal = Arc::clone(&daemon.journal);
    let recorded = aside(move || {
        journal.lock().unwrap_or_else(PoisonError::into_inner).record(incident, attempt)
    })
    .await;
    let problem = match recorded {
        Ok(Ok(Recorded::Started)) => return Input::StartRecorded { incident, attempt },
        Ok(Ok(Recorded::Already)) => "it was started before".to_owned(),
        Ok(Ok(Recorded::Superseded { by })) => format!("attempt {by} was started after it"),
        Ok(Err(error)) => format!("the start could not be written to disk: {error}"),
        Err(error) => format!("the start could not be written to disk: {error}"),
    };
    tracing::error!(%incident, attempt, %problem, "an attempt was not started");
    let report = AttemptReport {
        outcome: Outcome::Refused,
        exit_code: None,
        started_at: None,
        finished_at: daemon.log_now(),
        output: problem,
    };
    Input::Finished { incident, attempt, report }
}

async fn notify(
    daemon: &Daemon,
    notifier: &Notifier,
    message: &Message,
) -> Result<String, NotTaken> {
    let (http, secrets) = (&daemon.http, &daemon.secrets);
    let sent = notice::send(http, secrets, notifier, message, &daemon.break_off).await;
    // What a server or a program says goes to the log: no secret does.
    let mask = secrets.mask();
    sent.map(|said| mask.apply(said)).map_err(|error| {
        let not_taken = notice::not_taken(&notifier.channel, &error);
        NotTaken { why: mask.apply(not_taken.why), ..not_taken }
    })
}

/// Calls the outside dead-man's switch. The call says nothing of the mesh: its address is all that
/// the other side has to know.
async fn check_in(daemon: &Daemon, called: &CheckIn) -> Result<(), String> {
    let method = match called.method {
        CheckInMethod::Get => reqwest::Method::GET,
        CheckInMethod::Post => reqwest::Method::POST,
    };
    let within = webhook::TIMEOUT.min(called.every);
    let answered = webhook::call(&daemon.http, method, &called.url, within).await;
    answered.map(|_status| ()).map_err(|error| error.to_string())
}

/// Proposes an entry here, as the leader, after looking whether its sender may.
pub(super) async fn propose_for(
    daemon: &Daemon,
    from: PeerId,
    entry: Entry,
) -> Result<Reply, String> {
    if let Err(refusal) = protocol::ledger::may_forward(from, &entry) {
        return Ok(Reply::Proposed(None, Err(refusal)));
    }
    // The leader stamps: no other host's clock reaches the log.
    let entry = Entry { at: daemon.log_now(), ..entry };
    match daemon.consensus.propose(entry).await {
        Ok((position, outcome)) => Ok(Reply::Proposed(Some(position), outcome)),
        Err(consensus::ProposeError::NotLeader { leader }) => Ok(Reply::NotLeader(leader)),
        Err(error) => Err(error.to_string()),
    }
}
