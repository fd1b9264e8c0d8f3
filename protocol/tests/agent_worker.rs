//! What a worker executes and what it refuses, whatever the log says.

mod common;

use common::{
    driver::{Driver, Effect},
    failing, id, name, ordered, stranger, trust, trust_in,
};
use protocol::{
    agent::{Input, LocalPolicy, Output},
    ledger::incident::{Fact, State},
    name::IncidentId,
    order::Action,
    record::{Outcome, Record},
    refusal::Refusal,
    time::Timestamp,
};

/// The first incident's outcomes so far.
fn outcomes(driver: &Driver) -> Vec<Option<Outcome>> {
    let incident = driver.ledger.incidents().values().next().expect("an incident");
    incident.attempts.iter().map(|attempt| attempt.outcome()).collect()
}

fn refusals(driver: &Driver) -> Vec<String> {
    let incident = driver.ledger.incidents().values().next().expect("an incident");
    let reports = incident.attempts.iter().filter_map(|attempt| attempt.report.as_ref());
    reports.map(|report| report.output.clone()).collect()
}

fn open(driver: &mut Driver, n: u64) {
    let because = failing(driver.now);
    driver.write(Record::Opened { peer: id(n), because }).expect("opened");
}

/// A mesh in which peer 2 has been given an attempt, whose start is not on its disk yet.
fn recording() -> (Driver, IncidentId) {
    let mut driver = Driver::of(3);
    driver.pass(2_000);
    driver.host(2).disk = false;
    driver.fails(2);
    driver.until("assigned", |driver| {
        driver.count(|output| matches!(output, Output::RecordStart { .. })) == 1
    });
    let incident = driver.incident().id;
    (driver, incident)
}

fn recorded(driver: &mut Driver, incident: IncidentId) {
    driver.host(2).disk = true;
    driver.host(2).started.insert((incident, 1));
    driver.tell(2, Input::StartRecorded { incident, attempt: 1 });
}

#[test]
fn what_the_pinned_operators_did_not_sign_is_neither_run_nor_collected_nor_executed() {
    let mut driver = Driver::of(3);
    driver.configure(2, trust_in(&[stranger()]), LocalPolicy::default());
    driver.fails(2);
    driver.pass(10_000);
    open(&mut driver, 2);
    driver.until("escalated", |driver| driver.incident().state == State::Escalated);
    assert!(driver.outputs.iter().all(|(n, _, output)| *n != 2
        || !matches!(
            output,
            Output::RunCheck { .. } | Output::TakeEvidence { .. } | Output::RecordStart { .. }
        )));
    assert_eq!(outcomes(&driver), [Some(Outcome::Refused); 6], "three times each rung");
    let not_signed = Refusal::NotSigned { valid: 0, needed: 1 }.to_string();
    assert!(refusals(&driver).iter().all(|said| *said == not_signed), "{:?}", refusals(&driver));
}

#[test]
fn a_hosts_own_policy_goes_before_the_documents() {
    let denied =
        LocalPolicy { denied_runbooks: [name("restart-web")].into(), ..LocalPolicy::default() };
    for policy in [denied, LocalPolicy { observe_only: true, ..LocalPolicy::default() }] {
        let mut driver = Driver::of(3);
        driver.configure(2, trust(), policy);
        driver.fails(2);
        driver.until("escalated", |driver| {
            driver.ledger.incidents().values().any(|i| i.state == State::Escalated)
        });
        assert!(driver.executed().is_empty());
        assert!(refusals(&driver).iter().all(|said| said.contains("own policy")));
    }
}

#[test]
fn an_attempt_is_not_started_after_its_time() {
    let (mut driver, incident) = recording();
    driver.pass(11_000);
    recorded(&mut driver, incident);
    assert!(driver.executed().is_empty());
    assert_eq!(outcomes(&driver)[0], Some(Outcome::Refused));
    assert!(refusals(&driver)[0].contains("too late"));
}

