//! Who is told of an incident: by whom the runbook names, by routes; and who is called again, or in
//! another's stead, while nobody acknowledges.

use super::{Context, Effect, Ledger, Outcome, incident::Fact};
use crate::{
    document::{Channel, Notifier, Rung, Severity},
    ledger::incident::{Incident, News, Notice},
    name::{IncidentId, Name},
    record::Delivered,
    refusal::Refusal,
    time::Timestamp,
};
use std::collections::BTreeSet;

/// How often one notifier calls about one incident at most, so that one that nobody looks at for
/// months stays small.
pub const CALLS_MAX: usize = 200;

impl Incident {
    /// Whether an operator has said that it is seen.
    pub fn is_acknowledged(&self) -> bool {
        self.timeline.iter().any(|line| matches!(line.fact, Fact::Acknowledged(_)))
    }
}

impl Ledger {
    /// The notifiers that a name stands for: itself, or where its routes lead for this incident.
    pub fn routed(&self, name: &Name, incident: &Incident) -> BTreeSet<Name> {
        let Some(Notifier { channel: Channel::Route(routes), .. }) = self.library.notifier(name)
        else {
            return BTreeSet::from([name.clone()]);
        };
        let labels = self.labels_of(incident);
        let plan = incident.plan.as_ref();
        let fits = routes.iter().find(|route| route.fits(&labels, incident.severity, plan));
        fits.into_iter().flat_map(|route| &route.notify).cloned().collect()
    }

    /// Whom to tell of an incident as a whole: those whom its runbook names; where it names
    /// nobody, whomever routes lead to; where there are none, everyone.
    pub(super) fn whom_to_tell(&self, id: IncidentId) -> BTreeSet<Name> {
        let Some(incident) = self.incidents.get(&id) else { return BTreeSet::new() };
        let rungs = incident.plan.iter().flat_map(|plan| &plan.rungs);
        let mut named: Vec<&Name> = rungs.filter_map(Rung::tells).collect();
        let is_route = |notifier: &&Notifier| matches!(notifier.channel, Channel::Route(_));
        if named.is_empty() {
            named = self.library.notifiers().filter(is_route).map(|route| &route.name).collect();
        }
        if named.is_empty() {
            named = self.library.notifiers().map(|notifier| &notifier.name).collect();
        }
        named.into_iter().flat_map(|name| self.routed(name, incident)).collect()
    }

    /// Who wants to hear that a rung repaired this, and hears of its end in no other way.
    pub(super) fn whom_to_tell_of_repair(&self, incident: &Incident) -> BTreeSet<Name> {
        let hears = |name: &Name| {
            let own = incident.notices.iter().filter(|notice| notice.notifier == *name);
            own.into_iter().any(|notice| match &notice.done {
                Some((_, delivered, _)) => delivered.may_be(),
                None => true,
            })
        };
        // An event that nobody has to look at is none of PagerDuty's.
        let takes = |name: &Name| {
            let notifier = self.library.notifier(name);
            notifier.is_some_and(|known| !matches!(known.channel, Channel::PagerDuty { .. }))
        };
        let wanted = self.library.notifiers().filter(|notifier| notifier.policy.repairs);
        let ways = wanted.flat_map(|notifier| self.routed(&notifier.name, incident));
        ways.filter(|name| takes(name) && !hears(name)).collect()
    }

    /// The notifiers that do not tell that an incident is over.
    pub(super) fn without_recovery(&self) -> BTreeSet<Name> {
        let notifiers = self.library.notifiers().filter(|notifier| !notifier.policy.recovery);
        notifiers.map(|notifier| notifier.name.clone()).collect()
    }

    /// Whether a notice that is due may have been tried by now: it was its time.
    pub(super) fn may_be_out(&self, notice: &Notice, incident: &Incident, at: Timestamp) -> bool {
        let notifier = self.library.notifier(&notice.notifier);
        notifier.is_some_and(|known| told_by(known, notice, incident.severity) <= at)
    }

    /// What became of a notice. What became of a call is said after the incident's end as well, and
    /// whoever may know of it hears of the end.
    pub(super) fn notified(
        &mut self,
        context: &Context,
        id: IncidentId,
        number: u32,
        delivered: Delivered,
        detail: &str,
    ) -> Outcome {
        let silent = self.without_recovery();
        let incident =
            self.incidents.get_mut(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        let due = incident.notices.iter_mut().find(|n| n.number == number && n.done.is_none());
        let Some(notice) = due else {
            return Err(Refusal::NoticeNotDue { incident: id, notice: number });
        };
        notice.done = Some((context.at, delivered, detail.to_owned()));
        let (notifier, news) = (notice.notifier.clone(), notice.news);
        incident.note(context.at, context.by, Fact::Notified(number));
        let called = news.is_call() && delivered.may_be();
        let is_told = incident
            .notices_due()
            .any(|notice| notice.news == News::Resolved && notice.notifier == notifier);
        if incident.state.is_over() && called && !is_told && !silent.contains(&notifier) {
            incident.give_notice(context.at, notifier, News::Resolved);
        }
        self.judge_notifier(context, (id, number), delivered, detail);
        Ok(Effect::Done)
    }

    /// Who is to be called (again) while nobody acknowledges the incident, and when.
    pub fn calls_to_come(&self, incident: &Incident) -> Vec<(Name, Timestamp)> {
        if incident.state.is_over()
            || incident.is_acknowledged()
            || self.unbraked(incident).is_err()
        {
            return Vec::new();
        }
        let calls = |name: &Name| {
            let calls = incident.notices.iter().filter(|notice| notice.news == News::Called);
            let name = name.clone();
            calls.filter(move |notice| notice.notifier == name)
        };
        let called: BTreeSet<&Name> = incident
            .notices
            .iter()
            .filter(|notice| notice.news == News::Called)
            .map(|notice| &notice.notifier)
            .collect();
        let mut to_come = Vec::new();
        for name in &called {
            let Some(notifier) = self.library.notifier(name) else { continue };
            let latest = calls(name).next_back().and_then(|notice| notice.done.as_ref());
            if let (Some(every), Some((at, ..))) = (notifier.policy.repeat, latest)
                && calls(name).count() < CALLS_MAX
            {
                to_come.push(((*name).clone(), at.plus(every)));
            }
            if let (Some(escalate), Some(first)) = (&notifier.policy.escalate, calls(name).next()) {
                let due = told_by(notifier, first, incident.severity).plus(escalate.after);
                let others = self.routed(&escalate.to, incident);
                let others = others.into_iter().filter(|other| !called.contains(other));
                to_come.extend(others.map(|other| (other, due)));
            }
        }
        to_come
    }

    /// Somebody is called again, or in another's stead.
    pub(super) fn call_again(&mut self, context: &Context, id: IncidentId, name: &Name) -> Outcome {
        let incident = self.incidents.get(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        let due = self.calls_to_come(incident);
        if !due.iter().any(|(due, at)| due == name && *at <= context.at) {
            let why = format!("notifier \"{name}\" is not to call about it now");
            return Err(Refusal::WrongState { incident: id, why });
        }
        let incident = self.still_open(id)?;
        incident.give_notice(context.at, name.clone(), News::Called);
        incident.note(context.at, context.by, Fact::Called(name.clone()));
        Ok(Effect::Done)
    }
}

/// When whoever is reached by a notifier was told, or should have been: not while it is quiet.
fn told_by(notifier: &Notifier, notice: &Notice, severity: Severity) -> Timestamp {
    if let Some((at, ..)) = &notice.done {
        return *at;
    }
    notifier.policy.quiet_until(severity, notice.due_at).unwrap_or(notice.due_at)
}
