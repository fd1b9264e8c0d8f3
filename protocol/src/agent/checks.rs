//! A peer's own checks: when each is run next, and what its runs make of its verdict.
//!
//! One bad run is a blip; `fail_after` bad runs in a row are a verdict. After a repair the check
//! is run again at once, and once more when the rung's settling time is over: only then a failing
//! run says that the rung did not help.

mod flapping;
mod muting;

use crate::{
    document::{Check, Verdict},
    name::{IncidentId, Name},
    report::{CheckState, SUMMARY_BYTES_MAX, Verification},
    time::{Timestamp, format_span},
};
use flapping::History;
use std::{collections::BTreeMap, time::Duration};

/// The first runs of a peer's checks are spread over at most this long.
const FIRST_RUN_SPREAD: Duration = Duration::from_secs(1);

/// What the peer knows of one of its checks.
#[derive(Debug, Clone)]
struct Tracked {
    check: Check,
    due: Duration,
    /// How much of `due` is jitter.
    jitter: Duration,
    /// How often it was run; what the jitter is worked out from.
    runs: u64,
    /// When the run under way began.
    running_since: Option<Duration>,
    /// When the latest run began that has ended.
    began: Option<Duration>,
    /// When the latest run ended; before the first, when the check came here.
    heard_at: Duration,
    /// Whether there has been no result for too long.
    stale: bool,
    history: History,
    /// When the run began that made the verdict bad; nothing while it is not.
    bad_from: Option<Duration>,
    /// When the latest run began whose result leaves no verdict open.
    settled: Option<Duration>,
    /// When the verdict last ceased to be `fail`.
    recovered: Option<Duration>,
    bad_in_row: u32,
    good_in_row: u32,
    state: Option<CheckState>,
    verifying: Option<Verifying>,
}

/// A repair whose effect is looked at.
#[derive(Debug, Clone, Copy)]
struct Verifying {
    incident: IncidentId,
    attempt: u32,
    /// Runs that began before this do not count.
    from: Duration,
    /// When the rung's settling time is over.
    settled_at: Duration,
}

/// When a run was: by this host's monotonic clock, and its end by the log's time.
#[derive(Debug, Clone, Copy)]
struct Moment {
    began: Duration,
    ended: Duration,
    at: Timestamp,
}

/// The checks of this peer.
#[derive(Debug, Clone, Default)]
pub struct OwnChecks {
    tracked: BTreeMap<Name, Tracked>,
    seed: u64,
}

impl OwnChecks {
    /// Takes over the checks that are meant for this peer. What is new is run soon, what has
    /// changed begins anew, what is gone is forgotten.
    pub fn set(&mut self, checks: impl Iterator<Item = Check>, mono: Duration, seed: u64) {
        let mut before = std::mem::take(&mut self.tracked);
        self.seed = seed;
        for check in checks {
            let kept = before.remove(&check.name).filter(|tracked| tracked.check == check);
            let tracked = kept.unwrap_or_else(|| Tracked {
                due: mono + first_run(&check, seed),
                check: check.clone(),
                jitter: Duration::ZERO,
                runs: 0,
                running_since: None,
                began: None,
                heard_at: mono,
                stale: false,
                history: History::default(),
                bad_from: None,
                settled: None,
                recovered: None,
                bad_in_row: 0,
                good_in_row: 0,
                state: None,
                verifying: None,
            });
            self.tracked.insert(check.name, tracked);
        }
    }

    /// The checks to run now; each is under way from here on until [`Self::ran`].
    pub fn due(&mut self, mono: Duration) -> Vec<Check> {
        let mut due = Vec::new();
        for tracked in self.tracked.values_mut() {
            if tracked.running_since.is_none() && tracked.due <= mono {
                tracked.begin(mono, self.seed);
                due.push(tracked.check.clone());
            }
        }
        due
    }

    /// Runs some of the checks at once; one that runs is run again when it has ended.
    pub fn hurry(&mut self, mono: Duration, which: impl Fn(&Check) -> bool) {
        for tracked in self.tracked.values_mut().filter(|tracked| which(&tracked.check)) {
            tracked.due = mono;
        }
    }

    /// When the next check is due, or the next verdict is stale.
    pub fn next_due(&self) -> Option<Duration> {
        let waiting = self.tracked.values().filter(|tracked| tracked.running_since.is_none());
        let fresh = self.tracked.values().filter(|tracked| !tracked.stale);
        let due = waiting.map(|tracked| tracked.due).min();
        [due, fresh.map(Tracked::stale_at).min()].into_iter().flatten().min()
    }

