use super::{gotel, healthchecks, healthchecks::Whose};
use proptest::prelude::*;
use protocol::{
    heartbeat::{JobRef, Schedule, Signal, Word},
    time::Timestamp,
};
use serde_json::json;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_767_226_200_000);
const UUID: &str = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278";

fn reserve(value: &serde_json::Value) -> Result<gotel::Told, String> {
    gotel::reservation(&serde_json::to_vec(value).unwrap(), 7).map_err(|error| error.to_string())
}

fn fine() -> serde_json::Value {
    json!({
        "app": "testapp", "component": "requests", "notify": "jim@foo.com", "owner": "jim@foo.com",
        "alert_msg": "App: [{app}]", "frequency": 5, "time_units": "minutes",
    })
}

#[test]
fn a_reservation_is_read_with_gotels_fields_and_with_ours() {
    let told = reserve(&fine()).unwrap();
    let Word::Reserve(reservation) = &told.word else { panic!("{told:?}") };
    assert_eq!(reservation.name, "testapp/requests");
    assert_eq!(reservation.labels["notify"], "jim@foo.com");
    assert_eq!(reservation.pace.schedule, Schedule::Every { period: Duration::from_secs(300) });
    let mut more = fine();
    more["frequency"] = serde_json::Value::Null;
    more["cron"] = json!("30 2 * * *");
    more["time_zone"] = json!("Europe/Paris");
    more["alerters"] = json!(["pager", "chat"]);
    more["level"] = json!("wake me up");
    more["grace"] = json!(10);
    let told = reserve(&more).unwrap();
    let Word::Reserve(reservation) = &told.word else { panic!("{told:?}") };
    assert_eq!(reservation.pace.grace, Duration::from_secs(600));
    assert_eq!(reservation.labels["alerters"], "pager,chat");
    assert_eq!(reservation.labels["level"], "wake me up");
}

#[test]
fn the_comma_that_gotels_readme_leaves_out_is_put_there_and_no_other() {
    let body = br#"
{
  "app": "testapp",
  "component": "requests",
  "notify": "jim@foo.com",
  "alert_msg": "App: [{app}] Component: [{component}] failed checkin on IP [{srv}]. Contact owner [{owner}]"
  "frequency": 5,
  "time_units": "minutes",
  "owner": "jim@foo.com"
}
"#;
    let told = gotel::reservation(body, 7).unwrap();
    assert_eq!((told.app.as_str(), told.component.as_str()), ("testapp", "requests"));
    for wrong in [
        r#"{"app": "a" "component": "b", "frequency": 5, "time_units": "minutes"}"#,
        "{\"app\": \"a\"\n\"component\": \"b\"\n\"frequency\": 5, \"time_units\": \"minutes\"}",
        "{\"app\": \"a\"\n5: 6}",
    ] {
        let error = gotel::reservation(wrong.as_bytes(), 7).unwrap_err().to_string();
        assert!(error.contains("expected `,`"), "{wrong}: {error}");
    }
}

#[test]
fn what_is_wrong_with_a_reservation_is_said() {
    for (key, value, said) in [
        ("app", json!(null), "invalid type"),
        ("app", json!(""), "app has 1 to 120 bytes"),
        ("app", json!("a\nb"), "control character"),
        ("component", json!("x".repeat(200)), "component has 1 to 120"),
        ("frequency", json!(0), "frequency must not be 0"),
        ("frequency", json!(-5), "invalid value"),
        ("frequency", json!(2.5), "invalid type"),
        ("frequency", json!("5"), "invalid type"),
        ("frequency", json!(u64::MAX), "longer than a year"),
        ("frequency", json!(null), "missing field `frequency`"),
        ("time_units", json!("fortnights"), "time_units \"fortnights\" is none of"),
        ("time_units", json!(null), "time_units \"\" is none of"),
        ("cron", json!("* * * * *"), "one of them says when"),
        ("notify", json!("x".repeat(5_000)), "fields of 256 bytes"),
        ("alert_msg", json!("x".repeat(5_000)), "more than 600 bytes"),
        ("alert_msg", json!(["a"]), "invalid type"),
        ("alerters", json!(7), "did not match"),
    ] {
        let mut wrong = fine();
        wrong[key] = value;
        let error = reserve(&wrong).unwrap_err();
        assert!(error.contains(said), "{key}: {error}");
    }
    let mut short = fine();
    short["frequency"] = json!(9);
    short["time_units"] = json!("seconds");
    assert!(reserve(&short).unwrap_err().contains("10s is the least"));
    let deep = "[".repeat(100_000);
    assert!(gotel::reservation(deep.as_bytes(), 7).is_err());
    assert!(gotel::reservation(b"\xff\xfe{}", 7).is_err());
    let snooze = |duration: u64, units: &str| {
        let body =
            json!({ "app": "a", "component": "b", "duration": duration, "time_units": units });
        gotel::snooze(&serde_json::to_vec(&body).unwrap()).map_err(|error| error.to_string())
    };
    assert!(snooze(0, "hours").unwrap_err().contains("duration must not be 0"));
    assert!(snooze(5, "days").unwrap_err().contains("none of seconds"));
    assert!(snooze(1_000_000, "hours").unwrap_err().contains("longer than a year"));
    assert!(snooze(10, "hours").is_ok());
    let state = |value: serde_json::Value| {
        gotel::check_in(&serde_json::to_vec(&value).unwrap(), NOW)
            .map_err(|error| error.to_string())
    };
    assert!(state(json!({ "app": "a" })).unwrap_err().contains("missing field `component`"));
    let odd = json!({ "app": "a", "component": "b", "state": "odd" });
    assert!(state(odd).unwrap_err().contains("state \"odd\""));
    let failed = state(json!({ "app": "a", "component": "b", "exit_code": 3 })).unwrap();
    assert!(matches!(failed.word, Word::Ping(ping) if ping.signal == Signal::Fail(Some(3))));
}

