//! What a story says must have become of it, held against the ledger in the end.

use crate::{scenario::Expectation, world::World};
use protocol::{
    ledger::incident::{Attempt, Fact, Incident, News, State, Subject},
    record::Outcome,
    time::Timestamp,
};
use std::time::Duration;

/// What was expected and did not come.
///
/// # Errors
/// What is otherwise than the story says, with the line that says it.
pub(crate) fn check(world: &World<'_>) -> Result<(), String> {
    for expectation in &world.story.expectations {
        hold_against(world, expectation)
            .map_err(|what| format!("{}:{}: {what}", world.story.path, expectation.line))?;
    }
    Ok(())
}

fn hold_against(world: &World<'_>, expected: &Expectation) -> Result<(), String> {
    let peer = expected.peer.map(|who| world.who(who));
    let fits = |incident: &&Incident| {
        let about = match Subject::of(&incident.because) {
            Subject::Check(check) => check.to_string(),
            Subject::Silence => "silence".to_owned(),
            Subject::Storm => "storm".to_owned(),
            Subject::Job(_, job) => format!("job {job}"),
            Subject::Ladder(ladder) => format!("ladder {ladder}"),
            Subject::Operator(runbook) => format!("runbook {runbook}"),
            Subject::Notifier(notifier) => format!("notifier {notifier}"),
        };
        peer.is_none_or(|peer| peer == Some(incident.peer))
            && expected.about.as_ref().is_none_or(|wanted| *wanted == about)
    };
    let found: Vec<&Incident> = world.raft.truth.incidents().values().filter(fits).collect();
    if let Some(count) = expected.count
        && found.len() != count
    {
        let which: Vec<String> = found.iter().map(|incident| told(world, incident)).collect();
        return Err(format!("{count} incidents expected, {}: {}", found.len(), which.join("; ")));
    }
    if let Some(calls) = expected.calls {
        let of_found = found.iter().flat_map(|incident| {
            let called = incident.notices.iter().filter(|notice| notice.news == News::Called);
            called.map(|notice| (incident.id, notice.number))
        });
        let reached = of_found.filter(|key| world.received.contains_key(key)).count();
        if reached != calls {
            let which: Vec<String> = found.iter().map(|incident| told(world, incident)).collect();
            return Err(format!("{calls} calls expected, {reached}: {}", which.join("; ")));
        }
    }
    let wants_one = expected.incident.is_some()
        || expected.attempts.is_some()
        || expected.outcomes.is_some()
        || expected.told.is_some();
    if !wants_one {
        return Ok(());
    }
    match found.last() {
        None => Err("there is no such incident".to_owned()),
        Some(incident) => one(world, expected, incident)
            .map_err(|what| format!("{what}; {}", told(world, incident))),
    }
}

fn one(world: &World<'_>, expected: &Expectation, incident: &Incident) -> Result<(), String> {
    if let Some(state) = expected.incident {
        if incident.state != state {
            return Err(format!("it should be {}", state.as_str()));
        }
        let took = since(incident, state);
        if let Some(within) = expected.within
            && took.is_none_or(|took| took > within)
        {
            return Err(format!("it took {took:?}, not {within:?} at most"));
        }
    }
    if let Some(attempts) = expected.attempts
        && incident.attempts.len() != attempts
    {
        return Err(format!("{attempts} attempts expected"));
    }
    if let Some(outcomes) = &expected.outcomes {
        // A worker that has just started refuses what was given out before: a story need not say.
        let counts = |outcome: &Outcome| {
            *outcome != Outcome::Refused || outcomes.contains(&Outcome::Refused)
        };
        let ended: Vec<Outcome> =
            incident.attempts.iter().filter_map(Attempt::outcome).filter(counts).collect();
        if ended != *outcomes {
            let words: Vec<&str> = outcomes.iter().map(|outcome| outcome.as_str()).collect();
            return Err(format!("its attempts should have ended {}", words.join(", ")));
        }
    }
    if let Some(wanted) = expected.told {
        let was = incident
            .notices
            .iter()
            .any(|notice| world.received.contains_key(&(incident.id, notice.number)));
        if was != wanted {
            let what = if wanted { "nobody was told" } else { "a person was told" };
            return Err(what.to_owned());
        }
    }
    Ok(())
}

/// How long from its opening until the incident stood as it does.
fn since(incident: &Incident, state: State) -> Option<Duration> {
    let at: Timestamp = match state {
        State::Open => incident.opened_at,
        State::Resolved | State::Closed => incident.closed_at?,
        State::Acting | State::Verifying | State::Waiting | State::Escalated => {
            let line = incident.timeline.iter().rev().find(|line| match (&line.fact, state) {
                (Fact::Escalated(_), State::Escalated) | (Fact::Held(_), State::Waiting) => true,
                (Fact::Assigned(_), State::Acting) | (Fact::Reported(_), State::Verifying) => true,
                (_, _) => false,
            });
            line?.at
        }
    };
    Some(at.since(incident.opened_at))
}

/// An incident in one line.
fn told(world: &World<'_>, incident: &Incident) -> String {
    let attempts: Vec<String> = incident
        .attempts
        .iter()
        .map(|attempt| {
            let outcome = attempt.outcome().map_or("under way", |outcome| outcome.as_str());
            format!("rung {} by {}: {outcome}", attempt.rung + 1, world.name(attempt.worker))
        })
        .collect();
    let held = incident.held.as_ref().map_or_else(String::new, |held| format!(" ({held})"));
    format!(
        "{} about {} is {}{held}, attempts: [{}]",
        incident.id,
        world.name(incident.peer),
        incident.state.as_str(),
        attempts.join(", ")
    )
}
