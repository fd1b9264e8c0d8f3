use super::*;
use crate::heartbeat::{Due, Health, Pace, Rule, Signal};
use crate::learn::OneIn;

const MINUTE: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + seconds * 1_000)
}

fn every(period: u64, grace: u64) -> Pace {
    let period = Duration::from_secs(period);
    Pace { schedule: Schedule::Every { period }, grace: Duration::from_secs(grace) }
}

fn reserved(name: &str, pace: Pace, when: u64) -> Heartbeats {
    let mut heartbeats = Heartbeats::default();
    let word = Word::Reserve(Reservation::new(name, pace));
    heartbeats.take(&word, at(when)).unwrap();
    heartbeats
}

fn ping_of(name: &str, seconds: u64, signal: Signal, run: Option<u128>) -> Word {
    let job = JobRef::Name(name.to_owned());
    Word::Ping(Ping { job, at: at(seconds), signal, run, body: String::new() })
}

fn ping(heartbeats: &mut Heartbeats, seconds: u64, signal: Signal) {
    heartbeats.take(&ping_of("job", seconds, signal, None), at(seconds)).unwrap();
}

fn deadline(heartbeats: &Heartbeats) -> Option<Timestamp> {
    let job = heartbeats.named("job").unwrap();
    job.deadline(&Due::read(&job.pace.schedule).unwrap()).map(|deadline| deadline.at)
}

/// What a leader would say, said now.
fn miss(heartbeats: &mut Heartbeats, when: u64) -> Result<(), Refusal> {
    let job = heartbeats.named("job").unwrap();
    let due = job.deadline(&Due::read(&job.pace.schedule).unwrap());
    let (deadline, of_run) = due.map_or((at(when), false), |due| (due.at, due.of_run));
    let missing = Missing { job: job.id, version: job.version, deadline, of_run };
    heartbeats.miss(&missing, at(when))
}

#[test]
fn a_job_is_missed_once_after_its_deadline_and_well_again_when_it_checks_in() {
    let mut heartbeats = reserved("job", every(60, 30), 0);
    assert_eq!(deadline(&heartbeats), Some(at(90)));
    ping(&mut heartbeats, 50, Signal::Success);
    assert_eq!(deadline(&heartbeats), Some(at(140)));
    assert!(miss(&mut heartbeats, 139).is_err(), "too early");
    assert_eq!(miss(&mut heartbeats, 140), Ok(()));
    assert!(miss(&mut heartbeats, 141).is_err(), "it is missed already");
    assert_eq!(heartbeats.troubled().count(), 1);
    ping(&mut heartbeats, 200, Signal::Success);
    let job = heartbeats.named("job").unwrap();
    assert_eq!((job.misses, job.checkins, heartbeats.troubled().count()), (1, 2, 0));
    assert_eq!(deadline(&heartbeats), Some(at(290)));
}

#[test]
fn what_was_told_meanwhile_makes_a_miss_none() {
    let mut heartbeats = reserved("job", every(60, 30), 0);
    let job = heartbeats.named("job").unwrap();
    let missing = Missing { job: job.id, version: job.version, deadline: at(90), of_run: false };
    ping(&mut heartbeats, 89, Signal::Success);
    assert!(matches!(heartbeats.miss(&missing, at(95)), Err(Refusal::NotMissed { .. })));
    assert_eq!(heartbeats.named("job").unwrap().misses, 0);
    // Nor does a leader that is wrong about the deadline have its way.
    let version = heartbeats.named("job").unwrap().version;
    let early = Missing { version, deadline: at(100), ..missing };
    assert!(heartbeats.miss(&early, at(120)).is_err());
}

#[test]
fn a_miss_of_what_was_looked_at_earlier_is_none_though_the_deadline_is_the_same() {
    let mut heartbeats = reserved("job", every(60, 30), 0);
    let job = heartbeats.named("job").unwrap();
    let missing = Missing { job: job.id, version: job.version, deadline: at(90), of_run: false };
    let short = Word::Snooze { job: JobRef::Name("job".to_owned()), lasts: MINUTE / 60 };
    heartbeats.take(&short, at(80)).unwrap();
    assert_eq!(deadline(&heartbeats), Some(at(90)));
    let refused = heartbeats.miss(&missing, at(95));
    assert!(matches!(refused, Err(Refusal::NotMissed { .. })), "{refused:?}");
    assert_eq!(miss(&mut heartbeats, 95), Ok(()), "looked at again it is missed");
}

