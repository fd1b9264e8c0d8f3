//! What became of a test: everything that happened, in order, in sentences with the test's own
//! times, and the facts in it that an expectation can be held against.

use super::stage::WARM_UP;
use crate::world::{World, chronicle::Happened, host::EPOCH};
use protocol::{
    document::test::{About, Fate, Given, Happens, OperatorDeed, Test, Turn},
    explain,
    ledger::incident::{self, Incident, News, State, Subject},
    name::{IncidentId, Name, PeerId},
    record::{Outcome, Part},
    time::{Timestamp, format_span},
};
use std::time::Duration;

/// Everything that happened in a test.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// In order.
    pub(crate) moments: Vec<Moment>,
    /// How each incident stands in the end, oldest first.
    pub(crate) standings: Vec<Standing>,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) struct Moment {
    /// When, since the test began.
    pub(crate) at: Duration,
    /// What, as a sentence.
    pub(crate) text: String,
    /// What can be expected of it; nothing where it is told only to be understood.
    pub(crate) fact: Option<Fact>,
}

/// A fact about an affected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    /// The affected peer.
    pub(crate) peer: Name,
    /// What happened.
    pub(crate) what: Seen,
}

/// What happened about an affected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A rung was executed.
    Rung {
        /// Of which runbook.
        runbook: Option<Name>,
        /// Which rung.
        rung: String,
        /// By whom.
        worker: Name,
        /// Whether the worker led then.
        leads: bool,
        /// As which attempt.
        attempt: u32,
        /// How it ended, as the log has it in the end.
        ends: Option<Outcome>,
    },
    /// An incident took a turn.
    Turn(Turn, About),
    /// A rule held an incident back.
    Held(&'static str),
    /// A person was told through a notifier.
    Notice(Name),
}

/// How an incident stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Which incident.
    pub(crate) id: IncidentId,
    /// About which peer.
    pub(crate) peer: Name,
    /// About what.
    pub(crate) about: About,
    /// Where it stands.
    pub(crate) state: State,
    /// The word for the rule that holds it back, and the rule in a sentence.
    pub(crate) held: Option<(&'static str, String)>,
    /// How many executions it took.
    pub(crate) attempts: usize,
}

impl History {
    /// What became of this test in this world.
    pub(super) fn of(test: &Test, world: &World<'_>) -> Self {
        let mut moments: Vec<Moment> = test.given.iter().map(given).collect();
        let incidents = world.raft.truth.incidents();
        for incident in incidents.values() {
            for line in &incident.timeline {
                let said = explain::line(&world.raft.truth, incident, line);
                moments.push(Moment {
                    at: since_beginning(line.at),
                    text: format!("{}: {}", incident.id, retold(world, &said)),
                    fact: ledger_fact(world, incident, &line.fact),
                });
            }
        }
        let seen = world.chronicle.iter().filter_map(|(at, happened)| {
            let (text, fact) = outside(world, happened)?;
            Some(Moment { at: at.saturating_sub(WARM_UP), text, fact })
        });
        moments.extend(seen);
        // Stable: what was said first of the same moment stays first.
        moments.sort_by_key(|moment| moment.at);
        let standings = incidents.values().map(|incident| Standing {
            id: incident.id,
            peer: name(world, incident.peer),
            about: about(incident),
            state: incident.state,
            held: incident.held.as_ref().map(|r| (r.word(), retold(world, &r.to_string()))),
            attempts: incident.attempts.len(),
        });
        Self { moments, standings: standings.collect() }
    }

    /// How many rungs were executed.
    pub(crate) fn actions(&self) -> usize {
        let is_rung = |moment: &&Moment| {
            moment.fact.as_ref().is_some_and(|fact| matches!(fact.what, Seen::Rung { .. }))
        };
        self.moments.iter().filter(is_rung).count()
    }
}

/// What is given, as a sentence.
fn given(given: &Given) -> Moment {
    let peers: Vec<&str> = given.peers.iter().map(Name::as_str).collect();
    let peers = peers.join(", ");
    let text = match &given.what {
        Happens::Check { check, says } => {
            format!("given: check \"{check}\" says {} on {peers}", says.as_str())
        }
        Happens::Fate(fate) => {
            let becomes = match fate {
                Fate::Crashed => "crashed: the agent is gone, the host lives",
                Fate::Dark => "dark: the host is gone",
                Fate::Stopped => "stopped on purpose",
                Fate::Back => "back",
            };
            format!("given: {peers} is {becomes}")
        }
        Happens::Deed(OperatorDeed::Freeze) => "given: an operator freezes the mesh".to_owned(),
        Happens::Deed(OperatorDeed::Thaw) => "given: an operator thaws the mesh".to_owned(),
        Happens::Deed(OperatorDeed::Close) => {
            format!("given: an operator closes what is open about {peers}")
        }
        Happens::Deed(OperatorDeed::Approve) => {
            format!("given: an operator approves what waits about {peers}")
        }
        Happens::Deed(OperatorDeed::Deny) => {
            format!("given: an operator denies what waits about {peers}")
        }
        Happens::Maintenance { lasts } => {
            format!("given: {peers} is under maintenance for {}", format_span(*lasts))
        }
    };
    Moment { at: given.at, text, fact: None }
}

