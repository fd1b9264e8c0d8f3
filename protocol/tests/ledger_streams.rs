//! What is read of a stream comes into the log once: with its offset, or not at all.

mod common;

use common::{Mesh, at, id, name};
use protocol::{
    alert::{Alert, Word},
    ledger::{Ledger, alerts::WORDS_MAX, streams::PARTITIONS_MAX},
    record::{Entry, Position, Record},
    refusal::Refusal,
    stream::Batch,
};
use std::collections::BTreeMap;

const DOCUMENTS: &str = r#"
[[stream]]
name    = "events"
kind    = "kafka"
brokers = ["kafka-1:9092"]
topic   = "alerts"
labels  = { alertname = "/name" }
"#;

fn mesh() -> Mesh {
    let mut mesh = Mesh::of(2);
    mesh.documents(DOCUMENTS).expect("valid documents");
    mesh
}

fn alert(what: &str, since: u64) -> Alert {
    let labels = BTreeMap::from([("alertname".to_owned(), what.to_owned())]);
    Alert::new(labels, "", at(since), None).expect("it is an alert")
}

fn fires(what: &str, since: u64) -> Word {
    Word::Fires(alert(what, since))
}

fn ended(what: &str, since: u64) -> Word {
    Word::Ended { alert: alert(what, since).id(), starts_at: Some(at(since)), at: at(since) }
}

fn first(partition: u32, next: u64) -> Record {
    let batch = Batch::place(name("events"), "alerts".to_owned(), partition, next);
    Record::Streamed { batch }
}

fn batch(from: u64, next: u64, words: Vec<Word>) -> Batch {
    let place = Batch::place(name("events"), "alerts".to_owned(), 0, next);
    Batch { from: Some(from), words, ..place }
}

fn read(from: u64, next: u64, words: Vec<Word>) -> Record {
    Record::Streamed { batch: batch(from, next, words) }
}

fn firing(ledger: &Ledger) -> Vec<String> {
    let firing = ledger.alerts().firing(ledger.last_at());
    firing.map(|(_, firing)| firing.alert.labels["alertname"].clone()).collect()
}

fn next(ledger: &Ledger, partition: u32) -> Option<u64> {
    ledger.streams().place(&name("events"), "alerts", partition).map(|place| place.next)
}

#[test]
fn words_and_offset_come_together_and_what_is_read_again_is_refused() {
    let mut mesh = mesh();
    // Nothing is read before the log holds where.
    let refusal = mesh.refused(1, read(0, 1, vec![fires("a", 1)]));
    assert!(matches!(refusal, Refusal::OffsetMoved { held: None, .. }), "{refusal}");
    mesh.done(1, first(0, 7));
    mesh.done(1, read(7, 9, vec![fires("a", 1), fires("b", 1)]));
    assert_eq!((firing(&mesh.ledger).len(), next(&mesh.ledger, 0)), (2, Some(9)));
    // The same again, by whom does not matter; a part of it; one that leaves a gap; a second first.
    for (by, record) in [
        (1, read(7, 9, vec![fires("a", 1), fires("b", 1)])),
        (2, read(7, 9, vec![fires("c", 1)])),
        (1, read(8, 10, vec![fires("c", 1)])),
        (1, read(10, 11, vec![fires("c", 1)])),
        (1, first(0, 9)),
    ] {
        let refusal = mesh.refused(by, record);
        assert!(matches!(refusal, Refusal::OffsetMoved { held: Some(9), .. }), "{refusal}");
        assert!(refusal.to_string().contains("offset 9"), "{refusal}");
    }
    // Another partition has places of its own.
    mesh.done(1, first(1, 0));
    mesh.done(2, read(9, 10, vec![fires("c", 1)]));
    let numbers = (firing(&mesh.ledger).len(), next(&mesh.ledger, 0), next(&mesh.ledger, 1));
    assert_eq!(numbers, (3, Some(10), Some(0)));
    let streams = mesh.ledger.streams();
    let place = streams.place(&name("events"), "alerts", 0).expect("it was read");
    assert_eq!((place.taken, place.skipped, place.lost), (3, 0, 0));
}

#[test]
fn what_an_old_leader_brings_late_changes_nothing() {
    let mut mesh = mesh();
    mesh.done(1, first(0, 0));
    let late = Entry {
        at: at(mesh.now),
        by: id(1),
        term: mesh.term,
        record: read(0, 1, vec![fires("a", 1)]),
    };
    mesh.term += 1;
    mesh.index += 1;
    let position = Position { index: mesh.index, term: mesh.term };
    let refusal = mesh.ledger.apply(position, &late).expect_err("it is refused");
    assert!(matches!(refusal, Refusal::StaleTerm { .. }), "{refusal}");
    assert_eq!((firing(&mesh.ledger).len(), next(&mesh.ledger, 0)), (0, Some(0)));
    mesh.done(2, read(0, 1, vec![fires("a", 1)]));
    assert_eq!(firing(&mesh.ledger).len(), 1);
}

