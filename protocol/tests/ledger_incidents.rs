//! Incidents in the ledger: opened, attested, evidence, reports, losses, notices and ends; what is
//! refused, and that it changes nothing.

mod common;

use Seen::{Abstained, Heard, NoAnswer, Reached, Refused, Unreachable};
use common::{Mesh, at, ended, evidence_by, failing, id, silent};
use protocol::{
    ledger::{
        attempts::OUTPUT_BYTES_MAX,
        incident::{Fact, News, State},
    },
    name::IncidentId,
    order::Action,
    record::{AttemptReport, Because, Delivered, Outcome, Record, Seen},
    refusal::Refusal,
};

const NOWHERE: IncidentId = IncidentId(1_000_000);

fn opening(peer: u64, because: Because) -> Record {
    Record::Opened { peer: id(peer), because }
}

fn reported(incident: IncidentId, attempt: u32, outcome: Outcome) -> Record {
    Record::Reported { incident, attempt, report: ended(outcome) }
}

fn lost(incident: IncidentId, attempt: u32) -> Record {
    Record::Lost { incident, attempt, reason: "nothing was heard".to_owned() }
}

fn held(incident: IncidentId, refusal: Refusal) -> Record {
    Record::Held { incident, refusal }
}

fn close(mesh: &mut Mesh, incident: IncidentId) {
    mesh.order(Action::Close { incident, reason: "enough".to_owned() }).expect("closed");
}

fn acting(mesh: &mut Mesh) -> IncidentId {
    let incident = mesh.open(2);
    mesh.assign(incident, 2);
    incident
}

#[test]
fn an_incident_is_about_a_member_and_a_check_that_is_meant_for_it() {
    let mut mesh = Mesh::ready(3);
    let unknown = mesh.refused(1, opening(9, failing(1)));
    assert_eq!(unknown, Refusal::UnknownPeer { peer: id(9).to_string() });
    let Because::Check { verdict, since, summary, .. } = failing(1) else { panic!("a check") };
    let because = Because::Check { check: common::name("other"), verdict, since, summary };
    assert!(matches!(mesh.refused(1, opening(2, because)), Refusal::Misassigned { .. }));
}

#[test]
fn one_thing_has_one_open_incident_and_one_episode_has_one_ever() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.opened(2, failing(500));
    let refusal = mesh.refused(1, opening(2, failing(600)));
    assert_eq!(refusal, Refusal::AlreadyOpen { incident });
    close(&mut mesh, incident);
    let refusal = mesh.refused(1, opening(2, failing(500)));
    assert_eq!(refusal, Refusal::IncidentOver { incident }, "the operator closed this episode");
    mesh.opened(2, failing(600));
}

