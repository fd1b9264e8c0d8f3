//! Messages, cut into batches that each fit into an entry of the log.

use crate::intake::{Words, mapped::Mapping};
use protocol::{codec, ledger::alerts::WORDS_MAX, stream::Batch, time::Timestamp};
use rskafka::record::RecordAndOffset;

/// The most bytes of an entry's words: far from what the log takes, near to what travels at once.
const ENTRY_BYTES_MAX: usize = 256 << 10;

/// The most bytes of a message that is looked at: its words have to fit into one entry.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Cuts messages into batches, the first of which goes on `first`. What cannot be used of a message
/// is noted and passed over with it. A message is never cut: its place is one offset.
pub(super) fn cut(
    first: Batch,
    mapping: &Mapping,
    records: Vec<RecordAndOffset>,
    now: impl Fn() -> Timestamp,
) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let (mut open, mut bytes) = (first, 0_usize);
    for RecordAndOffset { record, offset } in records {
        // A broker begins with the whole of a batch that an offset is in.
        let Some(offset) = u64::try_from(offset).ok().filter(|offset| *offset >= open.next) else {
            continue;
        };
        let read = understood(mapping, record.value.as_deref(), now());
        let size = codec::encode(&read.words).len();
        let is_full =
            open.words.len() + read.words.len() > WORDS_MAX || bytes + size > ENTRY_BYTES_MAX;
        if is_full && Some(open.next) != open.from {
            let next = open.next;
            let blank = Batch::place(open.stream.clone(), open.topic.clone(), open.partition, next);
            let blank = Batch { from: Some(next), timed: open.timed, ..blank };
            batches.push(std::mem::replace(&mut open, blank));
            bytes = 0;
        }
        bytes += size;
        open.words.extend(read.words);
        for why in read.refused {
            open.skip(&format!("offset {offset}: {why}"));
        }
        open.next = offset.saturating_add(1);
    }
    if Some(open.next) != open.from {
        batches.push(open);
    }
    batches
}

fn understood(mapping: &Mapping, value: Option<&[u8]>, now: Timestamp) -> Words {
    let refused = |why: String| Words { words: Vec::new(), refused: vec![why] };
    let Some(value) = value else { return refused("the message has no value".to_owned()) };
    if value.len() > MESSAGE_BYTES_MAX {
        return refused(format!("the message has more than {MESSAGE_BYTES_MAX} bytes"));
    }
    match mapping.words(value, now) {
        Ok(read) if read.words.len() > WORDS_MAX => {
            refused(format!("the message has more than {WORDS_MAX} events"))
        }
        Ok(read) => read,
        Err(error) => refused(error.to_string()),
    }
}
