//! Bytes of version 1, as they lie in logs and snapshots and travel between daemons.
//!
//! A line that does not fit any more means that a daemon cannot read what another one wrote: the
//! change has to be made readable, not the fixture new. Values are only ever added.

mod common;

use common::{
    Mesh, card, ended, evidence_by, failing, founding, id, name, ordered, sign_report, signed,
    silent, token,
};
use protocol::{
    alert::{Alert, Word},
    codec,
    document::{Selector, Verdict},
    heartbeat::{
        self, Beat, Health, JobId, JobRef, Pace, Ping, Reservation, Rule, Schedule, Signal,
    },
    learn::OneIn,
    ledger::Ledger,
    name::IncidentId,
    order::{Action, SignedOrder},
    record::{
        Because, Delivered, Entry, Failing, Missing, Outcome, Part, Record, Seen, Silence,
        StormCause, TokenGrant, TokenId,
    },
    refusal::Refusal,
    report::{CheckState, Report, SignedReport, Verification},
    stream::Batch,
    time::Timestamp,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Debug, time::Duration};

const FIXTURE: &str = include_str!("fixtures/version-1.txt");

const DOCUMENTS: &str = "[[check]]\nname = \"web\"\ncommand = \"true\"\n\
    [[runbook]]\nname = \"again\"\non = { check = \"web\" }\n\
    [[runbook.rung]]\nname = \"restart\"\nrun = [\"restart\"]\n\
    [limits]\nat_once = 2\n[mesh]\nvoters_max = 3\n";

