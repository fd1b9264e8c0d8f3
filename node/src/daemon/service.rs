//! What the daemon says to operators, through the control socket.
//!
//! Looking is answered from the agent's own knowledge. What changes something travels signed to
//! the leader, wherever it is; the answer comes when the log has it and this peer has seen it.

use super::{
    Daemon, evidence,
    forward::{self, Ask, Reply},
    removal, signal,
};
use crate::{
    control::{
        self, Exit, Failure, Request, Service, answers,
        views::{StreamsView, TrialView, effect, pause_heartbeat},
    },
    exec::{check::run_check, environment::Environment},
    setup::data_dir,
};
use async_trait::async_trait;
use protocol::{
    agent::{Input, trial::NoTrial},
    document::bundle::SignedBundle,
    ledger::{Effect, roster::Standing as Running},
    name::Name,
    order::SignedOrder,
    record::{Entry, Position, Record},
    refusal::Refusal,
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// How long a command waits for the leader: an election and a commit.
const COMMAND_WITHIN: Duration = Duration::from_secs(8);

/// How long a command waits until this peer has seen what was committed.
const SEEN_WITHIN: Duration = Duration::from_secs(3);

/// How long a daemon that has left takes to answer its operator before it ends.
const ANSWER_FIRST: Duration = Duration::from_millis(200);

/// How often a peer that leaves asks whether it has left, when the log does not tell it.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// How long a voter may take to answer that.
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// Serves operators until the daemon stops.
pub(super) async fn serve(daemon: Arc<Daemon>, listener: control::server::Listener) {
    let stop = daemon.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = listener.serve(Arc::new(Operators(daemon))) => {}
    }
}

/// Listens for operators.
///
/// # Errors
/// What the system said.
pub(super) fn listen(data: &std::path::Path) -> std::io::Result<control::server::Listener> {
    control::server::Listener::bind(&data_dir::control_path(data))
}

struct Operators(Arc<Daemon>);

#[async_trait]
impl Service for Operators {
    async fn call(&self, request: Request) -> Result<Value, Failure> {
        let daemon = &self.0;
        // A list of a large mesh takes a tenth of a second, in which the network must not wait.
        let (asked, request) = (Arc::clone(daemon), request);
        let looking = tokio::task::spawn_blocking(move || {
            let (now, counters) = (asked.now(), asked.counters());
            let known = answers::read(&asked.agent(), now, &counters, &request);
            (known, request)
        });
        let (known, request) = looking.await.map_err(|error| {
            Failure::new(Exit::Failed, format!("the daemon could not look it up: {error}"))
        })?;
        if let Some(answer) = known {
            let mut answer = answer?;
            if matches!(request, Request::Status) {
                // Of this host alone, which the agent knows nothing of.
                answer["http_problem"] = json!(*daemon.http_problem());
            }
            return Ok(answer);
        }
        match request {
            Request::Apply { bundle } => apply(daemon, bundle).await,
            Request::Order { order } => give_order(daemon, order).await,
            Request::Leave => leave(daemon).await,
            Request::Evidence { id } => answers::json(&evidence::read(daemon, id).await?),
            Request::RunCheck { name } => try_check(daemon, &name).await,
            Request::PauseHeartbeat { name, pauses } => pause(daemon, &name, pauses).await,
            Request::Signal { signal } => signal::take(daemon, signal).await,
            Request::Streams => streams(daemon).await,
            Request::Checks
            | Request::Status
            | Request::Peers
            | Request::Peer { .. }
            | Request::Incidents { .. }
            | Request::Incident { .. }
            | Request::Explain { .. }
            | Request::WhyNot { .. }
            | Request::Documents
            | Request::Document { .. }
            | Request::History
            | Request::Mesh
            | Request::Preview { .. }
            | Request::Difference { .. }
            | Request::Rollback { .. }
            | Request::Runbooks
            | Request::Plan { .. }
            | Request::Maintenances
            | Request::Alerts
            | Request::Guests
            | Request::Heartbeats
            | Request::Heartbeat { .. }
            | Request::RaftMembers
            | Request::Counters => unreachable!("these are answered from what is known"),
        }
    }
}

/// How far streams are read; the leader alone knows what keeps it from reading.
async fn streams(daemon: &Daemon) -> Result<Value, Failure> {
    let troubles = match forward::ask_leader(daemon, &Ask::Troubles, ASK_WITHIN).await {
        Ok(Reply::Troubles(told)) => Some(told),
        Ok(_) | Err(_) => None,
    };
    let leader = daemon.standing().leader;
    let agent = daemon.agent();
    let reader = leader.map(|leader| agent.ledger().roster().name(leader));
    answers::json(&StreamsView::of(&agent, reader, troubles.as_deref()))
}

