//! Jobs as whoever leads sees them: what fails for a while is told when it has lasted, and what
//! tells nothing any more is forgotten.

mod common;

use common::{
    CALL, DOCUMENTS,
    driver::{Driver, Effect},
    id, name, ordered, seconds,
};
use protocol::{
    agent::Output,
    explain::why_not::Reason,
    heartbeat::{Beat, Health, JobRef, Pace, Ping, Reservation, Rule, Schedule, Signal, Word},
    ledger::incident::State,
    order::Action,
    record::{Because, Record},
    refusal::Refusal,
    time::Timestamp,
};
use std::{collections::BTreeMap, time::Duration};

fn documents(check: &str) -> String {
    format!(
        r#"
[[check]]
name      = "jobs"
heartbeat = {{ app = "shop" }}
{check}

[[runbook]]
name     = "call"
on       = {{ check = "jobs" }}
cooldown = "0s"
{CALL}
"#
    )
}

fn driver(check: &str) -> Driver {
    let mut driver = Driver::with(2, &documents(check));
    let mut reservation = Reservation::new(
        "orders",
        Pace { schedule: Schedule::Learned { by: Rule::PaceHb }, grace: Duration::ZERO },
    );
    reservation.labels = BTreeMap::from([("app".to_owned(), "shop".to_owned())]);
    tell(&mut driver, Word::Reserve(reservation));
    driver
}

fn tell(driver: &mut Driver, word: Word) {
    driver.write(Record::JobsTold { words: vec![word], nonce: None }).expect("it is taken");
}

fn now(driver: &Driver) -> Timestamp {
    Timestamp::from_millis(driver.now)
}

fn beat(driver: &mut Driver, health: Health) {
    let beat = Beat {
        job: JobRef::Name("orders".to_owned()),
        at: now(driver),
        health,
        ttl: None,
        then: None,
        elapsed: None,
        value: None,
        predicted: None,
        summary: String::new(),
    };
    tell(driver, Word::Beat(beat));
}

fn ping(driver: &mut Driver, signal: Signal) {
    let (job, at) = (JobRef::Name("orders".to_owned()), now(driver));
    tell(driver, Word::Ping(Ping { job, at, signal, run: None, body: String::new() }));
}

fn because(driver: &Driver) -> Because {
    let job = driver.ledger.heartbeats().named("orders").expect("it is known");
    let since = job.trouble.as_ref().expect("it is in trouble").since;
    let summary = "it fails".to_owned();
    Because::Job { check: name("jobs"), job: "orders".to_owned(), since, summary }
}

fn open(driver: &Driver) -> usize {
    driver.ledger.incidents().len()
}

/// Time passes quickly, in steps that are no gap in the log.
fn pass_quickly(driver: &mut Driver, minutes: u64) {
    for _ in 0..minutes * 2 {
        driver.now += 29_900;
        driver.pass(100);
    }
}

#[test]
fn what_is_critical_is_told_when_it_has_lasted_without_a_break() {
    let mut driver = driver("failing_for = \"2m\"");
    driver.pass(45_000);
    for _ in 0..3 {
        beat(&mut driver, Health::Critical);
        driver.pass(30_000);
    }
    beat(&mut driver, Health::Ok);
    assert_eq!(open(&driver), 0);
    driver.pass(30_000);
    // From here on without a break.
    beat(&mut driver, Health::Critical);
    let began = driver.now;
    for _ in 0..3 {
        driver.pass(30_000);
        beat(&mut driver, Health::Critical);
    }
    driver.pass(29_900);
    assert_eq!(open(&driver), 0);
    let early = Record::Opened { peer: id(1), because: because(&driver) };
    let refused = driver.write(early).expect_err("it has not lasted");
    assert!(
        matches!(&refused, Refusal::Misassigned { why } if why.contains("fail for 100ms more")),
        "{refused:?}"
    );
    let why = driver.hosts[&1].agent.why_not(driver.clock(1), &name("jobs"), id(1));
    assert_eq!(why.reason, Reason::NotOftenEnough, "{why:?}");
    assert!(why.text.contains("told when that has lasted for 100ms more"), "{why:?}");
    driver.until("it is told", |driver| open(driver) == 1);
    assert!((120_000..121_000).contains(&(driver.now - began)), "{}", driver.now - began);
    beat(&mut driver, Health::Ok);
    driver.until("it is over", |driver| driver.incident().state == State::Resolved);
}

