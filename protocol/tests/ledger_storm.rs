//! The storm brake in the ledger: engaged by too many silences, whoever leads, and released by calm
//! or by an operator.

mod common;

use common::{Mesh, id, name, silent};
use protocol::{
    ledger::incident::{News, State},
    name::{IncidentId, PeerId},
    order::Action,
    record::{Because, Outcome, Record, Seen, StormCause},
    refusal::Refusal,
    time::Timestamp,
};

/// Peer `n` is silent: the leader, peer 1, and two others have seen it.
fn fall(mesh: &mut Mesh, n: u64, witnesses: [u64; 2]) -> IncidentId {
    let [first, second] = witnesses;
    let because =
        silent(mesh.now, &[(1, Seen::NoAnswer), (first, Seen::NoAnswer), (second, Seen::NoAnswer)]);
    mesh.opened(n, because)
}

/// Ten peers in three zones; four of them are silent, each a second after the other.
fn four_of_ten() -> (Mesh, Vec<IncidentId>) {
    let mut mesh = Mesh::ready(10);
    let fallen = [7, 8, 9, 10].map(|n| {
        mesh.wait(1);
        fall(&mut mesh, n, [2, 3])
    });
    (mesh, fallen.to_vec())
}

fn storm(mesh: &Mesh, peers: &[u64]) -> Because {
    let silent: Vec<PeerId> = peers.iter().map(|n| id(*n)).collect();
    Because::Storm {
        silent,
        zone: None,
        cause: StormCause::Network,
        since: Timestamp::from_millis(mesh.now),
    }
}

fn word(refusal: &Refusal) -> &'static str {
    refusal.word()
}

#[test]
fn committed_silences_beyond_the_share_engage_the_brake_whoever_leads() {
    let mut mesh = Mesh::ready(10);
    for n in [8, 9] {
        fall(&mut mesh, n, [2, 3]);
    }
    let third = fall(&mut mesh, 10, [2, 3]);
    assert!(mesh.ledger.brake().is_none(), "3 of 10 are 30 %");
    // A leader that does not look still gets its assignment for the third, and none after the
    // fourth.
    mesh.assign(third, 4);
    let fourth = fall(&mut mesh, 7, [2, 3]);
    let refusal = mesh.assign_refused(fourth, 4);
    assert!(
        matches!(refusal, Refusal::StormBrake { silent: 4, since, until }
            if since.millis() == mesh.now && until.millis() == mesh.now + 300_000),
        "{refusal:?}"
    );
    assert_eq!(word(&refusal), "storm-brake");
}

#[test]
fn silences_further_apart_than_the_window_are_no_storm() {
    let mut mesh = Mesh::ready(10);
    for n in [7, 8, 9, 10] {
        fall(&mut mesh, n, [2, 3]);
        mesh.wait(31);
    }
    assert!(mesh.ledger.brake().is_none());
    let mut mesh = Mesh::ready(10);
    for n in [7, 8, 9, 10] {
        fall(&mut mesh, n, [2, 3]);
        mesh.wait(19);
    }
    assert!(mesh.ledger.brake().is_some(), "the same four within 57 seconds");
}

#[test]
fn two_of_five_are_no_storm_and_three_are() {
    let mut mesh = Mesh::ready(5);
    // Of two zones, so that none is gone.
    fall(&mut mesh, 5, [2, 3]);
    fall(&mut mesh, 4, [2, 3]);
    assert!(mesh.ledger.brake().is_none(), "40 %, but at least 3 have to be");
    let because = silent(mesh.now, &[(1, Seen::NoAnswer), (2, Seen::NoAnswer)]);
    mesh.opened(3, because);
    assert!(mesh.ledger.brake().is_some());
}

#[test]
fn a_whole_zone_of_two_is_a_storm_and_one_of_one_is_not() {
    // Of 8 peers: 3 and 6 are zone a, the others b and c.
    let mut mesh = Mesh::ready(8);
    fall(&mut mesh, 3, [2, 4]);
    assert!(mesh.ledger.brake().is_none());
    fall(&mut mesh, 6, [2, 4]);
    assert!(mesh.ledger.brake().is_some());
    // Of 4 peers: only 3 is of zone a.
    let mut mesh = Mesh::ready(4);
    fall(&mut mesh, 3, [2, 4]);
    assert!(mesh.ledger.brake().is_none());
}

