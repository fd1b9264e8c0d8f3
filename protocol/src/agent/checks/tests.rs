//! Runs, verdicts, repairs that are verified, and verdicts that are left alone.

use super::*;
use crate::document::{Command, Probe};

fn name() -> Name {
    Name::parse("web-alive").unwrap()
}

fn check(fail_after: u32, pass_after: u32) -> Check {
    Check {
        every: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        fail_after,
        pass_after,
        ..Check::new(name(), Probe::Command(Command::Script("true".to_owned())))
    }
}

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn run(own: &mut OwnChecks, at: u64, result: Verdict) -> bool {
    assert_eq!(own.due(second(at)).len(), 1, "due at {at}");
    own.ran(&name(), result, "output", second(at), Timestamp::from_millis(at * 1_000))
}

fn verdict(own: &OwnChecks) -> Option<Verdict> {
    own.states().get(&name()).map(|state| state.verdict)
}

#[test]
fn one_bad_run_is_a_blip_and_two_are_a_verdict() {
    let mut own = OwnChecks::default();
    own.set([check(2, 2)].into_iter(), Duration::ZERO, 1);
    assert!(run(&mut own, 1, Verdict::Pass));
    assert!(!run(&mut own, 2, Verdict::Fail));
    assert_eq!(verdict(&own), Some(Verdict::Pass));
    assert!(run(&mut own, 3, Verdict::Fail));
    assert_eq!(verdict(&own), Some(Verdict::Fail));
    assert!(!run(&mut own, 4, Verdict::Pass));
    assert_eq!(verdict(&own), Some(Verdict::Fail), "pass_after is 2");
    assert!(run(&mut own, 5, Verdict::Pass));
    assert_eq!(verdict(&own), Some(Verdict::Pass));
}

#[test]
fn a_check_is_not_run_twice_at_once_nor_before_it_is_due() {
    let mut own = OwnChecks::default();
    own.set([check(2, 1)].into_iter(), Duration::ZERO, 1);
    assert_eq!(own.due(second(1)).len(), 1);
    assert!(own.due(second(9)).is_empty(), "it is still under way");
    own.ran(&name(), Verdict::Pass, "", second(9), Timestamp::default());
    assert_eq!(own.next_due(), Some(second(2)), "late by now: due at once");
}

#[test]
fn after_a_repair_the_check_runs_at_once_and_fails_for_good_only_when_settled() {
    let mut own = OwnChecks::default();
    own.set([check(1, 1)].into_iter(), Duration::ZERO, 1);
    run(&mut own, 1, Verdict::Fail);
    let settle = Duration::from_millis(500);
    own.verify(&name(), (IncidentId(9), 1), second(1), settle);
    let verified = |own: &OwnChecks| own.states()[&name()].verified;
    assert!(run(&mut own, 1, Verdict::Fail));
    assert!(verified(&own).is_some_and(|verified| !verified.settled));
    assert_eq!(own.next_due(), Some(second(1) + settle), "looked at again when settled");
    assert!(run(&mut own, 2, Verdict::Fail));
    assert!(verified(&own).is_some_and(|verified| verified.settled));
    own.verify(&name(), (IncidentId(9), 1), second(3), settle);
    assert_eq!(own.next_due(), Some(second(3)), "the same attempt is looked at once");
}

#[test]
fn a_run_that_began_before_the_rung_ended_says_nothing_of_it() {
    let mut own = OwnChecks::default();
    own.set([check(1, 1)].into_iter(), Duration::ZERO, 1);
    run(&mut own, 1, Verdict::Fail);
    assert_eq!(own.due(second(2)).len(), 1);
    own.verify(&name(), (IncidentId(9), 1), second(3), Duration::ZERO);
    own.ran(&name(), Verdict::Fail, "", second(4), Timestamp::default());
    assert_eq!(own.states()[&name()].verified, None);
    assert!(run(&mut own, 4, Verdict::Pass));
    assert!(own.states()[&name()].verified.is_some());
    assert_eq!(verdict(&own), Some(Verdict::Pass));
}

