//! The documents in force, and every revision that led to them.

use super::{Context, Effect, Ledger, Outcome};
use crate::{
    document::{
        Bounds, Check, Document, DocumentKey, DocumentKind, Guest, Ladder, Limits, Maintenance,
        MeshSettings, Notifier, On, Runbook, Silence, Stream, Verdict,
        bundle::{BUNDLE_BYTES_MAX, SignedBundle},
        diff::{Change, difference},
        validate::read_bundle,
    },
    name::{Labels, Name, PeerId},
    record::Because,
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One revision: what an operator applied, when, and what it changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number; the first is 1.
    pub number: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// The peer that the operator's command came in at.
    pub by: PeerId,
    /// The texts and the operator's signature.
    pub bundle: SignedBundle,
    /// What it added, changed and removed.
    pub changes: Vec<Change>,
}

/// The documents in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Library {
    documents: BTreeMap<DocumentKey, Document>,
    /// Which revision each document in force comes from.
    origin: BTreeMap<DocumentKey, u64>,
    revisions: Vec<Revision>,
    /// The runbooks by the check that they answer, those for silences below `None`: what is looked
    /// up for every incident. It follows from the documents and is not written down.
    #[serde(skip)]
    answers: BTreeMap<Option<Name>, Vec<Name>>,
}

/// The documents in force as they are written down.
#[derive(Deserialize)]
struct Written {
    documents: BTreeMap<DocumentKey, Document>,
    origin: BTreeMap<DocumentKey, u64>,
    revisions: Vec<Revision>,
}

impl From<Written> for Library {
    fn from(written: Written) -> Self {
        let Written { documents, origin, revisions } = written;
        let mut library = Self { origin, revisions, ..Self::default() };
        library.set(documents);
        library
    }
}

impl Library {
    /// Puts these documents in force.
    fn set(&mut self, documents: BTreeMap<DocumentKey, Document>) {
        self.documents = documents;
        let mut answers: BTreeMap<Option<Name>, Vec<Name>> = BTreeMap::new();
        for runbook in self.runbooks() {
            let signal = match &runbook.on {
                On::Check(check) => Some(check.clone()),
                On::Peer(_) => None,
                // A ladder or an operator calls them by their names.
                On::Ladder(_) | On::Operator => continue,
            };
            answers.entry(signal).or_default().push(runbook.name.clone());
        }
        self.answers = answers;
    }

    /// The number of the latest revision; 0 before the first.
    pub fn revision(&self) -> u64 {
        self.revisions.last().map_or(0, |revision| revision.number)
    }

    /// Every revision, oldest first.
    pub fn revisions(&self) -> &[Revision] {
        &self.revisions
    }

    /// One revision.
    pub fn revision_numbered(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }

    /// The documents in force.
    pub const fn documents(&self) -> &BTreeMap<DocumentKey, Document> {
        &self.documents
    }

    /// Which revision a document in force comes from.
    pub fn origin(&self, key: &DocumentKey) -> Option<u64> {
        self.origin.get(key).copied()
    }

