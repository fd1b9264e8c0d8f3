//! Who may be given which rung when: every rule by which an assignment is refused.

mod common;

use common::{DOCUMENTS, Mesh, at, evidence_by, failing, id, silent, without_evidence};
use protocol::{
    name::IncidentId,
    order::Action,
    record::{Outcome, Part, Record, Seen},
    refusal::Refusal,
    time::Timestamp,
};

fn limited(size: u64, limits: &str) -> Mesh {
    let mut mesh = Mesh::of(size);
    mesh.documents(&format!("{}\n[limits]\n{limits}\n", without_evidence())).expect("valid");
    mesh
}

/// An assignment of attempt 1 of rung 0 to peer 2, in which one thing is wrong.
fn given(mesh: &Mesh, incident: IncidentId) -> (u32, u32, u64, Timestamp, Timestamp) {
    let Record::Assigned { attempt, rung, start_by, until, .. } = mesh.next(incident, 2) else {
        panic!("an assignment")
    };
    (attempt, rung, 2, start_by, until)
}

fn assigned(
    incident: IncidentId,
    (attempt, rung, worker, start_by, until): (u32, u32, u64, Timestamp, Timestamp),
) -> Record {
    let part = Part::Act;
    Record::Assigned { incident, attempt, rung, part, worker: id(worker), start_by, until }
}

#[test]
fn a_rung_goes_to_the_peer_that_the_runbook_says() {
    let mut mesh = Mesh::ready(4);
    let incident = mesh.open(2);
    for worker in [1, 3, 9] {
        let refusal = mesh.assign_refused(incident, worker);
        assert!(matches!(refusal, Refusal::Misassigned { .. }), "affected, not {worker}");
    }
    mesh.assign(incident, 2);
    let three = [1, 3, 4].map(|n| (n, Seen::NoAnswer));
    let silence = mesh.opened(2, silent(900, &three));
    for worker in [2, 9] {
        let refusal = mesh.assign_refused(silence, worker);
        assert!(matches!(refusal, Refusal::Misassigned { .. }), "a neighbour, not {worker}");
    }
    mesh.assign(silence, 3);
}

#[test]
fn the_leaders_rung_goes_to_the_leader() {
    let mut mesh = Mesh::of(3);
    let text = without_evidence().replace("by = \"neighbour\"", "by = \"leader\"");
    mesh.documents(&text).expect("valid");
    let silence = mesh.opened(2, silent(900, &[(1, Seen::NoAnswer), (3, Seen::NoAnswer)]));
    assert!(matches!(mesh.assign_refused(silence, 3), Refusal::Misassigned { .. }));
    mesh.assign(silence, 1);
}

#[test]
fn rungs_and_attempts_come_in_order_and_end_in_time() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    let right = given(&mesh, incident);
    let wrong_attempt = assigned(incident, (2, right.1, right.2, right.3, right.4));
    assert_eq!(
        mesh.refused(1, wrong_attempt),
        Refusal::AttemptOutOfOrder { incident, attempt: 2, expected: 1 }
    );
    let wrong_rung = assigned(incident, (1, 1, right.2, right.3, right.4));
    assert!(matches!(mesh.refused(1, wrong_rung), Refusal::Misassigned { .. }));
    let too_short = assigned(incident, (1, 0, right.2, right.3, right.3.plus(common::seconds(11))));
    assert!(matches!(mesh.refused(1, too_short), Refusal::Misassigned { .. }));
    mesh.done(1, assigned(incident, right));
}

#[test]
fn one_attempt_is_under_way_at_a_time() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    mesh.assign(incident, 2);
    let until = mesh.incident(incident).attempts[0].until;
    let under_way = Refusal::AttemptUnderWay { incident, attempt: 1, until };
    assert_eq!(mesh.assign_refused(incident, 2), under_way);
    mesh.wait(3_600);
    assert_eq!(mesh.assign_refused(incident, 2), under_way, "until the log says that it is lost");
}

