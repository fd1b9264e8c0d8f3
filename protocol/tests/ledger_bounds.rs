//! The limits that look back or count groups: in `apply`, whoever proposes.

mod common;

use common::{Mesh, id};
use protocol::{
    document::Selector,
    order::Action,
    record::{Outcome, Record},
    refusal::Refusal,
};

/// The documents of the tests with these limits, and these lines of the first runbook's own.
fn mesh(size: u64, runbook: &str, rest: &str) -> Mesh {
    let mut mesh = Mesh::of(size);
    let text = common::without_evidence().replacen(
        "cooldown = \"60s\"",
        &format!("cooldown = \"0s\"\n{runbook}"),
        1,
    );
    mesh.documents(&format!("{text}\n{rest}")).expect("valid documents");
    mesh
}

/// A repair from its beginning to its end.
fn repaired(mesh: &mut Mesh, peer: u64, outcome: Outcome) {
    mesh.wait(10);
    let incident = mesh.open(peer);
    mesh.climb(incident, peer, outcome);
    mesh.wait(10);
    mesh.resolve(incident);
}

#[test]
fn so_many_repairs_are_begun_within_an_hour() {
    for (runbook, rest) in [("", "[limits]\nper_hour = 2"), ("limits = { per_hour = 2 }", "")] {
        let mut mesh = mesh(4, runbook, rest);
        repaired(&mut mesh, 1, Outcome::Succeeded);
        repaired(&mut mesh, 2, Outcome::Succeeded);
        let third = mesh.open(3);
        let refusal = mesh.assign_refused(third, 3);
        let Refusal::PerHour { limit: 2, begun: 2, until, .. } = refusal else {
            panic!("{refusal}")
        };
        mesh.now = until.millis();
        mesh.assign(third, 3);
    }
}

#[test]
fn enough_peers_have_to_be_well_for_one_to_be_repaired() {
    let mut mesh = mesh(4, "limits = { min_healthy_percent = 50 }", "");
    let first = mesh.open(1);
    mesh.open(2);
    mesh.open(3);
    let refusal = mesh.assign_refused(first, 1);
    assert!(
        matches!(refusal, Refusal::MinHealthy { healthy: 1, of: 4, min_percent: 50, .. }),
        "{refusal}"
    );
    let third = mesh.ledger.incidents().keys().copied().last().expect("three");
    mesh.resolve(third);
    mesh.assign(first, 1);
}

#[test]
fn a_zone_and_each_value_of_a_label_are_limited_by_themselves() {
    // Peers 1 and 4 stand in one zone, 2 in another.
    let mut zones = mesh(5, "", "[limits]\nat_once_per_zone = 1");
    let (one, four, two) = (zones.open(1), zones.open(4), zones.open(2));
    zones.assign(one, 1);
    let refusal = zones.assign_refused(four, 4);
    assert!(matches!(refusal, Refusal::Zone { limit: 1, in_flight: 1, .. }), "{refusal}");
    zones.assign(two, 2);

    let mut labels = mesh(5, "", "[limits.per_label.zone]\nat_once = 1");
    let (one, four, two) = (labels.open(1), labels.open(4), labels.open(2));
    labels.assign(one, 1);
    let refusal = labels.assign_refused(four, 4);
    assert!(
        matches!(&refusal, Refusal::BlastRadius { scope, .. } if scope == "with zone=b"),
        "{refusal}"
    );
    labels.assign(two, 2);
}

#[test]
fn when_several_limits_apply_the_strictest_holds() {
    let mut mesh = mesh(6, "limits = { at_once = 1 }", "[limits]\nat_once = 5");
    let (one, two) = (mesh.open(1), mesh.open(2));
    mesh.assign(one, 1);
    let refusal = mesh.assign_refused(two, 2);
    assert!(
        matches!(&refusal, Refusal::BlastRadius { scope, limit: 1, .. } if scope.contains("runbook")),
        "{refusal}"
    );
}

#[test]
fn a_runbook_that_comes_to_nothing_again_and_again_is_cut_off() {
    let mut mesh = mesh(5, "breaker = { failures = 2, within = \"1h\" }", "");
    repaired(&mut mesh, 1, Outcome::Failed);
    repaired(&mut mesh, 2, Outcome::Succeeded);
    repaired(&mut mesh, 3, Outcome::TimedOut);
    let next = mesh.open(4);
    let refusal = mesh.assign_refused(next, 4);
    let Refusal::Breaker { failures: 2, until, .. } = refusal else { panic!("{refusal}") };
    mesh.now = until.millis();
    mesh.assign(next, 4);
}

