//! The hosts without a daemon, as they are shown.

use super::SCHEMA;
use protocol::{agent::Agent, ledger::Ledger, name::PeerId, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// The guests that documents name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestsView {
    /// The shape's version.
    pub schema: u32,
    /// One row each, by name.
    pub guests: Vec<GuestRow>,
}

/// A guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where it is, if its document says so.
    pub address: Option<String>,
    /// How long an operation waits for its surgeon, in seconds.
    pub claim_within: u64,
    /// What waits for its surgeon: `INC-42, attempt 1`.
    pub waits: Vec<String>,
    /// What its surgeon has and has not reported yet.
    pub under_way: Vec<String>,
    /// When its surgeon was handed something last, of what is still known.
    pub handed_at: Option<Timestamp>,
}

impl GuestsView {
    /// The guests as this peer's ledger has them.
    pub fn of(agent: &Agent) -> Self {
        let ledger = agent.ledger();
        let mut guests: Vec<GuestRow> = ledger
            .roster()
            .guests()
            .map(|(id, member)| {
                let name = &member.card.name;
                let meant = ledger.library().guests().find(|guest| guest.name == *name);
                let within = meant.map_or(Duration::ZERO, |guest| guest.claim_within);
                let (waits, under_way) = work_of(ledger, id);
                GuestRow {
                    id: id.to_string(),
                    name: name.to_string(),
                    labels: member.card.labels.clone(),
                    address: meant.and_then(|g| g.address).map(|address| address.to_string()),
                    claim_within: within.as_secs(),
                    waits,
                    under_way,
                    handed_at: handed_at(ledger, id),
                }
            })
            .collect();
        guests.sort_by(|one, other| one.name.cmp(&other.name));
        Self { schema: SCHEMA, guests }
    }
}

/// What waits for a guest's surgeon, and what it has.
fn work_of(ledger: &Ledger, guest: PeerId) -> (Vec<String>, Vec<String>) {
    let in_flight = ledger.open_incidents().filter_map(|incident| {
        let attempt = incident.in_flight().filter(|attempt| attempt.worker == guest)?;
        let waits = ledger.guests().waits(incident.id, attempt.number);
        Some((waits, format!("{}, attempt {}", incident.id, attempt.number)))
    });
    let (waits, has): (Vec<_>, Vec<_>) = in_flight.partition(|(waits, _)| *waits);
    let texts = |all: Vec<(bool, String)>| all.into_iter().map(|(_, text)| text).collect();
    (texts(waits), texts(has))
}

fn handed_at(ledger: &Ledger, guest: PeerId) -> Option<Timestamp> {
    use protocol::ledger::incident::Fact;
    let of_guest = ledger.incidents().values().rev().filter(|incident| incident.peer == guest);
    let lines = of_guest.flat_map(|incident| incident.timeline.iter());
    lines.filter(|line| matches!(line.fact, Fact::Claimed(_))).map(|line| line.at).max()
}