    /// The checks in force.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.of_kind(DocumentKind::Check).filter_map(|document| {
            if let Document::Check(check) = document { Some(check) } else { None }
        })
    }

    /// The runbooks in force.
    pub fn runbooks(&self) -> impl Iterator<Item = &Runbook> {
        self.of_kind(DocumentKind::Runbook).filter_map(|document| {
            if let Document::Runbook(runbook) = document { Some(runbook) } else { None }
        })
    }

    /// The notifiers in force.
    pub fn notifiers(&self) -> impl Iterator<Item = &Notifier> {
        self.of_kind(DocumentKind::Notifier).filter_map(|document| {
            if let Document::Notifier(notifier) = document { Some(notifier) } else { None }
        })
    }

    /// The ladders in force.
    pub fn ladders(&self) -> impl Iterator<Item = &Ladder> {
        self.of_kind(DocumentKind::Ladder).filter_map(|document| {
            if let Document::Ladder(ladder) = document { Some(ladder) } else { None }
        })
    }

    /// The maintenances in force, whether it is their time or not.
    pub fn maintenances(&self) -> impl Iterator<Item = &Maintenance> {
        self.of_kind(DocumentKind::Maintenance).filter_map(|document| {
            if let Document::Maintenance(maintenance) = document { Some(maintenance) } else { None }
        })
    }

    /// The streams in force.
    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.of_kind(DocumentKind::Stream).filter_map(|document| {
            if let Document::Stream(stream) = document { Some(stream) } else { None }
        })
    }

    /// The guests in force.
    pub fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.of_kind(DocumentKind::Guest).filter_map(|document| {
            if let Document::Guest(guest) = document { Some(guest) } else { None }
        })
    }

    /// The guest whose surgeon has this application id.
    pub fn guest_of(&self, application_id: &str) -> Option<&Guest> {
        self.guests().find(|guest| guest.is_served_by(application_id))
    }

    /// A stream by its name.
    pub fn stream(&self, name: &Name) -> Option<&Stream> {
        let key = DocumentKey { kind: DocumentKind::Stream, name: name.clone() };
        match self.documents.get(&key) {
            Some(Document::Stream(stream)) => Some(stream),
            Some(_) | None => None,
        }
    }

    /// The documents of one kind, by name. The keys are in the order of the kinds, so that nothing
    /// else is walked.
    fn of_kind(&self, kind: DocumentKind) -> impl Iterator<Item = &Document> {
        let from = DocumentKey { kind, name: Name::LEAST };
        let of_kind = self.documents.range(from..).take_while(move |(key, _)| key.kind == kind);
        of_kind.map(|(_, document)| document)
    }

    /// A runbook by its name.
    pub fn runbook(&self, name: &Name) -> Option<&Runbook> {
        let key = DocumentKey { kind: DocumentKind::Runbook, name: name.clone() };
        match self.documents.get(&key) {
            Some(Document::Runbook(runbook)) => Some(runbook),
            Some(_) | None => None,
        }
    }

    /// A ladder by its name.
    pub fn ladder(&self, name: &Name) -> Option<&Ladder> {
        self.ladders().find(|ladder| ladder.name == *name)
    }

    /// A check by its name.
    pub fn check(&self, name: &Name) -> Option<&Check> {
        let key = DocumentKey { kind: DocumentKind::Check, name: name.clone() };
        match self.documents.get(&key) {
            Some(Document::Check(check)) => Some(check),
            Some(_) | None => None,
        }
    }

    /// A notifier by its name.
    pub fn notifier(&self, name: &Name) -> Option<&Notifier> {
        let key = DocumentKey { kind: DocumentKind::Notifier, name: name.clone() };
        match self.documents.get(&key) {
            Some(Document::Notifier(notifier)) => Some(notifier),
            Some(_) | None => None,
        }
    }

    /// The limits in force; nothing is limited before they are written.
    pub fn limits(&self) -> &Limits {
        static NONE: Limits = Limits { mesh: Bounds::NONE, per_label: BTreeMap::new() };
        let limits = self.of_kind(DocumentKind::Limits).find_map(|document| {
            if let Document::Limits(limits) = document { Some(limits) } else { None }
        });
        limits.unwrap_or(&NONE)
    }

    /// How the mesh is run.
    pub fn settings(&self) -> MeshSettings {
        let settings = self.of_kind(DocumentKind::Mesh).find_map(|document| {
            if let Document::Mesh(settings) = document { Some(settings.clone()) } else { None }
        });
        settings.unwrap_or_default()
    }

    /// The runbook that answers a signal of a peer with these labels, if there is one.
    ///
    /// A runbook for the very kind of silence goes before one for either kind, and then the one of
    /// greater priority; two that would answer alike were refused when they were applied.
    pub fn runbook_for(&self, because: &Because, labels: &Labels) -> Option<&Runbook> {
        let signal = match because {
            Because::Check { check, .. } | Because::Job { check, .. } => Some(check.clone()),
            Because::Silent { .. } => None,
            Because::Ladder { .. }
            | Because::Operator { .. }
            | Because::Storm { .. }
            | Because::Untold { .. } => {
                return None;
            }
        };
        let names = self.answers.get(&signal).into_iter().flatten();
        names
            .filter_map(|name| self.runbook(name))
            .filter(|runbook| runbook.selector.fits(labels))
            .filter_map(|runbook| Some((specificity(runbook, because)?, runbook)))
            .max_by_key(|(specificity, runbook)| (*specificity, runbook.priority))
            .map(|(_, runbook)| runbook)
    }
}

