//! What alerts and jobs say of themselves, how bad they are and whatever else they are labelled,
//! decides who is told and in which words, and reaches repairs as values, never as commands.

mod common;

use common::{
    calls::{called, messages, notifier, state, told},
    driver::Driver,
};
use proptest::prelude::*;
use protocol::{
    agent::Output,
    alert::{Alert, Word},
    document::Severity,
    heartbeat::{JobRef, Pace, Ping, Reservation, Signal, Word as JobWord},
    ledger::incident::{News, State},
    record::Record,
    refusal::Refusal,
    time::Timestamp,
};
use std::collections::BTreeMap;

/// A check of alerts, a check of jobs, and what the runbook of both does.
fn documents(runbook: &str, more: &str) -> String {
    format!(
        r#"
[[check]]
name       = "raid"
alert      = {{ alertname = "RaidDegraded" }}
fail_after = 1
where      = {{ role = "web" }}

[[check]]
name      = "jobs"
heartbeat = {{ app = "shop" }}

[[runbook]]
name     = "raid"
on       = {{ check = "raid" }}
cooldown = "0s"
{runbook}

[[runbook]]
name     = "jobs"
on       = {{ check = "jobs" }}
cooldown = "0s"
{runbook}
{more}
"#
    )
}

const CALL: &str = "[[runbook.rung]]\nname = \"call\"\nnotify = \"on-call\"\n";

const ROUTES: &str = r#"
[[notifier]]
name = "on-call"
kind = "route"

[[notifier.route]]
notify = "storage"
where  = { team = "storage" }

[[notifier.route]]
notify   = "phone"
severity = "critical"

[[notifier.route]]
notify   = "chat"
severity = "warning"

[[notifier.route]]
notify = "mail"
"#;

fn mesh(runbook: &str) -> Driver {
    let night = "quiet = { cron = \"0 0 * * *\", lasts = \"24h\", except = \"critical\" }\n";
    let words = "title = \"{severity} {alert.device}|{job.shard}|{alert.none}\"\n";
    let more = ["storage", "phone", "mail"].map(|name| notifier(name, words)).concat()
        + &notifier("chat", &(words.to_owned() + night))
        + ROUTES;
    Driver::with(3, &documents(runbook, &more))
}

fn alert(driver: &Driver, labels: &[(&str, &str)]) -> Alert {
    let usual = [("alertname", "RaidDegraded"), ("host", "web-2")];
    let labels = usual.iter().chain(labels);
    let labels = labels.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Alert::new(labels, "", Timestamp::from_millis(driver.now), None).expect("an alert")
}

/// An alert fires, and the check of its host sees it.
fn fires(driver: &mut Driver, labels: &[(&str, &str)]) {
    let words = vec![Word::Fires(alert(driver, labels))];
    driver.write(Record::Alerted { words }).expect("it is taken");
}

fn ends(driver: &mut Driver, labels: &[(&str, &str)]) {
    let (alert, at) = (alert(driver, labels).id(), Timestamp::from_millis(driver.now));
    let words = vec![Word::Ended { alert, starts_at: None, at }];
    driver.write(Record::Alerted { words }).expect("it is taken");
}

fn is_called(driver: &mut Driver) {
    driver.until("escalated", |driver| state(driver) == Some(State::Escalated));
    driver.pass(1_000);
}

fn severity_for(labels: &[(&str, &str)]) -> (Severity, Vec<(String, News)>) {
    let mut driver = mesh(CALL);
    fires(&mut driver, labels);
    is_called(&mut driver);
    (driver.incident().severity, told(&driver))
}

#[test]
fn an_alert_is_as_bad_as_it_says_and_goes_where_that_leads() {
    let to = |name: &str| vec![(name.to_owned(), News::Called)];
    for word in ["critical", "page", "ERROR", "high"] {
        assert_eq!(
            severity_for(&[("severity", word)]),
            (Severity::Critical, to("phone")),
            "{word}"
        );
    }
    // What is no more than a warning waits for the day.
    for word in ["warning", "Warn", "minor"] {
        assert_eq!(severity_for(&[("severity", word)]), (Severity::Warning, Vec::new()), "{word}");
    }
    assert_eq!(severity_for(&[("severity", "notice")]), (Severity::Info, to("mail")));
    assert_eq!(severity_for(&[("level", "info")]), (Severity::Info, to("mail")));
    // As bad as a check that fails, where it does not say so in a word that is known.
    assert_eq!(severity_for(&[]), (Severity::Critical, to("phone")));
    assert_eq!(severity_for(&[("severity", "P5")]), (Severity::Critical, to("phone")));
}

