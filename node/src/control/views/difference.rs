//! How documents differ between revisions, line by line as their operators wrote them.

use super::{ChangeView, SCHEMA};
use protocol::{
    agent::Agent,
    document::{DocumentKey, bundle::Source, diff::difference, written::Written},
    ledger::documents::Library,
};
use serde::{Deserialize, Serialize};
use similar::TextDiff;
use std::collections::BTreeMap;

/// How many unchanged lines are shown around a changed one.
const CONTEXT: usize = 3;

/// How one document differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentDifference {
    /// What happened to it.
    #[serde(flatten)]
    pub change: ChangeView,
    /// The lines that differ, as `diff -u` shows them.
    pub diff: String,
}

/// How the documents of two revisions differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceView {
    /// The version of this shape.
    pub schema: u32,
    /// The one revision.
    pub from: u64,
    /// The other.
    pub to: u64,
    /// The documents that differ, by kind and name.
    pub documents: Vec<DocumentDifference>,
}

/// What brings the documents of an earlier revision back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackView {
    /// The version of this shape.
    pub schema: u32,
    /// The latest revision, which this goes on from.
    pub revision: u64,
    /// The revision that comes back.
    pub to: u64,
    /// The texts to sign; they change nothing that is as it was.
    pub sources: Vec<Source>,
    /// What they change.
    pub documents: Vec<DocumentDifference>,
}

type Texts = BTreeMap<DocumentKey, Written>;

impl DifferenceView {
    /// How the documents of two revisions differ; nothing when there is no such revision.
    pub fn of(agent: &Agent, from: u64, to: u64) -> Option<Self> {
        let documents = between(agent.ledger().library(), from, to)?;
        Some(Self { schema: SCHEMA, from, to, documents })
    }
}

impl RollbackView {
    /// What makes the documents what they were; nothing when there is no such revision.
    pub fn of(agent: &Agent, to: u64) -> Option<Self> {
        let library = agent.ledger().library();
        let revision = library.revision();
        let (source, changes) = library.rollback(to)?;
        let sources = if changes.is_empty() { Vec::new() } else { vec![source] };
        let documents = between(library, revision, to)?;
        Some(Self { schema: SCHEMA, revision, to, sources, documents })
    }
}

fn between(library: &Library, from: u64, to: u64) -> Option<Vec<DocumentDifference>> {
    let (before, after) = (library.written_at(from)?, library.written_at(to)?);
    let documents = |texts: &Texts| {
        texts.iter().map(|(key, one)| (key.clone(), one.document.clone())).collect()
    };
    let changes = difference(&documents(&before), &documents(&after));
    let told = changes.iter().map(|change| {
        let text = |texts: &Texts| texts.get(&change.key).map_or("", |one| &one.text).to_owned();
        let (old, new) = (text(&before), text(&after));
        let (title, diff) = (change.key.to_string(), TextDiff::from_lines(&old, &new));
        let mut lines = diff.unified_diff();
        lines.context_radius(CONTEXT);
        lines.header(&format!("{title} (revision {from})"), &format!("{title} (revision {to})"));
        DocumentDifference { change: ChangeView::of(change), diff: lines.to_string() }
    });
    Some(told.collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Sample;
    use super::*;

    #[test]
    fn the_first_revision_adds_every_line_of_its_documents() {
        let sample = Sample::quiet();
        let view = DifferenceView::of(&sample.agent, 0, 1).unwrap();
        assert_eq!(view.documents.len(), 4);
        let check = &view.documents[0];
        assert_eq!(
            (check.change.change.as_str(), check.change.document.as_str()),
            ("added", "check/web-alive")
        );
        assert!(check.diff.contains("+++ check/web-alive (revision 1)\n"), "{}", check.diff);
        assert!(check.diff.contains("\n+[[check]]\n+name"), "{}", check.diff);
        assert!(DifferenceView::of(&sample.agent, 1, 1).unwrap().documents.is_empty());
        assert_eq!(DifferenceView::of(&sample.agent, 0, 2), None);
    }

    #[test]
    fn going_back_before_the_first_takes_every_document_away() {
        let sample = Sample::quiet();
        let view = RollbackView::of(&sample.agent, 0).unwrap();
        assert_eq!((view.revision, view.sources.len(), view.documents.len()), (1, 1, 4));
        assert_eq!(view.sources[0].text.matches("[[remove]]").count(), 4);
        assert!(view.documents.iter().all(|one| one.diff.contains("\n-")));
        assert!(RollbackView::of(&sample.agent, 1).unwrap().sources.is_empty());
    }
}
