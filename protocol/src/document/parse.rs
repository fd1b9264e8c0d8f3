//! From TOML to documents.
//!
//! The text is parsed into a tree that remembers where everything stands, and the tree is walked by
//! hand. That is longer than a derived decoder, and it buys what an operator needs: every problem
//! at once, each with file, line, key and the word that was probably meant.
//!
//! Every peer reads the same bundle again when it is committed, so reading is total and
//! deterministic: no text makes it panic, and the same text gives the same answer everywhere.

mod address;
mod alert;
mod check;
mod command;
mod evidence;
mod guest;
mod heartbeat;
mod host;
mod ladder;
mod limits;
mod mail;
mod maintenance;
mod mesh;
mod notifier;
mod params;
mod plugin;
mod policy;
mod probe;
mod reader;
mod remote;
mod runbook;
mod rung;
mod selector;
mod settings;
mod stream;
mod test;
mod unusual;

use super::{
    Document,
    bundle::{BUNDLE_BYTES_MAX, Source},
    problem::{Lines, Problem, Problems, Report, did_you_mean, quoted, shown},
    test::Test,
};
use reader::{Table, type_of};
use std::{collections::BTreeMap, sync::Arc};
use toml::de::{DeTable, DeValue};

/// A document, and where it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The document, valid in itself.
    pub document: Document,
    /// The file.
    pub file: Arc<str>,
    /// The line of its header, counted from 1.
    pub line: usize,
    /// The column of its header in characters, counted from 1.
    pub column: usize,
    parts: BTreeMap<Part, (usize, usize)>,
}

impl Parsed {
    /// Line and column of a part; where the document begins when the part is not written.
    pub(super) fn place_of(&self, part: Part) -> (usize, usize) {
        self.parts.get(&part).copied().unwrap_or((self.line, self.column))
    }
}

/// A part of a document that refers to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The signal that it answers.
    On,
    /// The rung at this place, counted from 0.
    Rung(usize),
    /// The level at this place, counted from 0.
    Level(usize),
    /// The checks that a check depends on.
    DependsOn,
    /// The check that an aggregate counts.
    Aggregate,
    /// The hash of a job's UUID.
    Uuid,
}

/// A walk through one file, and what it has found so far.
struct Walk<'l> {
    file: Arc<str>,
    lines: &'l Lines,
    drafts: Vec<Draft>,
    tests: Vec<Test>,
    report: Report,
}

/// A document at its byte of the text.
struct Draft {
    offset: usize,
    document: Document,
    parts: BTreeMap<Part, usize>,
}

/// Reads the documents of one file, in the order of the text. Its tests are read as well, so that
/// a mistake in one is found, but they are no documents.
///
/// # Errors
/// Everything that is wrong with it; of broken TOML only the first fault, because what follows a
/// fault is guesswork.
pub fn parse(source: &Source) -> Result<Vec<Parsed>, Problems> {
    read(source).map(|(documents, _tests)| documents)
}

/// Reads the tests of one file, in the order of the text.
///
/// # Errors
/// Everything that is wrong with the file, as [`parse`] tells it.
pub fn parse_tests(source: &Source) -> Result<Vec<Test>, Problems> {
    read(source).map(|(_documents, tests)| tests)
}

fn read(source: &Source) -> Result<(Vec<Parsed>, Vec<Test>), Problems> {
    let file = shown(&source.file);
    if source.text.len() > BUNDLE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes; documents are at most {BUNDLE_BYTES_MAX} bytes together",
            source.text.len()
        );
        let problem = Problem { file, line: 1, column: 1, key: None, message, hint: None };
        return Err(Problems::one(problem));
    }
    let lines = Lines::of(&source.text);
    let root = match DeTable::parse(&source.text) {
        Ok(root) => root,
        Err(error) => return Err(syntax(&error, &source.text, file, &lines)),
    };
    let mut walk = Walk {
        file: file.as_str().into(),
        lines: &lines,
        drafts: Vec::new(),
        tests: Vec::new(),
        report: Report::default(),
    };
    for (key, value) in root.get_ref() {
        walk.read_kind(key.get_ref(), key.span().start, value);
    }
    let Walk { mut drafts, mut tests, report, .. } = walk;
    if let Some(problems) = report.finish(&file, &lines) {
        return Err(problems);
    }
    tests.sort_by_key(|test| test.place);
    // The tree holds its keys in the order of the alphabet; operators read in that of the text.
    drafts.sort_by_key(|draft| draft.offset);
    let file: Arc<str> = file.into();
    let place = |draft: Draft| {
        let (line, column) = lines.place(draft.offset);
        let parts = draft.parts.into_iter().map(|(part, at)| (part, lines.place(at))).collect();
        Parsed { document: draft.document, file: Arc::clone(&file), line, column, parts }
    };
    Ok((drafts.into_iter().map(place).collect(), tests))
}

fn syntax(error: &toml::de::Error, text: &str, file: String, lines: &Lines) -> Problems {
    let span = error.span().unwrap_or(0..0);
    let (line, column) = lines.place(span.start.min(text.len()));
    let mut message = format!("not valid TOML: {}", error.message().replace('\n', " "));
    if error.message() == "duplicate key" {
        message = format!("{message} {}", quoted(text.get(span).unwrap_or_default()));
    }
    Problems::one(Problem { file, line, column, key: None, message, hint: None })
}

