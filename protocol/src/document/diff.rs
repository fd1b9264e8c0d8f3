//! What a change of documents comes to: for the operator who is about to apply it.

use super::{Document, DocumentKey};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// What happens to one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which one.
    pub key: DocumentKey,
    /// What happens to it.
    pub kind: ChangeKind,
}

/// What can happen to a document. One that stays as it is has no change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It says something else.
    Changed,
    /// It is gone.
    Removed,
}

impl ChangeKind {
    /// The word for it: `added`, `changed`, `removed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind {
            ChangeKind::Added => '+',
            ChangeKind::Changed => '~',
            ChangeKind::Removed => '-',
        };
        f.pad(&format!("{sign} {}", self.key))
    }
}

/// What is different, in the order of the keys; empty when both sets say the same.
pub fn difference(
    before: &BTreeMap<DocumentKey, Document>,
    after: &BTreeMap<DocumentKey, Document>,
) -> Vec<Change> {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let gone = gone.map(|key| Change { key: key.clone(), kind: ChangeKind::Removed });
    let here = after.iter().filter_map(|(key, document)| {
        let kind = match before.get(key) {
            None => ChangeKind::Added,
            Some(old) if old != document => ChangeKind::Changed,
            Some(_) => return None,
        };
        Some(Change { key: key.clone(), kind })
    });
    let mut changes: Vec<Change> = gone.chain(here).collect();
    changes.sort_by(|left, right| left.key.cmp(&right.key));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Limits, MeshSettings};

    fn set(documents: &[Document]) -> BTreeMap<DocumentKey, Document> {
        documents.iter().map(|document| (document.key(), document.clone())).collect()
    }

    #[test]
    fn what_is_added_changed_and_removed_is_told_and_nothing_else() {
        let mesh =
            |voters_max| Document::Mesh(MeshSettings { voters_max, ..MeshSettings::default() });
        let limits = Document::Limits(Limits::default());
        let show = |before: &[Document], after: &[Document]| -> Vec<String> {
            difference(&set(before), &set(after)).iter().map(Change::to_string).collect()
        };
        assert_eq!(show(&[], &[mesh(3)]), ["+ mesh/mesh"]);
        assert_eq!(show(&[mesh(3), limits.clone()], &[mesh(3)]), ["- limits/limits"]);
        assert_eq!(show(&[mesh(3)], &[mesh(5), limits]), ["+ limits/limits", "~ mesh/mesh"]);
        assert!(show(&[mesh(3)], &[mesh(3)]).is_empty());
    }
}