    /// Makes unknown what there has been no result about for too long; says whether that is worth
    /// telling.
    pub fn expire(&mut self, mono: Duration, at: Timestamp) -> bool {
        let mut expired = false;
        for tracked in self.tracked.values_mut() {
            if !tracked.stale && tracked.stale_at() <= mono {
                tracked.stale = true;
                // Nobody waits for the answer of a check that gives none.
                tracked.settled = Some(mono);
                let summary = format!("no result for {}", format_span(tracked.check.stale_after));
                let verified = tracked.state.as_ref().and_then(|state| state.verified);
                tracked.say(
                    Verdict::Unknown,
                    &summary,
                    verified,
                    Moment { began: mono, ended: mono, at },
                );
                expired = true;
            }
        }
        if expired {
            self.ask_around(mono);
            self.mute();
        }
        expired
    }

    /// Runs a check at once to see whether an attempt helped.
    pub fn verify(
        &mut self,
        name: &Name,
        (incident, attempt): (IncidentId, u32),
        mono: Duration,
        settle: Duration,
    ) {
        let Some(tracked) = self.tracked.get_mut(name) else { return };
        let known = tracked.verifying.is_some_and(|verifying| {
            verifying.incident == incident && verifying.attempt >= attempt
        });
        if !known {
            tracked.verifying =
                Some(Verifying { incident, attempt, from: mono, settled_at: mono + settle });
            tracked.due = mono;
        }
    }

    /// Takes the result of a run; says whether it is worth telling.
    pub fn ran(
        &mut self,
        name: &Name,
        result: Verdict,
        summary: &str,
        mono: Duration,
        at: Timestamp,
    ) -> bool {
        let Some(tracked) = self.tracked.get_mut(name) else { return false };
        let Some(began) = tracked.running_since.take() else { return false };
        // A changed summary alone is not worth a message to every peer.
        let essence = |state: &Option<CheckState>| {
            state.as_ref().map(|s| (s.verdict, s.since, s.verified, s.flapping))
        };
        let before = essence(&tracked.state);
        tracked.began = Some(began);
        tracked.heard_at = mono;
        tracked.stale = false;
        let flapping = tracked.history.take(result) && tracked.check.flapping;
        let verdict = tracked.count(result);
        let verified = tracked.verified(result, began, mono);
        if let Some(verdict) = verdict {
            let known = tracked.state.as_ref().and_then(|state| state.verified);
            tracked.say(verdict, summary, verified.or(known), Moment { began, ended: mono, at });
        }
        if let Some(state) = &mut tracked.state {
            state.flapping = flapping;
        }
        if result != Verdict::Fail || tracked.fails() {
            tracked.settled = Some(began);
        }
        let told = before != essence(&tracked.state);
        self.ask_around(mono);
        self.mute() || told
    }

    /// Dates a better verdict later than what an incident about it was opened with; says whether it
    /// had to.
    pub fn outlive(&mut self, name: &Name, opened_by: Verdict, opened_with: Timestamp) -> bool {
        let Some(state) = self.tracked.get_mut(name).and_then(|t| t.state.as_mut()) else {
            return false;
        };
        // A warning is better than a failure, and nothing new where a warning opened it.
        let better = match state.verdict {
            Verdict::Pass => true,
            Verdict::Warn => opened_by == Verdict::Fail,
            Verdict::Fail | Verdict::Unknown => false,
        };
        if !better || state.since > opened_with {
            return false;
        }
        state.since = just_after(opened_with);
        true
    }

    /// How often a check has failed in a row, up to now.
    pub fn bad_in_row(&self, name: &Name) -> u32 {
        self.tracked.get(name).map_or(0, |tracked| tracked.bad_in_row)
    }

    /// What the checks say, for the report.
    pub fn states(&self) -> BTreeMap<Name, CheckState> {
        self.tracked
            .iter()
            .filter_map(|(name, tracked)| Some((name.clone(), tracked.state.clone()?)))
            .collect()
    }
}

impl Tracked {
    fn begin(&mut self, mono: Duration, seed: u64) {
        self.running_since = Some(mono);
        self.runs = self.runs.wrapping_add(1);
        // The turns stay as far apart as they were: what this run was late is taken off the next.
        let next = jitter(&self.check, seed, self.runs);
        let late = std::mem::replace(&mut self.jitter, next);
        self.due = (mono + self.check.every).saturating_sub(late) + next;
    }

