//! Runbooks: which signals they answer, and the rungs from gentle to drastic.

use super::{Bounds, Command, EvidenceStep, Fence, Power, Selector, Ssh, Verdict, Wake};
use crate::name::{Name, PeerId};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Which silence a runbook answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Silence {
    /// Either kind.
    Silent,
    /// The agent is gone and its host's kernel says so.
    Crashed,
    /// Nothing answers.
    Dark,
}

impl Silence {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Crashed => "crashed",
            Self::Dark => "dark",
        }
    }
}

/// What a runbook answers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum On {
    /// This check fails on a peer.
    Check(Name),
    /// A peer's agent does not answer.
    Peer(Silence),
    /// A level of this ladder needs it.
    Ladder(Name),
    /// Nothing but an operator's `hearten runbook run`.
    Operator,
}

/// A signal's answer: what to collect, which rungs to climb, within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runbook {
    /// What incidents call it.
    pub name: Name,
    /// The signal that it answers.
    pub on: On,
    /// The mildest verdict of its check that it answers: `warn` unless said, or `fail`.
    pub mildest: Verdict,
    /// Which affected peers it is for.
    pub selector: Selector,
    /// After a repair of a target, how long until the next incident of it may be repaired;
    /// 60 s unless said.
    pub cooldown: Duration,
    /// What to collect before the first rung.
    pub evidence: Vec<EvidenceStep>,
    /// The steps, from gentle to drastic; at least one.
    pub rungs: Vec<Rung>,
    /// What becomes of an attempt whose outcome is not known.
    pub on_unknown: OnUnknown,
    /// Whether it acts, asks a person first, or only says what it would do.
    pub mode: Mode,
    /// Whether every rung is climbed in its order whatever the check says meanwhile: a workflow,
    /// whose condition is looked at when it is through.
    pub sequence: bool,
    /// Of two runbooks that answer the same signal for the same peer the greater one goes first;
    /// 0 unless said.
    pub priority: u32,
    /// How much of it may be under way at once; beside the mesh's own limits.
    pub bounds: Bounds,
    /// So many attempts that came to nothing stop it until a person looks.
    pub breaker: Option<Breaker>,
    /// When a rung is not done again on the same host.
    pub repeat: Repeat,
    /// What its commands are given beside the usual variables.
    pub params: Vec<Param>,
}

/// Whether a runbook acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// It acts by itself (the default).
    Auto,
    /// A person approves each incident's repair before the first rung.
    Ask,
    /// It says what it would do, and does nothing.
    Shadow,
}

impl Mode {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ask => "ask",
            Self::Shadow => "shadow",
        }
    }
}

/// Too many attempts that came to nothing, within a while: no more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// How many attempts that failed, timed out, or are unknown, on whatever host.
    pub failures: u32,
    /// Within how long.
    pub within: Duration,
}

/// When a rung is passed over, because it was tried on the same host a short while ago: what did
/// not help is not repeated, and what helps only for a moment is not repeated for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// How often one rung may act on one host within [`Self::within`], though it seemed to help.
    pub times: u32,
    /// For how long it is remembered; zero turns the rule off.
    pub within: Duration,
}

impl Default for Repeat {
    fn default() -> Self {
        Self { times: 5, within: Duration::from_secs(600) }
    }
}

/// A value that an operator's command is given as `HEARTEN_PARAM_<NAME>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// Its name, in small letters.
    pub name: String,
    /// What it must look like.
    pub kind: ParamKind,
    /// Where it comes from.
    pub from: ParamSource,
    /// What it is when its source has none; without one nothing is done.
    pub default: Option<String>,
    /// A regular expression that the whole value must match.
    pub pattern: Option<String>,
}

/// What a parameter's value must look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParamKind {
    /// Any printable text of up to 1,000 bytes.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    OneOf(Vec<String>),
}

/// Where a parameter's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParamSource {
    /// The document alone: the default is the value.
    Document,
    /// A label of the affected peer.
    Label(String),
    /// A field of the signal.
    Signal(SignalField),
    /// A label of the alert that it is about.
    Alert(String),
    /// A label of the job that it is about.
    Job(String),
}

/// A field of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalField {
    /// The check's name.
    Check,
    /// The verdict, or the kind of silence.
    Verdict,
    /// The first lines that the check printed.
    Summary,
}

/// What happens after an attempt whose outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnUnknown {
    /// A person decides (the default).
    Ask,
    /// The same rung once more, under a new attempt: for steps that may safely run twice.
    Retry,
}

/// One step of a runbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// What the timeline calls it: any printable text of up to 64 characters.
    pub name: String,
    /// What is done.
    pub action: Action,
    /// Who does it.
    pub by: By,
    /// How long it may take; 60 s unless said.
    pub timeout: Duration,
    /// How long nothing else acts on the target afterwards; zero unless said.
    pub settle: Duration,
    /// What a second execution would do.
    pub effect: Effect,
    /// When it is tried again.
    pub retry: Retry,
    /// What becomes of an attempt whose outcome is not known, where the rung says otherwise than
    /// its runbook.
    pub on_unknown: Option<OnUnknown>,
    /// What takes back a rung that failed half-way.
    pub undo: Option<Command>,
    /// What else has to succeed, after the rung has settled, for it to count as done.
    pub verify: Option<Command>,
    /// That a person approves it first.
    pub approve: Option<Approve>,
    /// For a rung of a ladder: the level that it belongs to, and the peer that it is for.
    pub level: Option<Level>,
    /// The earlier rung of its runbook without whose success in the same incident it is passed
    /// over.
    pub needs: Option<String>,
    /// Whether it counts as done only when the affected host is back with another boot id.
    pub reboot: bool,
    /// Which neighbours may carry it out: those with these labels.
    pub selector: Selector,
    /// How many different neighbours try it, one after the other, until one succeeds; 1 unless
    /// said.
    pub count: u32,
}

