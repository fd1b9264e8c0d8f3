//! Switching another host off or on, and believing it only when it is seen.
//!
//! A fence agent speaks to a management controller, a power strip or a hypervisor. It reads
//! `key=value` lines on its standard input and ends with 0 when it did what it was told; asked for
//! `action=status` it ends with 0 when the host is on and with 2 when it is off. Whatever an agent
//! says of its deed, only its status afterwards counts: controllers lie, and what follows a power
//! cut (an address that moves to another host) does harm when there was none.
//!
//! Each call has its own bound, and all of them together end within the rung's time limit. An agent
//! that does not say on or off before anything was done ends the rung at once, so that a person
//! hears of it within seconds.

mod words;

use crate::exec::{
    environment::Environment,
    process::{self, End, RunLimits, Streams},
};
use protocol::{
    document::{Command, Power},
    record::Outcome,
    refusal::Refusal,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use words::{last_words, seems_login};

/// Where an agent is looked for that is given by its name.
pub const FOLDERS: [&str; 6] =
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

/// How long an answer to `status` may take: what the fence agents themselves give a login. A
/// controller that is reached at all answers within a second.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The pause between two looks at whether the power is as it was wanted.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Whom to switch, how, and by what.
#[derive(Debug, Clone)]
pub struct FenceOrder {
    /// The agent: a name, or an absolute path.
    pub agent: String,
    /// What is to become of the host's power.
    pub power: Power,
    /// What the agent is told beside the action; secrets among it.
    pub params: BTreeMap<String, String>,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fenced {
    /// [`Outcome::Succeeded`] only when the agent's status said so afterwards.
    pub outcome: Outcome,
    /// The agent's last exit code.
    pub exit_code: Option<i32>,
    /// First how it ended, in a sentence; then each call and what came of it. Not masked.
    pub output: String,
}

/// What a status says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    On,
    Off,
    /// Neither, for this reason.
    Neither(String),
    /// We were told to stop.
    Cancelled,
}

impl Seen {
    /// What is said of it, after "status ".
    fn as_text(&self) -> String {
        match self {
            Self::On => "says on".to_owned(),
            Self::Off => "says off".to_owned(),
            Self::Neither(why) => why.clone(),
            Self::Cancelled => "was not waited for".to_owned(),
        }
    }
}

/// Why it is not done.
struct Failure {
    outcome: Outcome,
    text: String,
}

/// Where the agent is.
///
/// # Errors
/// When there is no such program on this host, with what to do.
pub fn find(agent: &str) -> Result<PathBuf, String> {
    if agent.starts_with('/') {
        let path = PathBuf::from(agent);
        return if path.is_file() { Ok(path) } else { Err(format!("there is no program {agent}")) };
    }
    let found = FOLDERS.iter().map(|folder| Path::new(folder).join(agent)).find(|at| at.is_file());
    found.ok_or_else(|| {
        let folders = FOLDERS.join(", ");
        format!("there is no program {agent} in {folders}: install the package that has it")
    })
}

/// Switches a host's power and waits until it is seen to be so.
pub async fn fence(
    order: &FenceOrder,
    environment: &Environment,
    cancel: &CancellationToken,
) -> Fenced {
    let path = match find(&order.agent) {
        Ok(path) => path,
        Err(why) => {
            let output = Refusal::NoProgram { why }.to_string();
            return Fenced { outcome: Outcome::Refused, exit_code: None, output };
        }
    };
    let ends_at = Instant::now() + order.timeout;
    let mut calls =
        Calls { order, path, environment, cancel, ends_at, exit_code: None, lines: Vec::new() };
    let (outcome, verdict) = match calls.carry_out().await {
        Ok(text) => (Outcome::Succeeded, text),
        Err(failure) => (failure.outcome, failure.text),
    };
    let output = std::iter::once(verdict).chain(calls.lines).collect::<Vec<_>>().join("\n");
    Fenced { outcome, exit_code: calls.exit_code, output }
}

/// The calls of one fencing.
struct Calls<'a> {
    order: &'a FenceOrder,
    path: PathBuf,
    environment: &'a Environment,
    cancel: &'a CancellationToken,
    ends_at: Instant,
    exit_code: Option<i32>,
    /// What was called and what came of it, in order.
    lines: Vec<String>,
}

