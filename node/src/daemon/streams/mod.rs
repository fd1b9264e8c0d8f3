//! The topics that documents name, read by the leader.
//!
//! Whoever leads reads each partition from the offset that the ledger holds, and brings what it
//! reads to the log together with the next offset. Nothing is remembered here: a new leader goes on
//! where the log is, and what an old one brings late is refused by its offset.
//!
//! Each partition is read by itself, one batch after the other: while the log does not take a
//! batch, nothing more is read of it, and the others go on.

mod advice;
mod batch;
mod kafka;
mod partition;
mod trouble;

pub(crate) use trouble::{Told, Troubles};

use super::Daemon;
use crate::intake::mapped::Mapping;
use kafka::Client;
use protocol::{document::Stream, name::Name};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// How often it is looked whether this peer leads, and which streams there are.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often it is looked which partitions a topic has.
const PARTITIONS_EVERY: Duration = Duration::from_secs(30);

/// How often a topic is looked for that is not there.
const TOPIC_EVERY: Duration = Duration::from_secs(2);

/// The first and the longest wait before something that failed is tried again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Reads all streams for as long as this peer leads, until the daemon stops.
pub(super) async fn run(daemon: Arc<Daemon>) {
    let mut readers: BTreeMap<Name, (Stream, AbortOnDropHandle<()>)> = BTreeMap::new();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = daemon.stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let wanted = wanted(&daemon);
        readers.retain(|name, (stream, _)| {
            let goes_on = wanted.get(name) == Some(stream);
            if !goes_on {
                tracing::info!(stream = %name, "this peer reads the stream no more");
                daemon.troubles.forget(name);
            }
            goes_on
        });
        for (name, stream) in wanted {
            readers.entry(name).or_insert_with_key(|name| {
                tracing::info!(stream = %name, topic = %stream.topic, "this peer leads and reads the stream");
                let reading = tokio::spawn(read(Arc::clone(&daemon), stream.clone()));
                (stream, AbortOnDropHandle::new(reading))
            });
        }
    }
}

/// What this peer has to read: everything while it leads and has a quorum, otherwise nothing.
fn wanted(daemon: &Daemon) -> BTreeMap<Name, Stream> {
    if !daemon.standing().leads {
        return BTreeMap::new();
    }
    let agent = daemon.agent();
    let streams = agent.ledger().library().streams();
    streams.map(|stream| (stream.name.clone(), stream.clone())).collect()
}

/// A stream that is read.
struct Reading {
    daemon: Arc<Daemon>,
    stream: Stream,
    mapping: Mapping,
}

/// Reads a stream until nobody waits for it any more.
async fn read(daemon: Arc<Daemon>, stream: Stream) {
    let mapping = Mapping::from(&stream);
    let reading = Arc::new(Reading { daemon, stream, mapping });
    let mut wait = Wait::default();
    loop {
        let began = Instant::now();
        let Err(why) = follow(&reading).await;
        reading.daemon.troubles.note(&reading.daemon, &reading.stream.name, None, why);
        wait.after(began).await;
    }
}

/// Reads every partition that the topic has, each by itself; returns why it could not go on.
async fn follow(reading: &Arc<Reading>) -> Result<std::convert::Infallible, String> {
    let (daemon, stream) = (&reading.daemon, &reading.stream);
    let client = Arc::new(Client::connect(daemon, stream).await?);
    // Ends with this function, whatever ends it.
    let mut parts = JoinSet::new();
    let mut known = BTreeSet::new();
    let mut was_missing = false;
    loop {
        // What goes wrong here is no reason to stop reading what is known already.
        let found = match client.partitions(&stream.topic).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                was_missing = known.is_empty();
                // A broker does not name a topic to whom may not see it.
                let hidden = stream.login.as_ref().map_or_else(String::new, |(_, login)| {
                    format!(", or user \"{}\" may not describe and read it", login.user)
                });
                let why = format!("there is no topic \"{}\"{hidden}", stream.topic);
                look_again(reading, why).await;
                continue;
            }
            Err(why) => {
                look_again(reading, why).await;
                continue;
            }
        };
        daemon.troubles.over(&stream.name, None);
        // Of a topic that is there already when it is first read, the document says where to begin.
        // What is added later is read from its beginning: nothing of it was there before.
        let is_new = !was_missing && !begun(reading);
        for partition in found {
            if known.insert(partition) {
                let (reading, client) = (Arc::clone(reading), Arc::clone(&client));
                parts.spawn(partition::keep(reading, client, partition, is_new));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PARTITIONS_EVERY) => {}
            Some(Err(error)) = parts.join_next() => {
                return Err(format!("the reader of a partition has failed: {error}"));
            }
        }
    }
}

/// Notes what keeps the topic from being looked at, and waits until it is looked at again.
async fn look_again(reading: &Reading, why: String) {
    reading.daemon.troubles.note(&reading.daemon, &reading.stream.name, None, why);
    tokio::time::sleep(TOPIC_EVERY).await;
}

/// Whether the log has a place in this topic.
fn begun(reading: &Reading) -> bool {
    let agent = reading.daemon.agent();
    let mut places = agent.ledger().streams().of(&reading.stream.name, &reading.stream.topic);
    places.next().is_some()
}

/// Waits that double, and are short again after what went well for long enough.
struct Wait(Duration);

impl Default for Wait {
    fn default() -> Self {
        Self(AGAIN.0)
    }
}

impl Wait {
    /// Waits after a try that began then.
    async fn after(&mut self, began: Instant) {
        if began.elapsed() > AGAIN.1 {
            self.0 = AGAIN.0;
        }
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(AGAIN.1);
    }
}
