//! Documents as their operator wrote them: each with its own lines, comments and order of keys.
//!
//! What is compared, shown and brought back are these texts and never a re-encoding, as long as a
//! document stands by itself in its file. One that does not (an inline list, dotted keys) is
//! written anew from its keys; either way the text reads as the very same document.

use super::{
    Document, DocumentKey, DocumentKind,
    bundle::Source,
    parse::{Parsed, parse, parse_tests},
};
use std::collections::BTreeMap;

/// One document's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file that it came in.
    pub file: String,
    /// Its text, which reads as this document and nothing else; it ends with a newline.
    pub text: String,
    /// The document.
    pub document: Document,
}

/// Every document of a file with its own text; nothing of a file that cannot be read.
pub fn written(source: &Source) -> BTreeMap<DocumentKey, Written> {
    let Ok(parsed) = parse(source) else { return BTreeMap::new() };
    let lines: Vec<&str> = source.text.lines().collect();
    let mut starts: Vec<usize> = parsed.iter().map(|one| one.line.saturating_sub(1)).collect();
    // A test that stands below a document is no part of it.
    let tests = parse_tests(source).unwrap_or_default();
    starts.extend(tests.iter().map(|test| test.place.line.saturating_sub(1)));
    starts.sort_unstable();
    let mut tree = None;
    let mut all = BTreeMap::new();
    for one in &parsed {
        let text = own_lines(&lines, &starts, one);
        // Without a header of its own it would belong to whatever stands above it.
        let text = if text.trim_start().starts_with('[') && reads_as(&text, &one.document) {
            text
        } else {
            let tree = tree.get_or_insert_with(|| toml::from_str(&source.text).unwrap_or_default());
            match anew(tree, &one.document.key()).filter(|text| reads_as(text, &one.document)) {
                Some(text) => text,
                None => continue,
            }
        };
        let (file, document) = (source.file.clone(), one.document.clone());
        all.insert(one.document.key(), Written { file, text, document });
    }
    all
}

/// From its header to the next one's.
fn own_lines(lines: &[&str], starts: &[usize], one: &Parsed) -> String {
    let first = one.line.saturating_sub(1);
    let next = starts.get(starts.partition_point(|start| *start <= first));
    let mut own = lines.get(first..next.copied().unwrap_or(lines.len())).unwrap_or_default();
    // Comments above the next header belong to the next document.
    while let Some((last, before)) = own.split_last()
        && (last.trim().is_empty() || last.starts_with('#'))
    {
        own = before;
    }
    own.join("\n") + "\n"
}

fn reads_as(text: &str, document: &Document) -> bool {
    let source = Source { file: String::new(), text: text.to_owned() };
    parse(&source).is_ok_and(|parsed| match parsed.as_slice() {
        [only] => only.document == *document,
        _ => false,
    })
}

/// The document's keys as a text of its own.
fn anew(tree: &toml::Table, key: &DocumentKey) -> Option<String> {
    let kind = key.kind.as_str();
    let value = match (tree.get(kind)?, key.kind) {
        (single @ toml::Value::Table(_), DocumentKind::Limits | DocumentKind::Mesh) => {
            single.clone()
        }
        (toml::Value::Array(several), _) => {
            let named = |one: &&toml::Value| {
                one.get("name").and_then(toml::Value::as_str) == Some(key.name.as_str())
            };
            toml::Value::Array(vec![several.iter().find(named)?.clone()])
        }
        _ => return None,
    };
    toml::to_string(&toml::Table::from_iter([(kind.to_owned(), value)])).ok()
}

/// A `[[remove]]` of this document.
pub fn removal(key: &DocumentKey) -> String {
    let kind = key.kind.as_str();
    match key.kind {
        DocumentKind::Limits | DocumentKind::Mesh => format!("[[remove]]\nkind = \"{kind}\"\n"),
        DocumentKind::Check
        | DocumentKind::Runbook
        | DocumentKind::Notifier
        | DocumentKind::Ladder
        | DocumentKind::Maintenance
        | DocumentKind::Stream
        | DocumentKind::Guest => {
            format!("[[remove]]\nkind = \"{kind}\"\nname = \"{}\"\n", key.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> BTreeMap<String, String> {
        let source = Source { file: "f.toml".to_owned(), text: text.to_owned() };
        written(&source).into_iter().map(|(key, one)| (key.to_string(), one.text)).collect()
    }

    #[test]
    fn each_document_has_its_own_lines() {
        let texts = texts(
            "# of the check\n[[check]]\nname = \"a\" # here\ncommand = \"\"\"\n[limits]\ntrue\"\"\"\n\n\
             # of the limits\n[limits]\nat_once = 2\n",
        );
        assert_eq!(
            texts["check/a"],
            "[[check]]\nname = \"a\" # here\ncommand = \"\"\"\n[limits]\ntrue\"\"\"\n"
        );
        assert_eq!(texts["limits/limits"], "[limits]\nat_once = 2\n");
    }

    #[test]
    fn what_does_not_stand_by_itself_is_written_anew() {
        let texts = texts(
            "limits.at_once = 2\n\
             check = [{ name = \"a\", command = \"true\" }, { name = \"b\", command = \"x\\ny\" }]\n",
        );
        assert_eq!(texts["limits/limits"], "[limits]\nat_once = 2\n");
        assert!(texts["check/a"].starts_with("[[check]]\n"), "{texts:?}");
        assert!(texts["check/b"].contains("name = \"b\""), "{texts:?}");
        assert_eq!(texts.len(), 3);
    }

    #[test]
    fn a_removal_reads_as_one() {
        for (kind, name) in [(DocumentKind::Check, "web"), (DocumentKind::Limits, "limits")] {
            let name = crate::name::Name::parse(name).unwrap();
            let key = DocumentKey { kind, name };
            assert!(reads_as(&removal(&key), &Document::Remove(key.clone())), "{key}");
        }
    }
}
