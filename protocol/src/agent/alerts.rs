//! What a check of alerts says: the affected peer reads it off its own replica of the log, so that
//! such a check is one like the others. It has a verdict and a history, is verified after a repair,
//! and whatever mutes, delays or limits repairs holds for it.

use super::Agent;
use crate::{
    document::{AlertProbe, Probe, Verdict},
    record::Record,
    time::Now,
};

impl Agent {
    /// Whether an alert of this kind fires about this peer now, and what is to be said of it.
    pub fn judge_alerts(&self, probe: &AlertProbe, now: Now) -> (Verdict, String) {
        let Some(member) = self.ledger.roster().member(self.card.id) else {
            return (Verdict::Unknown, "this peer is no member of the mesh".to_owned());
        };
        let at = self.clock.now(now);
        let mut firing = self
            .ledger
            .alerts()
            .firing(at)
            .filter(|(_, firing)| probe.fits(&firing.alert, member))
            .map(|(_, firing)| &firing.alert);
        let Some(first) = firing.next() else {
            return (Verdict::Pass, "no such alert fires".to_owned());
        };
        let summary = match firing.count() {
            0 => first.in_words(),
            more => format!("{}, and {more} more", first.in_words()),
        };
        (Verdict::Fail, summary)
    }

    /// Checks of alerts are run at once when the log has something new about alerts.
    pub(super) fn look_at_alerts(&mut self, record: &Record, now: Now) {
        if matches!(record, Record::Alerted { .. } | Record::Streamed { .. }) {
            self.checks.hurry(now.mono, |check| matches!(check.probe, Probe::Alert(_)));
        }
    }
}
