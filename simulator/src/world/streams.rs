//! Topics, and whoever reads them: each daemon that believes to lead reads every partition from
//! where its own replica is, and brings what it reads to the log.
//!
//! It is the most careless reader that there can be. It waits for no answer, as one that loses each
//! of them does, brings a batch before it knows of the one before it, and a halted one brings what
//! it read long ago when it goes on. What is read twice, the ledger has to refuse.

use super::{
    World,
    host::EPOCH,
    queue::{Daemon, Event},
    raft::Client,
    tale::Mark,
};
use crate::invariants::{Flow, MESSAGE};
use protocol::{
    alert::{Alert, Word},
    document::Begin,
    mistakes::{self, Mistake},
    name::{Labels, Name},
    record::{Entry, Record},
    stream::Batch,
};
use std::time::Duration;

/// How many partitions a topic has.
const PARTITIONS: u32 = 3;

/// How often a reader looks.
const LOOKS_EVERY: Duration = Duration::from_millis(250);

/// The longest that it takes from what is read to what is brought.
const BRINGS_WITHIN: Duration = Duration::from_millis(150);

/// When a halted reader is looked at again.
const HALTED_FOR: Duration = Duration::from_millis(100);

/// The most messages of a batch.
const BATCH_MAX: u64 = 3;

/// The most batches that are brought one after the other.
const BATCHES_MAX: usize = 2;

/// A topic that messages come to.
#[derive(Debug)]
pub(crate) struct Topic {
    /// How often one comes; nothing when none comes any more.
    every: Option<Duration>,
    /// How often it began: what was on its way before does not come any more.
    began: u32,
}

