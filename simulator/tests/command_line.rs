//! `hearten-sim` as it is called: the same seed gives the same history in another process, what
//! holds and what does not is told by the exit code, and what is wrong by file and line.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn hearten_sim(arguments: &[&str]) -> Output {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Command::new(env!("CARGO_BIN_EXE_hearten-sim"))
        .args(arguments)
        .current_dir(scenarios)
        .output()
        .unwrap()
}

fn digests(arguments: &[&str]) -> Vec<String> {
    let output = hearten_sim(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["schema"], 1);
    let runs = json["scenarios"][0]["runs"].as_array().unwrap();
    runs.iter().map(|run| run["digest"].as_str().unwrap().to_owned()).collect()
}

fn story(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_same_seed_gives_the_same_history_in_another_process() {
    let arguments = ["run", "scenarios/chaos.toml", "--seeds", "3..5", "--json"];
    let first = digests(&arguments);
    assert_eq!(first, digests(&arguments));
    assert_ne!(first[0], first[1], "another seed is another history");
    let alone = digests(&["run", "scenarios/chaos.toml", "--seed", "4", "--json"]);
    assert_eq!(alone[0], first[1], "a seed does not depend on the seeds before it");
}

#[test]
fn every_story_holds() {
    let output = hearten_sim(&["run", "scenarios", "--seed", "2"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_does_not_hold_is_told_with_the_command_that_replays_it() {
    let path = story(
        "unmet.toml",
        "lasts = \"3s\"\nsettle = \"1s\"\ndocuments = '''\n'''\n\
         expect = [{ about = \"silence\", count = 1 }]\n[peers]\ncount = 3\n",
    );
    let path = path.to_str().unwrap();
    let output = hearten_sim(&["run", path, "--seed", "9"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(&format!("{path}:5: 1 incidents expected, 0")), "{said}");
    assert!(said.contains(&format!("hearten-sim replay {path} --seed 9")), "{said}");
    let replayed = hearten_sim(&["replay", path, "--seed", "9"]);
    assert_eq!(replayed.status.code(), Some(1));
    let history = String::from_utf8(replayed.stdout).unwrap();
    assert!(history.starts_with("   0.000000  p1    starts\n"), "{history}");
}

#[test]
fn a_mistake_in_a_story_or_on_the_command_line_is_exit_code_2() {
    let path = story("mistake.toml", "lasts = \"3s\"\ncolour = 1\n");
    let output = hearten_sim(&["run", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("mistake.toml:2: ") && said.contains("colour"), "{said}");
    for wrong in [&["run", "scenarios", "--seeds", "9..3"][..], &["dance"], &["run", "no-such"]] {
        assert_eq!(hearten_sim(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
