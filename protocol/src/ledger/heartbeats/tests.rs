//! What becomes of jobs whose schedule is known.

mod beats;
mod learned;

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

fn learned(by: Rule) -> Pace {
    Pace { schedule: Schedule::Learned { by }, grace: Duration::ZERO }
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
    let says = |heartbeats: &mut Heartbeats, second: u64, signal: Signal, body: &str| {
        let (job, at) = (JobRef::Name("job".to_owned()), at(second));
        let ping = Ping { job, at, signal, run: None, body: body.to_owned() };
        heartbeats.take(&Word::Ping(ping), at).unwrap();
        let job = heartbeats.named("job").unwrap();
        (job.body.clone(), job.failed_with.clone())
    };
    let texts = |body: &str, failed_with: &str| (body.to_owned(), failed_with.to_owned());
    let failed = "disk full\nmore";
    assert_eq!(says(&mut heartbeats, 6, Signal::Log, "a note"), texts("a note", failed));
    assert_eq!(heartbeats.troubled().count(), 1, "a note changes nothing");
    let told = heartbeats.named("job").unwrap().in_words(at(6));
    assert!(told.contains("exit code 3: disk full"), "{told}");
    assert_eq!(says(&mut heartbeats, 7, Signal::Success, "done"), texts("done", failed));
    assert_eq!(heartbeats.troubled().count(), 0);
    // The next failure is not told in the words of the one before.
    assert_eq!(says(&mut heartbeats, 8, Signal::Fail(None), ""), texts("done", ""));
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
