//! What a test expects, held against what happened.

use super::{
    Fault,
    history::{Fact, History, Moment, Seen, Standing, clock},
};
use protocol::{
    document::{
        By,
        test::{Ending, Expected, Stands, Test, What, Worker},
    },
    name::Name,
    time::format_span,
};
use std::time::Duration;

/// Everything that is otherwise than the test says.
pub(super) fn judge(test: &Test, history: &History) -> Vec<Fault> {
    let mut faults: Vec<Fault> = in_order(test, history).into_iter().collect();
    for expected in &test.expect_no {
        if let Some(moment) = history.moments.iter().find(|moment| is(expected, moment)) {
            faults.push(Fault {
                line: expected.place.line,
                expected: format!("not: {}", told(expected)),
                found: format!("at {}, {}", clock(moment.at), moment.text),
            });
        }
    }
    for ending in &test.finally {
        faults.extend(stands(ending, &history.standings).err().map(|found| Fault {
            line: ending.place.line,
            expected: format!("in the end, {}", told_ending(ending)),
            found,
        }));
    }
    faults
}

/// The lines of `expect`, each after the one before it. What comes after the first that does not
/// hold is not looked at: it would be measured from nowhere.
fn in_order(test: &Test, history: &History) -> Option<Fault> {
    let mut from = test.given.first().map_or(Duration::ZERO, |given| given.at);
    let mut next = 0;
    for expected in &test.expect {
        let mut rest = history.moments.iter().enumerate().skip(next);
        let Some((place, moment)) = rest.find(|(_, moment)| is(expected, moment)) else {
            let earlier = history.moments[..next].iter().rev().find(|moment| is(expected, moment));
            let found = match earlier {
                Some(moment) => format!(
                    "it happened at {}, before what the line above it expects, and not again",
                    clock(moment.at)
                ),
                None => did_not_happen(expected, &history.moments[next..]),
            };
            return Some(fault(expected, found));
        };
        let took = moment.at.saturating_sub(from);
        if expected.within.is_some_and(|within| took > within)
            || expected.after.is_some_and(|after| took < after)
        {
            let found = format!("it happened at {}, after {}", clock(moment.at), span(took));
            return Some(fault(expected, found));
        }
        from = moment.at;
        next = place + 1;
    }
    None
}

/// That it did not happen, and what happened that is most like it.
fn did_not_happen(expected: &Expected, moments: &[Moment]) -> String {
    let mut like = Expected { peer: None, ..expected.clone() };
    match &mut like.what {
        What::Rung { runbook, worker, attempt, ends, rung: _ } => {
            (*runbook, *worker, *attempt, *ends) = (None, None, None, None);
        }
        What::Incident { about, turn: _ } => *about = None,
        What::Notice(notifier) => *notifier = None,
        What::Held(_) => {}
    }
    match moments.iter().find(|moment| is(&like, moment)) {
        Some(moment) => format!("it did not happen; at {}, {}", clock(moment.at), moment.text),
        None => "it did not happen".to_owned(),
    }
}

fn fault(expected: &Expected, found: String) -> Fault {
    Fault { line: expected.place.line, expected: told(expected), found }
}

/// Whether this is what is expected.
fn is(expected: &Expected, moment: &Moment) -> bool {
    let Some(Fact { peer, what: seen }) = &moment.fact else { return false };
    if expected.peer.as_ref().is_some_and(|wanted| wanted != peer) {
        return false;
    }
    match (&expected.what, seen) {
        (
            What::Rung { rung, runbook, worker, attempt, ends },
            Seen::Rung {
                runbook: seen_runbook,
                rung: seen_rung,
                worker: by,
                leads,
                attempt: number,
                ends: ended,
            },
        ) => {
            rung.as_ref().is_none_or(|rung| rung == seen_rung)
                && runbook.as_ref().is_none_or(|runbook| Some(runbook) == seen_runbook.as_ref())
                && worker.as_ref().is_none_or(|worker| fits(worker, by, peer, *leads))
                && attempt.is_none_or(|attempt| attempt == *number)
                && ends.is_none_or(|ends| Some(ends) == *ended)
        }
        (What::Incident { turn, about }, Seen::Turn(seen, of)) => {
            turn == seen && about.as_ref().is_none_or(|about| about == of)
        }
        (What::Held(word), Seen::Held(seen)) => word == seen,
        (What::Notice(notifier), Seen::Notice(seen)) => {
            notifier.as_ref().is_none_or(|notifier| notifier == seen)
        }
        (What::Rung { .. } | What::Incident { .. } | What::Held(_) | What::Notice(_), _) => false,
    }
}

fn fits(worker: &Worker, by: &Name, affected: &Name, leads: bool) -> bool {
    match worker {
        Worker::Peer(peer) => peer == by,
        Worker::Any(By::Affected) => by == affected,
        Worker::Any(By::Neighbour) => by != affected,
        Worker::Any(By::Leader) => leads,
    }
}