#[test]
fn what_came_in_in_time_and_waited_for_a_leader_takes_its_miss_back() {
    let mut heartbeats = reserved("job", every(60, 30), 0);
    miss(&mut heartbeats, 95).unwrap();
    heartbeats.take(&ping_of("job", 88, Signal::Success, None), at(96)).unwrap();
    let job = heartbeats.named("job").unwrap();
    assert_eq!((job.misses, job.trouble.is_none()), (0, true));
    // Nobody dates a ping back as far as he likes.
    heartbeats.take(&ping_of("job", 97, Signal::Success, None), at(1_000)).unwrap();
    assert_eq!(heartbeats.named("job").unwrap().last, Some(at(940)));
    // Nor into the future.
    heartbeats.take(&ping_of("job", 9_000, Signal::Success, None), at(1_001)).unwrap();
    assert_eq!(heartbeats.named("job").unwrap().last, Some(at(1_001)));
}

#[test]
fn a_snooze_lasts_exactly_as_long_as_it_says() {
    let mut heartbeats = reserved("job", every(60, 0), 0);
    let job = || JobRef::Name("job".to_owned());
    heartbeats.take(&Word::Snooze { job: job(), lasts: 10 * MINUTE }, at(30)).unwrap();
    assert_eq!(deadline(&heartbeats), Some(at(630)), "not a period later");
    ping(&mut heartbeats, 100, Signal::Success);
    assert_eq!(deadline(&heartbeats), Some(at(630)), "a check-in does not end it");
    miss(&mut heartbeats, 631).unwrap();
    // Who snoozes a job that is missed is not told of it meanwhile.
    heartbeats.take(&Word::Snooze { job: job(), lasts: MINUTE }, at(640)).unwrap();
    assert_eq!(heartbeats.troubled().count(), 0);
    assert_eq!(deadline(&heartbeats), Some(at(700)));
    heartbeats.take(&Word::Pause { job: job(), pauses: true }, at(650)).unwrap();
    assert_eq!(deadline(&heartbeats), None);
    heartbeats.take(&Word::Pause { job: job(), pauses: false }, at(1_000)).unwrap();
    assert_eq!(deadline(&heartbeats), Some(at(1_060)));
    // A sign of life ends a pause as well, also one that only says that it begins.
    heartbeats.take(&Word::Pause { job: job(), pauses: true }, at(1_010)).unwrap();
    ping(&mut heartbeats, 9_000, Signal::Start);
    assert_eq!(deadline(&heartbeats), Some(at(9_060)));
}

#[test]
fn a_run_that_began_has_to_end_and_runs_are_told_apart() {
    let mut heartbeats = reserved("job", every(3_600, 60), 0);
    let (one, two) = (Some(1_u128), Some(2_u128));
    heartbeats.take(&ping_of("job", 10, Signal::Start, one), at(10)).unwrap();
    assert_eq!(deadline(&heartbeats), Some(at(70)));
    // Another run that ends says nothing of this one.
    heartbeats.take(&ping_of("job", 20, Signal::Success, two), at(20)).unwrap();
    assert_eq!(deadline(&heartbeats), Some(at(70)));
    let mut late = heartbeats.clone();
    miss(&mut late, 71).unwrap();
    let overran = TroubleKind::Overran { deadline: at(70) };
    assert_eq!(late.named("job").unwrap().trouble.as_ref().unwrap().kind, overran);
    heartbeats.take(&ping_of("job", 40, Signal::Success, one), at(40)).unwrap();
    let job = heartbeats.named("job").unwrap();
    assert_eq!((job.ran_for, job.run), (Some(Duration::from_secs(30)), None));
    assert_eq!(deadline(&heartbeats), Some(at(40 + 3_660)));
    // A beginning that comes in after its end begins nothing.
    heartbeats.take(&ping_of("job", 10, Signal::Start, one), at(41)).unwrap();
    assert_eq!(heartbeats.named("job").unwrap().run, None);
}

