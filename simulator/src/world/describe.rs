//! One line for everything that happens, for the trace.

use protocol::{
    agent::{Input, Output},
    ledger::Ledger,
    record::{Because, Entry, Position, Record},
    report::Report,
};

/// What an agent is told.
pub(crate) fn input(input: &Input) -> String {
    match input {
        Input::Tick => "tick".to_owned(),
        Input::Standing(standing) => {
            let leader = standing.leader.map_or_else(|| "nobody".to_owned(), |l| l.to_string());
            let leads = if standing.leads { ", it leads" } else { "" };
            let voters = standing.voters.len();
            format!("standing: term {}, leader {leader}{leads}, {voters} voters", standing.term)
        }
        Input::Committed { position, entry } => committed(*position, entry.as_ref()),
        Input::Restored(ledger) => restored(ledger),
        Input::CheckRan { check, verdict, .. } => format!("check {check}: {}", verdict.as_str()),
        Input::Heard(signed) => heard(&signed.report),
        Input::Liveness { peer, alive } => {
            format!("gossip: {peer} {}", if *alive { "is alive" } else { "is suspect" })
        }
        Input::Watched { peer, seen } => format!("watch: {peer} {seen:?}"),
        Input::Suspected { peer, seen } => format!("told of {peer}: {seen:?}"),
        Input::Late { what } => format!("late: {what}"),
        Input::Probed { peer, seen } => format!("probed {peer}: {seen:?}"),
        Input::Testified { witness, peer, seen } => {
            format!("{witness} testifies of {peer}: {seen:?}")
        }
        Input::Proposed { proposal, result } => format!("proposed {proposal:?}: {result:?}"),
        Input::Forwarded { forwarding, result } => format!("forwarded {forwarding:?}: {result:?}"),
        Input::StartRecorded { incident, attempt } => {
            format!("start recorded {incident}/{attempt}")
        }
        Input::Finished { incident, attempt, report } => {
            format!("finished {incident}/{attempt}: {}", report.outcome.as_str())
        }
        Input::EvidenceTaken { incident, .. } => format!("evidence taken {incident}"),
        Input::NoticeSent { incident, notice, result } => {
            format!("notice {notice} of {incident} sent: {result:?}")
        }
        Input::CheckedIn(result) => format!("checked in: {result:?}"),
        Input::MembersChanged(result) => format!("members changed: {result:?}"),
        Input::Facts(_) => "facts".to_owned(),
        Input::Configured { labels, .. } => format!("configured {labels:?}"),
        Input::Stopping { for_good } => format!("stopping, for good: {for_good}"),
    }
}

/// That an agent is given an entry of the log.
pub(crate) fn committed(position: Position, entry: Option<&Entry>) -> String {
    let what = entry.map_or_else(|| "blank".to_owned(), self::entry);
    format!("committed {}.{} {what}", position.term, position.index)
}

/// That an agent is given a whole ledger.
pub(crate) fn restored(ledger: &Ledger) -> String {
    format!("restored to {}", ledger.position().index)
}

/// That an agent hears of a report.
pub(crate) fn heard(report: &Report) -> String {
    format!("heard {} {}.{}", report.peer, report.generation, report.sequence)
}

/// What an agent wants done.
pub(crate) fn output(output: &Output) -> String {
    match output {
        Output::RunCheck { check, .. } => format!("run check {}", check.name),
        Output::Publish(report) => {
            let checks: Vec<String> = report
                .checks
                .iter()
                .map(|(name, state)| format!("{name} {}", state.verdict.as_str()))
                .collect();
            format!("publish {}.{} {}", report.generation, report.sequence, checks.join(", "))
        }
        Output::Watch { peers } => format!("watch {} peers", peers.len()),
        Output::Suspect { peer, seen } => format!("suspect {peer}: {seen:?}"),
        Output::StepDown { why } => format!("step down: {why}"),
        Output::Probe { peer } => format!("probe {peer}"),
        Output::AskWitness { witness, peer } => format!("ask {witness} about {peer}"),
        Output::Propose { entry, .. } => format!("propose {}", self::entry(entry)),
        Output::Forward { entry, .. } => format!("forward {}", self::entry(entry)),
        Output::RecordStart { incident, attempt } => format!("record start {incident}/{attempt}"),
        Output::Execute(order) => format!("EXECUTE {}/{}", order.incident, order.attempt),
        Output::TakeEvidence { incident, .. } => format!("take evidence {incident}"),
        Output::Notify { message, .. } => {
            format!("notify {} of {}: {}", message.notice, message.incident, message.text)
        }
        Output::CheckIn(called) => format!("call the switch at {}", called.url),
        Output::ChangeMembers(change) => format!("change members {change:?}"),
    }
}

