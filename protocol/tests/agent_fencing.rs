//! What neighbours do for a host that is dark: who of them, one after the other, on what grounds,
//! and when it is enough. Power that is not known to be off moves nothing.

mod common;

use common::{
    Mesh, card,
    driver::{Driver, Effect},
    id, silent,
};
use protocol::{
    agent::Input,
    explain,
    ledger::{
        incident::{Fact, Incident, State, Subject},
        limits::NEEDED_FOR,
    },
    order::Action,
    record::{Outcome, Record, Seen},
    refusal::Refusal,
};

/// A runbook for dark hosts: a fence with these lines, what needs it, and a person.
fn documents(fence: &str) -> String {
    format!(
        r#"
[[runbook]]
name = "take-over"
on = {{ peer = "dark" }}
cooldown = "0s"

[[runbook.rung]]
name = "power off"
fence = {{ agent = "fence_ipmilan", action = "off", params = {{ ip = "label:bmc" }} }}
timeout = "10s"
{fence}

[[runbook.rung]]
name = "take the address"
run = "take"
by = "neighbour"
timeout = "10s"
needs = "power off"

[[runbook.rung]]
name = "call a person"
notify = "ops"

[[notifier]]
name = "ops"
kind = "webhook"
url = "http://127.0.0.1:9099/hook"
"#
    )
}

/// Five peers, all with a controller of their own; those of `bmc` can reach the others'.
fn mesh(text: &str, bmc: &[u64]) -> Driver {
    let mut driver = Driver::with(5, text);
    for n in 1..=5 {
        let mut card = card(n);
        card.labels.insert("bmc".to_owned(), format!("10.0.1.{n}"));
        if bmc.contains(&n) {
            card.labels.insert("reaches".to_owned(), "bmc".to_owned());
        }
        driver.reboot(n, card);
    }
    driver.effects.insert("power off".to_owned(), Effect::InVain);
    driver.effects.insert("take the address".to_owned(), Effect::InVain);
    driver.pass(2_000);
    driver
}

fn silence(driver: &Driver, n: u64) -> Option<&Incident> {
    driver.ledger.latest_about(id(n), Subject::Silence)
}

fn incident(driver: &Driver) -> &Incident {
    silence(driver, 5).expect("it is opened")
}

fn rungs(driver: &Driver) -> Vec<String> {
    driver.executed().into_iter().map(|(_, rung)| rung).collect()
}

fn is_called(driver: &Driver) -> bool {
    silence(driver, 5).is_some_and(|incident| !incident.notices.is_empty())
}

fn skipped(driver: &Driver) -> Vec<(u32, &Refusal)> {
    let mut all = Vec::new();
    for line in &incident(driver).timeline {
        if let Fact::Skipped(place, refusal) = &line.fact {
            all.push((*place, refusal));
        }
    }
    all
}

