//! One partition: from the offset that the log holds to the end, and on from there.

use super::{
    Reading, Wait,
    batch::cut,
    kafka::{Client, Partition, Unread},
};
use crate::daemon::service;
use consensus::ProposeError;
use protocol::{
    document::Begin,
    record::{Entry, Record},
    refusal::Refusal,
    stream::Batch,
};
use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

/// From the beginning of one entry to that of the next, where one holds all that there is: a topic
/// to which a message comes now and then does not fill the log.
const APART: Duration = Duration::from_millis(200);

/// How long what this peer has not seen yet of the log is waited for.
const LOG_AGAIN: Duration = Duration::from_millis(50);

/// Reads a partition until nobody waits for it any more. `is_new` says that the topic is read for
/// the first time.
pub(super) async fn keep(reading: Arc<Reading>, client: Arc<Client>, number: u32, is_new: bool) {
    let mut wait = Wait::default();
    loop {
        let began = Instant::now();
        let Err(why) = follow(&reading, &client, number, is_new).await;
        let troubles = &reading.daemon.troubles;
        troubles.note(&reading.daemon, &reading.stream.name, Some(number), why);
        wait.after(began).await;
    }
}

async fn follow(
    reading: &Reading,
    client: &Client,
    number: u32,
    is_new: bool,
) -> Result<Infallible, String> {
    let (daemon, stream) = (&reading.daemon, &reading.stream);
    let partition = client.partition(&stream.topic, number).await?;
    loop {
        let began = Instant::now();
        let Some(from) = place(reading, number) else {
            let next = match stream.begin {
                Begin::Latest if is_new => partition.latest().await?,
                Begin::Latest | Begin::Earliest => partition.earliest().await?,
            };
            let first = Batch::place(stream.name.clone(), stream.topic.clone(), number, next);
            bring(reading, first).await?;
            continue;
        };
        let batches = match partition.fetch(from).await {
            Ok(records) => {
                cut(reading.empty(number, from), &reading.mapping, records, || daemon.log_now())
            }
            Err(Unread::OutOfRange) => vec![gone(reading, &partition, number, from).await?],
            Err(Unread::Failed(why)) => return Err(why),
        };
        let is_much = batches.len() > 1;
        for batch in batches {
            if !bring(reading, batch).await? {
                // The log is elsewhere: what follows would be refused as well.
                break;
            }
        }
        daemon.troubles.over(&stream.name, Some(number));
        if !is_much {
            tokio::time::sleep(APART.saturating_sub(began.elapsed())).await;
        }
    }
}

/// The offset that the log holds.
fn place(reading: &Reading, number: u32) -> Option<u64> {
    let agent = reading.daemon.agent();
    let streams = agent.ledger().streams();
    let place = streams.place(&reading.stream.name, &reading.stream.topic, number);
    place.map(|place| place.next)
}

/// What stood at the offset is gone (or the topic was made anew): the earliest that there is.
async fn gone(
    reading: &Reading,
    partition: &Partition,
    number: u32,
    from: u64,
) -> Result<Batch, String> {
    let next = partition.earliest().await?;
    tracing::warn!(
        stream = %reading.stream.name, partition = number, from, next,
        "the broker has nothing at this offset any more: it is read on from the earliest message"
    );
    Ok(Batch { next, out_of_range: true, ..reading.empty(number, from) })
}

impl Reading {
    /// A batch that begins here, with nothing in it yet.
    pub(super) fn empty(&self, number: u32, from: u64) -> Batch {
        let (name, topic) = (self.stream.name.clone(), self.stream.topic.clone());
        let timed = self.stream.mapping.time.is_some();
        Batch { from: Some(from), timed, ..Batch::place(name, topic, number, from) }
    }
}

/// Brings a batch to the log; whether the log took it. What is not known to be taken is read again
/// from where the log is.
async fn bring(reading: &Reading, batch: Batch) -> Result<bool, String> {
    let daemon = &reading.daemon;
    if let Some(why) = &batch.because {
        tracing::warn!(
            stream = %batch.stream, partition = batch.partition, skipped = batch.skipped, %why,
            "messages were not understood and are passed over"
        );
    }
    let term = daemon.standing().term;
    let entry =
        Entry { at: daemon.log_now(), by: daemon.me, term, record: Record::Streamed { batch } };
    match daemon.consensus.propose(entry).await {
        Ok((position, Ok(_))) => {
            service::seen(daemon, Some(position)).await;
            Ok(true)
        }
        Ok((position, Err(Refusal::OffsetMoved { .. } | Refusal::StaleTerm { .. }))) => {
            service::seen(daemon, Some(position)).await;
            Ok(false)
        }
        Ok((_, Err(refusal))) => Err(refusal.to_string()),
        Err(
            error @ (ProposeError::NotLeader { .. }
            | ProposeError::NoQuorum
            | ProposeError::Unknown { .. }),
        ) => {
            tracing::debug!(%error, "what was read is not known to be in the log");
            tokio::time::sleep(LOG_AGAIN).await;
            Ok(false)
        }
        Err(error @ (ProposeError::TooLarge { .. } | ProposeError::Fatal(_))) => {
            Err(error.to_string())
        }
    }
}
