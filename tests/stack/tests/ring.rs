//! Whole daemons in a simulated network, each run a process of its own.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::Value;
use std::process::Command;

/// Plays a run to its end.
fn play(arguments: &[&str]) -> Value {
    let ran = Command::new(env!("CARGO_BIN_EXE_hearten-stack")).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let complained = String::from_utf8_lossy(&ran.stderr);
    let line = said.lines().last().unwrap_or_else(|| panic!("{arguments:?}: {complained}"));
    let told: Value = serde_json::from_str(line).unwrap();
    let replay = format!("hearten-stack {} --history", arguments.join(" "));
    assert!(ran.status.success(), "{replay}\n{told:#}\n{complained}");
    told
}

fn number(told: &Value, key: &str) -> u64 {
    told[key].as_u64().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_history_in_every_process_and_another_another() {
    let run = ["--seed", "3", "--trouble", "30", "--calm", "30"];
    let (once, again) = (play(&run), play(&run));
    assert_eq!(once["digest"], again["digest"]);
    let other = play(&["--seed", "4", "--trouble", "30", "--calm", "30"]);
    assert_ne!(once["digest"], other["digest"]);
}

#[test]
fn the_same_history_with_thirty_percent_lost_too() {
    let run = ["--seed", "7", "--loss", "30", "--trouble", "30", "--calm", "30"];
    let (once, again) = (play(&run), play(&run));
    assert_eq!(once["digest"], again["digest"]);
}

#[test]
fn a_quiet_mesh_stays_quiet() {
    let told = play(&["--seed", "1", "--quiet", "--trouble", "30", "--calm", "10"]);
    assert_eq!(number(&told, "incidents"), 0, "{told:#}");
    assert_eq!(number(&told, "elections"), 1, "{told:#}");
}

#[test]
fn whatever_happens_the_invariants_hold_and_everything_comes_to_its_end() {
    let mut elections = 0;
    let mut incidents = 0;
    for seed in 11..17 {
        let seed = seed.to_string();
        let told = play(&["--seed", &seed, "--trouble", "45", "--calm", "120"]);
        elections += number(&told, "elections");
        incidents += number(&told, "incidents");
    }
    // Otherwise nothing was tried.
    assert!(elections > 6 && incidents > 20, "{elections} elections, {incidents} incidents");
}
