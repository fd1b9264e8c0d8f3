//! Why nothing is done: each reason, one by one, as the peers tell it.

mod common;

use common::{
    DOCUMENTS,
    driver::{Driver, Effect},
    id, name, ordered,
};
use protocol::{
    agent::Input,
    document::Verdict,
    explain::why_not::{Reason, WhyNot},
    ledger::incident::State,
    order::Action,
    record::{Entry, Record},
};

/// What peer `n` says about the check of the tests on peer 2.
fn asked(driver: &Driver, n: u64) -> WhyNot {
    driver.hosts[&n].agent.why_not(driver.clock(n), &name("web"), id(2))
}

fn says(driver: &Driver, n: u64, reason: Reason, words: &str) -> WhyNot {
    let why = asked(driver, n);
    assert_eq!(why.reason, reason, "{why:?}");
    assert!(why.text.contains(words), "{words:?} is not in {:?}", why.text);
    assert!(!why.text.ends_with('.') && !why.text.contains('\n'), "{:?}", why.text);
    why
}

/// Peers whose check 2 fails, with these documents, after a while.
fn failing(documents: &str) -> Driver {
    let mut driver = Driver::with(3, documents);
    driver.fails(2);
    driver.pass(3_000);
    driver
}

fn order(driver: &mut Driver, action: Action) {
    let order = ordered(7, protocol::time::Timestamp::from_millis(driver.now + 60_000), action);
    driver.write(Record::Ordered { order }).expect("the order is taken");
}

#[test]
fn a_check_that_is_not_meant_or_not_there_is_told_first() {
    let mut driver = Driver::with(3, &DOCUMENTS.replace("role = \"web\"", "role = \"db\""));
    driver.pass(2_000);
    says(
        &driver,
        1,
        Reason::NotForThisPeer,
        "it is for peers with role=db, and this one has role=web",
    );
    let why = driver.hosts[&1].agent.why_not(driver.clock(1), &name("wbe"), id(2));
    assert_eq!(why.reason, Reason::UnknownCheck);
    assert!(why.text.contains("did you mean \"web\"?"), "{why:?}");
    let why = driver.hosts[&1].agent.why_not(driver.clock(1), &name("web"), id(9));
    assert_eq!(why.reason, Reason::NotRunning, "{why:?}");
}

#[test]
fn what_passes_or_has_not_failed_often_enough_is_told_from_what_is_heard() {
    let mut driver = Driver::with(3, &DOCUMENTS.replace("fail_after = 1", "fail_after = 100"));
    says(&driver, 1, Reason::NotHeard, "has not said yet");
    driver.pass(2_000);
    says(&driver, 1, Reason::Passing, "it fails after 100 failing runs in a row, which only web-2");
    says(&driver, 2, Reason::Passing, "passes on web-2 since");
    driver.fails(2);
    driver.pass(4_000);
    says(&driver, 2, Reason::NotOftenEnough, "of the 100 times in a row that make a verdict");
    says(&driver, 1, Reason::Passing, "which only web-2 itself counts");
    driver.host(2).verdict = Verdict::Unknown;
    driver.pass(120_000);
    says(&driver, 1, Reason::ProbeBroken, "cannot be run on web-2 since");
}

#[test]
fn a_peer_that_is_not_heard_or_stopped_is_told() {
    let mut driver = Driver::of(4);
    driver.pass(2_000);
    driver.tell(3, Input::Liveness { peer: id(2), alive: false });
    says(&driver, 3, Reason::NotHeard, "nothing is heard of web-2; whether it is silent");
    driver.kill(2);
    driver.settle();
    let why = says(&driver, 1, Reason::NotHeard, "is open about that");
    assert_eq!(why.incident, Some(driver.incident().id));

    let mut driver = Driver::of(4);
    driver.pass(2_000);
    driver.kill(2);
    let stopped = Record::PeerStopped { peer: id(2) };
    let at = protocol::time::Timestamp::from_millis(driver.now);
    let (_, outcome) = driver.commit(Entry { at, by: id(2), term: driver.term, record: stopped });
    outcome.expect("it stops");
    driver.pass(100);
    says(&driver, 1, Reason::NotRunning, "was stopped on purpose at");
}

