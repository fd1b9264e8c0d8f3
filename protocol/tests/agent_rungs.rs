//! What a rung may say beside its command: when it is tried again, what verifies it, what takes it
//! back, who has to approve it, and whether it is one of many.

mod common;

use common::{
    CALL, WEB,
    driver::{Driver, Effect},
};
use protocol::{
    agent::{Input, Output},
    document::Verdict,
    explain,
    ledger::incident::State,
    order::Action,
    plan::plan,
    record::{Outcome, Part, Record},
    refusal::Refusal,
    time::Timestamp,
};

/// One runbook for the check of the tests, with these lines of its own and these rungs.
fn documents(runbook: &str, rungs: &str) -> String {
    format!(
        r#"
{WEB}
[[runbook]]
name = "restart-web"
on = {{ check = "web" }}
cooldown = "0s"
{runbook}
{rungs}

{CALL}"#
    )
}

fn rung(name: &str, lines: &str) -> String {
    format!("[[runbook.rung]]\nname = \"{name}\"\nrun = \"{name}\"\ntimeout = \"10s\"\n{lines}\n")
}

fn state(driver: &Driver) -> Option<State> {
    driver.ledger.incidents().values().last().map(|incident| incident.state)
}

fn rungs(driver: &Driver) -> Vec<String> {
    driver.executed().into_iter().map(|(_, rung)| rung).collect()
}

/// An operator's order.
fn order(driver: &mut Driver, action: Action) -> Result<(), Refusal> {
    let at = common::at(driver.now + 60_000);
    let order = common::ordered(driver.index + 50_000, at, action);
    driver.write(Record::Ordered { order }).map(|_| ())
}

fn held(driver: &Driver) -> Option<Refusal> {
    driver.ledger.incidents().values().last().and_then(|incident| incident.held.clone())
}

#[test]
fn a_rung_that_fails_is_tried_again_after_waits_that_double() {
    let text = documents("", &rung("restart", "retries = 2\nbackoff = \"10s\""));
    let mut driver = Driver::with(3, &text);
    driver.effects.insert("restart".to_owned(), Effect::Fails);
    driver.fails(2);
    driver.until("escalated", |driver| state(driver) == Some(State::Escalated));
    let attempts = &driver.incident().attempts;
    assert_eq!(attempts.len(), 3);
    let wait = |n: usize| attempts[n].assigned_at.since(attempts[n - 1].ended_at.expect("ended"));
    assert!(wait(1) >= common::seconds(10) && wait(1) < common::seconds(12), "{:?}", wait(1));
    assert!(wait(2) >= common::seconds(20) && wait(2) < common::seconds(22), "{:?}", wait(2));
}

#[test]
fn what_passes_while_a_retry_waits_is_resolved() {
    let text = documents("", &rung("restart", "retries = 5\nbackoff = \"30s\""));
    let mut driver = Driver::with(3, &text);
    driver.effects.insert("restart".to_owned(), Effect::Fails);
    driver.fails(2);
    driver.until("tried", |driver| !driver.executed().is_empty());
    driver.host(2).verdict = Verdict::Pass;
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    assert_eq!(driver.executed().len(), 1);
}