#[test]
fn a_freeze_holds_what_is_not_yet_started() {
    let (mut driver, incident) = recording();
    let freeze = Action::Freeze { reason: "a move".to_owned() };
    let order = ordered(7, Timestamp::from_millis(u64::MAX), freeze);
    driver.write(Record::Ordered { order }).expect("frozen");
    recorded(&mut driver, incident);
    driver.pass(30_000);
    assert!(driver.executed().is_empty());
    let order = ordered(8, Timestamp::from_millis(u64::MAX), Action::Thaw);
    driver.write(Record::Ordered { order }).expect("thawed");
    driver.until("resolved", |driver| driver.incident().state == State::Resolved);
    assert_eq!(driver.executed().len(), 1);
}

#[test]
fn what_an_operator_closed_is_not_started() {
    let (mut driver, incident) = recording();
    let close = Action::Close { incident, reason: "mine".to_owned() };
    let order = ordered(7, Timestamp::from_millis(u64::MAX), close);
    driver.write(Record::Ordered { order }).expect("closed");
    recorded(&mut driver, incident);
    driver.pass(30_000);
    assert!(driver.executed().is_empty());
    assert_eq!(outcomes(&driver), [Some(Outcome::Refused)]);
}

#[test]
fn a_start_that_is_never_on_disk_is_given_up_and_asked_about() {
    let (mut driver, _) = recording();
    driver.until("held", |driver| {
        matches!(driver.incident().held, Some(Refusal::UnknownOutcome { .. }))
    });
    assert!(driver.executed().is_empty());
}

#[test]
fn a_host_whose_clock_begins_anew_does_not_start_what_is_over_by_then() {
    let (mut driver, _) = recording();
    driver.pass(12_000);
    let behind = i64::try_from(driver.now).expect("small");
    driver.host(2).ahead = -behind;
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.restart(2);
    driver.settle();
    assert_eq!(outcomes(&driver)[0], Some(Outcome::Refused), "{}", driver.history());
    driver.until("again", |driver| driver.executed().len() == 1);
    assert_eq!(driver.incident().attempts.len(), 2);
}

#[test]
fn an_old_log_is_read_without_acting_on_it() {
    let (driver, _) = recording();
    // The same log, read from its beginning by a daemon that was away for an hour and believes
    // that no time has passed.
    let mut reader = Driver::of(3);
    reader.leader = None;
    reader.gossip = false;
    reader.restart(2);
    for n in [1, 3] {
        reader.kill(n);
    }
    reader.settle();
    for (position, entry) in &driver.log {
        let entry = Some(entry.clone());
        reader.tell(2, Input::Committed { position: *position, entry });
    }
    let acts = |output: &Output| matches!(output, Output::RecordStart { .. });
    assert_eq!(reader.count(acts), 0);
}

#[test]
fn what_ends_while_the_daemon_stops_is_still_told() {
    let mut driver = Driver::of(3);
    driver.effects.insert("restart".to_owned(), Effect::Hangs);
    driver.fails(2);
    driver.until("executed", |driver| !driver.executed().is_empty());
    let incident = driver.incident().id;
    driver.tell(2, Input::Stopping { for_good: false });
    let report = common::ended(Outcome::Failed);
    driver.tell(2, Input::Finished { incident, attempt: 1, report });
    assert_eq!(outcomes(&driver), [Some(Outcome::Failed)]);
}

#[test]
fn an_outcome_is_told_until_the_log_has_it_and_then_no_more() {
    let mut driver = Driver::of(3);
    driver.effects.insert("restart".to_owned(), Effect::Hangs);
    driver.fails(2);
    driver.until("executed", |driver| !driver.executed().is_empty());
    let incident = driver.incident().id;
    driver.leader = None;
    let report = common::ended(Outcome::Failed);
    driver.tell(2, Input::Finished { incident, attempt: 1, report });
    driver.pass(5_000);
    let told = |driver: &Driver| {
        driver.count(|output| {
            matches!(output, Output::Forward { entry, .. }
                if matches!(entry.record, Record::Reported { attempt: 1, .. }))
        })
    };
    assert!((4..=40).contains(&told(&driver)), "{}", told(&driver));
    driver.elect(3);
    driver.pass(2_000);
    let before = told(&driver);
    driver.pass(5_000);
    assert_eq!(told(&driver), before);
    let reported = |line: &&protocol::ledger::incident::Line| line.fact == Fact::Reported(1);
    assert_eq!(driver.incident().timeline.iter().filter(reported).count(), 1);
}