#[test]
fn runbooks_that_do_not_answer_are_told_by_name() {
    let book = "name = \"restart-web\"";
    let elsewhere = DOCUMENTS.replace(book, &format!("{book}\nwhere = {{ zone = \"nowhere\" }}"));
    let why = says(
        &failing(&elsewhere),
        1,
        Reason::SelectorDoesNotFit,
        "runbook \"restart-web\" answers check \"web\" for peers with zone=nowhere, and this one has zone=",
    );
    assert!(why.incident.is_some(), "a failure is an incident all the same");
    let other = DOCUMENTS.replace("on = { check = \"web\" }", "on = { peer = \"crashed\" }");
    let other = other.replace("run = \"re", "by = \"leader\"\nrun = \"re");
    says(&failing(&other), 1, Reason::NoRunbook, "no runbook answers check \"web\"");
    let strict = DOCUMENTS.replace("check = \"web\" }", "check = \"web\", verdict = \"fail\" }");
    let mut driver = Driver::with(3, &strict);
    driver.host(2).verdict = Verdict::Warn;
    driver.pass(3_000);
    says(&driver, 1, Reason::Milder, "answers check \"web\" when it fails, and it says warn");
}

#[test]
fn an_open_incident_is_named_with_the_rule_that_it_waits_for() {
    let mut driver = Driver::of(3);
    order(&mut driver, Action::Freeze { reason: "storm".to_owned() });
    driver.fails(2);
    driver.pass(8_000);
    let why = says(&driver, 1, Reason::Frozen, "storm");
    assert_eq!(why.incident, Some(driver.incident().id));
    assert_eq!(asked(&driver, 3), why, "every peer says the same");

    let mut driver = Driver::of(3);
    driver.fails(2);
    let over = |driver: &Driver| {
        driver.ledger.incidents().values().all(|incident| incident.state == State::Resolved)
            && !driver.ledger.incidents().is_empty()
    };
    driver.until("resolved", over);
    driver.pass(1_000);
    says(&driver, 1, Reason::Passing, "passes");
    driver.fails(2);
    driver.pass(12_000);
    let why = says(&driver, 1, Reason::CoolDown, "is open about it: ");
    assert!(why.until.is_some(), "{why:?}");

    let mut driver = Driver::with(3, &format!("{DOCUMENTS}\n[limits]\nat_once = 1\n"));
    driver.effects.insert("restart".to_owned(), Effect::Hangs);
    driver.fails(3);
    driver.pass(7_000);
    driver.fails(2);
    driver.pass(5_000);
    says(&driver, 1, Reason::Limit, "is open about it: ");
    says(&driver, 1, Reason::Limit, "INC-");
}

#[test]
fn what_an_operator_closed_is_not_taken_up_again_until_it_has_passed() {
    let mut driver = Driver::of(3);
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.effects.insert("reinstall".to_owned(), Effect::InVain);
    driver.fails(2);
    driver.until("escalated", |driver| {
        driver.ledger.incidents().values().any(|incident| incident.state == State::Escalated)
    });
    let incident = driver.incident().id;
    says(&driver, 1, Reason::OpenIncident, "a person was called");
    order(&mut driver, Action::Close { incident, reason: "known".to_owned() });
    driver.pass(2_000);
    let why = says(&driver, 1, Reason::ClosedIncident, "has to pass once before the next");
    assert_eq!(why.incident, Some(incident));
}

#[test]
fn a_maintenance_is_named() {
    let window = "\n[[maintenance]]\nname = \"move\"\ncron = \"* * * * *\"\nlasts = \"10m\"\n";
    let why = says(&failing(&format!("{DOCUMENTS}{window}")), 1, Reason::Maintenance, "move");
    assert!(why.until.is_some() && why.incident.is_some(), "{why:?}");
}
