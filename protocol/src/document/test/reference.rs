//! Tests held against the documents that they are about: does the check run on that peer, has the
//! runbook such a rung, is there such a notifier?

use super::{About, Expected, Happens, Place, Test, What};
use crate::{
    document::{
        Action, Check, Document, DocumentKey, DocumentKind, Runbook,
        bundle::Source,
        parse::parse_tests,
        problem::{Problem, Problems, did_you_mean, quoted},
    },
    name::Name,
};
use std::collections::BTreeMap;

/// Reads the tests of all files and looks up what they refer to.
///
/// `documents` is the whole set that the files make, as `read_bundle` gives it.
///
/// # Errors
/// Everything that is wrong with the tests, in the order of the files.
pub fn read_tests(
    sources: &[Source],
    documents: &BTreeMap<DocumentKey, Document>,
) -> Result<Vec<Test>, Problems> {
    let mut tests = Vec::new();
    for source in sources {
        tests.extend(parse_tests(source)?);
    }
    let mut found = Vec::new();
    let mut names: BTreeMap<&str, &Test> = BTreeMap::new();
    for test in &tests {
        let mut reference = Reference { test, documents, found: &mut found };
        if let Some(first) = names.insert(&test.name, test) {
            let message = format!("there is another test of this name at {}", at(first));
            reference.complain(test.place, "name", &message, None);
        }
        reference.look_up();
    }
    Problems::of(found).map_or(Ok(tests), Err)
}

/// A test's file and line.
fn at(test: &Test) -> String {
    format!("{}:{}", test.file, test.place.line)
}

fn runbook_in(document: &Document) -> Option<&Runbook> {
    if let Document::Runbook(runbook) = document { Some(runbook) } else { None }
}

struct Reference<'a> {
    test: &'a Test,
    documents: &'a BTreeMap<DocumentKey, Document>,
    found: &'a mut Vec<Problem>,
}

impl<'a> Reference<'a> {
    fn look_up(&mut self) {
        let test = self.test;
        for given in &test.given {
            if let Happens::Check { check, .. } = &given.what
                && let Some(known) = self.check(given.place, "check", check)
            {
                for peer in &given.peers {
                    self.runs_on(given.place, known, peer);
                }
            }
        }
        for played in &test.rungs {
            self.rung(played.place, played.runbook.as_ref(), &played.rung);
        }
        for expected in test.expect.iter().chain(&test.expect_no) {
            self.expected(expected);
        }
        for ending in &test.finally {
            self.about(ending.place, ending.about.as_ref());
        }
    }

    fn expected(&mut self, expected: &Expected) {
        match &expected.what {
            What::Rung { rung: Some(rung), runbook, .. } => {
                self.rung(expected.place, runbook.as_ref(), rung);
            }
            What::Rung { rung: None, runbook: Some(runbook), .. } => {
                self.runbook(expected.place, runbook);
            }
            What::Rung { rung: None, runbook: None, .. } | What::Held(_) | What::Notice(None) => {}
            What::Incident { about, .. } => self.about(expected.place, about.as_ref()),
            What::Notice(Some(notifier)) => {
                self.has(expected.place, "notice", DocumentKind::Notifier, notifier);
            }
        }
    }

    fn about(&mut self, place: Place, about: Option<&About>) {
        match about {
            Some(About::Check(check)) => {
                self.has(place, "about", DocumentKind::Check, check);
            }
            Some(About::Ladder(ladder)) => {
                self.has(place, "about", DocumentKind::Ladder, ladder);
            }
            Some(About::Runbook(runbook)) => {
                self.runbook(place, runbook);
            }
            Some(About::Silence | About::Storm | About::Notifier(_)) | None => {}
        }
    }

    fn check(&mut self, place: Place, key: &str, name: &Name) -> Option<&'a Check> {
        let found = self.has(place, key, DocumentKind::Check, name)?;
        if let Document::Check(check) = found { Some(check) } else { None }
    }

    fn runs_on(&mut self, place: Place, check: &Check, peer: &Name) {
        let fits = self.test.peers.get(peer).is_some_and(|labels| check.selector.fits(labels));
        if !fits {
            let message = format!(
                "check \"{}\" does not run on \"{peer}\": its labels do not fit the check's where",
                check.name
            );
            let hint = "give the peer the labels in the test's \"peers\"".to_owned();
            self.complain(place, "peer", &message, Some(hint));
        }
    }

    fn runbook(&mut self, place: Place, name: &Name) -> Option<&'a Runbook> {
        runbook_in(self.has(place, "runbook", DocumentKind::Runbook, name)?)
    }

    /// Some runbook, or the one that is named, must have a rung of this name that is executed.
    fn rung(&mut self, place: Place, runbook: Option<&Name>, rung: &str) {
        let runbooks: Vec<&Runbook> = match runbook {
            Some(name) => match self.runbook(place, name) {
                Some(runbook) => vec![runbook],
                None => return,
            },
            None => self.documents.values().filter_map(runbook_in).collect(),
        };
        let rungs = || runbooks.iter().flat_map(|runbook| &runbook.rungs);
        if rungs().any(|known| known.name == rung && !matches!(known.action, Action::Notify(_))) {
            return;
        }
        let whose = match runbook {
            Some(name) => format!("runbook \"{name}\" has"),
            None => "no runbook has".to_owned(),
        };
        let told = rungs().find_map(|known| match &known.action {
            Action::Notify(notifier) if known.name == rung => Some(notifier),
            Action::Notify(_)
            | Action::Run(_)
            | Action::Heal
            | Action::Http(_)
            | Action::Fence(_)
            | Action::Wake(_)
            | Action::Ssh(_) => None,
        });
        let (message, hint) = match told {
            Some(notifier) => (
                format!("rung {} tells a person and executes nothing", quoted(rung)),
                Some(format!("write notice = \"{notifier}\" in \"expect\"")),
            ),
            None => {
                let no = if runbook.is_some() { "no rung" } else { "a rung" };
                let hint = did_you_mean(rung, rungs().map(|known| known.name.as_str()));
                (format!("{whose} {no} {}", quoted(rung)), hint)
            }
        };
        self.complain(place, "rung", &message, hint);
    }

    /// The document of that name, or a complaint.
    fn has(
        &mut self,
        place: Place,
        key: &str,
        kind: DocumentKind,
        name: &Name,
    ) -> Option<&'a Document> {
        let found = self.documents.get(&DocumentKey { kind, name: name.clone() });
        if found.is_none() {
            let known = self.documents.keys().filter(|key| key.kind == kind);
            let hint = did_you_mean(name.as_str(), known.map(|key| key.name.as_str()))
                .unwrap_or_else(|| "name the file that it is in as well".to_owned());
            let message = format!("there is no {} \"{name}\"", kind.as_str());
            self.complain(place, key, &message, Some(hint));
        }
        found
    }

    fn complain(&mut self, place: Place, key: &str, message: &str, hint: Option<String>) {
        self.found.push(Problem {
            file: self.test.file.to_string(),
            line: place.line,
            column: place.column,
            key: Some(key.to_owned()),
            message: format!("test {}: {message}", quoted(&self.test.name)),
            hint,
        });
    }
}
