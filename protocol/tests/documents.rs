//! Documents from the outside: the example that the README promises, every way to get one wrong
//! with the line that the operator reads, and texts that nobody would write.

use protocol::document::{
    Action, Bounds, By, Channel, Command, Condition, Document, DocumentKey, DocumentKind, Limits,
    On, OnUnknown, Probe, Silence,
    bundle::{BUNDLE_BYTES_MAX, Bundle, Source},
    diff::{Change, difference},
    parse::parse,
    problem::PROBLEMS_KEPT,
    validate::{DOCUMENTS_MAX, read_bundle},
};
use protocol::name::Name;
use std::{collections::BTreeMap, time::Duration};

type Documents = BTreeMap<DocumentKey, Document>;

const EXAMPLE: &str = include_str!("fixtures/example.toml");
const MISTAKES: &str = include_str!("fixtures/mistakes.txt");

fn source(file: &str, text: &str) -> Source {
    Source { file: file.to_owned(), text: text.to_owned() }
}

fn apply(current: &Documents, texts: &[(&str, &str)]) -> Result<Documents, String> {
    let sources = texts.iter().map(|(file, text)| source(file, text)).collect();
    let bundle = Bundle { mesh: [0; 32], revision: 1, sources };
    read_bundle(&bundle, current).map_err(|problems| problems.to_string())
}

fn found(text: &str) -> String {
    match apply(&Documents::new(), &[("f.toml", text)]) {
        Ok(documents) => format!("{} documents", documents.len()),
        Err(problems) => problems,
    }
}

fn key(kind: DocumentKind, name: &str) -> DocumentKey {
    DocumentKey { kind, name: Name::parse(name).expect("a name") }
}

#[test]
fn the_example_works_as_it_stands() {
    let documents = apply(&Documents::new(), &[("example.toml", EXAMPLE)]).expect("it is valid");
    let keys: Vec<String> = documents.keys().map(DocumentKey::to_string).collect();
    assert_eq!(
        keys,
        [
            "check/web-alive",
            "runbook/host-is-silent",
            "runbook/restart-web",
            "notifier/ops",
            "limits/limits"
        ]
    );

    let Some(Document::Check(check)) = documents.get(&key(DocumentKind::Check, "web-alive")) else {
        panic!("a check")
    };
    let argv = ["/bin/sh", "-c", "test -e /run/web/$HEARTEN_PEER.ok"].map(str::to_owned);
    assert_eq!(check.probe, Probe::Command(Command::Argv(argv.to_vec())));
    assert_eq!((check.every, check.timeout), (Duration::from_secs(1), Duration::from_secs(5)));
    assert_eq!((check.fail_after, check.pass_after), (2, 1));
    assert_eq!(check.selector.0.get("role"), Some(&Condition::is("web")));

    let Some(Document::Runbook(web)) = documents.get(&key(DocumentKind::Runbook, "restart-web"))
    else {
        panic!("a runbook")
    };
    assert_eq!(web.on, On::Check(Name::parse("web-alive").expect("a name")));
    assert_eq!(web.cooldown, Duration::from_secs(10));
    assert_eq!(web.on_unknown, OnUnknown::Ask);
    assert_eq!(web.evidence.len(), 1);
    assert_eq!(web.rungs.len(), 2);
    assert_eq!(web.rungs[0].by, By::Affected);
    assert_eq!(web.rungs[0].settle, Duration::from_secs(2));
    assert_eq!(web.rungs[1].action, Action::Notify(Name::parse("ops").expect("a name")));

    let Some(Document::Runbook(silent)) =
        documents.get(&key(DocumentKind::Runbook, "host-is-silent"))
    else {
        panic!("a runbook")
    };
    assert_eq!(silent.on, On::Peer(Silence::Silent));
    assert_eq!(silent.cooldown, Duration::from_secs(60));
    assert_eq!(silent.rungs[0].by, By::Neighbour);

    let Some(Document::Notifier(ops)) = documents.get(&key(DocumentKind::Notifier, "ops")) else {
        panic!("a notifier")
    };
    assert_eq!(ops.channel, Channel::Webhook { url: "http://127.0.0.1:9099/hook".to_owned() });
    let mesh = Bounds { at_once: Some(2), share_percent: Some(30), ..Bounds::default() };
    let limits = Limits { mesh, ..Limits::default() };
    assert_eq!(
        documents.get(&key(DocumentKind::Limits, "limits")),
        Some(&Document::Limits(limits))
    );
}

