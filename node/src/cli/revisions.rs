//! Revisions of the documents: how they differ, and how to go back to one.

use super::{
    arguments::{RollbackOptions, Shown},
    documents, output,
    session::{self, Session},
    table,
};
use crate::control::{
    Exit, Failure, Request,
    views::{DifferenceView, DocumentDifference, PreviewView, RollbackView},
};

/// `hearten document diff`
pub(super) fn diff(
    session: &Session,
    from: u64,
    to: Option<u64>,
    shown: Shown,
) -> Result<(), Failure> {
    let answer = session.ask(&Request::Difference { from, to })?;
    let view: DifferenceView = session::read(&answer)?;
    output::show(shown, &answer, |_| match view.documents.as_slice() {
        [] => format!("revisions {} and {} say the same\n", view.from, view.to),
        some => lines(some),
    })
}

/// `hearten document rollback`
pub(super) fn rollback(session: &Session, options: RollbackOptions) -> Result<(), Failure> {
    let shown = options.change.shown;
    let operator = session.operator_unless_dry(options.change)?;
    let answer = session.ask(&Request::Rollback { revision: options.revision })?;
    let view: RollbackView = session::read(&answer)?;
    let base = view.revision;
    if view.sources.is_empty() {
        let (to, message) = (view.to, "nothing changes: the documents are those of revision");
        output::message(&format!("{message} {to} already; the mesh is at revision {base}"));
        return match operator {
            Some(_) => documents::revision(shown, base),
            None => output::show(shown, &answer, |_| String::new()),
        };
    }
    let preview = session.ask(&Request::Preview { sources: view.sources.clone() })?;
    let preview: PreviewView = session::read(&preview)?;
    documents::refuse(&preview.problems, preview.more_problems, "nothing was rolled back")?;
    let touched: String = preview.changes.iter().map(documents::touch).collect();
    let Some(operator) = operator else {
        return output::show(shown, &answer, |_| lines(&view.documents) + "\n" + &touched);
    };
    if preview.revision != base {
        return Err(documents::overtaken(session, base, preview.revision));
    }
    // What is signed is shown first.
    output::message((lines(&view.documents) + "\n" + &touched).trim_end());
    let applied = documents::sign_and_send(session, &operator, base, view.sources)?;
    documents::revision(shown, applied.revision)
}

/// What another operator changed since `base`, for the one who comes second.
pub(super) fn since(session: &Session, base: u64) -> Result<(u64, String), Failure> {
    let view: DifferenceView = session.ask_for(&Request::Difference { from: base, to: None })?;
    if view.to == base {
        // This peer has not seen it yet.
        return Err(Failure::new(Exit::Conflict, "nothing newer is known here"));
    }
    Ok((view.to, lines(&view.documents)))
}

fn lines(documents: &[DocumentDifference]) -> String {
    documents.iter().map(|one| table::indented(&one.diff, "")).collect()
}
