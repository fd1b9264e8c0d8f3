//! Ladders: the widest level that is needed and all below it, from the document that is shipped.

mod common;

use common::{
    Mesh, card,
    driver::{Driver, Effect},
    id,
};
use protocol::{
    agent::Output,
    document::{Verdict, bundle::Source, parse::parse},
    explain::why_not::Reason,
    ledger::incident::{Fact, State},
    name::Name,
    record::{Because, Record},
    refusal::Refusal,
};

const ESCALATOR: &str = include_str!("../../node/documents/escalator.toml");
const LEVELS: [&str; 6] = [
    "account",
    "core network",
    "tier network and its machines",
    "one machine",
    "converge",
    "deploy",
];

/// Four peers of the environment, in two tiers.
fn shop() -> Driver {
    shop_with(|text| text)
}

/// The same with the document changed a little.
fn shop_with(change: impl Fn(String) -> String) -> Driver {
    let mut mesh = Mesh::of(4);
    for n in 1..=4 {
        let mut peer = card(n);
        peer.labels.insert("env".to_owned(), "shop".to_owned());
        peer.labels.insert("tier".to_owned(), if n <= 2 { "web" } else { "db" }.to_owned());
        peer.generation += 1;
        mesh.done(n, Record::PeerStarted { peer });
    }
    // Every second, so that a test is over soon.
    let text = ESCALATOR.replace("every   = \"5m\"\n", "");
    let text = text.replace("[[check]]", "[[check]]\nevery = \"1s\"");
    mesh.documents(&change(text)).expect("the shipped document is valid");
    let cards: Vec<_> = (1..=4)
        .map(|n| mesh.ledger.roster().member(id(n)).expect("a member").card.clone())
        .collect();
    let mut driver = Driver::from_mesh(mesh, 4);
    for (n, card) in (1..=4).zip(cards) {
        driver.reboot(n, card);
    }
    for rung in LEVELS {
        driver.effects.insert(rung.to_owned(), Effect::InVain);
    }
    driver.effects.insert("deploy".to_owned(), Effect::HealsAll);
    driver
}

fn breaks(driver: &mut Driver, n: u64, check: &str) {
    driver.host(n).findings.insert(check.to_owned(), Verdict::Fail);
}

fn rungs(driver: &Driver) -> Vec<String> {
    driver.executed().into_iter().map(|(_, rung)| rung).collect()
}

fn resolved(driver: &Driver) -> bool {
    driver.ledger.incidents().values().last().is_some_and(|i| i.state == State::Resolved)
}

#[test]
fn what_merely_warns_needs_no_level() {
    let mut driver = shop();
    driver.host(1).findings.insert("host-answers".to_owned(), Verdict::Warn);
    driver.pass(30_000);
    assert!(rungs(&driver).is_empty());
    let leader = &driver.hosts[&1].agent;
    let check = Name::parse("host-answers").expect("a name");
    let why = leader.why_not(driver.clock(1), &check, id(1));
    assert_eq!(why.reason, Reason::Milder, "{why:?}");
    assert!(why.text.contains("when it fails, and it says warn"), "{why:?}");
}

#[test]
fn where_nothing_exists_yet_every_level_is_built_in_its_order() {
    let mut driver = shop();
    for n in 1..=4 {
        for check in ["provider-online", "network-up", "tier-answers", "host-answers", "smoke-test"]
        {
            breaks(&mut driver, n, check);
        }
    }
    driver.until("resolved", resolved);
    let mut done = rungs(&driver);
    let count = |rung: &str| rungs(&driver).iter().filter(|done| *done == rung).count();
    assert_eq!(count("account"), 1, "once for the mesh");
    assert_eq!(count("tier network and its machines"), 2, "once for each tier");
    assert_eq!(count("one machine"), 4, "once for each peer");
    done.dedup();
    assert_eq!(done, LEVELS);
    assert_eq!(driver.incident().attempts.len(), 1 + 1 + 2 + 4 + 4 + 1);
}

#[test]
fn nothing_is_done_until_the_picture_is_whole() {
    let mut driver = shop();
    breaks(&mut driver, 3, "smoke-test");
    driver.pass(20_000);
    assert!(driver.ledger.incidents().is_empty());
    breaks(&mut driver, 3, "host-answers");
    driver.until("opened", |driver| !driver.ledger.incidents().is_empty());
    let Because::Ladder { level, since, .. } = &driver.incident().because else {
        panic!("a ladder")
    };
    assert!(driver.incident().opened_at.since(*since) >= common::seconds(30));
    assert_eq!(*level, 4, "what failed meanwhile counts");
    driver.until("resolved", resolved);
    assert_eq!(rungs(&driver), ["one machine", "converge", "deploy"], "a dead host: 4, 5 and 6");
    let targets: Vec<_> = driver
        .outputs
        .iter()
        .filter_map(|(_, _, output)| {
            let Output::Execute(order) = output else { return None };
            Some(order.variables["HEARTEN_PEER"].clone())
        })
        .collect();
    assert_eq!(targets, ["web-3", "web-3", "web-3"]);
}

#[test]
fn when_the_smoke_test_fails_the_application_alone_is_deployed_then_the_previous_version() {
    let mut driver = shop();
    driver.effects.insert("deploy".to_owned(), Effect::InVain);
    driver.effects.insert("deploy the previous version".to_owned(), Effect::HealsAll);
    breaks(&mut driver, 1, "smoke-test");
    driver.until("resolved", resolved);
    assert_eq!(rungs(&driver), ["deploy", "deploy the previous version"]);
}

