//! The notifiers that a notifier leads to.

use super::{Change, near, problem};
use crate::{
    document::{
        Channel, Document, DocumentKey, DocumentKind, Notifier, parse::Parsed, problem::Problem,
    },
    name::Name,
};

/// The notifiers that one names, each with the key that names it.
pub(super) fn named_in(notifier: &Notifier) -> impl Iterator<Item = (&'static str, &Name)> {
    let routes = match &notifier.channel {
        Channel::Route(routes) => routes.as_slice(),
        Channel::Webhook { .. }
        | Channel::SignedWebhook { .. }
        | Channel::Slack { .. }
        | Channel::PagerDuty { .. }
        | Channel::Ntfy { .. }
        | Channel::Mail(_)
        | Channel::Command { .. } => &[],
    };
    let routed = routes.iter().flat_map(|route| &route.notify).map(|name| ("route", name));
    let escalated = notifier.policy.escalate.iter().map(|escalate| ("escalate", &escalate.to));
    routed.chain(escalated)
}

impl Change<'_> {
    /// A notifier leads to others that are there, and not in circles.
    pub(super) fn notifier(&self, one: &Parsed, notifier: &Notifier, problems: &mut Vec<Problem>) {
        let subject = format!("notifier \"{}\"", notifier.name);
        for (key, name) in named_in(notifier) {
            let found = DocumentKey { kind: DocumentKind::Notifier, name: name.clone() };
            let (message, hint) = match self.after.get(&found) {
                Some(_) if *name == notifier.name => {
                    (format!("{subject}: it leads to itself"), None)
                }
                Some(Document::Notifier(Notifier { channel: Channel::Route(_), .. }))
                    if key == "route" =>
                {
                    let hint = "write its routes here".to_owned();
                    (format!("{subject}: \"{name}\" is a route itself"), Some(hint))
                }
                Some(_) => continue,
                None => {
                    let hint = near(problems, name.as_str(), self.after, DocumentKind::Notifier)
                        .unwrap_or_else(|| "write a [[notifier]] of that name".to_owned());
                    (format!("{subject}: there is no notifier \"{name}\""), Some(hint))
                }
            };
            problems.push(problem(one, None, Some(key), message, hint));
        }
    }
}