/// Runs a check once, as at its turn; what it says is shown and counts for nothing else.
async fn try_check(daemon: &Daemon, name: &Name) -> Result<Value, Failure> {
    let (tried, count, peer) = {
        let agent = daemon.agent();
        let tried = agent.trial(name);
        let count = tried.as_ref().ok().and_then(|(check, _)| agent.count(check));
        (tried, count, agent.card().name.to_string())
    };
    let (check, variables) = tried.map_err(|why| {
        let exit = match &why {
            NoTrial::Unknown { .. } => Exit::NotFound,
            NoTrial::NotMeant { .. } | NoTrial::NotAuthorised { .. } => Exit::NotAllowed,
        };
        Failure::new(exit, why.to_string())
    })?;
    let view = match count {
        Some(count) => TrialView::of_count(&check, &peer, &count),
        None => {
            let (environment, tools) = (Environment::from(variables), daemon.tools());
            // What its author has just changed has to be seen.
            tools.facts.forget();
            let mut run = tokio::select! {
                run = run_check(&check, &environment, &tools) => run,
                () = daemon.break_off.cancelled() => {
                    return Err(Failure::unavailable("the daemon is stopping"));
                }
            };
            // Judged as at its turn, and nothing is learned from it.
            let (at, habits) = (daemon.now().wall, daemon.habits().clone());
            let said = (run.verdict, run.summary.as_str());
            (run.verdict, run.summary) = habits.clone().judge(&check, said, &run.data, at);
            TrialView::of(&check, &peer, &environment, run)
                .with_expected(&habits.expected(&check, at), check.unusual.as_ref())
        }
    };
    serde_json::to_value(view).map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

pub(super) async fn commit(
    daemon: &Daemon,
    record: Record,
) -> Result<(Option<Position>, protocol::ledger::Outcome), Failure> {
    let term = daemon.standing().term;
    let entry = Entry { at: daemon.log_now(), by: daemon.me, term, record };
    let sent = forward::to_leader(daemon, entry, COMMAND_WITHIN).await;
    sent.map_err(|error| Failure::unavailable(error.to_string()))
}

async fn apply(daemon: &Daemon, bundle: SignedBundle) -> Result<Value, Failure> {
    let number = bundle.bundle.revision;
    let record = Record::DocumentsApplied { bundle: bundle.clone() };
    let (position, outcome) = commit(daemon, record).await?;
    seen(daemon, position).await;
    let revision = match outcome {
        Ok(Effect::Revision(revision)) => revision,
        Ok(Effect::Done | Effect::Opened(_) | Effect::PassedOver(_)) => number,
        // The first answer was lost on its way and the bundle was carried again.
        Err(Refusal::RevisionConflict { .. }) if is_applied(daemon, &bundle) => number,
        Err(refusal) => return Err(refusal.into()),
    };
    effect(&Ok(Effect::Revision(revision)))
}

fn is_applied(daemon: &Daemon, bundle: &SignedBundle) -> bool {
    let agent = daemon.agent();
    let revision = agent.ledger().library().revision_numbered(bundle.bundle.revision);
    revision.is_some_and(|revision| revision.bundle == *bundle)
}

async fn give_order(daemon: &Daemon, order: SignedOrder) -> Result<Value, Failure> {
    let nonce = order.order.nonce;
    let is_repeated = daemon.agent().ledger().has_carried_out(nonce);
    let (position, outcome) = commit(daemon, Record::Ordered { order }).await?;
    seen(daemon, position).await;
    match outcome {
        // The first answer was lost on its way and the order was carried to the leader again.
        Err(Refusal::OrderSpent) if !is_repeated => effect(&Ok(Effect::Done)),
        outcome => effect(&outcome),
    }
}

async fn pause(daemon: &Daemon, name: &str, pauses: bool) -> Result<Value, Failure> {
    let record = pause_heartbeat(&daemon.agent(), name, pauses)?;
    let (position, outcome) = commit(daemon, record).await?;
    seen(daemon, position).await;
    effect(&outcome)
}

async fn leave(daemon: &Daemon) -> Result<Value, Failure> {
    let standing = daemon.standing();
    let others = daemon.agent().ledger().roster().members().count() > 1;
    if others && standing.voters.len() == 1 && standing.voters.contains_key(&daemon.me) {
        return Err(Failure::new(
            Exit::Conflict,
            "this peer holds the only copy of the log that counts, and other peers depend on it: let a third peer join first, so that others vote, or stop it with SIGTERM",
        ));
    }
    daemon.leaves.store(true, Ordering::Relaxed);
    daemon.tell(Input::Stopping { for_good: true }).await;
    let left = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            let agent = daemon.agent();
            let member = agent.ledger().roster().ever(daemon.me);
            if member.is_some_and(|member| member.standing == Running::Left) {
                return;
            }
        }
    };
    let gone = async {
        tokio::select! {
            () = left => {}
            () = released(daemon) => {
                let end = daemon.released.clone();
                // The operator is answered first.
                tokio::spawn(async move {
                    tokio::time::sleep(ANSWER_FIRST).await;
                    end.cancel();
                });
            }
        }
    };
    match tokio::time::timeout(COMMAND_WITHIN, gone).await {
        Ok(()) => effect(&Ok(Effect::Done)),
        Err(_elapsed) => Err(Failure::unavailable(
            "the mesh could not be told: there is no leader; the peer leaves as soon as there is one",
        )),
    }
}

/// Waits until a voter says that this peer, which has asked to leave, is in the roster no more.
///
/// The voters cut it off as soon as they know, often before they have sent it the record that says
/// so; after that the log cannot tell it any more.
async fn released(daemon: &Daemon) {
    loop {
        tokio::time::sleep(ASK_AGAIN).await;
        for voter in daemon.standing().voters.into_keys().filter(|voter| *voter != daemon.me) {
            if removal::says_so(daemon, voter).await {
                return;
            }
        }
    }
}

/// Waits until this peer has seen what was committed, so that the next look shows it.
pub(super) async fn seen(daemon: &Daemon, position: Option<Position>) {
    let Some(position) = position else { return };
    let caught_up = async {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        while daemon.agent().ledger().position().index < position.index {
            tick.tick().await;
        }
    };
    if tokio::time::timeout(SEEN_WITHIN, caught_up).await.is_err() {
        tracing::debug!("this peer is behind the log: a command's effect may not be seen yet");
    }
}
