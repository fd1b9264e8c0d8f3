mod senders;

use super::*;
use crate::{alert::FIRES_FOR, codec};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn alert(starts: u64, ends: Option<u64>) -> Alert {
    let labels = BTreeMap::from([("alertname".to_owned(), "Down".to_owned())]);
    Alert::new(labels, "it is down", at(starts), ends.map(at)).unwrap()
}

fn fires(starts: u64) -> Word {
    Word::Fires(alert(starts, None))
}

fn ended(starts: u64) -> Word {
    let alert = alert(starts, None).id();
    Word::Ended { alert, starts_at: Some(at(starts)), at: at(starts + 60) }
}

fn told(words: &[(u64, Word)]) -> Alerts {
    let mut alerts = Alerts::default();
    for (when, word) in words {
        alerts.take(word, at(*when), TOLD_WITHIN);
        alerts.tidy(at(*when));
    }
    alerts
}

#[test]
fn what_is_told_again_changes_nothing_until_an_hour_is_over() {
    let alerts = told(&[(100, fires(90))]);
    assert!(!alerts.is_news(&fires(90), at(101)));
    assert!(!alerts.is_news(&fires(90), at(100 + 3_599)));
    assert!(alerts.is_news(&fires(90), at(100 + 3_600)));
    let again = told(&[(100, fires(90)), (4_000, fires(90))]);
    assert!(!told(&[(100, ended(90)), (101, fires(90))]).firing.contains_key(&alert(9, None).id()));
    assert_eq!(again.firing(at(4_000)).next().unwrap().1.since, at(100));
}

#[test]
fn an_alert_that_has_ended_is_not_revived_by_a_late_word() {
    let alerts = told(&[(100, fires(90)), (200, ended(90)), (201, fires(90)), (202, fires(80))]);
    assert_eq!(alerts.firing(at(202)).count(), 0);
    let anew = told(&[(100, fires(90)), (200, ended(90)), (300, fires(290))]);
    assert_eq!(anew.firing(at(300)).count(), 1);
}

#[test]
fn who_says_only_how_it_is_opens_one_episode_and_ends_it_once() {
    let mut alerts = Alerts::default();
    let mut news = 0;
    let mut say = |when: u64, word: Word| {
        let dated = alerts.dated(word, at(when)).filter(|word| alerts.is_news(word, at(when)));
        news += dated.iter().count();
        if let Some(word) = dated {
            alerts.take(&word, at(when), TOLD_WITHIN);
        }
        (news, alerts.firing(at(when)).count())
    };
    // What is well all the time is nothing.
    assert_eq!(say(10, ended(10)), (0, 0));
    assert_eq!(say(20, fires(20)), (1, 1));
    assert_eq!(say(80, fires(80)), (1, 1), "it goes on");
    // A peer whose clock is behind says that it is over, and then that it is back.
    assert_eq!(say(15, ended(15)), (2, 0));
    assert_eq!(say(16, ended(16)), (2, 0));
    assert_eq!(say(17, fires(17)), (3, 1));
    assert_eq!(say(90, ended(90)), (4, 0));
}

#[test]
fn of_a_request_that_says_how_it_is_the_last_word_counts() {
    let (down, up) = (|| fires(20), || ended(20));
    for (before, words, fire) in [
        (vec![], vec![down(), up()], 0),
        (vec![], vec![down(), up(), down()], 1),
        (vec![down()], vec![up(), down()], 1),
        (vec![down()], vec![down(), up(), down(), up()], 0),
        (vec![down()], vec![down(), down()], 1),
    ] {
        let mut alerts = told(&before.into_iter().map(|word| (20, word)).collect::<Vec<_>>());
        let known = alerts.clone();
        let dated = alerts.all_dated(words.clone(), at(80));
        assert_eq!(alerts, known, "nothing is taken yet");
        let news: Vec<Word> =
            dated.into_iter().filter(|word| alerts.is_news(word, at(80))).collect();
        assert_eq!(alerts.take_all(&news, Some(TOLD_WITHIN), at(80)), Ok(()));
        assert_eq!(alerts.firing(at(80)).count(), fire, "{words:?}");
    }
}

#[test]
fn an_old_end_does_not_end_what_began_later() {
    let alerts = told(&[(100, fires(90)), (300, fires(290)), (301, ended(90))]);
    assert_eq!(alerts.firing(at(301)).count(), 1);
    let over = told(&[(100, fires(90)), (300, fires(290)), (301, ended(290))]);
    assert_eq!(over.firing(at(301)).count(), 0);
}

#[test]
fn what_its_sender_gives_a_time_is_over_by_then_and_is_told_anew_before() {
    let mut alerts = Alerts::default();
    alerts.take(&Word::Fires(alert(90, Some(340))), at(100), TOLD_WITHIN);
    let next = |ends| Word::Fires(alert(90, Some(ends)));
    assert!(!alerts.is_news(&next(400), at(160)), "enough is left");
    assert!(alerts.is_news(&next(500), at(260)));
    assert_eq!(alerts.firing(at(339)).count(), 1);
    assert_eq!(alerts.firing(at(340)).count(), 0);
    assert!(alerts.is_news(&next(600), at(341)));
}

#[test]
fn no_more_than_so_many_fire_at_the_same_time() {
    let numbered = |number: usize, ends: Option<u64>| {
        let labels = BTreeMap::from([("number".to_owned(), number.to_string())]);
        Word::Fires(Alert::new(labels, "", at(1), ends.map(at)).unwrap())
    };
    let mut alerts = Alerts::default();
    for number in 0..ALERTS_MAX {
        alerts.take(&numbered(number, Some(500)), at(100), TOLD_WITHIN);
    }
    assert!(!alerts.has_room_for(&[numbered(ALERTS_MAX, None)], Some(TOLD_WITHIN), at(101)));
    assert!(
        alerts.has_room_for(&[numbered(7, None)], Some(TOLD_WITHIN), at(101)),
        "it fires already"
    );
    alerts.tidy(at(501));
    assert!(alerts.has_room_for(&[numbered(ALERTS_MAX, None)], Some(TOLD_WITHIN), at(501)));
}

#[test]
fn what_nobody_ends_is_over_some_day() {
    let alerts = told(&[(100, fires(90))]);
    assert_eq!(alerts.firing(at(100).plus(FIRES_FOR)).count(), 0);
}
