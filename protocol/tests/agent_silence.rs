//! Silent peers: suspected by gossip, attested by probes, repaired by neighbours, and back again.

mod common;

use common::{
    DOCUMENTS,
    driver::{Driver, Effect},
    id,
};
use protocol::{
    agent::{Input, Output},
    document::Verdict,
    ledger::{
        incident::{Incident, State, Subject},
        roster::Standing,
    },
    record::{Because, Record, Seen},
};

fn silence(driver: &Driver, n: u64) -> Option<&Incident> {
    driver.ledger.latest_about(id(n), Subject::Silence)
}

fn silence_is(driver: &Driver, n: u64, state: State) -> bool {
    silence(driver, n).is_some_and(|incident| incident.state == state)
}

#[test]
fn a_silent_peer_is_repaired_by_its_neighbour() {
    let mut driver = Driver::of(5);
    driver.pass(2_000);
    driver.effects.insert("power".to_owned(), Effect::InVain);
    driver.kill(5);
    driver.until("opened", |driver| silence(driver, 5).is_some());
    let opened = silence(&driver, 5).expect("it is opened");
    let Because::Silent { witnesses, .. } = &opened.because else { panic!("a silence") };
    assert!(witnesses.iter().any(|testimony| testimony.witness == id(1)), "the leader looked");
    assert!(witnesses.len() >= 3, "and two others: {witnesses:?}");
    driver.until("executed", |driver| !driver.executed().is_empty());
    assert_eq!(driver.executed(), [(2, "power".to_owned())], "the only one of the same zone");
    driver.restart(5);
    driver.until("resolved", |driver| silence_is(driver, 5, State::Resolved));
}

#[test]
fn a_silent_host_is_not_waited_for_after_a_rung_that_failed() {
    // What succeeded may take effect for 2 s, and then the host is waited for.
    for (effect, waits) in [(Effect::Fails, false), (Effect::InVain, true)] {
        let mut driver = Driver::of(5);
        driver.pass(2_000);
        driver.effects.insert("power".to_owned(), effect);
        driver.kill(5);
        driver.until("executed", |driver| !driver.executed().is_empty());
        driver.pass(2_000);
        let escalated = silence_is(&driver, 5, State::Escalated);
        assert_eq!(escalated, !waits, "{:?}", silence(&driver, 5));
        driver.until("escalated", |driver| silence_is(driver, 5, State::Escalated));
    }
}

#[test]
fn a_neighbour_that_is_not_busy_goes_first() {
    let text = DOCUMENTS
        .replace("name = \"restart-web\"", "name = \"restart-web\"\nwhere = { zone = \"c\" }");
    let text = format!(
        "{text}\n[[runbook]]\nname = \"away\"\non = {{ check = \"web\" }}\nwhere = {{ zone = \"b\" }}\n[[runbook.rung]]\nname = \"long\"\nrun = \"long\"\n"
    );
    let mut driver = Driver::with(8, &text);
    driver.pass(2_000);
    // Of the zone of peer 8 are 2 and 5; one of them is busy with itself.
    for busy in [2, 5] {
        let mut driver_of_one = Driver::with(8, &text);
        driver_of_one.effects.insert("restart".to_owned(), Effect::Hangs);
        driver_of_one.effects.insert("power".to_owned(), Effect::InVain);
        driver_of_one.fails(busy);
        driver_of_one.until("busy", |driver| !driver.executed().is_empty());
        driver_of_one.kill(8);
        driver_of_one.until("executed", |driver| driver.executed().len() == 2);
        let free = if busy == 2 { 5 } else { 2 };
        assert_eq!(driver_of_one.executed()[1], (free, "power".to_owned()));
    }
}

#[test]
fn one_peer_that_is_reached_clears_the_suspicion() {
    let mut driver = Driver::of(5);
    driver.pass(2_000);
    driver.kill(5);
    for witness in [2, 3, 4] {
        driver.lies.insert(witness, Seen::Reached);
    }
    driver.pass(60_000);
    assert!(silence(&driver, 5).is_none());
    assert!(driver.log.iter().all(|(_, entry)| !matches!(entry.record, Record::Opened { .. })));
}

#[test]
fn a_suspicion_alone_opens_nothing() {
    let mut driver = Driver::of(5);
    driver.pass(2_000);
    for n in 1..=4 {
        driver.tell(n, Input::Liveness { peer: id(5), alive: false });
    }
    driver.pass(10_000);
    assert!(silence(&driver, 5).is_none(), "it answers");
    let probes = driver.count(|output| matches!(output, Output::Probe { .. }));
    assert!((2..=40).contains(&probes), "it is looked at, but not all the time: {probes}");
}

#[test]
fn a_silence_whose_host_says_so_is_a_crash() {
    let mut driver = Driver::of(5);
    driver.pass(2_000);
    driver.kill(5);
    for witness in 1..=4 {
        driver.lies.insert(witness, Seen::Refused);
    }
    driver.until("opened", |driver| silence(driver, 5).is_some());
    let because = &silence(&driver, 5).expect("it is opened").because;
    assert!(matches!(because, Because::Silent { kind: protocol::document::Silence::Crashed, .. }));
}

