use super::{alertmanager, hospital, *};
use protocol::{alert::AlertId, ledger::alerts::Alerts, name::Name};
use serde_json::json;
use std::collections::BTreeSet;

/// 2026-01-01T00:10:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_767_226_200_000);

fn body(value: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn one(words: &Words) -> &Word {
    assert_eq!((words.words.len(), &words.refused), (1, &Vec::new()), "{words:?}");
    &words.words[0]
}

fn webhook(status: &str) -> serde_json::Value {
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status,
        "receiver": "hearten", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://am:9093",
        "alerts": [{
            "status": status,
            "labels": { "alertname": "NodeDown", "instance": "web-1:9100" },
            "annotations": { "summary": "web-1 is down", "description": "for 5m" },
            "startsAt": "2026-01-01T00:05:00.123Z",
            "endsAt": if status == "resolved" { "2026-01-01T00:09:00Z" } else { "0001-01-01T00:00:00Z" },
            "generatorURL": "http://prom:9090/graph", "fingerprint": "0a1b2c3d",
        }],
    })
}

#[test]
fn a_firing_alert_of_alertmanager_fires_until_its_end_is_told() {
    let words = alertmanager::webhook(&body(&webhook("firing")), NOW).unwrap();
    let Word::Fires(alert) = one(&words) else { panic!("{words:?}") };
    assert_eq!((alert.summary.as_str(), alert.ends_at), ("web-1 is down", None));
    assert_eq!(alert.starts_at.to_string(), "2026-01-01T00:05:00.123Z");
    let ended = alertmanager::webhook(&body(&webhook("resolved")), NOW).unwrap();
    let Word::Ended { alert: id, starts_at, at } = one(&ended) else { panic!("{ended:?}") };
    assert_eq!((*id, *starts_at), (alert.id(), Some(alert.starts_at)));
    assert_eq!(at.to_string(), "2026-01-01T00:09:00.000Z");
}

#[test]
fn all_alerts_of_a_group_are_taken_and_what_is_wrong_with_one_keeps_no_other_out() {
    let mut group = webhook("firing");
    let good = group["alerts"][0].clone();
    let mut wrong = good.clone();
    wrong["labels"] = json!({});
    let mut other = good.clone();
    other["labels"]["instance"] = json!("web-2");
    group["alerts"] = json!([good, wrong, other, 7]);
    group["truncatedAlerts"] = json!(3);
    let words = alertmanager::webhook(&body(&group), NOW).unwrap();
    assert_eq!(words.words.len(), 2);
    assert_eq!(words.refused.len(), 3, "{:?}", words.refused);
    assert!(words.refused[0].starts_with("alert 2: an alert needs labels"), "{:?}", words.refused);
    assert!(words.refused[2].contains("3 alerts of group"), "{:?}", words.refused);
}

#[test]
fn prometheus_gives_an_end_that_counts_unless_it_tells_again() {
    let alert = |ends: &str| {
        let labels = json!({ "alertname": "Down", "instance": "web-1" });
        body(&json!([{ "labels": labels, "startsAt": "2026-01-01T00:05:00Z", "endsAt": ends }]))
    };
    let words = alertmanager::api(&alert("2026-01-01T00:14:00Z"), NOW).unwrap();
    let Word::Fires(fires) = one(&words) else { panic!("{words:?}") };
    assert_eq!(fires.ends_at.unwrap().to_string(), "2026-01-01T00:14:00.000Z");
    let words = alertmanager::api(&alert("2026-01-01T00:09:59Z"), NOW).unwrap();
    assert!(matches!(one(&words), Word::Ended { .. }));
    let far = alertmanager::api(&alert("2126-01-01T00:00:00Z"), NOW).unwrap();
    let Word::Fires(fires) = one(&far) else { panic!("{far:?}") };
    assert_eq!(fires.ends_at, Some(NOW.plus(ENDS_WITHIN)));
}

