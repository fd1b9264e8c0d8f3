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
        let words = if open.timed { read.words } else { read.undated };
        let size = codec::encode(&words).len();
        let is_full = open.words.len() + words.len() > WORDS_MAX || bytes + size > ENTRY_BYTES_MAX;
        if is_full && Some(open.next) != open.from {
            let next = open.next;
            let blank = Batch::place(open.stream.clone(), open.topic.clone(), open.partition, next);
            let blank = Batch { from: Some(next), timed: open.timed, ..blank };
            batches.push(std::mem::replace(&mut open, blank));
            bytes = 0;
        }
        bytes += size;
        open.words.extend(words);
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
    let refused = |why: String| Words { refused: vec![why], ..Words::default() };
    let Some(value) = value else { return refused("the message has no value".to_owned()) };
    if value.len() > MESSAGE_BYTES_MAX {
        return refused(format!("the message has more than {MESSAGE_BYTES_MAX} bytes"));
    }
    match mapping.words(value, now) {
        Ok(read) if read.len() > WORDS_MAX => {
            refused(format!("the message has more than {WORDS_MAX} events"))
        }
        Ok(read) => read,
        Err(error) => refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{
        alert::{SUMMARY_BYTES_MAX, Word},
        name::Name,
    };
    use rskafka::record::Record;
    use std::collections::BTreeMap;

    const NOW: Timestamp = Timestamp::from_millis(1_767_226_200_000);

    fn mapping() -> Mapping {
        let text = "name = \"s\"\nsummary = \"/text\"\nlabels = { alertname = \"/a\" }";
        toml::from_str(text).unwrap()
    }

    fn message(offset: i64, value: Option<String>) -> RecordAndOffset {
        let record = Record {
            key: None,
            value: value.map(String::into_bytes),
            headers: BTreeMap::new(),
            timestamp: Default::default(),
        };
        RecordAndOffset { record, offset }
    }

    fn event(offset: i64) -> RecordAndOffset {
        message(offset, Some(format!("{{\"a\":\"{offset}\"}}")))
    }

    fn read(from: u64, messages: Vec<RecordAndOffset>) -> Vec<Batch> {
        let name = Name::parse("s").unwrap();
        let first = Batch::place(name, "t".to_owned(), 0, from);
        cut(Batch { from: Some(from), ..first }, &mapping(), messages, || NOW)
    }

    fn places(batches: &[Batch]) -> Vec<(Option<u64>, u64, usize)> {
        batches.iter().map(|batch| (batch.from, batch.next, batch.words.len())).collect()
    }

    #[test]
    fn nothing_is_no_batch_and_what_was_before_the_offset_is_left_out() {
        assert_eq!(read(5, Vec::new()), Vec::new());
        assert_eq!(read(5, vec![event(3), event(4)]), Vec::new());
        let read = read(5, vec![event(4), event(5), event(9)]);
        assert_eq!(places(&read), [(Some(5), 10, 2)], "compaction leaves gaps");
    }

    #[test]
    fn batches_follow_on_each_other_and_each_fits_into_an_entry() {
        let most = i64::try_from(WORDS_MAX).unwrap();
        let batches = read(0, (0..most * 2 + 1).map(event).collect());
        let most = u64::try_from(most).unwrap();
        let wanted = [
            (Some(0), most, WORDS_MAX),
            (Some(most), most * 2, WORDS_MAX),
            (Some(most * 2), most * 2 + 1, 1),
        ];
        assert_eq!(places(&batches), wanted);
        let text = "x".repeat(SUMMARY_BYTES_MAX);
        let large = |offset| {
            let a = format!("{offset}{}", "y".repeat(3_000));
            message(offset, Some(format!("{{\"a\":\"{a}\",\"text\":\"{text}\"}}")))
        };
        let batches = read(0, (0..200).map(large).collect());
        assert!(batches.len() > 1, "{}", batches.len());
        for (one, next) in batches.iter().zip(&batches[1..]) {
            assert_eq!(Some(one.next), next.from);
            assert!(codec::encode(&one.words).len() <= ENTRY_BYTES_MAX);
        }
        assert_eq!(batches.iter().map(|batch| batch.words.len()).sum::<usize>(), 200);
    }

    #[test]
    fn what_cannot_be_used_is_noted_with_its_offset_and_passed_over() {
        let events: Vec<String> = (0..=WORDS_MAX).map(|n| format!("{{\"a\":\"{n}\"}}")).collect();
        for (bad, why) in [
            (None, "no value"),
            (Some("x".to_owned()), "JSON"),
            (Some("{}".to_owned()), "/a"),
            (Some(format!("\"{}\"", "x".repeat(MESSAGE_BYTES_MAX))), "bytes"),
            (Some(format!("[{}]", events.join(","))), "events"),
        ] {
            let batches = read(0, vec![event(0), message(1, bad), event(2)]);
            let [batch] = &batches[..] else { panic!("{batches:?}") };
            assert_eq!((batch.next, batch.words.len(), batch.skipped), (3, 2, 1), "{why}");
            let said = batch.because.as_deref().unwrap_or_default();
            assert!(said.starts_with("offset 1: ") && said.contains(why), "{said}");
            assert!(matches!(batch.words[0], Word::Fires(_)));
        }
    }
}
