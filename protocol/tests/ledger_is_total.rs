//! Whatever is written into the log: the ledger takes or refuses it, never panics, and its own
//! rules hold after every record.

mod common;

use common::{
    DOCUMENTS, Mesh, at, card, ended, evidence_by, failing, founding, id, ordered, signed, silent,
    token, without_evidence,
};
use proptest::prelude::*;
use protocol::{
    codec,
    ledger::{Ledger, guests::hash_of},
    name::IncidentId,
    order::Action,
    record::{Delivered, Entry, Outcome, PeerCard, Position, Record, Seen, TokenId},
    refusal::Refusal,
};
use std::collections::BTreeSet;

const PEERS: u64 = 5;
const AT_ONCE: usize = 2;

/// A host without a daemon that the check of the tests is for.
const GUEST: &str = "[[guest]]\nname = \"old-web\"\nlabels = { role = \"web\" }\nsurgeon_sha256 = \
    \"0000000000000000000000000000000000000000000000000000000000000000\"\n";

fn peer() -> impl Strategy<Value = u64> + Clone {
    1..=PEERS + 1
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::Refused,
        Outcome::Unknown,
    ])
}

fn seen() -> impl Strategy<Value = Seen> {
    prop::sample::select(vec![Seen::NoAnswer, Seen::NoAnswer, Seen::Refused, Seen::Reached])
}

/// What is to be written. Numbers are chosen when it is, so that they often fit.
#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    ClockGoesBack(u64),
    NextTerm,
    Found,
    Join(u64),
    Start(u64, u64),
    Stop(u64),
    Leave(u64),
    Documents(u64, bool),
    Order(Order),
    OpenCheck(u64, u64),
    OpenSilence(u64, Vec<(u64, Seen)>),
    Evidence(usize, u64),
    Assign { incident: usize, worker: u64, off: (u32, u32), short: bool },
    Report(usize, u64, u32, Outcome),
    Lose(usize, u32),
    Hold(usize, bool),
    Resolve(usize),
    Escalate(usize),
    Call(usize, u32),
    Notify(usize, u32),
    Stale(usize),
    OpenGuest(u64),
    Claim(usize, u64),
    Operate(u64, Outcome),
    Withdraw(usize),
}