#[test]
fn a_leader_cannot_repeat_what_did_not_help_nor_pass_over_what_may_be_done() {
    let mut mesh = mesh(3, "repeat = { times = 5, within = \"1h\" }", "");
    mesh.wait(10);
    let first = mesh.open(2);
    mesh.climb(first, 2, Outcome::Succeeded);
    mesh.wait(10);
    mesh.climb(first, 2, Outcome::Succeeded);
    mesh.wait(10);
    mesh.resolve(first);
    mesh.wait(10);
    let again = mesh.open(2);
    let refusal = mesh.assign_refused(again, 2);
    assert!(matches!(refusal, Refusal::Repeated { times: 1, .. }), "{refusal}");
    let skip = |rung| Record::Skipped { incident: again, rung, refusal: Refusal::NoRunbook };
    assert!(matches!(mesh.refused(1, skip(1)), Refusal::WrongState { .. }));
    mesh.done(1, skip(0));
    assert!(matches!(mesh.refused(1, skip(1)), Refusal::WrongState { .. }), "the second helped");
    mesh.assign(again, 2);
}

#[test]
fn nothing_is_repaired_under_maintenance_and_its_silence_is_none() {
    let name = common::name("kernel-update");
    let mut mesh = mesh(4, "", "");
    let selector = Selector::default();
    let until = common::at(mesh.now + 3_600_000);
    let reason = "new kernel".to_owned();
    let start =
        Action::StartMaintenance { name: name.clone(), peers: Vec::new(), selector, until, reason };
    mesh.order(start).expect("started");
    let incident = mesh.open(2);
    let refusal = mesh.assign_refused(incident, 2);
    assert!(matches!(&refusal, Refusal::Maintenance { name: n, .. } if *n == name), "{refusal}");
    use protocol::record::Seen::NoAnswer;
    let because = common::silent(mesh.now, &[(1, NoAnswer), (2, NoAnswer), (4, NoAnswer)]);
    let refusal = mesh.refused(1, Record::Opened { peer: id(3), because: because.clone() });
    assert!(matches!(refusal, Refusal::Maintenance { .. }), "{refusal}");
    mesh.order(Action::EndMaintenance { name: name.clone() }).expect("ended");
    assert!(matches!(
        mesh.order_refused(Action::EndMaintenance { name }),
        Refusal::UnknownMaintenance { .. }
    ));
    mesh.assign(incident, 2);
    mesh.done(1, Record::Opened { peer: id(3), because });
}

#[test]
fn a_recurring_maintenance_comes_and_goes_by_the_logs_time() {
    let rest = "[[maintenance]]\nname = \"night\"\ncron = \"30 2 * * *\"\nlasts = \"1h\"\n\
                where = { role = \"web\" }\nreason = \"backups\"";
    let mut mesh = mesh(3, "", rest);
    let night = protocol::time::Timestamp::parse("2026-01-10T02:45:00Z").expect("a moment");
    mesh.now = night.millis();
    let incident = mesh.open(2);
    let refusal = mesh.assign_refused(incident, 2);
    let Refusal::Maintenance { until, .. } = refusal else { panic!("{refusal}") };
    assert_eq!(until.to_string(), "2026-01-10T03:30:00.000Z");
    mesh.now = until.millis();
    mesh.assign(incident, 2);
}

#[test]
fn a_leader_cannot_try_again_before_the_wait_is_over_nor_run_what_is_not_there() {
    let mut mesh = Mesh::of(3);
    let retries = "settle = \"0s\"\nretries = 1\nbackoff = \"10s\"";
    let text = common::without_evidence().replacen("settle = \"2s\"", retries, 1);
    mesh.documents(&text).expect("valid documents");
    let incident = mesh.open(2);
    mesh.climb(incident, 2, Outcome::Failed);
    let refusal = mesh.assign_refused(incident, 2);
    let Refusal::Backoff { until } = refusal else { panic!("{refusal}") };
    mesh.now = until.millis();
    mesh.assign(incident, 2);
    let runbook = common::name("no-such");
    let order = Action::RunRunbook { runbook, peer: id(2), reason: String::new() };
    assert!(matches!(mesh.order_refused(order), Refusal::UnknownDocument { .. }));
}
