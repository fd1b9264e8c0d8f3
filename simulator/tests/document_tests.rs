//! `hearten-sim test` as it is called: the shipped documents hold what they promise, a test that
//! does not hold says why and fails the run, mistakes are told by file and line, and an interrupt
//! leaves nothing half said.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

fn command(arguments: &[&str]) -> Command {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    // Whoever runs the tests in the background has interrupts ignored, and so has what he starts.
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_hearten-sim"), "test"]);
    command.args(arguments).current_dir(project);
    command
}

fn test(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

const CHECK: &str = "[[check]]\nname = \"web\"\nevery = \"2s\"\ncommand = \"true\"\n";
const RUNBOOK: &str = "[[runbook]]\nname = \"heal\"\non = { check = \"web\" }\n\
                       [[runbook.rung]]\nname = \"restart\"\nrun = \"true\"\n";
const FAILS: &str = "[[test]]\nname = \"it is restarted\"\npeers = { a = {} }\n\
                     given = [{ at = \"5s\", peer = \"a\", check = \"web\", says = \"fail\" }]\n";

#[test]
fn the_shipped_documents_hold_what_they_promise() {
    let (code, said, _) = test(&["node/documents"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.lines().filter(|line| line.starts_with("ok ")).count() >= 10, "{said}");
    for one in
        ["node/documents/web.toml", "node/documents/silent.toml", "node/documents/takeover.toml"]
    {
        let (code, said, _) = test(&[one, "--seed", "7"]);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn the_readmes_example_holds() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(project.join("README.md")).unwrap();
    let section = readme.split("### Trying documents out").nth(1).unwrap();
    let example = section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let shipped = std::fs::read_to_string(project.join("node/documents/web.toml")).unwrap();
    let documents = shipped.split("[[test]]").next().unwrap();
    let path = file("readme.toml", &format!("{documents}{example}"));
    let (code, said, wrong) = test(&[path.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}{wrong}");
}

#[test]
fn files_that_are_named_together_are_one_set_of_documents() {
    let checks = file("apart/checks.toml", CHECK);
    let expect = "expect = [{ rung = \"restart\", within = \"15s\" }]\n";
    let tests = file("apart/tests.toml", &format!("{RUNBOOK}{FAILS}{expect}"));
    let (checks, tests) = (checks.to_str().unwrap(), tests.to_str().unwrap());
    let (code, said, _) = test(&[checks, tests]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(test(&[Path::new(tests).parent().unwrap().to_str().unwrap()]).0, Some(0));
    let (code, _, wrong) = test(&[tests]);
    assert_eq!(code, Some(2));
    assert!(wrong.contains("there is no check \"web\""), "{wrong}");
}

#[test]
fn a_test_that_does_not_hold_says_what_was_expected_and_what_happened() {
    let expect = "expect = [{ rung = \"restart\" }, { incident = \"resolved\" }]\n";
    let path = file("unmet.toml", &format!("{CHECK}{RUNBOOK}{FAILS}{expect}"));
    let path = path.to_str().unwrap();
    let (code, said, _) = test(&[path]);
    assert_eq!(code, Some(1));
    for part in [
        &format!("FAILED  {path}:11: it is restarted"),
        &format!("{path}:15: expected: an incident is resolved"),
        "but: it did not happen",
        "0:05.0  given: check \"web\" says fail on a",
        "a executes rung \"restart\" for a",
        "handed to a person",
        "1 test: 0 ok, 1 failed",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let (code, said, _) = test(&[path, "--json"]);
    assert_eq!(code, Some(1));
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&json["schema"], &json["held"]), (&1.into(), &false.into()));
    let one = &json["tests"][0];
    assert_eq!((&one["name"], &one["line"]), (&"it is restarted".into(), &11.into()));
    assert_eq!(one["faults"][0]["line"], 15);
    assert_eq!(one["timeline"][0]["at"], "5s");
}

#[test]
fn a_mistake_is_exit_code_2_and_plays_nothing() {
    let broken = file("broken.toml", &format!("{CHECK}{RUNBOOK}{FAILS}expcet = []\n"));
    let (code, said, wrong) = test(&[broken.to_str().unwrap()]);
    assert_eq!((code, said.as_str()), (Some(2), ""));
    assert!(wrong.contains("broken.toml:15: test \"it is restarted\": unknown key \"expcet\""));
    let without = file("without.toml", CHECK);
    let (code, _, wrong) = test(&[without.to_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(wrong.contains("there is no [[test]]"), "{wrong}");
    for wrong in [&["no-such.toml"][..], &["/dev/zero"], &["node/documents", "--only", "xyz"], &[]]
    {
        assert_eq!(test(wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn an_interrupt_and_a_reader_that_goes_away_end_it_at_once() {
    let week = "expect_no = [{ rung = \"reboot\" }]\nlasts = \"190h\"\n";
    let reboot = "[[runbook.rung]]\nname = \"reboot\"\nrun = \"true\"\n";
    let quick = FAILS.replace("it is restarted", "a quick one");
    let quick = format!("{quick}expect = [{{ rung = \"restart\" }}]\n");
    let path = file("week.toml", &format!("{CHECK}{RUNBOOK}{reboot}{quick}{FAILS}{week}"));
    for json in [false, true] {
        let mut arguments = vec![path.to_str().unwrap()];
        arguments.extend(json.then_some("--json"));
        let mut child =
            command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It says how far it is, so it is in the middle of the long one.
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut progress = String::new();
        stderr.read_line(&mut progress).unwrap();
        assert!(progress.ends_with("of 190h\n") || progress.ends_with("of 7d22h\n"), "{progress}");
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        assert!(!child.wait().unwrap().success());
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        if json {
            assert_eq!(said, "", "no half of an object");
        } else {
            assert!(said.starts_with("ok ") && said.ends_with(")\n"), "whole lines: {said}");
        }
    }
    let mut child = command(&["node/documents"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
