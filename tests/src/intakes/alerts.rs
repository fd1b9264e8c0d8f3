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
    let mut taken = false;
    for request in super::requests(bytes) {
        let Some((kind, body)) = request.split_first() else { continue };
        match kind {
            b'w' | b'a' | b'h' | b'p' | b'm' => taken |= said(&mut ground, *kind, body),
            digit => {
                let power = u32::from(digit % 8);
                ground.wait(Duration::from_secs(10_u64.saturating_pow(power)));
            }
        }
    }
    ground.reads_back();
    taken
}

/// A request of this kind.
fn said(ground: &mut Ground, kind: u8, body: &[u8]) -> bool {
    let mapping: Mapping = toml::from_str(MAPPING).expect("a mapping");
    let now = ground.now;
    let guest = |id: &str| ground.ledger.library().guest_of(id).map(|guest| guest.name.clone());
    let read = match kind {
        b'w' => alertmanager::webhook(body, now),
        b'a' => alertmanager::api(body, now),
        b'h' => hospital::read(body, now)
            .map(|read| read.reception(now, ground.ledger.alerts(), guest).words),
        b'p' => passive::results(body, now),
        _ => mapping.words(body, now),
    };
    take(ground, read)
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
    let taken = take(&mut ground, read);
    // Streams say as well where the time stands.
    mapping.time = mapping.summary.clone();
    let read = mapping.words(body, ground.now);
    take(&mut ground, read) || taken
}

/// Brings what was read to the log, and says whether there was anything.
fn take(ground: &mut Ground, read: Result<Words, Unreadable>) -> bool {
    let words = match read {
        Ok(words) => words,
        Err(why) => {
            says_why(&why);
            return false;
        }
    };
    words.refused.iter().for_each(says_why);
    let Words { words: told, undated, refused: _ } = words;
    told.iter().chain(&undated).for_each(is_small);
    let now = ground.now;
    let alerts = ground.ledger.alerts();
    let mut words = told.clone();
    words.extend(alerts.all_dated(undated.clone(), now));
    words.retain(|word| alerts.is_news(word, now));
    tell(ground, &words);
    say_how_it_is(ground, &undated);
    // Whoever was not answered sends the same again.
    let alerts = ground.ledger.alerts();
    let news = told.iter().any(|word| alerts.is_news(word, now));
    assert!(!news, "what is sent again is no news");
    !(told.is_empty() && undated.is_empty())
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

#[cfg(test)]
mod tests {
    use super::{super::ground, *};

    const MINUTE: Duration = Duration::from_secs(60);

    /// How many entries the log has more after requests of one kind, one each minute, of each of
    /// which a part is the moment.
    fn entries(ground: &mut Ground, kind: u8, minutes: u32, body: &str) -> u64 {
        let before = ground.index;
        for _ in 0..minutes {
            ground.wait(MINUTE);
            let body = body.replace("NOW", &ground.now.to_string());
            assert!(said(ground, kind, body.as_bytes()), "{body}");
        }
        ground.index - before
    }

    #[test]
    fn what_changes_nothing_is_not_brought_to_the_log_again_whenever_it_is_told() {
        let kapacitor = |level: &str| {
            format!(
                r#"{{ "id": "cpu", "message": "cpu", "time": "NOW", "level": "{level}",
                      "data": {{ "series": [{{ "tags": {{ "host": "web-1" }} }}] }} }}"#
            )
        };
        let alert = r#"{ "labels": { "alertname": "Down", "host": "web-1" } }"#;
        let grafana = |status: &str| {
            format!(
                r#"{{ "alerts": [{{ "status": "{status}", "labels": {{ "alertname": "Up" }} }}] }}"#
            )
        };
        let event = |value: u8| {
            format!(r#"{{ "events": [{{ "value": {value}, "trigger": {{ "name": "x" }} }}] }}"#)
        };
        let mut ground = Ground::new();
        for (kind, fires, over) in [
            (b'h', kapacitor("CRITICAL"), kapacitor("OK")),
            (b'w', grafana("firing"), grafana("resolved")),
            (b'p', "web-1\tdisk\t2\tfull".to_owned(), "web-1\tdisk\t0\tfine".to_owned()),
            (b'm', event(1), event(0)),
        ] {
            for _ in 0..2 {
                assert_eq!(entries(&mut ground, kind, 50, &fires), 1, "{fires}");
                assert_eq!(entries(&mut ground, kind, 50, &over), 1, "{over}");
            }
            // One that nobody ends is over some day: who goes on says so once in an hour.
            assert_eq!(entries(&mut ground, kind, 130, &fires), 3, "{fires}");
        }
        // What is for five minutes is made longer when half of it is over.
        assert_eq!(entries(&mut ground, b'a', 50, &format!("[{alert}]")), 17);
        assert_eq!(ground.ledger.alerts().firing(ground.now.plus(2 * MINUTE)).count(), 5);
        assert_eq!(ground.ledger.alerts().firing(ground.now.plus(5 * MINUTE)).count(), 4);
    }

    #[test]
    fn an_ok_in_other_words_ends_what_fires_of_its_id() {
        let mut ground = Ground::new();
        let mut firing = |id: &str, message: &str, level: &str| {
            let body = format!(r#"{{ "id": "{id}", "message": "{message}", "level": "{level}" }}"#);
            said(&mut ground, b'h', body.as_bytes());
            ground.wait(MINUTE);
            ground.ledger.alerts().firing(ground.now).count()
        };
        for id in ["cpu", ground::SURGEON] {
            assert_eq!(firing(id, "too busy", "WARNING"), 1);
            assert_eq!(firing(id, "too busy", "CRITICAL"), 1, "another level");
            assert_eq!(firing(id, "QueueFull", "CRITICAL"), 2, "another type");
            assert_eq!(firing("other", "fine", "OK"), 2, "another id");
            assert_eq!(firing(id, "QueueFull", "OK"), 1, "this type alone");
            assert_eq!(firing(id, "QueueFull", "INFO"), 2);
            assert_eq!(firing(id, "at work as usual", "OK"), 0);
        }
    }
}
