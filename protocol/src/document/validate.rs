//! Documents held against each other.
//!
//! A document can be valid in itself and still be of no use: a runbook for a check that nobody
//! wrote, two runbooks that would both answer. This is found before anything is signed, and again
//! by every peer when the bundle is committed.
//!
//! Only what a bundle brings or takes away is complained about. What the mesh agreed on earlier
//! stays as it is, whatever later versions think of it.

mod checks;
mod notifiers;

use super::{
    Action, By, Check, Document, DocumentKey, DocumentKind, Ladder, On, Runbook,
    bundle::{BUNDLE_BYTES_MAX, Bundle},
    parse::{Parsed, Part, parse},
    problem::{PROBLEMS_KEPT, Problem, Problems, did_you_mean, shown},
};
use crate::name::Name;
use std::collections::BTreeMap;

/// The most documents of a mesh.
pub const DOCUMENTS_MAX: usize = 10_000;

/// Reads all files of a bundle and gives the whole set of documents after it.
///
/// # Errors
/// Everything that is wrong with the texts; and when they are right in themselves, everything that
/// does not fit together.
pub fn read_bundle(
    bundle: &Bundle,
    current: &BTreeMap<DocumentKey, Document>,
) -> Result<BTreeMap<DocumentKey, Document>, Problems> {
    let mut bytes = 0_usize;
    let mut parsed = Vec::new();
    let mut problems: Option<Problems> = None;
    for source in &bundle.sources {
        bytes = bytes.saturating_add(source.file.len()).saturating_add(source.text.len());
        let read = if bytes > BUNDLE_BYTES_MAX && source.text.len() <= BUNDLE_BYTES_MAX {
            Err(Problems::one(Problem {
                file: shown(&source.file),
                line: 1,
                column: 1,
                key: None,
                message: format!(
                    "with this file the documents exceed {BUNDLE_BYTES_MAX} bytes together"
                ),
                hint: Some("apply them in several steps".to_owned()),
            }))
        } else {
            parse(source)
        };
        match (read, &mut problems) {
            (Ok(documents), _) => parsed.extend(documents),
            (Err(found), Some(problems)) => problems.append(found),
            (Err(found), none @ None) => *none = Some(found),
        }
    }
    match problems {
        Some(problems) => Err(problems),
        None => validate(current, &parsed),
    }
}

/// Holds documents against each other and against those that are there, and gives the whole set
/// after the change.
///
/// # Errors
/// Everything that does not fit together.
pub fn validate(
    current: &BTreeMap<DocumentKey, Document>,
    parsed: &[Parsed],
) -> Result<BTreeMap<DocumentKey, Document>, Problems> {
    let mut after = current.clone();
    let mut bundle: BTreeMap<DocumentKey, usize> = BTreeMap::new();
    let mut problems = Vec::new();
    for (place, one) in parsed.iter().enumerate() {
        let key = one.document.key();
        if let Some(first) = bundle.get(&key).and_then(|first| parsed.get(*first)) {
            let message =
                format!("{} is given twice; first at {}:{}", title(&key), first.file, first.line);
            problems.push(problem(one, None, Some("name"), message, None));
            continue;
        }
        match &one.document {
            Document::Remove(key) if after.remove(key).is_none() => {
                let message = format!("there is no {} to remove", title(key));
                let hint = near(&problems, key.name.as_str(), current, key.kind)
                    .unwrap_or_else(|| "see `hearten document list`".to_owned());
                problems.push(problem(one, None, Some("name"), message, Some(hint)));
            }
            Document::Remove(_) => {}
            document @ (Document::Check(_)
            | Document::Runbook(_)
            | Document::Notifier(_)
            | Document::Limits(_)
            | Document::Mesh(_)
            | Document::Ladder(_)
            | Document::Maintenance(_)
            | Document::Stream(_)
            | Document::Guest(_)) => {
                after.insert(key.clone(), document.clone());
            }
        }
        bundle.insert(key, place);
        if after.len() > DOCUMENTS_MAX {
            let message = format!("the mesh would have more than {DOCUMENTS_MAX} documents");
            problems.push(problem(one, None, None, message, None));
            break;
        }
    }
    if problems.is_empty() {
        let mut answering: BTreeMap<Signal<'_>, Vec<&Runbook>> = BTreeMap::new();
        for document in after.values() {
            if let Document::Runbook(runbook) = document {
                answering.entry(signal(&runbook.on)).or_default().push(runbook);
            }
        }
        let secrets = checks::secrets(&after);
        let change = Change {
            parsed,
            bundle: &bundle,
            after: &after,
            answering: &answering,
            secrets: &secrets,
        };
        for (place, one) in parsed.iter().enumerate() {
            match &one.document {
                Document::Runbook(runbook) => change.runbook(place, one, runbook, &mut problems),
                Document::Remove(key) => change.removal(one, key, &mut problems),
                Document::Ladder(ladder) => change.ladder(one, ladder, &mut problems),
                Document::Check(check) => change.check(place, one, check, &mut problems),
                Document::Notifier(notifier) => change.notifier(one, notifier, &mut problems),
                Document::Limits(_)
                | Document::Mesh(_)
                | Document::Maintenance(_)
                | Document::Stream(_)
                | Document::Guest(_) => {}
            }
        }
    }
    match Problems::of(problems) {
        Some(problems) => Err(problems),
        None => Ok(after),
    }
}

