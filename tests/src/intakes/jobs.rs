//! What jobs tell, in the words of GoTel, Healthchecks and PaceHB, and what surgeons tell.

use super::{
    ground::{Ground, SURGEON},
    says_why, text,
};
use node::intake::{Unreadable, gotel, healthchecks, pacehb, surgeon};
use protocol::{
    heartbeat::{BODY_BYTES_MAX, Due, Health, JobRef, Pace, Ping, Reservation, Word, shortened},
    learn::{
        Arrivals, Metric, OneIn,
        metric::{Question, Side},
    },
    ledger::{
        Effect,
        attempts::OUTPUT_BYTES_MAX,
        heartbeats::{HISTORY_MAX, Job, TroubleKind},
    },
    record::{Because, Missing, Record},
    refusal::Refusal,
    time::Timestamp,
};
use std::time::Duration;

/// A secret of a job that is drawn.
const UUID: u128 = 0x0123_4567_89ab_4def_8123_4567_89ab_cdef;

/// Requests one after the other. The first byte says of which kind it is, and a digit instead that
/// time passes and whoever leads looks for jobs that are late.
pub(super) fn requests(bytes: &[u8]) -> bool {
    let mut ground = Ground::new();
    let mut taken = false;
    for request in super::requests(bytes) {
        let Some((kind, body)) = request.split_first() else { continue };
        let now = ground.now;
        let gotel = |told: gotel::Told| vec![told.word];
        let read = match kind {
            b'r' => gotel::reservation(body, UUID).map(gotel),
            b'f' => gotel::form(body, UUID).map(gotel),
            b'c' => gotel::check_in(body, now).map(gotel),
            b's' => gotel::snooze(body).map(gotel),
            b'o' => gotel::check_out(body).map(gotel),
            b'p' => ping(body, now),
            b'b' => beat(&ground, body, None),
            b'h' => beat(&ground, body, Some("http")),
            b'v' => vote(&ground, body),
            b'q' => asked(&ground, body),
            digit => {
                let power = u32::from(digit % 8);
                ground.wait(Duration::from_secs(10_u64.saturating_pow(power)));
                look_for_late_ones(&mut ground);
                continue;
            }
        };
        match read {
            Ok(words) => taken |= take(&mut ground, words),
            Err(why) => says_why(&why),
        }
    }
    ground.ledger.heartbeats().jobs().for_each(|job| can_be_told_of(job, ground.now));
    ground.reads_back();
    taken
}

/// Brings words to the log. Each is small enough: one that is not would keep out those of other
/// jobs that go with it.
fn take(ground: &mut Ground, words: Vec<Word>) -> bool {
    let before = ground.ledger.heartbeats().len();
    for word in &words {
        assert_eq!(word.check(), Ok(()), "what an intake has read can be kept: {word:?}");
    }
    let count = words.len();
    let refused = match ground.tell(Record::JobsTold { words, nonce: None }) {
        Ok(Effect::PassedOver(refused)) => {
            refused.into_iter().map(|(_, refusal)| refusal).collect()
        }
        Ok(_) => Vec::new(),
        Err(refusal) => vec![refusal],
    };
    for refusal in &refused {
        let known = matches!(refusal, Refusal::NoSuchJob { .. } | Refusal::JobDeclared { .. });
        assert!(known, "what an intake has read is taken: {refusal}");
    }
    assert!(ground.ledger.heartbeats().len() <= before + count);
    count > refused.len()
}

/// The address of a ping, and its body on the lines that follow.
fn ping(request: &[u8], at: Timestamp) -> Result<Vec<Word>, Unreadable> {
    let mut parts = request.splitn(2, |byte| *byte == b'\n');
    let address = parts.next().and_then(text).unwrap_or_default();
    let body = parts.next().unwrap_or_default();
    let (path, query) = match address.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (address, None),
    };
    let call = healthchecks::call(path, query)?;
    if let Some(run) = call.run {
        assert_eq!(healthchecks::uuid(&healthchecks::uuid_text(run)), Ok(run));
    }
    let name = match call.whose {
        healthchecks::Whose::Uuid(uuid) => format!("u-{uuid:x}"),
        healthchecks::Whose::Slug { slug, .. } => slug,
    };
    let body = shortened(&String::from_utf8_lossy(body));
    assert!(body.len() <= BODY_BYTES_MAX);
    let word =
        Ping { job: JobRef::Name(name.clone()), at, signal: call.signal, run: call.run, body };
    let mut words = vec![Word::Ping(word)];
    if call.create {
        words.insert(0, Word::Reserve(Reservation::new(&name, Pace::USUAL)));
    }
    Ok(words)
}

fn beat(ground: &Ground, body: &[u8], kind: Option<&str>) -> Result<Vec<Word>, Unreadable> {
    let told = pacehb::heartbeat(body, kind)?;
    let known = ground.ledger.heartbeats().named(&told.name);
    Ok(told.words(known, ground.now, (Health::Critical, told.metric), UUID))
}

fn vote(ground: &Ground, body: &[u8]) -> Result<Vec<Word>, Unreadable> {
    let (check, up) = pacehb::vote(body)?;
    let job = ground.ledger.heartbeats().named(&check);
    Ok(job.map(|job| Word::Vote { job: JobRef::Id(job.id), up }).into_iter().collect())
}