#[derive(Debug, Clone)]
enum Order {
    Token,
    Remove(u64),
    Freeze,
    Thaw,
    Close(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..6_usize;
    let small = prop::sample::select(vec![0_u32, 0, 0, 0, 1, 2]);
    let order = prop_oneof![
        2 => Just(Order::Token),
        1 => peer().prop_map(Order::Remove),
        1 => Just(Order::Freeze),
        3 => Just(Order::Thaw),
        4 => which.clone().prop_map(Order::Close),
    ];
    let worker = (which.clone(), peer());
    prop_oneof![
        12 => (1..90_u64).prop_map(Step::Wait),
        1 => (1..90_u64).prop_map(Step::ClockGoesBack),
        1 => Just(Step::NextTerm),
        1 => Just(Step::Found),
        2 => peer().prop_map(Step::Join),
        6 => (peer(), 1..4_u64).prop_map(|(peer, generation)| Step::Start(peer, generation)),
        1 => peer().prop_map(Step::Stop),
        1 => peer().prop_map(Step::Leave),
        2 => (0..3_u64, any::<bool>()).prop_map(|(off, evidence)| Step::Documents(off, evidence)),
        5 => order.prop_map(Step::Order),
        12 => (peer(), 0..4_u64).prop_map(|(peer, since)| Step::OpenCheck(peer, since)),
        6 => (peer(), prop::collection::vec((peer(), seen()), 0..5))
            .prop_map(|(peer, seen)| Step::OpenSilence(peer, seen)),
        4 => worker.clone().prop_map(|(incident, by)| Step::Evidence(incident, by)),
        24 => (worker.clone(), small.clone(), small.clone(), any::<bool>()).prop_map(
            |((incident, worker), attempt, rung, short)| Step::Assign {
                incident, worker, off: (attempt, rung), short: short && attempt == 1,
            }
        ),
        18 => (worker, small.clone(), outcome())
            .prop_map(|((incident, by), off, outcome)| Step::Report(incident, by, off, outcome)),
        8 => (which.clone(), small.clone()).prop_map(|(incident, off)| Step::Lose(incident, off)),
        4 => (which.clone(), any::<bool>()).prop_map(|(incident, asks)| Step::Hold(incident, asks)),
        3 => which.clone().prop_map(Step::Resolve),
        2 => which.clone().prop_map(Step::Escalate),
        5 => (which.clone(), small.clone()).prop_map(|(incident, off)| Step::Call(incident, off)),
        4 => (which.clone(), small).prop_map(|(incident, off)| Step::Notify(incident, off)),
        1 => which.clone().prop_map(Step::Stale),
        8 => (0..4_u64).prop_map(Step::OpenGuest),
        10 => (which.clone(), 0..9_u64).prop_map(|(incident, n)| Step::Claim(incident, n)),
        10 => (0..9_u64, outcome()).prop_map(|(n, outcome)| Step::Operate(n, outcome)),
        3 => which.prop_map(Step::Withdraw),
    ]
}

/// One of the latest incidents; one that is not there when there is none.
fn incident(ledger: &Ledger, back: usize) -> IncidentId {
    ledger.incidents().keys().rev().nth(back).copied().unwrap_or(IncidentId(7))
}

/// The worker of the latest attempt, or of whomever the number names.
fn worker_of(ledger: &Ledger, id: IncidentId, n: u64) -> u64 {
    let attempt = ledger.incidents().get(&id).and_then(|incident| incident.last_attempt());
    attempt.filter(|_| n > 2).map_or(n, |attempt| attempt.worker.bits())
}

fn limited(evidence: bool) -> String {
    let text = if evidence { DOCUMENTS.to_owned() } else { without_evidence() };
    format!("{text}\n{GUEST}\n[limits]\nat_once = {AT_ONCE}\nshare_percent = 50\n")
}

fn write(mesh: &mut Mesh, step: &Step) -> Option<(u64, Record)> {
    let ledger = &mesh.ledger;
    let last = |id| {
        let incident = ledger.incidents().get(&id)?;
        u32::try_from(incident.attempts.len()).ok()
    };
    let written = match step {
        Step::Wait(seconds) => {
            mesh.wait(*seconds);
            return None;
        }
        Step::ClockGoesBack(seconds) => {
            mesh.now = mesh.now.saturating_sub(seconds * 1_000);
            return None;
        }
        Step::NextTerm => {
            mesh.term += 1;
            return None;
        }
        Step::Found => (1, Record::Founded(founding())),
        Step::Join(n) => (1, Record::PeerJoined { token: TokenId(1), peer: card(*n) }),
        Step::Start(n, generation) => {
            let peer = PeerCard { generation: *generation, ..card(*n) };
            (*n, Record::PeerStarted { peer })
        }
        Step::Stop(n) => (*n, Record::PeerStopped { peer: id(*n) }),
        Step::Leave(n) => (*n, Record::PeerLeft { peer: id(*n) }),
        Step::Documents(off, evidence) => {
            let bundle = signed(ledger.library().revision() + off, &limited(*evidence));
            (1, Record::DocumentsApplied { bundle })
        }
        Step::Order(order) => {
            let action = match order {
                Order::Token => Action::CreateToken(token(1, 3)),
                Order::Remove(n) => Action::RemovePeer { peer: id(*n) },
                Order::Freeze => Action::Freeze { reason: "because".to_owned() },
                Order::Thaw => Action::Thaw,
                Order::Close(back) => Action::Close {
                    incident: incident(ledger, *back),
                    reason: "because".to_owned(),
                },
            };
            let nonce = mesh.index % 40;
            (1, Record::Ordered { order: ordered(nonce, at(mesh.now + 30_000), action) })
        }
        Step::OpenCheck(n, since) => {
            (1, Record::Opened { peer: id(*n), because: failing(mesh.now + since) })
        }
        Step::OpenSilence(n, witnesses) => {
            let because = silent(mesh.now, witnesses);
            (1, Record::Opened { peer: id(*n), because })
        }
        Step::Evidence(back, by) => {
            let incident = incident(ledger, *back);
            (*by, Record::EvidenceTaken { incident, evidence: evidence_by(*by) })
        }
        Step::Assign { incident: back, worker, off, short } => {
            let id_of = incident(ledger, *back);
            let known = ledger.incidents().get(&id_of)?;
            let worker = match off {
                (0, 0) if known.next_rung().is_some_and(|rung| rung.name != "power") => {
                    known.peer.bits()
                }
                _ => *worker,
            };
            let record = Record::Assigned {
                incident: id_of,
                attempt: last(id_of)? + 1 + off.0,
                rung: known.climbed + off.1,
                part: known.next_part,
                worker: id(worker),
                start_by: at(mesh.now + 10_000),
                until: at(mesh.now + if *short { 0 } else { 30_000 }),
            };
            (1, record)
        }
        Step::Report(back, by, off, outcome) => {
            let incident = incident(ledger, *back);
            let attempt = last(incident).unwrap_or(1).saturating_sub(*off);
            let by = worker_of(ledger, incident, *by);
            (by, Record::Reported { incident, attempt, report: ended(*outcome) })
        }
        Step::Lose(back, off) => {
            let incident = incident(ledger, *back);
            let attempt = last(incident).unwrap_or(1).saturating_sub(*off);
            (1, Record::Lost { incident, attempt, reason: String::new() })
        }
        Step::Hold(back, asks) => {
            let incident = incident(ledger, *back);
            let attempt = last(incident).unwrap_or(1);
            let asked = Refusal::UnknownOutcome { incident, attempt };
            let refusal = if *asks { asked } else { Refusal::NoRunbook };
            (1, Record::Held { incident, refusal })
        }
        Step::Resolve(back) => {
            (1, Record::Resolved { incident: incident(ledger, *back), because: String::new() })
        }
        Step::Escalate(back) => {
            (1, Record::Escalated { incident: incident(ledger, *back), reason: String::new() })
        }
        Step::Call(back, off) => {
            let incident = incident(ledger, *back);
            let climbed = ledger.incidents().get(&incident).map_or(0, |known| known.climbed);
            (1, Record::Called { incident, rung: climbed.saturating_sub(*off) })
        }
        Step::Notify(back, off) => {
            let incident = incident(ledger, *back);
            let notices = ledger.incidents().get(&incident).map_or(0, |i| i.notices.len());
            let notice = u32::try_from(notices).ok()?.saturating_sub(*off);
            (
                1,
                Record::Notified {
                    incident,
                    notice,
                    delivered: Delivered::Yes,
                    detail: String::new(),
                },
            )
        }
        Step::OpenGuest(since) => {
            let (guest, _) = ledger.roster().guests().next()?;
            (1, Record::Opened { peer: guest, because: failing(mesh.now + since) })
        }
        Step::Claim(back, n) => {
            let incident = incident(ledger, *back);
            let operation = hash_of(n % 5);
            (1 + n % 3, Record::Claimed { incident, attempt: last(incident)?, operation })
        }
        Step::Operate(n, outcome) => {
            (1 + n % 3, Record::Operated { operation: n % 6, report: ended(*outcome) })
        }
        Step::Withdraw(back) => {
            let incident = incident(ledger, *back);
            let attempt = last(incident).unwrap_or(1);
            (1, Record::Withdrawn { incident, attempt, reason: String::new() })
        }
        Step::Stale(back) => {
            mesh.term += 1;
            (
                1,
                Record::Lost {
                    incident: incident(ledger, *back),
                    attempt: 1,
                    reason: String::new(),
                },
            )
        }
    };
    Some(written)
}

/// What holds of every ledger, whatever was written.
fn check_rules(ledger: &Ledger) {
    let mut in_flight = 0;
    let mut open = BTreeSet::new();
    for (id, incident) in ledger.incidents() {
        for (place, attempt) in (1..).zip(&incident.attempts) {
            assert_eq!(attempt.number, place, "attempts of {id} are numbered without a gap");
        }
        let not_ended = incident.attempts.iter().filter(|attempt| attempt.ended_at.is_none());
        assert!(not_ended.count() <= 1, "one attempt of {id} is under way");
        for (place, notice) in (1..).zip(&incident.notices) {
            assert_eq!(notice.number, place, "notices of {id} are numbered without a gap");
        }
        if !incident.state.is_over() {
            open.insert(*id);
            assert_eq!(incident.closed_at, None);
            let acts = incident.in_flight().is_some();
            let acting = incident.state == protocol::ledger::incident::State::Acting;
            assert_eq!(acts, acting, "{id} is acting just when an attempt is under way");
        }
        let acts = match incident.in_flight() {
            Some(attempt) => !incident.state.is_over() || attempt.until > ledger.last_at(),
            None => false,
        };
        in_flight += usize::from(acts);
    }
    let listed: BTreeSet<IncidentId> =
        ledger.open_incidents().map(|incident| incident.id).collect();
    assert_eq!(listed, open, "the open ones are listed");
    let due = ledger.incidents().values().flat_map(|i| i.notices_due().map(|n| (i.id, n.number)));
    let listed = ledger.notices_due().map(|(id, notice)| (id, notice.number));
    assert_eq!(listed.collect::<BTreeSet<_>>(), due.collect(), "what is due is listed");
    assert!(in_flight <= AT_ONCE, "{in_flight} attempts may act at once");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_takes_or_refuses_whatever_is_written(
        steps in prop::collection::vec(step(), 1..120),
        founded in prop::bool::weighted(0.95),
    ) {
        let mut mesh = Mesh::unfounded();
        if founded {
            mesh = Mesh::of(PEERS);
            mesh.documents(&limited(false)).expect("valid");
        }
        let mut log: Vec<(Position, Entry)> = Vec::new();
        let before = mesh.ledger.clone();
        for step in &steps {
            let Some((by, record)) = write(&mut mesh, step) else { continue };
            let mut entry = mesh.entry(by, record);
            if matches!(step, Step::Stale(_)) {
                entry.term -= 1;
            }
            mesh.index += 1;
            let position = Position { index: mesh.index, term: mesh.term };
            let last_at = mesh.ledger.last_at();
            let answer = mesh.ledger.apply(position, &entry);
            prop_assert_eq!(mesh.ledger.last_at(), last_at.max(entry.at));
            prop_assert_eq!(mesh.ledger.position(), position);
            if matches!(step, Step::Stale(_)) {
                prop_assert!(answer.is_err());
            }
            check_rules(&mesh.ledger);
            log.push((position, entry));
        }
        let mut again = before;
        for (position, entry) in &log {
            // What travels is what was applied.
            let entry: Entry = codec::decode(&codec::encode(entry)).expect("it reads back");
            let _answer = again.apply(*position, &entry);
        }
        prop_assert_eq!(&again, &mesh.ledger, "the same log gives the same ledger");
        let read: Ledger = codec::decode(&codec::encode(&again)).expect("it reads back");
        prop_assert_eq!(read, again);
    }
}

#[test]
fn the_generator_gets_somewhere() {
    // A test whose records are all refused would hold nothing.
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut attempts, mut over, mut notices) = (0, 0, 0);
    for _ in 0..60 {
        let steps = prop::collection::vec(step(), 120).new_tree(&mut runner).expect("a tree");
        let mut mesh = Mesh::of(PEERS);
        mesh.documents(&limited(false)).expect("valid");
        for step in steps.current() {
            if let Some((by, record)) = write(&mut mesh, &step) {
                let _answer = mesh.apply(by, record);
            }
        }
        for incident in mesh.ledger.incidents().values() {
            attempts += incident.attempts.len();
            over += usize::from(incident.state.is_over());
            notices += incident.notices.len();
        }
    }
    assert!(attempts > 100 && over > 50 && notices > 10, "{attempts} {over} {notices}");
}