/// What a runbook answers, so that only those of one signal are held against each other: the
/// pairs of thousands of runbooks would take seconds.
type Signal<'a> = Option<&'a Name>;

/// The check that a runbook answers; nothing for all that answer none.
const fn signal(on: &On) -> Signal<'_> {
    match on {
        On::Check(check) => Some(check),
        On::Peer(_) | On::Ladder(_) | On::Operator => None,
    }
}

/// A change whose documents are each in the set once.
struct Change<'a> {
    parsed: &'a [Parsed],
    /// Where each key of the bundle stands in `parsed`.
    bundle: &'a BTreeMap<DocumentKey, usize>,
    after: &'a BTreeMap<DocumentKey, Document>,
    /// The runbooks after the change, by what they answer.
    answering: &'a BTreeMap<Signal<'a>, Vec<&'a Runbook>>,
    /// The checks whose jobs have a UUID after the change, by its hash.
    secrets: &'a BTreeMap<[u8; 32], Vec<&'a Check>>,
}

impl Change<'_> {
    fn runbook(&self, place: usize, one: &Parsed, runbook: &Runbook, problems: &mut Vec<Problem>) {
        let subject = format!("runbook \"{}\"", runbook.name);
        if let On::Check(check) = &runbook.on
            && !self.has(DocumentKind::Check, check)
        {
            let message = format!("{subject}: there is no check \"{check}\"");
            let hint = near(problems, check.as_str(), self.after, DocumentKind::Check)
                .unwrap_or_else(|| "write a [[check]] of that name".to_owned());
            problems.push(problem(one, Some(Part::On), Some("on"), message, Some(hint)));
        }
        if let On::Ladder(ladder) = &runbook.on {
            self.on_ladder(one, runbook, ladder, problems);
        }
        for (at, rung) in runbook.rungs.iter().enumerate() {
            let part = Some(Part::Rung(at));
            let rung_name = shown(&rung.name);
            match (&rung.action, &runbook.on, rung.by) {
                (Action::Notify(notifier), _, _) if !self.has(DocumentKind::Notifier, notifier) => {
                    let message = format!(
                        "{subject}, rung \"{rung_name}\": there is no notifier \"{notifier}\""
                    );
                    let hint =
                        near(problems, notifier.as_str(), self.after, DocumentKind::Notifier)
                            .unwrap_or_else(|| "write a [[notifier]] of that name".to_owned());
                    problems.push(problem(one, part, Some("notify"), message, Some(hint)));
                }
                (
                    Action::Run(_)
                    | Action::Http(_)
                    | Action::Heal
                    | Action::Fence(_)
                    | Action::Wake(_)
                    | Action::Ssh(_),
                    On::Peer(silence),
                    By::Affected,
                ) => {
                    let message = format!(
                        "{subject}, rung \"{rung_name}\": a {} peer cannot act for itself",
                        silence.as_str()
                    );
                    let hint = "write by = \"neighbour\" or by = \"leader\"".to_owned();
                    problems.push(problem(one, part, Some("by"), message, Some(hint)));
                }
                (Action::Heal, On::Ladder(_) | On::Operator | On::Peer(_), _) => {
                    let message = format!(
                        "{subject}, rung \"{rung_name}\": only the runbook of a plugin's check has a heal phase"
                    );
                    problems.push(problem(one, part, Some("heal"), message, None));
                }
                (
                    Action::Run(_)
                    | Action::Notify(_)
                    | Action::Http(_)
                    | Action::Heal
                    | Action::Fence(_)
                    | Action::Wake(_)
                    | Action::Ssh(_),
                    _,
                    _,
                ) => {}
            }
        }
        for other in self.answering.get(&signal(&runbook.on)).into_iter().flatten() {
            let key = key_of(other);
            // Of two in the same bundle, the later one is to blame.
            let earlier = self.bundle.get(&key).is_none_or(|other| *other < place);
            let is_signal = matches!(runbook.on, On::Check(_) | On::Peer(_));
            let clash = is_signal
                && other.on == runbook.on
                && other.priority == runbook.priority
                && other.selector.overlaps(&runbook.selector);
            if other.name == runbook.name || !earlier || !clash {
                continue;
            }
            let signal = match &runbook.on {
                On::Check(check) => format!("check \"{check}\""),
                On::Peer(silence) => format!("a {} peer", silence.as_str()),
                On::Ladder(_) | On::Operator => continue,
            };
            let message = format!(
                "{subject}: runbook \"{}\"{} answers {signal} as well, on peers that both fit",
                other.name,
                self.place_of(&key)
            );
            let hint = "tell them apart by a label in \"where\", or by \"priority\", or remove one"
                .to_owned();
            problems.push(problem(one, Some(Part::On), Some("on"), message, Some(hint)));
        }
    }

    /// A runbook of a ladder is for one of its levels.
    fn on_ladder(
        &self,
        one: &Parsed,
        runbook: &Runbook,
        ladder: &Name,
        problems: &mut Vec<Problem>,
    ) {
        let key = DocumentKey { kind: DocumentKind::Ladder, name: ladder.clone() };
        let message = match self.after.get(&key) {
            Some(Document::Ladder(known))
                if known.levels.iter().any(|level| level.runbook == runbook.name) =>
            {
                return;
            }
            Some(_) => {
                format!("runbook \"{}\": no level of ladder \"{ladder}\" names it", runbook.name)
            }
            None => format!("runbook \"{}\": there is no ladder \"{ladder}\"", runbook.name),
        };
        let hint = near(problems, ladder.as_str(), self.after, DocumentKind::Ladder);
        problems.push(problem(one, Some(Part::On), Some("on"), message, hint));
    }

    /// A ladder's checks exist, and its runbooks are its own: one that answered anything else
    /// would be run by two signals, or a ladder by itself.
    fn ladder(&self, one: &Parsed, ladder: &Ladder, problems: &mut Vec<Problem>) {
        let subject = format!("ladder \"{}\"", ladder.name);
        for (place, level) in ladder.levels.iter().enumerate() {
            let part = Some(Part::Level(place));
            for check in level.checks.iter().filter(|check| !self.has(DocumentKind::Check, check)) {
                let message =
                    format!("{subject}, level {}: there is no check \"{check}\"", place + 1);
                let hint = near(problems, check.as_str(), self.after, DocumentKind::Check);
                problems.push(problem(one, part, Some("checks"), message, hint));
            }
            let key = DocumentKey { kind: DocumentKind::Runbook, name: level.runbook.clone() };
            let fault = match self.after.get(&key) {
                Some(Document::Runbook(runbook)) => match &runbook.on {
                    On::Ladder(own) if *own == ladder.name => continue,
                    On::Ladder(other) => format!("belongs to ladder \"{other}\""),
                    On::Check(_) | On::Peer(_) | On::Operator => {
                        "answers another signal".to_owned()
                    }
                },
                Some(_) | None => "is not there".to_owned(),
            };
            let message =
                format!("{subject}, level {}: runbook \"{}\" {fault}", place + 1, level.runbook);
            let hint = near(problems, level.runbook.as_str(), self.after, DocumentKind::Runbook)
                .unwrap_or_else(|| {
                    format!("write a [[runbook]] with on = {{ ladder = \"{}\" }}", ladder.name)
                });
            problems.push(problem(one, part, Some("runbook"), message, Some(hint)));
        }
    }

    /// Whether a document that the bundle leaves alone still needs what it takes away. One that the
    /// bundle brings is looked at for itself.
    fn removal(&self, one: &Parsed, gone: &DocumentKey, problems: &mut Vec<Problem>) {
        for (key, document) in self.after.iter().filter(|(key, _)| !self.bundle.contains_key(key)) {
            if let Document::Ladder(ladder) = document
                && ladder.levels.iter().any(|level| match gone.kind {
                    DocumentKind::Check => level.checks.contains(&gone.name),
                    DocumentKind::Runbook => level.runbook == gone.name,
                    DocumentKind::Notifier
                    | DocumentKind::Limits
                    | DocumentKind::Mesh
                    | DocumentKind::Ladder
                    | DocumentKind::Maintenance
                    | DocumentKind::Stream
                    | DocumentKind::Guest => false,
                })
            {
                let message = format!("{} cannot be removed: {} needs it", title(gone), title(key));
                let hint = "remove or change that ladder together with it".to_owned();
                problems.push(problem(one, None, Some("name"), message, Some(hint)));
            }
            if let Document::Check(check) = document
                && let Some(needs) = Self::needs(check, gone)
            {
                let name = &check.name;
                let message =
                    format!("{} cannot be removed: check \"{name}\" {needs}", title(gone));
                let hint = "remove or change that check together with it".to_owned();
                problems.push(problem(one, None, Some("name"), message, Some(hint)));
            }
            if let Document::Notifier(notifier) = document
                && gone.kind == DocumentKind::Notifier
                && notifiers::named_in(notifier).any(|(_, named)| *named == gone.name)
            {
                let name = &notifier.name;
                let message =
                    format!("{} cannot be removed: notifier \"{name}\" leads to it", title(gone));
                let hint = "remove or change that notifier together with it".to_owned();
                problems.push(problem(one, None, Some("name"), message, Some(hint)));
            }
            let Document::Runbook(runbook) = document else { continue };
            let answers = gone.kind == DocumentKind::Check
                && matches!(&runbook.on, On::Check(check) if *check == gone.name);
            let notifies = gone.kind == DocumentKind::Notifier
                && runbook.rungs.iter().any(|rung| rung.tells() == Some(&gone.name));
            let of_ladder = gone.kind == DocumentKind::Ladder
                && matches!(&runbook.on, On::Ladder(ladder) if *ladder == gone.name);
            let needs = match (answers || of_ladder, notifies) {
                (true, _) => "answers it",
                (false, true) => "notifies it",
                (false, false) => continue,
            };
            let message =
                format!("{} cannot be removed: runbook \"{}\" {needs}", title(gone), runbook.name);
            let hint = "remove or change that runbook together with it".to_owned();
            problems.push(problem(one, None, Some("name"), message, Some(hint)));
        }
    }

    fn has(&self, kind: DocumentKind, name: &Name) -> bool {
        self.after.contains_key(&DocumentKey { kind, name: name.clone() })
    }

    /// ` (file.toml:12)` for a document of this bundle, nothing for one that was there before.
    fn place_of(&self, key: &DocumentKey) -> String {
        match self.bundle.get(key).and_then(|place| self.parsed.get(*place)) {
            Some(one) => format!(" ({}:{})", one.file, one.line),
            None => String::new(),
        }
    }
}

