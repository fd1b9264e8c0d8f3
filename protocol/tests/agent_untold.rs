//! A notice that cannot be brought out is given up, and others hear of that.

mod common;

use common::{
    calls::{called, documents, messages, notifier, of, told},
    driver::Driver,
};
use protocol::{
    agent::{Again, NotTaken},
    document::Verdict,
    ledger::incident::{Incident, News, State},
    record::{Because, Delivered, Record},
    refusal::Refusal,
};

/// Somebody is called by "ops", whose channel takes nothing; "boss" is reached.
fn mesh(refusal: NotTaken) -> Driver {
    mesh_without(&["ops"], &refusal)
}

fn mesh_without(deaf: &[&str], refusal: &NotTaken) -> Driver {
    let text = documents("ops", &(notifier("ops", "") + &notifier("boss", "")));
    let mut driver = Driver::with(3, &text);
    driver.refusing.extend(deaf.iter().map(|name| ((*name).to_owned(), refusal.clone())));
    driver.fails(2);
    driver.until("called", |driver| called(driver, "ops") > 0);
    driver
}

fn busy() -> NotTaken {
    NotTaken::this_time("503: busy")
}

fn gone() -> NotTaken {
    NotTaken { again: Again::Never, ..NotTaken::this_time("404: no_service") }
}

/// Time passes quickly.
fn pass_quickly(driver: &mut Driver, minutes: u64) {
    for _ in 0..minutes {
        driver.now += 59_900;
        driver.pass(100);
    }
}

fn untold(driver: &Driver) -> Vec<&Incident> {
    let about = |incident: &&Incident| matches!(incident.because, Because::Untold { .. });
    driver.ledger.incidents().values().filter(about).collect()
}

fn until_untold(driver: &mut Driver) {
    driver.until("an incident about it", |driver| !untold(driver).is_empty());
    driver.pass(5_000);
}

#[test]
fn a_notice_is_given_up_a_day_after_it_was_due_however_often_another_leads() {
    let mut driver = mesh(busy());
    for leader in [2, 3, 1, 2, 3] {
        pass_quickly(&mut driver, 4 * 60);
        driver.elect(leader);
    }
    pass_quickly(&mut driver, 4 * 60 - 10);
    assert_eq!(untold(&driver).len(), 0, "there are minutes left");
    assert!(called(&driver, "ops") > 100 && called(&driver, "boss") == 0);
    pass_quickly(&mut driver, 20);
    let before = called(&driver, "ops");
    let untold = untold(&driver);
    let [incident] = untold.as_slice() else { panic!("{}", driver.history()) };
    assert_eq!((incident.state, incident.peer), (State::Escalated, common::id(3)));
    let first = driver.ledger.incidents().values().next().expect("the first");
    assert!(
        matches!(first.notices[0].done, Some((_, Delivered::Perhaps, _))),
        "{:?}",
        first.notices
    );
    assert_eq!(called(&driver, "boss"), 1, "whoever it does not reach is not told by it");
    let message = messages(&driver).into_iter().find(|one| one.notifier.as_str() == "boss");
    let text = message.expect("a message").text;
    let wanted = format!("notifier \"ops\" could not tell people of {}", first.id);
    assert!(text.contains(&wanted) && text.contains("503: busy"), "{text}");
    pass_quickly(&mut driver, 120);
    assert_eq!(called(&driver, "ops"), before, "it is not tried any more");
}

#[test]
fn what_is_refused_for_good_is_given_up_at_once_and_is_over_when_something_is_taken() {
    let mut driver = mesh(gone());
    until_untold(&mut driver);
    assert_eq!((called(&driver, "ops"), called(&driver, "boss")), (1, 1));
    // More of the same is no news.
    driver.fails(3);
    driver.until("called", |driver| called(driver, "ops") == 2);
    driver.pass(5_000);
    assert_eq!((untold(&driver).len(), called(&driver, "boss")), (1, 1));
    driver.refusing.clear();
    driver.fails(1);
    driver.until("told", |driver| of(driver, "boss", News::Resolved) == 1);
    assert_eq!(untold(&driver)[0].state, State::Resolved);
    // Another time is another incident.
    driver.refusing.insert("ops".to_owned(), gone());
    driver.host(1).verdict = Verdict::Pass;
    driver.until("anew", |driver| untold(driver).len() == 2);
}

#[test]
fn who_reaches_nobody_comes_to_rest() {
    let mut driver = mesh_without(&["ops", "boss"], &gone());
    until_untold(&mut driver);
    driver.pass(60_000);
    assert_eq!((called(&driver, "ops"), called(&driver, "boss")), (1, 1));
    assert_eq!(driver.ledger.incidents().len(), 2, "{}", driver.history());
    assert_eq!(driver.ledger.notices_due().count(), 0);

    // There is nobody else at all: it is seen by whoever looks.
    let mut driver = Driver::with(3, &documents("ops", &notifier("ops", "")));
    driver.refusing.insert("ops".to_owned(), gone());
    driver.fails(2);
    until_untold(&mut driver);
    assert_eq!((untold(&driver)[0].state, told(&driver).len()), (State::Escalated, 1));
}

#[test]
fn a_notifier_that_is_changed_begins_anew() {
    let mut driver = mesh(gone());
    until_untold(&mut driver);
    let other = notifier("ops", "title = \"{host}\"");
    let text = documents("ops", &(other + &notifier("boss", "")));
    let bundle = common::signed(2, &text);
    driver.write(Record::DocumentsApplied { bundle }).expect("documents that are taken");
    driver.until("over", |driver| untold(driver)[0].state == State::Resolved);
}

#[test]
fn a_leader_says_of_no_notifier_by_itself_that_it_fails() {
    let mut driver = mesh(busy());
    let incident = driver.incident().id;
    let (notifier, since) = (common::name("boss"), common::at(driver.now));
    let because = Because::Untold { notifier, incident, detail: String::new(), since };
    let said = driver.write(Record::Opened { peer: common::id(1), because });
    assert!(matches!(said, Err(Refusal::NotAllowed { .. })), "{said:?}");
}
