//! Checks over a group of peers, as the leader counts them.

mod common;

use common::{
    driver::{Driver, Effect},
    id, name,
};
use protocol::{document::Verdict, ledger::incident::State};

const GROUP: &str = r#"
[[check]]
name = "web"
every = "1s"
fail_after = 1
command = "true"

[[check]]
name = "enough-web"
every = "1s"
fail_after = 2
aggregate = { check = "web", at_least = 2 }
where = { role = "web" }

[[runbook]]
name = "mend"
on = { check = "enough-web" }
cooldown = "0s"
[[runbook.rung]]
name = "restart"
run = "true"
timeout = "1s"
"#;

fn about(driver: &Driver) -> Vec<(u64, String, State)> {
    let incidents = driver.ledger.incidents().values();
    let about = incidents.filter_map(|incident| {
        let check = incident.because.check().filter(|check| **check == name("enough-web"))?;
        Some((incident.peer.bits(), check.to_string(), incident.state))
    });
    about.collect()
}

#[test]
fn too_few_of_a_group_are_one_incident_about_the_first_by_name_and_it_ends_with_enough() {
    let mut driver = Driver::with(4, GROUP);
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.pass(5_000);
    driver.fails(4);
    driver.fails(3);
    driver.pass(10_000);
    assert_eq!(about(&driver), [], "two of four are enough");
    let leader = &driver.hosts[&1].agent;
    let check = leader.ledger().library().check(&name("enough-web")).expect("it").clone();
    let count = leader.count(&check).expect("an aggregate");
    assert_eq!(count.summary(), "2 of 4 pass, 2 needed; not on web-3, web-4");
    assert_eq!((count.verdict(), count.affected), (Verdict::Pass, Some(id(3))));

    driver.fails(2);
    driver.pass(500);
    assert_eq!(about(&driver), [], "it has to last for two turns");
    driver.pass(5_000);
    let opened = about(&driver);
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0].0, 2, "the first by name on which it fails");
    let executed = driver.executed();
    assert_eq!(executed.first(), Some(&(2, "restart".to_owned())));
    // Another one is the first by name now; it is still the same thing.
    driver.fails(1);
    driver.pass(2_000);
    driver.host(2).verdict = Verdict::Pass;
    driver.pass(5_000);
    assert_eq!(about(&driver).len(), 1, "{:?}", about(&driver));
    driver.host(3).verdict = Verdict::Pass;
    driver.host(1).verdict = Verdict::Pass;
    driver.until("resolved", |driver| {
        about(driver).iter().all(|(_, _, state)| *state == State::Resolved)
    });
    assert_eq!(about(&driver).len(), 1);
}

#[test]
fn a_share_is_of_all_members_and_who_is_gone_does_not_pass() {
    let documents = GROUP.replace("at_least = 2", "at_least_percent = 51");
    let mut driver = Driver::with(4, &documents);
    driver.pass(5_000);
    driver.fails(4);
    driver.pass(10_000);
    assert_eq!(about(&driver), [], "three of four are more than half");
    driver.kill(3);
    driver.pass(10_000);
    let opened = about(&driver);
    assert_eq!(opened.len(), 1, "two of four are not");
    assert_eq!(opened[0].0, 4, "who is there goes before who is gone");
}

#[test]
fn a_new_leader_that_has_heard_of_nobody_opens_nothing() {
    let mut driver = Driver::with(4, GROUP);
    driver.pass(5_000);
    driver.restart(1);
    let leader = &driver.hosts[&1].agent;
    let check = leader.ledger().library().check(&name("enough-web")).expect("it").clone();
    let count = leader.count(&check).expect("an aggregate");
    assert_eq!(count.verdict(), Verdict::Unknown, "{count:?}");
    driver.settle();
    assert_eq!(about(&driver), []);
}