#[test]
fn what_says_no_end_fires_for_five_minutes_and_what_says_no_beginning_is_dated_by_the_log() {
    let api = |more: serde_json::Value| {
        let mut alert = json!({ "labels": { "alertname": "Down" } });
        for (key, value) in more.as_object().unwrap() {
            alert[key] = value.clone();
        }
        alertmanager::api(&body(&json!([alert])), NOW).unwrap()
    };
    let in_five_minutes = Some(NOW.plus(Duration::from_secs(300)));
    let bare = api(json!({}));
    let [Word::Fires(alert)] = &bare.undated[..] else { panic!("{bare:?}") };
    assert_eq!((alert.ends_at, bare.words.len()), (in_five_minutes, 0));
    let dated = api(json!({ "startsAt": "2026-01-01T00:05:00Z" }));
    let Word::Fires(alert) = one(&dated) else { panic!("{dated:?}") };
    assert_eq!(alert.ends_at, in_five_minutes);
    let over = api(json!({ "endsAt": "2026-01-01T00:09:00Z" }));
    assert!(matches!(over.undated[..], [Word::Ended { starts_at: None, .. }]), "{over:?}");
    // An Alertmanager says when it is over; of some who use its form one does not know since when.
    let mut group = webhook("firing");
    group["alerts"][0]["startsAt"] = json!("0001-01-01T00:00:00Z");
    let words = alertmanager::webhook(&body(&group), NOW).unwrap();
    let [Word::Fires(alert)] = &words.undated[..] else { panic!("{words:?}") };
    assert_eq!(alert.ends_at, None);
}

#[test]
fn an_end_is_dated_by_its_senders_clock_unless_it_is_far_off() {
    let ended = |since: &str, ends: &str| {
        let mut group = webhook("resolved");
        group["alerts"][0]["startsAt"] = json!(since);
        group["alerts"][0]["endsAt"] = json!(ends);
        let words = alertmanager::webhook(&body(&group), NOW).unwrap();
        let Word::Ended { at, .. } = one(&words) else { panic!("{words:?}") };
        at.to_string()
    };
    let ahead = ended("2026-01-01T00:40:00Z", "2026-01-01T00:50:00Z");
    assert_eq!(ahead, "2026-01-01T00:50:00.000Z");
    assert_eq!(ended("2026-01-01T00:05:00Z", "2099-01-01T00:00:00Z"), NOW.to_string());
    let since = "2026-01-01T00:40:00.000Z";
    assert_eq!(ended(since, "0001-01-01T00:00:00Z"), since, "not before it began");
}

/// Kapacitor's alert, while nothing fires.
fn kapacitor(id: &str, message: &str, level: &str, before: &str) -> hospital::Reception {
    let value = json!({
        "id": id, "message": message, "details": "", "duration": 0, "time": "test",
        "level": level, "previousLevel": before,
        "data": { "series": [{ "name": "cpu", "tags": { "host": "web-1" } }] },
    });
    let guest = |id: &str| (id == "s3cret").then(|| Name::parse("old-db").unwrap());
    hospital::read(&body(&value), NOW).unwrap().reception(NOW, &Alerts::default(), guest)
}

/// The alert that fires by it, if one does, and those that are over.
fn levels(reception: &hospital::Reception) -> (Option<Alert>, BTreeSet<AlertId>) {
    let words = &reception.words;
    assert_eq!((words.undated.len(), words.len(), &words.refused), (3, 3, &Vec::new()));
    let (mut fires, mut over) = (None, BTreeSet::new());
    for word in &words.undated {
        match word {
            Word::Fires(alert) => fires = Some(alert.clone()),
            Word::Ended { alert, .. } => drop(over.insert(*alert)),
        }
    }
    (fires, over)
}

#[test]
fn hospitals_two_shapes_are_read_and_answered_as_it_did() {
    // It said "was CRITICAL" when it began an operation: when the level had been OK.
    for (level, before, was) in [
        ("CRITICAL", "OK", "CRITICAL"),
        ("CRITICAL", "CRITICAL", "OK"),
        ("OK", "CRITICAL", "OK"),
        ("OK", "OK", "CRITICAL"),
        ("CRITICAL", "", "OK"),
    ] {
        assert_eq!(kapacitor("cpu", "busy", level, before).was, was, "{before} to {level}");
    }
    let (fires, _) = levels(&kapacitor("cpu", "busy", "CRITICAL", "OK"));
    let alert = fires.unwrap();
    let label = |key: &str| alert.labels.get(key).map(String::as_str);
    assert_eq!((label("host"), label("alertname")), (Some("web-1"), Some("cpu")));
    assert_eq!((label("alert_type"), label("severity")), (Some("busy"), Some("critical")));
    // A repetition fires as well: the level counts, not the edge.
    assert!(levels(&kapacitor("cpu", "busy", "CRITICAL", "CRITICAL")).0.is_some());
    for (status, was) in [("resolved", "OK"), ("firing", "CRITICAL")] {
        let older = hospital::read(&body(&webhook(status)), NOW)
            .map(|read| read.reception(NOW, &Alerts::default(), |_id| None));
        let older = older.unwrap();
        assert_eq!((older.was, older.words.words.len()), (was, 1));
    }
}

