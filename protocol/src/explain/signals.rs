//! What opened an incident, in words, and what would end it.

use super::Sentence;
use crate::{
    document::{Silence, Verdict},
    ledger::Ledger,
    name::PeerId,
    record::{Because, Seen, StormCause},
};

/// How many failing checks of a ladder are named.
const FAILING_SHOWN: usize = 5;

/// What a direct probe saw, in words.
pub const fn seen(seen: Seen) -> &'static str {
    match seen {
        Seen::Reached => "its agent answered",
        Seen::Refused => "its host answered that no agent listens",
        Seen::NoAnswer => "nothing answered",
        Seen::Heard => "it was heard, though it was not reached",
        Seen::Abstained => "it abstained: it was slow itself",
        Seen::Unreachable => "it could not be asked",
    }
}

/// What opened an incident, in words.
pub fn signal(ledger: &Ledger, peer: PeerId, because: &Because) -> String {
    let peer = ledger.roster().name(peer);
    match because {
        Because::Check { check, verdict, since, summary } => {
            let says = match verdict {
                Verdict::Fail => "fails",
                Verdict::Warn => "warns",
                Verdict::Unknown => "cannot be run",
                Verdict::Pass => "passes",
            };
            let summary = match summary.lines().next().map(str::trim) {
                Some(line) if !line.is_empty() => format!(": {line}"),
                Some(_) | None => String::new(),
            };
            format!("check \"{check}\" {says} on {peer} since {since}{summary}")
        }
        Because::Silent { kind, since, .. } => {
            let what = match kind {
                Silence::Crashed => "the agent is gone while its host answers",
                Silence::Dark => "nothing answers there",
                Silence::Silent => "its agent does not answer",
            };
            format!("{peer} is {} since {since}: {what}", kind.as_str())
        }
        Because::Ladder { ladder, level, failing, since } => {
            let name = ledger.library().ladder(ladder).and_then(|ladder| ladder.level(*level));
            let name = name.map_or_else(String::new, |level| format!(" (\"{}\")", level.name));
            let shown: Vec<String> = failing
                .iter()
                .take(FAILING_SHOWN)
                .map(|one| format!("\"{}\" on {}", one.check, ledger.roster().name(one.peer)))
                .collect();
            let more = match failing.len().saturating_sub(FAILING_SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "ladder \"{ladder}\" needs level {level}{name} since {since}: {} fail{more}",
                shown.join(", ")
            )
        }
        Because::Operator { runbook, reason, .. } => {
            format!("an operator ordered runbook \"{runbook}\" for {peer}: {reason}")
        }
        Because::Job { check, since, summary, .. } => {
            format!("check \"{check}\" fails since {since}: {summary}")
        }
        Because::Untold { notifier, incident, detail, since } => {
            format!(
                "notifier \"{notifier}\" could not tell people of {incident}, and it is not tried \
                 again since {since}: {detail}"
            )
        }
        Because::Storm { silent, zone, cause, since } => {
            let names = named(ledger, silent);
            let cause = likely(*cause, zone.as_deref());
            format!(
                "{peer} saw {} peers silent at once at {since}: {names}; most likely it is {cause}",
                silent.len()
            )
        }
    }
}

/// Some peers by their names, sorted; of many, the first ones.
fn named(ledger: &Ledger, peers: &[PeerId]) -> String {
    let mut names: Vec<String> = peers.iter().map(|peer| ledger.roster().name(*peer)).collect();
    names.sort_unstable();
    let more = match names.len().saturating_sub(FAILING_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    names.truncate(FAILING_SHOWN);
    format!("{}{more}", names.join(", "))
}

/// What most likely made many peers fall silent at once, in words.
fn likely(cause: StormCause, zone: Option<&str>) -> String {
    match (cause, zone) {
        (StormCause::Zone, Some(zone)) => format!("the power or the network of zone \"{zone}\""),
        (StormCause::Leader, Some(zone)) => format!(
            "the network on the leader's side, which hears fewer than half of the mesh, or zone \"{zone}\""
        ),
        (StormCause::Leader, None) => {
            "the network on the leader's side, which hears fewer than half of the mesh".to_owned()
        }
        (StormCause::Zone | StormCause::Network, _) => "the network".to_owned(),
    }
}

pub(super) fn witnesses(ledger: &Ledger, because: &Because) -> Vec<Sentence> {
    match because {
        Because::Check { .. }
        | Because::Ladder { .. }
        | Because::Operator { .. }
        | Because::Storm { .. }
        | Because::Untold { .. }
        | Because::Job { .. } => Vec::new(),
        Because::Silent { witnesses, .. } => witnesses
            .iter()
            .map(|testimony| {
                let witness = ledger.roster().name(testimony.witness);
                let text = format!("{witness} probed it directly: {}", seen(testimony.seen));
                Sentence { at: Some(testimony.at), text }
            })
            .collect(),
    }
}

/// What has to be seen for an incident to resolve.
pub(super) fn cleared(because: &Because) -> String {
    match because {
        Because::Check { check, .. } => format!("check \"{check}\" passes again"),
        Because::Silent { .. } => "the peer answers again".to_owned(),
        Because::Ladder { .. } => "every check that failed passes again".to_owned(),
        Because::Operator { check: Some(check), .. } => format!("check \"{check}\" passes"),
        Because::Operator { check: None, .. } => "one of its rungs succeeds".to_owned(),
        Because::Job { job, .. } => format!("job \"{job}\" checks in"),
        Because::Storm { .. } => "no other peer falls silent for a while".to_owned(),
        Because::Untold { notifier, .. } => format!("notifier \"{notifier}\" takes a notice again"),
    }
}