fn moment(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn records() -> Vec<(&'static str, Record)> {
    let (incident, attempt) = (IncidentId(300), 2);
    let grant = TokenGrant { name: Some(name("web-3")), ..token(5, 1) };
    let order = |action| Record::Ordered { order: ordered(77, moment(90_000), action) };
    let reason = || "a reason".to_owned();
    vec![
        ("founded", Record::Founded(founding())),
        ("ordered-token", order(Action::CreateToken(grant))),
        ("ordered-remove", order(Action::RemovePeer { peer: id(3) })),
        ("ordered-freeze", order(Action::Freeze { reason: reason() })),
        ("ordered-thaw", order(Action::Thaw)),
        ("ordered-close", order(Action::Close { incident, reason: reason() })),
        ("joined", Record::PeerJoined { token: TokenId(5), peer: card(3) }),
        ("started", Record::PeerStarted { peer: card(3) }),
        ("stopped", Record::PeerStopped { peer: id(3) }),
        ("left", Record::PeerLeft { peer: id(3) }),
        ("documents", Record::DocumentsApplied { bundle: signed(1, DOCUMENTS) }),
        ("opened-check", Record::Opened { peer: id(2), because: failing(700) }),
        (
            "opened-silence",
            Record::Opened {
                peer: id(2),
                because: silent(
                    700,
                    &[(1, Seen::NoAnswer), (3, Seen::Refused), (4, Seen::Reached)],
                ),
            },
        ),
        ("evidence", Record::EvidenceTaken { incident, evidence: evidence_by(2) }),
        (
            "assigned",
            Record::Assigned {
                incident,
                attempt,
                rung: 1,
                part: Part::Act,
                worker: id(2),
                start_by: moment(10_000),
                until: moment(80_000),
            },
        ),
        ("reported", Record::Reported { incident, attempt, report: ended(Outcome::TimedOut) }),
        ("lost", Record::Lost { incident, attempt, reason: reason() }),
        (
            "held",
            Record::Held {
                incident,
                refusal: Refusal::BlastRadius {
                    scope: "in the mesh".to_owned(),
                    limit: 2,
                    in_flight: 2,
                },
            },
        ),
        ("resolved", Record::Resolved { incident, because: reason() }),
        ("escalated", Record::Escalated { incident, reason: reason() }),
        ("called", Record::Called { incident, rung: 2 }),
        (
            "notified",
            Record::Notified {
                incident,
                notice: 1,
                delivered: Delivered::Yes,
                detail: "200".to_owned(),
            },
        ),
        ("ordered-approve", order(Action::Approve { incident })),
        ("ordered-deny", order(Action::Deny { incident, reason: reason() })),
        ("ordered-acknowledge", order(Action::Acknowledge { incident })),
        (
            "ordered-maintenance",
            order(Action::StartMaintenance {
                name: name("kernel"),
                peers: vec![id(2)],
                selector: Selector::default(),
                until: moment(900_000),
                reason: reason(),
            }),
        ),
        ("ordered-maintenance-end", order(Action::EndMaintenance { name: name("kernel") })),
        (
            "ordered-run",
            order(Action::RunRunbook { runbook: name("again"), peer: id(2), reason: reason() }),
        ),
        (
            "ordered-alert-end",
            order(Action::EndAlert { alert: words()[0].alert(), reason: reason() }),
        ),
        ("opened-ladder", Record::Opened { peer: id(2), because: on_a_ladder() }),
        ("skipped", Record::Skipped { incident, rung: 1, refusal: Refusal::NoRunbook }),
        ("restarted", Record::Restarted { incident }),
        ("booted", Record::Booted { peer: id(2), boot_id: "3f-a".to_owned() }),
        ("not-rebooted", Record::NotRebooted { incident, attempt }),
        ("opened-storm", Record::Opened { peer: id(1), because: a_storm() }),
        (
            "held-storm",
            Record::Held {
                incident,
                refusal: Refusal::StormBrake {
                    since: moment(700),
                    silent: 10,
                    until: moment(300_700),
                },
            },
        ),
        (
            "held-no-storm",
            Record::Held { incident, refusal: Refusal::NoStorm { silent: 3, of: 10 } },
        ),
        ("alerted", Record::Alerted { words: words() }),
        ("jobs-told", Record::JobsTold { words: job_words(), nonce: Some(7) }),
        (
            "missed",
            Record::Missed {
                jobs: vec![Missing {
                    job: JobId(7),
                    version: 3,
                    deadline: moment(700),
                    of_run: true,
                }],
            },
        ),
        ("listening", Record::Listening),
        ("opened-job", Record::Opened { peer: id(2), because: a_job() }),
        ("called-again", Record::CalledAgain { incident, notifier: name("ops") }),
        ("streamed", Record::Streamed { batch: batch() }),
        ("jobs-told-beats", Record::JobsTold { words: beats("shop/orders"), nonce: None }),
        ("claimed", Record::Claimed { incident, attempt: 3, operation: [7; 32] }),
        ("operated", Record::Operated { operation: 5_000_000_000, report: ended(Outcome::Failed) }),
        (
            "jobs-told-within",
            Record::JobsTold {
                words: vec![heartbeat::Word::Reserve(Reservation::new(
                    "shop/orders",
                    Pace {
                        schedule: Schedule::Learned {
                            by: Rule::arrivals(
                                OneIn::new(10_000),
                                Duration::from_secs(30),
                                Some(Duration::from_secs(600)),
                            ),
                        },
                        grace: Duration::ZERO,
                    },
                ))],
                nonce: None,
            },
        ),
        (
            "forgotten",
            Record::Forgotten { jobs: vec![Silence { job: JobId(7), since: moment(700) }] },
        ),
        ("withdrawn", Record::Withdrawn { incident, attempt: 3, reason: "late".to_owned() }),
    ]
}

fn batch() -> Batch {
    let place = Batch::place(name("events"), "alerts".to_owned(), 3, 1_000);
    Batch {
        from: Some(990),
        words: words(),
        timed: true,
        skipped: 2,
        because: Some("offset 995: no JSON".to_owned()),
        ..place
    }
}

fn a_job() -> Because {
    let summary = "job \"shop/orders\" did not check in".to_owned();
    Because::Job { check: name("jobs"), job: "shop/orders".to_owned(), since: moment(700), summary }
}

fn job_words() -> Vec<heartbeat::Word> {
    let job = || JobRef::Name("shop/orders".to_owned());
    let ping = |job: JobRef, signal: Signal, run: Option<u128>, body: &str| {
        let body = body.to_owned();
        heartbeat::Word::Ping(Ping { job, at: moment(700), signal, run, body })
    };
    let reserved = |schedule: Schedule| {
        let pace = Pace { schedule, grace: Duration::from_secs(60) };
        let mut reservation = Reservation::new("shop/orders", pace);
        reservation.uuid = Some(7);
        reservation.labels = BTreeMap::from([("app".to_owned(), "shop".to_owned())]);
        heartbeat::Word::Reserve(reservation)
    };
    let (expression, time_zone) = (|| "daily".to_owned(), || "UTC".to_owned());
    vec![
        reserved(Schedule::Every { period: Duration::from_secs(300) }),
        reserved(Schedule::Cron { expression: "0 3 * * *".to_owned(), time_zone: time_zone() }),
        reserved(Schedule::Calendar { expression: expression(), time_zone: time_zone() }),
        ping(JobRef::Id(JobId(7)), Signal::Success, None, ""),
        ping(job(), Signal::Start, Some(9), ""),
        ping(job(), Signal::Fail(Some(3)), Some(9), "disk full"),
        ping(job(), Signal::Log, None, "a note"),
        heartbeat::Word::Snooze { job: job(), lasts: Duration::from_secs(600) },
        heartbeat::Word::Pause { job: job(), pauses: true },
        heartbeat::Word::Checkout { job: job() },
    ]
}

fn beats(name: &str) -> Vec<heartbeat::Word> {
    let job = || JobRef::Name(name.to_owned());
    let reserved = |by: Rule| {
        let pace = Pace { schedule: Schedule::Learned { by }, grace: Duration::ZERO };
        heartbeat::Word::Reserve(Reservation::new(name, pace))
    };
    let at_least = Duration::from_secs(30);
    let beat = Beat {
        job: job(),
        at: moment(700),
        health: Health::Critical,
        ttl: Some(-1),
        then: Some(Health::Unknown),
        elapsed: Some(110),
        value: Some(42.5.into()),
        predicted: Some(41.0.into()),
        summary: "slow".to_owned(),
    };
    vec![
        reserved(Rule::Arrivals { one_in: OneIn::new(10_000), at_least }),
        reserved(Rule::PaceHb),
        heartbeat::Word::Beat(beat),
        heartbeat::Word::Vote { job: job(), up: true },
    ]
}

fn words() -> Vec<Word> {
    let labels = BTreeMap::from([("alertname".to_owned(), "Down".to_owned())]);
    let alert =
        Alert::new(labels, "it is down", moment(700), Some(moment(900))).expect("it is an alert");
    let ended = Word::Ended { alert: alert.id(), starts_at: Some(moment(700)), at: moment(800) };
    vec![Word::Fires(alert), ended]
}

fn a_storm() -> Because {
    let (silent, zone) = (vec![id(2), id(3)], Some("a".to_owned()));
    Because::Storm { silent, zone, cause: StormCause::Zone, since: moment(700) }
}

fn on_a_ladder() -> Because {
    let failing = vec![Failing { peer: id(2), check: name("web"), since: moment(700) }];
    Because::Ladder { ladder: name("shop"), level: 3, failing, since: moment(800) }
}

fn report() -> SignedReport {
    let verified = Verification { incident: IncidentId(300), attempt: 2, settled: true };
    let state = CheckState {
        verdict: Verdict::Fail,
        since: moment(700),
        summary: "no such file".to_owned(),
        verified: Some(verified),
        flapping: true,
        muted_by: Some(name("host")),
    };
    let report = Report {
        peer: id(2),
        generation: 3,
        sequence: 4,
        checks: BTreeMap::from([(name("web"), state)]),
        facts: BTreeMap::from([("kernel".to_owned(), "6.1".to_owned())]),
    };
    sign_report(2, report)
}

fn order() -> SignedOrder {
    ordered(77, moment(90_000), Action::Thaw)
}

fn ledger() -> Ledger {
    let mut mesh = Mesh::of(2);
    mesh.documents(DOCUMENTS).expect("valid");
    let incident = mesh.open(2);
    mesh.done(1, Record::Held { incident, refusal: Refusal::NoRunbook });
    mesh.assign(incident, 2);
    mesh.report(incident, 2, Outcome::Failed);
    mesh.done(
        1,
        Record::JobsTold { words: job_words().into_iter().take(7).collect(), nonce: None },
    );
    mesh.done(1, Record::JobsTold { words: beats("shop/pace"), nonce: Some(9) });
    mesh.ledger
}

/// The fixture's bytes are the value's, and read as the value.
fn holds<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let line = FIXTURE.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let encoded = hex(&codec::encode(value));
    if line.is_none() && std::env::var_os("HEARTEN_WRITE_FIXTURES").is_some() {
        // Into the working tree: the next build reads it.
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/version-1.txt");
        let known = std::fs::read_to_string(path).expect("the fixture");
        std::fs::write(path, format!("{known}{name} {encoded}\n")).expect("written");
        return;
    }
    let Some(line) = line else { panic!("the fixture lacks this line:\n{name} {encoded}") };
    let bytes = data_encoding::HEXLOWER.decode(line.as_bytes()).expect("hex");
    let read: T = codec::decode(&bytes).expect("version 1 is readable");
    assert_eq!(&read, value, "{name} reads as it was written");
    assert_eq!(encoded, line, "{name} is written as it was");
}