#[test]
fn nothing_is_given_to_a_peer_that_does_not_run() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    mesh.done(2, Record::PeerStopped { peer: id(2) });
    assert_eq!(mesh.assign_refused(incident, 2), Refusal::PeerNotRunning);
    mesh.done(2, Record::PeerLeft { peer: id(2) });
    assert!(matches!(mesh.assign_refused(incident, 2), Refusal::Misassigned { .. }));
}

#[test]
fn without_a_runbook_nothing_is_given_out() {
    let mut mesh = Mesh::of(3);
    let check = "[[check]]\nname = \"web\"\ncommand = \"true\"\n";
    mesh.documents(check).expect("valid");
    let incident = mesh.open(2);
    assert_eq!(mesh.assign_refused(incident, 2), Refusal::NoRunbook);
}

#[test]
fn the_first_rung_waits_for_evidence_or_its_deadline() {
    for taken in [true, false] {
        let mut mesh = Mesh::of(3);
        mesh.documents(DOCUMENTS).expect("valid");
        let incident = mesh.open(2);
        let until = mesh.incident(incident).evidence_until;
        assert_eq!(until, at(mesh.now + 10_000), "the step's limit and a margin");
        assert_eq!(mesh.assign_refused(incident, 2), Refusal::AwaitingEvidence { until });
        if taken {
            mesh.done(2, Record::EvidenceTaken { incident, evidence: evidence_by(2) });
        } else {
            mesh.now = until.millis();
        }
        mesh.assign(incident, 2);
    }
}

#[test]
fn nothing_acts_on_a_target_that_settles() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    mesh.climb(incident, 2, Outcome::Failed);
    let until = at(mesh.now + 2_000);
    assert_eq!(mesh.assign_refused(incident, 2), Refusal::Settling { until });
    let silence = mesh.opened(2, silent(900, &[(1, Seen::NoAnswer), (3, Seen::NoAnswer)]));
    assert_eq!(mesh.assign_refused(silence, 3), Refusal::Settling { until });
    mesh.wait(2);
    mesh.assign(incident, 2);
}

#[test]
fn a_rung_that_settles_quickly_does_not_cut_another_short() {
    let mut mesh = Mesh::of(3);
    let text = without_evidence().replace("name = \"power\"", "name = \"power\"\nsettle = \"0s\"");
    let text = text.replacen(
        "timeout = \"10s\"\nsettle = \"2s\"\n\n[[runbook.rung]]\nname = \"tell\"",
        "timeout = \"10s\"\n\n[[runbook.rung]]\nname = \"tell\"",
        1,
    );
    let text = text.replacen("settle = \"2s\"", "settle = \"60s\"", 1);
    mesh.documents(&text).expect("valid");
    let incident = mesh.open(2);
    let silence = mesh.opened(2, silent(900, &[(1, Seen::NoAnswer), (3, Seen::NoAnswer)]));
    mesh.assign(incident, 2);
    mesh.assign(silence, 3);
    mesh.report(incident, 2, Outcome::Failed);
    let until = at(mesh.now + 60_000);
    mesh.report(silence, 3, Outcome::Failed);
    assert_eq!(mesh.assign_refused(incident, 2), Refusal::Settling { until });
}

#[test]
fn the_cool_down_stands_between_incidents() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    mesh.climb(incident, 2, Outcome::Succeeded);
    let acted = mesh.now;
    mesh.resolve(incident);
    mesh.wait(10);
    let again = mesh.open(2);
    let runbook = common::name("restart-web");
    let until = at(acted + 60_000);
    assert_eq!(mesh.assign_refused(again, 2), Refusal::CoolDown { runbook, until });
    let elsewhere = mesh.open(3);
    mesh.assign(elsewhere, 3);
    mesh.now = until.millis();
    mesh.assign(again, 2);
}

#[test]
fn an_attempt_that_was_refused_has_not_acted() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    mesh.climb(incident, 2, Outcome::Refused);
    mesh.assign(incident, 2);
    mesh.report(incident, 2, Outcome::Refused);
    mesh.resolve(incident);
    mesh.wait(1);
    let again = mesh.open(2);
    mesh.assign(again, 2);
}