#[test]
fn what_cannot_be_is_refused_and_what_is_too_much_moves_no_offset() {
    let mut mesh = mesh();
    mesh.done(1, first(0, 5));
    for (wrong, why) in [
        (batch(5, 5, Vec::new()), "before it has begun"),
        (batch(5, 4, Vec::new()), "before it has begun"),
        (Batch { out_of_range: true, ..batch(5, 9, vec![fires("a", 1)]) }, "has no words"),
        (Batch { topic: "other".to_owned(), ..batch(5, 6, Vec::new()) }, "another topic"),
        (Batch { stream: name("gone"), ..batch(5, 6, Vec::new()) }, "no such stream"),
        (Batch { because: Some("x".repeat(301)), ..batch(5, 6, Vec::new()) }, "too long"),
    ] {
        let refusal = mesh.refused(1, Record::Streamed { batch: wrong });
        assert!(refusal.to_string().contains(why), "{refusal}");
    }
    let whole = Batch { from: None, ..batch(0, 6, vec![fires("a", 1)]) };
    let whole = Record::Streamed { batch: Batch { partition: 1, ..whole } };
    assert!(mesh.refused(1, whole).to_string().contains("only says where"));
    let many = (0..=WORDS_MAX).map(|_| fires("a", 1)).collect();
    assert!(matches!(mesh.refused(1, read(5, 6, many)), Refusal::TooLarge { .. }));
    let full = (0..10)
        .map(|turn| (0..WORDS_MAX).map(|n| fires(&format!("{turn}/{n}"), 1)).collect::<Vec<_>>());
    for (words, from) in full.zip(5..) {
        mesh.done(1, read(from, from + 1, words));
    }
    let refusal = mesh.apply(1, read(15, 16, vec![fires("more", 1)])).expect_err("it is full");
    assert!(matches!(refusal, Refusal::TooManyAlerts { .. }), "{refusal}");
    assert_eq!(next(&mesh.ledger, 0), Some(15), "it is read again when there is room");
}

#[test]
fn what_the_broker_has_no_more_is_counted_and_what_is_skipped_says_why() {
    let mut mesh = mesh();
    mesh.done(1, first(0, 5));
    let gone = |from, next| Record::Streamed {
        batch: Batch { out_of_range: true, ..batch(from, next, Vec::new()) },
    };
    mesh.done(1, gone(5, 9));
    let mut skipped = batch(9, 12, vec![fires("a", 1)]);
    skipped.skip("offset 9: no JSON");
    skipped.skip(&"ä".repeat(400));
    mesh.done(1, Record::Streamed { batch: skipped });
    // The topic was made anew: its offsets begin again.
    mesh.done(1, gone(12, 0));
    mesh.done(1, read(0, 1, Vec::new()));
    let streams = mesh.ledger.streams();
    let place = streams.place(&name("events"), "alerts", 0).expect("it was read");
    assert_eq!((place.next, place.lost, place.skipped, place.taken), (1, 4, 2, 1));
    assert!(place.because.as_ref().is_some_and(|why| why.starts_with('ä') && why.len() == 300));
}

#[test]
fn events_without_a_time_are_dated_one_after_the_other() {
    let mut mesh = mesh();
    mesh.done(1, first(0, 0));
    mesh.done(1, read(0, 3, vec![fires("a", 9), ended("a", 9), fires("a", 9)]));
    assert_eq!(firing(&mesh.ledger), ["a"], "its last word counts");
    mesh.done(1, read(3, 5, vec![fires("a", 1), ended("a", 1)]));
    assert!(firing(&mesh.ledger).is_empty());
}

#[test]
fn events_that_say_since_when_are_nothing_new_when_they_are_sent_again() {
    let mut mesh = mesh();
    mesh.done(1, first(0, 0));
    let story = || vec![fires("a", 10), ended("a", 20), fires("a", 30)];
    let timed = |from, words| Record::Streamed {
        batch: Batch { timed: true, ..batch(from, from + 1, words) },
    };
    mesh.done(1, timed(0, story()));
    let before = mesh.ledger.alerts().clone();
    mesh.done(1, timed(1, story()));
    assert_eq!(*mesh.ledger.alerts(), before);
    mesh.done(1, timed(2, vec![ended("a", 40)]));
    mesh.done(1, timed(3, story()));
    assert!(firing(&mesh.ledger).is_empty());
}

#[test]
fn a_stream_that_comes_back_goes_on_where_it_was_and_another_topic_begins_anew() {
    let mut mesh = mesh();
    mesh.done(1, first(0, 5));
    mesh.documents("[[remove]]\nkind = \"stream\"\nname = \"events\"\n").expect("valid");
    assert!(matches!(mesh.refused(1, read(5, 6, Vec::new())), Refusal::BadBatch { .. }));
    mesh.documents(DOCUMENTS).expect("valid");
    mesh.done(1, read(5, 6, Vec::new()));
    mesh.documents(&DOCUMENTS.replace("\"alerts\"", "\"other\"")).expect("valid");
    let place = Batch::place(name("events"), "other".to_owned(), 0, 0);
    mesh.done(1, Record::Streamed { batch: place });
    assert_eq!(next(&mesh.ledger, 0), None, "its offsets were the other topic's");
}

#[test]
fn no_more_partitions_are_kept_than_so_many_and_those_in_use_stay() {
    let mut mesh = mesh();
    let most = u32::try_from(PARTITIONS_MAX).expect("a number of partitions");
    for partition in 0..most {
        mesh.done(1, first(partition, 1));
    }
    let refusal = mesh.refused(1, first(most, 1));
    assert!(matches!(refusal, Refusal::TooManyPartitions { .. }), "{refusal}");
    mesh.documents(&format!("{DOCUMENTS}{}", DOCUMENTS.replace("events", "more"))).expect("valid");
    let other =
        || Record::Streamed { batch: Batch::place(name("more"), "alerts".to_owned(), 0, 1) };
    assert!(matches!(mesh.refused(1, other()), Refusal::TooManyPartitions { .. }));
    mesh.documents("[[remove]]\nkind = \"stream\"\nname = \"events\"\n").expect("valid");
    mesh.done(1, other());
    assert_eq!(next(&mesh.ledger, 0), None, "nobody reads it any more");
}