#[test]
fn one_failure_after_another_lasts_and_what_is_missed_is_told_at_once() {
    let mut driver = driver("failing_for = \"2m\"");
    driver.pass(45_000);
    let began = driver.now;
    for _ in 0..4 {
        ping(&mut driver, Signal::Fail(Some(3)));
        assert_eq!(open(&driver), 0);
        driver.pass(30_000);
    }
    driver.until("it is told", |driver| open(driver) == 1);
    assert!(driver.now - began < 121_000, "as long as since the first: {}", driver.now - began);
    ping(&mut driver, Signal::Success);
    driver.until("it is over", |driver| driver.incident().state == State::Resolved);
    let missed = |driver: &Driver| driver.ledger.heartbeats().named("orders").map(|job| job.misses);
    driver.until("it is missed", |driver| missed(driver) == Some(1));
    driver.pass(2_000);
    assert_eq!(open(&driver), 2, "{}", driver.history());
}

#[test]
fn a_failure_that_lasted_while_nobody_led_may_be_over_and_waits_until_that_would_be_heard() {
    let mut driver = driver("failing_for = \"2m\"");
    driver.pass(45_000);
    beat(&mut driver, Health::Critical);
    driver.pass(119_000);
    driver.elect(2);
    // The first entry of the term.
    beat(&mut driver, Health::Critical);
    driver.pass(39_000);
    assert_eq!(open(&driver), 0);
    driver.until("it is told", |driver| open(driver) == 1);
}

#[test]
fn who_tells_nothing_any_more_is_forgotten_and_the_incident_says_so() {
    let mut driver = driver("forget_after = \"2h\"");
    driver.pass(45_000);
    beat(&mut driver, Health::Ok);
    driver.until("it is missed", |driver| open(driver) == 1);
    pass_quickly(&mut driver, 112);
    assert!(driver.ledger.heartbeats().named("orders").is_some());
    assert!(!driver.incident().state.is_over());
    pass_quickly(&mut driver, 3);
    assert!(driver.ledger.heartbeats().named("orders").is_none(), "{}", driver.history());
    driver.until("it is over", |driver| driver.incident().state == State::Resolved);
    let said = "told nothing for 2h";
    assert!(driver.history().contains(said), "{}", driver.history());
    assert!(driver.history().contains("and was forgotten"), "{}", driver.history());
    // It is another job when it comes again, and is waited for.
    let mut again = Reservation::new("orders", Pace::USUAL);
    again.labels = BTreeMap::from([("app".to_owned(), "shop".to_owned())]);
    tell(&mut driver, Word::Reserve(again));
    assert!(driver.ledger.heartbeats().forgotten("orders").is_none());
}

const RUN_AGAIN: &str = r#"
[[check]]
name      = "jobs"
heartbeat = { app = "shop" }

[[runbook]]
name     = "run-again"
on       = { check = "jobs" }
cooldown = "0s"

[[runbook.rung]]
name   = "run it"
run    = "run it"
settle = "1m"
"#;

/// The job fails, and is run again.
fn that_fails(effect: Effect) -> Driver {
    let mut driver = Driver::with(2, &format!("{RUN_AGAIN}{CALL}"));
    driver.effects.insert("run it".to_owned(), effect);
    let mut reservation = Reservation::new("orders", Pace::USUAL);
    reservation.labels = BTreeMap::from([("app".to_owned(), "shop".to_owned())]);
    tell(&mut driver, Word::Reserve(reservation));
    driver.pass(45_000);
    ping(&mut driver, Signal::Fail(None));
    driver.until("it is run again", |driver| !driver.executed().is_empty());
    driver
}

fn proposed(driver: &Driver) -> usize {
    driver.count(|output| {
        matches!(
            output,
            Output::Propose { entry, .. } if matches!(entry.record, Record::Opened { .. })
        )
    })
}

#[test]
fn a_job_that_is_run_again_and_fails_again_is_not_well_and_a_person_is_called() {
    let mut driver = that_fails(Effect::InVain);
    for _ in 0..4 {
        driver.pass(10_000);
        ping(&mut driver, Signal::Fail(Some(3)));
    }
    driver.until("a person is called", |driver| driver.incident().state == State::Escalated);
    assert_eq!(driver.executed().len(), 1, "{}", driver.history());
    assert_eq!(proposed(&driver), 1);
    // Nor is it another one that it fails on, or does not come at all.
    ping(&mut driver, Signal::Fail(None));
    pass_quickly(&mut driver, 26 * 60);
    assert_eq!(driver.incident().state, State::Escalated, "{}", driver.history());
    ping(&mut driver, Signal::Success);
    driver.until("it is over", |driver| driver.incident().state == State::Resolved);
    assert!(driver.history().contains("checked in at"), "{}", driver.history());
    ping(&mut driver, Signal::Fail(None));
    driver.until("it is another one", |driver| open(driver) == 2);
}

#[test]
fn a_job_that_was_missed_and_then_fails_is_not_well() {
    let mut driver = driver("");
    driver.pass(45_000);
    beat(&mut driver, Health::Ok);
    driver.until("it is missed", |driver| open(driver) == 1);
    ping(&mut driver, Signal::Fail(None));
    driver.pass(10_000);
    assert_eq!(driver.incident().state, State::Escalated, "{}", driver.history());
}

