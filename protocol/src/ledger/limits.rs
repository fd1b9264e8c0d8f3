//! How much may be done at once: asked by the leader before it proposes, and by
//! [`Ledger::apply`] when the proposal is committed.
//!
//! The same function answers `explain`: why nothing is done, and until when. When several rules
//! apply, each has to permit it, so the strictest holds; the one that only a person lifts is named
//! first.

use super::{
    Ledger,
    bounds::within_bounds,
    incident::{Attempt, Incident},
};
use crate::{
    document::{Action, Effect, Mode, params},
    name::{Labels, PeerId},
    record::{Because, Part},
    refusal::Refusal,
    time::Timestamp,
};
use std::time::Duration;

/// A rule: whether the next rung of an incident may be given out at a moment.
type Holds = fn(&Ledger, &Incident, Timestamp) -> Result<(), Refusal>;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// What operators call it.
    pub name: &'static str,
    /// Whether it holds for what begins a rung alone, and not for what looks at one that was begun
    /// or takes it back.
    begins: bool,
    holds: Holds,
}

impl Rule {
    const fn always(name: &'static str, holds: Holds) -> Self {
        Self { name, begins: false, holds }
    }

    const fn to_begin(name: &'static str, holds: Holds) -> Self {
        Self { name, begins: true, holds }
    }

    /// Whether it permits the next rung of this incident.
    ///
    /// # Errors
    /// The [`Refusal`] that names the rule, with its facts.
    pub fn permits(
        self,
        ledger: &Ledger,
        incident: &Incident,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        if self.begins && incident.next_part != Part::Act {
            return Ok(());
        }
        (self.holds)(ledger, incident, at)
    }
}

/// Every rule, in the order in which they are asked.
pub const RULES: [Rule; 14] = [
    Rule::always("freeze", thawed),
    Rule::always("storm brake", becalmed),
    Rule::to_begin("shadow", shadowed),
    Rule::always("maintenance", under_maintenance),
    Rule::always("settling", settled),
    Rule::always("attempt under way", outlived),
    Rule::always("backoff", waited),
    Rule::to_begin("once", only_once),
    Rule::to_begin("needs", needed),
    Rule::to_begin("cool-down", cooled_down),
    Rule::to_begin("circuit breaker", unbroken),
    Rule::to_begin("repeat", repeated),
    Rule::to_begin("parameters", resolved),
    Rule::to_begin("blast radius", within_bounds),
];

/// Whether the next rung of this incident may be given out at `at`, or the rule that forbids it.
///
/// # Errors
/// The [`Refusal`] that names the rule, with its facts.
pub fn permit(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    if incident.plan.is_none() {
        return Err(Refusal::NoRunbook);
    }
    RULES.iter().try_for_each(|rule| rule.permits(ledger, incident, at))
}

fn thawed(ledger: &Ledger, _incident: &Incident, _at: Timestamp) -> Result<(), Refusal> {
    match ledger.frozen() {
        Some(freeze) => Err(Refusal::Frozen { since: freeze.since, reason: freeze.reason.clone() }),
        None => Ok(()),
    }
}

/// No neighbour acts on a silence while too many peers are silent at once.
fn becalmed(ledger: &Ledger, incident: &Incident, _at: Timestamp) -> Result<(), Refusal> {
    ledger.unbraked(incident)
}

/// A rung that failed is tried again after a wait.
fn waited(_ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    match incident.not_before.filter(|until| *until > at) {
        Some(until) => Err(Refusal::Backoff { until }),
        None => Ok(()),
    }
}

/// Every parameter has a value that fits.
fn resolved(ledger: &Ledger, incident: &Incident, _at: Timestamp) -> Result<(), Refusal> {
    let (Some(plan), Some(member)) = (&incident.plan, ledger.roster().ever(incident.peer)) else {
        return Ok(());
    };
    params::resolve(&plan.params, &member.card.labels, &incident.because, &incident.told)?;
    addressed(ledger, incident)
}