/// How closely a runbook names a signal; nothing when it does not.
fn specificity(runbook: &Runbook, because: &Because) -> Option<u8> {
    match (&runbook.on, because) {
        (On::Check(wanted), Because::Check { check, verdict, .. }) => {
            (wanted == check && runbook.answers(*verdict)).then_some(0)
        }
        (On::Check(wanted), Because::Job { check, .. }) => {
            (wanted == check && runbook.answers(Verdict::Fail)).then_some(0)
        }
        (On::Peer(Silence::Silent), Because::Silent { .. }) => Some(0),
        (On::Peer(wanted), Because::Silent { kind, .. }) => (wanted == kind).then_some(1),
        (On::Check(_), Because::Silent { .. })
        | (On::Peer(_), Because::Check { .. } | Because::Job { .. })
        | (On::Ladder(_) | On::Operator, _)
        | (
            _,
            Because::Ladder { .. }
            | Because::Operator { .. }
            | Because::Storm { .. }
            | Because::Untold { .. },
        ) => None,
    }
}

#[cfg(feature = "mistakes")]
impl Ledger {
    /// As if the limits were missing from a snapshot.
    pub(crate) fn forget_limits(&mut self) {
        let mut documents = std::mem::take(&mut self.library.documents);
        documents.retain(|key, _| key.kind != DocumentKind::Limits);
        self.library.set(documents);
    }
}

impl Ledger {
    pub(super) fn apply_documents(&mut self, context: &Context, bundle: &SignedBundle) -> Outcome {
        let mesh = self.mesh.as_ref().ok_or(Refusal::NotFounded)?;
        let size: usize = bundle.bundle.sources.iter().map(|source| source.text.len()).sum();
        if size > BUNDLE_BYTES_MAX {
            return Err(Refusal::TooLarge {
                what: "the documents' text".to_owned(),
                limit_bytes: u64::try_from(BUNDLE_BYTES_MAX).unwrap_or(u64::MAX),
            });
        }
        // What was signed for another mesh is not signed for this one, whoever has signed it.
        let ours = bundle.bundle.mesh == mesh.root_fingerprint;
        let valid = if ours { bundle.valid_signatures(&mesh.trust) } else { 0 };
        if !ours || !bundle.is_authorised(&mesh.trust) {
            return Err(Refusal::NotSigned { valid, needed: mesh.trust.threshold });
        }
        let current = self.library.revision();
        let number = bundle.bundle.revision;
        if number != current + 1 {
            return Err(Refusal::RevisionConflict { base: number.saturating_sub(1), current });
        }
        let documents = read_bundle(&bundle.bundle, &self.library.documents)
            .map_err(|problems| Refusal::InvalidDocuments { problem: problems.to_string() })?;
        self.roster.guests_are_free(&documents)?;
        let changes = difference(&self.library.documents, &documents);
        let library = &mut self.library;
        for change in &changes {
            if documents.contains_key(&change.key) {
                library.origin.insert(change.key.clone(), number);
            } else {
                library.origin.remove(&change.key);
            }
        }
        library.set(documents);
        self.heartbeats.declare(library, context.at);
        self.roster.receive(library, number, context.at);
        let (at, by) = (context.at, context.by);
        library.revisions.push(Revision { number, at, by, bundle: bundle.clone(), changes });
        Ok(Effect::Revision(number))
    }
}
