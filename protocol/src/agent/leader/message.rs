//! What people are told: the usual words, or an operator's own with the facts in their places.

use super::Agent;
use crate::{
    agent::output::Message,
    document::{
        Notifier,
        template::{ALERT, Facts, JOB, LABEL},
    },
    explain,
    ledger::incident::{Incident, News, Notice},
    name::Name,
    record::{Because, Outcome},
    time::{Timestamp, format_span},
};
use std::{collections::BTreeSet, time::Duration};

/// So many executions are told with a notice.
const RAN_MAX: usize = 5;

/// What comes so long after a call is no part of it.
const A_WHILE: Duration = Duration::from_secs(30);

impl Agent {
    /// A notice in words.
    pub(super) fn message(
        &self,
        incident: &Incident,
        notice: &Notice,
        notifier: &Notifier,
        at: Timestamp,
    ) -> Option<Message> {
        let mesh = self.ledger.mesh()?.name.clone();
        let peer = self.ledger.roster().name(incident.peer);
        let what = self.signal(incident, &peer);
        let mut facts = self.facts_of(incident, notice, &mesh, at);
        facts.insert("why".to_owned(), what.clone());
        let usual_title = format!("{} {} on {peer}", notice.news.as_str(), incident.id);
        let usual_text = self.usual_text(incident, notice, &what, &peer);
        facts.insert("title".to_owned(), usual_title.clone());
        facts.insert("text".to_owned(), usual_text.clone());
        let own = |template: &Option<crate::document::Template>, usual: String| match template {
            // What nothing is known of says nothing, and receivers refuse what is empty.
            Some(template) => Some(template.fill(&facts, str::to_owned))
                .filter(|filled| !filled.trim().is_empty())
                .unwrap_or(usual),
            None => usual,
        };
        let title = own(&notifier.title, usual_title);
        let text = own(&notifier.text, usual_text);
        facts.insert("title".to_owned(), title.clone());
        facts.insert("text".to_owned(), text.clone());
        Some(Message {
            incident: incident.id,
            notice: notice.number,
            news: notice.news,
            notifier: notice.notifier.clone(),
            mesh,
            peer,
            runbook: incident.plan.as_ref().map(|plan| plan.name.clone()),
            title,
            text,
            facts,
        })
    }

    /// The signal in a sentence.
    fn signal(&self, incident: &Incident, peer: &str) -> String {
        match &incident.because {
            Because::Check { check, summary, .. } => {
                format!("check \"{check}\" fails on {peer}: {summary}")
            }
            Because::Silent { kind, .. } => format!("{peer} is {}", kind.as_str()),
            Because::Ladder { ladder, level, .. } => {
                format!("ladder \"{ladder}\" needs level {level}")
            }
            Because::Operator { runbook, reason, .. } => {
                format!("runbook \"{runbook}\" was ordered for {peer}: {reason}")
            }
            Because::Job { check, summary, .. } => format!("check \"{check}\" fails: {summary}"),
            Because::Storm { .. } | Because::Untold { .. } => {
                explain::signal(&self.ledger, incident.peer, &incident.because)
            }
        }
    }

    fn usual_text(&self, incident: &Incident, notice: &Notice, what: &str, peer: &str) -> String {
        let is_storm = matches!(incident.because, Because::Storm { .. });
        let is_untold = matches!(incident.because, Because::Untold { .. });
        match notice.news {
            News::Called if is_storm => format!(
                "{}: {what}. No neighbour acts on them until no other peer has fallen silent for {}; look, and `hearten thaw` lets them act at once.",
                incident.id,
                format_span(self.ledger.settings().storm_calm),
            ),
            News::Resolved if is_storm => {
                format!("{}: the storm is over; neighbours act on silences again.", incident.id)
            }
            News::Called if is_untold => format!("{}: {what}. A person has to look.", incident.id),
            News::Resolved if is_untold => {
                format!("{}: the notifier takes notices again, or is another one.", incident.id)
            }
            News::Called => format!(
                "{}: {what}. {} of {} rungs were climbed; a person has to look.{}",
                incident.id,
                incident.attempts.iter().map(|attempt| attempt.rung).collect::<BTreeSet<_>>().len(),
                incident.plan.as_ref().map_or(0, |plan| plan.rungs.len()),
                called_before(incident, notice),
            ),
            News::Resolved => format!("{}: {peer} is well again.", incident.id),
            News::Repaired => {
                let rung = incident.repaired_by().and_then(|by| incident.rung(by.rung));
                let rung = rung.map_or("", |rung| &rung.name);
                let times = match incident.attempts.len() {
                    1 => "1 attempt".to_owned(),
                    more => format!("{more} attempts"),
                };
                let id = incident.id;
                format!("{id}: {what}. Rung \"{rung}\" repaired it after {times}.")
            }
            News::Asked => {
                let rung = incident.next_rung().map_or("", |rung| &rung.name);
                let id = incident.id;
                format!(
                    "{id}: {what}. Rung \"{rung}\" waits for approval: `hearten approve {id}` or `hearten deny {id}`."
                )
            }
        }
    }

