//! Jobs whose pace is learned, by our rule and by PaceHB's.

use super::*;

fn ours() -> Pace {
    learned(Rule::Arrivals { one_in: OneIn::new(1_000), at_least: Duration::from_secs(30) })
}

/// So many check-ins a minute apart; when the next would come.
fn by_the_minute(heartbeats: &mut Heartbeats, from: u64, count: u64) -> u64 {
    for number in 0..count {
        ping(heartbeats, from + 60 * number, Signal::Success);
    }
    from + 60 * count
}

/// How long it is waited for after this second.
fn waits(heartbeats: &Heartbeats, from: u64) -> u64 {
    deadline(heartbeats).unwrap().since(at(from)).as_secs()
}

#[test]
fn a_job_without_a_schedule_is_missed_when_it_stays_away_longer_than_it_does() {
    let mut heartbeats = reserved("job", ours(), 0);
    let next = by_the_minute(&mut heartbeats, 0, 8);
    assert_eq!(deadline(&heartbeats), None, "too little is known");
    assert_eq!(heartbeats.listens_every(), None);
    let next = by_the_minute(&mut heartbeats, next, 200);
    assert!((60..70).contains(&waits(&heartbeats, next - 60)), "{:?}", deadline(&heartbeats));
    let listens_every = heartbeats.listens_every().unwrap().as_secs();
    assert!((15..18).contains(&listens_every), "a quarter of that: {listens_every}");
    assert!(miss(&mut heartbeats, next).is_err(), "not yet");
    assert_eq!(miss(&mut heartbeats, next + 10), Ok(()));
    // The outage is not what is usual from now on.
    let next = by_the_minute(&mut heartbeats, next + 9_000, 20);
    assert!(waits(&heartbeats, next - 60) < 110, "{}", waits(&heartbeats, next - 60));
    // One that fails has told something as well.
    ping(&mut heartbeats, next, Signal::Fail(None));
    ping(&mut heartbeats, next + 60, Signal::Success);
    assert!(waits(&heartbeats, next + 60) < 110);
}

#[test]
fn a_learned_deadline_has_a_longest_wait_also_before_anything_was_learned() {
    let least = Duration::from_secs(30);
    let within = |seconds: u64| {
        learned(Rule::arrivals(OneIn::new(1_000), least, Some(Duration::from_secs(seconds))))
    };
    let mut heartbeats = reserved("job", within(62), 0);
    assert_eq!(deadline(&heartbeats), Some(at(62)), "nothing is known yet");
    assert_eq!(heartbeats.listens_every(), Some(Duration::from_millis(15_500)));
    assert!(miss(&mut heartbeats, 61).is_err());
    let next = by_the_minute(&mut heartbeats, 0, 3);
    assert_eq!(waits(&heartbeats, next - 60), 62);
    // What is learned goes before where it is shorter.
    let ours = waits(
        &{
            let mut ours = reserved("job", ours(), 0);
            by_the_minute(&mut ours, 0, 300);
            ours
        },
        299 * 60,
    );
    let mut far = reserved("job", within(3_600), 0);
    assert_eq!(deadline(&far), Some(at(3_600)));
    by_the_minute(&mut far, 0, 300);
    assert_eq!(waits(&far, 299 * 60), ours);
    let word = Word::Reserve(Reservation::new("job", within(45)));
    far.take(&word, at(299 * 60)).unwrap();
    assert_eq!(waits(&far, 299 * 60), 45, "and the longest wait where that is");
    // What nobody could hear is given back.
    far.pass(at(299 * 60), at(299 * 60 + 1_000), 0);
    assert_eq!(waits(&far, 299 * 60 + 1_000), 45);
    for (seconds, told) in [(0, false), (29, false), (30, true), (1 << 40, false)] {
        let pace = within(seconds);
        let word = Word::Reserve(Reservation::new("job", pace));
        assert_eq!(word.check().is_ok(), told, "{seconds}");
    }
}

#[test]
fn what_went_wrong_is_counted_by_the_day_and_a_miss_that_was_none_is_not() {
    let mut heartbeats = reserved("job", every(60, 30), 0);
    ping(&mut heartbeats, 1, Signal::Fail(None));
    ping(&mut heartbeats, 2, Signal::Success);
    miss(&mut heartbeats, 95).unwrap();
    let lately = |heartbeats: &Heartbeats, days: u64| {
        heartbeats.named("job").unwrap().lately.lately(at(days * 86_400))
    };
    assert_eq!(lately(&heartbeats, 0), 2);
    heartbeats.take(&ping_of("job", 91, Signal::Success, None), at(96)).unwrap();
    assert_eq!(lately(&heartbeats, 0), 1, "it had come in in time");
    assert_eq!((lately(&heartbeats, 29), lately(&heartbeats, 30)), (1, 0));
    let job = heartbeats.named("job").unwrap();
    assert_eq!((job.failures, job.misses), (1, 0), "in all");
}