#[test]
fn a_silence_needs_the_leader_and_most_of_the_witnesses_that_could_answer() {
    // Size of the mesh, who testifies of peer 2 what, how many agree and are needed.
    type Row = (u64, &'static [(u64, Seen)], Option<(u32, u32)>);
    let table: &[Row] = &[
        (2, &[(1, NoAnswer)], None),
        (2, &[], Some((0, 1))),
        (3, &[(1, NoAnswer)], Some((1, 2))),
        (3, &[(3, NoAnswer)], Some((1, 2))),
        (3, &[(1, NoAnswer), (3, Refused)], None),
        (3, &[(1, NoAnswer), (3, Reached)], Some((1, 2))),
        (3, &[(1, NoAnswer), (2, NoAnswer)], Some((1, 2))),
        (3, &[(1, NoAnswer), (1, NoAnswer)], Some((1, 2))),
        (3, &[(1, NoAnswer), (9, NoAnswer)], Some((1, 2))),
        (5, &[(1, NoAnswer), (3, NoAnswer)], Some((2, 3))),
        (5, &[(1, NoAnswer), (3, NoAnswer), (3, NoAnswer)], Some((2, 3))),
        (5, &[(3, NoAnswer), (4, NoAnswer), (5, NoAnswer)], Some((3, 2))),
        (5, &[(1, NoAnswer), (3, NoAnswer), (4, Unreachable)], None),
        (5, &[(1, NoAnswer), (3, NoAnswer), (4, Abstained), (5, Unreachable)], None),
        (5, &[(1, NoAnswer), (3, Abstained), (4, Unreachable)], Some((1, 2))),
        (5, &[(1, NoAnswer), (3, NoAnswer), (4, Heard)], Some((2, 2))),
        (5, &[(1, Abstained), (3, NoAnswer), (4, NoAnswer)], Some((2, 2))),
        (5, &[(1, NoAnswer), (3, NoAnswer), (4, NoAnswer)], None),
        (5, &[(1, NoAnswer), (3, NoAnswer), (4, NoAnswer), (5, Reached)], Some((3, 2))),
        (5, &[(1, Reached), (3, NoAnswer), (4, NoAnswer)], Some((2, 2))),
    ];
    for (size, witnesses, refusal) in table {
        let mut mesh = Mesh::ready(*size);
        let record = opening(2, silent(900, witnesses));
        let alive = witnesses.iter().filter(|(_, seen)| seen.is_life()).count();
        let alive = u32::try_from(alive).unwrap();
        match refusal {
            None => drop(mesh.done(1, record)),
            Some((agreeing, needed)) => assert_eq!(
                mesh.refused(1, record),
                Refusal::NotAttested { agreeing: *agreeing, needed: *needed, alive },
                "{size} peers, {witnesses:?}"
            ),
        }
    }
}

#[test]
fn a_silent_peer_is_no_witness() {
    let mut mesh = Mesh::ready(4);
    mesh.opened(4, silent(900, &[(1, NoAnswer), (2, NoAnswer), (3, NoAnswer)]));
    let one_is_silent = silent(900, &[(1, NoAnswer), (4, NoAnswer)]);
    let refusal = mesh.refused(1, opening(3, one_is_silent));
    assert_eq!(refusal, Refusal::NotAttested { agreeing: 1, needed: 2, alive: 0 });
    mesh.opened(3, silent(900, &[(1, NoAnswer), (2, NoAnswer)]));
}

#[test]
fn a_peer_that_stopped_is_not_silent() {
    let mut mesh = Mesh::ready(3);
    mesh.done(2, Record::PeerStopped { peer: id(2) });
    let record = opening(2, silent(900, &[(1, NoAnswer), (3, NoAnswer)]));
    assert_eq!(mesh.refused(1, record), Refusal::PeerNotRunning);
}

#[test]
fn evidence_comes_once_from_the_peer_that_was_to_take_it() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    let taken = |evidence| Record::EvidenceTaken { incident, evidence };
    assert!(matches!(mesh.refused(3, taken(evidence_by(3))), Refusal::NotAllowed { .. }));
    assert!(matches!(mesh.refused(2, taken(evidence_by(3))), Refusal::NotAllowed { .. }));
    mesh.done(2, taken(evidence_by(2)));
    assert!(matches!(mesh.refused(2, taken(evidence_by(2))), Refusal::WrongState { .. }));
    mesh.resolve(incident);
    assert_eq!(mesh.refused(2, taken(evidence_by(2))), Refusal::IncidentOver { incident });
    let nowhere = Record::EvidenceTaken { incident: NOWHERE, evidence: evidence_by(2) };
    assert_eq!(mesh.refused(2, nowhere), Refusal::UnknownIncident { incident: NOWHERE });
}

#[test]
fn a_silent_peers_evidence_is_the_leaders_to_take() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.opened(2, silent(900, &[(1, NoAnswer), (3, NoAnswer)]));
    let taken = |evidence| Record::EvidenceTaken { incident, evidence };
    assert!(matches!(mesh.refused(2, taken(evidence_by(2))), Refusal::NotAllowed { .. }));
    mesh.done(1, taken(evidence_by(1)));
}

#[test]
fn an_outcome_is_its_workers_to_tell_and_told_once() {
    let mut mesh = Mesh::ready(3);
    let incident = acting(&mut mesh);
    let failed = |attempt| reported(incident, attempt, Outcome::Failed);
    assert!(matches!(mesh.refused(3, failed(1)), Refusal::NotAllowed { .. }));
    assert!(matches!(mesh.refused(2, failed(2)), Refusal::WrongState { .. }));
    let nowhere = reported(NOWHERE, 1, Outcome::Failed);
    assert_eq!(mesh.refused(2, nowhere), Refusal::UnknownIncident { incident: NOWHERE });
    let output = "x".repeat(OUTPUT_BYTES_MAX + 1);
    let report = AttemptReport { output, ..ended(Outcome::Failed) };
    let large = Record::Reported { incident, attempt: 1, report };
    assert!(matches!(mesh.refused(2, large), Refusal::TooLarge { .. }));
    mesh.done(2, failed(1));
    assert!(matches!(mesh.refused(2, failed(1)), Refusal::WrongState { .. }));
    assert_eq!(mesh.incident(incident).climbed, 1);
}

