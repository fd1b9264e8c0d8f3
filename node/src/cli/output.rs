//! The only module that prints: data to standard output, messages to standard error.

use super::{
    arguments::{Format, Shown},
    yaml,
};
use crate::control::{Exit, Failure};
use serde_json::Value;
use std::io::{self, IsTerminal, Write};

/// Prints data.
///
/// # Errors
/// When they cannot be written; not when the reader has seen enough.
pub(super) fn data(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| {
        if text.is_empty() || text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") }
    });
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Exit::Failed, format!("standard output: {error}"))),
    }
}

/// Prints text that others wrote: to a file or a pipe as it is, to a terminal without what a
/// terminal would obey.
///
/// # Errors
/// As [`data`].
pub(super) fn verbatim(text: &str) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return data(text);
    }
    let tame = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    data(&text.chars().map(tame).collect::<String>())
}

/// Prints a message. One that nobody can read is lost.
pub(super) fn message(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// Shows an answer: to scripts as it is, to people as `table` makes it.
///
/// # Errors
/// As [`data`].
pub(super) fn show(
    shown: Shown,
    answer: &Value,
    table: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    match shown.format() {
        Format::Table => data(&table(answer)),
        Format::Json => data(&format!("{answer:#}")),
        Format::Yaml => data(&yaml::emit(answer)),
    }
}

/// The colours of standard output.
#[derive(Debug, Clone, Copy)]
pub(super) enum Colour {
    /// All is well.
    Green,
    /// Worth a look.
    Yellow,
    /// Broken.
    Red,
}

/// Colours text for a terminal; leaves it as it is for anything else, or where `NO_COLOR` is set.
pub(super) fn coloured(colour: Colour, text: &str) -> String {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if unwanted || !io::stdout().is_terminal() {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Red => 31,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