#[test]
fn a_failure_is_trouble_at_once_and_says_what_it_said() {
    let mut heartbeats = reserved("job", every(60, 0), 0);
    let word = Word::Ping(Ping {
        job: JobRef::Name("job".to_owned()),
        at: at(5),
        signal: Signal::Fail(Some(3)),
        run: None,
        body: "disk full\nmore".to_owned(),
    });
    heartbeats.take(&word, at(5)).unwrap();
    let job = heartbeats.named("job").unwrap();
    assert_eq!((job.failures, job.misses), (1, 0));
    assert!(
        job.in_words(at(6)).contains("failed with exit code 3: disk full"),
        "{}",
        job.in_words(at(6))
    );
    ping(&mut heartbeats, 6, Signal::Log);
    assert_eq!(heartbeats.troubled().count(), 1, "a note changes nothing");
    ping(&mut heartbeats, 7, Signal::Success);
    assert_eq!(heartbeats.troubled().count(), 0);
}

#[test]
fn a_new_term_gives_jobs_time_to_try_again() {
    let mut heartbeats = reserved("job", every(60, 0), 0);
    heartbeats.pass(at(50), at(55), 1);
    assert_eq!(heartbeats.not_before(), at(55).plus(RETRIES_WITHIN));
    heartbeats.pass(at(55), at(58), 1);
    assert_eq!(heartbeats.not_before(), at(55).plus(RETRIES_WITHIN), "only a new one does");
    heartbeats.pass(at(58), at(59), 2);
    assert_eq!(heartbeats.not_before(), at(59).plus(RETRIES_WITHIN));
    assert_eq!(deadline(&heartbeats), Some(at(60)), "the deadline stays");
}

#[test]
fn the_time_in_which_nobody_could_be_heard_is_given_back() {
    // A quarter of 60 s is 15 s; a silence of 30 s is a gap.
    let mut heartbeats = reserved("job", every(60, 0), 0);
    heartbeats.pass(at(0), at(29), 1);
    assert_eq!(deadline(&heartbeats), Some(at(60)));
    heartbeats.pass(at(29), at(70), 1);
    assert_eq!(deadline(&heartbeats), Some(at(130)), "a whole period from when it hears again");
    // What was expected later anyway is not put off: a daily job is not missed a day later.
    let mut daily = reserved("job", every(86_400, 3_600), 0);
    daily.pass(at(0), at(7_200), 1);
    assert_eq!(deadline(&daily), Some(at(90_000)));
    // By the calendar it is expected when it is expected; it has its grace longer.
    let nightly =
        Schedule::Cron { expression: "0 3 * * *".to_owned(), time_zone: "UTC".to_owned() };
    let mut nightly = reserved("job", Pace { schedule: nightly, grace: MINUTE }, 0);
    assert_eq!(deadline(&nightly), Some(at(3 * 3_600 + 60)));
    nightly.pass(at(3 * 3_600), at(3 * 3_600 + 600), 1);
    assert_eq!(deadline(&nightly), Some(at(3 * 3_600 + 660)));
}

#[test]
fn a_clock_that_jumps_ahead_makes_nobody_late() {
    let mut heartbeats = reserved("job", every(60, 30), 0);
    let ten_years = 10 * 365 * 86_400;
    heartbeats.pass(at(10), at(ten_years), 1);
    assert!(deadline(&heartbeats).unwrap() > at(ten_years + 60));
}

#[test]
fn a_calendars_run_may_be_a_little_early() {
    let nightly =
        Schedule::Cron { expression: "30 2 * * *".to_owned(), time_zone: "UTC".to_owned() };
    let mut heartbeats =
        reserved("job", Pace { schedule: nightly, grace: Duration::from_secs(3_600) }, 0);
    let half_past_two = 2 * 3_600 + 1_800;
    ping(&mut heartbeats, half_past_two - 2, Signal::Success);
    assert_eq!(deadline(&heartbeats), Some(at(86_400 + half_past_two + 3_600)));
}

