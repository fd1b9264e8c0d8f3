use super::pacehb;
use proptest::prelude::*;
use protocol::{
    heartbeat::{Beat, Health, JobRef, Reservation, Rule, Schedule, Word},
    time::Timestamp,
};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_millis(1_767_226_200_000);

fn read(value: &Value) -> Result<pacehb::Heartbeat, String> {
    let body = serde_json::to_vec(value).unwrap();
    pacehb::heartbeat(&body, None).map_err(|error| error.to_string())
}

/// What the first heartbeat of a check brings to the log.
fn first(value: &Value) -> (Reservation, Beat) {
    let words = read(value).unwrap().words(None, NOW, (Health::Critical, Some(41.5)), 7);
    match words.as_slice() {
        [Word::Reserve(reservation), Word::Beat(beat)] => (reservation.clone(), beat.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_heartbeat_is_read_with_all_that_it_says() {
    let told = json!({
        "api_key": "12", "check": "https://www.google.com.au", "state": "OK", "ttl": 400,
        "elapsed": 110, "tags": ["blah", "web"], "summary": "fine", "transition_to": "CRITICAL",
    });
    let (reservation, beat) = first(&told);
    assert_eq!(reservation.name, "https://www.google.com.au");
    assert_eq!(reservation.pace.schedule, Schedule::Learned { by: Rule::PaceHb });
    assert_eq!(reservation.labels["tags"], "blah,web");
    assert!(reservation.only_new && reservation.uuid == Some(7));
    let name = JobRef::Name("https://www.google.com.au".to_owned());
    assert_eq!((beat.job, beat.at, beat.health, beat.ttl), (name, NOW, Health::Ok, Some(400)));
    assert_eq!((beat.then, beat.elapsed), (Some(Health::Critical), Some(110)));
    assert_eq!(beat.summary, "fine");
}

#[test]
fn without_a_state_the_number_says_how_it_is_and_a_type_is_a_part_of_the_name() {
    let (reservation, beat) =
        first(&json!({ "check": "a", "metric": 42, "heartbeat_type": "http" }));
    assert_eq!(reservation.name, "http:a");
    assert_eq!(reservation.labels["check"], "a");
    assert_eq!(beat.health, Health::Critical);
    assert_eq!(beat.value.map(f64::from), Some(42.0));
    assert_eq!(beat.predicted.map(f64::from), Some(41.5));
    let (reservation, beat) = first(&json!({
        "check": "a", "metric": 42, "state": "OK", "one_in": 1_000, "at_least": "90s",
    }));
    assert_eq!(beat.health, Health::Ok);
    assert!(matches!(
        reservation.pace.schedule,
        Schedule::Learned { by: Rule::Arrivals { one_in, at_least } }
            if one_in.many() == 1_000 && at_least.as_secs() == 90
    ));
    let (reservation, _) =
        first(&json!({ "check": "a", "state": "OK", "one_in": 1_000, "at_most": "10m" }));
    assert!(matches!(
        reservation.pace.schedule,
        Schedule::Learned { by: Rule::Within { at_most, .. } } if at_most.as_secs() == 600
    ));
}

#[test]
fn what_is_wrong_with_a_heartbeat_is_named() {
    let with = |key: &str, value: Value| {
        let mut told = json!({ "api_key": "12", "check": "a", "state": "OK" });
        told[key] = value;
        read(&told).unwrap_err()
    };
    for (key, value, said) in [
        ("state", json!("DOWN"), "should be OK or CRITICAL"),
        ("state", Value::Null, "should be OK or CRITICAL"),
        ("check", json!(""), "1 to 200 bytes"),
        ("check", json!("a\nb"), "control character"),
        ("check", json!("x".repeat(300)), "1 to 200 bytes"),
        ("heartbeat_type", json!("x".repeat(41)), "1 to 40 bytes"),
        ("transition_to", json!("DOWN"), "\"DOWN\" is none of OK, CRITICAL and UNKNOWN"),
        ("ttl", json!(1_u64 << 40), "longer than a year"),
        ("ttl", json!("400"), "invalid type"),
        ("tags", json!(["x".repeat(300)]), "256 bytes"),
        ("one_in", json!(1), "one_in: 10 to"),
        ("at_least", json!("30s"), "needs one_in"),
        ("at_most", json!("30s"), "needs one_in"),
        ("webhook", json!("http://evil.example"), "no address that comes with a request is called"),
        ("alert_endpoint", json!("http://evil.example"), "alert_endpoint: no address"),
    ] {
        let error = with(key, value);
        assert!(error.contains(said), "{key}: {error}");
    }
    for (most, said) in [("29s", "at_most: 29s is nothing, or shorter"), ("0s", "at_most: 0s is")] {
        let told = json!({ "check": "a", "state": "OK", "one_in": 100, "at_most": most });
        let error = read(&told).unwrap_err();
        assert!(error.contains(said), "{most}: {error}");
    }
    let both = json!({ "check": "a", "state": "OK", "ttl": 1, "one_in": 100 });
    assert!(read(&both).unwrap_err().contains("ttl and one_in"));
    assert!(pacehb::key(b"{}").unwrap_err().to_string().contains("api_key"));
    let vote =
        |vote: &str| pacehb::vote(json!({ "check": "a", "vote": vote }).to_string().as_bytes());
    assert_eq!(vote("up").unwrap(), ("a".to_owned(), true));
    assert_eq!(vote("down").unwrap(), ("a".to_owned(), false));
    assert!(vote("sideways").unwrap_err().to_string().contains("'up' or 'down'"));
}

#[test]
fn an_address_is_read_as_browsers_write_it() {
    let asked = pacehb::asked(Some("api_key=12&check=https%3A%2F%2Fa.b&type=http&x=y")).unwrap();
    assert_eq!((asked.key.as_str(), asked.check.as_deref()), ("12", Some("https://a.b")));
    assert_eq!(asked.kind.as_deref(), Some("http"));
    assert!(pacehb::asked(Some("check=a")).unwrap_err().to_string().contains("api_key"));
    assert!(pacehb::asked(None).is_err());
}

proptest! {
    #[test]
    fn whatever_is_sent_is_taken_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(told) = pacehb::heartbeat(&body, None) {
            let words = told.words(None, NOW, (Health::Ok, None), 7);
            prop_assert!(words.iter().all(|word| word.check().is_ok()));
        }
    }
}