#[test]
fn documents_come_in_the_order_of_the_text_with_their_lines() {
    let parsed = parse(&source("example.toml", EXAMPLE)).expect("it is valid");
    let places: Vec<(usize, usize)> = parsed.iter().map(|one| (one.line, one.column)).collect();
    let headers: Vec<(usize, usize)> = EXAMPLE
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with('[') && !line.contains('.'))
        .map(|(place, _)| (place + 1, 1))
        .collect();
    assert_eq!(places, headers);
}

#[test]
fn every_mistake_is_told_with_its_place_and_a_way_out() {
    let mut cases = MISTAKES.split("\n##\n").skip(1).peekable();
    let mut answers = String::from(MISTAKES.split("\n##\n").next().unwrap_or_default());
    assert!(cases.peek().is_some(), "the table has cases");
    for case in cases.filter(|case| !case.is_empty()) {
        let (text, _) = case.split_once("\n=>\n").expect("a text and an answer");
        answers.push_str(&format!("\n##\n{text}\n=>\n{}", found(text)));
    }
    answers.push_str("\n##\n");
    // After a wanted change of a message: HEARTEN_WRITE_FIXTURES=1 and read the difference.
    if std::env::var_os("HEARTEN_WRITE_FIXTURES").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mistakes.txt");
        std::fs::write(path, &answers).expect("the fixture can be written");
    }
    for (place, (found, expected)) in answers.lines().zip(MISTAKES.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of fixtures/mistakes.txt", place + 1);
    }
    assert_eq!(answers.lines().count(), MISTAKES.lines().count());
}