#[test]
fn a_reservation_is_changed_by_its_name_and_gone_when_it_checks_out() {
    let mut heartbeats = reserved("job", every(86_400, 0), 0);
    let mut again = Reservation::new("job", every(60, 0));
    again.uuid = Some(7);
    heartbeats.take(&Word::Reserve(again.clone()), at(50_000)).unwrap();
    assert_eq!((heartbeats.len(), deadline(&heartbeats)), (1, Some(at(50_060))));
    assert_eq!(heartbeats.with_uuid(7).map(|job| &job.name), None, "no secret is given later");
    // Made by a ping, it leaves what is there as it is.
    again.only_new = true;
    again.pace = every(600, 0);
    heartbeats.take(&Word::Reserve(again), at(50_001)).unwrap();
    assert_eq!(deadline(&heartbeats), Some(at(50_060)));
    let checkout = Word::Checkout { job: JobRef::Name("job".to_owned()) };
    heartbeats.take(&checkout, at(50_002)).unwrap();
    assert!(heartbeats.is_empty() && heartbeats.by_name.is_empty());
    assert!(matches!(heartbeats.take(&checkout, at(3)), Err(Refusal::NoSuchJob { .. })));
    let lost = ping_of("job", 4, Signal::Success, None);
    assert!(matches!(heartbeats.take(&lost, at(4)), Err(Refusal::NoSuchJob { .. })));
}

#[test]
fn a_reservation_never_changes_whose_a_job_is() {
    let mut heartbeats = Heartbeats::default();
    let of = |name: &str, namespace: Option<&str>, only_new: bool| {
        let mut reservation = Reservation::new(name, every(60, 0));
        if let Some(namespace) = namespace {
            reservation.labels.insert(NAMESPACE.to_owned(), namespace.to_owned());
        }
        reservation.only_new = only_new;
        Word::Reserve(reservation)
    };
    heartbeats.take(&of("a/job", Some("a"), false), at(0)).unwrap();
    heartbeats.take(&of("a/other", None, false), at(0)).unwrap();
    for only_new in [false, true] {
        for (name, namespace) in [("a/job", None), ("a/job", Some("b")), ("a/other", Some("a"))] {
            let refused = heartbeats.take(&of(name, namespace, only_new), at(1));
            assert!(matches!(refused, Err(Refusal::JobOfAnother { .. })), "{name} {refused:?}");
        }
    }
    assert_eq!(heartbeats.take(&of("a/job", Some("a"), false), at(2)), Ok(()));
    assert_eq!(heartbeats.named("a/job").unwrap().namespace(), Some("a"));
    assert_eq!(heartbeats.named("a/other").unwrap().namespace(), None);
}

#[test]
fn a_secret_is_one_jobs() {
    let mut heartbeats = Heartbeats::default();
    for name in ["one", "two"] {
        let mut reservation = Reservation::new(name, every(60, 0));
        reservation.uuid = Some(7);
        heartbeats.take(&Word::Reserve(reservation), at(1)).unwrap();
    }
    assert_eq!(heartbeats.with_uuid(7).unwrap().name, "one");
    assert_eq!(heartbeats.named("two").unwrap().uuid, None);
}

#[test]
fn the_first_check_in_may_take_a_day() {
    let mut reservation = Reservation::new("job", every(60, 0));
    reservation.bakes_for = crate::heartbeat::BAKES_FOR;
    let mut heartbeats = Heartbeats::default();
    heartbeats.take(&Word::Reserve(reservation), at(0)).unwrap();
    assert_eq!(deadline(&heartbeats), Some(at(86_400 + 60)));
    ping(&mut heartbeats, 100, Signal::Success);
    assert_eq!(deadline(&heartbeats), Some(at(160)));
}

#[test]
fn placeholders_are_filled_once() {
    let mut reservation = Reservation::new("a/b", every(300, 0));
    reservation.text = "[{app}] {component} {since} {last} on {srv}, {unknown} {".to_owned();
    reservation.labels.insert("app".to_owned(), "{srv}".to_owned());
    let mut heartbeats = Heartbeats::default();
    heartbeats.take(&Word::Reserve(reservation), at(0)).unwrap();
    let job = heartbeats.named("a/b").unwrap();
    let told = job.told_as(at(90), "10.0.0.1");
    assert_eq!(told, "[{srv}]  1m30s ago never on 10.0.0.1, {unknown} {");
}

fn learned(by: Rule) -> Pace {
    Pace { schedule: Schedule::Learned { by }, grace: Duration::ZERO }
}

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