/// Whether things stand as they should in the end.
fn stands(ending: &Ending, standings: &[Standing]) -> Result<(), String> {
    let meant: Vec<&Standing> = standings
        .iter()
        .filter(|standing| standing.peer == ending.peer)
        .filter(|standing| ending.about.as_ref().is_none_or(|about| *about == standing.about))
        .collect();
    let count = u32::try_from(meant.len()).unwrap_or(u32::MAX);
    if ending.count.is_some_and(|wanted| wanted != count) {
        return Err(match count {
            0 => "there was no such incident".to_owned(),
            _ => format!(
                "there were {count}: {}",
                meant.iter().map(|s| shown(s)).collect::<Vec<_>>().join("; ")
            ),
        });
    }
    let wants_one = matches!(ending.incident, Some(Stands::In(_)))
        || ending.held.is_some()
        || ending.attempts.is_some();
    let Some(latest) = meant.last() else {
        return if wants_one { Err("there was no such incident".to_owned()) } else { Ok(()) };
    };
    let in_place = match ending.incident {
        Some(Stands::In(state)) => latest.state == state,
        Some(Stands::Nowhere) => false,
        None => true,
    };
    let held = latest.held.as_ref().map(|(word, _)| *word);
    let attempts = u32::try_from(latest.attempts).unwrap_or(u32::MAX);
    let fits = in_place
        && ending.held.is_none_or(|word| Some(word) == held)
        && ending.attempts.is_none_or(|wanted| wanted == attempts);
    if fits { Ok(()) } else { Err(shown(latest)) }
}

/// How an incident stands, as a sentence.
fn shown(standing: &Standing) -> String {
    let about = &standing.about;
    let attempts = match standing.attempts {
        1 => "1 attempt".to_owned(),
        several => format!("{several} attempts"),
    };
    let held = match &standing.held {
        Some((word, why)) => format!(", held by {word} ({why})"),
        None => String::new(),
    };
    let (id, peer, state) = (standing.id, &standing.peer, standing.state.as_str());
    format!("{id} about {peer} ({about}) is {state} after {attempts}{held}")
}

/// What is expected, as a sentence.
fn told(expected: &Expected) -> String {
    let mut text = match &expected.what {
        What::Rung { rung, runbook, worker, attempt, ends } => {
            let mut text = match rung {
                Some(rung) => format!("rung \"{rung}\""),
                None => "any rung".to_owned(),
            };
            if let Some(runbook) = runbook {
                text.push_str(&format!(" of \"{runbook}\""));
            }
            if let Some(attempt) = attempt {
                text.push_str(&format!(" as attempt {attempt}"));
            }
            text.push_str(" is executed");
            match worker {
                Some(Worker::Peer(peer)) => text.push_str(&format!(" by {peer}")),
                Some(Worker::Any(By::Affected)) => text.push_str(" by the affected peer"),
                Some(Worker::Any(By::Neighbour)) => text.push_str(" by a neighbour"),
                Some(Worker::Any(By::Leader)) => text.push_str(" by the leader"),
                None => {}
            }
            if let Some(ends) = ends {
                text.push_str(&format!(" and ends {}", ends.as_str()));
            }
            text
        }
        What::Incident { turn, about } => {
            let about = about.as_ref().map_or_else(String::new, |about| format!(" about {about}"));
            format!("an incident{about} is {}", turn.as_str())
        }
        What::Held(word) => format!("{word} holds an incident back"),
        What::Notice(Some(notifier)) => format!("\"{notifier}\" is told"),
        What::Notice(None) => "a person is told".to_owned(),
    };
    if let Some(peer) = &expected.peer {
        text.push_str(&format!(", for {peer}"));
    }
    if let Some(within) = expected.within {
        text.push_str(&format!(", within {}", format_span(within)));
    }
    if let Some(after) = expected.after {
        text.push_str(&format!(", after {} at the earliest", format_span(after)));
    }
    text
}

fn told_ending(ending: &Ending) -> String {
    let about = ending.about.as_ref().map_or_else(String::new, |about| format!(" ({about})"));
    let mut wanted = Vec::new();
    match ending.incident {
        Some(Stands::In(state)) => wanted.push(format!("is {}", state.as_str())),
        Some(Stands::Nowhere) => wanted.push("never was".to_owned()),
        None => {}
    }
    if let Some(word) = ending.held {
        wanted.push(format!("is held by {word}"));
    }
    if let Some(attempts) = ending.attempts {
        wanted.push(format!("took {attempts} attempts"));
    }
    if let Some(count) = ending.count {
        wanted.push(format!("is one of {count}"));
    }
    format!("the incident about {}{about} {}", ending.peer, wanted.join(", "))
}

/// A span in tenths of a second, which is fine enough to be read.
fn span(span: Duration) -> String {
    let tenths = u64::try_from(span.as_millis() / 100).unwrap_or(u64::MAX);
    format_span(Duration::from_millis(tenths * 100))
}