fn ledger_fact(world: &World<'_>, incident: &Incident, fact: &incident::Fact) -> Option<Fact> {
    let turn = |turn| Some(Seen::Turn(turn, about(incident)));
    let what = if let incident::Fact::Held(refusal) = fact {
        Some(Seen::Held(refusal.word()))
    } else if matches!(fact, incident::Fact::Opened) {
        turn(Turn::Opened)
    } else if matches!(fact, incident::Fact::Resolved(_)) {
        turn(Turn::Resolved)
    } else if matches!(fact, incident::Fact::Escalated(_)) {
        turn(Turn::Escalated)
    } else if matches!(fact, incident::Fact::Closed(_)) {
        turn(Turn::Closed)
    } else {
        None
    };
    what.map(|what| Fact { peer: name(world, incident.peer), what })
}

/// What the outside world saw, as a sentence and a fact.
fn outside(world: &World<'_>, happened: &Happened) -> Option<(String, Option<Fact>)> {
    let find = |id: &IncidentId| world.raft.truth.incidents().get(id);
    match happened {
        Happened::Executed { key: (id, number), worker, leads } => {
            let incident = find(id)?;
            let attempt = incident.attempts.iter().find(|a| a.number == *number)?;
            let rung = incident.rung(attempt.rung)?.name.clone();
            let (worker, peer) = (name(world, *worker), name(world, incident.peer));
            let part = match attempt.part {
                Part::Act => "executes",
                Part::Verify => "verifies",
                Part::Undo => "undoes",
            };
            let text = format!("{id}: {worker} {part} rung \"{rung}\" for {peer}");
            if attempt.part != Part::Act {
                return Some((text, None));
            }
            let what = Seen::Rung {
                runbook: incident.plan.as_ref().map(|plan| plan.name.clone()),
                rung,
                worker,
                leads: *leads,
                attempt: *number,
                ends: attempt.outcome(),
            };
            Some((text, Some(Fact { peer, what })))
        }
        Happened::Ended { key: (id, number), outcome } => {
            Some((format!("{id}: attempt {number} ends: {}", outcome.as_str()), None))
        }
        Happened::Told { key: (id, number) } => {
            let incident = find(id)?;
            let notice = incident.notices.iter().find(|notice| notice.number == *number)?;
            let notifier = &notice.notifier;
            let news = match notice.news {
                News::Called => "a person has to look",
                News::Asked => "a person has to approve",
                News::Resolved => "it is well again",
                News::Repaired => "a rung repaired it",
            };
            let text = format!("{id}: \"{notifier}\" is told: {news}");
            let what = Seen::Notice(notifier.clone());
            Some((text, Some(Fact { peer: name(world, incident.peer), what })))
        }
    }
}

fn about(incident: &Incident) -> About {
    match Subject::of(&incident.because) {
        Subject::Check(check) => About::Check(check),
        Subject::Silence => About::Silence,
        Subject::Storm => About::Storm,
        Subject::Ladder(ladder) => About::Ladder(ladder),
        // A document that is tested has no jobs but its own.
        Subject::Job(check, _) => About::Check(check),
        Subject::Operator(runbook) => About::Runbook(runbook),
        Subject::Notifier(notifier) => About::Notifier(notifier),
    }
}

fn name(world: &World<'_>, peer: PeerId) -> Name {
    let of_guest = || world.raft.truth.roster().ever(peer).map(|member| member.card.name.clone());
    let of_peer = world.hosts.get(&peer).map(|host| host.card.name.clone());
    of_peer.or_else(of_guest).unwrap_or_else(|| unreachable!("the mesh knows whom it speaks of"))
}

fn since_beginning(at: Timestamp) -> Duration {
    at.since(EPOCH).saturating_sub(WARM_UP)
}

/// A sentence of the ledger's with the test's own times, and peers by their names.
fn retold(world: &World<'_>, said: &str) -> String {
    let word = |word: &str| {
        let core = word.trim_end_matches([',', ';', ':', '.', ')']);
        let rest = &word[core.len()..];
        if let Ok(at) = Timestamp::parse(core) {
            return format!("{}{rest}", clock(since_beginning(at)));
        }
        match PeerId::parse(core) {
            Ok(peer) if world.hosts.contains_key(&peer) => format!("{}{rest}", world.name(peer)),
            Ok(_) | Err(_) => word.to_owned(),
        }
    };
    said.split(' ').map(word).collect::<Vec<String>>().join(" ")
}

/// A moment of a test: `0:41.3`, minutes and seconds; with hours where there are some.
pub(crate) fn clock(at: Duration) -> String {
    let tenths = at.as_millis() / 100;
    let (seconds, tenth) = (tenths / 10, tenths % 10);
    let (minutes, second) = (seconds / 60, seconds % 60);
    match (minutes / 60, minutes % 60) {
        (0, minute) => format!("{minute}:{second:02}.{tenth}"),
        (hour, minute) => format!("{hour}:{minute:02}:{second:02}.{tenth}"),
    }
}
