//! Jobs that are forgotten: only those that a document speaks of, and none that told something
//! within the time.

mod common;

use common::{Mesh, at};
use proptest::prelude::*;
use protocol::{
    heartbeat::{JobId, JobRef, NAMESPACE, Pace, Ping, Reservation, Schedule, Signal, Word},
    ledger::{Effect, Outcome, heartbeats::RETRIES_WITHIN},
    record::{Record, Silence},
    refusal::Refusal,
    time::Timestamp,
};
use std::time::Duration;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

const DOCUMENTS: &str = r#"
[[check]]
name         = "shop"
heartbeat    = { app = "shop" }
forget_after = "2h"

[[check]]
name      = "all"
heartbeat = {}

[[check]]
name      = "declared"
heartbeat = "declared"
"#;

fn mesh() -> Mesh {
    let mut mesh = Mesh::of(2);
    mesh.documents(DOCUMENTS).expect("valid documents");
    pass(&mut mesh, 2);
    mesh
}

/// Minutes pass in which the mesh listens.
fn pass(mesh: &mut Mesh, minutes: u64) {
    for _ in 0..minutes {
        mesh.now += MINUTE;
        mesh.done(1, Record::Listening);
    }
}

fn tell(mesh: &mut Mesh, word: Word) {
    mesh.done(2, Record::JobsTold { words: vec![word], nonce: None });
}

fn reserve(mesh: &mut Mesh, name: &str, app: &str) -> JobId {
    let schedule = Schedule::Every { period: Duration::from_secs(600) };
    let pace = Pace { schedule, grace: Duration::ZERO };
    let mut reservation = Reservation::new(name, pace);
    reservation.labels.insert("app".to_owned(), app.to_owned());
    tell(mesh, Word::Reserve(reservation));
    mesh.ledger.heartbeats().named(name).expect("it is reserved").id
}

fn ping(mesh: &mut Mesh, job: JobId, signal: Signal) {
    let at = at(mesh.now);
    let body = String::new();
    tell(mesh, Word::Ping(Ping { job: JobRef::Id(job), at, signal, run: None, body }));
}

fn forget_since(mesh: &mut Mesh, job: JobId, since: Timestamp) -> Outcome {
    mesh.apply(1, Record::Forgotten { jobs: vec![Silence { job, since }] })
}

/// What a leader would say, said now.
fn forget(mesh: &mut Mesh, job: JobId) -> Outcome {
    let known = mesh.ledger.heartbeats().job(job);
    let since = known.and_then(|job| job.silent_since()).unwrap_or_default();
    forget_since(mesh, job, since)
}

fn why_not(outcome: Outcome) -> String {
    match outcome {
        Err(Refusal::NotForgotten { why }) => why,
        other => panic!("it is refused: {other:?}"),
    }
}

fn is_known(mesh: &Mesh, job: JobId) -> bool {
    mesh.ledger.heartbeats().job(job).is_some()
}

#[test]
fn a_job_that_told_nothing_for_as_long_as_a_document_says_is_forgotten() {
    let mut mesh = mesh();
    let job = reserve(&mut mesh, "shop/orders", "shop");
    pass(&mut mesh, 119);
    assert!(why_not(forget(&mut mesh, job)).contains("silent for 1h59m of 2h"));
    // A note is something told, though it changes nothing else.
    ping(&mut mesh, job, Signal::Log);
    pass(&mut mesh, 119);
    assert!(is_known(&mesh, job) && forget(&mut mesh, job).is_err());
    let since = mesh.ledger.heartbeats().job(job).and_then(|job| job.silent_since());
    pass(&mut mesh, 1);
    ping(&mut mesh, job, Signal::Log);
    let late = forget_since(&mut mesh, job, since.expect("it is silent"));
    assert!(why_not(late).contains("was told of job \"shop/orders\" meanwhile"));
    pass(&mut mesh, 120);
    assert!(forget(&mut mesh, job).is_ok() && !is_known(&mesh, job));
    assert!(why_not(forget(&mut mesh, job)).contains("no such job"));
}

#[test]
fn a_job_that_comes_seldom_is_not_forgotten_before_it_is_late() {
    let mut mesh = mesh();
    let schedule = Schedule::Every { period: Duration::from_millis(5 * HOUR) };
    let pace = Pace { schedule, grace: Duration::from_millis(HOUR) };
    let mut reservation = Reservation::new("shop/seldom", pace);
    reservation.labels.insert("app".to_owned(), "shop".to_owned());
    tell(&mut mesh, Word::Reserve(reservation));
    let job = mesh.ledger.heartbeats().named("shop/seldom").expect("it is reserved").id;
    for signal in [Signal::Success, Signal::Fail(Some(1))] {
        ping(&mut mesh, job, signal);
        pass(&mut mesh, 6 * 60 - 1);
        assert!(why_not(forget(&mut mesh, job)).contains("need not have told anything yet"));
    }
    pass(&mut mesh, 1);
    assert!(forget(&mut mesh, job).is_ok());
}