#[test]
fn of_several_alerts_the_worst_counts_and_one_that_comes_later_makes_it_worse() {
    let mut driver = mesh(CALL);
    let words =
        [("sda", "info"), ("sdb", "critical"), ("sdc", "warning")].map(|(device, severity)| {
            Word::Fires(alert(&driver, &[("device", device), ("severity", severity)]))
        });
    driver.write(Record::Alerted { words: words.to_vec() }).expect("taken");
    fires(&mut driver, &[("device", "sdd"), ("severity", "info")]);
    is_called(&mut driver);
    assert_eq!(driver.incident().severity, Severity::Critical);
    assert_eq!(called(&driver, "phone"), 1);
    assert_eq!(messages(&driver)[0].title, "critical ||", "not every one is about the same device");

    let mut driver = mesh(CALL);
    fires(&mut driver, &[("device", "sda"), ("severity", "warning")]);
    is_called(&mut driver);
    assert_eq!(told(&driver), [], "it is quiet");
    let elsewhere = [("device", "sdb"), ("severity", "critical"), ("host", "web-9")];
    fires(&mut driver, &elsewhere);
    driver.pass(5_000);
    assert_eq!(told(&driver), [], "another host's makes it no worse");
    fires(&mut driver, &[("device", "sda"), ("severity", "page")]);
    driver.until("told", |driver| called(driver, "chat") == 1);
    assert_eq!(messages(&driver)[0].title, "critical sda||");
    // It is over: it is told as it was.
    for severity in ["warning", "page"] {
        ends(&mut driver, &[("device", "sda"), ("severity", severity)]);
    }
    driver.until("over", |driver| state(driver) == Some(State::Resolved));
    driver.pass(2_000);
    let last = messages(&driver).pop().expect("a message");
    assert_eq!((last.news, last.title.as_str()), (News::Resolved, "critical sda||"));
}