#[test]
fn a_peer_that_stops_on_purpose_is_not_missed() {
    let mut driver = Driver::of(3);
    driver.pass(2_000);
    driver.tell(3, Input::Stopping { for_good: false });
    driver.pass(1_000);
    driver.kill(3);
    driver.pass(60_000);
    assert!(driver.ledger.incidents().is_empty());
    assert_eq!(
        driver.ledger.roster().member(id(3)).map(|member| member.standing),
        Some(Standing::Stopped)
    );
    driver.restart(3);
    driver.pass(5_000);
    assert_eq!(
        driver.ledger.roster().member(id(3)).map(|member| member.standing),
        Some(Standing::Running)
    );
}

#[test]
fn a_peer_that_leaves_for_good_is_no_member_any_more() {
    let mut driver = Driver::of(3);
    driver.pass(2_000);
    driver.fails(3);
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.effects.insert("reinstall".to_owned(), Effect::InVain);
    driver.pass(60_000);
    driver.tell(3, Input::Stopping { for_good: true });
    driver.kill(3);
    driver.pass(60_000);
    assert!(driver.ledger.roster().member(id(3)).is_none());
    assert_eq!(driver.ledger.open_incidents().count(), 0, "nothing is open about it");
}

#[test]
fn a_peer_that_died_before_the_leaders_gossip_began_is_missed_too() {
    let mut driver = Driver::of(5);
    driver.gossip = false;
    driver.kill(5);
    for n in 1..=4 {
        driver.restart(n);
    }
    for n in 1..=4 {
        for other in 1..=4 {
            if other != n {
                driver.tell(n, Input::Liveness { peer: id(other), alive: true });
            }
        }
    }
    driver.until("opened", |driver| silence(driver, 5).is_some());
}

#[test]
fn nobody_has_its_neighbours_act_against_itself() {
    let mut driver = Driver::of(5);
    driver.effects.insert("power".to_owned(), Effect::Fails);
    driver.pass(2_000);
    driver.kill(5);
    driver.until("executed", |driver| driver.executed().len() == 1);
    driver.restart(5);
    driver.elect(5);
    driver.until("resolved", |driver| silence_is(driver, 5, State::Resolved));
    assert_eq!(driver.executed().len(), 1);
}

#[test]
fn a_peer_that_returns_while_a_neighbour_acts_is_found_well_when_that_has_ended() {
    let mut driver = Driver::of(5);
    driver.effects.insert("power".to_owned(), Effect::Hangs);
    driver.pass(2_000);
    driver.kill(5);
    driver.until("executed", |driver| driver.executed().len() == 1);
    let written = driver.log.len();
    driver.restart(5);
    driver.until("resolved", |driver| silence_is(driver, 5, State::Resolved));
    let refused = driver.log.len() - written;
    assert!(refused < 10, "the log is not filled with what is refused: {refused} entries");
    assert_eq!(driver.executed().len(), 1);
}

#[test]
fn several_that_are_silent_at_once_are_all_found() {
    // Of so many that they are no storm.
    let mut driver = Driver::of(13);
    driver.effects.insert("power".to_owned(), Effect::InVain);
    driver.pass(2_000);
    for n in [6, 7, 8, 9] {
        driver.kill(n);
    }
    driver
        .until("all are open", |driver| [6, 7, 8, 9].iter().all(|n| silence(driver, *n).is_some()));
    driver.until("a person is called", |driver| {
        [6, 7, 8, 9].iter().all(|n| silence_is(driver, *n, State::Escalated))
    });
    assert!(driver.executed().iter().all(|(n, _)| ![6, 7, 8, 9].contains(n)));
}

#[test]
fn a_silent_peers_failing_check_is_not_repaired_by_a_ghost() {
    let mut driver = Driver::of(5);
    driver.effects.insert("power".to_owned(), Effect::InVain);
    driver.host(5).verdict = Verdict::Pass;
    driver.pass(2_000);
    driver.fails(5);
    driver.kill(5);
    driver.pass(30_000);
    assert!(driver.executed().iter().all(|(n, rung)| *n != 5 && rung == "power"));
}

#[test]
fn who_was_asked_about_a_silence_and_did_not_answer_is_not_sent_to_repair_it() {
    for silent in 2..=5 {
        for dead in (2..=5).filter(|dead| *dead != silent) {
            let mut driver = Driver::of(5);
            driver.gossip = false;
            driver.effects.insert("power".to_owned(), Effect::InVain);
            driver.pass(2_000);
            // Nobody has noticed yet that a second one is gone.
            driver.kill(silent);
            driver.kill(dead);
            for other in (1..=5).filter(|other| *other != silent) {
                driver.tell(other, Input::Liveness { peer: id(silent), alive: false });
            }
            let given = |driver: &Driver| {
                driver.records().into_iter().find_map(|record| {
                    let Record::Assigned { worker, .. } = record else { return None };
                    Some(*worker)
                })
            };
            driver.until("given out", |driver| given(driver).is_some());
            assert_ne!(given(&driver), Some(id(dead)), "{silent}, {dead}");
        }
    }
}
