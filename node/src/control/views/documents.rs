//! Documents and revisions as they are shown.

use super::SCHEMA;
use protocol::{
    agent::Agent,
    document::{
        Document, DocumentKey,
        bundle::{Bundle, Source},
        diff::{Change, difference},
        problem::{Problem, Problems},
        validate::read_bundle,
        written::written,
    },
    ledger::{
        documents::Revision,
        touched::{Touched, touched},
    },
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A document in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRow {
    /// `check`, `runbook`, …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The revision that it comes from.
    pub revision: u64,
}

/// The documents in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentsView {
    /// The version of this shape.
    pub schema: u32,
    /// The latest revision.
    pub revision: u64,
    /// The documents, by kind and name.
    pub documents: Vec<DocumentRow>,
}

/// One document, as its operator wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentView {
    /// The version of this shape.
    pub schema: u32,
    /// What the listing says.
    #[serde(flatten)]
    pub row: DocumentRow,
    /// The file that it came in.
    pub file: Option<String>,
    /// Its text.
    pub text: Option<String>,
    /// Its keys, as they were written; defaults are left out.
    pub document: Value,
}

/// What happens to a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// `added`, `changed` or `removed`.
    pub change: String,
    /// `KIND/NAME`.
    pub document: String,
}

/// What would happen to a document, and whom that concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TouchView {
    /// What would happen to it.
    #[serde(flatten)]
    pub change: ChangeView,
    /// The hosts that it is for, by their labels, before the change or after it.
    pub hosts: Vec<String>,
    /// The open incidents that it is about; a repair under way goes on by the old text.
    pub incidents: Vec<String>,
}

/// One revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionView {
    /// Its number.
    pub revision: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// The peer that the command came in at.
    pub by: String,
    /// The operators' keys that signed it, in hexadecimal digits.
    pub signed_by: Vec<String>,
    /// The files that it came in.
    pub files: Vec<String>,
    /// What it changed.
    pub changes: Vec<ChangeView>,
}

/// Every revision, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    /// The version of this shape.
    pub schema: u32,
    /// The revisions.
    pub revisions: Vec<RevisionView>,
}

/// One thing that is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1.
    pub column: usize,
    /// The key that it is about.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What texts would change if they were applied now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewView {
    /// The version of this shape.
    pub schema: u32,
    /// The revision that they were held against.
    pub revision: u64,
    /// What would change.
    pub changes: Vec<TouchView>,
    /// What is wrong; then nothing would change.
    pub problems: Vec<ProblemView>,
    /// How many more problems there are.
    pub more_problems: usize,
}

impl ChangeView {
    pub(super) fn of(change: &Change) -> Self {
        let document = change.key.to_string();
        Self { change: change.kind.as_str().to_owned(), document }
    }
}

impl TouchView {
    fn of(agent: &Agent, change: &Change, after: &BTreeMap<DocumentKey, Document>) -> Self {
        let ledger = agent.ledger();
        let Touched { peers, incidents } = touched(ledger, &change.key, after);
        let mut hosts: Vec<String> =
            peers.into_iter().map(|peer| ledger.roster().name(peer)).collect();
        hosts.sort();
        let incidents = incidents.iter().map(ToString::to_string).collect();
        Self { change: ChangeView::of(change), hosts, incidents }
    }
}

impl DocumentRow {
    fn of(agent: &Agent, key: &DocumentKey) -> Self {
        Self {
            kind: key.kind.as_str().to_owned(),
            name: key.name.to_string(),
            revision: agent.ledger().library().origin(key).unwrap_or(0),
        }
    }
}

impl DocumentsView {
    /// The documents in force.
    pub fn of(agent: &Agent) -> Self {
        let library = agent.ledger().library();
        let rows = library.documents().keys().map(|key| DocumentRow::of(agent, key));
        Self { schema: SCHEMA, revision: library.revision(), documents: rows.collect() }
    }
}

impl DocumentView {
    /// One document, if it is in force.
    pub fn of(agent: &Agent, key: &DocumentKey) -> Option<Self> {
        let library = agent.ledger().library();
        library.documents().get(key)?;
        let row = DocumentRow::of(agent, key);
        let revision = library.revision_numbered(row.revision);
        let written = revision.and_then(|revision| {
            let sources = &revision.bundle.bundle.sources;
            let one = sources.iter().find_map(|source| written(source).remove(key))?;
            Some((one.file, one.text))
        });
        let (file, text) = written.unzip();
        let document = text.as_deref().and_then(|text| fields(text, key)).unwrap_or(Value::Null);
        Some(Self { schema: SCHEMA, row, file, text, document })
    }
}

fn fields(text: &str, key: &DocumentKey) -> Option<Value> {
    let table: toml::Table = toml::from_str(text).ok()?;
    let value = serde_json::to_value(table.get(key.kind.as_str())?).ok()?;
    // Several of a kind are a list, of which this text holds one.
    match value.as_array().map(Vec::as_slice) {
        Some([only]) => Some(only.clone()),
        Some(_) | None => Some(value),
    }
}

