//! A reboot counts as done when the host is back with another boot id, and not before.

mod common;

use common::{
    CALL, Mesh, WEB,
    driver::{Driver, Effect},
    id,
};
use protocol::{
    agent::{BOOT_ID, Input},
    explain,
    ledger::{
        boots::BOOT_ID_BYTES_MAX,
        incident::{Incident, Reboot, State, Subject},
    },
    record::{Outcome, Record},
    refusal::Refusal,
};
use std::collections::BTreeMap;

const OLD: &str = "11111111-aaaa";
const NEW: &str = "22222222-bbbb";

fn documents(on: &str, by: &str, more: &str) -> String {
    format!(
        r#"
{WEB}
[[runbook]]
name = "reboot-it"
on = {on}
cooldown = "0s"
{more}

[[runbook.rung]]
name = "reboot"
run = "reboot"
by = "{by}"
timeout = "10s"
reboot = true
settle = "2m"

{CALL}"#
    )
}

fn boots(driver: &mut Driver, n: u64, boot_id: &str) {
    let facts = BTreeMap::from([(BOOT_ID.to_owned(), boot_id.to_owned())]);
    driver.tell(n, Input::Facts(facts));
}

fn mesh(text: &str) -> Driver {
    let mut driver = Driver::with(5, text);
    for n in 1..=5 {
        boots(&mut driver, n, OLD);
    }
    driver.pass(2_000);
    driver
}

/// A host that went dark, and a neighbour's rung that reboots it.
fn dark() -> Driver {
    let mut driver = mesh(&documents("{ peer = \"silent\" }", "neighbour", ""));
    driver.effects.insert("reboot".to_owned(), Effect::InVain);
    driver.kill(5);
    driver.until("rebooted", |driver| {
        silence(driver).is_some_and(|incident| incident.awaits_reboot())
    });
    driver
}

fn silence(driver: &Driver) -> Option<&Incident> {
    driver.ledger.latest_about(id(5), Subject::Silence)
}

fn about_check(driver: &Driver) -> &Incident {
    driver.ledger.latest_about(id(5), Subject::Check(common::name("web"))).expect("an incident")
}