    fn stale_at(&self) -> Duration {
        self.heard_at.saturating_add(self.check.stale_after)
    }

    /// Takes over a verdict of a run.
    fn say(
        &mut self,
        verdict: Verdict,
        summary: &str,
        verified: Option<Verification>,
        moment: Moment,
    ) {
        let at = moment.at;
        let before = self.state.take();
        // Later than what it said before, even within one millisecond or when this host's clock
        // has gone back: the leader tells the newer of two episodes by this.
        let since = match &before {
            Some(state) if state.verdict == verdict => state.since,
            Some(state) => at.max(just_after(state.since)),
            None => at,
        };
        if before.as_ref().is_some_and(|state| state.verdict == Verdict::Fail)
            && verdict != Verdict::Fail
        {
            self.recovered = Some(moment.ended);
        }
        let bad = matches!(verdict, Verdict::Warn | Verdict::Fail);
        self.bad_from = if bad { self.bad_from.or(Some(moment.began)) } else { None };
        let (flapping, muted_by) =
            before.map_or((false, None), |state| (state.flapping, state.muted_by));
        let summary = shortened(summary);
        self.state = Some(CheckState { verdict, since, summary, verified, flapping, muted_by });
    }

    /// Counts a run; the verdict after it, once there is one.
    fn count(&mut self, result: Verdict) -> Option<Verdict> {
        let current = self.state.as_ref().map(|state| state.verdict);
        match result {
            Verdict::Pass => {
                self.good_in_row = self.good_in_row.saturating_add(1);
                self.bad_in_row = 0;
                let was_bad = current.is_some_and(|verdict| verdict != Verdict::Pass);
                if was_bad && self.good_in_row < self.check.pass_after {
                    current
                } else {
                    Some(result)
                }
            }
            Verdict::Warn | Verdict::Fail | Verdict::Unknown => {
                self.bad_in_row = self.bad_in_row.saturating_add(1);
                self.good_in_row = 0;
                // A bad verdict is not mended by a run that did not work.
                let keeps = matches!(current, Some(Verdict::Fail | Verdict::Warn))
                    && result == Verdict::Unknown;
                if keeps || self.bad_in_row < self.check.fail_after {
                    current
                } else {
                    Some(result)
                }
            }
        }
    }

    /// What this run says about the repair that is looked at.
    fn verified(
        &mut self,
        result: Verdict,
        began: Duration,
        mono: Duration,
    ) -> Option<Verification> {
        let verifying = self.verifying?;
        if began < verifying.from {
            // It had begun before the rung ended: it says nothing of it. Run again.
            self.due = mono;
            return None;
        }
        let good = result == Verdict::Pass;
        let settled = !good && began >= verifying.settled_at;
        if !settled && mono < verifying.settled_at {
            self.due = self.due.min(verifying.settled_at);
        } else if !settled && !good {
            self.due = mono;
        }
        let (incident, attempt) = (verifying.incident, verifying.attempt);
        Some(Verification { incident, attempt, settled })
    }
}

fn just_after(moment: Timestamp) -> Timestamp {
    moment.plus(Duration::from_millis(1))
}

/// Where in its first second a check is run first; different on different peers.
fn first_run(check: &Check, seed: u64) -> Duration {
    spread(check, seed, check.every.min(FIRST_RUN_SPREAD))
}

/// How late this run is begun; different from run to run and from peer to peer.
fn jitter(check: &Check, seed: u64, run: u64) -> Duration {
    if check.jitter.is_zero() {
        return Duration::ZERO;
    }
    spread(check, seed ^ run.wrapping_mul(0x9e37_79b9_7f4a_7c15), check.jitter)
}

/// A share of the span by hash.
fn spread(check: &Check, seed: u64, span: Duration) -> Duration {
    let millis = u64::try_from(span.as_millis()).unwrap_or(1).max(1);
    let name: u64 = check
        .name
        .as_str()
        .bytes()
        .fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    Duration::from_millis(name % millis)
}

fn shortened(summary: &str) -> String {
    let mut end = summary.len().min(SUMMARY_BYTES_MAX);
    while !summary.is_char_boundary(end) {
        end -= 1;
    }
    summary[..end].trim_end().to_owned()
}

#[cfg(test)]
mod tests;
