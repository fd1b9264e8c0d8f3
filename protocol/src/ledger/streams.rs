//! How far the topics of event streams are read, as the log has it.
//!
//! The offsets stand where the words stand: one entry brings both, so that no fail-over skips a
//! message or takes it twice. What was read by a leader that is none any more, and what is read
//! again because nobody knew whether it had been committed, begins at an offset that the ledger has
//! left behind, and is refused.

use super::{Context, Effect, Ledger, Outcome, documents::Library};
use crate::{
    mistakes::{self, Mistake},
    name::Name,
    refusal::Refusal,
    stream::Batch,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most partitions of all streams together.
pub const PARTITIONS_MAX: usize = 4_096;

/// How far a partition is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The offset that is read next.
    pub next: u64,
    /// Events that were understood.
    pub taken: u64,
    /// Messages and events that were not.
    pub skipped: u64,
    /// Messages that were gone before they were read.
    pub lost: u64,
    /// Why the last of what was skipped could not be used.
    pub because: Option<String>,
    /// When something was read last.
    pub read_at: Timestamp,
}

/// How far a stream is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Course {
    /// The topic whose offsets they are.
    topic: String,
    partitions: BTreeMap<u32, Place>,
}

/// How far all streams are read.
///
/// A stream whose document is taken away keeps its places until there is no room for others: it
/// goes on where it was if it comes back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams(BTreeMap<Name, Course>);

impl Streams {
    /// The places of a stream's partitions, as far as they are offsets of this topic.
    pub fn of(&self, stream: &Name, topic: &str) -> impl Iterator<Item = (u32, &Place)> {
        let course = self.0.get(stream).filter(|course| course.topic == topic);
        course.into_iter().flat_map(|course| course.partitions.iter()).map(|(n, place)| (*n, place))
    }

    /// How far a partition is read; nothing before its first entry.
    pub fn place(&self, stream: &Name, topic: &str, partition: u32) -> Option<&Place> {
        let course = self.0.get(stream).filter(|course| course.topic == topic)?;
        course.partitions.get(&partition)
    }

    /// The partitions of the streams for which something holds.
    fn count(&self, holds: impl Fn(&Name, &Course) -> bool) -> usize {
        let courses = self.0.iter().filter(|(name, course)| holds(name, course));
        courses.map(|(_, course)| course.partitions.len()).sum()
    }

    fn take(&mut self, batch: &Batch, at: Timestamp) {
        let new = || Course { topic: batch.topic.clone(), partitions: BTreeMap::new() };
        let course = self.0.entry(batch.stream.clone()).or_insert_with(new);
        if course.topic != batch.topic {
            *course = new();
        }
        let place = course.partitions.entry(batch.partition).or_default();
        if batch.out_of_range {
            place.lost = place.lost.saturating_add(batch.next.saturating_sub(place.next));
        }
        let count = u64::try_from(batch.words.len()).unwrap_or(u64::MAX);
        place.taken = place.taken.saturating_add(count);
        place.skipped = place.skipped.saturating_add(batch.skipped);
        place.because = batch.because.clone().or(place.because.take());
        place.next = batch.next;
        place.read_at = at;
    }
}

impl Ledger {
    /// How far the streams are read.
    pub const fn streams(&self) -> &Streams {
        &self.streams
    }

    /// What was read of a stream: its words and its offset, or neither.
    pub(super) fn take_batch(&mut self, context: &Context, batch: &Batch) -> Outcome {
        self.roster
            .member(context.by)
            .ok_or(Refusal::UnknownPeer { peer: context.by.to_string() })?;
        let refused = |why: &str| {
            let why = why.to_owned();
            Refusal::BadBatch { stream: batch.stream.clone(), partition: batch.partition, why }
        };
        let document = self.library.stream(&batch.stream);
        let document = document.ok_or_else(|| refused("there is no such stream any more"))?;
        if document.topic != batch.topic {
            return Err(refused("the stream has another topic by now"));
        }
        let held = self.streams.place(&batch.stream, &batch.topic, batch.partition);
        let held = held.map(|place| place.next);
        if held != batch.from && !mistakes::is_made(Mistake::OffsetNotCompared) {
            return Err(Refusal::OffsetMoved {
                stream: batch.stream.clone(),
                partition: batch.partition,
                held,
                read_from: batch.from,
            });
        }
        if let Some(why) = batch.fault() {
            return Err(refused(why));
        }
        let is_full = held.is_none() && self.streams.count(|_, _| true) >= PARTITIONS_MAX;
        if is_full
            && self.streams.count(|name, course| is_read(&self.library, name, course))
                >= PARTITIONS_MAX
        {
            return Err(Refusal::TooManyPartitions { most: PARTITIONS_MAX });
        }
        self.alerts.take_read(&batch.words, batch.timed, context.at)?;
        self.weigh_again(&batch.words, context.at);
        if is_full {
            let library = &self.library;
            self.streams.0.retain(|name, course| is_read(library, name, course));
        }
        self.streams.take(batch, context.at);
        Ok(Effect::Done)
    }
}

/// Whether a document still names this stream and its topic.
fn is_read(library: &Library, name: &Name, course: &Course) -> bool {
    library.stream(name).is_some_and(|document| document.topic == course.topic)
}