#[test]
fn one_level_ends_the_others_and_each_type_is_an_alert_of_its_own() {
    let told = |message: &str, level: &str| levels(&kapacitor("cpu", message, level, "OK"));
    let (critical, others) = told("busy", "CRITICAL");
    let (warning, _) = told("busy", "WARNING");
    let (info, _) = told("busy", "INFO");
    let ids: BTreeSet<AlertId> =
        [critical.unwrap(), warning.unwrap(), info.unwrap()].iter().map(Alert::id).collect();
    assert_eq!((ids.len(), others.len(), others.is_subset(&ids)), (3, 2, true));
    assert_eq!(told("busy", "OK"), (None, ids.clone()));
    assert!(told("QueueFull", "OK").1.is_disjoint(&ids), "another type");
    // What Kapacitor writes into a message unless told otherwise, and what many have it write.
    for (one, other) in [
        ("cpu is CRITICAL", "cpu is OK"),
        ("[WARNING] cpu: 93.2% used", "[CRITICAL] cpu: 99.1% used"),
    ] {
        assert_eq!(told(one, "OK").1, told(other, "OK").1, "{one}");
    }
}

#[test]
fn an_alert_that_names_a_guest_by_its_surgeons_id_is_about_the_guest_and_keeps_the_id_to_itself() {
    let (fires, _) = levels(&kapacitor("s3cret", "DatabaseDown", "CRITICAL", "OK"));
    let alert = fires.unwrap();
    assert_eq!(
        (alert.labels["host"].as_str(), alert.labels["alertname"].as_str()),
        ("old-db", "DatabaseDown")
    );
    assert!(!format!("{alert:?}").contains("s3cret"), "{alert:?}");
    let (_, over) = levels(&kapacitor("s3cret", "DatabaseDown", "OK", "CRITICAL"));
    assert!(over.contains(&alert.id()));
}

#[test]
fn what_cannot_be_read_says_why() {
    for (text, said) in [
        ("", "EOF"),
        ("[]", "expected"),
        ("{\"alerts\": 7}", "invalid type"),
        ("{\"alerts\": [], \"version\": \"9\"}", "version \"9\""),
        ("{\"version\": \"4\"}", "missing field `alerts`"),
        ("\u{feff}{}", "expected"),
    ] {
        let error = alertmanager::webhook(text.as_bytes(), NOW).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    let deep = "[".repeat(100_000);
    assert!(alertmanager::api(deep.as_bytes(), NOW).unwrap_err().0.contains("recursion"));
    assert!(alertmanager::api(b"\xff\xfe[]", NOW).is_err());
    for (key, value, said) in [
        ("startsAt", json!("yesterday"), "startsAt"),
        ("startsAt", json!("2026-01-01T05:00:00Z"), "in the future"),
        ("startsAt", json!("1969-01-01T00:00:00Z"), "before 1970"),
        ("status", json!("odd"), "neither firing nor resolved"),
        ("labels", json!({ "a": 7 }), "expected a string"),
    ] {
        let mut group = webhook("firing");
        group["alerts"][0][key] = value;
        let words = alertmanager::webhook(&body(&group), NOW).unwrap();
        assert!(words.words.is_empty());
        assert!(words.refused[0].contains(said), "{:?}", words.refused);
    }
}

#[test]
fn of_a_request_that_is_wrong_all_over_only_so_much_is_said() {
    let many = format!("[0{}]", ",0".repeat(10_000));
    let words = alertmanager::api(many.as_bytes(), NOW).unwrap();
    assert_eq!((words.words.len(), words.refused.len()), (0, 101));
    assert!(words.refused[99].starts_with("alert 100: "), "{}", words.refused[99]);
    assert_eq!(words.refused[100], "and more, of which nothing is said");
}