    /// The last executions of an incident in words, the latest last.
    fn ran(&self, incident: &Incident) -> String {
        let latest = incident.attempts.len().saturating_sub(RAN_MAX);
        let ran = incident.attempts.iter().skip(latest).map(|attempt| {
            let rung = incident.rung(attempt.rung).map_or("", |rung| &rung.name);
            let worker = self.ledger.roster().name(attempt.worker);
            let end = attempt.outcome().map_or("under way", Outcome::as_str);
            format!("{rung} on {worker}: {end}")
        });
        ran.collect::<Vec<_>>().join("; ")
    }

    /// What is known of a notice; see [`crate::document::template::PLACES`].
    fn facts_of(&self, incident: &Incident, notice: &Notice, mesh: &Name, at: Timestamp) -> Facts {
        let mut facts = Facts::new();
        let mut set = |name: &str, value: String| {
            facts.insert(name.to_owned(), value);
        };
        let id = incident.id;
        let since = incident.because.since();
        set("mesh", mesh.to_string());
        set("incident", id.to_string());
        set("key", format!("{mesh}/{id}/{}", notice.number));
        set("news", notice.news.as_str().to_owned());
        set("notify", notice.notifier.to_string());
        set("severity", incident.severity.as_str().to_owned());
        set("attempts", incident.attempts.len().to_string());
        set("ran", self.ran(incident));
        set("explain", format!("hearten incident explain {id}"));
        set("last", since.to_string());
        set("since", format_span(Duration::from_secs(at.since(since).as_secs())));
        set("began", (since.millis() / 1_000).to_string());
        let over = match notice.news {
            News::Resolved | News::Repaired => "OK",
            News::Called | News::Asked => "CRITICAL",
        };
        set("state", over.to_owned());
        set("srv", self.card.name.to_string());
        if let Some(member) = self.ledger.roster().ever(incident.peer) {
            set("host", member.card.name.to_string());
            set("address", member.card.address.ip().to_string());
            for (label, value) in &member.card.labels {
                set(&format!("{LABEL}{label}"), value.clone());
                // GoTel knows a job by these.
                if ["app", "component", "owner"].contains(&label.as_str()) {
                    set(label, value.clone());
                }
            }
        }
        if let Some(plan) = &incident.plan {
            set("runbook", plan.name.to_string());
            let reached = match notice.news {
                News::Asked => incident.next_rung(),
                News::Called | News::Resolved => incident.rung(incident.climbed.saturating_sub(1)),
                News::Repaired => incident.repaired_by().and_then(|by| incident.rung(by.rung)),
            };
            if let Some(rung) = reached {
                set("rung", rung.name.clone());
            }
        }
        let (about, verdict) = match &incident.because {
            Because::Check { check, verdict, .. } => (check.to_string(), verdict.as_str()),
            Because::Silent { kind, .. } => ("silence".to_owned(), kind.as_str()),
            Because::Ladder { ladder, .. } => (ladder.to_string(), ""),
            Because::Operator { runbook, .. } => (runbook.to_string(), ""),
            Because::Storm { .. } => ("storm".to_owned(), ""),
            Because::Untold { notifier, .. } => (notifier.to_string(), ""),
            Because::Job { job, .. } => (job.clone(), ""),
        };
        set("jobid", about);
        set("verdict", verdict.to_owned());
        if let Some(check) = incident.because.check() {
            set("check", check.to_string());
            if let Some(known) = self.ledger.library().check(check) {
                set("frequency", format_span(known.every));
            }
        }
        let kind = if matches!(incident.because, Because::Job { .. }) { JOB } else { ALERT };
        for (label, value) in &incident.told {
            set(&format!("{kind}{label}"), value.clone());
        }
        if let Because::Job { job, .. } = &incident.because
            && let Some(job) = self.ledger.heartbeats().named(job)
        {
            for (name, value) in job.facts(at) {
                set(name, value);
            }
            for (label, value) in &job.labels {
                set(&format!("{JOB}{label}"), value.clone());
            }
            set("tags", job.labels.get("tags").cloned().unwrap_or_default());
        }
        facts
    }
}

/// That somebody was called a while before, and nobody has said that it is seen. Rungs that call one
/// after the other are no such case.
fn called_before(incident: &Incident, notice: &Notice) -> String {
    let calls = incident.notices.iter().filter(|one| one.news == News::Called);
    let mut earlier = calls.filter(|one| notice.due_at.since(one.due_at) >= A_WHILE);
    match earlier.next() {
        Some(first) if !incident.is_acknowledged() => format!(
            " Somebody was called at {}, and nobody has acknowledged it: `hearten incident ack {}`.",
            first.due_at, incident.id
        ),
        Some(_) | None => String::new(),
    }
}
