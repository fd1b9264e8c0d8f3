//! Alerts of other systems: about whom they are, what several of them come to, and what explains
//! them.

mod common;

use common::{driver::Driver, id};
use protocol::{
    alert::{Alert, Word},
    ledger::incident::State,
    record::Record,
    time::Timestamp,
};
use std::collections::BTreeMap;

fn alert(labels: &[(&str, &str)], at: u64) -> Alert {
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Alert::new(labels, "", Timestamp::from_millis(at), None).expect("it is an alert")
}

fn fires(driver: &mut Driver, labels: &[(&str, &str)]) {
    let words = vec![Word::Fires(alert(labels, driver.now))];
    driver.write(Record::Alerted { words }).expect("it is taken");
}

fn ends(driver: &mut Driver, labels: &[(&str, &str)]) {
    let at = Timestamp::from_millis(driver.now);
    let words = vec![Word::Ended { alert: alert(labels, 0).id(), starts_at: Some(at), at }];
    driver.write(Record::Alerted { words }).expect("it is taken");
}

/// Peer and check of every incident, in order.
fn opened(driver: &Driver) -> Vec<(u64, String)> {
    let incidents = driver.ledger.incidents().values();
    incidents
        .map(|incident| {
            (incident.peer.bits(), incident.because.check().expect("a check fails").to_string())
        })
        .collect()
}

/// A check of alerts with this name, about which a person is called.
fn called(name: &str, keys: &str) -> String {
    format!(
        "[[check]]\nname = \"{name}\"\nevery = \"1s\"\nfail_after = 1\nalert = {{ alertname = \"{name}\" }}\n{keys}\n\
         [[runbook]]\nname = \"{name}\"\non = {{ check = \"{name}\" }}\ncooldown = \"0s\"\n\
         [[runbook.rung]]\nname = \"call\"\nnotify = \"ops\"\n"
    )
}

const OPS: &str = "[[notifier]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1/\"\n";

#[test]
fn the_host_is_what_a_label_says_or_a_part_of_it() {
    let documents = [
        OPS.to_owned(),
        called("usual", ""),
        called("named", "host_label = \"machine\""),
        called("pod", "host_label = \"pod\"\nhost_matches = \"^(web-[0-9]+)-\""),
        called("whole", "host_matches = 'web-[0-9]+'"),
    ];
    let mut driver = Driver::with(3, &documents.concat());
    driver.pass(1_000);
    for labels in [
        [("alertname", "usual"), ("instance", "http://web-1.example.com:9100/metrics")],
        // The label that is named is not there; one that would do otherwise is.
        [("alertname", "named"), ("instance", "web-1:9100")],
        [("alertname", "named"), ("machine", "web-2:9100")],
        // Another label, no such part, and a part that is no peer.
        [("alertname", "pod"), ("instance", "web-1-abcde")],
        [("alertname", "pod"), ("pod", "db-1-abcde")],
        [("alertname", "pod"), ("pod", "web-9-abcde")],
        [("alertname", "pod"), ("pod", "web-3-abcde")],
        [("alertname", "whole"), ("instance", "node-exporter.web-2.example.com:9100")],
    ] {
        fires(&mut driver, &labels);
        driver.pass(4_000);
    }
    let told = |peer, check: &str| (peer, check.to_owned());
    assert_eq!(
        opened(&driver),
        [told(1, "usual"), told(2, "named"), told(3, "pod"), told(2, "whole")]
    );
}

#[test]
fn several_alerts_of_one_check_are_one_incident_until_the_last_of_them_is_over() {
    let mut driver = Driver::with(3, &[OPS.to_owned(), called("disk", "")].concat());
    driver.pass(1_000);
    let [a, b] =
        ["sda", "sdb"].map(|disk| [("alertname", "disk"), ("host", "web-2"), ("device", disk)]);
    fires(&mut driver, &a);
    driver.until("it is opened", |driver| !driver.ledger.incidents().is_empty());
    fires(&mut driver, &b);
    driver.pass(3_000);
    ends(&mut driver, &a);
    driver.pass(10_000);
    assert!(driver.incident().state != State::Resolved, "{}", driver.history());
    ends(&mut driver, &b);
    driver.until("it is resolved", |driver| driver.incident().state == State::Resolved);
}

#[test]
fn what_is_over_before_it_lasted_is_nothing() {
    let patient = called("blip", "").replace("fail_after = 1", "fail_after = 10");
    let mut driver = Driver::with(3, &[OPS.to_owned(), patient].concat());
    driver.pass(1_000);
    let labels = [("alertname", "blip"), ("host", "web-2")];
    for _ in 0..3 {
        fires(&mut driver, &labels);
        driver.pass(8_000);
        ends(&mut driver, &labels);
        driver.pass(3_000);
    }
    assert_eq!(opened(&driver), []);
    fires(&mut driver, &labels);
    driver.until("it lasts", |driver| !driver.ledger.incidents().is_empty());
}

#[test]
fn an_alert_that_explains_others_mutes_them_on_every_host_that_it_is_for() {
    let switch = "[[check]]\nname = \"switch\"\nevery = \"1s\"\nfail_after = 1\n\
                  alert = { alertname = \"SwitchDown\", switch = \"sw-1\" }\nhost_label = \"*\"\n\
                  where = { zone = [\"a\", \"b\"] }\n";
    let service = called("service", "depends_on = [\"switch\"]");
    let mut driver = Driver::with(3, &[OPS.to_owned(), switch.to_owned(), service].concat());
    driver.pass(1_000);
    let down = [("alertname", "SwitchDown"), ("switch", "sw-1"), ("instance", "sw-1:161")];
    let hosts = [1, 2, 3].map(|peer| driver.ledger.roster().name(id(peer)));
    fires(&mut driver, &down);
    for host in &hosts {
        fires(&mut driver, &[("alertname", "service"), ("host", host)]);
    }
    driver.pass(10_000);
    let of_service = |driver: &Driver| {
        let mut opened = opened(driver);
        opened.retain(|(_, check)| check == "service");
        opened.into_iter().map(|(peer, _)| peer).collect::<Vec<_>>()
    };
    // Peer 2 is in zone c: the switch is not its.
    assert_eq!(of_service(&driver), [2]);
    // What goes on when the cause is gone was something else.
    ends(&mut driver, &[("alertname", "service"), ("host", &hosts[0])]);
    ends(&mut driver, &down);
    driver.pass(10_000);
    assert_eq!(of_service(&driver), [2, 3]);
}
