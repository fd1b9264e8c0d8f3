//! Documents: read here, shown, signed here, sent.

use super::{
    arguments::{ApplyOptions, Format, Shown},
    output, revisions,
    session::{self, Operator, Session},
    table,
};
use crate::control::{
    Exit, Failure, Request,
    views::{AppliedView, ChangeView, PreviewView, ProblemView, SCHEMA, TouchView},
};
use protocol::document::{
    DocumentKey,
    bundle::{BUNDLE_BYTES_MAX, Bundle, Source},
    validate::read_bundle,
};
use protocol::refusal::Refusal;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// `hearten apply`
pub(super) fn apply(session: &Session, options: ApplyOptions) -> Result<(), Failure> {
    let sources = read(&options.files)?;
    let shown = options.change.shown;
    let operator = session.operator_unless_dry(options.change)?;
    let answer = session.ask(&Request::Preview { sources: sources.clone() })?;
    let preview: PreviewView = session::read(&answer)?;
    refuse(&preview.problems, preview.more_problems, "nothing was applied")?;
    let changes: String = preview.changes.iter().map(touch).collect();
    let Some(operator) = operator else {
        return output::show(shown, &answer, |_| {
            if changes.is_empty() { "nothing would change\n".to_owned() } else { changes }
        });
    };
    let base = preview.revision;
    let applied = if changes.is_empty() {
        output::message(&format!("nothing changes: the mesh is at revision {base} already"));
        AppliedView { schema: SCHEMA, revision: base }
    } else {
        output::message(changes.trim_end());
        sign_and_send(session, &operator, base, sources)?
    };
    revision(shown, applied.revision)
}

/// Signs texts as the revision after `base`, which their operator has seen, and sends them.
pub(super) fn sign_and_send(
    session: &Session,
    operator: &Operator,
    base: u64,
    sources: Vec<Source>,
) -> Result<AppliedView, Failure> {
    let mesh = operator.fingerprint.0;
    let bundle = Bundle { mesh, revision: base + 1, sources }.sign(&operator.key);
    session.ask_for(&Request::Apply { bundle }).inspect_err(|failure: &Failure| {
        if failure.exit_code == Exit::Conflict {
            tell_what_came_first(session, base);
        }
    })
}

/// The failure of an operator who has seen what is not there any more.
pub(super) fn overtaken(session: &Session, base: u64, current: u64) -> Failure {
    tell_what_came_first(session, base);
    Refusal::RevisionConflict { base, current }.into()
}

/// Shows the second of two operators what the first one changed: what it saw, and what is there
/// now.
fn tell_what_came_first(session: &Session, base: u64) {
    if let Ok((current, difference)) = revisions::since(session, base) {
        output::message(&format!(
            "you saw revision {base}; revision {current} is there now and differs by this:\n\n{difference}"
        ));
    }
}

/// Shows the revision that the mesh is at by then.
pub(super) fn revision(shown: Shown, revision: u64) -> Result<(), Failure> {
    match shown.format() {
        Format::Table => output::data(&format!("revision {revision}\n")),
        Format::Json | Format::Yaml => {
            let answer = serde_json::to_value(AppliedView { schema: SCHEMA, revision })
                .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
            output::show(shown, &answer, |_| String::new())
        }
    }
}

/// The most hosts that a line names.
const HOSTS_NAMED_MAX: usize = 8;

/// A change as a line: what happens to which document, on which hosts, while what is open.
pub(super) fn touch(touch: &TouchView) -> String {
    let mut line = change(&touch.change).trim_end().to_owned();
    let hosts = touch.hosts.iter().take(HOSTS_NAMED_MAX).map(String::as_str);
    let named = hosts.collect::<Vec<&str>>().join(", ");
    match touch.hosts.len() {
        0 => {}
        1..=HOSTS_NAMED_MAX => line.push_str(&format!("  on {named}")),
        count => line.push_str(&format!("  on {count} hosts: {named}, …")),
    }
    if !touch.incidents.is_empty() {
        let are = if touch.incidents.len() == 1 { "is" } else { "are" };
        line.push_str(&format!("  while {} {are} open", touch.incidents.join(", ")));
    }
    line + "\n"
}

fn change(change: &ChangeView) -> String {
    let sign = match change.change.as_str() {
        "added" => '+',
        "removed" => '-',
        _ => '~',
    };
    format!("{sign} {}\n", change.document)
}

/// Tells everything that is wrong, one line each, and fails if anything is.
pub(super) fn refuse(
    problems: &[ProblemView],
    more: usize,
    therefore: &str,
) -> Result<(), Failure> {
    let count = problems.len() + more;
    if count == 0 {
        return Ok(());
    }
    for problem in problems {
        output::message(&problem.line());
    }
    if more > 0 {
        output::message(&format!("… and {more} more"));
    }
    let problems = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
    Err(Failure::new(Exit::Failed, format!("the documents have {problems}: {therefore}")))
}

/// `hearten document validate`
pub(super) fn validate(session: &Session, files: &[PathBuf]) -> Result<(), Failure> {
    let sources = read(files)?;
    let files = sources.len();
    let (problems, more) = match session.ask(&Request::Preview { sources: sources.clone() }) {
        Ok(answer) => {
            let preview: PreviewView = session::read(&answer)?;
            (preview.problems, preview.more_problems)
        }
        Err(failure) if failure.exit_code == Exit::Unavailable => {
            output::message("no daemon runs here: the files are only held against each other");
            let bundle = Bundle { mesh: [0; 32], revision: 1, sources };
            match read_bundle(&bundle, &BTreeMap::new()) {
                Ok(_) => (Vec::new(), 0),
                Err(problems) => ProblemView::all(&problems),
            }
        }
        Err(failure) => return Err(failure),
    };
    refuse(&problems, more, "put them right and validate again")?;
    output::data(&format!("valid: {files} {}\n", if files == 1 { "file" } else { "files" }))
}

