//! Storms as the leader sees them: many peers die at once, nobody is fenced, one person is called.

mod common;

use common::{
    DOCUMENTS,
    driver::{Driver, Effect},
    id,
};
use protocol::{
    agent::{Input, Output},
    explain::{story, why_not::Reason},
    ledger::{
        incident::{Incident, News, State, Subject},
        limits::RULES,
    },
    order::Action,
    record::{Because, Record, Seen, StormCause},
};

fn storm(driver: &Driver) -> Option<&Incident> {
    driver
        .ledger
        .incidents()
        .values()
        .find(|incident| matches!(incident.because, Because::Storm { .. }))
}

fn called(driver: &Driver) -> usize {
    driver.count(
        |output| matches!(output, Output::Notify { message, .. } if message.news == News::Called),
    )
}

fn silences(driver: &Driver) -> usize {
    let all = driver.ledger.incidents().values();
    all.filter(|incident| matches!(incident.because, Because::Silent { .. })).count()
}

/// Thirty peers, ten of each zone; those of zone `a` (3, 6, …, 30) are one rack.
fn thirty() -> Driver {
    let mut driver = Driver::of(30);
    driver.effects.insert("power".to_owned(), Effect::InVain);
    driver.pass(2_000);
    driver
}

fn rack() -> impl Iterator<Item = u64> {
    (1..=10).map(|n| n * 3)
}

/// Gossip does not hear of it any more.
fn suspect(driver: &mut Driver, n: u64) {
    for other in (1..=30).filter(|other| *other != n) {
        driver.tell(other, Input::Liveness { peer: id(n), alive: false });
    }
}

fn thaw(driver: &mut Driver) {
    let order =
        common::ordered(driver.index + 9_000, common::at(driver.now + 60_000), Action::Thaw);
    driver.write(Record::Ordered { order }).expect("thawed");
}

#[test]
fn a_rack_that_dies_at_once_is_not_fenced_and_one_person_is_called_once() {
    let mut driver = thirty();
    rack().for_each(|n| driver.kill(n));
    driver.until("all are found", |driver| silences(driver) == 10);
    driver.pass(120_000);
    assert_eq!(driver.executed(), [], "nobody was fenced");
    assert_eq!(called(&driver), 1, "one message for the storm, not ten");
    let opened = storm(&driver).expect("a storm");
    assert_eq!(opened.state, State::Escalated);
    let Because::Storm { silent, zone, cause, .. } = &opened.because else { panic!("a storm") };
    assert_eq!((silent.len(), zone.as_deref(), *cause), (10, Some("a"), StormCause::Zone));
    let texts: Vec<String> = driver
        .outputs
        .iter()
        .filter_map(|(_, _, output)| {
            let Output::Notify { message, .. } = output else { return None };
            Some(message.text.clone())
        })
        .collect();
    assert!(texts[0].contains("10 peers silent at once"), "{texts:?}");
    assert!(texts[0].contains("the power or the network of zone \"a\""), "{texts:?}");
}

#[test]
fn nothing_is_given_out_before_the_decision_when_gossip_suspects_one_after_the_other() {
    let mut driver = thirty();
    driver.gossip = false;
    let all: Vec<u64> = rack().collect();
    for n in &all {
        driver.kill(*n);
    }
    // The hosts are gone at once; gossip finds out about one in each second.
    for n in &all {
        for other in (1..=30).filter(|other| !all.contains(other)) {
            driver.tell(other, Input::Liveness { peer: id(*n), alive: false });
        }
        driver.pass(1_000);
        assert_eq!(driver.executed(), [], "after {n}");
    }
    assert!(storm(&driver).is_some());
    assert_eq!(called(&driver), 1);
}

#[test]
fn one_silent_host_is_acted_on_after_one_look_around() {
    let mut driver = thirty();
    driver.kill(3);
    let began = driver.now;
    driver.until("executed", |driver| !driver.executed().is_empty());
    assert!(driver.now - began <= 1_000, "{} ms", driver.now - began);
    assert!(storm(&driver).is_none());
}