#[test]
fn an_attempt_is_lost_only_when_it_can_no_longer_act() {
    let mut mesh = Mesh::ready(3);
    let incident = acting(&mut mesh);
    let until = mesh.incident(incident).attempts[0].until;
    assert_eq!(
        mesh.refused(1, lost(incident, 1)),
        Refusal::AttemptUnderWay { incident, attempt: 1, until }
    );
    mesh.now = until.millis();
    assert!(matches!(mesh.refused(1, lost(incident, 2)), Refusal::WrongState { .. }));
    mesh.done(1, lost(incident, 1));
    assert!(matches!(mesh.refused(1, lost(incident, 1)), Refusal::WrongState { .. }));
    assert_eq!(mesh.incident(incident).attempts[0].outcome(), Some(Outcome::Unknown));
}

#[test]
fn a_late_outcome_is_kept_and_changes_nothing_else() {
    let mut mesh = Mesh::ready(3);
    let incident = acting(&mut mesh);
    mesh.wait(120);
    mesh.done(1, lost(incident, 1));
    let before = mesh.incident(incident).clone();
    mesh.done(2, reported(incident, 1, Outcome::Failed));
    let after = mesh.incident(incident);
    assert_eq!((after.climbed, after.state), (before.climbed, before.state));
    assert_eq!(after.attempts[0].ended_at, before.attempts[0].ended_at);
    assert_eq!(after.attempts[0].outcome(), Some(Outcome::Failed));
}

#[test]
fn a_late_outcome_answers_what_a_person_is_asked() {
    let mut mesh = Mesh::ready(3);
    let incident = acting(&mut mesh);
    mesh.wait(120);
    mesh.done(1, lost(incident, 1));
    let asked = Refusal::UnknownOutcome { incident, attempt: 1 };
    assert_eq!(mesh.assign_refused(incident, 2), asked);
    mesh.done(1, held(incident, asked));
    mesh.done(2, reported(incident, 1, Outcome::Failed));
    assert_eq!(mesh.incident(incident).held, None);
    mesh.wait(10);
    mesh.assign(incident, 2);
}

#[test]
fn a_late_outcome_that_is_not_known_either_leaves_the_question_open() {
    let mut mesh = Mesh::ready(3);
    let incident = acting(&mut mesh);
    mesh.wait(120);
    mesh.done(1, lost(incident, 1));
    let asked = Refusal::UnknownOutcome { incident, attempt: 1 };
    mesh.done(1, held(incident, asked.clone()));
    mesh.done(2, reported(incident, 1, Outcome::Unknown));
    assert_eq!(mesh.incident(incident).held, Some(asked));
}

#[test]
fn a_refused_attempt_is_given_out_again_three_times_at_most() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    for expected in [0, 0, 1] {
        mesh.climb(incident, 2, Outcome::Refused);
        assert_eq!(mesh.incident(incident).climbed, expected);
    }
}

#[test]
fn the_same_rule_holds_it_back_once() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    mesh.done(1, held(incident, Refusal::NoRunbook));
    let again = mesh.refused(1, held(incident, Refusal::NoRunbook));
    assert!(matches!(again, Refusal::WrongState { .. }));
    assert_eq!(mesh.incident(incident).state, State::Waiting);
}

#[test]
fn while_an_attempt_is_under_way_nothing_is_held_called_resolved_or_escalated() {
    let mut mesh = Mesh::ready(3);
    let incident = acting(&mut mesh);
    let until = mesh.incident(incident).attempts[0].until;
    for record in [
        held(incident, Refusal::NoRunbook),
        Record::Resolved { incident, because: String::new() },
        Record::Escalated { incident, reason: String::new() },
        mesh.next(incident, 2),
    ] {
        assert_eq!(
            mesh.refused(1, record),
            Refusal::AttemptUnderWay { incident, attempt: 1, until }
        );
    }
    let called = mesh.refused(1, Record::Called { incident, rung: 0 });
    assert!(matches!(called, Refusal::WrongState { .. }));
}

#[test]
fn what_is_over_stays_over() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    mesh.resolve(incident);
    for record in [
        held(incident, Refusal::NoRunbook),
        lost(incident, 1),
        Record::Called { incident, rung: 0 },
        Record::Resolved { incident, because: String::new() },
        Record::Escalated { incident, reason: String::new() },
        mesh.next(incident, 2),
    ] {
        assert_eq!(mesh.refused(1, record), Refusal::IncidentOver { incident });
    }
    let closed = mesh.order_refused(Action::Close { incident, reason: String::new() });
    assert_eq!(closed, Refusal::IncidentOver { incident });
    let unknown = Action::Close { incident: NOWHERE, reason: String::new() };
    assert_eq!(mesh.order_refused(unknown), Refusal::UnknownIncident { incident: NOWHERE });
}