/// `hearten document list`
pub(super) fn list(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Documents)?;
    output::show(shown, &answer, |answer| {
        let rows = table::list(&answer["documents"]).map(|document| {
            ["kind", "name", "revision"].map(|key| table::text(&document[key])).to_vec()
        });
        let none = "no documents: `hearten apply FILE` brings some";
        table::rows(&["KIND", "NAME", "REVISION"], rows.collect(), none)
    })
}

/// `hearten document show`
pub(super) fn show(session: &Session, key: DocumentKey, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Document { key })?;
    output::show(shown, &answer, |answer| match answer["text"].as_str() {
        Some(text) => {
            let (file, revision) = (table::text(&answer["file"]), table::text(&answer["revision"]));
            format!("# {file}, revision {revision}\n{}", table::indented(text, ""))
        }
        None => format!("{:#}\n", answer["document"]),
    })
}

/// `hearten document history`
pub(super) fn history(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::History)?;
    output::show(shown, &answer, |answer| {
        let rows = table::list(&answer["revisions"]).map(revision_row);
        let headings = ["REVISION", "AT", "BY", "SIGNED BY", "CHANGES"];
        table::rows(&headings, rows.collect(), "no revisions")
    })
}

fn revision_row(revision: &Value) -> Vec<String> {
    let keys = table::list(&revision["signed_by"]).filter_map(Value::as_str);
    let signers: Vec<&str> = keys.map(|key| key.get(..8).unwrap_or(key)).collect();
    let changes: Vec<String> = table::list(&revision["changes"])
        .map(|change| {
            format!("{} {}", table::text(&change["change"]), table::text(&change["document"]))
        })
        .collect();
    vec![
        table::text(&revision["revision"]),
        table::text(&revision["at"]),
        table::text(&revision["by"]),
        signers.join(" "),
        changes.join(", "),
    ]
}

/// Reads files, and of directories every `*.toml` in the order of their names.
fn read(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(toml_files(path)?);
        } else {
            files.push(path.clone());
        }
    }
    let mut left = BUNDLE_BYTES_MAX;
    let mut sources = Vec::new();
    for path in files {
        let text = read_text(&path, left)?;
        left = left.saturating_sub(text.len());
        sources.push(Source { file: path.display().to_string(), text });
    }
    Ok(sources)
}

fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let refusal = |what: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("{}: {what}", folder.display()))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| refusal(&error))? {
        let path = entry.map_err(|error| refusal(&error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(refusal(&"there is no *.toml in this directory: name another, or files"));
    }
    Ok(files)
}

/// Reads a text of at most `left` bytes.
fn read_text(path: &Path, left: usize) -> Result<String, Failure> {
    let refusal = |what: String| Failure::new(Exit::Failed, format!("{}: {what}", path.display()));
    let limit = u64::try_from(left).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            Failure::not_found(format!("{}: there is no such file", path.display()))
        } else {
            refusal(error.to_string())
        }
    })?;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| refusal(error.to_string()))?;
    if bytes.len() > left {
        return Err(refusal(format!(
            "with this file the documents exceed {BUNDLE_BYTES_MAX} bytes together: is it the right one? else apply them in several steps"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        refusal(format!("line {line} is not UTF-8: documents are TOML text"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_directories_are_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("b.toml"), "b").unwrap();
        std::fs::write(at("a.toml"), "a").unwrap();
        std::fs::write(at("notes.txt"), "n").unwrap();
        let sources = read(&[folder.path().to_owned(), at("notes.txt")]).unwrap();
        let texts: Vec<&str> = sources.iter().map(|source| source.text.as_str()).collect();
        assert_eq!(texts, ["a", "b", "n"]);
        assert!(sources[0].file.ends_with("a.toml"));
    }

    #[test]
    fn what_is_no_document_is_refused_before_anything_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("huge.toml"), "#".repeat(10 << 20)).unwrap();
        std::fs::write(at("binary.toml"), b"a = 1\n\xff\xfe").unwrap();
        std::fs::create_dir(at("empty")).unwrap();
        let fault = |name: &str| read(&[at(name)]).unwrap_err();
        assert!(fault("huge.toml").message.contains("exceed 4194304 bytes"));
        assert!(fault("binary.toml").message.contains("line 2 is not UTF-8"));
        assert!(fault("empty").message.contains("no *.toml"));
        let missing = fault("missing.toml");
        assert_eq!(missing.exit_code, Exit::NotFound);
        assert!(!missing.message.contains('\n'));
    }

    #[test]
    fn the_shipped_documents_are_valid_together_with_their_tests() {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::new(folder.path().to_owned());
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("documents");
        assert_eq!(validate(&session, &[shipped]), Ok(()));
        let path = folder.path().join("a.toml");
        std::fs::write(&path, "[[test]]\nname = \"it expects nothing\"\npeers = { a = {} }\n")
            .unwrap();
        assert!(validate(&session, &[path]).is_err(), "the form of a test is looked at");
    }

    #[test]
    fn without_a_daemon_files_are_held_against_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::new(folder.path().to_owned());
        let path = folder.path().join("a.toml");
        std::fs::write(&path, "[limits]\nat_once = 2\n").unwrap();
        assert_eq!(validate(&session, std::slice::from_ref(&path)), Ok(()));
        std::fs::write(&path, "[limits]\nat_onec = 2\n").unwrap();
        let failure = validate(&session, &[path]).unwrap_err();
        assert_eq!(failure.exit_code, Exit::Failed);
        assert!(failure.message.starts_with("the documents have 1 problem"), "{failure}");
    }
}
