//! Incidents as they are shown.

use super::{SCHEMA, because::BecauseView};
use protocol::{
    agent::Agent,
    explain,
    ledger::incident::{Attempt, Incident, State},
    name::{IncidentId, PeerId},
    record::Delivered,
    time::{Now, Timestamp},
};
use serde::{Deserialize, Serialize};

/// One execution of one rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Its number, from 1.
    pub number: u32,
    /// The rung's name.
    pub rung: String,
    /// Who executes it.
    pub worker: String,
    /// How it ended; nothing while it may still act.
    pub outcome: Option<String>,
    /// The exit code, when there was one.
    pub exit_code: Option<i32>,
    /// When it was given out.
    pub assigned_at: Timestamp,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended, or was given up.
    pub finished_at: Option<Timestamp>,
    /// After this moment it can no longer act.
    pub until: Timestamp,
    /// What it printed; left out of listings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

impl AttemptView {
    fn of(agent: &Agent, incident: &Incident, attempt: &Attempt, with_output: bool) -> Self {
        let report = attempt.report.as_ref();
        Self {
            number: attempt.number,
            rung: incident
                .rung(attempt.rung)
                .map_or_else(|| attempt.rung.to_string(), |rung| rung.name.clone()),
            worker: agent.ledger().roster().name(attempt.worker),
            outcome: attempt.outcome().map(|outcome| outcome.as_str().to_owned()),
            exit_code: report.and_then(|report| report.exit_code),
            assigned_at: attempt.assigned_at,
            started_at: report.and_then(|report| report.started_at),
            finished_at: report.map(|report| report.finished_at).or(attempt.ended_at),
            until: attempt.until,
            output: report.filter(|_| with_output).map(|report| report.output.clone()),
        }
    }
}

/// An incident in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentSummary {
    /// Its id.
    pub id: IncidentId,
    /// Where it stands.
    pub state: String,
    /// What it waits for, while it waits.
    pub waiting_for: Option<String>,
    /// Whom nobody could tell of it, by which notifier and why, while that is so.
    #[serde(default)]
    pub untold: Option<String>,
    /// The affected peer.
    pub peer: String,
    /// The runbook that answers, if one does.
    pub runbook: Option<String>,
    /// What opened it.
    pub because: BecauseView,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was over.
    pub closed_at: Option<Timestamp>,
    /// Every execution, in order.
    pub attempts: Vec<AttemptView>,
}

impl IncidentSummary {
    fn of(agent: &Agent, incident: &Incident, at: Timestamp, with_output: bool) -> Self {
        let waits = match incident.state {
            State::Open | State::Verifying | State::Waiting | State::Escalated => true,
            State::Acting | State::Resolved | State::Closed => false,
        };
        let waiting = explain::waiting(agent.ledger(), incident, agent.led_by(), at);
        let attempts = incident.attempts.iter();
        Self {
            id: incident.id,
            state: incident.state.as_str().to_owned(),
            waiting_for: waiting.filter(|_| waits).map(|waiting| waiting.text),
            untold: agent.untold(incident).filter(|_| !incident.state.is_over()),
            peer: agent.ledger().roster().name(incident.peer),
            runbook: incident.plan.as_ref().map(|plan| plan.name.to_string()),
            because: BecauseView::of(agent, &incident.because),
            opened_at: incident.opened_at,
            closed_at: incident.closed_at,
            attempts: attempts.map(|a| AttemptView::of(agent, incident, a, with_output)).collect(),
        }
    }
}

/// Incidents, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentsView {
    /// The version of this shape.
    pub schema: u32,
    /// The incidents.
    pub incidents: Vec<IncidentSummary>,
}

/// Which incidents are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those that are not over.
    pub open: bool,
    /// Only those of this peer.
    pub peer: Option<PeerId>,
    /// Only those opened since then.
    pub since: Option<Timestamp>,
}

