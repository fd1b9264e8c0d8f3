//! What other systems tell of alerts.

use super::{ground::Ground, says_why, text};
use node::intake::{Unreadable, Words, alertmanager, hospital, mapped::Mapping, passive};
use protocol::{
    alert::{AlertId, LABELS_BYTES_MAX, LABELS_MAX, SUMMARY_BYTES_MAX, Word},
    ledger::alerts::WORDS_MAX,
    record::Record,
};
use std::{collections::BTreeMap, time::Duration};

/// A mapping as hosts have them.
const MAPPING: &str = r#"
name    = "zabbix"
list    = "/events"
fires   = { at = "/value", is = ["1"] }
over    = { at = "/value", is = ["0"] }
summary = "/text"
labels  = { alertname = "/trigger/name", host = "/host", rack = "/rack" }
set     = { source = "zabbix" }
"#;

/// Requests one after the other. The first byte says of which kind it is, and a digit instead that
/// time passes.
pub(super) fn requests(bytes: &[u8]) -> bool {
    let mut ground = Ground::new();
    let mapping: Mapping = toml::from_str(MAPPING).expect("a mapping");
    let mut taken = false;
    for request in super::requests(bytes) {
        let Some((kind, body)) = request.split_first() else { continue };
        let now = ground.now;
        let guest = |id: &str| ground.ledger.library().guest_of(id).map(|guest| guest.name.clone());
        let (read, dated) = match kind {
            b'w' => (alertmanager::webhook(body, now), false),
            b'a' => (alertmanager::api(body, now), false),
            b'h' => (hospital::reception(body, now, guest).map(|read| read.words), false),
            b'p' => (passive::results(body, now), true),
            b'm' => (mapping.words(body, now), true),
            digit => {
                let power = u32::from(digit % 8);
                ground.wait(Duration::from_secs(10_u64.saturating_pow(power)));
                continue;
            }
        };
        taken |= take(&mut ground, read, dated);
    }
    ground.reads_back();
    taken
}

/// A mapping of somebody's `hearten.toml`, a zero byte, and what is sent to it.
pub(super) fn mapped(bytes: &[u8]) -> bool {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (Some(mapping), Some(body)) = (parts.next().and_then(text), parts.next()) else {
        return false;
    };
    let Ok(mut mapping) = toml::from_str::<Mapping>(mapping) else { return false };
    if let Err(why) = mapping.check() {
        says_why(&why);
        return false;
    }
    let mut ground = Ground::new();
    let read = mapping.words(body, ground.now);
    let taken = take(&mut ground, read, true);
    // Streams say as well where the time stands.
    mapping.time = mapping.summary.clone();
    let read = mapping.words(body, ground.now);
    take(&mut ground, read, false) || taken
}

/// Brings what was read to the log, and says whether there was anything.
fn take(ground: &mut Ground, read: Result<Words, Unreadable>, dated: bool) -> bool {
    let words = match read {
        Ok(words) => words,
        Err(why) => {
            says_why(&why);
            return false;
        }
    };
    words.refused.iter().for_each(says_why);
    words.words.iter().for_each(is_small);
    let now = ground.now;
    let told = words.words.clone();
    let alerts = ground.ledger.alerts();
    let mut words = if dated { alerts.all_dated(words.words, now) } else { words.words };
    words.retain(|word| alerts.is_news(word, now));
    tell(ground, &words);
    if dated {
        say_how_it_is(ground, &told);
    }
    // Whoever was not answered sends the same again.
    let alerts = ground.ledger.alerts();
    let news = told.iter().any(|word| alerts.is_news(word, now));
    assert!(dated || !news, "what is sent again is no news");
    !told.is_empty()
}

fn tell(ground: &mut Ground, words: &[Word]) {
    for words in words.chunks(WORDS_MAX) {
        let outcome = ground.tell(Record::Alerted { words: words.to_vec() });
        assert!(outcome.is_ok(), "what an intake has read is taken: {outcome:?}");
    }
}

/// Who says how it is and not since when: the last word counts.
fn say_how_it_is(ground: &Ground, told: &[Word]) {
    let mut last: BTreeMap<AlertId, bool> = BTreeMap::new();
    for word in told {
        match word {
            Word::Fires(alert) => last.insert(alert.id(), true),
            Word::Ended { alert, .. } => last.insert(*alert, false),
        };
    }
    for (alert, fires) in last {
        let known = ground.ledger.alerts().fires(alert, ground.now);
        assert_eq!(known, fires, "the last word of a request counts");
    }
}

fn is_small(word: &Word) {
    let Word::Fires(alert) = word else { return };
    let bytes: usize = alert.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!((1..=LABELS_MAX).contains(&alert.labels.len()) && bytes <= LABELS_BYTES_MAX);
    assert!(alert.summary.len() <= SUMMARY_BYTES_MAX && !alert.summary.contains('\n'));
    assert!(!alert.in_words().is_empty());
}
