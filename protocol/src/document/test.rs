//! `[[test]]`: what an operator expects of the documents beside it, tried out without a mesh.
//!
//! A test is not a document: it stands in a document's file, is read with it and its form is
//! checked with it, but it never reaches the ledger. `hearten-sim test` plays it: peers that are
//! given ([`Test::peers`]), what happens to them ([`Given`]), what rungs come to when they are
//! executed ([`Played`]), and what must have come of it ([`Expected`], [`Ending`]).
//! [`mod@reference`] holds it against the documents that it is about.

pub mod reference;

use super::{By, Verdict};
use crate::{
    ledger::incident::State,
    name::{Labels, Name},
    record::Outcome,
};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

/// One `[[test]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// What it shows, in the operator's words.
    pub name: String,
    /// The file.
    pub file: Arc<str>,
    /// Where it stands there.
    pub place: Place,
    /// The peers of its mesh, with their labels.
    pub peers: BTreeMap<Name, Labels>,
    /// What happens, in the order of the moments.
    pub given: Vec<Given>,
    /// What rungs come to; of several that fit, the first one counts.
    pub rungs: Vec<Played>,
    /// What must happen, in this order; other things may happen in between.
    pub expect: Vec<Expected>,
    /// What must not happen at any time.
    pub expect_no: Vec<Expected>,
    /// How things must stand in the end.
    pub finally: Vec<Ending>,
    /// How long it goes on; a while after the last thing given unless it says so.
    pub lasts: Option<Duration>,
}

/// Line and column in a file, both counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column in characters.
    pub column: usize,
}

/// Something that happens in a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Where it is written.
    pub place: Place,
    /// When, from the beginning of the test.
    pub at: Duration,
    /// To which peers; to none where an operator stops everything.
    pub peers: Vec<Name>,
    /// What.
    pub what: Happens,
}

/// What can happen in a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happens {
    /// From now on each run of this check says so.
    Check {
        /// Which check.
        check: Name,
        /// What it says.
        says: Verdict,
    },
    /// Something becomes of the peers themselves.
    Fate(Fate),
    /// An operator does something.
    Deed(OperatorDeed),
    /// An operator takes the peers under maintenance.
    Maintenance {
        /// For how long.
        lasts: Duration,
    },
}

/// What can become of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its agent is gone, its host lives.
    Crashed,
    /// Its host is gone.
    Dark,
    /// Its agent is stopped on purpose.
    Stopped,
    /// It runs again.
    Back,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Crashed, Self::Dark, Self::Stopped, Self::Back];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crashed => "crashed",
            Self::Dark => "dark",
            Self::Stopped => "stopped",
            Self::Back => "back",
        }
    }
}

/// What an operator can do in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorDeed {
    /// Stops all repairs.
    Freeze,
    /// Lets them go on.
    Thaw,
    /// Closes what is open about the peers.
    Close,
    /// Approves what waits for approval about the peers.
    Approve,
    /// Denies it.
    Deny,
}

impl OperatorDeed {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Freeze, Self::Thaw, Self::Close, Self::Approve, Self::Deny];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Close => "close",
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }

    /// Whether it is about peers.
    pub const fn is_about_peers(self) -> bool {
        match self {
            Self::Freeze | Self::Thaw => false,
            Self::Close | Self::Approve | Self::Deny => true,
        }
    }
}

/// What executing a rung comes to. A rung that no line is about ends well and does not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Where it is written.
    pub place: Place,
    /// Of which runbook; of any unless said.
    pub runbook: Option<Name>,
    /// Which rung.
    pub rung: String,
    /// For which affected peer; for any unless said.
    pub peer: Option<Name>,
    /// Only in this attempt of the incident; in any unless said.
    pub attempt: Option<u32>,
    /// How the execution ends.
    pub ends: Outcome,
    /// Whether what was wrong is well afterwards.
    pub helps: bool,
    /// How long it takes.
    pub takes: Option<Duration>,
}

/// Something that must happen, or must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Where it is written.
    pub place: Place,
    /// What happens.
    pub what: What,
    /// About which affected peer; about any unless said.
    pub peer: Option<Name>,
    /// At most so long after the line before it; the first, after the first thing given.
    pub within: Option<Duration>,
    /// At least so long after it.
    pub after: Option<Duration>,
}

/// What a test can see happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A rung is executed.
    Rung {
        /// Which one; any when it is not said (`"*"`).
        rung: Option<String>,
        /// Of which runbook.
        runbook: Option<Name>,
        /// By whom.
        worker: Option<Worker>,
        /// As which attempt of its incident.
        attempt: Option<u32>,
        /// How it ended, as the log knows it in the end.
        ends: Option<Outcome>,
    },
    /// An incident takes a turn.
    Incident {
        /// Which turn.
        turn: Turn,
        /// About what.
        about: Option<About>,
    },
    /// A rule holds an incident back: the word for the refusal.
    Held(&'static str),
    /// A person is told through a notifier; through any when it is not said (`"*"`).
    Notice(Option<Name>),
}

/// Who executes a rung.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Worker {
    /// This peer.
    Peer(Name),
    /// The affected peer itself, any other peer, or whoever leads.
    Any(By),
}

/// What an incident is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// This check.
    Check(Name),
    /// The peer's silence.
    Silence,
    /// Many peers that are silent at once.
    Storm,
    /// The checks that this ladder mends.
    Ladder(Name),
    /// This runbook, which an operator ordered to be run.
    Runbook(Name),
    /// This notifier, which did not reach people.
    Notifier(Name),
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(check) => f.pad(&format!("check \"{check}\"")),
            Self::Silence => f.pad("silence"),
            Self::Storm => f.pad("storm"),
            Self::Ladder(ladder) => f.pad(&format!("ladder \"{ladder}\"")),
            Self::Runbook(runbook) => f.pad(&format!("runbook \"{runbook}\"")),
            Self::Notifier(notifier) => f.pad(&format!("notifier \"{notifier}\"")),
        }
    }
}

/// A turn that an incident takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is opened.
    Opened,
    /// It is well again.
    Resolved,
    /// It is handed to a person.
    Escalated,
    /// An operator closes it.
    Closed,
}

impl Turn {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Opened, Self::Resolved, Self::Escalated, Self::Closed];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Resolved => "resolved",
            Self::Escalated => "escalated",
            Self::Closed => "closed",
        }
    }
}

/// How the latest incident about something must stand in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Where it is written.
    pub place: Place,
    /// About which peer.
    pub peer: Name,
    /// About what; about anything unless said.
    pub about: Option<About>,
    /// Where it stands.
    pub incident: Option<Stands>,
    /// The word for the rule that holds it back.
    pub held: Option<&'static str>,
    /// How many executions it took.
    pub attempts: Option<u32>,
    /// How many such incidents there were.
    pub count: Option<u32>,
}

/// Where the latest incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// There is none.
    Nowhere,
    /// In this state.
    In(State),
}
