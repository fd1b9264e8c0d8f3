//! Calling the outside dead-man's switch: whoever leads, and nobody else.
//!
//! The switch tells a person when no call comes. So the calls have to stop when the mesh can do
//! nothing any more: without a leader, or with one that has lost its quorum, nobody calls. A new
//! leader calls at once; the old one has stopped by then, since a leader that does not hear a
//! majority ceases to lead before another can be elected.

use super::{Agent, Output};
use crate::{
    document::CheckIn,
    time::{Now, Timestamp},
};
use std::time::Duration;

/// The longest that a failed call waits for the next try; a shorter interval is not exceeded.
const AGAIN_AFTER: Duration = Duration::from_secs(15);

/// After so many failed calls in a row it is a problem that `status` heads with: one may be lost,
/// two may be a server that is started anew.
const MISSES_SHOWN: u32 = 3;

/// What a report calls it.
const CHECK_IN_FACT: &str = "check_in_problem";

/// What became of the calls of this leader.
#[derive(Debug, Clone, Default)]
pub(in crate::agent) struct Switch {
    /// What is called; another setting begins anew.
    called: Option<CheckIn>,
    /// When the next call is due.
    due: Option<Duration>,
    under_way: bool,
    /// How many calls failed in a row, since when, and what was said last.
    misses: u32,
    problem: Option<(Timestamp, String)>,
}

impl Switch {
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) const fn next_due(&self) -> Option<Duration> {
        if self.under_way { None } else { self.due }
    }

    /// Takes what the switch said.
    pub(in crate::agent) fn answered(
        &mut self,
        now: Now,
        at: Timestamp,
        result: Result<(), String>,
    ) {
        let Some(called) = self.called.as_ref().filter(|_| self.under_way) else { return };
        self.under_way = false;
        match result {
            Ok(()) => {
                self.misses = 0;
                self.problem = None;
            }
            Err(reason) => {
                self.misses = self.misses.saturating_add(1);
                let since = self.problem.as_ref().map_or(at, |(since, _)| *since);
                self.problem = Some((since, reason));
                let again = now.mono + called.every.min(AGAIN_AFTER);
                self.due = Some(self.due.map_or(again, |due| due.min(again)));
            }
        }
    }
}

impl Agent {
    /// Calls the switch when it is time.
    pub(super) fn call_the_switch(&mut self, now: Now, out: &mut Vec<Output>) {
        let wanted = self.ledger.settings().check_in;
        let switch = &mut self.leader.check_in;
        if switch.called != wanted {
            switch.forget();
            switch.called = wanted;
        }
        let Some(called) = &switch.called else { return };
        if switch.under_way || switch.due.is_some_and(|due| due > now.mono) {
            return;
        }
        switch.under_way = true;
        switch.due = Some(now.mono + called.every);
        out.push(Output::CheckIn(called.clone()));
    }

    /// What this peer's report says of the switch, where its calls fail: whoever is asked for the
    /// status of the mesh has to know it, and only the leader calls.
    pub(in crate::agent) fn told_of_check_in(&self) -> Option<(String, String)> {
        let Switch { misses, problem, .. } = &self.leader.check_in;
        let (since, reason) = problem.as_ref().filter(|_| *misses >= MISSES_SHOWN)?;
        let text = format!("{misses} calls failed since {since}: {reason}");
        Some((CHECK_IN_FACT.to_owned(), text))
    }

    /// Whether the report in force says something else of the switch.
    pub(in crate::agent) fn has_news_of_check_in(&self) -> bool {
        let told = self.view.report(self.card.id).and_then(|own| own.facts.get(CHECK_IN_FACT));
        told.is_some() != self.told_of_check_in().is_some()
    }

    /// Why the outside dead-man's switch does not take the leader's calls, as far as is heard here.
    pub fn check_in_problem(&self) -> Option<&str> {
        let wanted = self.ledger.settings().check_in;
        let report = self.view.report(self.standing.leader.filter(|_| wanted.is_some())?)?;
        report.facts.get(CHECK_IN_FACT).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::CheckInMethod;

    fn at(seconds: u64) -> Now {
        Now { wall: Timestamp::default(), mono: Duration::from_secs(seconds) }
    }

    fn switch() -> Switch {
        let every = Duration::from_secs(60);
        let called =
            CheckIn { url: "http://example.org".to_owned(), method: CheckInMethod::Get, every };
        let due = Some(Duration::from_secs(60));
        Switch { called: Some(called), due, under_way: true, ..Switch::default() }
    }

    #[test]
    fn a_call_that_failed_is_made_again_sooner_and_one_that_was_taken_forgets_the_failures() {
        let mut switch = switch();
        switch.answered(at(1), Timestamp::default(), Err("502".to_owned()));
        assert_eq!((switch.misses, switch.due), (1, Some(Duration::from_secs(16))));
        switch.under_way = true;
        switch.answered(at(17), Timestamp::from_millis(9), Err("503".to_owned()));
        assert_eq!(switch.misses, 2);
        assert_eq!(switch.problem, Some((Timestamp::default(), "503".to_owned())));
        switch.under_way = true;
        switch.answered(at(33), Timestamp::default(), Ok(()));
        assert_eq!((switch.misses, switch.problem), (0, None));
    }

    #[test]
    fn an_answer_that_nobody_waits_for_changes_nothing() {
        let mut switch = switch();
        switch.under_way = false;
        switch.answered(at(1), Timestamp::default(), Err("502".to_owned()));
        assert_eq!(switch.misses, 0);
    }
}
