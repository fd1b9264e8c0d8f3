//! What the documents were at an earlier revision, and what brings them back.

use super::documents::Library;
use crate::document::{
    DocumentKey,
    bundle::Source,
    diff::{Change, ChangeKind, difference},
    written::{Written, removal, written},
};
use std::collections::BTreeMap;

impl Library {
    /// Every document as it was written at this revision; 0 is before the first. Nothing when
    /// there is no such revision.
    pub fn written_at(&self, revision: u64) -> Option<BTreeMap<DocumentKey, Written>> {
        if revision > self.revision() {
            return None;
        }
        // Which revision each document comes from at that time.
        let mut origin: BTreeMap<&DocumentKey, u64> = BTreeMap::new();
        for earlier in self.revisions().iter().filter(|earlier| earlier.number <= revision) {
            for change in &earlier.changes {
                match change.kind {
                    ChangeKind::Added | ChangeKind::Changed => {
                        origin.insert(&change.key, earlier.number);
                    }
                    ChangeKind::Removed => {
                        origin.remove(&change.key);
                    }
                }
            }
        }
        let mut read: BTreeMap<u64, BTreeMap<DocumentKey, Written>> = BTreeMap::new();
        let mut texts = BTreeMap::new();
        for (key, number) in origin {
            let of_revision = read.entry(number).or_insert_with(|| {
                let sources = self.revision_numbered(number).map(|r| &r.bundle.bundle.sources);
                sources.into_iter().flatten().flat_map(written).collect()
            });
            if let Some(text) = of_revision.remove(key) {
                texts.insert(key.clone(), text);
            }
        }
        Some(texts)
    }

    /// The one file of documents that makes the mesh's documents what they were at this revision,
    /// and what it changes. It brings back only what differs, and takes away what was not there
    /// then. Nothing when there is no such revision.
    pub fn rollback(&self, revision: u64) -> Option<(Source, Vec<Change>)> {
        let wanted = self.written_at(revision)?;
        let after = wanted.iter().map(|(key, one)| (key.clone(), one.document.clone())).collect();
        let changes = difference(self.documents(), &after);
        let mut text = format!("# What revision {revision} said.\n");
        for change in &changes {
            text.push('\n');
            match wanted.get(&change.key) {
                Some(one) => text.push_str(&one.text),
                None => text.push_str(&removal(&change.key)),
            }
        }
        Some((Source { file: format!("rollback-to-{revision}.toml"), text }, changes))
    }
}
