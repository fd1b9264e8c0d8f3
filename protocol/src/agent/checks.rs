//! A peer's own checks: when each is run next, and what its runs make of its verdict.
//!
//! One bad run is a blip; `fail_after` bad runs in a row are a verdict. After a repair the check
//! is run again at once, and once more when the rung's settling time is over: only then a failing
//! run says that the rung did not help.

use crate::{
    document::{Check, Verdict},
    name::{IncidentId, Name},
    report::{CheckState, SUMMARY_BYTES_MAX, Verification},
    time::Timestamp,
};
use std::{collections::BTreeMap, time::Duration};

/// The first runs of a peer's checks are spread over at most this long.
const FIRST_RUN_SPREAD: Duration = Duration::from_secs(1);

/// What the peer knows of one of its checks.
#[derive(Debug, Clone)]
struct Tracked {
    check: Check,
    due: Duration,
    /// When the run under way began.
    running_since: Option<Duration>,
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

/// The checks of this peer.
#[derive(Debug, Clone, Default)]
pub struct OwnChecks {
    tracked: BTreeMap<Name, Tracked>,
}

impl OwnChecks {
    /// Takes over the checks that are meant for this peer. What is new is run soon, what has
    /// changed begins anew, what is gone is forgotten.
    pub fn set(&mut self, checks: impl Iterator<Item = Check>, mono: Duration, seed: u64) {
        let mut before = std::mem::take(&mut self.tracked);
        for check in checks {
            let kept = before.remove(&check.name).filter(|tracked| tracked.check == check);
            let tracked = kept.unwrap_or_else(|| Tracked {
                due: mono + first_run(&check, seed),
                check: check.clone(),
                running_since: None,
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
                tracked.running_since = Some(mono);
                tracked.due = mono + tracked.check.every;
                due.push(tracked.check.clone());
            }
        }
        due
    }

    /// When the next check is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.tracked
            .values()
            .filter(|tracked| tracked.running_since.is_none())
            .map(|tracked| tracked.due)
            .min()
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
        let before = tracked.state.clone();
        let verdict = tracked.count(result);
        let verified = tracked.verified(result, began, mono);
        if let Some(verdict) = verdict {
            // Later than what it said before, even within one millisecond or when this host's clock
            // has gone back: the leader tells the newer of two episodes by this.
            let since = match &before {
                Some(state) if state.verdict == verdict => state.since,
                Some(state) => at.max(just_after(state.since)),
                None => at,
            };
            let verified = verified.or_else(|| before.as_ref().and_then(|state| state.verified));
            let summary = shortened(summary);
            tracked.state = Some(CheckState { verdict, since, summary, verified });
        }
        // A changed summary alone is not worth a message to every peer.
        let essence = |state: &Option<CheckState>| {
            state.as_ref().map(|state| (state.verdict, state.since, state.verified))
        };
        essence(&before) != essence(&tracked.state)
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
    let spread = check.every.min(FIRST_RUN_SPREAD);
    let millis = u64::try_from(spread.as_millis()).unwrap_or(1).max(1);
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
mod tests {
    use super::*;
    use crate::document::{Command, Probe, Selector};

    fn name() -> Name {
        Name::parse("web-alive").unwrap()
    }

    fn check(fail_after: u32, pass_after: u32) -> Check {
        Check {
            name: name(),
            probe: Probe::Command(Command::Script("true".to_owned())),
            selector: Selector::default(),
            every: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            fail_after,
            pass_after,
        }
    }

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn run(own: &mut OwnChecks, at: u64, result: Verdict) -> bool {
        assert_eq!(own.due(second(at)).len(), 1, "due at {at}");
        own.ran(&name(), result, "output", second(at), Timestamp::from_millis(at * 1_000))
    }

    fn verdict(own: &OwnChecks) -> Option<Verdict> {
        own.states().get(&name()).map(|state| state.verdict)
    }

    #[test]
    fn one_bad_run_is_a_blip_and_two_are_a_verdict() {
        let mut own = OwnChecks::default();
        own.set([check(2, 2)].into_iter(), Duration::ZERO, 1);
        assert!(run(&mut own, 1, Verdict::Pass));
        assert!(!run(&mut own, 2, Verdict::Fail));
        assert_eq!(verdict(&own), Some(Verdict::Pass));
        assert!(run(&mut own, 3, Verdict::Fail));
        assert_eq!(verdict(&own), Some(Verdict::Fail));
        assert!(!run(&mut own, 4, Verdict::Pass));
        assert_eq!(verdict(&own), Some(Verdict::Fail), "pass_after is 2");
        assert!(run(&mut own, 5, Verdict::Pass));
        assert_eq!(verdict(&own), Some(Verdict::Pass));
    }

    #[test]
    fn a_check_is_not_run_twice_at_once_nor_before_it_is_due() {
        let mut own = OwnChecks::default();
        own.set([check(2, 1)].into_iter(), Duration::ZERO, 1);
        assert_eq!(own.due(second(1)).len(), 1);
        assert!(own.due(second(9)).is_empty(), "it is still under way");
        own.ran(&name(), Verdict::Pass, "", second(9), Timestamp::default());
        assert_eq!(own.next_due(), Some(second(2)), "late by now: due at once");
    }

    #[test]
    fn after_a_repair_the_check_runs_at_once_and_fails_for_good_only_when_settled() {
        let mut own = OwnChecks::default();
        own.set([check(1, 1)].into_iter(), Duration::ZERO, 1);
        run(&mut own, 1, Verdict::Fail);
        let settle = Duration::from_millis(500);
        own.verify(&name(), (IncidentId(9), 1), second(1), settle);
        let verified = |own: &OwnChecks| own.states()[&name()].verified;
        assert!(run(&mut own, 1, Verdict::Fail));
        assert!(verified(&own).is_some_and(|verified| !verified.settled));
        assert_eq!(own.next_due(), Some(second(1) + settle), "looked at again when settled");
        assert!(run(&mut own, 2, Verdict::Fail));
        assert!(verified(&own).is_some_and(|verified| verified.settled));
        own.verify(&name(), (IncidentId(9), 1), second(3), settle);
        assert_eq!(own.next_due(), Some(second(3)), "the same attempt is looked at once");
    }

    #[test]
    fn a_run_that_began_before_the_rung_ended_says_nothing_of_it() {
        let mut own = OwnChecks::default();
        own.set([check(1, 1)].into_iter(), Duration::ZERO, 1);
        run(&mut own, 1, Verdict::Fail);
        assert_eq!(own.due(second(2)).len(), 1);
        own.verify(&name(), (IncidentId(9), 1), second(3), Duration::ZERO);
        own.ran(&name(), Verdict::Fail, "", second(4), Timestamp::default());
        assert_eq!(own.states()[&name()].verified, None);
        assert!(run(&mut own, 4, Verdict::Pass));
        assert!(own.states()[&name()].verified.is_some());
        assert_eq!(verdict(&own), Some(Verdict::Pass));
    }
}
