//! What a notice comes to that is given up: an incident about its notifier.
//!
//! Whom it reaches does not know of what happened, so others are told that he does not. One incident
//! for a notifier, however much it does not take; and what nobody could tell of that incident opens
//! no other one, or a mesh that reaches nobody would never come to rest.

use super::{
    Context, Effect, Ledger,
    incident::{Fact, Incident, News, State},
    incidents::tell_people,
};
use crate::{
    document::{DocumentKey, DocumentKind},
    name::{IncidentId, Name},
    record::{Because, Delivered},
    refusal::Refusal,
};

impl Ledger {
    /// The open incident about a notifier.
    fn untold_by(&self, name: &Name) -> Option<IncidentId> {
        let about = |incident: &&Incident| match &incident.because {
            Because::Untold { notifier, .. } => notifier == name,
            Because::Check { .. }
            | Because::Silent { .. }
            | Because::Ladder { .. }
            | Because::Operator { .. }
            | Because::Storm { .. }
            | Because::Job { .. } => false,
        };
        self.open_incidents().find(about).map(|incident| incident.id)
    }

    /// Whether a notifier is in no incident yet.
    ///
    /// # Errors
    /// [`Refusal::AlreadyOpen`].
    pub(super) fn is_first_untold(&self, notifier: &Name) -> Result<(), Refusal> {
        match self.untold_by(notifier) {
            Some(incident) => Err(Refusal::AlreadyOpen { incident }),
            None => Ok(()),
        }
    }

    /// What a notifier did says whether it reaches people: an incident about it is opened, or over.
    pub(super) fn judge_notifier(
        &mut self,
        context: &Context,
        (id, number): (IncidentId, u32),
        delivered: Delivered,
        detail: &str,
    ) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let Some(notice) = incident.notices.iter().find(|notice| notice.number == number) else {
            return;
        };
        let notifier = notice.notifier.clone();
        if delivered == Delivered::Yes {
            let Some(untold) = self.untold_by(&notifier) else { return };
            let because = format!("notifier \"{notifier}\" took notice {number} of {id}");
            if let Some(incident) = self.incidents.get_mut(&untold) {
                incident.note(context.at, context.by, Fact::Resolved(because));
            }
            self.end(untold, context.at, State::Resolved);
            self.index_incident(untold);
            return;
        }
        // A call that was not made any more is nothing that anybody had to hear.
        let not_needed = incident.state.is_over() && notice.news.is_call();
        let about_telling = matches!(incident.because, Because::Untold { .. });
        if not_needed || about_telling || self.library.notifier(&notifier).is_none() {
            return;
        }
        let (detail, since) = (detail.to_owned(), context.at);
        let because = Because::Untold { notifier, incident: id, detail, since };
        // Where there is one already, it says so.
        if let Ok(Effect::Opened(opened)) = self.open(context, context.by, &because) {
            self.index_incident(opened);
        }
    }

    /// Everybody is told whom the notifier that failed does not reach.
    pub(super) fn tell_the_others(&mut self, context: &Context, id: IncidentId, failed: &Name) {
        let mut told = self.whom_to_tell(id);
        told.remove(failed);
        if told.is_empty() {
            // Where routes lead to nobody else, there may be others all the same.
            let ways = self.library.notifiers().filter(|other| other.is_a_way());
            told = ways.map(|other| other.name.clone()).filter(|other| other != failed).collect();
        }
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        incident.state = State::Escalated;
        let reason = format!("notifier \"{failed}\" does not reach whom it should");
        incident.note(context.at, context.by, Fact::Escalated(reason));
        tell_people(incident, context, &told, News::Called);
    }

    /// Whether a notifier that could not tell people is another one by now, and how that is seen.
    pub fn is_told_anew(&self, incident: &Incident, notifier: &Name) -> Option<String> {
        let key = DocumentKey { kind: DocumentKind::Notifier, name: notifier.clone() };
        match self.library.origin(&key) {
            None => Some(format!("no document has notifier \"{notifier}\" any more")),
            Some(revision) if revision > incident.revision => {
                Some(format!("notifier \"{notifier}\" was changed by revision {revision}"))
            }
            Some(_) => None,
        }
    }
}