#[test]
fn a_storm_tells_every_notifier_once_and_nobody_for_the_single_silences() {
    let (mut mesh, fallen) = four_of_ten();
    let because = storm(&mesh, &[7, 8, 9, 10]);
    let opened = mesh.opened(1, because);
    let incident = mesh.incident(opened);
    assert_eq!(incident.state, State::Escalated);
    let told: Vec<_> = incident.notices.iter().map(|n| (n.notifier.clone(), n.news)).collect();
    assert_eq!(told, [(name("ops"), News::Called)]);
    assert_eq!(mesh.ledger.notices_due().count(), 1, "and it is due");
    // A leader that wants to call for one of them is refused as well, by whatever way.
    let incident = fallen[0];
    let reason = "at its end".to_owned();
    assert_eq!(word(&mesh.refused(1, Record::Escalated { incident, reason })), "storm-brake");
    let refusal = Refusal::UnknownOutcome { incident, attempt: 1 };
    assert_eq!(word(&mesh.refused(1, Record::Held { incident, refusal })), "storm-brake");
    let refusal =
        Refusal::StormBrake { since: Timestamp::default(), silent: 4, until: Timestamp::default() };
    mesh.done(1, Record::Held { incident, refusal });
    assert_eq!(mesh.ledger.notices_due().count(), 1);
    // One storm at a time.
    let because = storm(&mesh, &[7, 8, 9, 10]);
    let again = mesh.refused(1, Record::Opened { peer: id(1), because });
    assert_eq!(again, Refusal::AlreadyOpen { incident: opened });
}

#[test]
fn a_rung_that_calls_waits_for_the_storm_to_pass() {
    let mut mesh = Mesh::ready(10);
    let first = fall(&mut mesh, 7, [2, 3]);
    mesh.climb(first, 4, Outcome::Failed);
    for n in [8, 9, 10] {
        fall(&mut mesh, n, [2, 3]);
    }
    let call = Record::Called { incident: first, rung: 1 };
    assert_eq!(word(&mesh.refused(1, call.clone())), "storm-brake");
    mesh.order(Action::Thaw).expect("thawed");
    mesh.done(1, call);
    assert_eq!(mesh.ledger.notices_due().count(), 1);
}

#[test]
fn a_leader_may_call_it_a_storm_before_the_log_has_them_all_but_not_for_nothing() {
    let mut mesh = Mesh::ready(10);
    let first = fall(&mut mesh, 7, [2, 3]);
    let opened =
        |mesh: &Mesh, peers: &[u64]| Record::Opened { peer: id(1), because: storm(mesh, peers) };
    let few = opened(&mesh, &[7, 8, 9]);
    assert_eq!(mesh.refused(1, few), Refusal::NoStorm { silent: 3, of: 10 });
    // Nor by naming strangers.
    let strangers = opened(&mesh, &[7, 8, 9, 77, 78, 79]);
    assert_eq!(mesh.refused(1, strangers), Refusal::NoStorm { silent: 3, of: 10 });
    let about_another = Record::Opened { peer: id(2), because: storm(&mesh, &[7, 8, 9, 10]) };
    assert_eq!(word(&mesh.refused(1, about_another)), "not-allowed");
    let enough = opened(&mesh, &[7, 8, 9, 10]);
    mesh.done(1, enough);
    assert_eq!(word(&mesh.assign_refused(first, 4)), "storm-brake");
}

#[test]
fn a_leader_that_hears_half_of_the_mesh_or_less_may_call_it_a_storm() {
    let mut mesh = Mesh::ready(4);
    let one = Record::Opened { peer: id(1), because: storm(&mesh, &[4]) };
    assert_eq!(mesh.refused(1, one), Refusal::NoStorm { silent: 1, of: 4 });
    // 2 of 4, of different zones: no share of at least 3.
    let two = Record::Opened { peer: id(1), because: storm(&mesh, &[3, 4]) };
    mesh.done(1, two);
}

