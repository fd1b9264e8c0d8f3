//! `[[test]]` tables from the outside: what they say, every way to get one wrong with the line that
//! the operator reads, and that none of them is ever a document.

use protocol::{
    document::{
        By, Document, DocumentKey, Verdict,
        bundle::{Bundle, Source},
        parse::{parse, parse_tests},
        test::{
            Fate, Happens, OperatorDeed, Stands, Test, Turn, What, Worker, reference::read_tests,
        },
        validate::read_bundle,
    },
    ledger::incident::State,
    record::Outcome,
};
use std::{collections::BTreeMap, time::Duration};

const TESTED: &str = include_str!("fixtures/tested.toml");
const MISTAKES: &str = include_str!("fixtures/test-mistakes.txt");

fn source(file: &str, text: &str) -> Source {
    Source { file: file.to_owned(), text: text.to_owned() }
}

fn documents(sources: &[Source]) -> Result<BTreeMap<DocumentKey, Document>, String> {
    let bundle = Bundle { mesh: [0; 32], revision: 1, sources: sources.to_vec() };
    read_bundle(&bundle, &BTreeMap::new()).map_err(|problems| problems.to_string())
}

fn tests(text: &str) -> Result<Vec<Test>, String> {
    let sources = [source("tested.toml", TESTED), source("f.toml", text)];
    let documents = documents(&sources)?;
    read_tests(&sources, &documents).map_err(|problems| problems.to_string())
}

const EXAMPLE: &str = "\
[[test]]
name   = \"a broken web server\"
given  = [
    { at = \"1m\", operator = \"freeze\" },
    { at = \"5s\", check = \"web\", peer = [\"a\", \"b\"], says = \"warn\" },
    { at = \"10s\", peer = \"b\", is = \"dark\" },
]
rungs  = [{ rung = \"restart\", peer = \"a\", attempt = 1, ends = \"hangs\" }]
expect = [
    { rung = \"restart\", peer = \"a\", worker = \"affected\", ends = \"timed out\", within = \"1m\" },
    { held = \"frozen\", after = \"5s\" },
    { notice = \"*\" },
]
expect_no = [{ incident = \"resolved\" }, { rung = \"*\", worker = \"b\" }]
finally   = [{ peer = \"a\", about = \"web\", incident = \"escalated\", attempts = 1 },
             { peer = \"b\", about = \"silence\", incident = \"none\" }]
lasts     = \"10m\"

[test.peers]
a = { role = \"web\" }
b = { role = \"web\", zone = \"z\" }
";

#[test]
fn a_test_says_what_it_says() {
    let tests = tests(EXAMPLE).expect("it is valid");
    let [test] = tests.as_slice() else { panic!("one test") };
    assert_eq!((test.name.as_str(), &*test.file), ("a broken web server", "f.toml"));
    assert_eq!(test.place.line, 1);
    assert_eq!(test.peers.len(), 2);
    let at: Vec<u64> = test.given.iter().map(|given| given.at.as_secs()).collect();
    assert_eq!(at, [5, 10, 60], "in the order of time");
    assert_eq!(test.given[0].peers.len(), 2);
    assert!(matches!(&test.given[0].what, Happens::Check { says: Verdict::Warn, .. }));
    assert_eq!(test.given[1].what, Happens::Fate(Fate::Dark));
    assert_eq!(test.given[2].what, Happens::Deed(OperatorDeed::Freeze));
    assert_eq!(test.given[2].place.line, 4);
    assert_eq!((test.rungs[0].ends, test.rungs[0].helps), (Outcome::TimedOut, false));
    let What::Rung { worker, ends, .. } = &test.expect[0].what else { panic!("a rung") };
    assert_eq!(*worker, Some(Worker::Any(By::Affected)));
    assert_eq!(*ends, Some(Outcome::TimedOut));
    assert_eq!(test.expect[0].within, Some(Duration::from_secs(60)));
    assert_eq!(test.expect[1].what, What::Held("frozen"));
    assert_eq!(test.expect[2].what, What::Notice(None));
    assert_eq!(test.expect_no[0].what, What::Incident { turn: Turn::Resolved, about: None });
    assert_eq!(test.finally[0].incident, Some(Stands::In(State::Escalated)));
    assert_eq!(test.finally[1].incident, Some(Stands::Nowhere));
    assert_eq!(test.lasts, Some(Duration::from_secs(600)));
}

#[test]
fn a_test_is_no_document() {
    let alone = source("f.toml", EXAMPLE);
    assert_eq!(parse(&alone).expect("it is valid").len(), 0);
    assert_eq!(parse_tests(&alone).expect("it is valid").len(), 1);
    let without = documents(&[source("tested.toml", TESTED)]).expect("it is valid");
    let with = documents(&[source("tested.toml", &format!("{TESTED}{EXAMPLE}"))]);
    assert_eq!(with.expect("it is valid"), without);
}

#[test]
fn every_mistake_in_a_test_is_told_with_its_place_and_a_way_out() {
    let mut cases = MISTAKES.split("\n##\n");
    let mut answers = cases.next().unwrap_or_default().to_owned();
    for case in cases.filter(|case| !case.is_empty()) {
        let (text, _) = case.split_once("\n=>\n").expect("a text and an answer");
        let found = tests(text).map_or_else(|said| said, |tests| format!("{} tests", tests.len()));
        answers.push_str(&format!("\n##\n{text}\n=>\n{found}"));
    }
    answers.push_str("\n##\n");
    // After a wanted change of a message: HEARTEN_WRITE_FIXTURES=1 and read the difference.
    if std::env::var_os("HEARTEN_WRITE_FIXTURES").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/test-mistakes.txt");
        std::fs::write(path, &answers).expect("the fixture can be written");
    }
    for (place, (found, expected)) in answers.lines().zip(MISTAKES.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of fixtures/test-mistakes.txt", place + 1);
    }
    assert_eq!(answers.lines().count(), MISTAKES.lines().count());
}
