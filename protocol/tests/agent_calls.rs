//! Who is told, in which words, how often, and who is told when nobody answers.

mod common;

use common::{
    WEB,
    calls::{called, documents, messages, notifier, order, recovers, state, told},
    driver::{Driver, Effect},
    key, trust,
};
use protocol::{
    agent::LocalPolicy,
    document::Verdict,
    explain,
    ledger::incident::{News, State},
    order::Action,
    record::Trust,
};

#[test]
fn a_call_is_made_again_and_by_another_until_somebody_acknowledges() {
    let text = documents(
        "ops",
        &(notifier("ops", "repeat = \"1m\"\nescalate = { to = \"boss\", after = \"90s\" }")
            + &notifier("boss", "recovery = false")),
    );
    let mut driver = Driver::with(3, &text);
    driver.fails(2);
    driver.until("called", |driver| called(driver, "ops") == 1);
    driver.pass(55_000);
    assert_eq!(told(&driver).len(), 1, "{:?}", told(&driver));
    driver.pass(8_000);
    assert_eq!((called(&driver, "ops"), called(&driver, "boss")), (2, 0));
    driver.pass(35_000);
    assert_eq!((called(&driver, "ops"), called(&driver, "boss")), (2, 1));
    let last = messages(&driver).pop().expect("a message");
    assert!(last.text.contains("nobody has acknowledged it"), "{}", last.text);
    // Whoever leads next goes on where the last one was, and does not begin anew.
    driver.elect(3);
    driver.pass(10_000);
    assert_eq!((called(&driver, "ops"), called(&driver, "boss")), (2, 1), "{:?}", told(&driver));
    driver.until("called again", |driver| called(driver, "ops") == 3);
    let incident = driver.incident().id;
    order(&mut driver, Action::Acknowledge { incident });
    driver.pass(600_000);
    assert_eq!((called(&driver, "ops"), called(&driver, "boss")), (3, 1), "it is seen");
    recovers(&mut driver);
    let over: Vec<_> = told(&driver).into_iter().filter(|(_, n)| *n == News::Resolved).collect();
    assert_eq!(over, [("ops".to_owned(), News::Resolved)], "and the boss hears nothing");
}

#[test]
fn who_is_not_reached_is_not_waited_for() {
    let text = documents(
        "ops",
        &(notifier("ops", "escalate = { to = \"boss\", after = \"2m\" }") + &notifier("boss", "")),
    );
    let mut driver = Driver::with(3, &text);
    driver.channel = Err(());
    driver.fails(2);
    driver.pass(110_000);
    assert!(called(&driver, "ops") > 1 && called(&driver, "boss") == 0, "tried, in vain");
    driver.pass(20_000);
    assert!(called(&driver, "boss") > 0, "{:?}", told(&driver));
}

#[test]
fn what_is_quiet_is_told_afterwards_unless_it_is_bad_enough_or_over() {
    // The tests' time begins at midnight.
    let quiet = |more: &str| format!("quiet = {{ cron = \"0 0 * * *\", lasts = \"30m\"{more} }}");
    let text = documents(
        "both",
        &(notifier("night", &quiet(""))
            + &notifier("loud", &quiet(", except = \"critical\""))
            + "[[notifier]]\nname = \"both\"\nkind = \"route\"\n\
               [[notifier.route]]\nnotify = [\"night\", \"loud\"]\n"),
    );
    let mut driver = Driver::with(3, &text);
    let midnight = driver.now % 86_400_000;
    assert!(midnight < 25 * 60_000, "the tests' time begins at {midnight}");
    driver.fails(2);
    driver.until("called", |driver| called(driver, "loud") == 1);
    driver.pass(60_000);
    assert_eq!((called(&driver, "loud"), called(&driver, "night")), (1, 0));
    driver.pass(30 * 60_000 - midnight);
    assert_eq!((called(&driver, "loud"), called(&driver, "night")), (1, 1));

    let mut driver = Driver::with(3, &text);
    driver.fails(2);
    driver.until("called", |driver| called(driver, "loud") == 1);
    recovers(&mut driver);
    driver.pass(30 * 60_000);
    let night = told(&driver).into_iter().filter(|(name, _)| name == "night");
    assert_eq!(night.count(), 0, "what was over before is no news");
}

const ROUTES: &str = r#"
[[notifier]]
name = "on-call"
kind = "route"

[[notifier.route]]
notify   = "chat"
severity = ["warning", "info"]

[[notifier.route]]
notify   = ["phone", "chat"]
where    = { role = "web" }

[[notifier.route]]
notify = "mail"
"#;