#[test]
fn what_was_learned_is_in_the_ledger_and_another_rate_does_not_lose_it() {
    let mut heartbeats = reserved("job", ours(), 0);
    let next = by_the_minute(&mut heartbeats, 0, 200);
    let bytes = crate::codec::encode(&heartbeats);
    let mut other: Heartbeats = crate::codec::decode(&bytes).unwrap();
    assert_eq!(deadline(&other), deadline(&heartbeats));
    let rarer = Rule::Arrivals { one_in: OneIn::new(1_000_000), at_least: Duration::ZERO };
    let word = Word::Reserve(Reservation::new("job", learned(rarer)));
    other.take(&word, at(next - 60)).unwrap();
    assert!(deadline(&other) > deadline(&heartbeats));
    let never_sooner = Rule::Arrivals { one_in: OneIn::new(1_000), at_least: 5 * MINUTE };
    let word = Word::Reserve(Reservation::new("job", learned(never_sooner)));
    other.take(&word, at(next - 60)).unwrap();
    assert_eq!(deadline(&other), Some(at(next + 240)));
    // Another rule begins from nothing.
    let word = Word::Reserve(Reservation::new("job", learned(Rule::PaceHb)));
    other.take(&word, at(next - 60)).unwrap();
    assert_eq!(deadline(&other), Some(at(next - 60 + 400)));
}

#[test]
fn what_the_mesh_did_not_hear_is_given_back_and_not_learned() {
    let known = |before: fn(&mut Heartbeats, u64)| {
        let mut heartbeats = reserved("job", ours(), 0);
        let next = by_the_minute(&mut heartbeats, 0, 200);
        before(&mut heartbeats, next - 60);
        heartbeats
    };
    let usual = waits(&known(|_, _| ()), 200 * 60 - 60);
    // Nobody leads for twenty minutes: all of it again, from when the mesh hears.
    let deaf = |heartbeats: &mut Heartbeats, last: u64| {
        heartbeats.pass(at(last), at(last + 1_200), 0);
        assert!((60..70).contains(&waits(heartbeats, last + 1_200)));
        assert!(miss(heartbeats, last + 1_201).is_err());
        ping(heartbeats, last + 1_230, Signal::Success);
    };
    assert_eq!(waits(&known(deaf), 199 * 60 + 1_230), usual);
    // A new term: it was sent back, and tried again until there was a leader.
    let elected = |heartbeats: &mut Heartbeats, last: u64| {
        heartbeats.pass(at(last), at(last + 1), 7);
        ping(heartbeats, last + 95, Signal::Success);
    };
    assert_eq!(waits(&known(elected), 199 * 60 + 95), usual);
    // By somebody's order it need not come.
    let snoozed = |heartbeats: &mut Heartbeats, last: u64| {
        let job = JobRef::Name("job".to_owned());
        heartbeats.take(&Word::Snooze { job, lasts: 60 * MINUTE }, at(last)).unwrap();
        ping(heartbeats, last + 3_500, Signal::Success);
        ping(heartbeats, last + 3_560, Signal::Success);
        ping(heartbeats, last + 3_620, Signal::Success);
    };
    assert_eq!(waits(&known(snoozed), 199 * 60 + 3_620), usual);
    let paused = |heartbeats: &mut Heartbeats, last: u64| {
        let job = || JobRef::Name("job".to_owned());
        heartbeats.take(&Word::Pause { job: job(), pauses: true }, at(last)).unwrap();
        assert_eq!(deadline(heartbeats), None);
        ping(heartbeats, last + 3_500, Signal::Success);
    };
    assert_eq!(waits(&known(paused), 199 * 60 + 3_500), usual);
    // While one that is simply late is learned from.
    let late = |heartbeats: &mut Heartbeats, last: u64| {
        ping(heartbeats, last + 1_230, Signal::Success);
    };
    assert!(waits(&known(late), 199 * 60 + 1_230) > usual);
}

#[test]
fn by_pacehbs_rule_it_is_what_pacehb_says() {
    let mut heartbeats = reserved("job", learned(Rule::PaceHb), 0);
    assert_eq!(deadline(&heartbeats), Some(at(400)));
    for (second, span) in [(0, 400), (60, 360), (120, 324), (180, 292)] {
        ping(&mut heartbeats, second, Signal::Success);
        assert_eq!(deadline(&heartbeats), Some(at(second + span)));
    }
    // The mesh was deaf: it waits all of it again, and then knows what it knew.
    heartbeats.pass(at(180), at(1_000), 0);
    assert_eq!(deadline(&heartbeats), Some(at(1_292)));
    ping(&mut heartbeats, 1_100, Signal::Success);
    assert_eq!(deadline(&heartbeats), Some(at(1_392)));
    // An outage of its own: a fifth more, 400 s at the most.
    miss(&mut heartbeats, 1_400).unwrap();
    ping(&mut heartbeats, 9_000, Signal::Success);
    assert_eq!(deadline(&heartbeats), Some(at(9_400)));
}

/// What the README says of it: the ledger's share of each job.
#[test]
fn what_is_learned_of_a_job_has_a_bound() {
    let hash = |n: u64| n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let bytes = |pace: Pace| {
        let mut heartbeats = reserved("job", pace, 0);
        let mut now = 0;
        for number in 0..5_000 {
            now += 30 + hash(number) % 600;
            ping(&mut heartbeats, now, Signal::Success);
        }
        crate::codec::encode(heartbeats.named("job").unwrap()).len()
    };
    let (usual, by_pacehb, by_us) =
        (bytes(every(60, 0)), bytes(learned(Rule::PaceHb)), bytes(ours()));
    assert!(usual < 200 && by_pacehb < usual + 24, "{usual} {by_pacehb}");
    assert!(by_us < usual + crate::learn::arrivals::BYTES_MAX, "{by_us}");
}
