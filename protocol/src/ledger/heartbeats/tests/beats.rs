//! Heartbeats that say how long they hold, their history, and votes against alerts.

use super::*;

/// A heartbeat at this second.
fn beat(heartbeats: &mut Heartbeats, seconds: u64, say: impl Fn(&mut Beat)) {
    let mut beat = Beat {
        job: JobRef::Name("job".to_owned()),
        at: at(seconds),
        health: Health::Ok,
        ttl: None,
        then: None,
        elapsed: None,
        value: None,
        predicted: None,
        summary: String::new(),
    };
    say(&mut beat);
    heartbeats.take(&Word::Beat(beat), at(seconds)).unwrap();
}

fn health(heartbeats: &Heartbeats, seconds: u64) -> Health {
    heartbeats.named("job").unwrap().health(at(seconds)).unwrap()
}

fn history(heartbeats: &Heartbeats) -> Vec<(u64, Health)> {
    let feed = heartbeats.named("job").unwrap().feed.as_ref().unwrap();
    feed.history.iter().map(|point| (point.at.since(at(0)).as_secs(), point.health)).collect()
}

#[test]
fn a_heartbeat_says_how_long_it_holds_and_what_becomes_of_it_then() {
    let mut heartbeats = reserved("job", learned(Rule::PaceHb), 0);
    assert_eq!(heartbeats.named("job").unwrap().health(at(0)), None);
    beat(&mut heartbeats, 0, |beat| beat.ttl = Some(30));
    assert_eq!(deadline(&heartbeats), Some(at(30)));
    assert_eq!((health(&heartbeats, 29), health(&heartbeats, 30)), (Health::Ok, Health::Unknown));
    miss(&mut heartbeats, 33).unwrap();
    assert_eq!(history(&heartbeats), [(0, Health::Ok), (33, Health::Unknown)]);
    beat(&mut heartbeats, 40, |beat| (beat.ttl, beat.then) = (Some(30), Some(Health::Critical)));
    assert_eq!(health(&heartbeats, 71), Health::Critical);
    // For ever.
    beat(&mut heartbeats, 50, |beat| beat.ttl = Some(-1));
    assert_eq!((deadline(&heartbeats), health(&heartbeats, 1 << 30)), (None, Health::Ok));
    // What is critical stays so, in one trouble however often it is said.
    beat(&mut heartbeats, 60, |beat| beat.health = Health::Critical);
    let since = heartbeats.named("job").unwrap().trouble.as_ref().unwrap().since;
    beat(&mut heartbeats, 70, |beat| beat.health = Health::Critical);
    assert_eq!(heartbeats.named("job").unwrap().trouble.as_ref().unwrap().since, since);
    assert_eq!((deadline(&heartbeats), health(&heartbeats, 9_000)), (None, Health::Critical));
    // Unless it said that it is over by itself: then silence is no trouble, and ends one.
    beat(&mut heartbeats, 80, |beat| {
        (beat.health, beat.ttl, beat.then) = (Health::Critical, Some(60), Some(Health::Ok));
    });
    assert_eq!((deadline(&heartbeats), heartbeats.troubled().count()), (Some(at(140)), 1));
    assert!(miss(&mut heartbeats, 139).is_err());
    miss(&mut heartbeats, 143).unwrap();
    assert_eq!((heartbeats.troubled().count(), health(&heartbeats, 143)), (0, Health::Ok));
    assert_eq!((deadline(&heartbeats), heartbeats.named("job").unwrap().misses), (None, 1));
    assert_eq!(history(&heartbeats).last(), Some(&(143, Health::Ok)));
}

#[test]
fn of_the_history_the_latest_points_are_kept() {
    let mut heartbeats = reserved("job", learned(Rule::PaceHb), 0);
    for second in 0..300 {
        beat(&mut heartbeats, second, |beat| {
            beat.value = Some(f64::from(u32::try_from(second).unwrap()).into())
        });
    }
    // Whoever was held up does not say how it is now.
    beat(&mut heartbeats, 250, |beat| beat.health = Health::Ok);
    let kept = history(&heartbeats);
    assert_eq!((kept.len(), kept[0].0, kept[HISTORY_MAX - 1].0), (HISTORY_MAX, 200, 299));
    let bytes = crate::codec::encode(heartbeats.named("job").unwrap()).len();
    assert!(bytes < 3_000, "{bytes}");
}

#[test]
fn who_votes_against_an_alert_is_told_later_and_who_was_not_told_has_no_vote() {
    let mut heartbeats = reserved("job", learned(Rule::PaceHb), 0);
    let vote = || Word::Vote { job: JobRef::Name("job".to_owned()), up: false };
    heartbeats.take(&vote(), at(1)).unwrap();
    assert_eq!(heartbeats.named("job").unwrap().quiet, None);
    beat(&mut heartbeats, 10, |beat| beat.health = Health::Critical);
    assert!(!heartbeats.named("job").unwrap().is_quiet(at(10)));
    let job = heartbeats.find_mut(&JobRef::Name("job".to_owned())).unwrap();
    job.quiet = Some(Quiet::told(None, at(11)));
    heartbeats.take(&vote(), at(20)).unwrap();
    let job = heartbeats.named("job").unwrap();
    assert!(job.is_quiet(at(20 + 5 * 3_600 - 1)) && !job.is_quiet(at(20 + 5 * 3_600)));
}