#[test]
fn exit_0_is_verified_and_what_fails_half_way_is_taken_back() {
    let text = documents(
        "",
        &(rung("restart", "verify = \"look\"\nundo = \"back\"") + &rung("reinstall", "")),
    );
    let mut driver = Driver::with(3, &text);
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.effects.insert("verify restart".to_owned(), Effect::Fails);
    driver.effects.insert("undo restart".to_owned(), Effect::InVain);
    driver.fails(2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    assert_eq!(rungs(&driver), ["restart", "verify restart", "undo restart", "reinstall"]);
    let parts: Vec<Part> = driver.incident().attempts.iter().map(|attempt| attempt.part).collect();
    assert_eq!(parts, [Part::Act, Part::Verify, Part::Undo, Part::Act]);
}

#[test]
fn a_check_that_passes_does_not_resolve_what_is_not_verified() {
    let text = documents("", &rung("restart", "verify = \"look\""));
    let mut driver = Driver::with(3, &text);
    driver.effects.insert("verify restart".to_owned(), Effect::Hangs);
    driver.fails(2);
    driver.until("verifying", |driver| driver.executed().len() == 2);
    driver.pass(5_000);
    assert_eq!(state(&driver), Some(State::Acting), "the check passes, the verification has not");
    assert_eq!(driver.hosts[&2].verdict, Verdict::Pass);
}

#[test]
fn a_host_cools_down_from_when_a_rung_was_taken_back() {
    let text = documents("repeat = { within = \"0s\" }", &rung("restart", "undo = \"back\""));
    let mut driver = Driver::with(3, &text.replace("cooldown = \"0s\"", "cooldown = \"60s\""));
    driver.effects.insert("restart".to_owned(), Effect::Fails);
    driver.fails(2);
    driver.until("it is being taken back", |driver| driver.executed().len() == 2);
    driver.pass(5_000);
    let (incident, now) = (driver.incident().id, Timestamp::from_millis(driver.now));
    let report = common::ended(Outcome::Succeeded);
    driver.tell(2, Input::Finished { incident, attempt: 2, report });
    driver.until("a person is called", |driver| state(driver) == Some(State::Escalated));
    driver.host(2).verdict = Verdict::Pass;
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    driver.fails(2);
    driver.until("held", |driver| {
        let last = driver.ledger.incidents().values().last();
        last.is_some_and(|incident| incident.held.is_some())
    });
    let held = driver.ledger.incidents().values().last().and_then(|incident| incident.held.clone());
    let Some(Refusal::CoolDown { until, .. }) = held else { panic!("{held:?}") };
    assert!(until >= now.plus(std::time::Duration::from_secs(60)), "{until} {now}");
}

#[test]
fn what_cannot_be_taken_back_is_a_persons() {
    let text = documents("", &(rung("restart", "undo = \"back\"") + &rung("reinstall", "")));
    let mut driver = Driver::with(3, &text);
    driver.effects.insert("restart".to_owned(), Effect::Fails);
    driver.effects.insert("undo restart".to_owned(), Effect::Fails);
    driver.fails(2);
    driver.until("held", |driver| matches!(held(driver), Some(Refusal::UndoFailed { .. })));
    driver.pass(30_000);
    assert_eq!(rungs(&driver), ["restart", "undo restart"], "nothing is done any more");
    assert_eq!(driver.count(|output| matches!(output, Output::Notify { .. })), 1);
}

#[test]
fn a_rung_waits_for_approval_and_for_nothing_else() {
    let text = documents("", &rung("restart", "approve = { within = \"1m\" }"));
    let mut driver = Driver::with(3, &text);
    driver.fails(2);
    driver.until("asked", |driver| matches!(held(driver), Some(Refusal::AwaitingApproval { .. })));
    driver.pass(20_000);
    assert!(driver.executed().is_empty());
    assert_eq!(driver.count(|output| matches!(output, Output::Notify { .. })), 1, "asked once");
    let incident = driver.incident().id;
    order(&mut driver, Action::Approve { incident }).expect("approved");
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    assert_eq!(rungs(&driver), ["restart"]);
    let again = order(&mut driver, Action::Approve { incident });
    assert!(matches!(again, Err(Refusal::IncidentOver { .. })), "{again:?}");
}

#[test]
fn what_is_denied_or_not_answered_is_a_persons() {
    for answer in [true, false] {
        let text = documents("", &rung("restart", "approve = { within = \"1m\" }"));
        let mut driver = Driver::with(3, &text);
        driver.fails(2);
        driver.until("asked", |d| matches!(held(d), Some(Refusal::AwaitingApproval { .. })));
        let incident = driver.incident().id;
        if answer {
            let reason = "not now".to_owned();
            order(&mut driver, Action::Deny { incident, reason }).expect("denied");
        }
        driver.until("escalated", |driver| state(driver) == Some(State::Escalated));
        driver.pass(120_000);
        assert!(driver.executed().is_empty());
        let late = order(&mut driver, Action::Approve { incident });
        assert!(matches!(late, Err(Refusal::NothingToApprove { .. })), "{late:?}");
    }
}

#[test]
fn only_the_operators_that_are_named_may_approve() {
    let text = documents("", &rung("restart", "approve = { by = [\"0123456789\"] }"));
    let mut driver = Driver::with(3, &text);
    driver.fails(2);
    driver.until("asked", |driver| matches!(held(driver), Some(Refusal::AwaitingApproval { .. })));
    let incident = driver.incident().id;
    assert_eq!(order(&mut driver, Action::Approve { incident }), Err(Refusal::NotApprover));
    let key = data_encoding::HEXLOWER.encode(&common::operator().verifying_key().to_bytes());
    let text =
        documents("", &rung("restart", &format!("approve = {{ by = [\"{}\"] }}", &key[..12])));
    let mut driver = Driver::with(3, &text);
    driver.fails(2);
    driver.until("asked", |driver| matches!(held(driver), Some(Refusal::AwaitingApproval { .. })));
    let incident = driver.incident().id;
    assert_eq!(order(&mut driver, Action::Approve { incident }), Ok(()));
}

#[test]
fn a_runbook_that_asks_asks_once_for_each_incident_and_a_shadow_does_nothing() {
    let two = rung("restart", "") + &rung("reinstall", "");
    let mut driver = Driver::with(3, &documents("mode = \"ask\"", &two));
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.fails(2);
    driver.until("asked", |driver| matches!(held(driver), Some(Refusal::AwaitingApproval { .. })));
    let incident = driver.incident().id;
    order(&mut driver, Action::Approve { incident }).expect("approved");
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    assert_eq!(rungs(&driver), ["restart", "reinstall"]);

    let mut driver = Driver::with(3, &documents("mode = \"shadow\"", &two));
    driver.fails(2);
    driver.until("held", |driver| matches!(held(driver), Some(Refusal::Shadow { .. })));
    driver.pass(30_000);
    assert!(driver.executed().is_empty());
    assert_eq!(driver.count(|output| matches!(output, Output::Notify { .. })), 0);
}

#[test]
fn a_workflow_is_carried_through_whatever_its_check_says_and_whoever_leads() {
    let steps = ["drain", "request", "wait", "reinstall", "verify it", "undrain"];
    let text: String = steps
        .iter()
        .map(|step| match *step {
            "wait" => rung(step, "by = \"leader\"\nevery = \"10s\"\nwithin = \"2h\""),
            "reinstall" => rung(step, ""),
            _ => rung(step, "by = \"leader\""),
        })
        .collect();
    let mut driver = Driver::with(4, &documents("sequence = true", &text));
    for step in steps {
        driver.effects.insert(step.to_owned(), Effect::InVain);
    }
    driver.effects.insert("wait".to_owned(), Effect::Fails);
    driver.effects.insert("reinstall".to_owned(), Effect::Heals);
    driver.fails(2);
    driver.until("waiting", |driver| driver.executed().len() >= 5);
    // Any peer may die in the middle.
    driver.kill(1);
    driver.elect(3);
    driver.pass(60_000);
    driver.effects.insert("wait".to_owned(), Effect::InVain);
    driver.until("resolved", |driver| {
        driver.ledger.incidents().values().next().is_some_and(|i| i.state == State::Resolved)
    });
    let mut done = rungs(&driver);
    let polls = done.iter().filter(|step| *step == "wait").count();
    assert!(polls > 5, "it asked again and again: {polls}");
    done.dedup();
    assert_eq!(done, steps, "each in its order, though the check passed before the end");
}

#[test]
fn a_workflow_that_fails_goes_to_a_person_and_no_further() {
    let text = rung("drain", "") + &rung("reinstall", "") + &rung("undrain", "");
    let mut driver = Driver::with(3, &documents("sequence = true", &text));
    driver.effects.insert("drain".to_owned(), Effect::InVain);
    driver.effects.insert("reinstall".to_owned(), Effect::Fails);
    driver.effects.insert("undrain".to_owned(), Effect::InVain);
    driver.fails(2);
    driver.until("escalated", |driver| state(driver) == Some(State::Escalated));
    assert_eq!(rungs(&driver), ["drain", "reinstall"]);
}

#[test]
fn what_may_safely_run_twice_does_and_what_may_not_does_not() {
    for (effect, executions) in [("idempotent", 2), ("once", 1)] {
        let text = documents("", &rung("restart", &format!("effect = \"{effect}\"")));
        let mut driver = Driver::with(3, &text);
        driver.effects.insert("restart".to_owned(), Effect::Hangs);
        driver.fails(2);
        driver.until("executed", |driver| !driver.executed().is_empty());
        driver.effects.insert("restart".to_owned(), Effect::Heals);
        driver.restart(2);
        driver.fails(2);
        driver.pass(60_000);
        assert_eq!(driver.executed().len(), executions, "{effect}\n{}", driver.history());
        assert_eq!(driver.incident().attempts[0].outcome(), Some(Outcome::Unknown));
    }
}

#[test]
fn what_did_not_help_is_not_repeated_on_the_same_host_but_climbs() {
    let two = rung("restart", "") + &rung("reinstall", "");
    let mut driver = Driver::with(3, &documents("repeat = { times = 2, within = \"1h\" }", &two));
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.fails(2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    assert_eq!(rungs(&driver), ["restart", "reinstall"]);
    driver.fails(2);
    driver.until("again", |driver| driver.ledger.incidents().len() == 2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    assert_eq!(rungs(&driver), ["restart", "reinstall", "reinstall"], "the first is passed over");
    // What helped only for a moment, twice, is not repeated for ever either.
    driver.fails(2);
    driver.until("a third", |driver| driver.ledger.incidents().len() == 3);
    driver.until("escalated", |driver| state(driver) == Some(State::Escalated));
    assert_eq!(driver.executed().len(), 3);
    // Another host has its own memory.
    driver.fails(3);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    assert_eq!(driver.executed()[3], (3, "restart".to_owned()));
}

#[test]
fn parameters_come_from_labels_and_what_does_not_fit_is_not_handed_over() {
    let text = documents(
        "",
        &format!(
            "[runbook.params.kind]\nfrom = \"label:role\"\npattern = \"[a-z]+\"\n\
             [runbook.params.retries]\ntype = \"number\"\ndefault = \"3\"\n{}",
            rung("restart", "")
        ),
    );
    let mut driver = Driver::with(3, &text);
    driver.fails(2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    let order = driver.outputs.iter().find_map(|(_, _, output)| {
        if let Output::Execute(order) = output { Some(order.clone()) } else { None }
    });
    let variables = order.expect("executed").variables;
    assert_eq!(variables["HEARTEN_PARAM_KIND"], "web");
    assert_eq!(variables["HEARTEN_PARAM_RETRIES"], "3");

    let missing = text.replace("label:role", "label:shard");
    let mut driver = Driver::with(3, &missing);
    driver.fails(2);
    driver.until("held", |driver| matches!(held(driver), Some(Refusal::Parameter { .. })));
    driver.pass(20_000);
    assert!(driver.executed().is_empty());
}

#[test]
fn an_operator_runs_a_runbook_without_its_signal() {
    let text = documents("", &rung("restart", ""));
    let mut driver = Driver::with(3, &text);
    let run = |peer: u64| Action::RunRunbook {
        runbook: common::name("restart-web"),
        peer: common::id(peer),
        reason: "a new certificate".to_owned(),
    };
    driver.pass(2_000);
    order(&mut driver, run(2)).expect("ordered");
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    assert_eq!(driver.executed(), [(2, "restart".to_owned())]);
    order(&mut driver, Action::Freeze { reason: "stop".to_owned() }).expect("frozen");
    order(&mut driver, run(3)).expect("ordered");
    driver.until("held", |driver| matches!(held(driver), Some(Refusal::Frozen { .. })));
    assert_eq!(driver.executed().len(), 1, "the rules hold for operators as well");
}

#[test]
fn what_is_being_repaired_is_not_repaired_by_order_as_well() {
    let text = documents("", &rung("restart", ""));
    let mut driver = Driver::with(3, &text);
    driver.effects.insert("restart".to_owned(), Effect::Hangs);
    driver.fails(2);
    driver.until("given out", |driver| !driver.executed().is_empty());
    let open = driver.incident().id;
    let (runbook, peer) = (common::name("restart-web"), common::id(2));
    let trial = plan(&driver.ledger, &runbook, peer, common::at(driver.now));
    assert_eq!(trial.err(), Some(Refusal::AlreadyOpen { incident: open }));
    let run = |peer: u64| Action::RunRunbook {
        runbook: runbook.clone(),
        peer: common::id(peer),
        reason: "faster".to_owned(),
    };
    let refused = order(&mut driver, run(2));
    assert_eq!(refused, Err(Refusal::AlreadyOpen { incident: open }));
    order(&mut driver, run(3)).expect("another host is another matter");
    // Whom it was handed to may have it tried again.
    let mut driver = Driver::with(3, &text);
    driver.effects.insert("restart".to_owned(), Effect::Fails);
    driver.fails(2);
    driver.until("escalated", |driver| state(driver) == Some(State::Escalated));
    order(&mut driver, run(2)).expect("ordered");
}

#[test]
fn where_nobody_can_act_that_is_said_and_what_comes_too_late_is_refused() {
    let mut driver = Driver::with(1, &documents("", &rung("restart", "by = \"neighbour\"")));
    driver.fails(1);
    driver.until("held", |driver| matches!(held(driver), Some(Refusal::NoWorker { .. })));
    assert!(driver.executed().is_empty());

    let mut driver = Driver::with(3, &documents("", &rung("restart", "")));
    driver.host(2).disk = false;
    driver.fails(2);
    driver.until("given out", |driver| {
        driver.ledger.incidents().values().any(|incident| !incident.attempts.is_empty())
    });
    // Its disk answers only when the time to begin is over.
    driver.pass(15_000);
    let incident = driver.incident().id;
    driver.tell(2, Input::StartRecorded { incident, attempt: 1 });
    driver.pass(1_000);
    let report = driver.incident().attempts[0].report.clone().expect("told");
    assert_eq!(report.outcome, Outcome::Refused);
    assert!(report.output.starts_with("too late"), "{}", report.output);
    assert!(driver.executed().is_empty());
}

#[test]
fn what_held_it_back_gives_way_to_what_does_now() {
    let patch = "[[runbook]]\nname = \"patch\"\non = { operator = true }\n";
    let patch = format!("{patch}{}", rung("patch", "settle = \"5m\""));
    let text = documents("", &rung("restart", "")) + &patch;
    let mut driver = Driver::with(3, &text);
    driver.effects.insert("patch".to_owned(), Effect::InVain);
    driver.pass(2_000);
    let run = |runbook: &str| Action::RunRunbook {
        runbook: common::name(runbook),
        peer: common::id(2),
        reason: "because".to_owned(),
    };
    order(&mut driver, run("patch")).expect("ordered");
    driver.until("patched", |driver| state(driver) == Some(State::Resolved));
    driver.tell_liveness(2, false);
    order(&mut driver, run("restart-web")).expect("ordered");
    driver.until("nobody", |driver| matches!(held(driver), Some(Refusal::NoWorker { .. })));
    let now = |driver: &Driver| {
        let (incident, leader) = (driver.ledger.incidents().values().last(), Some(common::id(1)));
        let at = common::at(driver.now);
        explain::waiting(&driver.ledger, incident.expect("open"), leader, at).expect("waits").text
    };
    assert!(now(&driver).starts_with("nobody can act"), "{}", now(&driver));
    driver.tell_liveness(2, true);
    driver.until("settling", |driver| matches!(held(driver), Some(Refusal::Settling { .. })));
    assert!(now(&driver).starts_with("settling"), "{}", now(&driver));
    let lines = driver.log.len();
    driver.pass(60_000);
    assert_eq!(driver.log.len(), lines, "it is said once");
}

#[test]
fn who_was_asked_is_still_asked_when_the_host_was_not_heard_of_meanwhile() {
    let mut driver = Driver::with(3, &documents("", &rung("restart", "approve = true")));
    driver.fails(2);
    driver.until("asked", |driver| matches!(held(driver), Some(Refusal::AwaitingApproval { .. })));
    driver.tell_liveness(2, false);
    driver.until("nobody", |driver| matches!(held(driver), Some(Refusal::NoWorker { .. })));
    driver.tell_liveness(2, true);
    driver.pass(5_000);
    let at = common::at(driver.now);
    let waits = explain::waiting(&driver.ledger, driver.incident(), Some(common::id(1)), at);
    let text = waits.expect("waits").text;
    assert!(text.contains("waits for approval until"), "{text}");
}
