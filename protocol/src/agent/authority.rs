//! What enough operators signed, as this host can tell by the keys that it pinned.

use super::Agent;
use crate::{
    document::{Document, ladder::is_made_of, parse::parse},
    ledger::incident::Incident,
    record::Because,
};

impl Agent {
    /// Verifies each revision against the operators' keys that this host pinned, not against what
    /// the ledger says of them: the log orders, operators authorise.
    pub(super) fn authorise_new_revisions(&mut self) {
        let known = self.authorised.keys().next_back().copied().unwrap_or(0);
        for revision in self.ledger.library().revisions() {
            if revision.number <= known || !revision.bundle.is_authorised(&self.trust) {
                continue;
            }
            let documents = revision.bundle.bundle.sources.iter().filter_map(|s| parse(s).ok());
            let documents = documents.flatten().map(|parsed| parsed.document).collect();
            self.authorised.insert(revision.number, documents);
        }
    }

    /// Whether enough operators signed exactly this document in the revision it comes from, as far
    /// as this host can tell.
    pub(crate) fn is_authorised(&self, document: &Document, revision: u64) -> bool {
        self.authorised.range(..=revision).any(|(_, documents)| documents.contains(document))
    }

    /// Whether enough operators signed what this incident's rungs come from, as far as this host
    /// can tell.
    pub(crate) fn plan_is_authorised(&self, incident: &Incident) -> bool {
        let Some(plan) = &incident.plan else { return false };
        let Because::Ladder { ladder, .. } = &incident.because else {
            return self.is_authorised(&Document::Runbook(plan.clone()), incident.revision);
        };
        let documents: Vec<Document> = self
            .authorised
            .range(..=incident.revision)
            .flat_map(|(_, documents)| documents.iter().cloned())
            .collect();
        documents.iter().any(|document| {
            matches!(document, Document::Ladder(known)
                if known.name == *ladder && is_made_of(plan, known, &documents))
        })
    }
}