const BOOKS: &str = "\
[[check]]
name = \"web\"
command = \"true\"
[[notifier]]
name = \"ops\"
kind = \"webhook\"
url = \"http://localhost/\"
[[runbook]]
name = \"restart\"
on = { check = \"web\" }
where = { role = \"web\" }
[[runbook.rung]]
name = \"tell\"
notify = \"ops\"
";

fn removal(kind: &str, name: &str) -> String {
    format!("[[remove]]\nkind = \"{kind}\"\nname = \"{name}\"\n")
}

fn runbook(name: &str, on: &str, selector: &str) -> String {
    format!(
        "[[runbook]]\nname = \"{name}\"\non = {{ {on} }}\nwhere = {{ {selector} }}\n\
         [[runbook.rung]]\nname = \"x\"\nby = \"leader\"\nrun = \"true\"\n"
    )
}

#[test]
fn what_a_runbook_needs_goes_only_together_with_it() {
    let before = apply(&Documents::new(), &[("a.toml", BOOKS)]).expect("valid");
    assert_eq!(
        apply(&before, &[("b.toml", &removal("check", "web"))]),
        Err("b.toml:1: check \"web\" cannot be removed: runbook \"restart\" answers it; \
             remove or change that runbook together with it"
            .to_owned())
    );
    assert_eq!(
        apply(&before, &[("b.toml", &removal("notifier", "ops"))]),
        Err("b.toml:1: notifier \"ops\" cannot be removed: runbook \"restart\" notifies it; \
             remove or change that runbook together with it"
            .to_owned())
    );
    assert_eq!(
        apply(&before, &[("b.toml", &removal("runbook", "restrat"))]),
        Err("b.toml:1: there is no runbook \"restrat\" to remove; did you mean \"restart\"?"
            .to_owned())
    );

    let all = [removal("check", "web"), removal("notifier", "ops"), removal("runbook", "restart")];
    let after = apply(&before, &[("b.toml", &all.concat())]).expect("all of them together");
    assert!(after.is_empty());
    let shown: Vec<String> = difference(&before, &after).iter().map(Change::to_string).collect();
    assert_eq!(shown, ["- check/web", "- runbook/restart", "- notifier/ops"]);

    // The runbook is changed by the same bundle: its own problem is told, and only once.
    let changed = runbook("restart", "check = \"web\"", "");
    assert_eq!(
        apply(&before, &[("b.toml", &format!("{}{changed}", removal("check", "web")))]),
        Err("b.toml:6: runbook \"restart\": there is no check \"web\"; \
             write a [[check]] of that name"
            .to_owned())
    );
}

#[test]
fn documents_of_one_bundle_may_stand_in_any_order_and_file() {
    let (check, rest) = BOOKS.split_at(BOOKS.find("[[notifier]]").expect("it is there"));
    let one = apply(&Documents::new(), &[("a.toml", BOOKS)]).expect("valid");
    let two = apply(&Documents::new(), &[("b.toml", rest), ("a.toml", check)]).expect("valid");
    assert_eq!(one, two);
    assert_eq!(apply(&one, &[("a.toml", BOOKS)]).as_ref(), Ok(&one), "applying again is no change");
    assert_eq!(apply(&one, &[]).as_ref(), Ok(&one));
    assert_eq!(
        apply(&Documents::new(), &[("a.toml", check), ("b.toml", &format!("\n{check}"))]),
        Err("b.toml:2: check \"web\" is given twice; first at a.toml:1".to_owned())
    );
    assert_eq!(
        apply(&Documents::new(), &[("a.toml", "x"), ("b.toml", "[limit]"), ("c.toml", check)]),
        Err("a.toml:1: not valid TOML: key with no value, expected `=`\n\
             b.toml:1: unknown kind of document \"limit\"; did you mean \"limits\"?"
            .to_owned())
    );
}

#[test]
fn two_runbooks_never_answer_the_same_signal_on_the_same_peer() {
    let before = apply(&Documents::new(), &[("a.toml", BOOKS)]).expect("valid");
    let apart = [
        runbook("a", "check = \"web\"", "role = \"db\""),
        runbook("b", "peer = \"silent\"", ""),
        runbook("c", "peer = \"crashed\"", ""),
        runbook("d", "peer = \"dark\"", "zone = \"a\""),
        runbook("e", "peer = \"dark\"", "zone = \"b\""),
    ];
    let after = apply(&before, &[("b.toml", &apart.concat())]).expect("each peer has one answer");
    assert_eq!(after.len(), 8);

    let hint = "tell them apart by a label in \"where\", or by \"priority\", or remove one";
    assert_eq!(
        apply(&before, &[("b.toml", &runbook("a", "check = \"web\"", "zone = \"a\""))]),
        Err(format!(
            "b.toml:3: runbook \"a\": runbook \"restart\" answers check \"web\" as well, on peers \
             that both fit; {hint}"
        ))
    );
    let dark = runbook("f", "peer = \"dark\"", "") + &runbook("d", "peer = \"dark\"", "");
    assert_eq!(
        apply(&before, &[("b.toml", &dark)]),
        Err(format!(
            "b.toml:11: runbook \"d\": runbook \"f\" (b.toml:1) answers a dark peer as well, on \
             peers that both fit; {hint}"
        ))
    );
    let moved = runbook("restart", "check = \"web\"", "role = \"db\"")
        + &runbook("a", "check = \"web\"", "role = \"web\"");
    assert!(apply(&before, &[("b.toml", &moved)]).is_ok(), "what counts is the set afterwards");
}

#[test]
fn sizes_are_bounded() {
    let huge = "#".repeat(10 << 20);
    assert_eq!(
        found(&huge),
        format!(
            "f.toml:1: the file has 10485760 bytes; documents are at most {BUNDLE_BYTES_MAX} bytes \
             together"
        )
    );
    let half = "#".repeat(BUNDLE_BYTES_MAX / 2);
    assert!(apply(&Documents::new(), &[("a.toml", &half)]).is_ok());
    assert_eq!(
        apply(&Documents::new(), &[("a.toml", &half), ("b.toml", &half)]),
        Err(format!(
            "b.toml:1: with this file the documents exceed {BUNDLE_BYTES_MAX} bytes together; \
             apply them in several steps"
        ))
    );

    let check = |command: &str| found(&format!("[[check]]\nname = \"c\"\ncommand = {command}\n"));
    let script = |bytes: usize| check(&format!("\"{}\"", "x".repeat(bytes)));
    assert_eq!(script(65_536), "1 documents");
    assert_eq!(
        script(65_537),
        "f.toml:3: check \"c\": \"command\" is a script of 65537 bytes; at most 65536 fit"
    );
    let argument = |bytes: usize| check(&format!("[\"a\", \"{}\"]", "x".repeat(bytes)));
    assert_eq!(argument(8_192), "1 documents");
    assert_eq!(
        argument(8_193),
        "f.toml:3: check \"c\": element 2 of \"command\" has 8193 bytes; at most 8192 fit"
    );
    let arguments = |count: usize| check(&format!("[{}]", "\"a\", ".repeat(count)));
    assert_eq!(arguments(256), "1 documents");
    assert_eq!(
        arguments(257),
        "f.toml:3: check \"c\": \"command\" has 257 elements; at most 256 fit"
    );

    let many = |count: usize| -> String {
        (0..count)
            .map(|number| format!("[[check]]\nname = \"c{number}\"\ncommand = \"true\"\n"))
            .collect()
    };
    assert_eq!(found(&many(DOCUMENTS_MAX)), format!("{DOCUMENTS_MAX} documents"));
    assert_eq!(
        found(&many(DOCUMENTS_MAX + 1)),
        format!(
            "f.toml:{}: the mesh would have more than {DOCUMENTS_MAX} documents",
            3 * DOCUMENTS_MAX + 1
        )
    );
    let removed = removal("check", "c7") + &many(DOCUMENTS_MAX);
    assert!(found(&removed).starts_with("f.toml:1: there is no check \"c7\" to remove"));
}

#[test]
fn all_problems_are_told_up_to_a_screenful() {
    let text: String = (0..50).map(|number| format!("[[check]]\nname = \"c{number}\"\n")).collect();
    let told = found(&text);
    assert_eq!(told.lines().count(), PROBLEMS_KEPT + 1);
    assert!(told.starts_with("f.toml:1: check \"c0\": it has no probe"));
    assert!(told.ends_with("\n… and 30 more"), "{told}");
}

#[test]
fn labels_are_asked_for_by_value_by_set_by_exclusion_and_by_pattern() {
    let text = "[[check]]\nname = \"c\"\ncommand = \"true\"\nwhere = { role = [\"web\", \"api\"], \
                zone = { not = \"a\" }, env = { not = [\"x\", \"y\"] }, rack = { matches = \"^r[0-9]+$\" } }\n";
    let documents = apply(&Documents::new(), &[("f.toml", text)]).expect("it is valid");
    let Some(Document::Check(check)) = documents.get(&key(DocumentKind::Check, "c")) else {
        panic!("a check")
    };
    let fits = |labels: &[(&str, &str)]| {
        let owned = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        check.selector.fits(&owned.collect())
    };
    let good = [("role", "api"), ("zone", "b"), ("env", "z"), ("rack", "r12")];
    assert!(fits(&good));
    for (place, bad) in [(0, "db"), (1, "a"), (2, "y"), (3, "12")] {
        let mut labels = good;
        labels[place].1 = bad;
        assert!(!fits(&labels), "{labels:?}");
    }
}

#[test]
fn two_runbooks_for_one_check_are_refused_unless_no_peer_can_fit_both() {
    let books = |left: &str, right: &str| {
        let second = BOOKS.split("[[runbook]]").nth(1).expect("a runbook");
        let second =
            second.replace("\"restart\"", "\"other\"").replace("\"web\" }\n[", "RIGHT }\n[");
        let text = BOOKS.replace("role = \"web\"", &format!("role = {left}"))
            + "[[runbook]]"
            + &second.replace("role = RIGHT", &format!("role = {right}"));
        found(&text)
    };
    assert!(books("[\"web\", \"api\"]", "[\"db\"]").ends_with("documents"));
    assert!(books("\"web\"", "{ not = \"web\" }").ends_with("documents"));
    assert!(books("\"web\"", "{ matches = \"^db\" }").ends_with("documents"));
    for (left, right) in [
        ("[\"web\", \"api\"]", "\"api\""),
        ("{ matches = \"^a\" }", "{ matches = \"^b\" }"),
        ("{ not = \"a\" }", "{ not = \"b\" }"),
    ] {
        let answer = books(left, right);
        assert!(answer.contains("on peers that both fit"), "{left} {right}: {answer}");
    }
}
