//! How far event streams are read, as it is shown.

use super::SCHEMA;
use crate::daemon::Told;
use protocol::{agent::Agent, time::Timestamp};
use serde::{Deserialize, Serialize};

/// The streams that documents name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamsView {
    /// The shape's version.
    pub schema: u32,
    /// Who reads them: the leader, while there is one.
    pub reader: Option<String>,
    /// Whether the reader could be asked what keeps it from reading.
    pub reader_answers: bool,
    /// One row each, by name.
    pub streams: Vec<StreamRow>,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRow {
    /// What it is called.
    pub name: String,
    /// What it is read from.
    pub kind: String,
    /// The brokers that are asked first.
    pub brokers: Vec<String>,
    /// The topic.
    pub topic: String,
    /// What keeps all of it from being read, if anything does.
    pub error: Option<TroubleView>,
    /// The partitions that were read, by number.
    pub partitions: Vec<PartitionRow>,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRow {
    /// Its number.
    pub partition: u32,
    /// The offset that is read next; nothing before its place is in the log.
    pub offset: Option<u64>,
    /// Events that were understood.
    pub taken: u64,
    /// Messages and events that were not.
    pub skipped: u64,
    /// Messages that the broker had deleted before they were read.
    pub lost: u64,
    /// Why the last of what was skipped could not be used, and at which offset.
    pub last_skipped: Option<String>,
    /// When something was read last.
    pub read_at: Option<Timestamp>,
    /// What keeps it from being read, if anything does.
    pub error: Option<TroubleView>,
}

/// What keeps something from being read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TroubleView {
    /// Since when.
    pub since: Timestamp,
    /// What it is.
    pub why: String,
}

impl StreamsView {
    /// The streams as this peer's ledger has them, with what the leader said of its troubles.
    pub(crate) fn of(agent: &Agent, reader: Option<String>, troubles: Option<&[Told]>) -> Self {
        let ledger = agent.ledger();
        let told = troubles.unwrap_or_default();
        let trouble = |stream: &str, partition: Option<u32>| {
            let of = |told: &&Told| told.stream.as_str() == stream && told.partition == partition;
            let found = told.iter().find(of);
            found.map(|told| TroubleView { since: told.since, why: told.why.clone() })
        };
        let row = |stream: &protocol::document::Stream| {
            let name = stream.name.as_str();
            let places = ledger.streams().of(&stream.name, &stream.topic);
            let mut partitions: Vec<PartitionRow> = places
                .map(|(number, place)| PartitionRow {
                    partition: number,
                    offset: Some(place.next),
                    taken: place.taken,
                    skipped: place.skipped,
                    lost: place.lost,
                    last_skipped: place.because.clone(),
                    read_at: Some(place.read_at),
                    error: trouble(name, Some(number)),
                })
                .collect();
            // What could not be begun has no place, and all the more something to say.
            for told in told.iter().filter(|told| told.stream == stream.name) {
                let known = |row: &PartitionRow| Some(row.partition) == told.partition;
                if let Some(partition) = told.partition.filter(|_| !partitions.iter().any(known)) {
                    partitions.push(PartitionRow {
                        partition,
                        offset: None,
                        taken: 0,
                        skipped: 0,
                        lost: 0,
                        last_skipped: None,
                        read_at: None,
                        error: trouble(name, Some(partition)),
                    });
                }
            }
            partitions.sort_by_key(|row| row.partition);
            StreamRow {
                name: name.to_owned(),
                kind: "kafka".to_owned(),
                brokers: stream.brokers.clone(),
                topic: stream.topic.clone(),
                error: trouble(name, None),
                partitions,
            }
        };
        let streams = ledger.library().streams().map(row).collect();
        Self { schema: SCHEMA, reader, reader_answers: troubles.is_some(), streams }
    }
}
