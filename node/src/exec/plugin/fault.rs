//! What can be wrong with a plugin's run, each by its name.

use super::PRINTED_MAX_BYTES;
use crate::exec::process::{End, Ran};
use protocol::time::format_span;
use std::{
    fs::File,
    io::{ErrorKind, Read},
    time::Duration,
};

/// Why a phase has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such program, or this daemon's user may not run it.
    #[error("not started: {0}")]
    NotStarted(String),
    /// It is a text, and its first line does not say who reads it.
    #[error("not started: {path} is a text without a first line such as #!/bin/sh")]
    NoInterpreter {
        /// Which file.
        path: String,
    },
    /// It was still running at its time limit.
    #[error("timed out after {}", format_span(*.0))]
    TimedOut(Duration),
    /// A signal ended it that was not ours.
    #[error("the plugin was ended by signal {0}")]
    Signalled(i32),
    /// We ended it, because the daemon stops.
    #[error("the plugin was cancelled")]
    Cancelled,
    /// It printed too much and was ended.
    #[error("the plugin printed more than {} KiB and was ended", PRINTED_MAX_BYTES >> 10)]
    Flooded,
    /// It says by its exit code that it did not work.
    #[error("the plugin ended with exit code {code}{said}")]
    ExitCode {
        /// Which.
        code: i32,
        /// The last line of its errors, behind a colon.
        said: String,
    },
    /// Its last line is cut off.
    #[error("line {line} is cut off: the plugin ended in the middle of it")]
    HalfLine {
        /// Which line.
        line: usize,
    },
    /// A line is no JSON.
    #[error("line {line} is no JSON: {text:?} ({error})")]
    NotJson {
        /// Which line.
        line: usize,
        /// How it begins.
        text: String,
        /// What the reader says.
        error: String,
    },
    /// A line is JSON and no object.
    #[error("line {line} is no object of JSON: {text:?}")]
    NoObject {
        /// Which line.
        line: usize,
        /// How it begins.
        text: String,
    },
    /// A line says nothing that is known.
    #[error("line {line} holds none of finding, evidence, wants_heal and action")]
    NothingKnown {
        /// Which line.
        line: usize,
    },
    /// A value is of another type.
    #[error("line {line}: {key:?} must be {wanted}")]
    WrongType {
        /// Which line.
        line: usize,
        /// Which key.
        key: String,
        /// What it must be.
        wanted: String,
    },
}

/// Whether it can be a plugin at all. A text without `#!` would be run by a shell, whatever it is
/// written in, and what that does nobody knows.
pub(super) fn preflight(argv: &[String]) -> Result<(), Fault> {
    let Some(path) = argv.first() else {
        return Err(Fault::NotStarted("the command is empty".to_owned()));
    };
    let mut beginning = Vec::new();
    match File::open(path).and_then(|file| {
        if file.metadata()?.is_file() {
            file.take(64).read_to_end(&mut beginning)
        } else {
            Err(ErrorKind::IsADirectory.into())
        }
    }) {
        Ok(_) if beginning.starts_with(b"#!") => Ok(()),
        Ok(0) => Err(Fault::NotStarted(format!("{path} is empty"))),
        Ok(_) if is_text(&beginning) => Err(Fault::NoInterpreter { path: path.clone() }),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Fault::NotStarted(format!("{path}: no such program")))
        }
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            Err(Fault::NotStarted(format!("{path} is no file")))
        }
        // It may be executable all the same.
        Err(_) => Ok(()),
    }
}

fn is_text(beginning: &[u8]) -> bool {
    !beginning.iter().any(|byte| *byte < 0x20 && !b"\t\n\r".contains(byte))
}

/// What is wrong with how it ended, if anything is.
pub(super) fn of(ran: &Ran, timeout: Duration) -> Option<Fault> {
    if ran.flooded {
        return Some(Fault::Flooded);
    }
    match &ran.end {
        End::Exited(0) => None,
        End::Exited(code) => {
            let last = ran.errors.lines().map(str::trim).rfind(|line| !line.is_empty());
            let said = last.map_or_else(String::new, |line| format!(": {line}"));
            Some(Fault::ExitCode { code: *code, said })
        }
        End::Signalled(signal) => Some(Fault::Signalled(*signal)),
        End::TimedOut => Some(Fault::TimedOut(timeout)),
        End::Cancelled => Some(Fault::Cancelled),
        End::NotStarted(reason) => Some(Fault::NotStarted(reason.clone())),
    }
}