#[test]
fn what_no_level_mends_is_a_persons() {
    let mut driver = shop();
    driver.effects.insert("deploy".to_owned(), Effect::InVain);
    driver.effects.insert("deploy the previous version".to_owned(), Effect::Fails);
    breaks(&mut driver, 1, "smoke-test");
    driver.until("escalated", |driver| {
        driver.ledger.incidents().values().last().is_some_and(|i| i.state == State::Escalated)
    });
    driver.pass(60_000);
    assert_eq!(driver.ledger.incidents().len(), 1, "one incident, not one for each check");
    assert_eq!(driver.count(|output| matches!(output, Output::Notify { .. })), 1);
}

#[test]
fn what_stands_on_a_level_is_not_brought_back_while_the_level_is_not_there() {
    let mut driver = shop();
    driver.effects.insert("one machine".to_owned(), Effect::Fails);
    breaks(&mut driver, 3, "host-answers");
    driver.until("escalated", |driver| {
        driver.ledger.incidents().values().last().is_some_and(|i| i.state == State::Escalated)
    });
    assert_eq!(rungs(&driver), ["one machine"]);
    // A level has alternatives: the other provider.
    let mut driver = shop();
    driver.effects.insert("account".to_owned(), Effect::Fails);
    driver.effects.insert("account at the other provider".to_owned(), Effect::InVain);
    breaks(&mut driver, 1, "provider-online");
    driver.until("resolved", resolved);
    let done = rungs(&driver);
    assert_eq!(&done[..3], ["account", "account at the other provider", "core network"]);
}

#[test]
fn a_leader_cannot_open_a_ladder_early_or_wider_than_is_needed() {
    let mut mesh = Mesh::of(3);
    let mut peer = card(1);
    peer.labels.insert("env".to_owned(), "shop".to_owned());
    peer.generation += 1;
    mesh.done(1, Record::PeerStarted { peer });
    mesh.documents(ESCALATOR).expect("valid");
    let because = |check: &str, level: u32, since: u64| Because::Ladder {
        ladder: common::name("shop"),
        level,
        failing: vec![protocol::record::Failing {
            peer: id(1),
            check: common::name(check),
            since: common::at(since),
        }],
        since: common::at(since),
    };
    let mut open = |because: Because| mesh.refused(1, Record::Opened { peer: id(1), because });
    let early = open(because("smoke-test", 6, 900));
    assert!(matches!(early, Refusal::Quiescing { .. }), "{early}");
    mesh.wait(60);
    let mut open = |because: Because| mesh.refused(1, Record::Opened { peer: id(1), because });
    let wide = open(because("smoke-test", 1, 900));
    assert!(matches!(wide, Refusal::Misassigned { .. }), "{wide}");
    let other = open(because("web", 6, 900));
    assert!(matches!(other, Refusal::Misassigned { .. }), "{other}");
}

#[test]
fn a_ladder_with_a_gap_a_cycle_or_a_stranger_is_refused() {
    let read = |text: &str| -> Result<(), String> {
        let mut mesh = Mesh::of(1);
        mesh.documents(text).map(|_| ()).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(read(ESCALATOR), Ok(()));
    for (from, to, says) in [
        ("number  = 5", "number  = 7", "level 5 is missing"),
        ("number  = 2", "number  = 1", "there are two levels 1"),
        ("checks  = [\"network-up\"]", "checks  = [\"provider-online\"]", "needs level 1 already"),
        ("runbook = \"shop-tier\"", "runbook = \"shop-host\"", "would be run at two levels"),
        (
            "checks  = [\"network-up\"]",
            "checks  = [\"netwrk-up\"]",
            "there is no check \"netwrk-up\"",
        ),
        ("scope   = \"group:tier\"", "scope   = \"rack\"", "\"scope\" is none"),
        ("runbook = \"shop-tier\"", "runbook = \"shop-teir\"", "is not there"),
    ] {
        let error = read(&ESCALATOR.replacen(from, to, 1)).expect_err(says);
        assert!(error.contains(says), "{error}");
    }
    // A ladder cannot name itself: a level's runbook answers its own ladder and nothing else.
    let other =
        ESCALATOR.replacen("on   = { ladder = \"shop\" }", "on   = { check = \"converged\" }", 1);
    let error = read(&other).expect_err("another signal");
    assert!(error.contains("answers another signal"), "{error}");
}

#[test]
fn the_shipped_documents_are_valid() {
    for (file, text) in [
        ("escalator.toml", ESCALATOR),
        ("disk-replacement.toml", include_str!("../../node/documents/disk-replacement.toml")),
    ] {
        let source = Source { file: file.to_owned(), text: text.to_owned() };
        let parsed = parse(&source).map_err(|problems| problems.to_string());
        assert!(parsed.is_ok(), "{parsed:?}");
        assert!(Mesh::of(1).documents(text).is_ok(), "{file}");
    }
}

#[test]
fn when_the_way_down_is_tried_again_what_is_done_once_is_passed_over() {
    let mut driver = shop_with(|text| {
        let text = text.replace("tries   = 1", "tries   = 2");
        text.replace("bin/deploy\", \"current\"]", "bin/deploy\", \"current\"]\neffect = \"once\"")
    });
    driver.effects.insert("deploy".to_owned(), Effect::InVain);
    driver.effects.insert("deploy the previous version".to_owned(), Effect::InVain);
    breaks(&mut driver, 1, "smoke-test");
    driver.until("escalated", |driver| {
        driver.ledger.incidents().values().last().is_some_and(|i| i.state == State::Escalated)
    });
    let previous = "deploy the previous version";
    assert_eq!(rungs(&driver), ["deploy", previous, previous]);
    let once = driver
        .incident()
        .timeline
        .iter()
        .any(|line| matches!(&line.fact, Fact::Skipped(_, Refusal::OnceOnly { .. })));
    assert!(once, "{}", driver.history());
}