#[test]
fn what_is_told_while_a_job_is_being_run_again_is_not_proposed_in_vain() {
    let mut driver = that_fails(Effect::Hangs);
    ping(&mut driver, Signal::Fail(None));
    driver.pass(5_000);
    assert_eq!((open(&driver), proposed(&driver)), (1, 1));
    // It was well for a moment: what comes next is told when nothing is being done any more.
    ping(&mut driver, Signal::Success);
    driver.pass(1_000);
    ping(&mut driver, Signal::Fail(Some(4)));
    driver.pass(5_000);
    assert_eq!((open(&driver), proposed(&driver)), (1, 1));
    let because = because(&driver);
    let refused = driver.write(Record::Opened { peer: id(2), because }).expect_err("one is open");
    let first = driver.incident().id;
    assert_eq!(refused, Refusal::AlreadyOpen { incident: first });
    driver.until("it is another one", |driver| open(driver) == 2);
    assert_eq!(driver.ledger.incidents()[&first].state, State::Resolved);
    assert_eq!(proposed(&driver), 2);
}

#[test]
fn what_an_operator_closed_is_told_of_again_when_it_fails_again_and_not_before() {
    let mut driver = that_fails(Effect::InVain);
    driver.until("a person is called", |driver| driver.incident().state == State::Escalated);
    ping(&mut driver, Signal::Fail(None));
    let (incident, reason) = (driver.incident().id, "a disk is replaced".to_owned());
    let order = ordered(1, now(&driver).plus(seconds(60)), Action::Close { incident, reason });
    driver.write(Record::Ordered { order }).expect("it is closed");
    driver.pass(10_000);
    assert_eq!(open(&driver), 1, "{}", driver.history());
    ping(&mut driver, Signal::Fail(None));
    driver.until("it is another one", |driver| open(driver) == 2);
}

#[test]
fn who_stood_for_a_job_and_leaves_is_followed_by_another() {
    let mut driver = that_fails(Effect::InVain);
    driver.until("a person is called", |driver| driver.incident().state == State::Escalated);
    ping(&mut driver, Signal::Fail(None));
    let first = driver.incident().peer;
    assert_eq!(first, id(1));
    driver.write(Record::PeerLeft { peer: first }).expect("it leaves");
    driver.elect(2);
    driver.until("it is told about another", |driver| open(driver) == 2);
    let peers: Vec<_> = driver.ledger.incidents().values().map(|one| one.peer).collect();
    assert_eq!(peers, [first, id(2)]);
}

/// A job of `web-2` that a rung is climbed for, one that says this of itself.
fn of_host(rung: &str) -> String {
    format!(
        r#"{DOCUMENTS}
[[check]]
name      = "orders"
heartbeat = "orders"
period    = "1h"
host      = "web-2"

[[runbook]]
name = "run-again"
on   = {{ check = "orders" }}

[[runbook.rung]]
name   = "run it"
run    = "run it"
{rung}
"#
    )
}

#[test]
fn a_host_on_which_a_job_is_run_again_is_free_for_other_repairs_meanwhile() {
    let mut driver = Driver::with(3, &of_host("settle = \"1h\""));
    driver.effects.insert("run it".to_owned(), Effect::InVain);
    driver.pass(45_000);
    ping(&mut driver, Signal::Fail(None));
    driver.until("it is run again", |driver| driver.executed() == [(2, "run it".to_owned())]);
    driver.fails(2);
    driver.until("the service is mended", |driver| driver.executed().len() == 2);
    assert_eq!(driver.executed()[1], (2, "restart".to_owned()));
    // The job itself is given its hour.
    driver.pass(60_000);
    let job = driver
        .ledger
        .incidents()
        .values()
        .find(|incident| incident.because.check() == Some(&name("orders")));
    assert_eq!(job.expect("it is open").state, State::Verifying);
}

#[test]
fn a_host_that_is_rebooted_for_a_job_is_left_alone_until_that_has_settled() {
    let mut driver = Driver::with(3, &of_host("settle = \"1m\"\nreboot = true"));
    driver.effects.insert("run it".to_owned(), Effect::InVain);
    driver.pass(45_000);
    ping(&mut driver, Signal::Fail(None));
    driver.until("it is rebooted", |driver| driver.executed() == [(2, "run it".to_owned())]);
    let rebooted = driver.now;
    driver.fails(2);
    driver.until("the service is mended", |driver| driver.executed().len() == 2);
    assert_eq!(driver.executed()[1], (2, "restart".to_owned()));
    assert!(driver.now - rebooted >= 60_000, "{}", driver.history());
}