#[test]
fn no_more_are_under_repair_at_once_than_may_be() {
    let mut mesh = limited(5, "at_once = 2");
    let incidents: Vec<IncidentId> = (2..=4).map(|n| mesh.open(n)).collect();
    mesh.assign(incidents[0], 2);
    mesh.assign(incidents[1], 3);
    let full = Refusal::BlastRadius { scope: "in the mesh".to_owned(), limit: 2, in_flight: 2 };
    assert_eq!(mesh.assign_refused(incidents[2], 4), full);
    mesh.report(incidents[0], 2, Outcome::Succeeded);
    assert_eq!(mesh.assign_refused(incidents[2], 4), full, "its effect is still looked at");
    mesh.resolve(incidents[0]);
    mesh.assign(incidents[2], 4);
}

#[test]
fn the_share_is_counted_over_the_roster_and_one_is_always_allowed() {
    for (size, percent, allowed) in [(2, 1, 1), (5, 30, 1), (8, 25, 2), (9, 34, 3)] {
        let mut mesh = limited(size, &format!("share_percent = {percent}"));
        for n in 1..=allowed {
            let incident = mesh.open(n);
            mesh.assign(incident, n);
        }
        let incident = mesh.open(allowed + 1);
        let count = |n: u64| u32::try_from(n).expect("few");
        assert_eq!(
            mesh.assign_refused(incident, allowed + 1),
            Refusal::Share {
                scope: "that this runbook is for".to_owned(),
                limit: count(allowed),
                share_percent: percent,
                in_flight: count(allowed),
                of: count(size)
            }
        );
    }
}

#[test]
fn two_repairs_of_one_target_are_one_target() {
    let mut mesh = limited(4, "share_percent = 1");
    let incident = mesh.open(2);
    mesh.assign(incident, 2);
    let silence = mesh
        .opened(2, silent(900, &[(1, Seen::NoAnswer), (3, Seen::NoAnswer), (4, Seen::NoAnswer)]));
    mesh.assign(silence, 3);
}

#[test]
fn while_the_mesh_is_frozen_nothing_is_given_out() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    mesh.order(Action::Freeze { reason: "a move".to_owned() }).expect("frozen");
    let since = at(mesh.now);
    let reason = "a move".to_owned();
    assert_eq!(mesh.assign_refused(incident, 2), Refusal::Frozen { since, reason });
    mesh.order(Action::Thaw).expect("thawed");
    mesh.assign(incident, 2);
}

#[test]
fn an_attempt_that_outlasts_its_incident_counts_until_it_can_no_longer_act() {
    let mut mesh = limited(5, "at_once = 1");
    let first = mesh.open(2);
    mesh.assign(first, 2);
    let until = mesh.incident(first).attempts[0].until;
    mesh.order(Action::Close { incident: first, reason: "mine".to_owned() }).expect("closed");
    mesh.wait(1);
    let second = mesh.open(3);
    let full = Refusal::BlastRadius { scope: "in the mesh".to_owned(), limit: 1, in_flight: 1 };
    assert_eq!(mesh.assign_refused(second, 3), full);
    let same = mesh.open(2);
    let acting = Refusal::AttemptUnderWay { incident: first, attempt: 1, until };
    assert_eq!(mesh.assign_refused(same, 2), acting);
    let mut reported = mesh.clone();
    reported.report(first, 2, Outcome::Succeeded);
    reported.assign(second, 3);
    mesh.now = until.millis();
    mesh.assign(second, 3);
}

#[test]
fn a_change_of_documents_does_not_change_a_repair_under_way() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.opened(2, failing(1));
    let text = without_evidence().replace("name = \"restart\"", "name = \"other\"");
    mesh.documents(&text).expect("valid");
    let rung = mesh.incident(incident).next_rung().map(|rung| rung.name.clone());
    assert_eq!(rung.as_deref(), Some("restart"));
}