impl Calls<'_> {
    async fn carry_out(&mut self) -> Result<String, Failure> {
        let agent = self.order.agent.clone();
        let before = self.ask().await?;
        match (self.order.power, before) {
            (Power::Off, false) => Ok(format!("the host is off: {agent} says it was off already")),
            (Power::On, true) => Ok(format!("the host is on: {agent} says it was on already")),
            (Power::Off, true) => {
                let took = self.switch(false).await?;
                Ok(format!("the host is off: {agent} said on before, and off {took} later"))
            }
            (Power::On, false) => {
                let took = self.switch(true).await?;
                Ok(format!("the host is on: {agent} said off before, and on {took} later"))
            }
            (Power::Reboot, on) => {
                let off = if on {
                    format!("said off after {}", self.switch(false).await?)
                } else {
                    "said that it was off already".to_owned()
                };
                let took = self.switch(true).await?;
                Ok(format!("the host was off and is on again: {agent} {off}, and on {took} later"))
            }
        }
    }

    /// Whether the host is on, before anything is done.
    async fn ask(&mut self) -> Result<bool, Failure> {
        let failed = |text: String| Failure { outcome: Outcome::Failed, text };
        match self.status().await {
            Seen::On => Ok(true),
            Seen::Off => Ok(false),
            Seen::Cancelled => {
                Err(failed("the daemon stopped before anything was done".to_owned()))
            }
            Seen::Neither(why) => {
                let why = self.reason(why).await;
                Err(failed(format!("nothing was switched: {} {why}", self.order.agent)))
            }
        }
    }

    /// Why an agent did not say on or off. Most say next to nothing unless they are asked to.
    async fn reason(&mut self, why: String) -> String {
        if self.left() < Duration::from_millis(500) || why.starts_with("does not answer") {
            return why;
        }
        let (end, output) = self.call("status", true, ANSWER_WITHIN).await;
        let said = last_words(&output);
        if end == End::Exited(0) || end == End::Exited(2) || said.is_empty() {
            return why;
        }
        let all = said.join("; ");
        if said.iter().any(|line| seems_login(line)) {
            return format!("was not let in (a wrong name or password?): {all}");
        }
        format!("does not say whether the host is on: {all}")
    }

    /// Has the power switched and waits until the status says so; returns how long that took.
    async fn switch(&mut self, on: bool) -> Result<String, Failure> {
        let began = Instant::now();
        let word = if on { "on" } else { "off" };
        let agent = self.order.agent.clone();
        // Some of the time is kept for looking: what was not seen does not count.
        let (end, output) = self.call(word, false, self.left() * 2 / 3).await;
        if end == End::Cancelled {
            let text = format!("the daemon stopped while {agent} was switching the host {word}");
            return Err(Failure { outcome: Outcome::Unknown, text });
        }
        let claim = match (&end, last_words(&output).pop()) {
            (End::Exited(0), _) => String::new(),
            (end, Some(said)) => format!("; of \"{word}\" itself: {end}, {said}"),
            (end, None) => format!("; of \"{word}\" itself: {end}"),
        };
        let mut seen = None;
        while self.left() > Duration::ZERO {
            let last = self.status().await;
            match (&last, on) {
                (Seen::On, true) | (Seen::Off, false) => return Ok(seconds(began.elapsed())),
                (Seen::Cancelled, _) => {
                    let text =
                        format!("the daemon stopped before it was seen that the host is {word}");
                    return Err(Failure { outcome: Outcome::Unknown, text });
                }
                (Seen::On | Seen::Off | Seen::Neither(_), _) => {}
            }
            // A look that the time limit cut short says nothing.
            if self.left() > Duration::ZERO || seen.is_none() {
                seen = Some(last);
            }
            tokio::time::sleep(LOOK_EVERY.min(self.left())).await;
        }
        let after = seconds(began.elapsed());
        let (outcome, says) = match seen {
            Some(seen @ (Seen::On | Seen::Off)) => (
                Outcome::Failed,
                format!("its status still {} {after} after \"{word}\"", seen.as_text()),
            ),
            Some(seen @ (Seen::Neither(_) | Seen::Cancelled)) => {
                (Outcome::TimedOut, format!("its status {} after \"{word}\"", seen.as_text()))
            }
            None => (Outcome::TimedOut, format!("there was no time to see it after \"{word}\"")),
        };
        let text =
            format!("the host is not known to be {word}: {agent} was told so, but {says}{claim}");
        Err(Failure { outcome, text })
    }

    async fn status(&mut self) -> Seen {
        let within = ANSWER_WITHIN.min(self.left());
        let (end, output) = self.call("status", false, within).await;
        match end {
            End::Exited(0) => Seen::On,
            End::Exited(2) => Seen::Off,
            End::Cancelled => Seen::Cancelled,
            End::TimedOut => Seen::Neither(format!("does not answer within {}", seconds(within))),
            End::NotStarted(why) => Seen::Neither(format!("cannot be started: {why}")),
            end @ (End::Exited(_) | End::Signalled(_)) => {
                let said =
                    last_words(&output).pop().map_or(String::new(), |said| format!(", {said}"));
                Seen::Neither(format!("does not say whether the host is on: {end}{said}"))
            }
        }
    }

    /// Calls the agent once and notes what came of it.
    async fn call(&mut self, action: &str, verbose: bool, within: Duration) -> (End, String) {
        let mut input = format!("action={action}\n");
        if verbose {
            input.push_str("verbose=1\n");
        }
        for (key, value) in &self.order.params {
            input.push_str(&format!("{key}={value}\n"));
        }
        let command = Command::Argv(vec![self.path.display().to_string()]);
        let limits = RunLimits::new(within.min(self.left())).guarded();
        let streams =
            Streams { input: input.into_bytes(), leftovers_end: true, ..Streams::default() };
        let ran = process::run_with(&command, self.environment, limits, streams, self.cancel).await;
        if let End::Exited(code) = ran.end {
            self.exit_code = Some(code);
        }
        let said = last_words(&ran.output).join("; ");
        let meaning = match (action, &ran.end) {
            ("status", End::Exited(0)) => "on".to_owned(),
            ("status", End::Exited(2)) => "off".to_owned(),
            (_, end) => end.to_string(),
        };
        let said = if said.is_empty() { said } else { format!(": {said}") };
        self.lines.push(format!("{action}: {meaning} after {}{said}", seconds(ran.took)));
        (ran.end, ran.output)
    }

    fn left(&self) -> Duration {
        self.ends_at.saturating_duration_since(Instant::now())
    }
}

/// `1.2s`.
fn seconds(span: Duration) -> String {
    format!("{:.1}s", span.as_secs_f64())
}

#[cfg(test)]
mod tests;
