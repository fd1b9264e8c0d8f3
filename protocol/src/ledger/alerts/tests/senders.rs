//! Several senders of one alert, each with clock, beginnings and delays of its own, against what is
//! so: it fires while any of them says so.

use super::*;
use proptest::prelude::*;

/// How often a Prometheus sends again, and how far what it sends reaches, in seconds.
const EVERY: u64 = 60;
const REACH: u64 = 240;

/// The longest that a message takes.
const DELAY: u64 = 20;

/// When the first thing happens.
const FIRST: u64 = 100_000;

fn saying(starts: Timestamp, ends: Option<Timestamp>) -> Alert {
    Alert { starts_at: starts, ends_at: ends, ..alert(1, None) }
}

fn over(starts: Option<Timestamp>, at: Timestamp) -> Word {
    Word::Ended { alert: alert(1, None).id(), starts_at: starts, at }
}

fn voice(starts: u64) -> Word {
    Word::Fires(saying(at(starts), None))
}

fn promise(starts: u64, ends: u64) -> Word {
    Word::Fires(saying(at(starts), Some(at(ends))))
}

fn end_of(starts: u64, end: u64) -> Word {
    over(Some(at(starts)), at(end))
}

/// Whether it fires after these words.
fn fires_after(words: &[(u64, Word)]) -> bool {
    let last = words.last().map_or(0, |(when, _)| *when);
    told(words).firing(at(last)).count() == 1
}

#[test]
fn an_end_counts_whatever_it_says_of_the_beginning() {
    // The Alertmanager that tells of the end had heard of an earlier beginning.
    assert!(!fires_after(&[(100, voice(90)), (200, end_of(60, 190))]));
    // Another sender's.
    assert!(!fires_after(&[(100, voice(90)), (110, voice(60)), (200, end_of(90, 190))]));
    assert!(fires_after(&[(100, voice(90)), (200, end_of(60, 80))]), "it was over before");
    assert!(fires_after(&[(100, voice(90)), (110, voice(60)), (200, end_of(60, 80))]));
}

#[test]
fn what_one_promises_goes_on_when_another_says_that_it_is_over() {
    // The one that began earlier goes on, and the one that began later.
    let earlier = [(100, promise(90, 330)), (110, promise(105, 345)), (160, end_of(105, 155))];
    assert!(fires_after(&earlier));
    let later = [(100, promise(90, 330)), (110, promise(105, 345)), (160, end_of(90, 155))];
    assert!(fires_after(&later));
    for mut words in [earlier, later.clone()].map(Vec::from) {
        words.push((220, promise(90, 460)));
        words.push((221, promise(105, 461)));
        assert!(fires_after(&words));
        let both = [(230, end_of(90, 225)), (231, end_of(105, 225))];
        words.extend(both);
        assert!(!fires_after(&words));
    }
    // It fires since the earliest beginning, and the log has had it all the time.
    let alerts = told(&later);
    let (_, firing) = alerts.firing(at(160)).next().unwrap();
    assert_eq!((firing.alert.starts_at, firing.since, firing.until()), (at(105), at(100), at(345)));
}

#[test]
fn who_fires_on_since_the_same_moment_is_heard_again() {
    let words = [(100, promise(90, 330)), (160, end_of(90, 155))];
    for (when, ends, fires) in [(161, 331, false), (170, 400, false), (230, 470, true)] {
        let mut words = words.to_vec();
        words.push((when, promise(90, ends)));
        assert_eq!(fires_after(&words), fires, "{when}");
        // Its own end is an old one by now.
        words.push((when + 1, end_of(90, 155)));
        assert_eq!(fires_after(&words), fires, "{when}");
    }
}

#[test]
fn an_end_that_overtook_its_beginning_is_not_overtaken_by_it() {
    let (began, long, end) = (promise(90, 700), promise(90, 2_000), end_of(90, 155));
    for word in [&began, &long] {
        let words = [(160, end.clone()), (170, word.clone())];
        assert!(!fires_after(&words), "{word:?}");
        assert!(!told(&words).is_news(&end, at(170)));
    }
}