#[test]
fn that_there_was_no_storm_says_nothing_about_those_who_fall_silent_next() {
    let mut driver = thirty();
    driver.gossip = false;
    // It answers, and the look around is over before nine others have: they could be no storm.
    suspect(&mut driver, 2);
    assert!(driver.count(|output| matches!(output, Output::Probe { .. })) >= 29);
    let all: Vec<u64> = (21..=30).rev().collect();
    all.iter().for_each(|n| driver.kill(*n));
    for n in &all {
        suspect(&mut driver, *n);
        driver.pass(1_000);
        assert_eq!(driver.executed(), [], "after {n}");
    }
    assert!(storm(&driver).is_some());
}

#[test]
fn who_falls_silent_while_the_leader_looks_around_is_looked_at_again() {
    let mut driver = thirty();
    driver.gossip = false;
    // The answers of ten are lost in the first round, and come in the second; meanwhile ten others,
    // which have answered, lose their power, and nine of these are suspected.
    driver.lies.insert(1, Seen::NoAnswer);
    driver.lied_about = (21..=30).collect();
    suspect(&mut driver, 21);
    driver.lies.clear();
    (11..=20).for_each(|n| driver.kill(n));
    (12..=20).for_each(|n| suspect(&mut driver, n));
    driver.until("all are found", |driver| silences(driver) >= 9);
    driver.pass(5_000);
    assert_eq!(driver.executed(), []);
    assert!(storm(&driver).is_some());
}

#[test]
fn the_brake_outlives_its_leader() {
    let mut driver = thirty();
    rack().for_each(|n| driver.kill(n));
    driver.until("a storm", |driver| storm(driver).is_some());
    driver.kill(1);
    driver.elect(2);
    driver.pass(200_000);
    assert_eq!(driver.executed(), [], "the next leader is held back by the same brake");
    assert_eq!(called(&driver), 1, "and tells nobody again");
    driver.until("released", |driver| driver.ledger.brake().is_none());
    driver.until("acted", |driver| !driver.executed().is_empty());
}

#[test]
fn after_the_calm_what_waited_goes_on() {
    let mut driver = thirty();
    rack().for_each(|n| driver.kill(n));
    driver.until("a storm", |driver| storm(driver).is_some());
    let engaged = driver.now;
    driver.until("released", |driver| driver.ledger.brake().is_none());
    let took = driver.now - engaged;
    assert!((300_000..320_000).contains(&took), "{took} ms");
    driver.until("every silence was acted on", |driver| driver.executed().len() >= 10);
    assert!(driver.ledger.brake().is_none(), "they are no storm again");
    let resolved = driver.count(
        |output| matches!(output, Output::Notify { message, .. } if message.text.contains("the storm is over")),
    );
    assert_eq!(resolved, 1);
}

#[test]
fn a_clock_that_jumps_does_not_end_the_calm() {
    let mut driver = thirty();
    rack().for_each(|n| driver.kill(n));
    driver.until("a storm", |driver| storm(driver).is_some());
    driver.pass(5_000);
    driver.host(1).ahead = 3_600_000;
    driver.pass(60_000);
    assert!(driver.ledger.brake().is_some(), "an hour by one clock, a minute by the other");
    assert_eq!(driver.executed(), []);
}

#[test]
fn a_thaw_lets_neighbours_act_at_once_and_the_same_silences_are_no_storm_again() {
    let mut driver = thirty();
    rack().for_each(|n| driver.kill(n));
    driver.until("all are found", |driver| silences(driver) == 10);
    thaw(&mut driver);
    driver.until("every silence was acted on", |driver| driver.executed().len() >= 10);
    let storms = driver.ledger.incidents().values();
    let storms = storms.filter(|i| Subject::of(&i.because) == Subject::Storm).count();
    assert_eq!(storms, 1);
}

