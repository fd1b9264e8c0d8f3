//! A story as it stands in its TOML file, before names are looked up.
//!
//! Every key that is not known is refused, and every value that refers to something keeps its
//! place, so that what is wrong can be told with its line.

use protocol::{
    ledger::incident::State,
    name::{Labels, Name},
    record::Outcome,
    time::parse_span,
};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::time::Duration;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(super) lasts: Span,
    #[serde(default)]
    pub(super) settle: Option<Span>,
    #[serde(default)]
    pub(super) disk_max: Option<Span>,
    pub(super) peers: Peers,
    #[serde(default)]
    pub(super) peer: Vec<Spanned<Peer>>,
    pub(super) documents: Spanned<String>,
    #[serde(default)]
    pub(super) rung: Vec<Spanned<Rung>>,
    #[serde(default)]
    pub(super) event: Vec<Spanned<Event>>,
    #[serde(default)]
    pub(super) chaos: Option<Chaos>,
    #[serde(default)]
    pub(super) network: Option<Network>,
    #[serde(default)]
    pub(super) expect: Vec<Spanned<Expect>>,
}

/// `[peers]`: `p1`, `p2` and so on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peers {
    pub(super) count: Spanned<usize>,
    #[serde(default)]
    pub(super) zones: Vec<String>,
    #[serde(default)]
    pub(super) labels: Labels,
    /// How many cells they are in; each gossips within its own.
    #[serde(default = "one")]
    pub(super) cells: usize,
    /// Whether they have been running before the story begins.
    #[serde(default)]
    pub(super) running: bool,
}

const fn one() -> usize {
    1
}

/// `[[peer]]`: what one of them has beyond the others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    pub(super) name: String,
    #[serde(default)]
    pub(super) labels: Labels,
    #[serde(default = "yes")]
    pub(super) starts: bool,
}

const fn yes() -> bool {
    true
}

/// `[[rung]]`: what executing it comes to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rung {
    pub(super) runbook: String,
    pub(super) rung: String,
    #[serde(default)]
    pub(super) peer: Option<String>,
    pub(super) does: Does,
    #[serde(default)]
    pub(super) check: Option<Name>,
    #[serde(default)]
    pub(super) takes: Option<Span>,
    #[serde(default)]
    pub(super) chance_percent: Option<u64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Does {
    Repairs,
    Nothing,
    Fails,
    Hangs,
    /// What it is for works again, and what `check` looks at does not any more.
    Breaks,
}

/// `[[event]]`: one thing that happens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Event {
    #[serde(default)]
    pub(super) at: Option<Span>,
    #[serde(default)]
    pub(super) when: Option<Moment>,
    #[serde(default)]
    pub(super) after: Option<Span>,
    #[serde(rename = "do")]
    pub(super) deed: Deed,
    #[serde(default)]
    pub(super) peer: Option<String>,
    #[serde(default)]
    pub(super) to: Option<String>,
    #[serde(default)]
    pub(super) check: Option<Name>,
    #[serde(default)]
    pub(super) labels: Option<Labels>,
    #[serde(default)]
    pub(super) job: Option<String>,
    #[serde(default)]
    pub(super) stream: Option<Name>,
    #[serde(default)]
    pub(super) every: Option<Span>,
    #[serde(default)]
    pub(super) by: Option<Jump>,
    #[serde(default, rename = "for")]
    pub(super) lasting: Option<Span>,
    #[serde(default)]
    pub(super) groups: Option<Vec<Vec<String>>>,
    #[serde(default)]
    pub(super) documents: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) loss_percent: Option<u64>,
    #[serde(default)]
    pub(super) duplicate_percent: Option<u64>,
    #[serde(default)]
    pub(super) delay: Option<[Span; 2]>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Moment {
    Recording,
    Recorded,
    Executing,
    Finished,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Deed {
    Break,
    Mend,
    Kill,
    PowerOff,
    Start,
    Stop,
    Pause,
    Clock,
    SlowDisk,
    FullDisk,
    MendDisk,
    FailExecutor,
    MendExecutor,
    Isolate,
    Rejoin,
    Partition,
    Cut,
    Heal,
    Network,
    Freeze,
    Thaw,
    Close,
    Forge,
    ChannelDown,
    ChannelUp,
    Apply,
    Maintenance,
    Approve,
    Deny,
    Alert,
    AlertEnds,
    Job,
    JobEnds,
    Messages,
    MessagesEnd,
    SurgeonDies,
    SurgeonReturns,
}

/// `[chaos]`: what happens by chance.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chaos {
    pub(super) every: Span,
    pub(super) lasts: Span,
    pub(super) faults: Vec<Fault>,
    #[serde(default = "yes")]
    pub(super) swarm: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    Break,
    Kill,
    KillLeader,
    KillWorker,
    PowerOff,
    Pause,
    Partition,
    Cut,
    Swizzle,
    Loss,
    Clock,
    SlowDisk,
    FullDisk,
    Executor,
    Freeze,
    Channel,
}

/// `[network]`: how messages fare when nothing is wrong.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    #[serde(default)]
    pub(super) loss_percent: Option<u64>,
    #[serde(default)]
    pub(super) duplicate_percent: Option<u64>,
    #[serde(default)]
    pub(super) delay: Option<[Span; 2]>,
}

/// `[[expect]]`: what must have become of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    #[serde(default)]
    pub(super) peer: Option<String>,
    #[serde(default)]
    pub(super) about: Option<String>,
    #[serde(default)]
    pub(super) incident: Option<IncidentState>,
    #[serde(default)]
    pub(super) within: Option<Span>,
    #[serde(default)]
    pub(super) attempts: Option<usize>,
    #[serde(default)]
    pub(super) outcomes: Option<Vec<Ended>>,
    #[serde(default)]
    pub(super) told: Option<bool>,
    #[serde(default)]
    pub(super) count: Option<usize>,
    #[serde(default)]
    pub(super) calls: Option<usize>,
}

/// A span of time, `"90s"`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_span(&text).map(Self).map_err(D::Error::custom)
    }
}

/// A jump of a clock, `"1h"` or `"-1h"`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jump {
    pub(super) by: Duration,
    pub(super) back: bool,
}

impl<'de> Deserialize<'de> for Jump {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (rest, back) = text.strip_prefix('-').map_or((text.as_str(), false), |r| (r, true));
        let by = parse_span(rest).map_err(D::Error::custom)?;
        Ok(Self { by, back })
    }
}

/// How an incident stands, by the ledger's own words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IncidentState(pub(super) State);

impl<'de> Deserialize<'de> for IncidentState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const ALL: [State; 7] = [
            State::Open,
            State::Acting,
            State::Verifying,
            State::Waiting,
            State::Resolved,
            State::Escalated,
            State::Closed,
        ];
        word(&String::deserialize(deserializer)?, &ALL, State::as_str).map(Self)
    }
}

/// How an attempt ended, by the ledger's own words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended(pub(super) Outcome);

impl<'de> Deserialize<'de> for Ended {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const ALL: [Outcome; 5] = [
            Outcome::Succeeded,
            Outcome::Failed,
            Outcome::TimedOut,
            Outcome::Refused,
            Outcome::Unknown,
        ];
        word(&String::deserialize(deserializer)?, &ALL, Outcome::as_str).map(Self)
    }
}

fn word<T: Copy, E: serde::de::Error>(
    text: &str,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Result<T, E> {
    let known: Vec<&str> = all.iter().map(|one| as_str(*one)).collect();
    all.iter()
        .find(|one| as_str(**one) == text)
        .copied()
        .ok_or_else(|| E::custom(format!("\"{text}\" is none of {}", known.join(", "))))
}