#[test]
fn the_first_route_that_fits_leads_to_whoever_is_told() {
    let notifiers = ["chat", "phone", "mail"].map(|name| notifier(name, "")).concat();
    let text = documents("on-call", &(notifiers.clone() + ROUTES));
    let mut driver = Driver::with(3, &text);
    driver.fails(2);
    driver.until("called", |driver| called(driver, "phone") == 1);
    driver.pass(5_000);
    let names: Vec<String> = told(&driver).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["chat", "phone"]);

    let mut driver = Driver::with(3, &text);
    driver.host(2).verdict = Verdict::Warn;
    driver.until("called", |driver| called(driver, "chat") == 1);
    driver.pass(5_000);
    assert_eq!(told(&driver), [("chat".to_owned(), News::Called)]);

    // Where no runbook names anybody, the routes say who is told.
    let silent = documents("on-call", &(notifiers + ROUTES))
        .replace("notify = \"on-call\"", "run = \"restart\"\ntimeout = \"10s\"");
    let mut driver = Driver::with(3, &silent);
    driver.effects.insert("call a person".to_owned(), Effect::Fails);
    driver.fails(2);
    driver.until("called", |driver| called(driver, "phone") == 1);
    driver.pass(5_000);
    assert_eq!((called(&driver, "chat"), called(&driver, "mail")), (1, 0));
}

#[test]
fn ones_own_words_have_the_facts_in_their_places() {
    let words = "title = \"{severity}: {host} ({label.role}) {news}\"\n\
                 text = \"{incident} {check} {verdict} {runbook}/{rung} {jobid} {notify} \
                 every {frequency} by {srv}; {app}|{explain}|{title}\"";
    let text = documents("ops", &notifier("ops", words));
    let mut driver = Driver::with(3, &text);
    driver.fails(2);
    driver.until("called", |driver| called(driver, "ops") == 1);
    let message = messages(&driver).remove(0);
    let id = driver.incident().id;
    assert_eq!(message.title, "critical: web-2 (web) called");
    assert_eq!(
        message.text,
        format!(
            "{id} web fail restart-web/call a person web ops every 1s by web-1; \
             |hearten incident explain {id}|{}",
            usual(id)
        )
    );
}

#[test]
fn words_of_ones_own_that_come_to_nothing_are_the_usual_ones() {
    let words = "title = \"{label.none}\"\ntext = \" {label.none} \"";
    let mut driver = Driver::with(3, &documents("ops", &notifier("ops", words)));
    driver.fails(2);
    driver.until("called", |driver| called(driver, "ops") == 1);
    let message = messages(&driver).remove(0);
    assert_eq!(message.title, usual(driver.incident().id));
    assert!(message.text.contains("a person has to look"), "{}", message.text);
}

fn usual(id: protocol::name::IncidentId) -> String {
    format!("called {id} on web-2")
}

#[test]
fn a_program_is_run_by_a_leader_that_knows_its_operators_and_by_no_other() {
    let program = "[[notifier]]\nname = \"ops\"\nkind = \"command\"\nrun = [\"page\"]\n";
    let mut driver = Driver::with(3, &documents("ops", program));
    let other = Trust { operators: vec![key(99).verifying_key().to_bytes()], ..trust() };
    driver.configure(1, other, LocalPolicy::default());
    driver.elect(1);
    driver.fails(2);
    driver.pass(60_000);
    assert_eq!(state(&driver), Some(State::Escalated), "somebody is to be called");
    assert_eq!(told(&driver), [], "but not by a program that a stranger signed");
    driver.elect(3);
    driver.until("told", |driver| called(driver, "ops") == 1);
}

#[test]
fn whom_nobody_could_tell_is_known_to_everybody_who_is_asked() {
    let mut driver = Driver::with(3, &documents("ops", &notifier("ops", "")));
    driver.channel = Err(());
    driver.fails(2);
    let untold = |driver: &Driver, n: u64| driver.hosts[&n].agent.untold(driver.incident());
    driver.until("tried twice", |driver| {
        !driver.ledger.incidents().is_empty()
            && untold(driver, 3).is_some_and(|text| text.contains("tried 2 times"))
    });
    let text = untold(&driver, 3).expect("told");
    let expected = "nobody could be told: notifier \"ops\": 503 (tried 2 times, next at ";
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(untold(&driver, 1), Some(text), "the leader says the same");
    let waits = |driver: &Driver| {
        let (at, leader) = (common::at(driver.now), Some(common::id(1)));
        explain::waiting(&driver.ledger, driver.incident(), leader, at).expect("waits").text
    };
    driver.until("escalated", |driver| state(driver) == Some(State::Escalated));
    assert!(waits(&driver).starts_with("a person is to be called"), "{}", waits(&driver));
    // Whoever leads next begins anew, and has nothing to say of it before it has tried.
    driver.elect(3);
    driver.until("tried by the next", |driver| untold(driver, 2).is_some());
    driver.channel = Ok(());
    driver.until("told", |driver| untold(driver, 2).is_none());
    driver.pass(5_000);
    assert!(waits(&driver).starts_with("a person was called"), "{}", waits(&driver));
    assert_eq!((untold(&driver, 1), untold(&driver, 3)), (None, None));
}