#[test]
fn what_is_not_there_is_refused() {
    let mut mesh = Mesh::ready(3);
    for record in [
        held(NOWHERE, Refusal::NoRunbook),
        lost(NOWHERE, 1),
        Record::Called { incident: NOWHERE, rung: 0 },
        Record::Resolved { incident: NOWHERE, because: String::new() },
        Record::Escalated { incident: NOWHERE, reason: String::new() },
        Record::Notified {
            incident: NOWHERE,
            notice: 1,
            delivered: Delivered::Yes,
            detail: String::new(),
        },
    ] {
        assert_eq!(mesh.refused(1, record), Refusal::UnknownIncident { incident: NOWHERE });
    }
}

#[test]
fn a_person_is_called_by_the_rung_that_says_so_and_told_when_it_is_over() {
    let mut mesh = Mesh::ready(3);
    let incident = mesh.open(2);
    let called = |rung| Record::Called { incident, rung };
    assert!(matches!(mesh.refused(1, called(0)), Refusal::WrongState { .. }));
    for _ in 0..2 {
        mesh.climb(incident, 2, Outcome::Failed);
        mesh.wait(10);
    }
    assert!(matches!(mesh.refused(1, called(1)), Refusal::WrongState { .. }));
    assert!(matches!(mesh.assign_refused(incident, 2), Refusal::WrongState { .. }));
    mesh.done(1, called(2));
    assert_eq!(mesh.incident(incident).state, State::Escalated);
    let again = mesh.refused(1, Record::Escalated { incident, reason: String::new() });
    assert!(matches!(again, Refusal::WrongState { .. }));
    assert!(matches!(mesh.assign_refused(incident, 2), Refusal::WrongState { .. }));
    let told = |notice| Record::Notified {
        incident,
        notice,
        delivered: Delivered::Yes,
        detail: "200".to_owned(),
    };
    let not_due = |notice| Refusal::NoticeNotDue { incident, notice };
    assert_eq!(mesh.refused(1, told(2)), not_due(2));
    mesh.done(1, told(1));
    assert_eq!(mesh.refused(1, told(1)), not_due(1));
    mesh.resolve(incident);
    let news: Vec<News> = mesh.ledger.notices_due().map(|(_, notice)| notice.news).collect();
    assert_eq!(news, [News::Resolved]);
    mesh.done(1, told(2));
    assert_eq!(mesh.ledger.notices_due().count(), 0);
}

/// Somebody is to be called, and then it is well again.
fn over_while_due(mesh: &mut Mesh) -> IncidentId {
    let incident = mesh.open(2);
    mesh.done(1, Record::Escalated { incident, reason: "enough".to_owned() });
    mesh.done(1, held(incident, Refusal::UnknownOutcome { incident, attempt: 1 }));
    assert_eq!(mesh.ledger.notices_due().count(), 1);
    mesh.resolve(incident);
    incident
}

#[test]
fn what_became_of_a_call_is_taken_when_it_is_over_and_its_end_is_told_to_whoever_may_know_of_it() {
    for (delivered, ends) in [(Delivered::No, 0), (Delivered::Perhaps, 1), (Delivered::Yes, 1)] {
        let mut mesh = Mesh::ready(3);
        let incident = over_while_due(&mut mesh);
        assert_eq!(mesh.ledger.notices_due().count(), 1, "it may be out");
        let said = |notice| Record::Notified { incident, notice, delivered, detail: String::new() };
        mesh.done(1, said(1));
        let due: Vec<News> = mesh.ledger.notices_due().map(|(_, notice)| notice.news).collect();
        assert_eq!(due, vec![News::Resolved; ends], "{delivered:?}");
        if ends == 1 {
            mesh.done(1, said(2));
        }
        assert_eq!(mesh.ledger.notices_due().count(), 0, "and the end has no end");
    }
}

#[test]
fn a_call_whose_time_had_not_come_is_not_made_when_it_is_over() {
    let mut mesh = Mesh::ready(3);
    let always = "quiet = { cron = \"0 0 * * *\", lasts = \"24h\" }\n";
    let kind = "kind = \"webhook\"\n";
    let quiet = common::DOCUMENTS.replace(kind, &format!("{kind}{always}"));
    assert!(quiet.contains(always), "{quiet}");
    mesh.documents(&quiet).unwrap();
    over_while_due(&mut mesh);
    assert_eq!(mesh.ledger.notices_due().count(), 0);
}

#[test]
fn the_logs_time_never_goes_back() {
    let mut mesh = Mesh::ready(3);
    mesh.now = 50_000;
    let first = mesh.open(2);
    mesh.now = 10;
    let second = mesh.opened(3, failing(1));
    assert_eq!(mesh.incident(first).opened_at, at(50_000));
    assert_eq!(mesh.incident(second).opened_at, at(50_000));
    let facts: Vec<&Fact> = mesh.incident(second).timeline.iter().map(|line| &line.fact).collect();
    assert_eq!(facts, [&Fact::Opened]);
}