#[test]
fn a_route_sees_what_an_alert_is_labelled_and_a_peers_own_labels_are_its_own() {
    assert_eq!(severity_for(&[("team", "storage")]).1, [("storage".to_owned(), News::Called)]);
    // Nobody outside says what a peer of the mesh is.
    let more = notifier("web", "")
        + &notifier("db", "")
        + "
[[notifier]]
name = \"on-call\"
kind = \"route\"

[[notifier.route]]
notify = \"db\"
where  = { role = \"db\" }

[[notifier.route]]
notify = \"web\"
";
    let mut driver = Driver::with(3, &documents(CALL, &more));
    fires(&mut driver, &[("role", "db")]);
    is_called(&mut driver);
    assert_eq!(told(&driver), [("web".to_owned(), News::Called)]);
}

fn job_fails(driver: &mut Driver, labels: &[(&str, &str)]) {
    let mut reservation = Reservation::new("orders", Pace::USUAL);
    let labels = [("app", "shop"), ("host", "web-2")].iter().chain(labels);
    reservation.labels =
        labels.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let words = vec![JobWord::Reserve(reservation)];
    driver.write(Record::JobsTold { words, nonce: None }).expect("it is taken");
    let (job, at) = (JobRef::Name("orders".to_owned()), Timestamp::from_millis(driver.now));
    let signal = Signal::Fail(Some(1));
    let ping = JobWord::Ping(Ping { job, at, signal, run: None, body: String::new() });
    driver.write(Record::JobsTold { words: vec![ping], nonce: None }).expect("it is taken");
}

#[test]
fn a_job_is_as_bad_as_its_level_says() {
    for (level, told_to, title) in [("page", "phone", "critical |7|"), ("info", "mail", "info |7|")]
    {
        let mut driver = mesh(CALL);
        job_fails(&mut driver, &[("level", level), ("shard", "7")]);
        is_called(&mut driver);
        assert_eq!(told(&driver), [(told_to.to_owned(), News::Called)]);
        assert_eq!(messages(&driver)[0].title, title);
    }
}

/// A rung that is handed a label.
fn rung(from: &str, kind: &str) -> String {
    format!(
        "[runbook.params.device]\nfrom = \"{from}\"\n{kind}\n\
         [[runbook.rung]]\nname = \"restart\"\nrun = \"mdadm --add \\\"$HEARTEN_PARAM_DEVICE\\\"\"\n\
         timeout = \"10s\"\n"
    )
}

/// What is handed over for an alert with this label; the refusal, where it is not.
fn handed(kind: &str, value: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let mut driver = mesh(&rung("alert:device", kind));
    fires(&mut driver, &[("device", value)]);
    ended(&mut driver)
}

fn ended(driver: &mut Driver) -> Result<BTreeMap<String, String>, Refusal> {
    driver.until("handed over or held", |driver| {
        driver
            .ledger
            .incidents()
            .values()
            .any(|incident| incident.held.is_some() || !incident.attempts.is_empty())
    });
    driver.pass(3_000);
    let order = driver.outputs.iter().find_map(|(_, _, output)| {
        if let Output::Execute(order) = output { Some(order.variables.clone()) } else { None }
    });
    match (order, driver.incident().held.clone()) {
        (Some(variables), _) => Ok(variables),
        (None, Some(refusal)) => Err(refusal),
        (None, None) => panic!("neither: {}", driver.history()),
    }
}

#[test]
fn a_label_of_an_alert_or_a_job_is_a_value_of_a_repair_where_it_fits() {
    let variables = handed("pattern = \"sd[a-z]\"", "sdb").expect("handed over");
    assert_eq!(variables["HEARTEN_PARAM_DEVICE"], "sdb");
    let mut driver = mesh(&rung("job:shard", "type = \"number\""));
    job_fails(&mut driver, &[("shard", "7")]);
    assert_eq!(ended(&mut driver).expect("handed over")["HEARTEN_PARAM_DEVICE"], "7");

    for (kind, hostile) in [
        ("pattern = \"sd[a-z]\"", "sdb; reboot"),
        ("pattern = \"sd[a-z]\"", "sdb\nsdc"),
        ("pattern = \"sd[a-z]\"", "$(reboot)"),
        ("pattern = \"sd[a-z]\"", "--stop"),
        ("pattern = \"sd[a-z]\"", "ѕdb"),
        ("type = \"number\"", "7 7"),
        ("one_of = [\"sda\", \"sdb\"]", "sdc"),
        ("", "a\u{0}b"),
        ("", "a\nb"),
        ("", &"x".repeat(1_001)),
    ] {
        let refused = handed(kind, hostile);
        assert!(matches!(refused, Err(Refusal::Parameter { .. })), "{kind}, {hostile:?}");
    }
    // A label that is not there is no value, and another incident's is none either.
    let mut driver = mesh(&rung("alert:device", ""));
    fires(&mut driver, &[]);
    assert!(matches!(ended(&mut driver), Err(Refusal::Parameter { .. })));
    let mut driver = mesh(&rung("alert:device", ""));
    job_fails(&mut driver, &[("device", "sda")]);
    assert!(matches!(ended(&mut driver), Err(Refusal::Parameter { .. })));
    // Which of two devices is meant nobody can say.
    let mut driver = mesh(&rung("alert:device", ""));
    let both = ["sda", "sdb"].map(|device| Word::Fires(alert(&driver, &[("device", device)])));
    driver.write(Record::Alerted { words: both.to_vec() }).expect("taken");
    assert!(matches!(ended(&mut driver), Err(Refusal::Parameter { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What is handed over is the label itself, in a variable of its own; or nothing is run.
    #[test]
    fn no_label_of_an_alert_becomes_anything_but_a_value(value in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        match handed("", &value) {
            Ok(variables) => {
                prop_assert_eq!(variables.get("HEARTEN_PARAM_DEVICE"), Some(&value));
                let others = variables.iter().filter(|(key, _)| *key != "HEARTEN_PARAM_DEVICE");
                let short = value.len() < 8;
                prop_assert!(short || others.into_iter().all(|(_, other)| !other.contains(&value)));
            }
            Err(refusal) => {
                let named = matches!(refusal, Refusal::Parameter { .. });
                prop_assert!(named && (value.is_empty() || value.chars().any(char::is_control)));
            }
        }
    }
}
