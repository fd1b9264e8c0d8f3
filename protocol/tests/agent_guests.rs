//! Guests: hosts without a daemon, that a surgeon of their own heals.

mod common;

use common::{driver::Driver, id};
use protocol::{
    agent::{Output, operation::Operation},
    alert::{Alert, Word},
    document::guest::hash_of as hash_of_surgeon,
    ledger::{
        self,
        guests::hash_of,
        incident::{Incident, State},
    },
    name::PeerId,
    record::{AttemptReport, Outcome, Record},
    refusal::Refusal,
    time::Timestamp,
};
use std::collections::BTreeMap;

const SURGEON: &str = "old-db.7Jq2";

fn documents(runbook: &str) -> String {
    let hash = data_encoding::HEXLOWER.encode(&hash_of_surgeon(SURGEON));
    format!(
        r#"
[[check]]
name  = "database"
alert = {{ alertname = "DatabaseDown" }}
where = {{ role = "db" }}

[[guest]]
name = "old-db"
labels         = {{ role = "db", unit = "it's 5" }}
surgeon_sha256 = "{hash}"
claim_within   = "2m"

[[runbook]]
name     = "restart-database"
on       = {{ check = "database" }}
cooldown = "0s"
{runbook}
"#
    )
}

const RESTART: &str = r#"
[[runbook.rung]]
name    = "restart"
run     = "systemctl restart db"
timeout = "30s"
"#;

fn mesh(runbook: &str) -> Driver {
    Driver::with(3, &documents(runbook))
}