fn named(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// `app` depends on `host`; both are run every second, `host` fails after two runs.
fn family() -> OwnChecks {
    let parent = Check { name: named("host"), ..check(2, 1) };
    let depends_on = std::collections::BTreeSet::from([named("host"), named("elsewhere")]);
    let child = Check { name: named("app"), depends_on, ..check(1, 1) };
    let mut own = OwnChecks::default();
    own.set([parent, child].into_iter(), Duration::ZERO, 1);
    own
}

/// Runs what is due, each with the result that it has now.
fn turn(own: &mut OwnChecks, millis: u64, results: [(&str, Verdict); 2]) -> Vec<String> {
    let mono = Duration::from_millis(millis);
    let due: Vec<Name> = own.due(mono).into_iter().map(|check| check.name).collect();
    for name in &due {
        let result = results.iter().find(|(of, _)| *of == name.as_str()).unwrap().1;
        own.ran(name, result, "", mono, Timestamp::from_millis(millis));
    }
    due.iter().map(Name::to_string).collect()
}

fn muted(own: &OwnChecks) -> Option<Name> {
    own.states()[&named("app")].muted_by.clone()
}

#[test]
fn a_child_is_muted_while_its_parent_fails_and_until_it_was_run_after_that() {
    use Verdict::{Fail, Pass};
    let mut own = family();
    turn(&mut own, 1_000, [("host", Pass), ("app", Pass)]);
    assert_eq!(muted(&own), None, "a parent that this host does not run mutes nobody");
    // The child's turn comes first: it asks its parent, and is muted until that has answered.
    own.tracked.get_mut(&named("host")).unwrap().due = second(60);
    assert_eq!(turn(&mut own, 2_000, [("host", Fail), ("app", Fail)]), ["app"]);
    assert_eq!(own.states()[&named("app")].verdict, Fail);
    assert_eq!(muted(&own), Some(named("host")), "not answered yet");
    assert_eq!(turn(&mut own, 2_001, [("host", Fail), ("app", Fail)]), ["host"]);
    assert_eq!(own.states()[&named("host")].verdict, Pass, "one failing run is no verdict");
    assert_eq!(muted(&own), Some(named("host")), "not decided yet");
    assert!(turn(&mut own, 2_500, [("host", Fail), ("app", Fail)]).is_empty());
    turn(&mut own, 3_001, [("host", Fail), ("app", Fail)]);
    assert_eq!(own.states()[&named("host")].verdict, Fail, "asked again after a second");
    assert_eq!(muted(&own), Some(named("host")));
    // The parent recovers; what the child said before is explained by it.
    let app = own.tracked.get_mut(&named("app")).unwrap();
    app.due = second(60);
    own.tracked.get_mut(&named("host")).unwrap().due = second(5);
    assert_eq!(turn(&mut own, 5_000, [("host", Pass), ("app", Fail)]), ["host"]);
    assert_eq!(muted(&own), Some(named("host")));
    assert_eq!(turn(&mut own, 5_001, [("host", Pass), ("app", Fail)]), ["app"], "at once");
    assert_eq!(muted(&own), None, "it fails by itself");
}

#[test]
fn a_child_whose_parent_answers_that_all_is_well_is_not_muted() {
    use Verdict::{Fail, Pass};
    let mut own = family();
    turn(&mut own, 1_000, [("host", Pass), ("app", Pass)]);
    turn(&mut own, 2_500, [("host", Pass), ("app", Fail)]);
    turn(&mut own, 2_501, [("host", Pass), ("app", Fail)]);
    assert_eq!(muted(&own), None);
    assert_eq!(own.states()[&named("app")].verdict, Fail);
}

#[test]
fn a_verdict_that_comes_and_goes_is_told_as_flapping_unless_that_is_switched_off() {
    for flapping in [true, false] {
        let mut own = OwnChecks::default();
        own.set([Check { flapping, ..check(1, 1) }].into_iter(), Duration::ZERO, 1);
        let flaps = |own: &OwnChecks| own.states()[&name()].flapping;
        for at in 1..=6 {
            run(&mut own, at, if at % 2 == 0 { Verdict::Fail } else { Verdict::Pass });
            assert!(!flaps(&own), "at {at}");
        }
        run(&mut own, 7, Verdict::Pass);
        assert_eq!(flaps(&own), flapping);
        let told: Vec<u64> = (8..40).filter(|at| run(&mut own, *at, Verdict::Pass)).collect();
        assert!(!flaps(&own));
        assert_eq!(told.len(), usize::from(flapping), "that it has come to rest is told: {told:?}");
    }
}

#[test]
fn a_verdict_without_results_becomes_unknown_and_is_heard_of_again() {
    let mut own = OwnChecks::default();
    let slow = Check { stale_after: second(10), ..check(1, 1) };
    own.set([slow].into_iter(), Duration::ZERO, 1);
    run(&mut own, 1, Verdict::Pass);
    assert_eq!(own.due(second(2)).len(), 1, "this run never ends");
    assert_eq!(own.next_due(), Some(second(11)));
    assert!(!own.expire(Duration::from_millis(10_999), Timestamp::from_millis(10_999)));
    assert!(own.expire(second(11), Timestamp::from_millis(11_000)));
    let state = own.states()[&name()].clone();
    assert_eq!((state.verdict, state.summary.as_str()), (Verdict::Unknown, "no result for 10s"));
    assert!(!own.expire(second(12), Timestamp::from_millis(12_000)), "told once");
    assert!(own.ran(&name(), Verdict::Pass, "", second(13), Timestamp::from_millis(13_000)));
    assert_eq!(verdict(&own), Some(Verdict::Pass));
}

#[test]
fn jitter_moves_each_run_within_its_span_and_not_the_turns() {
    let mut own = OwnChecks::default();
    let jitter = Duration::from_millis(500);
    own.set([Check { jitter, ..check(1, 1) }].into_iter(), Duration::ZERO, 1);
    let first = own.next_due().unwrap();
    let mut offsets = std::collections::BTreeSet::new();
    for turn in 0..100 {
        let due = own.next_due().unwrap();
        let offset = due - first - second(turn);
        assert!(offset < jitter, "{offset:?}");
        offsets.insert(offset);
        own.due(due);
        own.ran(&name(), Verdict::Pass, "", due, Timestamp::default());
    }
    assert!(offsets.len() > 20, "{offsets:?}");
}
