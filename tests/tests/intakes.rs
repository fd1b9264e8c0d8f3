//! What strangers send: what is kept of it in `tests/fuzz/seeds` is tried at every intake, whole and
//! with one byte more, less or other at each of some places.

use std::{fs, path::PathBuf};
use tests::intakes::{ALL, named};

/// How many mutilated ones of each seed are tried.
const TRIES: usize = 24;

fn seeds(intake: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(intake);
    let listed = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: PathBuf| (path.display().to_string(), fs::read(&path).expect("a seed"));
    paths.into_iter().map(read).collect()
}

/// The ledger of `protocol/tests/fixtures`, which changes with what ledgers hold.
fn golden_ledger() -> Vec<u8> {
    let fixtures = include_str!("../../protocol/tests/fixtures/version-1.txt");
    let ledger = fixtures.lines().find_map(|line| line.strip_prefix("ledger ")).expect("a ledger");
    data_encoding::HEXLOWER.decode(ledger.as_bytes()).expect("bytes in hex")
}

#[test]
fn the_seed_of_a_snapshot_is_a_ledger_as_it_is_now() {
    let seed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/snapshot/ledger");
    if std::env::var_os("HEARTEN_WRITE_FIXTURES").is_some() {
        fs::write(&seed, golden_ledger()).expect("it is written");
    }
    let same = fs::read(seed).is_ok_and(|seed| seed == golden_ledger());
    assert!(same, "run this test with HEARTEN_WRITE_FIXTURES=1 to write it");
}

#[test]
fn every_intake_takes_something_of_its_seeds() {
    let mut useless = Vec::new();
    for intake in ALL {
        let seeds = seeds(intake.name);
        assert!(!seeds.is_empty(), "{} has seeds", intake.name);
        useless.extend(
            seeds.iter().filter(|(_, bytes)| !(intake.take)(bytes)).map(|one| &one.0).cloned(),
        );
    }
    assert!(useless.is_empty(), "of no use: {useless:#?}");
}

#[test]
fn mutilated_seeds_are_taken_or_refused() {
    for intake in ALL {
        for (_, bytes) in seeds(intake.name) {
            let step = bytes.len().div_ceil(TRIES).max(1);
            for place in (0..bytes.len()).step_by(step) {
                let (head, tail) = bytes.split_at(place);
                for with in [&b""[..], b"\xff", b"9", &[head.len().to_be_bytes()[7], 0]] {
                    (intake.take)(&[head, with, &tail[1..]].concat());
                }
                (intake.take)(head);
            }
        }
    }
}

#[test]
fn every_folder_of_seeds_is_of_an_intake() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(named(&name).is_some(), "{name}");
    }
}