fn told(driver: &Driver, incident: &Incident) -> String {
    let at = common::at(driver.now);
    let story = explain::story(&driver.ledger, incident, driver.leader.map(id), at);
    story.into_iter().map(|sentence| sentence.text).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_log_knows_each_hosts_boot_and_writes_it_once() {
    let mut driver = mesh(&documents("{ check = \"web\" }", "affected", ""));
    let member = |driver: &Driver| driver.ledger.roster().member(id(3)).cloned().expect("a member");
    assert_eq!(member(&driver).boot_id.as_deref(), Some(OLD));
    driver.pass(60_000);
    let said = |driver: &Driver| {
        let records = driver.records();
        records.iter().filter(|record| matches!(record, Record::Booted { .. })).count()
    };
    assert_eq!(said(&driver), 5);
    driver.restart(3);
    boots(&mut driver, 3, OLD);
    driver.pass(5_000);
    assert_eq!(said(&driver), 5, "a daemon that was started anew is in the same boot");
    driver.restart(3);
    boots(&mut driver, 3, NEW);
    driver.pass(5_000);
    assert_eq!(member(&driver).boot_id.as_deref(), Some(NEW));
}

#[test]
fn nobody_says_anothers_boot_and_nobody_floods_the_log_with_one() {
    let mut mesh = Mesh::of(3);
    let booted = |boot_id: &str| Record::Booted { peer: id(2), boot_id: boot_id.to_owned() };
    assert!(matches!(mesh.refused(3, booted(OLD)), Refusal::NotAllowed { .. }));
    let long = "x".repeat(BOOT_ID_BYTES_MAX + 1);
    for odd in [long.as_str(), "", "a b", "a\nb"] {
        assert!(matches!(mesh.refused(2, booted(odd)), Refusal::TooLarge { .. }), "{odd}");
    }
    mesh.done(2, booted(OLD));
}

#[test]
fn a_host_that_is_back_with_another_boot_id_was_rebooted() {
    let mut driver = dark();
    let waits = told(&driver, silence(&driver).expect("open"));
    assert!(waits.contains("has to be back with another boot id by"), "{waits}");
    driver.restart(5);
    boots(&mut driver, 5, NEW);
    driver.until("resolved", |driver| silence(driver).is_some_and(|i| i.state == State::Resolved));
    let incident = silence(&driver).expect("it was open");
    assert_eq!(incident.attempts[0].reboot, Reboot::Seen(NEW.to_owned()));
    let told = told(&driver, incident);
    assert!(
        told.contains(&format!("web-5 is back with another boot id: {OLD} -> {NEW}")),
        "{told}"
    );
    assert!(incident.notices.is_empty());
}

#[test]
fn a_host_that_is_back_with_the_same_boot_id_was_not_rebooted() {
    let mut driver = dark();
    driver.restart(5);
    boots(&mut driver, 5, OLD);
    driver.until("resolved", |driver| silence(driver).is_some_and(|i| i.state == State::Resolved));
    let told = told(&driver, silence(&driver).expect("it was open"));
    let text = format!("answers again with the same boot id {OLD}: it was not rebooted");
    assert!(told.contains(&text), "{told}");
}

#[test]
fn a_host_that_does_not_come_back_is_handed_on_when_its_rung_has_settled() {
    let mut driver = dark();
    let ended = silence(&driver).expect("open").attempts[0].ended_at.expect("ended");
    driver.until("called", |driver| silence(driver).is_some_and(|i| !i.notices.is_empty()));
    let incident = silence(&driver).expect("open");
    let waited = incident.notices[0].due_at.since(ended);
    assert!(waited >= common::seconds(120) && waited < common::seconds(122), "{waited:?}");
    assert_eq!(incident.attempts[0].reboot, Reboot::Missed);
    let told = told(&driver, incident);
    assert!(told.contains("did not come back with another boot id"), "{told}");
    assert_eq!(driver.executed().len(), 1);
}

#[test]
fn a_neighbour_that_could_not_reboot_it_is_believed_at_once() {
    let mut driver = mesh(&documents("{ peer = \"silent\" }", "neighbour", ""));
    driver.effects.insert("reboot".to_owned(), Effect::Fails);
    driver.kill(5);
    driver.until("called", |driver| silence(driver).is_some_and(|i| !i.notices.is_empty()));
    let incident = silence(&driver).expect("open");
    let ended = incident.attempts[0].ended_at.expect("ended");
    assert!(incident.notices[0].due_at.since(ended) < common::seconds(1));
}

#[test]
fn the_log_takes_no_verdict_about_a_reboot_before_its_time() {
    let mut driver = dark();
    let incident = silence(&driver).expect("open").id;
    let missed = |attempt| Record::NotRebooted { incident, attempt };
    let early = driver.write(missed(1)).expect_err("too early");
    assert!(matches!(early, Refusal::Settling { .. }), "{early}");
    driver.now += 120_000;
    let other = driver.write(missed(2)).expect_err("another attempt");
    assert!(matches!(other, Refusal::WrongState { .. }), "{other}");
}

/// A host that is to reboot itself because a check fails.
fn ill() -> Driver {
    let mut driver = mesh(&documents("{ check = \"web\" }", "affected", ""));
    driver.fails(5);
    // It hangs: the host goes down under it.
    driver.until("rebooting", |driver| !driver.executed().is_empty());
    driver.kill(5);
    driver.pass(3_000);
    driver
}

#[test]
fn a_rung_that_dies_with_its_host_is_judged_by_the_boot_id() {
    let mut driver = ill();
    driver.host(5).verdict = protocol::document::Verdict::Pass;
    driver.restart(5);
    boots(&mut driver, 5, NEW);
    driver.until("resolved", |driver| about_check(driver).state == State::Resolved);
    let incident = about_check(&driver);
    assert_eq!(incident.attempts.len(), 1);
    assert_eq!(incident.attempts[0].outcome(), Some(Outcome::Unknown), "nobody saw how it ended");
    assert_eq!(incident.attempts[0].reboot, Reboot::Seen(NEW.to_owned()));
    assert!(incident.notices.is_empty(), "no person has to judge it");
}

#[test]
fn a_rung_whose_host_was_never_down_has_failed_whatever_it_says() {
    let mut driver = mesh(&documents("{ check = \"web\" }", "affected", "sequence = true"));
    driver.effects.insert("reboot".to_owned(), Effect::InVain);
    driver.fails(5);
    driver.until("executed", |driver| !driver.executed().is_empty());
    driver.pass(30_000);
    assert!(about_check(&driver).awaits_reboot());
    // What passes before the host went down says nothing of how it is after a reboot.
    driver.host(5).verdict = protocol::document::Verdict::Pass;
    driver.pass(30_000);
    assert!(about_check(&driver).awaits_reboot());
    driver.fails(5);
    driver.until("called", |driver| !about_check(driver).notices.is_empty());
    assert_eq!(about_check(&driver).attempts[0].outcome(), Some(Outcome::Succeeded));
    assert_eq!(about_check(&driver).attempts[0].reboot, Reboot::Missed);
}