/// Everything that `explain` says of it.
fn told(driver: &Driver) -> String {
    let at = common::at(driver.now);
    let story = explain::story(&driver.ledger, incident(driver), driver.leader.map(id), at);
    story.into_iter().map(|sentence| sentence.text).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_needs_the_power_off_follows_at_once_when_it_is_seen_to_be_off() {
    let mut driver = mesh(&documents(""), &[]);
    driver.kill(5);
    driver.until("taken over", |driver| rungs(driver).len() == 2);
    assert_eq!(rungs(&driver), ["power off", "take the address"]);
    let [off, taken] = &incident(&driver).attempts[..] else { panic!("two attempts") };
    let waited = taken.assigned_at.since(off.ended_at.expect("ended"));
    assert!(waited < common::seconds(1), "{waited:?}");
    // Whoever is on call hears that the host is off.
    driver.until("called", is_called);
}

#[test]
fn what_needs_the_power_off_is_passed_over_when_it_is_not_and_a_person_is_called_at_once() {
    let mut driver = mesh(&documents("settle = \"1m\""), &[]);
    driver.effects.insert("power off".to_owned(), Effect::Fails);
    driver.kill(5);
    driver.until("called", is_called);
    assert_eq!(rungs(&driver), ["power off"], "nothing was taken over");
    let [(1, Refusal::Needs { rung, needed, why })] = &skipped(&driver)[..] else {
        panic!("{:?}", skipped(&driver))
    };
    assert_eq!((rung.as_str(), needed.as_str()), ("take the address", "power off"));
    assert!(why.contains("did not succeed"), "{why}");
    assert_eq!(skipped(&driver)[0].1.word(), "needs");
    let ended = incident(&driver).attempts[0].ended_at.expect("ended");
    let due = incident(&driver).notices[0].due_at;
    assert!(due.since(ended) < common::seconds(1), "{:?}", due.since(ended));
    assert!(
        told(&driver).contains("rung \"take the address\" is passed over: rung"),
        "{}",
        told(&driver)
    );
    driver.pass(120_000);
    assert_eq!(rungs(&driver), ["power off"]);
}

#[test]
fn the_log_takes_no_assignment_of_what_needs_a_rung_that_did_not_succeed() {
    let open = |mesh: &mut Mesh| {
        mesh.documents(&documents("")).expect("valid");
        for n in 1..=3 {
            let mut card = card(n);
            card.labels.insert("bmc".to_owned(), "10.0.1.1".to_owned());
            mesh.done(n, Record::PeerStarted { peer: card });
        }
        let seen = [(1, Seen::NoAnswer), (2, Seen::NoAnswer)];
        let because = silent(mesh.now, &seen);
        mesh.opened(3, because)
    };
    for outcome in [Outcome::Failed, Outcome::TimedOut] {
        let mut mesh = Mesh::of(3);
        let incident = open(&mut mesh);
        mesh.climb(incident, 2, outcome);
        let refusal = mesh.assign_refused(incident, 2);
        assert!(matches!(refusal, Refusal::Needs { .. }), "{refusal}");
    }
    // Off is off for a while only: somebody may switch it on again.
    let mut mesh = Mesh::of(3);
    let incident = open(&mut mesh);
    mesh.climb(incident, 2, Outcome::Succeeded);
    mesh.wait(NEEDED_FOR.as_secs() + 1);
    let refusal = mesh.assign_refused(incident, 2);
    assert!(refusal.to_string().contains("too long ago"), "{refusal}");
    // In time it is taken.
    let mut mesh = Mesh::of(3);
    let incident = open(&mut mesh);
    mesh.climb(incident, 2, Outcome::Succeeded);
    mesh.assign(incident, 1);
}

#[test]
fn a_host_whose_labels_do_not_say_where_its_controller_is_is_left_to_a_person() {
    let mut driver = Driver::with(5, &documents(""));
    driver.pass(2_000);
    driver.kill(5);
    driver.until("called", is_called);
    assert!(rungs(&driver).is_empty());
    let all = skipped(&driver);
    assert!(matches!(all[0], (0, Refusal::Parameter { name, .. }) if name == "ip"), "{all:?}");
    assert!(matches!(all[1], (1, Refusal::Needs { .. })), "{all:?}");
    assert!(told(&driver).contains("the affected peer has no label \"bmc\""), "{}", told(&driver));
}

#[test]
fn only_neighbours_with_the_label_are_asked() {
    let text = documents("where = { reaches = \"bmc\" }");
    for able in [1, 2, 3] {
        let mut driver = mesh(&text, &[able]);
        driver.kill(5);
        driver.until("fenced", |driver| !rungs(driver).is_empty());
        assert_eq!(driver.executed()[0], (able, "power off".to_owned()));
    }
}

#[test]
fn a_rung_for_neighbours_that_are_not_there_is_passed_over_after_a_while() {
    let mut driver = mesh(&documents("where = { reaches = \"bmc\" }"), &[5]);
    driver.kill(5);
    driver.until("opened", |driver| silence(driver, 5).is_some());
    let opened = driver.now;
    driver.until("called", is_called);
    assert!(driver.now - opened < 8_000, "{}", driver.now - opened);
    assert!(rungs(&driver).is_empty());
    let all = skipped(&driver);
    let (0, Refusal::NoWorker { why }) = all[0] else { panic!("{all:?}") };
    assert!(why.contains("reaches=bmc"), "{why}");
}

#[test]
fn the_log_takes_no_neighbour_without_the_label_and_none_that_has_tried() {
    let mut mesh = Mesh::of(4);
    mesh.documents(&documents("where = { reaches = \"bmc\" }\ncount = 2")).expect("valid");
    for n in 1..=4 {
        let mut card = card(n);
        card.labels.insert("bmc".to_owned(), "10.0.1.1".to_owned());
        if n != 3 {
            card.labels.insert("reaches".to_owned(), "bmc".to_owned());
        }
        mesh.done(n, Record::PeerStarted { peer: card });
    }
    let seen = [1, 2, 3].map(|witness| (witness, Seen::NoAnswer));
    let because = silent(mesh.now, &seen);
    let incident = mesh.opened(4, because);
    assert!(matches!(mesh.assign_refused(incident, 3), Refusal::Misassigned { .. }));
    mesh.climb(incident, 2, Outcome::Failed);
    assert!(matches!(mesh.assign_refused(incident, 2), Refusal::Misassigned { .. }));
    mesh.assign(incident, 1);
}

#[test]
fn several_neighbours_try_it_one_after_the_other_and_never_the_same_twice() {
    let mut driver = mesh(&documents("count = 3"), &[]);
    driver.effects.insert("power off".to_owned(), Effect::Fails);
    driver.kill(5);
    driver.until("called", is_called);
    let attempts = &incident(&driver).attempts;
    assert_eq!(attempts.len(), 3);
    let workers: std::collections::BTreeSet<_> = attempts.iter().map(|a| a.worker).collect();
    assert_eq!(workers.len(), 3, "three different ones");
    for pair in attempts.windows(2) {
        assert!(pair[0].ended_at.expect("ended") <= pair[1].assigned_at, "never two at once");
    }
    // One success is enough.
    let mut driver = mesh(&documents("count = 3"), &[]);
    driver.kill(5);
    driver.until("taken over", |driver| rungs(driver).contains(&"take the address".to_owned()));
    assert_eq!(rungs(&driver), ["power off", "take the address"]);
    // And where there are fewer, they are enough.
    let text = documents("count = 3\nwhere = { reaches = \"bmc\" }");
    let mut driver = mesh(&text, &[2, 3]);
    driver.effects.insert("power off".to_owned(), Effect::Fails);
    driver.kill(5);
    driver.until("called", is_called);
    assert_eq!(incident(&driver).attempts.len(), 2);
    let all = skipped(&driver);
    assert!(matches!(all[0], (0, Refusal::NoWorker { .. })), "{all:?}");
}

#[test]
fn the_next_neighbour_begins_only_when_the_dead_one_can_no_longer_act() {
    let mut driver = mesh(&documents(""), &[]);
    // It hangs: whoever has it dies with it.
    driver.effects.remove("power off");
    driver.kill(5);
    driver.until("fencing", |driver| rungs(driver).len() == 1);
    let first = incident(&driver).attempts[0].clone();
    let waits = told(&driver);
    let line = format!("until {} at most; nobody else starts it before that", first.until);
    assert!(waits.contains(&line), "{waits}");
    assert!(waits.contains("10s to start, 10s to run, 10s to end"), "{waits}");
    assert_eq!(first.until.since(first.assigned_at), common::seconds(30));
    let (worker, _) = driver.executed()[0];
    driver.kill(worker);
    if worker == 1 {
        driver.elect(2);
    }
    driver.effects.insert("power off".to_owned(), Effect::InVain);
    driver.until("taken over", |driver| incident(driver).attempts.len() == 3);
    let all = &incident(&driver).attempts;
    assert_eq!(all[0].outcome(), Some(Outcome::Unknown));
    assert_ne!(all[1].worker, first.worker);
    assert!(all[1].assigned_at >= first.until, "{:?} before {:?}", all[1].assigned_at, first.until);
}

#[test]
fn a_host_that_returns_while_its_power_is_being_cut_stops_what_would_follow() {
    let mut driver = mesh(&documents(""), &[]);
    driver.effects.remove("power off");
    driver.kill(5);
    driver.until("fencing", |driver| rungs(driver).len() == 1);
    driver.restart(5);
    driver.pass(3_000);
    let (worker, number) = (incident(&driver).attempts[0].worker, 1);
    let id_of = incident(&driver).id;
    assert_ne!(incident(&driver).state, State::Resolved, "what still acts has to end first");
    // The controller lied, or the host was quick: it is back.
    let report = common::ended(Outcome::Succeeded);
    driver.tell(worker.bits(), Input::Finished { incident: id_of, attempt: number, report });
    driver.pass(60_000);
    assert_eq!(rungs(&driver), ["power off"], "nothing is taken from a host that is there");
    assert_eq!(incident(&driver).state, State::Resolved);
    assert!(!is_called(&driver));
    assert!(told(&driver).contains("resolved: the peer answers again"), "{}", told(&driver));
}

#[test]
fn a_host_that_is_heard_of_and_not_reached_is_left_to_a_person() {
    let mut driver = mesh(&documents(""), &[]);
    driver.effects.remove("power off");
    driver.kill(5);
    driver.until("fencing", |driver| rungs(driver).len() == 1);
    let (worker, id_of) = (incident(&driver).attempts[0].worker, incident(&driver).id);
    // Its packets come through, and none gets to it.
    driver.tell_liveness(5, true);
    let report = common::ended(Outcome::Succeeded);
    driver.tell(worker.bits(), Input::Finished { incident: id_of, attempt: 1, report });
    driver.pass(5_000);
    let Some(held) = incident(&driver).held.clone() else { panic!("{}", driver.history()) };
    assert_eq!(held.word(), "returning", "{held}");
    assert!(told(&driver).contains("web-5 is heard of again since"), "{}", told(&driver));
    driver.until("called", is_called);
    assert_eq!(rungs(&driver), ["power off"]);
    assert!(matches!(skipped(&driver)[0], (1, Refusal::Returning { .. })));
}

#[test]
fn a_freeze_between_the_two_leaves_the_take_over_to_a_person() {
    let mut driver = mesh(&documents(""), &[]);
    driver.effects.remove("power off");
    driver.kill(5);
    driver.until("fencing", |driver| rungs(driver).len() == 1);
    let at = common::at(driver.now + 60_000);
    let order = common::ordered(9_000, at, Action::Freeze { reason: "wait".to_owned() });
    driver.write(Record::Ordered { order }).expect("frozen");
    let (worker, id_of) = (incident(&driver).attempts[0].worker, incident(&driver).id);
    let report = common::ended(Outcome::Succeeded);
    driver.tell(worker.bits(), Input::Finished { incident: id_of, attempt: 1, report });
    driver.pass(30_000);
    assert_eq!(rungs(&driver), ["power off"]);
    // A minute later somebody may have switched it on again.
    driver.pass(60_000);
    driver.until("called", is_called);
    assert_eq!(rungs(&driver), ["power off"]);
}