/// What may stand at the top of a file.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Check,
    Runbook,
    Notifier,
    Limits,
    Mesh,
    Remove,
    Ladder,
    Maintenance,
    Stream,
    Guest,
    Test,
}

impl Kind {
    const ALL: [(&'static str, Self); 11] = [
        ("check", Self::Check),
        ("runbook", Self::Runbook),
        ("notifier", Self::Notifier),
        ("limits", Self::Limits),
        ("mesh", Self::Mesh),
        ("remove", Self::Remove),
        ("ladder", Self::Ladder),
        ("maintenance", Self::Maintenance),
        ("stream", Self::Stream),
        ("guest", Self::Guest),
        ("test", Self::Test),
    ];

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(name, _)| *name == word).map(|(_, kind)| kind)
    }

    const fn header(self) -> &'static str {
        match self {
            Self::Check => "[[check]]",
            Self::Runbook => "[[runbook]]",
            Self::Notifier => "[[notifier]]",
            Self::Limits => "[limits]",
            Self::Mesh => "[mesh]",
            Self::Remove => "[[remove]]",
            Self::Ladder => "[[ladder]]",
            Self::Maintenance => "[[maintenance]]",
            Self::Stream => "[[stream]]",
            Self::Guest => "[[guest]]",
            Self::Test => "[[test]]",
        }
    }
}

impl Walk<'_> {
    /// Reads what stands below one word of the top level: all checks, or the limits.
    fn read_kind<'a>(&mut self, word: &str, offset: usize, value: &'a toml::Spanned<DeValue<'a>>) {
        let Some(kind) = Kind::parse(word) else {
            let (message, hint) = unknown(word, value.get_ref());
            return self.report.add(offset, Some(word), message, Some(hint));
        };
        let single = matches!(kind, Kind::Limits | Kind::Mesh);
        let at = value.span().start;
        match value.get_ref() {
            DeValue::Table(entries) if single => {
                self.read_one(kind, Table { entries, offset: at });
            }
            DeValue::Array(items) if !single => {
                for item in items.iter() {
                    let offset = item.span().start;
                    match item.get_ref().as_table() {
                        Some(entries) => self.read_one(kind, Table { entries, offset }),
                        None => {
                            let message =
                                format!("{word} must be a table, not {}", type_of(item.get_ref()));
                            let hint = format!("write {}", kind.header());
                            self.report.add(offset, Some(word), message, Some(hint));
                        }
                    }
                }
            }
            DeValue::Array(_) => {
                let message = format!("{word} is given once, not as a list");
                self.report.add(at, Some(word), message, Some(format!("write {}", kind.header())));
            }
            DeValue::Table(_) => {
                let message = format!("a {word} is an element of a list, not a single table");
                self.report.add(at, Some(word), message, Some(format!("write {}", kind.header())));
            }
            found @ (DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)) => {
                let message = format!("{word} must be a table, not {}", type_of(found));
                self.report.add(at, Some(word), message, Some(format!("write {}", kind.header())));
            }
        }
    }

    fn read_one(&mut self, kind: Kind, table: Table<'_>) {
        let report = &mut self.report;
        let mut parts = BTreeMap::new();
        let document = match kind {
            Kind::Check => check::check(table, report).map(|(check, found)| {
                parts = found;
                Document::Check(check)
            }),
            Kind::Runbook => runbook::runbook(table, report).map(|(runbook, found)| {
                parts = found;
                Document::Runbook(runbook)
            }),
            Kind::Notifier => notifier::notifier(table, report).map(Document::Notifier),
            Kind::Limits => Some(Document::Limits(limits::limits(table, report))),
            Kind::Ladder => ladder::ladder(table, report).map(|(ladder, found)| {
                parts = found;
                Document::Ladder(ladder)
            }),
            Kind::Maintenance => maintenance::maintenance(table, report).map(Document::Maintenance),
            Kind::Stream => stream::stream(table, report).map(Document::Stream),
            Kind::Guest => guest::guest(table, report).map(Document::Guest),
            Kind::Mesh => Some(Document::Mesh(settings::mesh(table, report))),
            Kind::Remove => settings::remove(table, report).map(Document::Remove),
            Kind::Test => {
                self.tests.extend(test::test(table, &self.file, self.lines, report));
                None
            }
        };
        self.drafts.extend(document.map(|document| Draft {
            offset: table.offset,
            document,
            parts,
        }));
    }
}

/// What to say about a word of the top level that is no kind of document.
fn unknown(word: &str, value: &DeValue<'_>) -> (String, String) {
    if word == "level" {
        let message = "\"level\" stands outside of any ladder".to_owned();
        return (message, "write [[ladder.level]] below its [[ladder]]".to_owned());
    }
    if matches!(word, "rung" | "evidence") {
        let message = format!("{} stands outside of any runbook", quoted(word));
        return (message, format!("write [[runbook.{word}]] below its [[runbook]]"));
    }
    if !value.is_table() && !value.is_array() {
        let message = format!("key {} stands outside of any document", quoted(word));
        return (message, "write it below a header such as [[check]]".to_owned());
    }
    let known = Kind::ALL.map(|(name, _)| name);
    let headers = Kind::ALL.map(|(_, kind)| kind.header()).join(", ");
    let hint = did_you_mean(word, known).unwrap_or_else(|| format!("known are {headers}"));
    (format!("unknown kind of document {}", quoted(word)), hint)
}