/// What the rung says of the host, by its labels, has values: without them nobody knows whom it
/// would hit.
fn addressed(ledger: &Ledger, incident: &Incident) -> Result<(), Refusal> {
    let Some(rung) = incident.next_rung() else { return Ok(()) };
    let target = incident.target_of(rung);
    let Some(labels) = ledger.roster().ever(target).map(|member| &member.card.labels) else {
        return Err(Refusal::UnknownPeer { peer: target.to_string() });
    };
    match &rung.action {
        Action::Fence(fence) => fence.resolve(labels).map(|_| ()),
        Action::Wake(wake) => wake.resolve(labels).map(|_| ()),
        Action::Run(_) | Action::Notify(_) | Action::Heal | Action::Http(_) | Action::Ssh(_) => {
            Ok(())
        }
    }
}

/// How long what a rung needs is taken for true while nothing is done: a host that was verified to
/// be off a while ago may have been switched on by somebody since.
pub const NEEDED_FOR: Duration = Duration::from_secs(60);

/// A rung that needs another one is climbed only when that one succeeded in the same incident, and
/// the incident has not lain idle since. A person who approves it vouches for that.
fn needed(_ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let Some(rung) = incident.next_rung() else { return Ok(()) };
    let Some(needed) = &rung.needs else { return Ok(()) };
    let refused = |why: &str| {
        let (rung, needed) = (rung.name.clone(), needed.clone());
        Err(Refusal::Needs { rung, needed, why: why.to_owned() })
    };
    let of_needed = |attempt: &&Attempt| {
        attempt.part == Part::Act
            && incident
                .rung(attempt.rung)
                .is_some_and(|tried| tried.name == *needed && tried.level == rung.level)
    };
    let tried = incident.attempts.iter().rev().find(of_needed);
    match tried.map(|tried| incident.succeeded(tried)) {
        None => refused("it was not climbed"),
        Some(false) => refused("it did not succeed"),
        Some(true) => {
            let acted = incident.attempts.iter().rev().find_map(|attempt| attempt.ended_at);
            let idle = acted.map_or(Duration::ZERO, |acted| at.since(acted));
            let settle = incident.attempts.last().and_then(|last| incident.rung(last.rung));
            let settle = settle.map_or(Duration::ZERO, |last| last.settle);
            if rung.approve.is_none() && idle > NEEDED_FOR.saturating_add(settle) {
                return refused("it succeeded too long ago to be relied on");
            }
            Ok(())
        }
    }
}

/// The maintenance that a peer with these labels is under, if it is under one.
pub fn maintenance(
    ledger: &Ledger,
    (peer, labels): (PeerId, &Labels),
    at: Timestamp,
) -> Option<Refusal> {
    let started = ledger.windows().iter().find_map(|(name, window)| {
        let covers = window.since <= at && at < window.until && window.is_for(peer, labels);
        covers.then(|| (name.clone(), window.until, window.reason.clone()))
    });
    let (name, until, reason) = started.or_else(|| {
        ledger.library().maintenances().filter(|window| window.selector.fits(labels)).find_map(
            |window| {
                Some((window.name.clone(), window.schedule.covers(at)?, window.reason.clone()))
            },
        )
    })?;
    Some(Refusal::Maintenance { name, until, reason })
}

fn under_maintenance(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let targets =
        [Some(incident.peer), incident.next_rung().and_then(|rung| rung.level.as_ref()?.target)];
    for member in targets.into_iter().flatten().filter_map(|peer| ledger.roster().ever(peer)) {
        if let Some(refusal) = maintenance(ledger, (member.card.id, &member.card.labels), at) {
            return Err(refusal);
        }
    }
    Ok(())
}

fn shadowed(_ledger: &Ledger, incident: &Incident, _at: Timestamp) -> Result<(), Refusal> {
    let shadow = incident.plan.as_ref().is_some_and(|plan| plan.mode == Mode::Shadow);
    match incident.next_rung() {
        Some(rung) if shadow => Err(Refusal::Shadow { rung: rung.name.clone() }),
        Some(_) | None => Ok(()),
    }
}