#[test]
fn an_old_beginning_that_is_told_long_after_the_end_is_a_new_one() {
    let words = [(100, voice(90)), (200, end_of(90, 190)), (201, voice(90)), (439, voice(90))];
    assert!(!fires_after(&words));
    let mut again = words.to_vec();
    again.push((441, voice(90)));
    assert!(fires_after(&again));
    again.push((442, end_of(90, 190)));
    assert!(fires_after(&again), "this end was before");
    again.push((500, end_of(90, 490)));
    assert!(!fires_after(&again));
    // A topic that is read from its beginning tells nothing new for a day.
    let mut alerts = told(&words);
    assert_eq!(alerts.take_read(&[voice(90)], true, at(441)), Ok(()));
    assert_eq!(alerts.firing(at(441)).count(), 0);
}

#[test]
fn promises_are_few_and_the_longest_are_kept() {
    let mut alerts = Alerts::default();
    for number in 0..50 {
        alerts.take(&promise(number, 1_000 + number), at(100), TOLD_WITHIN);
    }
    assert!((0..46).all(|number| !alerts.is_news(&promise(number, 1_000 + number), at(100))));
    let (_, firing) = alerts.firing(at(100)).next().unwrap();
    assert_eq!((firing.alert.starts_at, firing.until()), (at(46), at(1_049)));
    for number in 0..50 {
        alerts.take(&end_of(number, 100 + number), at(150), TOLD_WITHIN);
    }
    assert_eq!(alerts.firing(at(150)).count(), 0);
    assert!(codec::encode(&alerts).len() < 200, "{alerts:?}");
}

/// From when to when a sender says that it fires, in seconds.
type Spell = (u64, u64);

/// A sender: by how much its clock is ahead of thirty seconds behind, and how long it waits and
/// fires in turn.
fn sender() -> impl Strategy<Value = (u64, Vec<Spell>)> {
    let spans = proptest::collection::vec((1_u64..900, 1_u64..900), 1..5);
    (0_u64..60, spans).prop_map(|(skew, spans)| {
        let mut now = FIRST;
        let spell = |(wait, fires): (u64, u64)| {
            let began = now + wait;
            now = began + fires;
            (began, now)
        };
        (skew, spans.into_iter().map(spell).collect())
    })
}

/// What a Prometheus sends in a spell: when, and what. `own` tells its beginnings from the others'.
fn messages(skew: u64, own: u64, (began, ended): Spell) -> Vec<(u64, Word)> {
    let named = |seconds: u64| Timestamp::from_millis((seconds + skew - 30) * 1_000);
    let since = named(began).plus(Duration::from_millis(own));
    let mut sent = Vec::new();
    let mut now = began;
    while now < ended {
        sent.push((now, Word::Fires(saying(since, Some(named(now + REACH))))));
        now += EVERY;
    }
    for now in [ended, ended + EVERY, ended + 2 * EVERY] {
        sent.push((now, over(Some(since), named(ended))));
    }
    sent
}

/// Every message reaches two hosts, each after a delay of its own.
fn delivered(sent: Vec<(u64, Word)>, delays: &[u64]) -> Vec<(u64, Word)> {
    let twice = sent.into_iter().flat_map(|message| [message.clone(), message]);
    let mut delays = delays.iter().cycle();
    let mut all: Vec<(u64, Word)> =
        twice.map(|(when, word)| (when + delays.next().unwrap(), word)).collect();
    all.sort_by_key(|(when, _)| *when);
    all
}