impl IncidentsView {
    /// The incidents that the filter lets through.
    pub fn of(agent: &Agent, now: Now, filter: Filter) -> Self {
        let at = agent.log_now(now);
        let fits = |incident: &&Incident| {
            (!filter.open || !incident.state.is_over())
                && filter.peer.is_none_or(|peer| peer == incident.peer)
                && filter.since.is_none_or(|since| incident.opened_at >= since)
        };
        let incidents = agent.ledger().incidents().values().rev().filter(fits);
        let incidents = incidents.map(|incident| IncidentSummary::of(agent, incident, at, false));
        Self { schema: SCHEMA, incidents: incidents.collect() }
    }
}

/// A line of an incident's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineView {
    /// When.
    pub at: Timestamp,
    /// What kind of fact: `Opened`, `Assigned`, …
    pub fact: String,
    /// Who wrote it.
    pub by: String,
    /// What happened, as a sentence.
    pub text: String,
}

/// What was collected before the first rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceView {
    /// SHA-256 of the bundle.
    pub hash: String,
    /// Its size as it is stored, compressed.
    pub bytes: u64,
    /// Who took it and keeps it.
    pub taken_by: String,
    /// Who else keeps it.
    pub keepers: Vec<String>,
    /// Steps that failed.
    pub steps_failed: u32,
}

/// What was collected before the first rung, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceTextView {
    /// The version of this shape.
    pub schema: u32,
    /// The incident.
    pub id: String,
    /// SHA-256 of the bundle as it is stored.
    pub hash: String,
    /// Its size as it is stored, compressed.
    pub bytes: u64,
    /// Who took it.
    pub taken_by: String,
    /// Who else keeps it.
    pub keepers: Vec<String>,
    /// Whose copy this is.
    pub read_from: String,
    /// What was collected, step by step.
    pub text: String,
}

/// A message to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeView {
    /// Its number.
    pub number: u32,
    /// By which notifier.
    pub notifier: String,
    /// `called` or `resolved`.
    pub news: String,
    /// When it became due.
    pub due_at: Timestamp,
    /// When it was taken or given up.
    pub done_at: Option<Timestamp>,
    /// Whether it was taken.
    pub delivered: Option<bool>,
}

/// Everything about one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentView {
    /// The version of this shape.
    pub schema: u32,
    /// What the listing says, with the attempts' outputs.
    #[serde(flatten)]
    pub summary: IncidentSummary,
    /// The revision that the runbook comes from.
    pub revision: u64,
    /// What was collected.
    pub evidence: Option<EvidenceView>,
    /// Messages to people.
    pub notices: Vec<NoticeView>,
    /// What happened, in order.
    pub timeline: Vec<TimelineView>,
}

impl IncidentView {
    /// Everything about one incident.
    pub fn of(agent: &Agent, now: Now, incident: &Incident) -> Self {
        let ledger = agent.ledger();
        let timeline = incident.timeline.iter().map(|line| TimelineView {
            at: line.at,
            fact: explain::fact_name(&line.fact).to_owned(),
            by: ledger.roster().name(line.by),
            text: explain::line(ledger, incident, line),
        });
        let notices = incident.notices.iter().map(|notice| NoticeView {
            number: notice.number,
            notifier: notice.notifier.to_string(),
            news: notice.news.as_str().to_owned(),
            due_at: notice.due_at,
            done_at: notice.done.as_ref().map(|(at, _, _)| *at),
            delivered: notice.done.as_ref().map(|(_, delivered, _)| *delivered == Delivered::Yes),
        });
        let evidence = incident.evidence.as_ref().map(|evidence| EvidenceView {
            hash: data_encoding::HEXLOWER.encode(&evidence.hash),
            bytes: evidence.bytes,
            taken_by: ledger.roster().name(evidence.taken_by),
            keepers: evidence.keepers.iter().map(|peer| ledger.roster().name(*peer)).collect(),
            steps_failed: evidence.steps_failed,
        });
        Self {
            schema: SCHEMA,
            summary: IncidentSummary::of(agent, incident, agent.log_now(now), true),
            revision: incident.revision,
            evidence,
            notices: notices.collect(),
            timeline: timeline.collect(),
        }
    }
}

/// One sentence of a story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentenceView {
    /// When it happened; nothing for what is so now.
    pub at: Option<Timestamp>,
    /// What.
    pub text: String,
}

