//! Who watches whom, what a watcher's word does, and who does not trust itself.

mod common;

use common::{
    driver::{Driver, Effect},
    id,
};
use protocol::{
    agent::{Input, Output, doubt, silence::SERVICE_MANAGER},
    document::Silence,
    ledger::incident::{Incident, Subject},
    name::PeerId,
    record::{Because, Seen},
};
use std::collections::{BTreeMap, BTreeSet};

/// How many watch each peer, unless said.
const WATCHERS: usize = 3;

fn silence(driver: &Driver, n: u64) -> Option<&Incident> {
    driver.ledger.latest_about(id(n), Subject::Silence)
}

fn kind(driver: &Driver, n: u64) -> Option<Silence> {
    match &silence(driver, n)?.because {
        Because::Silent { kind, .. } => Some(*kind),
        Because::Check { .. }
        | Because::Ladder { .. }
        | Because::Operator { .. }
        | Because::Storm { .. }
        | Because::Untold { .. }
        | Because::Job { .. } => None,
    }
}

/// Whom each peer watches, as it said last.
fn wards(driver: &Driver) -> BTreeMap<u64, BTreeSet<PeerId>> {
    let mut wards = BTreeMap::new();
    for (n, _, output) in &driver.outputs {
        if let Output::Watch { peers } = output {
            wards.insert(*n, peers.clone());
        }
    }
    wards
}

fn watchers(driver: &Driver, n: u64) -> BTreeSet<u64> {
    let wards = wards(driver);
    wards.iter().filter(|(_, peers)| peers.contains(&id(n))).map(|(watcher, _)| *watcher).collect()
}

/// Every watcher of a peer sees this of it.
fn all_see(driver: &mut Driver, n: u64, seen: Seen) {
    for watcher in watchers(driver, n) {
        driver.tell(watcher, Input::Watched { peer: id(n), seen });
    }
}

#[test]
fn each_peer_is_watched_by_three_others_of_other_zones_first_and_by_others_when_one_is_silent() {
    let mut driver = Driver::of(12);
    driver.effects.insert("power".to_owned(), Effect::InVain);
    driver.pass(2_000);
    for n in 1..=12 {
        let watchers = watchers(&driver, n);
        assert_eq!(watchers.len(), WATCHERS, "of {n}: {watchers:?}");
        assert!(!watchers.contains(&n));
        // The zones go a, b, c by turns, so that eight of another zone are there.
        assert!(watchers.iter().all(|watcher| watcher % 3 != n % 3), "of {n}: {watchers:?}");
    }
    let lost = *watchers(&driver, 1).first().expect("a watcher");
    driver.kill(lost);
    driver.until("it is silent", |driver| silence(driver, lost).is_some());
    driver.pass(1_000);
    driver.host(lost).up = false;
    let after: BTreeSet<u64> = watchers(&driver, 1).into_iter().filter(|n| *n != lost).collect();
    assert_eq!(after.len(), WATCHERS, "another one watches in its place");
}

#[test]
fn as_many_watch_and_testify_as_the_operators_say() {
    let mut driver = Driver::with(12, "[mesh]\nwitnesses = 5\n");
    driver.pass(2_000);
    for n in 1..=12 {
        assert_eq!(watchers(&driver, n).len(), 5, "of {n}");
    }
    driver.kill(7);
    driver.until("it is silent", |driver| silence(driver, 7).is_some());
    let Some(Because::Silent { witnesses, .. }) = silence(&driver, 7).map(|i| &i.because) else {
        panic!("a silence")
    };
    assert_eq!(witnesses.len(), 6, "five and the leader: {witnesses:?}");
}

#[test]
fn a_small_mesh_watches_all_of_itself() {
    let mut driver = Driver::of(3);
    driver.pass(1_000);
    for n in 1..=3 {
        assert_eq!(watchers(&driver, n).len(), 2);
    }
}

