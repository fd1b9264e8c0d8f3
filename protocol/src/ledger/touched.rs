//! Whom a change of documents concerns: the hosts that a document is for, by their labels, and the
//! incidents that are open about it.

use super::{Ledger, incident::Incident};
use crate::{
    document::{Action, Document, DocumentKey, DocumentKind, On, Runbook, Rung},
    name::{IncidentId, PeerId},
    record::Because,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a changed document touches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// The members that it is for, before the change or after it.
    pub peers: BTreeSet<PeerId>,
    /// The open incidents that it answers, or is the signal of. A repair under way goes on by the
    /// text that it was begun with.
    pub incidents: BTreeSet<IncidentId>,
}

/// What a change of this document touches, where `after` are all documents after it.
pub fn touched(
    ledger: &Ledger,
    key: &DocumentKey,
    after: &BTreeMap<DocumentKey, Document>,
) -> Touched {
    let before = ledger.library().documents();
    let mut touched = Touched::default();
    for documents in [before, after] {
        let Some(document) = documents.get(key) else { continue };
        let of_it = |(peer, member): (PeerId, &super::roster::Member)| {
            is_for(document, documents, &member.card.labels).then_some(peer)
        };
        touched.peers.extend(ledger.roster().hosts().filter_map(of_it));
        let about = ledger.open_incidents().filter(|incident| concerns(document, key, incident));
        let of_all = key.kind != DocumentKind::Maintenance;
        let about = about.filter(|incident| of_all || touched.peers.contains(&incident.peer));
        touched.incidents.extend(about.map(|incident| incident.id));
    }
    touched
}

fn is_for(
    document: &Document,
    documents: &BTreeMap<DocumentKey, Document>,
    labels: &crate::name::Labels,
) -> bool {
    match document {
        Document::Check(check) => check.selector.fits(labels),
        Document::Runbook(runbook) => {
            runbook.selector.fits(labels) && signal_is_for(runbook, documents, labels)
        }
        Document::Ladder(ladder) => ladder.selector.fits(labels),
        Document::Maintenance(window) => window.selector.fits(labels),
        Document::Limits(_) | Document::Mesh(_) => true,
        Document::Notifier(_) | Document::Stream(_) | Document::Guest(_) | Document::Remove(_) => {
            false
        }
    }
}

/// Whether the signal that a runbook answers can come from such a peer at all.
fn signal_is_for(
    runbook: &Runbook,
    documents: &BTreeMap<DocumentKey, Document>,
    labels: &crate::name::Labels,
) -> bool {
    match &runbook.on {
        On::Peer(_) | On::Ladder(_) | On::Operator => true,
        On::Check(name) => {
            let key = DocumentKey { kind: DocumentKind::Check, name: name.clone() };
            match documents.get(&key) {
                Some(Document::Check(check)) => check.selector.fits(labels),
                Some(_) | None => false,
            }
        }
    }
}

fn concerns(document: &Document, key: &DocumentKey, incident: &Incident) -> bool {
    let plan = incident.plan.as_ref();
    match document {
        Document::Check(_) => match &incident.because {
            Because::Ladder { failing, .. } => failing.iter().any(|one| one.check == key.name),
            because @ (Because::Check { .. }
            | Because::Silent { .. }
            | Because::Operator { .. }
            | Because::Storm { .. }
            | Because::Untold { .. }
            | Because::Job { .. }) => because.check() == Some(&key.name),
        },
        Document::Runbook(_) => plan.is_some_and(|plan| {
            let of_level =
                |rung: &Rung| rung.level.as_ref().is_some_and(|level| level.runbook == key.name);
            plan.name == key.name || plan.rungs.iter().any(of_level)
        }),
        Document::Ladder(_) => plan.is_some_and(|plan| plan.name == key.name),
        Document::Notifier(_) => plan.is_some_and(|plan| {
            plan.rungs.iter().any(
                |rung| matches!(&rung.action, Action::Notify(notifier) if *notifier == key.name),
            )
        }),
        Document::Limits(_) | Document::Maintenance(_) => true,
        Document::Mesh(_) | Document::Stream(_) | Document::Guest(_) | Document::Remove(_) => false,
    }
}
