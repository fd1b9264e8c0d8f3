//! How bad an incident is, and what its alerts or its job are labelled.
//!
//! Who sends an alert says how bad it is by a label, and so does who reserves a job. Both are read
//! when the incident is opened and kept with it: whoever is told of its end is told the same as of
//! its beginning, though the alert is gone by then. A worse alert of the same check makes it worse;
//! none makes it better.

use super::{Ledger, incident::Incident};
use crate::{
    alert::{Alert, Word},
    document::{AlertProbe, Probe, Severity},
    ledger::roster::Member,
    name::{IncidentId, Labels, Name},
    record::Because,
    time::Timestamp,
};

impl Ledger {
    /// How bad a signal is; and the labels of the job that it is about, or those that all its
    /// alerts have.
    pub(super) fn weighed(
        &self,
        member: &Member,
        because: &Because,
        at: Timestamp,
    ) -> (Severity, Labels) {
        let usual = Severity::of(because);
        if let Because::Job { job, .. } = because {
            let labels = self.heartbeats.named(job).map(|job| job.labels.clone());
            let labels = labels.unwrap_or_default();
            return (Severity::told(&labels).unwrap_or(usual), labels);
        }
        let Some(probe) = because.check().and_then(|check| self.probe_of_alerts(check)) else {
            return (usual, Labels::new());
        };
        let all = self.alerts.firing(at).map(|(_, firing)| &firing.alert);
        let alerts: Vec<&Alert> = all.filter(|alert| probe.fits(alert, member)).collect();
        let Some((first, others)) = alerts.split_first() else { return (usual, Labels::new()) };
        let mut labels = first.labels.clone();
        labels.retain(|key, value| others.iter().all(|other| other.labels.get(key) == Some(value)));
        let severity = match because {
            Because::Check { .. } => alerts.iter().map(|alert| severity_of(alert)).max(),
            Because::Operator { .. }
            | Because::Silent { .. }
            | Because::Ladder { .. }
            | Because::Storm { .. }
            | Because::Untold { .. }
            | Because::Job { .. } => None,
        };
        (severity.unwrap_or(usual), labels)
    }

    /// What was told of alerts may make worse what is open.
    pub(super) fn weigh_again(&mut self, words: &[Word], at: Timestamp) {
        let fires = |alert: &&Alert| self.alerts.fires(alert.id(), at);
        let told = words.iter().filter_map(|word| match word {
            Word::Fires(alert) => Some(alert),
            Word::Ended { .. } => None,
        });
        let Some(worst) = told.clone().map(severity_of).max() else { return };
        let mut worse: Vec<(IncidentId, Severity)> = Vec::new();
        // Hardly ever is there any: most alerts of a check are equally bad.
        for incident in self.open_incidents().filter(|incident| incident.severity < worst) {
            let Because::Check { check, .. } = &incident.because else { continue };
            let Some(probe) = self.probe_of_alerts(check) else { continue };
            let Some(member) = self.roster.ever(incident.peer) else { continue };
            let about = told.clone().filter(|alert| probe.fits(alert, member)).filter(fires);
            let severity = about.map(severity_of).max();
            worse.extend(
                severity.filter(|known| *known > incident.severity).map(|s| (incident.id, s)),
            );
        }
        for (id, severity) in worse {
            if let Some(incident) = self.incidents.get_mut(&id) {
                incident.severity = severity;
            }
        }
    }

    /// What an incident is labelled: what its alerts or its job say, and the affected peer's own
    /// labels, which nobody outside can set.
    pub fn labels_of(&self, incident: &Incident) -> Labels {
        let mut labels = incident.told.clone();
        if let Some(member) = self.roster.ever(incident.peer) {
            let own = &member.card.labels;
            labels.extend(own.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        labels
    }

    fn probe_of_alerts(&self, check: &Name) -> Option<&AlertProbe> {
        if let Probe::Alert(probe) = &self.library.check(check)?.probe { Some(probe) } else { None }
    }
}

/// How bad an alert is: what does not say so is as bad as a check that fails.
fn severity_of(alert: &Alert) -> Severity {
    Severity::told(&alert.labels).unwrap_or(Severity::Critical)
}