/// What is asked for is listed, and out of the mesh with it.
fn asked(ground: &Ground, body: &[u8]) -> Result<Vec<Word>, Unreadable> {
    let asked = pacehb::asked(text(body))?;
    let jobs = ground.ledger.heartbeats().jobs().filter(|job| asked.is_for(job));
    Ok(jobs.map(|job| Word::Checkout { job: JobRef::Id(job.id) }).collect())
}

/// Whoever leads says that jobs did not check in, and that somebody has to look.
fn look_for_late_ones(ground: &mut Ground) {
    let listens = ground.tell(Record::Listening);
    assert!(listens.is_ok());
    let late = |job: &Job| {
        let due = Due::read(&job.pace.schedule).expect("a schedule that was taken");
        let deadline = job.deadline(&due)?;
        (deadline.at <= ground.now).then_some(Missing {
            job: job.id,
            version: job.version,
            deadline: deadline.at,
            of_run: deadline.of_run,
        })
    };
    let jobs: Vec<Missing> = ground.ledger.heartbeats().jobs().filter_map(late).collect();
    let missed = ground.tell(Record::Missed { jobs });
    let waits = ground.now < ground.ledger.heartbeats().not_before();
    assert!(missed.is_ok() || waits, "a job that is late is missed: {missed:?}");
    let in_trouble = |job: &Job| {
        let trouble = job.trouble.as_ref()?;
        Some(Because::Job {
            check: protocol::name::Name::parse("jobs").expect("a name"),
            job: job.name.clone(),
            since: trouble.since,
            summary: job.told_as(ground.now, "http://127.0.0.1:4328"),
        })
    };
    let signals: Vec<Because> =
        ground.ledger.heartbeats().troubled().filter_map(in_trouble).collect();
    for because in signals {
        // It may be told of already, or be quiet.
        drop(ground.tell(Record::Opened { peer: super::ground::id(1), because }));
    }
}

/// Whatever a job is like, it can be listed, and told of.
fn can_be_told_of(job: &Job, now: Timestamp) {
    let asked = pacehb::asked(Some("api_key=key")).expect("it has a key");
    for at in [now, now.plus(Duration::from_secs(86_400)), Timestamp::from_millis(u64::MAX)] {
        assert!(!job.in_words(at).is_empty());
        assert!(job.told_as(at, "here").len() < 64 << 10);
        let due = Due::read(&job.pace.schedule).expect("a schedule that was taken");
        let deadline = job.deadline(&due).map(|deadline| deadline.at);
        assert_eq!(pacehb::listed(job, &asked, deadline, at).is_some(), job.feed.is_some());
        assert_eq!(job.health(at).is_some(), job.feed.is_some());
    }
    assert!(pacehb::history(job).len() <= HISTORY_MAX);
    if let Some(TroubleKind::Missed { deadline } | TroubleKind::Overran { deadline }) =
        job.trouble.as_ref().map(|trouble| trouble.kind)
    {
        assert!(deadline <= now, "nobody is missed before it was to check in");
    }
}

/// Numbers of a metric and when they came, ten bytes each: seconds since the one before and the
/// bits of a float. What is learned of them stays sane.
pub(super) fn numbers(bytes: &[u8]) -> bool {
    let (mut metric, mut arrivals) = (Metric::default(), Arrivals::default());
    let question = Question {
        one_in: OneIn::new(10_000),
        learn: Duration::ZERO,
        by_percent: 10,
        side: Side::Both,
    };
    let mut at = Timestamp::from_millis(1_767_226_200_000);
    for one in bytes.chunks_exact(10).take(2_000) {
        let (seconds, value) = one.split_at(2);
        let seconds = u16::from_be_bytes(seconds.try_into().expect("two bytes"));
        let value = f64::from_bits(u64::from_be_bytes(value.try_into().expect("eight bytes")));
        at = at.plus(Duration::from_secs(seconds.into()));
        if let Some(expected) = metric.observe(at, value, &question) {
            assert!(expected.low.is_finite() && expected.high.is_finite());
            assert!(expected.low <= expected.value && expected.value <= expected.high);
        }
        arrivals.observe(at);
        if let (Some(deadline), Some(latest)) =
            (arrivals.deadline(question.one_in), arrivals.latest())
        {
            assert!(deadline > latest);
        }
    }
    metric.seen().0 > 1
}

/// A surgeon asks, or says how an operation ended.
pub(super) fn surgeons(bytes: &[u8]) -> bool {
    let mut ground = Ground::new();
    let known = match surgeon::asking(bytes) {
        Ok(id) => ground.ledger.library().guest_of(&id).is_some() == (id == SURGEON),
        Err(why) => {
            says_why(&why);
            false
        }
    };
    match surgeon::report(bytes, ground.now) {
        Ok((operation, report)) => {
            assert!(report.output.len() <= OUTPUT_BYTES_MAX);
            let outcome = ground.tell(Record::Operated { operation, report });
            assert!(outcome.is_err(), "nobody was handed an operation");
            true
        }
        Err(why) => {
            says_why(&why);
            known
        }
    }
}