#[test]
fn addresses_of_healthchecks_are_read() {
    let whose = healthchecks::uuid(UUID).unwrap();
    assert_eq!(healthchecks::uuid_text(whose), UUID);
    let read = |path: &str| healthchecks::call(path, None).unwrap();
    for (path, signal) in [
        (UUID.to_owned(), Signal::Success),
        (format!("{UUID}/"), Signal::Success),
        (UUID.to_uppercase(), Signal::Success),
        (format!("{UUID}/start"), Signal::Start),
        (format!("{UUID}/fail"), Signal::Fail(None)),
        (format!("{UUID}/log"), Signal::Log),
        (format!("{UUID}/0"), Signal::Success),
        (format!("{UUID}/255"), Signal::Fail(Some(255))),
    ] {
        let call = read(&path);
        assert_eq!((call.whose, call.signal), (Whose::Uuid(whose), signal), "{path}");
    }
    let call = healthchecks::call("k3y/db-backup/start", Some(&format!("create=1&rid={UUID}")));
    let call = call.unwrap();
    let slug = Whose::Slug { key: "k3y".to_owned(), slug: "db-backup".to_owned() };
    assert_eq!((call.whose, call.signal, call.create), (slug, Signal::Start, true));
    assert_eq!(call.run, Some(whose));
    // As long as upstream has them, and beginning with what they may.
    let long = format!("-_{}", "x".repeat(98));
    let slug = Whose::Slug { key: "k3y".to_owned(), slug: long.clone() };
    assert_eq!(read(&format!("k3y/{long}")).whose, slug);
    for (path, query) in [
        ("", None),
        ("nothing", None),
        (&*format!("k3y/{long}x"), None),
        ("k3y/.", None),
        ("k3y/../fail", None),
        ("k3y/db backup", None),
        (&*format!("{UUID}/256"), None),
        (&*format!("{UUID}/-1"), None),
        (&*format!("{UUID}/soon"), None),
        ("a/b/c/d", None),
        (UUID, Some("rid=7")),
        (UUID, Some("rid=")),
        ("5bf66975d-4c7-4bf5-bcc8-b8d8a82ea278", None),
    ] {
        assert!(healthchecks::call(path, query).is_err(), "{path} {query:?}");
    }
    assert_eq!(&healthchecks::uuid_text(healthchecks::new_uuid(u128::MAX))[14..20], "4fff-b");
}

proptest! {
    #[test]
    fn no_body_panics_and_what_is_taken_is_small(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for told in [
            gotel::reservation(&bytes, 7), gotel::check_in(&bytes, NOW), gotel::snooze(&bytes), gotel::check_out(&bytes),
        ].into_iter().flatten() {
            prop_assert!(told.word.check().is_ok());
        }
    }

    #[test]
    fn no_address_panics(path in "[a-z0-9/%.-]{0,60}", query in "[a-z0-9=&%-]{0,40}") {
        drop(healthchecks::call(&path, Some(&query)));
    }

    #[test]
    fn whatever_stands_in_the_fields_is_taken_or_refused_whole(
        app in ".{0,200}", component in ".{0,200}", frequency in any::<i64>(),
        units in prop_oneof![Just("seconds".to_owned()), Just("hours".to_owned()), ".{0,20}"],
        notes in ".{0,3000}",
    ) {
        let body = json!({
            "app": app, "component": component, "frequency": frequency, "time_units": units,
            "duration": frequency, "notes": notes, "alert_msg": notes,
        });
        let body = serde_json::to_vec(&body).unwrap();
        if let Ok(told) = gotel::reservation(&body, 7) {
            prop_assert_eq!(told.word.check(), Ok(()));
            prop_assert!(frequency > 0);
        }
        if let Ok(told) = gotel::check_in(&body, NOW) {
            prop_assert_eq!(told.word.check(), Ok(()));
            prop_assert_eq!(told.word.job(), JobRef::Name(gotel::name(&app, &component)));
        }
        if let Ok(told) = gotel::snooze(&body) {
            prop_assert_eq!(told.word.check(), Ok(()));
        }
    }
}