impl World<'_> {
    /// Messages begin to come to a stream's topic so often, or do not any more.
    pub(super) fn messages(&mut self, stream: &Name, every: Option<Duration>) {
        if !self.topics.contains_key(stream) {
            for partition in 0..PARTITIONS {
                self.flows.push(Flow::new(stream.clone(), partition));
            }
            self.after(Duration::ZERO, Event::StreamIsLookedAt(stream.clone()));
        }
        let topic = self.topics.entry(stream.clone()).or_insert(Topic { every, began: 0 });
        topic.every = every;
        topic.began += 1;
        let began = topic.began;
        if every.is_some() {
            self.after(Duration::ZERO, Event::MessageComes(stream.clone(), began));
        }
        let how = if every.is_some() { "begin to come" } else { "come no more" };
        self.tell_all(Mark::Other, &format!("messages {how} to stream {stream}"));
    }

    /// The next message comes; when everything is healed, no more do.
    pub(super) fn message_comes(&mut self, stream: Name, began: u32) {
        let topic = self.topics.get(&stream).filter(|topic| topic.began == began);
        let Some(every) = topic.and_then(|topic| topic.every).filter(|_| !self.healed) else {
            return;
        };
        let partition = self.random.below(u64::from(PARTITIONS));
        let partition = u32::try_from(partition).unwrap_or(0);
        if let Some(flow) = self.flow(&stream, partition) {
            flow.end += 1;
        }
        self.after(every, Event::MessageComes(stream, began));
    }

    fn flow(&mut self, stream: &Name, partition: u32) -> Option<&mut Flow> {
        self.flows.iter_mut().find(|flow| flow.stream == *stream && flow.partition == partition)
    }

    /// Every daemon that believes to lead looks for messages.
    pub(super) fn stream_is_looked_at(&mut self, stream: Name) {
        for peer in self.order.clone() {
            let host = &self.hosts[&peer];
            let leads = host.process.as_ref().is_some_and(|one| one.agent.standing().leads);
            if leads && host.is_active() {
                let reader = host.daemon();
                for partition in 0..PARTITIONS {
                    self.read_partition(reader, &stream, partition);
                }
            }
        }
        self.after(LOOKS_EVERY, Event::StreamIsLookedAt(stream));
    }

    fn read_partition(&mut self, reader: Daemon, stream: &Name, partition: u32) {
        let Some(end) = self.flow(stream, partition).map(|flow| flow.end) else { return };
        let Some(process) = &self.hosts[&reader.peer].process else { return };
        let ledger = process.agent.ledger();
        let Some(document) = ledger.library().stream(stream) else { return };
        let topic = document.topic.clone();
        let place = |next| Batch::place(stream.clone(), topic.clone(), partition, next);
        let held = ledger.streams().place(stream, &topic, partition).map(|place| place.next);
        let batches = match held {
            None => vec![place(match document.begin {
                Begin::Earliest => 0,
                Begin::Latest => end,
            })],
            Some(mut from) => {
                let mut batches = Vec::new();
                while from < end && batches.len() < BATCHES_MAX {
                    let next = end.min(from + 1 + self.random.below(BATCH_MAX));
                    let words =
                        (from..next).filter_map(|offset| word(stream, partition, offset)).collect();
                    batches.push(Batch { from: Some(from), words, ..place(next) });
                    from = next;
                }
                batches
            }
        };
        if !batches.is_empty() {
            let takes = self.random.between(Duration::from_millis(1), BRINGS_WITHIN);
            self.after(takes, Event::StreamWasRead(reader, batches));
        }
    }

    /// What was read is brought to the log, when the reader is not halted.
    pub(super) fn stream_was_read(&mut self, reader: Daemon, batches: Vec<Batch>) {
        if !self.is_up(reader) {
            return;
        }
        let host = &self.hosts[&reader.peer];
        if !host.is_active() {
            return self.after(HALTED_FOR, Event::StreamWasRead(reader, batches));
        }
        let term = host.process.as_ref().map_or(0, |process| process.agent.standing().term);
        let at = host.log_now(self.time);
        for batch in batches {
            for record in brought(batch) {
                let entry = Entry { at, by: reader.peer, term, record };
                self.propose(reader.peer, entry, Client::Operator);
            }
        }
    }

    /// The log has taken a batch: with the first one a partition is begun.
    pub(super) fn see_batch(&mut self, batch: &Batch) {
        if batch.from.is_none()
            && let Some(flow) = self.flow(&batch.stream, batch.partition)
        {
            flow.begins = Some(batch.next);
        }
        self.see_words(&batch.words);
    }

    /// The log has taken words: the messages among them are kept in mind.
    pub(super) fn see_words(&mut self, words: &[Word]) {
        if self.flows.is_empty() {
            return;
        }
        for word in words {
            if let Some((stream, partition, offset)) = message(word)
                && let Some(flow) = self.flow(&stream, partition)
            {
                flow.taken.push(offset);
            }
        }
    }
}

/// A message, as it is understood.
fn word(stream: &Name, partition: u32, offset: u64) -> Option<Word> {
    let labels = [("alertname", stream.to_string()), (MESSAGE, format!("{partition}/{offset}"))];
    let labels: Labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Alert::new(labels, "", EPOCH, None).ok().map(Word::Fires)
}

/// Which message that is, if it is one.
fn message(word: &Word) -> Option<(Name, u32, u64)> {
    let Word::Fires(alert) = word else { return None };
    let (partition, offset) = alert.labels.get(MESSAGE)?.split_once('/')?;
    let stream = Name::parse(alert.labels.get("alertname")?).ok()?;
    Some((stream, partition.parse().ok()?, offset.parse().ok()?))
}

/// What is proposed of a batch: one entry, unless a mistake is made.
fn brought(batch: Batch) -> Vec<Record> {
    let apart = |batch: Batch| {
        let words = Record::Alerted { words: batch.words.clone() };
        (Record::Streamed { batch: Batch { words: Vec::new(), ..batch } }, words)
    };
    if batch.words.is_empty() {
        vec![Record::Streamed { batch }]
    } else if mistakes::is_made(Mistake::OffsetBeforeWords) {
        let (offset, words) = apart(batch);
        vec![offset, words]
    } else if mistakes::is_made(Mistake::OffsetAfterWords) {
        let (offset, words) = apart(batch);
        vec![words, offset]
    } else {
        vec![Record::Streamed { batch }]
    }
}
