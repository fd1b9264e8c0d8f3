//! Telling people: at least once, tried again until the channel takes it, by whoever leads.
//!
//! A notice is due until its sending is committed. A leader that dies between sending and
//! committing makes the next one send it again; the receiver knows it by its key.

use super::{Agent, Output, Proposal};
use crate::{
    agent::{Again, NotTaken},
    document::{Channel, Document},
    ledger::{
        endings::OVER,
        incident::{Incident, Notice},
    },
    mistakes::{self, Mistake},
    name::{IncidentId, Name},
    record::{Delivered, Record},
    time::{Now, Timestamp},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long the first retry waits; the wait doubles up to [`AGAIN_MAX`].
const AGAIN: Duration = Duration::from_secs(2);
/// The longest wait between two tries.
const AGAIN_MAX: Duration = Duration::from_secs(300);
/// So long after it was due a notice that no try has brought out is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// The longest wait that a receiver may ask for.
const ASKED_MAX: Duration = Duration::from_secs(3_600);
/// How long a channel has to answer before the notice is sent again.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What a report calls a notice that is not taken: this, and its key.
const NOTICE_FACT: &str = "notice ";
/// Of so many notices that are not taken a report tells, so that it stays small.
const TOLD_MAX: usize = 8;
/// So much of what a channel says is told, in characters.
const SAID_MAX: usize = 160;

/// A notice on its way.
#[derive(Debug, Clone, Default)]
struct Sending {
    /// Since when it may go out.
    due_at: Timestamp,
    tries: u32,
    again_at: Duration,
    /// Whether the channel was asked and has not answered.
    asked: bool,
    /// Whether an earlier try may have been taken: no answer came, or another leader made it.
    perhaps: bool,
    /// What became of it, until the log has it.
    result: Option<(Delivered, String)>,
    /// Why the latest try came to nothing, and when the next one is.
    problem: Option<(String, Timestamp)>,
}

impl Sending {
    /// What is known of it while the channel has not said that it took it.
    const fn known(&self) -> Delivered {
        if self.perhaps || self.asked { Delivered::Perhaps } else { Delivered::No }
    }

    /// What is wrong with it, in words.
    fn problem(&self) -> Option<String> {
        let (said, again) = self.problem.as_ref()?;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let said: String = said.chars().take(SAID_MAX).collect();
        let times =
            if self.tries == 1 { "once".to_owned() } else { format!("{} times", self.tries) };
        Some(format!("{said} (tried {times}, next at {again})"))
    }
}

/// The notices on their way.
#[derive(Debug, Clone, Default)]
pub(in crate::agent) struct Sendings {
    on_their_way: BTreeMap<(IncidentId, u32), Sending>,
    /// Whether this leader has looked at what is due: what it finds at its first look another one
    /// may have sent.
    has_looked: bool,
}

impl Sendings {
    pub(super) fn forget(&mut self) {
        self.on_their_way.clear();
        self.has_looked = false;
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        // One that has its answer waits for the log, which is an input.
        let waiting = self.on_their_way.values().filter(|sending| sending.result.is_none());
        waiting.map(|sending| sending.again_at).min()
    }

    /// Looks at what is due now.
    fn look(&mut self, now: Now, due: &BTreeSet<(IncidentId, u32)>) {
        self.on_their_way.retain(|key, _| due.contains(key));
        for key in due {
            let sending = self.on_their_way.entry(*key);
            if !self.has_looked {
                // Another leader may be at it still.
                let again_at = now.mono + ANSWER_WITHIN;
                sending.or_insert(Sending { perhaps: true, again_at, ..Sending::default() });
            }
        }
        self.has_looked = true;
    }

    /// Takes what the channel said.
    pub(in crate::agent) fn sent(
        &mut self,
        (now, at): (Now, Timestamp),
        key: (IncidentId, u32),
        result: Result<String, NotTaken>,
    ) {
        let Some(sending) = self.on_their_way.get_mut(&key) else { return };
        sending.asked = false;
        let not_taken = match result {
            Ok(detail) => {
                sending.result = Some((Delivered::Yes, detail));
                return;
            }
            Err(not_taken) => not_taken,
        };
        sending.perhaps |= not_taken.perhaps;
        let doublings = sending.tries.saturating_sub(1).min(16);
        let usual = AGAIN.saturating_mul(1 << doublings).min(AGAIN_MAX);
        let wait = match not_taken.again {
            Again::Later => Some(usual),
            Again::After(asked) => Some(usual.max(asked.min(ASKED_MAX))),
            Again::Never => None,
        };
        // Whoever leads reckons from the same moment.
        match wait.filter(|_| at < sending.due_at.plus(GIVEN_UP_AFTER)) {
            Some(wait) => {
                sending.again_at = now.mono + wait;
                sending.problem = Some((not_taken.why, at.plus(wait)));
            }
            None => sending.result = Some((sending.known(), not_taken.why)),
        }
    }
}

impl Agent {
    /// Calls again, or somebody else, where nobody acknowledges.
    pub(super) fn call_again(&mut self, now: Now, out: &mut Vec<Output>) {
        let at = self.clock.now(now);
        let mut due = Vec::new();
        for incident in self.ledger.open_incidents() {
            let calls = self.ledger.calls_to_come(incident);
            let calls = calls.into_iter().filter(|(_, due)| *due <= at);
            due.extend(calls.map(|(notifier, _)| (incident.id, notifier)));
        }
        for (incident, notifier) in due {
            let proposal = Proposal::CallAgain(incident, notifier.clone());
            self.propose(now, proposal, Record::CalledAgain { incident, notifier }, out);
        }
    }

    pub(super) fn send_notices(&mut self, now: Now, out: &mut Vec<Output>) {
        let due: Vec<(IncidentId, Notice)> = self
            .ledger
            .notices_due()
            .map(|(incident, notice)| (incident, notice.clone()))
            .collect();
        let wanted: BTreeSet<(IncidentId, u32)> =
            due.iter().map(|(incident, notice)| (*incident, notice.number)).collect();
        self.leader.notices.look(now, &wanted);
        for (id, notice) in &due {
            self.send_notice(now, *id, notice, out);
        }
        let told = self.view.report(self.card.id).map(|own| notices_of(&own.facts));
        if told.unwrap_or_default() != self.told_of_notices() {
            self.tell(now, out);
        }
    }

    /// What this peer's report says of notices that are not taken: whoever is asked has to know
    /// that nobody was told, and only the leader tries.
    pub(in crate::agent) fn told_of_notices(&self) -> BTreeMap<String, String> {
        let failing =
            self.leader.notices.on_their_way.iter().filter_map(|((incident, notice), sending)| {
                Some((format!("{NOTICE_FACT}{incident}/{notice}"), sending.problem()?))
            });
        failing.take(TOLD_MAX).collect()
    }

    /// Who could not be told of an incident and why, as far as is heard here; nothing where nobody
    /// failed to be, or an operator has seen it all the same.
    pub fn untold(&self, incident: &Incident) -> Option<String> {
        if incident.is_acknowledged() {
            return None;
        }
        let report = self.standing.leader.and_then(|leader| self.view.report(leader));
        // What was sent earlier by the same notifier says nothing of now.
        let latest: BTreeMap<&Name, &Notice> = incident
            .notices
            .iter()
            .filter(|notice| notice.news.is_call())
            .map(|notice| (&notice.notifier, notice))
            .collect();
        let mut problems = Vec::new();
        let mut somebody = false;
        for (notifier, notice) in latest {
            let problem = match &notice.done {
                Some((_, Delivered::Yes, _)) => {
                    somebody = true;
                    continue;
                }
                Some((at, Delivered::No | Delivered::Perhaps, detail)) => {
                    format!("{detail} (given up at {at})")
                }
                None => {
                    let key = format!("{NOTICE_FACT}{}/{}", incident.id, notice.number);
                    match report.and_then(|report| report.facts.get(&key)) {
                        Some(problem) => problem.clone(),
                        None => continue,
                    }
                }
            };
            problems.push(format!("notifier \"{notifier}\": {problem}"));
        }
        let whom = if somebody { "not everybody" } else { "nobody" };
        (!problems.is_empty()).then(|| format!("{whom} could be told: {}", problems.join("; ")))
    }

    fn send_notice(&mut self, now: Now, id: IncidentId, notice: &Notice, out: &mut Vec<Output>) {
        let key = (id, notice.number);
        let objection = self.objection_to(&notice.notifier);
        let at = self.clock.now(now);
        let Some(incident) = self.ledger.incidents().get(&id) else { return };
        let calls = |other: &Notice| other.notifier == notice.notifier && other.news.is_call();
        if !notice.news.is_call() && incident.notices_due().any(calls) {
            // What may still call must not come after the word that it is over.
            return;
        }
        let sending = self.leader.notices.on_their_way.entry(key).or_default();
        let notifier = self.ledger.library().notifier(&notice.notifier);
        let waits = sending.again_at > now.mono;
        if sending.result.is_none() {
            let is_over = incident.state.is_over() && notice.news.is_call();
            let why = match notifier {
                // It is not tried again; what became of it is known by then, or never will be.
                Some(_) if is_over => {
                    let answers = waits && (sending.asked || sending.tries == 0);
                    (!answers).then_some(OVER)
                }
                Some(_) => None,
                None => Some("no document has it any more"),
            };
            sending.result = why.map(|why| (sending.known(), why.to_owned()));
            if sending.result.is_none() && (is_over || (sending.tries > 0 && waits)) {
                return;
            }
        }
        if let Some((delivered, detail)) = sending.result.clone() {
            let record =
                Record::Notified { incident: id, notice: notice.number, delivered, detail };
            self.propose(now, Proposal::Notice(id, notice.number), record, out);
            return;
        }
        let Some(notifier) = notifier else { return };
        let due_at = notifier.policy.quiet_until(incident.severity, notice.due_at);
        sending.due_at = due_at.unwrap_or(notice.due_at);
        if notifier.policy.quiet_until(incident.severity, at).is_some() {
            return;
        }
        sending.tries += 1;
        if let Some(why) = objection {
            let not_taken = NotTaken::this_time(why);
            self.leader.notices.sent((now, at), key, Err(not_taken));
            return;
        }
        // The try before this one had no answer.
        sending.perhaps |= sending.asked;
        sending.asked = true;
        let patient = !mistakes::is_made(Mistake::NoticeRepeated);
        sending.again_at = now.mono + if patient { ANSWER_WITHIN } else { Duration::ZERO };
        let notifier = notifier.clone();
        if let Some(message) = self.message(incident, notice, &notifier, at) {
            out.push(Output::Notify { notifier: Box::new(notifier), message });
        }
    }

    /// Why this host must not use a notifier, if it must not: a program runs only as operators
    /// signed it, as far as this host can tell. Another leader may.
    fn objection_to(&self, name: &Name) -> Option<String> {
        let notifier = self.ledger.library().notifier(name)?;
        match &notifier.channel {
            Channel::Command { .. } => {}
            // It was another one when somebody was called.
            Channel::Route(_) => return Some(format!("\"{name}\" is a route, and no way itself")),
            Channel::Webhook { .. }
            | Channel::SignedWebhook { .. }
            | Channel::Slack { .. }
            | Channel::PagerDuty { .. }
            | Channel::Ntfy { .. }
            | Channel::Mail(_) => return None,
        }
        if self.policy.observe_only {
            return Some("observe_only is set in hearten.toml of this host".to_owned());
        }
        let document = Document::Notifier(notifier.clone());
        let origin = self.ledger.library().origin(&document.key()).unwrap_or(0);
        let signed = self.is_authorised(&document, origin);
        (!signed).then(|| format!("not enough operators signed the program of \"{name}\""))
    }
}

/// What a report says of notices.
fn notices_of(facts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let told = facts.iter().filter(|(key, _)| key.starts_with(NOTICE_FACT));
    told.map(|(key, value)| (key.clone(), value.clone())).collect()
}