#[test]
fn what_no_document_speaks_of_or_somebody_ordered_stays() {
    let mut mesh = mesh();
    let other = reserve(&mut mesh, "other", "billing");
    let paused = reserve(&mut mesh, "paused", "shop");
    let snoozed = reserve(&mut mesh, "snoozed", "shop");
    let baking = {
        let mut reservation = Reservation::new("baking", Pace::USUAL);
        reservation.labels.insert("app".to_owned(), "shop".to_owned());
        reservation.bakes_for = Duration::from_secs(86_400);
        tell(&mut mesh, Word::Reserve(reservation));
        mesh.ledger.heartbeats().named("baking").expect("reserved").id
    };
    let declared = mesh.ledger.heartbeats().named("declared").expect("declared").id;
    tell(&mut mesh, Word::Pause { job: JobRef::Id(paused), pauses: true });
    let lasts = Duration::from_millis(3 * HOUR);
    tell(&mut mesh, Word::Snooze { job: JobRef::Id(snoozed), lasts });
    pass(&mut mesh, 180);
    assert!(why_not(forget(&mut mesh, other)).contains("no document has job \"other\" forgotten"));
    for job in [paused, snoozed, baking, declared] {
        assert!(forget(&mut mesh, job).is_err(), "{job}");
    }
    // The two hours count from when the snooze is over.
    pass(&mut mesh, 119);
    assert!(forget(&mut mesh, snoozed).is_err());
    pass(&mut mesh, 1);
    assert!(forget(&mut mesh, snoozed).is_ok());
    mesh.documents("[[remove]]\nkind = \"check\"\nname = \"shop\"").expect("it is removed");
    tell(&mut mesh, Word::Pause { job: JobRef::Id(paused), pauses: false });
    pass(&mut mesh, 180);
    assert!(why_not(forget(&mut mesh, paused)).contains("no document"), "nobody asks any more");
}

#[test]
fn what_the_mesh_could_not_hear_is_no_silence() {
    let mut mesh = mesh();
    let job = reserve(&mut mesh, "shop/orders", "shop");
    pass(&mut mesh, 100);
    // Nobody leads for a day.
    mesh.now += 24 * HOUR;
    mesh.term += 1;
    assert!(why_not(forget(&mut mesh, job)).contains("nobody is forgotten before"));
    pass(&mut mesh, 119);
    assert!(forget(&mut mesh, job).is_err(), "it counts from when the mesh hears again");
    pass(&mut mesh, 1);
    // Another leader, at once: who was sent back tries again first.
    mesh.term += 1;
    assert!(why_not(forget(&mut mesh, job)).contains("nobody is forgotten before"));
    mesh.now += u64::try_from(RETRIES_WITHIN.as_millis()).expect("short");
    assert!(forget(&mut mesh, job).is_ok());
}

#[test]
fn the_mesh_says_that_it_listens_while_jobs_may_be_forgotten_though_nobody_is_waited_for() {
    let mut mesh = mesh();
    let job = reserve(&mut mesh, "shop/orders", "shop");
    let alone = |mesh: &mut Mesh| {
        tell(
            mesh,
            Word::Ping(Ping {
                job: JobRef::Id(job),
                at: at(mesh.now),
                signal: Signal::Fail(None),
                run: None,
                body: String::new(),
            }),
        );
        mesh.documents("[[remove]]\nkind = \"check\"\nname = \"declared\"").expect("removed");
    };
    alone(&mut mesh);
    assert_eq!(mesh.ledger.heartbeats().listens_every(), Some(Duration::from_secs(60)));
    mesh.documents("[[remove]]\nkind = \"check\"\nname = \"shop\"").expect("it is removed");
    assert_eq!(mesh.ledger.heartbeats().listens_every(), None, "a quiet mesh is quiet");
}

