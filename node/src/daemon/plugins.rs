//! What plugins do beyond the runs of their checks: they heal as a rung, and analyse as evidence.

use super::Daemon;
use crate::exec::{
    environment::Environment,
    plugin::{Answer, Fault, Phase, PhaseRun, run_phase},
    process::End,
};
use protocol::{
    document::{Check, PluginProbe, Probe},
    name::Name,
    record::Outcome,
};
use std::time::{Duration, Instant};

/// How long an analysis may take: the repair waits for the evidence only so much longer than the
/// evidence's own steps may take.
const ANALYSE_WITHIN: Duration = Duration::from_secs(5);

/// How an attempt ended, with the exit code where there was one, and what there is to read of it.
type Ended = (Outcome, Option<i32>, String);

/// Has the plugin of a check heal, within the rung's time.
///
/// It is told what it said before. Where that is not known any more, because the daemon was
/// started anew or took no evidence, it is asked again first.
pub(super) async fn heal(
    daemon: &Daemon,
    check: &Check,
    environment: &Environment,
    timeout: Duration,
) -> Ended {
    let Probe::Plugin(probe) = &check.probe else {
        let text = format!("check \"{}\" is no plugin's: it has no heal phase", check.name);
        return (Outcome::Refused, None, text);
    };
    let ends_at = Instant::now() + timeout;
    for phase in [Phase::Scan, Phase::Analyse] {
        let left = ends_at.saturating_duration_since(Instant::now());
        if daemon.plugins.answer(&check.name, phase).is_none() {
            let before = run(daemon, phase, (check, probe), environment, left).await;
            if let Err(fault) = before.answer {
                return ended(&fault, &before.end, format!("{}: {fault}\n", phase.as_str()));
            }
        }
    }
    let said = [Phase::Analyse, Phase::Scan].map(|phase| daemon.plugins.answer(&check.name, phase));
    if said.into_iter().flatten().find_map(|answer| answer.wants_heal) == Some(false) {
        let text = "the plugin says that healing would not help".to_owned();
        return (Outcome::Failed, None, text);
    }
    let left = ends_at.saturating_duration_since(Instant::now());
    let healed = run(daemon, Phase::Heal, (check, probe), environment, left).await;
    let mut text = match &healed.answer {
        Ok(answer) => told(answer),
        Err(fault) => format!("{fault}\n"),
    };
    if !healed.errors.is_empty() {
        text.push_str(&healed.errors);
    }
    match &healed.answer {
        Err(fault) => ended(fault, &healed.end, text),
        // What it still finds wrong it has not healed.
        Ok(answer) if !answer.findings.is_empty() => (Outcome::Failed, Some(0), text),
        Ok(_) => (Outcome::Succeeded, Some(0), text),
    }
}

/// What the plugin of the check has to say about an incident, before anything is changed; nothing
/// where the incident is not about a plugin's check.
pub(super) async fn analyse(daemon: &Daemon, environment: &Environment) -> String {
    let named = environment.get("HEARTEN_CHECK").and_then(|name| Name::parse(name).ok());
    // Only what operators signed, and only what is for this peer.
    let tried = named.and_then(|name| daemon.agent().trial(&name).ok());
    let Some((check, _)) = tried else { return String::new() };
    let Probe::Plugin(probe) = &check.probe else { return String::new() };
    let within = check.timeout.min(ANALYSE_WITHIN);
    let run = run(daemon, Phase::Analyse, (&check, probe), environment, within).await;
    match &run.answer {
        Ok(answer) => told(answer),
        Err(fault) => format!("{fault}\n{}", run.errors),
    }
}

async fn run(
    daemon: &Daemon,
    phase: Phase,
    subject: (&Check, &PluginProbe),
    environment: &Environment,
    timeout: Duration,
) -> PhaseRun {
    run_phase(phase, subject, environment, &daemon.tools(), timeout, &daemon.break_off).await
}

fn ended(fault: &Fault, end: &End, text: String) -> Ended {
    let outcome =
        if matches!(fault, Fault::TimedOut(_)) { Outcome::TimedOut } else { Outcome::Failed };
    let exit_code = if let End::Exited(code) = end { Some(*code) } else { None };
    (outcome, exit_code, text)
}

/// What a phase said, for people to read.
fn told(answer: &Answer) -> String {
    let mut text = String::new();
    for action in &answer.actions {
        text.push_str(&format!("done: {action}\n"));
    }
    for finding in &answer.findings {
        text.push_str(&format!("found: {}\n", finding.text));
    }
    for evidence in &answer.evidence {
        text.push_str(&format!("{}:\n{}\n", evidence.name, evidence.text.trim_end()));
    }
    text
}