#[test]
fn a_watchers_word_is_enough_to_look_and_a_crash_is_opened_at_once() {
    let mut driver = Driver::of(5);
    driver.effects.insert("power".to_owned(), Effect::InVain);
    driver.gossip = false;
    driver.pass(2_000);
    driver.kill(5);
    driver.lied_about.insert(5);
    for witness in 1..=4 {
        driver.lies.insert(witness, Seen::Refused);
    }
    let watcher = *watchers(&driver, 5).last().expect("a watcher");
    driver.tell(watcher, Input::Watched { peer: id(5), seen: Seen::Refused });
    assert_eq!(kind(&driver, 5), Some(Silence::Crashed), "without any time passing");
    driver.until("executed", |driver| !driver.executed().is_empty());
}

#[test]
fn a_word_that_nobody_confirms_opens_nothing_and_is_forgotten() {
    let mut driver = Driver::of(5);
    driver.pass(2_000);
    for n in [2, 3] {
        driver.tell(n, Input::Watched { peer: id(5), seen: Seen::NoAnswer });
    }
    driver.pass(5_000);
    assert!(silence(&driver, 5).is_none(), "it answers");
    all_see(&mut driver, 5, Seen::Reached);
    let before = driver.count(|output| matches!(output, Output::AskWitness { .. }));
    assert!(before > 0, "it was looked at");
    driver.pass(20_000);
    let after = driver.count(|output| matches!(output, Output::AskWitness { .. }));
    assert_eq!(before, after, "and is not looked at any more");
}

#[test]
fn a_watcher_that_hears_its_ward_again_brings_the_incident_to_its_end() {
    let mut driver = Driver::of(5);
    driver.effects.insert("power".to_owned(), Effect::InVain);
    driver.pass(2_000);
    driver.kill(5);
    driver.until("opened", |driver| silence(driver, 5).is_some());
    driver.gossip = false;
    driver.host(5).up = true;
    driver.until("the rung has ended", |driver| {
        silence(driver, 5).is_some_and(|incident| incident.in_flight().is_none())
    });
    all_see(&mut driver, 5, Seen::Reached);
    driver.until("resolved", |driver| {
        silence(driver, 5).is_some_and(|incident| incident.state.is_over())
    });
}

#[test]
fn one_that_was_halted_accuses_nobody_abstains_and_says_so() {
    let mut driver = Driver::of(5);
    driver.pass(2_000);
    let witness = *watchers(&driver, 5).iter().find(|n| **n != 1).expect("a watcher");
    // Ten seconds pass for the others while it stands still; then it is told what it has missed.
    let halted_at = driver.now;
    driver.now += 10_000;
    driver.tell(witness, Input::Watched { peer: id(5), seen: Seen::NoAnswer });
    let accused = driver.outputs.iter().any(|(n, at, output)| {
        *n == witness && *at > halted_at && matches!(output, Output::Suspect { .. })
    });
    assert!(!accused, "what it saw is not told");
    let now = driver.clock(witness);
    let agent = &driver.hosts[&witness].agent;
    assert_eq!(agent.testimony(now, Seen::NoAnswer), Seen::Abstained);
    assert_eq!(agent.testimony(now, Seen::Reached), Seen::Reached, "a sign of life is one");
    let report = driver.hosts[&1].agent.view().report(id(witness)).expect("a report").clone();
    assert!(report.facts[doubt::FACT].contains("late"), "{:?}", report.facts);
    driver.pass(5_000);
    let report = driver.hosts[&1].agent.view().report(id(witness)).expect("a report").clone();
    assert!(!report.facts.contains_key(doubt::FACT), "it has passed: {:?}", report.facts);
    let now = driver.clock(witness);
    assert_eq!(driver.hosts[&witness].agent.testimony(now, Seen::NoAnswer), Seen::NoAnswer);
}