impl Rung {
    /// What becomes of an attempt of this rung whose outcome is not known.
    pub fn on_unknown(&self, runbook: OnUnknown) -> OnUnknown {
        let by_effect = match self.effect {
            Effect::Idempotent => Some(OnUnknown::Retry),
            Effect::Once => Some(OnUnknown::Ask),
            // A host that is off is not more off after a second time.
            Effect::Unsaid => match &self.action {
                Action::Fence(_) | Action::Wake(_) => Some(OnUnknown::Retry),
                Action::Run(_)
                | Action::Notify(_)
                | Action::Heal
                | Action::Http(_)
                | Action::Ssh(_) => None,
            },
        };
        self.on_unknown.or(by_effect).unwrap_or(runbook)
    }

    /// Whether the host is known to be without power when it has succeeded.
    pub fn leaves_it_off(&self) -> bool {
        matches!(&self.action, Action::Fence(fence) if fence.power == Power::Off)
    }

    /// Whether it is for certain neighbours, or for several, so that there may be none (left) who
    /// could climb it.
    pub fn is_for_some_neighbours(&self) -> bool {
        self.by == By::Neighbour && (!self.selector.0.is_empty() || self.count > 1)
    }

    /// Whether it tells a person instead of acting.
    pub const fn tells(&self) -> Option<&Name> {
        match &self.action {
            Action::Notify(notifier) => Some(notifier),
            Action::Run(_)
            | Action::Heal
            | Action::Http(_)
            | Action::Fence(_)
            | Action::Wake(_)
            | Action::Ssh(_) => None,
        }
    }
}

/// What a second execution of a rung would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Nothing is said of it.
    Unsaid,
    /// The same as one: an attempt of unknown outcome is tried again.
    Idempotent,
    /// Harm: in one incident it is started once, whatever becomes of it.
    Once,
}

/// When a rung that failed is tried again before the next one is climbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retry {
    /// So many times more, after a wait that doubles from one to the next.
    Times {
        /// How many times more; 0 unless said.
        times: u32,
        /// The first wait; 10 s unless said.
        backoff: Duration,
    },
    /// It waits for something: again and again until it succeeds.
    Until {
        /// The time between two tries.
        every: Duration,
        /// For how long, from the first try.
        within: Duration,
    },
}

impl Retry {
    /// Tried once.
    pub const NONE: Self = Self::Times { times: 0, backoff: Duration::from_secs(10) };

    /// When an attempt may follow `tried` attempts of the rung that failed, the first of which was
    /// given out `ago` before the last one ended: after how long a wait, or not at all.
    pub fn wait(self, tried: u32, ago: Duration) -> Option<Duration> {
        match self {
            Self::Times { times, backoff } => {
                let doublings = tried.saturating_sub(1).min(16);
                (tried <= times).then(|| backoff.saturating_mul(1 << doublings).min(BACKOFF_MAX))
            }
            Self::Until { every, within } => (ago.saturating_add(every) <= within).then_some(every),
        }
    }
}

/// The longest wait between two tries.
pub const BACKOFF_MAX: Duration = Duration::from_secs(3_600);

/// That a person approves a rung before it is climbed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approve {
    /// How long the question stands; 1 h unless said.
    pub within: Duration,
    /// Who may answer: beginnings of operators' keys in hexadecimal; any operator when empty.
    pub by: Vec<String>,
}

impl Default for Approve {
    fn default() -> Self {
        Self { within: Duration::from_secs(3_600), by: Vec::new() }
    }
}

/// Where a rung of a ladder belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Its number: 1 is the widest.
    pub number: u32,
    /// Its name.
    pub name: Name,
    /// The runbook that it comes from.
    pub runbook: Name,
    /// The peer that it is for, where that is not the incident's own.
    pub target: Option<PeerId>,
}

/// What a rung does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Runs a command.
    Run(Command),
    /// Tells a person, by this notifier.
    Notify(Name),
    /// Runs the heal phase of the plugin whose check fails.
    Heal,
    /// Makes an HTTP request.
    Http(HttpCall),
    /// Switches the affected host off or on.
    Fence(Fence),
    /// Wakes the affected host by its network card.
    Wake(Wake),
    /// Runs a command on the affected host, by ssh.
    Ssh(Ssh),
}

/// An HTTP request as a rung: for tickets, load balancers, cloud interfaces.
///
/// In address, header values and body, `${HEARTEN_…}` is replaced by its value: in the address as
/// one encoded part, in a JSON body as the inside of a JSON string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCall {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Headers, in the order of their names.
    pub headers: BTreeMap<String, String>,
    /// What is sent.
    pub body: Option<String>,
    /// The statuses that count as success, first and last; 200 to 299 unless said.
    pub status: (u16, u16),
    /// A text that the answer must hold to count as success.
    pub answer_contains: Option<String>,
}

/// Who carries out a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum By {
    /// The peer that is ill (the default).
    Affected,
    /// Another peer, near it.
    Neighbour,
    /// The leader's host.
    Leader,
}

impl By {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Affected => "affected",
            Self::Neighbour => "neighbour",
            Self::Leader => "leader",
        }
    }
}

impl Runbook {
    /// Whether a check that says this is a case for it. `unknown` never is: the probe itself did
    /// not work, and nothing is known of what it looks at.
    pub fn answers(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Fail => true,
            Verdict::Warn => self.mildest == Verdict::Warn,
            Verdict::Pass | Verdict::Unknown => false,
        }
    }
}