/// Takes the messages and looks every few seconds whether it fires; counts what is committed.
fn play(messages: &[(u64, Word)], mut look: impl FnMut(u64, bool)) -> usize {
    let mut alerts = Alerts::default();
    let mut next = messages.iter().peekable();
    let mut committed = 0;
    let end = messages.last().map_or(FIRST, |(when, _)| when + 2 * REACH);
    for now in (FIRST..end).step_by(5) {
        while let Some((when, word)) = next.next_if(|(when, _)| *when <= now) {
            if alerts.is_news(word, at(*when)) {
                committed += 1;
                alerts.take(word, at(*when), TOLD_WITHIN);
                assert!(!alerts.is_news(word, at(*when)), "the same again is no news");
            }
        }
        look(now, alerts.firing(at(now)).count() == 1);
        alerts.tidy(at(now));
    }
    committed
}

proptest! {
    #[test]
    fn it_fires_while_any_sender_promises_so(
        senders in proptest::collection::vec(sender(), 1..4),
        delays in proptest::collection::vec(0..=DELAY, 1..40),
    ) {
        let spells: Vec<Spell> = senders.iter().flat_map(|(_, spells)| spells.clone()).collect();
        let mut sent = Vec::new();
        for ((skew, spells), own) in senders.iter().zip(0..) {
            sent.extend(spells.iter().flat_map(|spell| messages(*skew, own, *spell)));
        }
        let mut wrong = Vec::new();
        let committed = play(&delivered(sent, &delays), |now, fires| {
            let must = spells.iter().any(|(began, ended)| (began + DELAY..*ended).contains(&now));
            let may = spells.iter().any(|(began, ended)| (*began..ended + DELAY).contains(&now));
            if (must && !fires) || (fires && !may) {
                wrong.push((now, fires));
            }
        });
        prop_assert!(wrong.is_empty(), "{wrong:?}");
        let most: u64 = spells.iter().map(|(began, ended)| 4 + (ended - began) / 100).sum();
        prop_assert!(u64::try_from(committed).unwrap() <= most, "{committed} of {most}");
    }

    #[test]
    fn of_two_who_began_at_the_same_moment_the_one_that_goes_on_is_heard_again(
        first in 1_u64..600,
        on in 300_u64..2_000,
        delays in proptest::collection::vec(0..=DELAY, 1..40),
    ) {
        let (began, ended) = (FIRST, FIRST + first);
        let mut sent = messages(30, 0, (began, ended));
        sent.extend(messages(30, 0, (began, ended + on)));
        let mut wrong = Vec::new();
        play(&delivered(sent, &delays), |now, fires| {
            let again = ended + REACH;
            let must = (began + DELAY..ended).contains(&now) || (again..ended + on).contains(&now);
            if (must && !fires) || (fires && now >= ended + on + DELAY) {
                wrong.push((now, fires));
            }
        });
        prop_assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn in_any_order_and_however_often_the_latest_without_an_end_counts(
        turns in proptest::collection::vec((1_u64..50, 0_u64..50), 1..12),
        order in proptest::collection::vec(any::<u64>(), 1..40),
    ) {
        let mut now = FIRST;
        let mut words = Vec::new();
        for (number, (span, earlier)) in turns.iter().enumerate() {
            now += span;
            words.push(if number % 2 == 0 { voice(now) } else { end_of(now - earlier, now) });
        }
        let fires = turns.len() % 2 == 1;
        let mut shuffled: Vec<(u64, &Word)> = order.iter().copied().zip(words.iter().cycle()).collect();
        shuffled.extend(words.iter().map(|word| (u64::MAX / 2, word)));
        shuffled.sort_by_key(|(key, _)| *key);
        let now = now + 100;
        let mut alerts = Alerts::default();
        for (_, word) in shuffled {
            alerts.take(word, at(now), TOLD_WITHIN);
        }
        prop_assert_eq!(alerts.firing(at(now)).count() == 1, fires);
        for word in &words {
            prop_assert!(!alerts.is_news(word, at(now)), "{:?} is old", word);
        }
    }
}