#[test]
fn records_of_version_1_are_read_and_written() {
    for (name, record) in records() {
        holds(name, &Entry { at: moment(60_000), by: id(1), term: 7, record });
    }
}

#[test]
fn reports_and_orders_of_version_1_are_read_and_written_and_their_signatures_hold() {
    holds("report", &report());
    assert!(report().is_by(&card(2).public_key));
    holds("order", &order());
    assert!(order().is_authorised(&common::trust()));
}

#[test]
fn a_ledger_of_version_1_is_read_and_written() {
    holds("ledger", &ledger());
}

#[test]
fn every_refusal_and_outcome_keeps_its_number() {
    // Enums that travel are only ever appended to: the number is the variant's place.
    let number = |bytes: Vec<u8>| bytes[1];
    assert_eq!(number(codec::encode(&Refusal::AlreadyFounded)), 0);
    assert_eq!(number(codec::encode(&Refusal::TokenUsed)), 9);
    assert_eq!(number(codec::encode(&Refusal::NoRunbook)), 26);
    assert_eq!(number(codec::encode(&Refusal::OrderSpent)), 36);
    assert_eq!(number(codec::encode(&Refusal::PeerNotRunning)), 37);
    assert_eq!(number(codec::encode(&Outcome::Unknown)), 4);
}
