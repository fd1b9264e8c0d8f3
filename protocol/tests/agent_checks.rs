//! Which bad verdicts become incidents, and which are told and left alone.

mod common;

use common::{
    driver::{Driver, Effect},
    name,
};
use protocol::document::Verdict;

/// A check that depends on another, each with a runbook.
const FAMILY: &str = r#"
[[check]]
name = "host"
every = "5s"
fail_after = 2
command = "true"

[[check]]
name = "app"
every = "1s"
fail_after = 1
command = "true"
depends_on = ["host"]

[[runbook]]
name = "mend-app"
on = { check = "app" }
cooldown = "0s"
[[runbook.rung]]
name = "nothing"
run = "true"
timeout = "1s"

[[runbook]]
name = "mend-host"
on = { check = "host" }
cooldown = "0s"
[[runbook.rung]]
name = "nothing"
run = "true"
timeout = "1s"
"#;

/// The checks that incidents were opened about, in order.
fn opened(driver: &Driver) -> Vec<String> {
    let incidents = driver.ledger.incidents().values();
    incidents.filter_map(|incident| Some(incident.because.check()?.to_string())).collect()
}

fn find(driver: &mut Driver, n: u64, check: &str, verdict: Verdict) {
    driver.host(n).findings.insert(check.to_owned(), verdict);
}

#[test]
fn what_a_failing_parent_explains_is_no_incident_and_is_one_when_it_outlasts_it() {
    let mut driver = Driver::with(3, FAMILY);
    driver.pass(10_000);
    // Both break at once; the child's turn comes sooner, and one failing run is enough for it.
    find(&mut driver, 2, "host", Verdict::Fail);
    find(&mut driver, 2, "app", Verdict::Fail);
    driver.pass(30_000);
    assert_eq!(opened(&driver), ["host"]);
    let view = driver.hosts[&1].agent.view();
    let app = view.check(common::id(2), &name("app")).expect("it is told");
    assert_eq!((app.verdict, &app.muted_by), (Verdict::Fail, &Some(name("host"))));
    // The parent is well again and the child is not.
    find(&mut driver, 2, "host", Verdict::Pass);
    driver.pass(10_000);
    assert_eq!(opened(&driver), ["host", "app"]);
}

#[test]
fn what_recovers_together_with_its_parent_was_never_an_incident() {
    let mut driver = Driver::with(3, FAMILY);
    driver.pass(10_000);
    find(&mut driver, 2, "host", Verdict::Fail);
    find(&mut driver, 2, "app", Verdict::Fail);
    driver.pass(30_000);
    find(&mut driver, 2, "host", Verdict::Pass);
    find(&mut driver, 2, "app", Verdict::Pass);
    driver.pass(30_000);
    assert_eq!(opened(&driver), ["host"]);
}

#[test]
fn a_child_whose_parent_is_well_is_an_incident_of_its_own() {
    let mut driver = Driver::with(3, FAMILY);
    driver.pass(10_000);
    find(&mut driver, 2, "app", Verdict::Fail);
    driver.pass(2_000);
    assert_eq!(opened(&driver), ["app"], "without waiting for the parent's own turn");
}

/// The verdict changes with every run for a while, and then stays bad.
fn comes_and_goes(documents: &str) -> (usize, usize) {
    let mut driver = Driver::with(3, documents);
    driver.effects.insert("nothing".to_owned(), Effect::InVain);
    driver.pass(5_000);
    for turn in 0..12 {
        find(&mut driver, 2, "app", if turn % 2 == 0 { Verdict::Fail } else { Verdict::Pass });
        driver.pass(1_000);
    }
    let while_it_flaps = opened(&driver).len();
    find(&mut driver, 2, "app", Verdict::Fail);
    driver.pass(30_000);
    (while_it_flaps, opened(&driver).len())
}

#[test]
fn what_comes_and_goes_is_no_incident_until_it_stays() {
    let (while_it_flaps, in_the_end) = comes_and_goes(FAMILY);
    assert!((1..=3).contains(&while_it_flaps), "the first ones: {while_it_flaps}");
    assert_eq!(in_the_end, while_it_flaps + 1, "it stays bad");
    let (unbraked, _) =
        comes_and_goes(&FAMILY.replace("depends_on", "flapping = false\ndepends_on"));
    assert_eq!(unbraked, 6, "an incident for every time that it failed");
}