/// Nothing acts on a target while the effect of an earlier rung settles, whoever it was for.
fn settled(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    // What is to be undone does not get better by waiting.
    if incident.next_part == Part::Undo {
        return Ok(());
    }
    match ledger.settling.get(&incident.peer).copied() {
        Some(until) if until > at => Err(Refusal::Settling { until }),
        Some(_) | None => Ok(()),
    }
}

/// Nothing acts on a target while an attempt of an incident that an operator closed still may.
fn outlived(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let target = incident.peer;
    let mut closed =
        ledger.under_repair(at).filter(|other| other.peer == target && other.state.is_over());
    match closed.find_map(|closed| Some((closed.id, closed.in_flight()?))) {
        Some((incident, attempt)) => {
            let (attempt, until) = (attempt.number, attempt.until);
            Err(Refusal::AttemptUnderWay { incident, attempt, until })
        }
        None => Ok(()),
    }
}

/// A rung whose effect is `once` is started once in an incident, whatever became of it.
fn only_once(_ledger: &Ledger, incident: &Incident, _at: Timestamp) -> Result<(), Refusal> {
    match incident.next_rung() {
        Some(rung) if rung.effect == Effect::Once && incident.was_started(incident.climbed) => {
            Err(Refusal::OnceOnly { rung: rung.name.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

/// The cool-down stands between incidents; within one, the rungs follow each other. What an
/// operator orders does not wait for it.
fn cooled_down(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let Some(plan) = &incident.plan else { return Ok(()) };
    if !incident.attempts.is_empty() || matches!(incident.because, Because::Operator { .. }) {
        return Ok(());
    }
    let Some(acted) = ledger.acted.get(&(plan.name.clone(), incident.peer)) else {
        return Ok(());
    };
    let until = acted.plus(plan.cooldown);
    if until > at { Err(Refusal::CoolDown { runbook: plan.name.clone(), until }) } else { Ok(()) }
}

/// A runbook that came to nothing again and again stops until its failures are forgotten.
fn unbroken(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let Some(plan) = &incident.plan else { return Ok(()) };
    let Some(breaker) = plan.breaker else { return Ok(()) };
    let mut failures = ledger.memory().failures(at, &plan.name, breaker.within);
    let oldest = failures.next();
    let count = number(failures.count()).saturating_add(u32::from(oldest.is_some()));
    match oldest {
        Some(oldest) if count >= breaker.failures => Err(Refusal::Breaker {
            runbook: plan.name.clone(),
            failures: count,
            until: oldest.plus(breaker.within),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Whether the next rung is passed over, so that the one after it is climbed: it was done here and
/// may not be done again, or has not helped.
///
/// # Errors
/// The [`Refusal`] that says why.
pub fn passed_over(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    only_once(ledger, incident, at)?;
    needed(ledger, incident, at)?;
    addressed(ledger, incident)?;
    if let Some(rung) = incident.next_rung() {
        ledger.is_for_surgeons(incident, rung)?;
    }
    repeated(ledger, incident, at)
}

/// A rung that did not help on this host a short while ago, or helped only for a moment again and
/// again, is not repeated there: the next one is climbed.
///
/// # Errors
/// [`Refusal::Repeated`].
fn repeated(ledger: &Ledger, incident: &Incident, at: Timestamp) -> Result<(), Refusal> {
    let (Some(plan), Some(rung)) = (&incident.plan, incident.next_rung()) else { return Ok(()) };
    let one_by_one = matches!(incident.because, Because::Check { .. }) && !plan.sequence;
    if !one_by_one || rung.tells().is_some() {
        return Ok(());
    }
    let key = (plan.name.clone(), rung.name.clone(), incident.peer);
    let within = plan.repeat.within;
    let all: Vec<_> = ledger.memory().on_peer(at, &key, within, incident.id).collect();
    let useless = all.last().filter(|last| !last.helped);
    let often = (number(all.len()) >= plan.repeat.times).then(|| all.first()).flatten();
    match useless.or(often.copied().as_ref()) {
        Some(tried) => Err(Refusal::Repeated {
            rung: rung.name.clone(),
            times: number(all.len()),
            until: tried.at.plus(within),
        }),
        None => Ok(()),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
