//! The alerts that fire, as they are shown.

use super::SCHEMA;
use protocol::{agent::Agent, alert::Alert, document::Probe, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The alerts that other systems told of and that fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertsView {
    /// The shape's version.
    pub schema: u32,
    /// One row each, in the order of their ids.
    pub alerts: Vec<AlertRow>,
}

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRow {
    /// What it is known by.
    pub id: String,
    /// Its name, where its labels say one.
    pub name: Option<String>,
    /// All that its labels say.
    pub labels: BTreeMap<String, String>,
    /// What its sender says of it.
    pub summary: String,
    /// Since when, by its sender's clock.
    pub starts_at: Timestamp,
    /// The end that its sender gave; nothing where it will say so.
    pub ends_at: Option<Timestamp>,
    /// Until when it fires, unless it is told again.
    pub until: Timestamp,
    /// Since when the mesh knows it.
    pub since: Timestamp,
    /// Which check fails by it on which peer: `exporter-down on web-1`. Where there is none, nobody
    /// does anything about it.
    pub checks: Vec<String>,
}

impl AlertsView {
    /// The alerts as this peer knows them.
    pub fn of(agent: &Agent, at: Timestamp) -> Self {
        let firing = agent.ledger().alerts().firing(at);
        let alerts = firing
            .map(|(id, firing)| AlertRow {
                id: id.to_string(),
                name: firing.alert.labels.get("alertname").cloned(),
                labels: firing.alert.labels.clone(),
                summary: firing.alert.summary.clone(),
                starts_at: firing.alert.starts_at,
                ends_at: firing.alert.ends_at,
                until: firing.until(),
                since: firing.since,
                checks: checks_by(agent, &firing.alert),
            })
            .collect();
        Self { schema: SCHEMA, alerts }
    }
}

fn checks_by(agent: &Agent, alert: &Alert) -> Vec<String> {
    let ledger = agent.ledger();
    let mut found = Vec::new();
    for check in ledger.library().checks() {
        let Probe::Alert(probe) = &check.probe else { continue };
        let hosts = ledger.roster().hosts().filter(|(_, member)| {
            check.selector.fits(&member.card.labels) && probe.fits(alert, member)
        });
        found.extend(hosts.map(|(_, member)| format!("{} on {}", check.name, member.card.name)));
    }
    found
}
