//! Every place where bytes of strangers come in, each as a function of these bytes.
//!
//! What is read from bytes is read without a socket, so all of it can be tried without a daemon: by
//! `tests/fuzz`, which makes bytes up and keeps those that reach new code, and by the tests, which
//! try what is kept in `tests/fuzz/seeds`.
//!
//! None of them may panic, and each asserts what else holds: what is taken keeps to its limits,
//! reads back as what it was and is taken by the ledger; what is refused says why, and changes
//! nothing.

mod alerts;
mod ground;
mod jobs;
mod messages;
mod texts;

/// A place where bytes come in.
#[derive(Debug, Clone, Copy)]
pub struct Intake {
    /// What it is called, here and as a folder of seeds.
    pub name: &'static str,
    /// Takes bytes; says whether any of it was of use.
    ///
    /// # Panics
    /// When something does not hold.
    pub take: fn(&[u8]) -> bool,
}

/// Every intake.
pub const ALL: [Intake; 22] = [
    Intake { name: "alerts", take: alerts::requests },
    Intake { name: "mapped", take: alerts::mapped },
    Intake { name: "jobs", take: jobs::requests },
    Intake { name: "numbers", take: jobs::numbers },
    Intake { name: "surgeons", take: jobs::surgeons },
    Intake { name: "documents", take: texts::documents },
    Intake { name: "schedule", take: texts::schedule },
    Intake { name: "times", take: texts::times },
    Intake { name: "names", take: texts::names },
    Intake { name: "config", take: texts::config },
    Intake { name: "plugin", take: texts::plugin },
    Intake { name: "perfdata", take: texts::perfdata },
    Intake { name: "token", take: texts::token },
    Intake { name: "control", take: texts::control },
    Intake { name: "certificate", take: messages::certificate },
    Intake { name: "evidence", take: messages::evidence },
    Intake { name: "report", take: messages::report },
    Intake { name: "join", take: messages::join },
    Intake { name: "peers", take: messages::peers },
    Intake { name: "raft", take: messages::raft },
    Intake { name: "log", take: messages::log },
    Intake { name: "snapshot", take: messages::snapshot },
];

/// The intake of this name.
pub fn named(name: &str) -> Option<Intake> {
    ALL.into_iter().find(|intake| intake.name == name)
}

/// The requests of an input, one after the other: each has a zero byte behind it.
fn requests(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0).take(REQUESTS_MAX)
}

/// As many requests of an input are looked at: what takes long is to take long by its size.
const REQUESTS_MAX: usize = 40;

/// Text, where bytes are some.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Asserts that a refusal says something.
fn says_why(why: &impl std::fmt::Display) {
    assert!(!why.to_string().trim().is_empty(), "a refusal says why");
}