/// An entry of the log.
pub(crate) fn entry(entry: &Entry) -> String {
    let what = match &entry.record {
        Record::Founded(_) => "founded".to_owned(),
        Record::Ordered { order } => format!("ordered {:?}", order.order.action),
        Record::PeerJoined { peer, .. } => format!("{} joined", peer.name),
        Record::PeerStarted { peer } => format!("{} started, time {}", peer.name, peer.generation),
        Record::PeerStopped { peer } => format!("{peer} stopped"),
        Record::PeerLeft { peer } => format!("{peer} left"),
        Record::DocumentsApplied { bundle } => format!("documents {}", bundle.bundle.revision),
        Record::Opened { peer, because } => {
            let why = match because {
                Because::Check { check, .. } => format!("check {check}"),
                Because::Silent { kind, witnesses, .. } => {
                    format!("{} for {} witnesses", kind.as_str(), witnesses.len())
                }
                Because::Ladder { ladder, level, .. } => format!("ladder {ladder}, level {level}"),
                Because::Operator { runbook, .. } => format!("runbook {runbook} as ordered"),
                Because::Job { check, job, .. } => format!("check {check}, job {job}"),
                Because::Untold { notifier, .. } => format!("notifier {notifier} is given up"),
                Because::Storm { silent, cause, .. } => {
                    format!("a storm, {} silent, cause {}", silent.len(), cause.as_str())
                }
            };
            format!("opened: {peer}, {why}")
        }
        Record::EvidenceTaken { incident, .. } => format!("evidence of {incident}"),
        Record::Assigned { incident, attempt, rung, part, worker, .. } => {
            let part = part.as_str();
            format!("assigned {incident}/{attempt}, {part} of rung {rung}, to {worker}")
        }
        Record::Skipped { incident, rung, refusal } => {
            format!("skipped rung {rung} of {incident}: {refusal}")
        }
        Record::Restarted { incident } => format!("restarted {incident}"),
        Record::CalledAgain { incident, notifier } => {
            format!("called again about {incident} by {notifier}")
        }
        Record::Booted { peer, boot_id } => format!("booted {peer} {boot_id}"),
        Record::Alerted { words } => format!("alerted {} words", words.len()),
        Record::JobsTold { words, .. } => format!("jobs told {} words", words.len()),
        Record::Missed { jobs } => format!("missed {} jobs", jobs.len()),
        Record::Forgotten { jobs } => format!("forgotten {} jobs", jobs.len()),
        Record::Listening => "listening".to_owned(),
        Record::Streamed { batch } => {
            let (stream, partition, words) = (&batch.stream, batch.partition, batch.words.len());
            format!("streamed {words} words of {stream}/{partition}, next is {}", batch.next)
        }
        Record::Claimed { incident, attempt, .. } => format!("claimed {incident}/{attempt}"),
        Record::Operated { report, .. } => format!("operated: {}", report.outcome.as_str()),
        Record::Withdrawn { incident, attempt, reason } => {
            format!("withdrawn {incident}/{attempt}: {reason}")
        }
        Record::NotRebooted { incident, attempt } => format!("not rebooted {incident}/{attempt}"),
        Record::Reported { incident, attempt, report } => {
            format!("reported {incident}/{attempt}: {}", report.outcome.as_str())
        }
        Record::Lost { incident, attempt, .. } => format!("lost {incident}/{attempt}"),
        Record::Held { incident, refusal } => format!("held {incident}: {refusal}"),
        Record::Resolved { incident, because } => format!("resolved {incident}: {because}"),
        Record::Escalated { incident, reason } => format!("escalated {incident}: {reason}"),
        Record::Called { incident, rung } => format!("called for {incident}, rung {rung}"),
        Record::Notified { incident, notice, delivered, .. } => {
            format!("notified {notice} of {incident}, delivered: {}", delivered.as_str())
        }
    };
    format!("{what} [by {}, term {}]", entry.by, entry.term)
}
