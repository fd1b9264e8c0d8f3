//! What evidence a runbook may ask for, what is read from each way to write it, and what an
//! operator is told of a mistake.

use protocol::document::{
    Collect, Command, Document, EvidenceStep,
    bundle::{Bundle, Source},
    validate::read_bundle,
};
use std::{collections::BTreeMap, time::Duration};

fn read(head: &str, steps: &str) -> Result<Vec<EvidenceStep>, String> {
    let text = format!(
        "[[check]]\nname = \"c\"\ncommand = \"true\"\n[[runbook]]\nname = \"r\"\n\
         on = {{ check = \"c\" }}\n{head}\n{steps}\n[[runbook.rung]]\nname = \"x\"\nrun = \"true\"\n"
    );
    let sources = vec![Source { file: "f.toml".to_owned(), text }];
    let bundle = Bundle { mesh: [0; 32], revision: 1, sources };
    let documents =
        read_bundle(&bundle, &BTreeMap::new()).map_err(|problems| problems.to_string())?;
    let found = documents.into_values().find_map(|document| {
        if let Document::Runbook(runbook) = document { Some(runbook.evidence) } else { None }
    });
    Ok(found.expect("there is a runbook"))
}

fn step(lines: &str) -> String {
    format!("[[runbook.evidence]]\n{lines}\n")
}

#[test]
fn every_kind_of_evidence_is_read() {
    let steps = [
        "run = \"ps aux\"\ntimeout = \"3s\"",
        "files = [\"/var/log/a.log\", \"/etc/hosts\"]",
        "journal = { unit = \"nginx.service\" }",
        "journal = { unit = \"web@1\", lines = 9 }",
        "processes = true",
        "sockets = true",
        "filesystems = true\nredact = ['own=\\d+']",
    ];
    let head = "redact = ['password=\\S+']";
    let found = read(head, &steps.map(step).concat()).expect("all are sound");
    let kinds: Vec<&Collect> = found.iter().map(|step| &step.collect).collect();
    let journal = |unit: &str, lines| Collect::Journal { unit: unit.to_owned(), lines };
    assert_eq!(
        kinds,
        [
            &Collect::Run(Command::Script("ps aux".to_owned())),
            &Collect::Files(vec!["/var/log/a.log".to_owned(), "/etc/hosts".to_owned()]),
            &journal("nginx.service", 200),
            &journal("web@1", 9),
            &Collect::Processes,
            &Collect::Sockets,
            &Collect::Filesystems,
        ]
    );
    assert_eq!(found[0].timeout, Duration::from_secs(3));
    assert_eq!(found[1].timeout, Duration::from_secs(10));
    assert_eq!(found[0].redact, ["password=\\S+"], "the runbook's holds for each step");
    assert_eq!(found[6].redact, ["password=\\S+", "own=\\d+"], "and the step's own is added");
}

#[test]
fn a_mistake_in_evidence_is_told_by_line_and_key() {
    for (head, lines, words) in [
        ("", "timeout = \"5s\"", "f.toml:8: runbook \"r\", evidence: it says not what to collect"),
        (
            "",
            "proceses = true",
            "f.toml:9: runbook \"r\", evidence: unknown key \"proceses\"; did you mean \"processes\"?",
        ),
        (
            "",
            "processes = true\nsockets = true",
            "f.toml:10: runbook \"r\", evidence: it collects one kind of thing, not several; write a [[runbook.evidence]] for each",
        ),
        ("", "processes = false", "\"processes\" = false collects nothing"),
        ("", "sockets = 1", "\"sockets\" must be true, not an integer; write sockets = true"),
        ("", "files = \"/etc/hosts\"", "\"files\" must be a list of strings, not a string"),
        ("", "files = []", "\"files\" must hold 1 to 64 strings, not 0"),
        (
            "",
            "files = [1]",
            "f.toml:9: runbook \"r\", evidence: \"files\" must hold strings, not an integer",
        ),
        ("", "files = [\"etc/hosts\"]", "the path \"etc/hosts\" is not absolute"),
        ("", "journal = \"nginx\"", "write journal = { unit = \"nginx\", lines = 200 }"),
        ("", "journal = { lines = 3 }", "\"unit\" is missing"),
        ("", "journal = { unit = \"-M x\" }", "is no name of a unit"),
        ("", "journal = { unit = \"a\", lines = 0 }", "\"lines\" must be 1 to 10000, not 0"),
        (
            "",
            "run = \"ps\"\nredact = ['(']",
            "the pattern \"(\" is no regular expression: unclosed group",
        ),
        (
            "",
            "run = \"ps\"\nredact = ['a*']",
            "matches nothing at all, and so everywhere; let it match one character at least",
        ),
        ("", "run = \"ps\"\nredact = ['(\\w{500}){500}']", "is too large once it is compiled"),
        (
            "redact = ['x', 7]",
            "run = \"ps\"",
            "f.toml:7: runbook \"r\": \"redact\" must hold strings, not an integer",
        ),
    ] {
        let problems = read(head, &step(lines)).expect_err(lines);
        assert!(problems.contains(words), "{lines}: {problems}");
        assert_eq!(problems.lines().count(), 1, "told once: {problems}");
    }
    let problems = read("redact = ['x']", "").expect_err("nothing is collected");
    assert!(problems.contains("it collects nothing that could be redacted"), "{problems}");
    let many = step("sockets = true").repeat(33);
    let problems = read("", &many).expect_err("too many");
    assert!(problems.contains("it has 33 steps of evidence; at most 32 fit"), "{problems}");
}