#[test]
fn a_leader_that_was_halted_opens_nothing_about_the_healthy() {
    let mut driver = Driver::of(5);
    driver.pass(2_000);
    driver.now += 10_000;
    // What waited for it while it stood still says that nobody lives.
    for n in 2..=5 {
        driver.tell(1, Input::Liveness { peer: id(n), alive: false });
        driver.tell(1, Input::Watched { peer: id(n), seen: Seen::NoAnswer });
    }
    assert_eq!(
        driver.count(|output| matches!(output, Output::AskWitness { .. })),
        0,
        "it does not even look"
    );
    for n in 2..=5 {
        driver.tell(1, Input::Liveness { peer: id(n), alive: true });
        driver.tell(1, Input::Watched { peer: id(n), seen: Seen::Reached });
    }
    driver.pass(20_000);
    assert!(driver.ledger.incidents().is_empty(), "{}", driver.history());
}

#[test]
fn gossip_or_a_watch_that_paused_is_as_good_a_reason() {
    let mut driver = Driver::of(3);
    driver.pass(2_000);
    driver.tell(2, Input::Late { what: "its gossip paused for 3200 ms".to_owned() });
    let now = driver.clock(2);
    assert_eq!(driver.hosts[&2].agent.doubt().why(now.mono), Some("its gossip paused for 3200 ms"));
}

#[test]
fn one_that_hears_none_of_those_it_watches_doubts_itself() {
    let mut driver = Driver::of(9);
    driver.pass(2_000);
    let (n, peers) = wards(&driver)
        .into_iter()
        .find(|(n, peers)| *n != 1 && peers.len() >= WATCHERS)
        .expect("one with three wards");
    let mut left = peers.len();
    for peer in peers {
        let now = driver.clock(n);
        assert!(!driver.hosts[&n].agent.doubt().is_on(now.mono), "{left} are still heard");
        driver.tell(n, Input::Watched { peer, seen: Seen::NoAnswer });
        left -= 1;
    }
    let now = driver.clock(n);
    assert!(driver.hosts[&n].agent.doubt().is_on(now.mono));
}

#[test]
fn an_agent_that_its_service_manager_restarts_is_given_its_time() {
    let told = |managed: bool| {
        let mut driver = Driver::of(5);
        driver.effects.insert("power".to_owned(), Effect::InVain);
        let mut facts = BTreeMap::new();
        if managed {
            facts.insert(SERVICE_MANAGER.to_owned(), "systemd".to_owned());
        }
        driver.tell(5, Input::Facts(facts));
        driver.pass(2_000);
        driver.lied_about.insert(5);
        for witness in 1..=4 {
            driver.lies.insert(witness, Seen::Refused);
        }
        driver.kill(5);
        let died = driver.now;
        driver.until("opened", |driver| silence(driver, 5).is_some());
        driver.now - died
    };
    assert!(told(false) < 1_000);
    let waited = told(true);
    assert!((3_000..6_000).contains(&waited), "after its grace: {waited} ms");
}

#[test]
fn a_leader_that_hears_a_minority_opens_nothing_and_steps_down_once() {
    let mut driver = Driver::of(7);
    driver.pass(20_000);
    driver.until("several vote", |driver| driver.hosts[&1].agent.standing().voters.len() > 1);
    let leader = driver.leader.expect("a leader");
    let lost: Vec<u64> = (1..=7).filter(|n| *n != leader).take(4).collect();
    driver.lied_about.extend(lost.iter().copied());
    for n in &lost {
        driver.post(leader, Input::Liveness { peer: id(*n), alive: false });
    }
    for n in 1..=7 {
        driver.lies.insert(n, Seen::NoAnswer);
    }
    driver.pass(1_000);
    assert_eq!(driver.count(|output| matches!(output, Output::StepDown { .. })), 0, "not at once");
    driver.pass(5_000);
    let stepped =
        |driver: &Driver| driver.count(|output| matches!(output, Output::StepDown { .. }));
    assert_eq!(stepped(&driver), 1);
    assert_eq!(driver.leader, None);
    driver.elect(leader);
    for n in &lost {
        driver.post(leader, Input::Liveness { peer: id(*n), alive: false });
    }
    driver.pass(20_000);
    assert_eq!(stepped(&driver), 1, "nobody else sees more: it leads on");
    assert!(lost.iter().all(|n| silence(&driver, *n).is_none()), "{}", driver.history());
    assert!(driver.executed().is_empty());
}