/// What happens to a job, and how long the mesh listens after it.
#[derive(Debug, Clone)]
enum Step {
    Listens(u64),
    Deaf(u64),
    Term,
    Pings(Signal),
    Snooze(u64),
    Pause(bool),
    Reserve,
    Vote,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let signal = prop_oneof![
        Just(Signal::Success),
        Just(Signal::Start),
        Just(Signal::Log),
        Just(Signal::Fail(None)),
    ];
    let step = prop_oneof![
        4 => (0..150_u64).prop_map(Step::Listens),
        1 => (1..300_u64).prop_map(Step::Deaf),
        1 => Just(Step::Term),
        3 => signal.prop_map(Step::Pings),
        1 => (1..300_u64).prop_map(Step::Snooze),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => Just(Step::Reserve),
        1 => Just(Step::Vote),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nobody_is_forgotten_who_told_something_within_the_time_and_everybody_else_is(
        steps in steps(),
    ) {
        let mut mesh = mesh();
        let mut job = reserve(&mut mesh, "job", "shop");
        let (mut told, mut snoozed, mut paused, mut deaf) = (mesh.now, 0, false, 0);
        for step in steps {
            match step {
                Step::Listens(minutes) => pass(&mut mesh, minutes),
                Step::Deaf(minutes) => {
                    mesh.now += minutes * MINUTE + 2 * MINUTE;
                    mesh.done(1, Record::Listening);
                    told = mesh.now;
                    deaf = mesh.now + 40_000;
                }
                Step::Term => {
                    mesh.term += 1;
                    mesh.done(1, Record::Listening);
                    deaf = mesh.now + 40_000;
                }
                Step::Pings(signal) => {
                    ping(&mut mesh, job, signal);
                    told = mesh.now;
                    // A note alone ends no pause.
                    paused &= signal == Signal::Log;
                }
                Step::Snooze(minutes) => {
                    let lasts = Duration::from_secs(60 * minutes);
                    tell(&mut mesh, Word::Snooze { job: JobRef::Id(job), lasts });
                    (told, snoozed) = (mesh.now, mesh.now + minutes * MINUTE);
                }
                Step::Pause(pauses) => {
                    tell(&mut mesh, Word::Pause { job: JobRef::Id(job), pauses });
                    (told, paused) = (mesh.now, pauses);
                }
                Step::Reserve => {
                    reserve(&mut mesh, "job", "shop");
                    told = mesh.now;
                }
                Step::Vote => {
                    tell(&mut mesh, Word::Vote { job: JobRef::Id(job), up: true });
                    told = mesh.now;
                }
            }
            let silent = mesh.now.saturating_sub(told.max(snoozed));
            let due = !paused && silent >= 2 * HOUR && mesh.now >= deaf;
            let forgotten = forget(&mut mesh, job);
            prop_assert_eq!(forgotten.is_ok(), due, "{:?} {:?}", silent, forgotten);
            prop_assert_eq!(is_known(&mesh, job), !due);
            if due {
                job = reserve(&mut mesh, "job", "shop");
                (told, snoozed) = (mesh.now, 0);
            }
        }
    }
}

#[test]
fn what_is_told_together_is_taken_or_refused_word_by_word() {
    let mut mesh = mesh();
    let job = reserve(&mut mesh, "job", "shop");
    let ping = |job: JobRef| {
        let at = at(7);
        Word::Ping(Ping { job, at, signal: Signal::Success, run: None, body: String::new() })
    };
    let unknown = || ping(JobRef::Name("nobody".to_owned()));
    let mut told = |words: Vec<Word>| mesh.apply(2, Record::JobsTold { words, nonce: None });
    let refused = Refusal::NoSuchJob { job: "nobody".to_owned() };
    assert_eq!(told(vec![unknown()]), Err(refused.clone()));
    assert_eq!(told(vec![ping(JobRef::Id(job))]), Ok(Effect::Done));
    assert_eq!(
        told(vec![unknown(), ping(JobRef::Id(job)), unknown()]),
        Ok(Effect::PassedOver(vec![(0, refused.clone()), (2, refused.clone())]))
    );
    assert_eq!(
        told(vec![unknown(), unknown()]),
        Ok(Effect::PassedOver(vec![(0, refused.clone()), (1, refused)]))
    );
    assert_eq!(mesh.ledger.heartbeats().job(job).expect("it is there").checkins, 2);
}

#[test]
fn what_is_brought_twice_because_an_answer_was_lost_counts_once() {
    let mut mesh = mesh();
    let job = reserve(&mut mesh, "job", "shop");
    let gone = reserve(&mut mesh, "gone", "shop");
    let ping = |signal: Signal| {
        let (job, at) = (JobRef::Id(job), at(7));
        Word::Ping(Ping { job, at, signal, run: None, body: String::new() })
    };
    let unknown = JobRef::Name("nobody".to_owned());
    let words = vec![
        ping(Signal::Success),
        ping(Signal::Fail(None)),
        Word::Checkout { job: unknown },
        Word::Checkout { job: JobRef::Id(gone) },
    ];
    let mut told = |by: u64, words: &[Word], nonce: Option<u64>| {
        mesh.now += 1_000;
        let outcome = mesh.apply(by, Record::JobsTold { words: words.to_vec(), nonce });
        let job = mesh.ledger.heartbeats().job(job).expect("it is there");
        let version = job.version;
        (outcome, (job.checkins, job.failures, job.recent.len()), version)
    };
    let refused = Refusal::NoSuchJob { job: "nobody".to_owned() };
    let answer = Ok(Effect::PassedOver(vec![(2, refused)]));
    let (outcome, counts, version) = told(2, &words, Some(1));
    assert_eq!((&outcome, counts), (&answer, (1, 1, 2)));
    // The next leader is told the same, after other things.
    for other in 2..9 {
        let vote = [Word::Vote { job: JobRef::Id(job), up: true }];
        assert_eq!(told(2, &vote, Some(other)).0, Ok(Effect::Done));
    }
    let (outcome, counts, again) = told(2, &words, Some(1));
    assert_eq!((&outcome, counts), (&answer, (1, 1, 2)));
    assert_eq!(again, version);
    // By another peer, or under another nonce, it is something else.
    let (_, counts, _) = told(1, &words[..2], Some(1));
    assert_eq!(counts, (2, 2, 4));
    let (_, counts, _) = told(2, &words[..2], Some(9));
    assert_eq!(counts, (3, 3, 6));
    let (_, counts, _) = told(2, &words[..2], None);
    assert_eq!(counts, (4, 4, 8));
    let alone = [Word::Checkout { job: JobRef::Id(job) }];
    for _ in 0..2 {
        let record = Record::JobsTold { words: alone.to_vec(), nonce: Some(10) };
        assert_eq!(mesh.apply(2, record), Ok(Effect::Done));
    }
}

#[test]
fn who_may_not_make_a_job_does_not_ping_anothers_of_that_name() {
    let mut mesh = mesh();
    let of = |namespace: &str| {
        let mut reservation = Reservation::new("a/x", Pace::USUAL);
        reservation.labels.insert(NAMESPACE.to_owned(), namespace.to_owned());
        reservation.only_new = true;
        Word::Reserve(reservation)
    };
    let ping = |signal: Signal| {
        let (job, at) = (JobRef::Name("a/x".to_owned()), at(7));
        Word::Ping(Ping { job, at, signal, run: None, body: String::new() })
    };
    tell(&mut mesh, of("a"));
    // Both do so in the same moment: each is told of his own.
    let (fails, does) = (|| ping(Signal::Fail(None)), || ping(Signal::Success));
    let words = vec![of("b"), fails(), of("a"), does(), of("b"), fails(), fails()];
    let outcome = mesh.apply(2, Record::JobsTold { words, nonce: None });
    let namespace = Some("a".to_owned());
    let refused = Refusal::JobOfAnother { job: "a/x".to_owned(), namespace };
    let places = [0, 1, 4, 5, 6].map(|place| (place, refused.clone()));
    assert_eq!(outcome, Ok(Effect::PassedOver(places.to_vec())));
    let job = mesh.ledger.heartbeats().named("a/x").expect("it is there");
    assert_eq!((job.checkins, job.failures), (1, 0));
}

#[test]
fn a_declared_job_is_known_by_the_uuid_whose_hash_its_document_has() {
    const UUID: u128 = 0x5bf6_6975_d4c7_4bf5_bcc8_b8d8_a82e_a278;
    // printf %s 5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278 | sha256sum
    const HASH: &str = "614f72e1a65ad3435390830a966f382a3d218d3a77b00e033e49c23af51121e9";
    let mut mesh = Mesh::of(1);
    let mut known_after = |documents: &str| {
        mesh.documents(documents).expect("valid documents");
        let heartbeats = mesh.ledger.heartbeats();
        assert_eq!(heartbeats.with_uuid(UUID + 1), None);
        heartbeats.with_uuid(UUID).map(|job| job.name.clone())
    };
    let job =
        |job: &str, more: &str| format!("[[check]]\nname = \"c\"\nheartbeat = \"{job}\"\n{more}\n");
    let hash = format!("uuid_sha256 = \"{HASH}\"");
    assert_eq!(known_after(&job("one", "")), None);
    assert_eq!(known_after(&job("one", &hash)).as_deref(), Some("one"));
    assert_eq!(known_after(&job("two", &hash)).as_deref(), Some("two"));
    assert_eq!(known_after(&job("two", "")), None);
    assert_eq!(known_after(&job("two", &hash)).as_deref(), Some("two"));
    assert_eq!(known_after("[[remove]]\nkind = \"check\"\nname = \"c\""), None);
}
