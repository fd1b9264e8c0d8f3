//! Jobs as whoever leads sees them: what fails for a while is told when it has lasted, and what
//! tells nothing any more is forgotten.

mod common;

use common::{
    CALL, DOCUMENTS,
    driver::{Driver, Effect},
    id, name,
};
use protocol::{
    explain::why_not::Reason,
    heartbeat::{Beat, Health, JobRef, Pace, Ping, Reservation, Rule, Schedule, Signal, Word},
    ledger::incident::State,
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
    driver.write(Record::JobsTold { words: vec![word] }).expect("it is taken");
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

#[test]
fn a_host_on_which_a_job_is_run_again_is_free_for_other_repairs_meanwhile() {
    let job = r#"
[[check]]
name      = "orders"
heartbeat = "orders"
period    = "1h"
host      = "web-2"

[[runbook]]
name = "run-again"
on   = { check = "orders" }

[[runbook.rung]]
name   = "run it"
run    = "run it"
settle = "1h"
"#;
    let mut driver = Driver::with(3, &format!("{DOCUMENTS}{job}"));
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