fn key_of(runbook: &Runbook) -> DocumentKey {
    DocumentKey { kind: DocumentKind::Runbook, name: runbook.name.clone() }
}

/// `check "web-alive"`, or `limits` alone, of which there is one.
fn title(key: &DocumentKey) -> String {
    match key.kind {
        DocumentKind::Limits | DocumentKind::Mesh => key.kind.as_str().to_owned(),
        DocumentKind::Check
        | DocumentKind::Runbook
        | DocumentKind::Notifier
        | DocumentKind::Ladder
        | DocumentKind::Maintenance
        | DocumentKind::Stream
        | DocumentKind::Guest => {
            format!("{} \"{}\"", key.kind.as_str(), key.name)
        }
    }
}

fn problem(
    one: &Parsed,
    part: Option<Part>,
    key: Option<&str>,
    message: String,
    hint: Option<String>,
) -> Problem {
    let (line, column) = part.map_or((one.line, one.column), |part| one.place_of(part));
    let key = key.map(str::to_owned);
    Problem { file: one.file.to_string(), line, column, key, message, hint }
}

/// The nearest name of a document of this kind. Nobody reads the hint of a problem that is only
/// counted, and looking for it among thousands of names is dear.
fn near(
    problems: &[Problem],
    name: &str,
    documents: &BTreeMap<DocumentKey, Document>,
    kind: DocumentKind,
) -> Option<String> {
    if problems.len() >= PROBLEMS_KEPT {
        return None;
    }
    let known = documents.keys().filter(|key| key.kind == kind).map(|key| key.name.as_str());
    did_you_mean(name, known)
}