/// An incident as a story, up to why nothing happens now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainView {
    /// The version of this shape.
    pub schema: u32,
    /// Its id.
    pub id: IncidentId,
    /// Where it stands.
    pub state: String,
    /// What it waits for, by which rule; nothing once it is over.
    pub waiting_for: Option<String>,
    /// When that ends by itself.
    pub until: Option<Timestamp>,
    /// Whom nobody could tell of it, by which notifier and why.
    #[serde(default)]
    pub untold: Option<String>,
    /// The story.
    pub story: Vec<SentenceView>,
}

impl ExplainView {
    /// The story of one incident.
    pub fn of(agent: &Agent, now: Now, incident: &Incident) -> Self {
        let (ledger, leader, at) = (agent.ledger(), agent.led_by(), agent.log_now(now));
        let waiting = explain::waiting(ledger, incident, leader, at);
        let untold = agent.untold(incident).filter(|_| !incident.state.is_over());
        let story = explain::story(ledger, incident, leader, at).into_iter();
        let story = story.map(|told| SentenceView { at: told.at, text: told.text });
        let now = untold.as_ref().map(|untold| format!("now: {untold}"));
        let story = story.chain(now.map(|text| SentenceView { at: None, text }));
        Self {
            schema: SCHEMA,
            id: incident.id,
            state: incident.state.as_str().to_owned(),
            until: waiting.as_ref().and_then(|waiting| waiting.until),
            waiting_for: waiting.map(|waiting| waiting.text),
            untold,
            story: story.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Sample, at};
    use super::*;
    use protocol::record::Outcome;
    use serde_json::{Value, json};

    fn show(sample: &Sample) -> Value {
        let incident = &sample.agent.ledger().incidents()[&sample.incident()];
        serde_json::to_value(IncidentView::of(&sample.agent, sample.now(), incident)).unwrap()
    }

    fn story(sample: &Sample) -> Vec<String> {
        let incident = &sample.agent.ledger().incidents()[&sample.incident()];
        let view = ExplainView::of(&sample.agent, sample.now(), incident);
        view.story.into_iter().map(|sentence| sentence.text).collect()
    }

    #[test]
    fn an_incident_is_shown_as_the_contract_says() {
        let mut sample = Sample::with_failing_check();
        sample.take_evidence();
        sample.assign();
        sample.finish(Outcome::Succeeded, 0, "restarted\n");
        sample.resolve();
        let json = show(&sample);
        assert_eq!(json["schema"], 1);
        assert_eq!(json["id"], sample.incident().to_string());
        assert_eq!(json["state"], "resolved");
        assert_eq!(json["peer"], "web-1");
        assert_eq!(json["runbook"], "restart-web");
        let because = &json["because"];
        assert_eq!(because["kind"], "check");
        assert_eq!(because["check"], "web-alive");
        assert_eq!(because["verdict"], "fail");
        assert!(json["closed_at"].is_string());
        let attempt = &json["attempts"][0];
        assert_eq!(attempt["number"], 1);
        assert_eq!(attempt["rung"], "restart");
        assert_eq!(attempt["worker"], "web-1");
        assert_eq!(attempt["outcome"], "succeeded");
        assert_eq!(attempt["exit_code"], 0);
        assert_eq!(attempt["output"], "restarted\n");
        assert!(attempt["started_at"].is_string() && attempt["finished_at"].is_string());
        let facts: Vec<&str> = json["timeline"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["fact"].as_str().unwrap())
            .collect();
        assert_eq!(facts, ["Opened", "EvidenceTaken", "Assigned", "Reported", "Resolved"]);
        assert_eq!(json["timeline"][0]["by"], "db-1");
        assert_eq!(json["timeline"][3]["by"], "web-1");
        assert_eq!(json["timeline"][3]["text"], "rung \"restart\" succeeded on web-1 after 1s");
        assert_eq!(json["waiting_for"], json!(null));
        let back: IncidentView = serde_json::from_value(json).unwrap();
        assert_eq!(back.summary.attempts.len(), 1);
    }

    #[test]
    fn a_listing_has_neither_output_nor_timeline_and_can_be_narrowed() {
        let mut sample = Sample::with_failing_check();
        sample.take_evidence();
        sample.assign();
        sample.finish(Outcome::Succeeded, 0, "restarted\n");
        let list = |sample: &Sample, filter: Filter| {
            let view = IncidentsView::of(&sample.agent, sample.now(), filter);
            serde_json::to_value(view).unwrap()
        };
        let all = list(&sample, Filter::default());
        let row = &all["incidents"][0];
        assert!(row.get("timeline").is_none() && row["attempts"][0].get("output").is_none());
        let open = Filter { open: true, ..Filter::default() };
        assert_eq!(list(&sample, open)["incidents"].as_array().unwrap().len(), 1);
        sample.resolve();
        assert_eq!(list(&sample, open)["incidents"], json!([]));
        let later = Filter { since: Some(at(3_000)), ..Filter::default() };
        assert_eq!(list(&sample, later)["incidents"], json!([]));
        let other = Filter { peer: Some(PeerId::from_random(1)), ..Filter::default() };
        assert_eq!(list(&sample, other)["incidents"], json!([]));
    }

    #[test]
    fn why_nothing_happens_is_told_with_the_rule_and_the_time_left() {
        let mut sample = Sample::with_failing_check();
        let json = show(&sample);
        assert_eq!(json["state"], "open");
        let waits = json["waiting_for"].as_str().unwrap();
        assert!(waits.starts_with("evidence is being taken"), "{waits}");
        let last = story(&sample).pop().unwrap();
        assert!(last.starts_with("now: evidence") && last.ends_with("s left)"), "{last}");

        sample.take_evidence();
        let last = story(&sample).pop().unwrap();
        assert_eq!(last, "now: nothing holds it back: the leader acts at its next look");

        sample.freeze("storm");
        let last = story(&sample).pop().unwrap();
        assert!(last.contains("frozen since") && last.contains("hearten thaw"), "{last}");

        sample.stand(None);
        let last = story(&sample).pop().unwrap();
        assert!(last.starts_with("now: no leader is known"), "{last}");
    }

    #[test]
    fn what_a_rule_held_back_is_waiting_and_counted() {
        let mut sample = Sample::with_failing_check();
        sample.take_evidence();
        let why = "the affected peer is not heard of".to_owned();
        sample.hold(protocol::refusal::Refusal::NoWorker { why });
        let json = show(&sample);
        assert_eq!(json["state"], "waiting");
        assert_eq!(json["waiting_for"], "nobody can act: the affected peer is not heard of");
        assert_eq!(
            super::super::StatusView::of(&sample.agent, sample.now().wall).incidents.waiting,
            1
        );
    }

    #[test]
    fn a_story_goes_from_the_signal_to_the_outcome() {
        let mut sample = Sample::with_failing_check();
        sample.take_evidence();
        sample.assign();
        let told = story(&sample);
        assert!(told.last().unwrap().contains("attempt 1 is web-1's until"), "{told:?}");
        sample.finish(Outcome::Failed, 3, "unit not found\nmore\n");
        sample.resolve();
        let told = story(&sample);
        assert!(
            told[0].starts_with("check \"web-alive\" fails on web-1 since ")
                && told[0].contains(": no file; db-1 opened INC-"),
            "{}",
            told[0]
        );
        assert!(told[1].starts_with("runbook \"restart-web\" of revision 1 answers with"));
        assert_eq!(
            told[4],
            "rung \"restart\" failed on web-1 with code 3 after 1s: unit not found"
        );
        assert_eq!(told.len(), 6, "nothing is waited for any more: {told:?}");
    }

    #[test]
    fn a_silence_is_told_with_who_saw_it() {
        let sample = Sample::with_silence();
        let json = show(&sample);
        assert_eq!(json["because"]["kind"], "silent");
        assert_eq!(json["because"]["silence"], "dark");
        assert_eq!(json["because"]["witnesses"][1]["witness"], "web-1");
        assert_eq!(json["waiting_for"], "no runbook answers this signal");
        let told = story(&sample);
        assert!(told[0].starts_with("web-2 is dark since"), "{}", told[0]);
        assert_eq!(told[1], "db-1 probed it directly: nothing answered");
    }
}