#[test]
fn a_leader_that_hears_half_of_the_mesh_has_no_neighbour_act() {
    // 3 of 6 are silent, of different zones, and the operator has set the share higher than that.
    let mut driver = Driver::with(6, &format!("{DOCUMENTS}\n[mesh]\nstorm_share_percent = 60\n"));
    driver.effects.insert("power".to_owned(), Effect::InVain);
    driver.pass(2_000);
    [4, 5, 6].into_iter().for_each(|n| driver.kill(n));
    driver.until("a storm", |driver| storm(driver).is_some());
    driver.pass(60_000);
    assert_eq!(driver.executed(), []);
    // It goes on only when it hears more than half again, however calm it is.
    driver.pass(600_000);
    assert!(driver.ledger.brake().is_some());
    driver.restart(4);
    driver.until("released", |driver| driver.ledger.brake().is_none());
}

#[test]
fn the_brake_is_named_wherever_somebody_asks() {
    let mut driver = thirty();
    rack().for_each(|n| driver.kill(n));
    driver.until("all are found", |driver| silences(driver) == 10);
    driver.pass(2_000);
    let now = driver.clock(1);
    let at = driver.hosts[&1].agent.log_now(now);
    let held = driver.ledger.silence_of(id(3)).expect("silent");
    assert_eq!(held.held.as_ref().map(|refusal| refusal.word()), Some("storm-brake"));
    let told = story(&driver.ledger, held, Some(id(1)), at);
    let last = &told.last().expect("a story").text;
    assert!(last.starts_with("now: storm brake: 10 peers are silent at once"), "{last}");
    assert!(last.contains("hearten thaw") && last.ends_with("left)"), "{last}");
    let why = driver.hosts[&1].agent.why_not(now, &common::name("web"), id(3));
    assert_eq!(why.reason, Reason::StormBrake, "{why:?}");
    assert!(RULES.iter().any(|rule| rule.name == "storm brake"));
    let opened = storm(&driver).expect("a storm");
    let told = story(&driver.ledger, opened, Some(id(1)), at);
    let told: Vec<&str> = told.iter().map(|sentence| sentence.text.as_str()).collect();
    assert!(told[0].contains("web-1 saw 10 peers silent at once"), "{told:?}");
    assert!(told.last().is_some_and(|now| now.contains("or until `hearten thaw`")), "{told:?}");
}

#[test]
fn a_few_lost_answers_engage_no_brake() {
    // Nobody else is silent; of the first look around, gossip's doubt is all that there is.
    let mut driver = thirty();
    for n in rack().filter(|n| *n != 3) {
        for other in 1..=30 {
            if other != n {
                driver.tell(other, Input::Liveness { peer: id(n), alive: false });
            }
        }
    }
    driver.kill(3);
    driver.until("executed", |driver| !driver.executed().is_empty());
    assert!(storm(&driver).is_none(), "they answered when they were asked");
}

#[test]
fn the_switch_is_called_by_the_leader_alone_and_goes_on_with_the_next() {
    let settings = "\n[mesh]\ncheck_in = { url = \"http://switch.example/x\", every = \"10s\" }\n";
    let mut driver = Driver::with(5, &format!("{DOCUMENTS}{settings}"));
    let calls = |driver: &Driver| -> Vec<(u64, u64)> {
        let calls = driver.outputs.iter().filter(|(_, _, out)| matches!(out, Output::CheckIn(_)));
        calls.map(|(n, at, _)| (*n, *at)).collect()
    };
    driver.pass(60_000);
    let made = calls(&driver);
    assert!((6..=7).contains(&made.len()), "{made:?}");
    assert!(made.iter().all(|(n, _)| *n == 1), "{made:?}");
    driver.kill(1);
    driver.pass(60_000);
    assert_eq!(calls(&driver).len(), made.len(), "without a leader nobody calls");
    driver.elect(2);
    driver.pass(10_000);
    let after = calls(&driver).split_off(made.len());
    assert!(after.iter().all(|(n, _)| *n == 2) && !after.is_empty(), "{after:?}");
    // What fails is told to everybody, once it has failed three times.
    assert_eq!(driver.hosts[&3].agent.check_in_problem(), None);
    driver.switch = Err(());
    driver.pass(60_000);
    let told = driver.hosts[&3].agent.check_in_problem().expect("a problem").to_owned();
    assert!(told.starts_with("3 calls failed since"), "{told}");
    driver.switch = Ok(());
    driver.pass(30_000);
    assert_eq!(driver.hosts[&3].agent.check_in_problem(), None);
}
