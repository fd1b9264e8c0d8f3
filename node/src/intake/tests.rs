use super::{alertmanager, hospital, *};
use serde_json::json;

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
    assert_eq!((*id, *starts_at), (alert.id(), alert.starts_at));
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
fn hospitals_two_shapes_are_read_and_answered_as_it_did() {
    let kapacitor = |level: &str, before: &str| {
        let value = json!({
            "id": "cpu", "message": "cpu is CRITICAL", "details": "", "duration": 0,
            "time": "2026-01-01T00:08:00Z", "level": level, "previousLevel": before,
            "data": { "series": [{ "name": "cpu", "tags": { "host": "web-1" } }] },
        });
        hospital::reception(&body(&value), NOW, |_id| None).unwrap()
    };
    let fires = kapacitor("CRITICAL", "OK");
    assert_eq!(fires.was, "OK");
    let Word::Fires(alert) = one(&fires.words) else { panic!("{fires:?}") };
    assert_eq!(alert.labels["host"], "web-1");
    // A repetition fires as well: the level counts, not the edge.
    assert!(matches!(one(&kapacitor("CRITICAL", "CRITICAL").words), Word::Fires(_)));
    let over = kapacitor("OK", "CRITICAL");
    assert_eq!(over.was, "CRITICAL");
    assert!(matches!(one(&over.words), Word::Ended { alert: id, .. } if *id == alert.id()));
    let older = hospital::reception(&body(&webhook("resolved")), NOW, |_id| None).unwrap();
    assert_eq!((older.was, older.words.words.len()), ("CRITICAL", 1));
}

#[test]
fn an_alert_that_names_a_guest_by_its_surgeons_id_is_about_the_guest_and_keeps_the_id_to_itself() {
    let guest = |id: &str| (id == "s3cret").then(|| protocol::name::Name::parse("old-db").unwrap());
    let told = |level: &str| {
        let value = json!({
            "id": "s3cret", "message": "DatabaseDown", "time": "2026-01-01T00:08:00Z",
            "level": level, "previousLevel": "OK",
        });
        hospital::reception(&body(&value), NOW, guest).unwrap()
    };
    let fires = told("CRITICAL");
    let Word::Fires(alert) = one(&fires.words) else { panic!("{fires:?}") };
    assert_eq!(
        (alert.labels["host"].as_str(), alert.labels["alertname"].as_str()),
        ("old-db", "DatabaseDown")
    );
    assert!(!format!("{alert:?}").contains("s3cret"), "{alert:?}");
    assert!(matches!(one(&told("OK").words), Word::Ended { alert: id, .. } if *id == alert.id()));
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