#[test]
fn the_likely_cause_is_the_zone_the_leaders_side_or_the_network() {
    let mesh = Mesh::ready(9);
    let cause = |peers: &[u64]| mesh.ledger.likely_cause(&peers.iter().map(|n| id(*n)).collect());
    assert_eq!(cause(&[3, 6, 9]), (StormCause::Zone, Some("a".to_owned())));
    assert_eq!(cause(&[2, 3, 6, 9]), (StormCause::Network, None));
    assert_eq!(cause(&[2, 3, 5, 7]), (StormCause::Network, None));
    assert_eq!(cause(&[2, 3, 5, 7, 8]), (StormCause::Leader, None));
}

#[test]
fn the_brake_is_released_by_calm_and_not_before() {
    let (mut mesh, fallen) = four_of_ten();
    let because = storm(&mesh, &[7, 8, 9, 10]);
    let incident = mesh.opened(1, because);
    let over = || Record::Resolved { incident, because: "calm".to_owned() };
    mesh.wait(200);
    fall(&mut mesh, 6, [2, 3]);
    mesh.wait(299);
    assert_eq!(word(&mesh.refused(1, over())), "storm-brake");
    mesh.wait(1);
    mesh.done(1, over());
    assert!(mesh.ledger.brake().is_none());
    // What waited goes on, within the usual limits.
    mesh.assign(fallen[0], 4);
}

#[test]
fn a_thaw_releases_the_brake_and_what_was_silent_before_is_not_counted_again() {
    let (mut mesh, fallen) = four_of_ten();
    let because = storm(&mesh, &[7, 8, 9, 10]);
    let opened = mesh.opened(1, because);
    mesh.order(Action::Thaw).expect("without a freeze");
    assert_eq!(mesh.incident(opened).state, State::Resolved);
    assert!(mesh.ledger.brake().is_none());
    mesh.assign(fallen[0], 4);
    mesh.wait(1);
    fall(&mut mesh, 6, [2, 3]);
    assert!(mesh.ledger.brake().is_none(), "one after the thaw");
    // 5 and 4 with it: three of ten are fewer than 34 %, and with a fourth they are a storm.
    for n in [5, 4] {
        fall(&mut mesh, n, [2, 3]);
        assert!(mesh.ledger.brake().is_none());
    }
    let because = silent(mesh.now, &[(1, Seen::NoAnswer), (2, Seen::NoAnswer)]);
    mesh.opened(3, because);
    assert!(mesh.ledger.brake().is_some());
}

#[test]
fn an_operator_who_closes_the_storm_releases_the_brake() {
    let (mut mesh, fallen) = four_of_ten();
    let because = storm(&mesh, &[7, 8, 9, 10]);
    let incident = mesh.opened(1, because);
    let reason = "the switch is back".to_owned();
    mesh.order(Action::Close { incident, reason }).expect("closed");
    assert!(mesh.ledger.brake().is_none());
    mesh.assign(fallen[0], 4);
}

#[test]
fn a_storm_holds_back_neither_checks_nor_orders() {
    let (mut mesh, _) = four_of_ten();
    assert!(mesh.ledger.brake().is_some());
    let check = mesh.open(2);
    mesh.assign(check, 2);
    let reason = "I have looked".to_owned();
    let order = Action::RunRunbook { runbook: name("rescue"), peer: id(7), reason };
    mesh.order(order).expect("a person decides");
    let ordered = mesh.ledger.open_incidents().last().expect("opened").id;
    mesh.assign(ordered, 4);
}

#[test]
fn a_higher_share_is_no_storm_where_an_operator_says_so() {
    let mut mesh = Mesh::ready(10);
    let settings =
        "[mesh]\nstorm_share_percent = 50\nstorm_window = \"10s\"\nstorm_calm = \"20s\"\n";
    mesh.documents(settings).expect("valid");
    for n in [7, 8, 9, 10, 6] {
        fall(&mut mesh, n, [2, 3]);
    }
    assert!(mesh.ledger.brake().is_none(), "half is not more than half");
    fall(&mut mesh, 5, [2, 3]);
    let calm_at = mesh.ledger.calm_at().expect("engaged");
    assert_eq!(calm_at.millis(), mesh.now + 20_000);
}