fn alert(at: u64) -> Alert {
    let labels = [("alertname", "DatabaseDown"), ("host", "old-db")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Alert::new(BTreeMap::from(labels), "no answer", Timestamp::from_millis(at), None)
        .expect("it is an alert")
}

fn fires(driver: &mut Driver) {
    let words = vec![Word::Fires(alert(driver.now))];
    driver.write(Record::Alerted { words }).expect("it is taken");
}

fn ends(driver: &mut Driver) {
    let at = Timestamp::from_millis(driver.now);
    let words = vec![Word::Ended { alert: alert(0).id(), starts_at: Some(at), at }];
    driver.write(Record::Alerted { words }).expect("it is taken");
}

fn guest(driver: &Driver) -> PeerId {
    driver.hosts[&2].agent.guest_of(SURGEON).expect("a guest")
}

/// What peer `n` would hand to the surgeon.
fn asks(driver: &Driver, n: u64) -> Result<Option<Operation>, Refusal> {
    driver.hosts[&n].agent.operation_for(guest(driver), driver.clock(n))
}

/// Peer `n` claims what it would hand over, under an id of its own.
fn claims(driver: &mut Driver, n: u64, operation: u64) -> ledger::Outcome {
    let asked = asks(driver, n).expect("nothing holds it back").expect("something waits");
    claims_this(driver, n, &asked, operation)
}

fn claims_this(driver: &mut Driver, n: u64, asked: &Operation, operation: u64) -> ledger::Outcome {
    let record = Record::Claimed {
        incident: asked.incident,
        attempt: asked.attempt,
        operation: hash_of(operation),
    };
    by(driver, n, record)
}

fn by(driver: &mut Driver, n: u64, record: Record) -> ledger::Outcome {
    let at = Timestamp::from_millis(driver.now);
    let entry = protocol::record::Entry { at, by: id(n), term: driver.term, record };
    ledger::may_forward(id(n), &entry).expect("a fact of its own");
    let (_, outcome) = driver.commit(entry);
    driver.settle();
    outcome
}

fn reports(driver: &mut Driver, n: u64, operation: u64, outcome: Outcome) -> ledger::Outcome {
    let finished_at = Timestamp::from_millis(driver.now);
    let report = AttemptReport {
        outcome,
        exit_code: None,
        started_at: None,
        finished_at,
        output: "as it was".to_owned(),
    };
    by(driver, n, Record::Operated { operation, report })
}

fn assigned(driver: &mut Driver, attempts: usize) {
    driver.until("assigned", |driver| {
        let last = driver.ledger.incidents().values().last();
        last.is_some_and(|incident| {
            incident.attempts.len() == attempts && incident.in_flight().is_some()
        })
    });
}

fn last_outcome(incident: &Incident) -> Option<Outcome> {
    incident.last_attempt().and_then(|attempt| attempt.outcome())
}

#[test]
fn a_guest_is_healed_by_its_surgeon_and_by_nobody_else() {
    let mut driver = mesh(RESTART);
    assert_eq!(asks(&driver, 2), Ok(None), "nothing is wrong");
    fires(&mut driver);
    assigned(&mut driver, 1);
    let incident = driver.incident();
    assert_eq!(incident.peer, guest(&driver));
    let operation = asks(&driver, 3).expect("it may").expect("it waits");
    for line in
        ["export HEARTEN_PEER='old-db'", "HEARTEN_LABEL_UNIT='it'\\''s 5'", "timeout -k 5 30"]
    {
        assert!(operation.script.contains(line), "{line}: {}", operation.script);
    }
    assert_eq!(claims(&mut driver, 3, 77), Ok(ledger::Effect::Done));
    assert_eq!(asks(&driver, 2), Ok(None), "it is handed over once");
    driver.pass(5_000);
    assert_eq!(reports(&mut driver, 2, 77, Outcome::Succeeded), Ok(ledger::Effect::Done));
    assert_eq!(last_outcome(driver.incident()), Some(Outcome::Succeeded));
    let report = driver.incident().attempts[0].report.clone().expect("a report");
    let took = report.started_at.map(|started| report.finished_at.since(started).as_secs());
    assert_eq!(took, Some(5), "from when it was handed over");
    ends(&mut driver);
    driver.until("resolved", |driver| driver.incident().state == State::Resolved);
    let nobody = driver.count(|output| matches!(output, Output::Execute(_)));
    assert_eq!(nobody, 0, "no peer runs it");
    // Whoever tells it twice is answered like the first time, and nothing changes.
    assert_eq!(reports(&mut driver, 1, 77, Outcome::Failed), Ok(ledger::Effect::Done));
    assert_eq!(last_outcome(driver.incident()), Some(Outcome::Succeeded));
}

#[test]
fn of_two_that_ask_one_is_handed_it() {
    let mut driver = mesh(RESTART);
    fires(&mut driver);
    assigned(&mut driver, 1);
    let both = asks(&driver, 2).expect("it may").expect("it waits");
    assert_eq!(claims_this(&mut driver, 2, &both, 1), Ok(ledger::Effect::Done));
    // The first answer was lost on its way back to peer 2: the same asking is the same.
    assert_eq!(claims_this(&mut driver, 2, &both, 1), Ok(ledger::Effect::Done));
    let incident = driver.incident().id;
    let second = claims_this(&mut driver, 3, &both, 2);
    assert_eq!(second, Err(Refusal::Claimed { incident, attempt: 1 }));
    // Who was not handed it cannot say how it ended.
    assert_eq!(reports(&mut driver, 3, 2, Outcome::Succeeded), Err(Refusal::NoSuchOperation));
    let unknown = reports(&mut driver, 2, 1, Outcome::Unknown);
    assert!(matches!(unknown, Err(Refusal::WrongState { .. })), "{unknown:?}");
    assert_eq!(last_outcome(driver.incident()), None);
}

#[test]
fn a_surgeon_that_never_reports_leaves_an_unknown_outcome_and_a_question() {
    let mut driver = mesh(RESTART);
    fires(&mut driver);
    assigned(&mut driver, 1);
    driver.pass(60_000);
    assert_eq!(claims(&mut driver, 2, 5), Ok(ledger::Effect::Done));
    driver.until("given up", |driver| last_outcome(driver.incident()).is_some());
    assert_eq!(last_outcome(driver.incident()), Some(Outcome::Unknown));
    driver.pass(600_000);
    let held = driver.incident().held.clone();
    assert!(matches!(held, Some(Refusal::UnknownOutcome { attempt: 1, .. })), "{held:?}");
    assert_eq!(driver.incident().attempts.len(), 1, "it is not given out again");
    // A late word is worth having: it answers the question.
    assert_eq!(reports(&mut driver, 3, 5, Outcome::Failed), Ok(ledger::Effect::Done));
    assert_eq!(last_outcome(driver.incident()), Some(Outcome::Failed));
}

#[test]
fn where_the_runbook_says_retry_it_is_a_new_attempt_with_a_claim_of_its_own() {
    let mut driver = mesh(&("on_unknown = \"retry\"\n".to_owned() + RESTART));
    fires(&mut driver);
    assigned(&mut driver, 1);
    assert_eq!(claims(&mut driver, 2, 5), Ok(ledger::Effect::Done));
    assigned(&mut driver, 2);
    let operation = asks(&driver, 1).expect("it may").expect("it waits");
    assert_eq!(operation.attempt, 2);
    // The id of the first attempt is none of the second's.
    let claimed = claims(&mut driver, 1, 5);
    assert!(matches!(claimed, Err(Refusal::Claimed { .. })), "{claimed:?}");
    assert_eq!(claims(&mut driver, 1, 6), Ok(ledger::Effect::Done));
}

#[test]
fn what_no_surgeon_asks_for_did_not_run_and_the_next_rung_is_climbed() {
    let more = "\n[[runbook.rung]]\nname = \"power\"\nby = \"neighbour\"\nrun = \"power-cycle\"\n";
    let mut driver = mesh(&(RESTART.to_owned() + more));
    driver.effects.insert("power".to_owned(), common::driver::Effect::InVain);
    fires(&mut driver);
    assigned(&mut driver, 1);
    let waiting = asks(&driver, 2).expect("it may").expect("it waits");
    driver.pass(130_000);
    let incident = driver.incident();
    assert_eq!(incident.attempts[0].outcome(), Some(Outcome::Refused), "{}", driver.history());
    let late = claims_this(&mut driver, 2, &waiting, 9);
    assert!(matches!(late, Err(Refusal::WrongState { .. })), "{late:?}");
    driver.until("climbed", |driver| !driver.executed().is_empty());
    assert_eq!(driver.executed()[0].1, "power");
}

#[test]
fn what_is_well_again_before_anyone_asked_is_not_handed_over() {
    let mut driver = mesh(RESTART);
    fires(&mut driver);
    assigned(&mut driver, 1);
    driver.pass(1_000);
    ends(&mut driver);
    driver.until("resolved", |driver| driver.incident().state == State::Resolved);
    assert_eq!(driver.incident().attempts[0].outcome(), Some(Outcome::Refused));
    assert_eq!(asks(&driver, 2), Ok(None));
}

#[test]
fn nothing_is_handed_over_while_the_mesh_is_frozen_or_by_who_trusts_another_signature() {
    let mut driver = mesh(RESTART);
    fires(&mut driver);
    assigned(&mut driver, 1);
    let waiting = asks(&driver, 2).expect("it may").expect("it waits");
    let mut trust = common::trust();
    trust.operators = vec![[9; 32]];
    driver.configure(3, trust, protocol::agent::LocalPolicy::default());
    driver.settle();
    assert!(matches!(asks(&driver, 3), Err(Refusal::NotSigned { .. })), "{:?}", asks(&driver, 3));
    let freeze = protocol::order::Action::Freeze { reason: "hands off".to_owned() };
    let order = common::ordered(7, Timestamp::from_millis(u64::MAX / 2), freeze);
    driver.write(Record::Ordered { order }).expect("an order that is taken");
    assert!(matches!(asks(&driver, 2), Err(Refusal::Frozen { .. })));
    let claimed = claims_this(&mut driver, 2, &waiting, 4);
    assert!(matches!(claimed, Err(Refusal::Frozen { .. })), "{claimed:?}");
}

#[test]
fn what_a_surgeon_cannot_do_is_passed_over_with_a_name() {
    let heal = "\n[[runbook.rung]]\nname = \"ticket\"\nhttp = { url = \"http://t/\" }\n";
    let mut driver = mesh(&(heal.to_owned() + RESTART));
    fires(&mut driver);
    assigned(&mut driver, 1);
    let skipped = driver.records().into_iter().find_map(|record| {
        if let Record::Skipped { refusal, .. } = record { Some(refusal.clone()) } else { None }
    });
    let rung = "ticket".to_owned();
    assert_eq!(skipped, Some(Refusal::NotForSurgeons { rung }), "{}", driver.history());
}

#[test]
fn a_guest_is_no_peer_and_keeps_its_id_as_long_as_its_document_stays() {
    let driver = mesh(RESTART);
    let roster = driver.ledger.roster();
    assert_eq!((roster.members().count(), roster.running().count()), (3, 3));
    assert_eq!((roster.guests().count(), roster.hosts().count()), (1, 4));
    assert!(roster.by_name("old-db").is_some_and(|(id, _)| roster.is_guest(id)));
    let mut mesh = common::Mesh::of(3);
    mesh.documents(&documents(RESTART)).expect("valid");
    let guest = |mesh: &common::Mesh| mesh.ledger.roster().guests().next().map(|(id, _)| id);
    let first = guest(&mesh).expect("a guest");
    mesh.documents(&documents(RESTART).replace("\"2m\"", "\"3m\"")).expect("valid");
    assert_eq!(guest(&mesh), Some(first));
    // Neither an operator's removal of a peer nor a token that bears its name comes in between.
    let remove = protocol::order::Action::RemovePeer { peer: first };
    let order = common::ordered(8, Timestamp::from_millis(u64::MAX / 2), remove);
    let refused = mesh.apply(1, Record::Ordered { order });
    assert!(matches!(refused, Err(Refusal::IsGuest { .. })), "{refused:?}");
    let taken = mesh.documents(&documents(RESTART).replace("old-db\"\nlabels", "web-2\"\nlabels"));
    assert!(matches!(taken, Err(Refusal::NameTaken { .. })), "{taken:?}");
    mesh.documents("[[remove]]\nkind = \"guest\"\nname = \"old-db\"\n").expect("valid");
    assert_eq!(guest(&mesh), None);
    mesh.documents(&documents(RESTART)).expect("valid");
    assert!(guest(&mesh).is_some_and(|id| id != first), "an id is never given again");
}

#[test]
fn what_is_claimed_is_not_taken_back_and_what_is_late_is_not_claimed() {
    let mut driver = mesh(RESTART);
    fires(&mut driver);
    assigned(&mut driver, 1);
    let waiting = asks(&driver, 2).expect("it may").expect("it waits");
    let incident = driver.incident().id;
    let withdrawn = Record::Withdrawn { incident, attempt: 1, reason: "because".to_owned() };
    // Nobody leads, so nobody takes it back; it is too late all the same.
    let mut late = driver.ledger.clone();
    let at = Timestamp::from_millis(driver.now + 121_000);
    let claim = Record::Claimed { incident, attempt: 1, operation: hash_of(3) };
    let entry = protocol::record::Entry { at, by: id(2), term: driver.term, record: claim };
    let position = protocol::record::Position { index: driver.index + 1, term: driver.term };
    let refused = late.apply(position, &entry);
    assert!(matches!(refused, Err(Refusal::TooLate { .. })), "{refused:?}");

    assert_eq!(claims_this(&mut driver, 2, &waiting, 3), Ok(ledger::Effect::Done));
    // A leader that has not seen the claim yet.
    assert_eq!(driver.write(withdrawn), Err(Refusal::Claimed { incident, attempt: 1 }));
    assert_eq!(last_outcome(driver.incident()), None);
}