impl HistoryView {
    /// Every revision.
    pub fn of(agent: &Agent) -> Self {
        let shown = |revision: &Revision| RevisionView {
            revision: revision.number,
            at: revision.at,
            by: agent.ledger().roster().name(revision.by),
            signed_by: revision
                .bundle
                .signatures
                .iter()
                .map(|signature| data_encoding::HEXLOWER.encode(&signature.key))
                .collect(),
            files: revision.bundle.bundle.sources.iter().map(|s| s.file.clone()).collect(),
            changes: revision.changes.iter().map(ChangeView::of).collect(),
        };
        let revisions = agent.ledger().library().revisions();
        Self { schema: SCHEMA, revisions: revisions.iter().rev().map(shown).collect() }
    }
}

impl ProblemView {
    fn of(problem: &Problem) -> Self {
        let Problem { file, line, column, key, message, hint } = problem.clone();
        Self { file, line, column, key, message, hint }
    }

    /// The problem as one line.
    pub fn line(&self) -> String {
        let Self { file, line, message, .. } = self;
        match &self.hint {
            Some(hint) => format!("{file}:{line}: {message}; {hint}"),
            None => format!("{file}:{line}: {message}"),
        }
    }

    /// Problems, and how many more there are.
    pub fn all(problems: &Problems) -> (Vec<Self>, usize) {
        (problems.list().iter().map(Self::of).collect(), problems.more())
    }
}

impl PreviewView {
    /// What these texts would change.
    pub fn of(agent: &Agent, sources: &[Source]) -> Self {
        let library = agent.ledger().library();
        let revision = library.revision();
        let bundle = Bundle { mesh: [0; 32], revision: revision + 1, sources: sources.to_vec() };
        let (changes, (problems, more_problems)) = match read_bundle(&bundle, library.documents()) {
            Ok(after) => {
                let changes = difference(library.documents(), &after);
                let touches = changes.iter().map(|change| TouchView::of(agent, change, &after));
                (touches.collect(), (Vec::new(), 0))
            }
            Err(problems) => (Vec::new(), ProblemView::all(&problems)),
        };
        Self { schema: SCHEMA, revision, changes, problems, more_problems }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Sample;
    use super::*;

    fn key(text: &str) -> DocumentKey {
        let (kind, name) = text.split_once('/').unwrap();
        let kind = protocol::document::DocumentKind::ALL.into_iter().find(|k| k.as_str() == kind);
        DocumentKey { kind: kind.unwrap(), name: protocol::name::Name::parse(name).unwrap() }
    }

    #[test]
    fn a_document_is_shown_as_its_operator_wrote_it() {
        let sample = Sample::quiet();
        let view = DocumentView::of(&sample.agent, &key("check/web-alive")).unwrap();
        assert_eq!(view.row.revision, 1);
        assert_eq!(view.file.as_deref(), Some("web.toml"));
        let text = view.text.unwrap();
        assert!(text.starts_with("[[check]]\n") && text.ends_with("role = \"web\" }\n"), "{text}");
        assert_eq!(view.document["every"], "1s");
        let runbook = DocumentView::of(&sample.agent, &key("runbook/restart-web")).unwrap();
        assert_eq!(runbook.document["rung"][1]["notify"], "ops");
        let limits = DocumentView::of(&sample.agent, &key("limits/limits")).unwrap();
        assert_eq!(limits.document["at_once"], 2);
        assert!(DocumentView::of(&sample.agent, &key("check/none")).is_none());
    }

    #[test]
    fn a_test_below_a_document_is_no_part_of_it() {
        let check = "[[check]]\nname = \"web\"\ncommand = \"true\"\n";
        let test = "\n# What it shows.\n[[test]]\nname = \"t\"\npeers = { a = {} }\nexpect_no = [{ rung = \"*\" }]\n";
        let source = Source { file: "f.toml".to_owned(), text: format!("{check}{test}") };
        let written = written(&source);
        assert_eq!(written[&key("check/web")].text, check);
    }

    #[test]
    fn revisions_are_told_with_who_signed_them() {
        let sample = Sample::quiet();
        let history = HistoryView::of(&sample.agent);
        assert_eq!(history.revisions.len(), 1);
        let revision = &history.revisions[0];
        assert_eq!((revision.revision, revision.by.as_str()), (1, "db-1"));
        assert_eq!(revision.signed_by[0].len(), 64);
        assert_eq!(revision.changes[0].change, "added");
        assert_eq!(DocumentsView::of(&sample.agent).documents.len(), 4);
    }

    #[test]
    fn a_preview_says_what_would_change_or_what_is_wrong() {
        let sample = Sample::quiet();
        let preview = |text: &str| {
            let source = Source { file: "f.toml".to_owned(), text: text.to_owned() };
            PreviewView::of(&sample.agent, &[source])
        };
        let good = preview("[limits]\nat_once = 3\n");
        assert_eq!(good.revision, 1);
        assert_eq!(good.changes.len(), 1);
        assert_eq!(good.changes[0].change.document, "limits/limits");
        assert_eq!(good.changes[0].change.change, "changed");
        assert!(good.changes[0].hosts.contains(&"web-1".to_owned()), "{:?}", good.changes);
        assert!(preview("[limits]\nat_once = 2\n").changes.is_empty());
        let bad = preview("[limits]\nat_onec = 3\n");
        assert!(bad.changes.is_empty());
        assert!(bad.problems[0].line().starts_with("f.toml:2: "), "{:?}", bad.problems);
    }
}
