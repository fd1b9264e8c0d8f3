//! What a check of alerts says: the affected peer reads it off its own replica of the log, so that
//! such a check is one like the others. It has a verdict and a history, is verified after a repair,
//! and whatever mutes, delays or limits repairs holds for it.

use super::Agent;
use crate::{
    document::{AlertProbe, Probe, Verdict},
    ledger::roster::Member,
    order::Action,
    record::Record,
    time::{Now, Timestamp},
};

impl Agent {
    /// Whether an alert of this kind fires about this peer now, and what is to be said of it.
    pub fn judge_alerts(&self, probe: &AlertProbe, now: Now) -> (Verdict, String) {
        let Some(member) = self.ledger.roster().member(self.card.id) else {
            return (Verdict::Unknown, "this peer is no member of the mesh".to_owned());
        };
        let (verdict, summary, _since) = self.alerts_about(member, probe, self.clock.now(now));
        (verdict, summary)
    }

    /// The same for any host, and since when the log has it.
    pub(super) fn alerts_about(
        &self,
        member: &Member,
        probe: &AlertProbe,
        at: Timestamp,
    ) -> (Verdict, String, Timestamp) {
        let all = self.ledger.alerts().firing(at).map(|(_, firing)| firing);
        let mut firing = all.filter(|firing| probe.fits(&firing.alert, member));
        let Some(first) = firing.next() else {
            return (Verdict::Pass, "no such alert fires".to_owned(), at);
        };
        let (more, since) =
            firing.fold((0_usize, first.since), |(n, since), one| (n + 1, since.min(one.since)));
        let summary = match more {
            0 => first.alert.in_words(),
            more => format!("{}, and {more} more", first.alert.in_words()),
        };
        (Verdict::Fail, summary, since)
    }

    /// Checks of alerts are run at once when the log has something new about alerts.
    pub(super) fn look_at_alerts(&mut self, record: &Record, now: Now) {
        let ends = |action: &Action| matches!(action, Action::EndAlert { .. });
        let is_ended = matches!(record, Record::Ordered { order } if ends(&order.order.action));
        if is_ended || matches!(record, Record::Alerted { .. } | Record::Streamed { .. }) {
            self.checks.hurry(now.mono, |check| matches!(check.probe, Probe::Alert(_)));
        }
    }
}