#[test]
fn whom_nobody_could_ask_is_said_as_well() {
    let text = format!("{}{}", approval(), notifier("ops", "") + &notifier("boss", ""));
    let mut driver = Driver::with(3, &text);
    driver.channel = Err(());
    driver.fails(2);
    driver.until("asked", |driver| {
        !driver.ledger.incidents().is_empty()
            && driver.hosts[&1].agent.untold(driver.incident()).is_some()
    });
    let text = driver.hosts[&1].agent.untold(driver.incident()).expect("told");
    assert!(text.contains("notifier \"boss\": 503") && text.contains("\"ops\": 503"), "{text}");
    let incident = driver.incident().id;
    order(&mut driver, Action::Acknowledge { incident });
    assert_eq!(driver.hosts[&1].agent.untold(driver.incident()), None, "it is seen");
}

/// One check whose repair has to be approved.
fn approval() -> String {
    format!(
        r#"
{WEB}
[[runbook]]
name = "restart-web"
on = {{ check = "web" }}

[[runbook.rung]]
name = "restart"
run = "restart"
approve = true
"#
    )
}

/// One check whose runbook has a rung that repairs and one that calls.
fn repairing(notifiers: &str) -> String {
    let rungs = "[[runbook.rung]]\nname = \"restart\"\nrun = \"restart\"\ntimeout = \"10s\"\n\n\
                 [[runbook.rung]]\nname = \"call a person\"";
    let text = documents("ops", notifiers);
    text.replace("[[runbook.rung]]\nname = \"call a person\"", rungs)
}

#[test]
fn who_wants_to_hear_of_repairs_is_told_what_repaired_it() {
    let words = "text = \"{news} {state} {rung}: {ran}|{text}\"";
    let chat = format!("repairs = true\n{words}");
    let text = repairing(&(notifier("ops", "") + &notifier("chat", &chat)));
    let mut driver = Driver::with(3, &text);
    driver.fails(2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    driver.pass(10_000);
    assert_eq!(told(&driver), [("chat".to_owned(), News::Repaired)], "once, and nobody else");
    let message = messages(&driver).remove(0);
    let id = driver.incident().id;
    assert_eq!(message.title, format!("repaired {id} on web-2"));
    assert_eq!(
        message.text,
        format!(
            "repaired OK restart: restart on web-2: succeeded|{id}: check \"web\" fails on web-2: \
             as it is. Rung \"restart\" repaired it after 1 attempt."
        )
    );

    // Where nothing helps, somebody is called, and what becomes well then no rung has repaired.
    let mut driver = Driver::with(3, &text);
    driver.effects.insert("restart".to_owned(), Effect::InVain);
    driver.fails(2);
    driver.until("called", |driver| called(driver, "ops") == 1);
    recovers(&mut driver);
    assert_eq!(called(&driver, "ops"), 1);
    assert!(told(&driver).iter().all(|(name, _)| name == "ops"), "{:?}", told(&driver));

    // Where nobody can say whether the rung helped, nobody says that it did.
    let mut driver = Driver::with(3, &text);
    driver.effects.insert("restart".to_owned(), Effect::Hangs);
    driver.fails(2);
    driver.until("tried", |driver| driver.executed().len() == 1);
    driver.host(2).verdict = Verdict::Pass;
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    driver.pass(5_000);
    assert_eq!(told(&driver), []);
}

#[test]
fn repairs_are_told_where_routes_lead_and_not_twice_to_whoever_hears_of_the_end() {
    let route = "[[notifier]]\nname = \"repairs\"\nkind = \"route\"\nrepairs = true\n\
                 [[notifier.route]]\nnotify = \"chat\"\nwhere = { role = \"web\" }\n\
                 [[notifier.route]]\nnotify = \"other\"\n";
    let notifiers = ["chat", "other", "ops"].map(|name| notifier(name, "")).concat();
    let mut driver = Driver::with(3, &repairing(&(notifiers + route)));
    driver.fails(2);
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    driver.pass(5_000);
    assert_eq!(told(&driver), [("chat".to_owned(), News::Repaired)]);

    // Who was asked to approve the rung hears that it is well again, as ever.
    let text = approval() + &notifier("ops", "repairs = true");
    let mut driver = Driver::with(3, &text);
    driver.fails(2);
    driver.until("asked", |driver| told(driver).len() == 1);
    let incident = driver.incident().id;
    order(&mut driver, Action::Approve { incident });
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    driver.pass(5_000);
    let news: Vec<News> = told(&driver).into_iter().map(|(_, news)| news).collect();
    assert_eq!(news, [News::Asked, News::Resolved]);
}
