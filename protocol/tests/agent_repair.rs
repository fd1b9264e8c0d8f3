//! An incident from end to end, with real agents around a log that commits at once.

mod common;

use common::driver::{Driver, Effect};
use protocol::{
    agent::{Input, Output},
    document::Verdict,
    ledger::incident::{Fact, News, State},
    record::{Outcome, Record},
    refusal::Refusal,
};

fn state(driver: &Driver) -> Option<State> {
    driver.ledger.incidents().values().last().map(|incident| incident.state)
}

#[test]
fn a_failing_check_is_repaired_on_the_affected_peer_and_verified() {
    let mut driver = Driver::of(3);
    driver.fails(2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    assert_eq!(driver.executed(), [(2, "restart".to_owned())]);
    let incident = driver.incident();
    assert!(
        matches!(
            incident.timeline.iter().map(|line| &line.fact).collect::<Vec<_>>()[..],
            [
                Fact::Opened,
                Fact::EvidenceTaken,
                Fact::Assigned(1),
                Fact::Reported(1),
                Fact::Resolved(_)
            ]
        ),
        "{:?}",
        incident.timeline
    );
    let place = |like: fn(&Output) -> bool| driver.outputs.iter().position(|(_, _, o)| like(o));
    let recorded = place(|output| matches!(output, Output::RecordStart { .. }));
    let executed = place(|output| matches!(output, Output::Execute(_)));
    let evidence = place(|output| matches!(output, Output::TakeEvidence { .. }));
    assert!(evidence.is_some() && evidence < recorded && recorded < executed);
}

#[test]
fn a_quiet_mesh_is_quiet() {
    let mut driver = Driver::of(3);
    driver.pass(10_000);
    let (log, said) = (driver.log.len(), driver.outputs.len());
    driver.pass(10_000);
    assert_eq!(driver.log.len(), log, "nothing is written");
    let outputs = &driver.outputs[said..];
    assert!(outputs.iter().all(|(_, _, output)| matches!(output, Output::RunCheck { .. })));
    for (n, host) in &driver.hosts {
        let sleep = host.agent.sleep(driver.clock(*n));
        assert!(!sleep.is_zero(), "peer {n} has nothing to do");
    }
}

#[test]
fn a_rung_that_did_not_help_is_followed_by_the_next_after_it_has_settled() {
    let mut driver = Driver::of(3);
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.fails(2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    let rungs: Vec<String> = driver.executed().into_iter().map(|(_, rung)| rung).collect();
    assert_eq!(rungs, ["restart", "reinstall"]);
    let attempts = &driver.incident().attempts;
    let settled = attempts[0].ended_at.map(|ended| ended.plus(common::seconds(2)));
    assert!(settled.is_some_and(|settled| attempts[1].assigned_at >= settled));
}

#[test]
fn a_person_is_called_at_the_end_and_told_when_it_is_over() {
    let mut driver = Driver::of(3);
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.effects.insert("reinstall".to_owned(), Effect::Fails);
    driver.fails(2);
    driver.until("escalated", |driver| state(driver) == Some(State::Escalated));
    driver.pass(60_000);
    assert_eq!(driver.executed().len(), 2, "each rung once");
    driver.host(2).verdict = Verdict::Pass;
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    driver.pass(2_000);
    let told: Vec<News> = driver
        .outputs
        .iter()
        .filter_map(|(_, _, output)| match output {
            Output::Notify { message, .. } => Some(message.news),
            _ => None,
        })
        .collect();
    assert_eq!(told, [News::Called, News::Resolved]);
    assert!(driver.incident().notices.iter().all(|notice| notice.done.is_some()));
}

#[test]
fn a_check_that_needs_several_good_runs_is_given_the_time_for_them() {
    let documents = common::DOCUMENTS.replace("every = \"1s\"", "every = \"30s\"\npass_after = 3");
    let mut driver = Driver::with(3, &documents);
    driver.fails(2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    assert_eq!(driver.executed(), [(2, "restart".to_owned())], "it was well after the first");
}

#[test]
fn what_cannot_be_said_is_unknown_and_asks_a_person_once() {
    let mut driver = Driver::of(3);
    driver.effects.insert("restart".to_owned(), Effect::Hangs);
    driver.fails(2);
    driver.until("executed", |driver| !driver.executed().is_empty());
    driver.restart(2);
    driver.until("held", |driver| {
        matches!(driver.incident().held, Some(Refusal::UnknownOutcome { .. }))
    });
    driver.pass(60_000);
    assert_eq!(driver.executed().len(), 1, "never started again");
    let attempt = driver.incident().last_attempt().expect("an attempt").clone();
    assert_eq!(attempt.report.map(|report| report.outcome), Some(Outcome::Unknown));
    let calls = driver.count(|output| matches!(output, Output::Notify { .. }));
    assert_eq!(calls, 1, "a person is asked once");
}

#[test]
fn a_late_word_that_nobody_knows_the_outcome_does_not_ask_a_person_again() {
    let mut driver = Driver::of(3);
    driver.effects.insert("restart".to_owned(), Effect::Hangs);
    driver.effects.insert("power".to_owned(), Effect::InVain);
    driver.fails(2);
    driver.until("executed", |driver| !driver.executed().is_empty());
    driver.kill(2);
    driver.until("held", |driver| {
        let incident = driver.ledger.incidents().values().next();
        incident.is_some_and(|i| matches!(i.held, Some(Refusal::UnknownOutcome { .. })))
    });
    driver.pass(5_000);
    let calls = |driver: &Driver| {
        let incident = driver.ledger.incidents().values().next().expect("an incident");
        incident.timeline.iter().filter(|line| matches!(line.fact, Fact::Called(_))).count()
    };
    assert_eq!(calls(&driver), 1);
    driver.restart(2);
    driver.pass(20_000);
    assert_eq!(calls(&driver), 1);
}

#[test]
fn what_may_run_twice_is_tried_again_when_its_outcome_is_unknown() {
    let documents = common::DOCUMENTS
        .replace("name = \"restart-web\"", "name = \"restart-web\"\non_unknown = \"retry\"");
    let mut driver = Driver::with(3, &documents);
    driver.effects.insert("restart".to_owned(), Effect::Hangs);
    driver.fails(2);
    driver.until("executed", |driver| !driver.executed().is_empty());
    driver.effects.insert("restart".to_owned(), Effect::Heals);
    driver.restart(2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    let incident = driver.incident();
    let places: Vec<(u32, u32)> = incident.attempts.iter().map(|a| (a.number, a.rung)).collect();
    assert_eq!(places, [(1, 0), (2, 0)]);
}

#[test]
fn a_new_leader_continues_where_the_old_one_stopped() {
    let mut driver = Driver::of(3);
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.fails(2);
    driver.until("executed", |driver| driver.executed().len() == 1);
    driver.kill(1);
    driver.pass(2_000);
    driver.elect(3);
    driver.until("resolved", |driver| {
        driver.ledger.incidents().values().next().is_some_and(|i| i.state == State::Resolved)
    });
    let rungs: Vec<String> =
        driver.executed().into_iter().filter(|(n, _)| *n == 2).map(|(_, rung)| rung).collect();
    assert_eq!(rungs, ["restart", "reinstall"]);
}

#[test]
fn a_peer_that_does_not_lead_proposes_nothing() {
    let mut driver = Driver::of(3);
    driver.leader = None;
    driver.elect(1);
    driver.fails(2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    assert!(driver.outputs.iter().all(|(n, _, output)| match output {
        Output::Propose { .. }
        | Output::Probe { .. }
        | Output::AskWitness { .. }
        | Output::Notify { .. }
        | Output::ChangeMembers(_) => *n == 1,
        _ => true,
    }));
}

#[test]
fn a_notice_that_is_not_taken_is_sent_again_later_and_later_and_committed_once() {
    let mut driver = Driver::of(3);
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.effects.insert("reinstall".to_owned(), Effect::InVain);
    driver.channel = Err(());
    driver.fails(2);
    driver.until("escalated", |driver| state(driver) == Some(State::Escalated));
    driver.pass(20_000);
    let sent: Vec<u64> = driver
        .outputs
        .iter()
        .filter(|(_, _, output)| matches!(output, Output::Notify { .. }))
        .map(|(_, at, _)| *at)
        .collect();
    let waits: Vec<u64> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [2_000, 4_000, 8_000]);
    driver.channel = Ok(());
    driver.pass(60_000);
    let notified = |record: &&Record| matches!(record, Record::Notified { .. });
    assert_eq!(driver.records().into_iter().filter(notified).count(), 1);
}

#[test]
fn a_start_is_announced_until_the_log_has_it() {
    let mut driver = Driver::of(3);
    driver.pass(2_000);
    driver.leader = None;
    driver.restart(2);
    driver.pass(5_000);
    let starts = driver.count(|output| {
        matches!(output, Output::Forward { entry, .. }
            if matches!(entry.record, Record::PeerStarted { .. }))
    });
    assert!((4..=40).contains(&starts), "again and again, but not at every look: {starts}");
    driver.elect(1);
    driver.pass(2_000);
    let card = driver.ledger.roster().member(common::id(2)).map(|member| member.card.generation);
    assert_eq!(card, Some(2));
    let before = driver.outputs.len();
    driver.pass(5_000);
    assert!(
        driver.outputs[before..].iter().all(|(_, _, o)| !matches!(o, Output::Forward { .. })),
        "and then no more"
    );
}

#[test]
fn an_operators_close_is_final_until_the_check_has_passed_once() {
    let mut driver = Driver::of(3);
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.effects.insert("reinstall".to_owned(), Effect::InVain);
    driver.fails(2);
    driver.until("escalated", |driver| state(driver) == Some(State::Escalated));
    let action = protocol::order::Action::Close {
        incident: driver.incident().id,
        reason: "known".to_owned(),
    };
    let order = common::ordered(7, common::at(u64::MAX), action);
    driver.write(Record::Ordered { order }).expect("closed");
    driver.pass(60_000);
    assert_eq!(driver.incident().state, State::Closed);
    driver.host(2).verdict = Verdict::Pass;
    driver.pass(5_000);
    driver.fails(2);
    driver.pass(5_000);
    assert_eq!(driver.ledger.incidents().len(), 2);
}

#[test]
fn a_host_whose_clock_leapt_ahead_and_back_is_found_well_again() {
    let mut driver = Driver::of(3);
    driver.effects.insert("restart".to_owned(), Effect::Hangs);
    driver.host(2).ahead = 315_360_000_000;
    driver.fails(2);
    driver.until("opened", |driver| state(driver).is_some());
    driver.host(2).ahead = 0;
    driver.host(2).verdict = Verdict::Pass;
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
}

#[test]
fn a_restarted_host_whose_clock_had_leapt_ahead_is_found_well_again() {
    let mut driver = Driver::of(3);
    driver.host(2).policy.observe_only = true;
    driver.host(2).ahead = 315_360_000_000;
    driver.fails(2);
    driver.until("opened", |driver| state(driver).is_some());
    driver.host(2).ahead = 0;
    driver.host(2).verdict = Verdict::Pass;
    driver.restart(2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
}

#[test]
fn an_agent_that_has_nothing_to_do_sleeps() {
    let mut driver = Driver::of(3);
    driver.fails(2);
    driver.until("reported", |driver| {
        driver.records().iter().any(|record| matches!(record, Record::Reported { .. }))
    });
    // The same report once more: the answer to the first one was lost.
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    driver.pass(10_000);
    for (n, host) in &driver.hosts {
        assert!(!host.agent.sleep(driver.clock(*n)).is_zero(), "peer {n}");
    }
    driver.tell(2, Input::Stopping { for_good: false });
    driver.pass(5_000);
    let sleep = driver.hosts[&2].agent.sleep(driver.clock(2));
    assert!(!sleep.is_zero(), "a peer that stops does not spin");
}
