//! What the tests are told in: a mesh of a few peers, and what they write into its log.
#![allow(dead_code, reason = "every test file is a crate of its own and uses a part of this")]

pub(crate) mod calls;
pub(crate) mod driver;

use ed25519_dalek::{Signer, SigningKey};
use protocol::{
    document::{
        Silence, Verdict,
        bundle::{Bundle, SignedBundle, Source},
    },
    ledger::{Effect, Ledger, Outcome, incident::Incident},
    name::{IncidentId, Name, PeerId, RaftId},
    order::{Action, Order, SignedOrder},
    record::{
        self, AttemptReport, Because, Entry, EvidenceSummary, Founding, PeerCard, Position, Record,
        Seen, Testimony, TokenGrant, TokenId, Trust,
    },
    refusal::Refusal,
    report::{Report, SignedReport},
    time::Timestamp,
};
use std::{collections::BTreeMap, time::Duration};

pub(crate) const ROOT: [u8; 32] = [9; 32];

/// A check of every web host, two rungs and a person; and a runbook for silent hosts.
pub(crate) const DOCUMENTS: &str = r#"
[[check]]
name = "web"
every = "1s"
timeout = "1s"
fail_after = 1
command = "test -e /run/web"
where = { role = "web" }

[[runbook]]
name = "restart-web"
on = { check = "web" }
cooldown = "60s"

[[runbook.evidence]]
run = "ps aux"
timeout = "5s"

[[runbook.rung]]
name = "restart"
run = "restart"
timeout = "10s"
settle = "2s"

[[runbook.rung]]
name = "reinstall"
run = "reinstall"
timeout = "10s"
settle = "2s"

[[runbook.rung]]
name = "call a person"
notify = "ops"

[[runbook]]
name = "rescue"
on = { peer = "silent" }
cooldown = "60s"

[[runbook.rung]]
name = "power"
by = "neighbour"
run = ["power", "$HEARTEN_PEER"]
timeout = "10s"
settle = "2s"

[[runbook.rung]]
name = "tell"
notify = "ops"

[[notifier]]
name = "ops"
kind = "webhook"
url = "http://127.0.0.1:9099/hook"
"#;

/// The documents without what they collect before the first rung.
/// The check of the tests: it runs often, and one run says it all.
pub(crate) const WEB: &str = r#"
[[check]]
name = "web"
every = "1s"
timeout = "1s"
fail_after = 1
command = "test -e /run/web"
where = { role = "web" }
"#;

/// The last rung of a runbook, and whom it calls.
pub(crate) const CALL: &str = r#"
[[runbook.rung]]
name = "call a person"
notify = "ops"

[[notifier]]
name = "ops"
kind = "webhook"
url = "http://127.0.0.1:9099/hook"
"#;

pub(crate) fn without_evidence() -> String {
    DOCUMENTS.replace("[[runbook.evidence]]\nrun = \"ps aux\"\ntimeout = \"5s\"\n", "")
}

pub(crate) fn id(n: u64) -> PeerId {
    PeerId::from_random(n)
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The operator of every mesh here.
pub(crate) fn operator() -> SigningKey {
    key(200)
}

/// Somebody else with a key.
pub(crate) fn stranger() -> SigningKey {
    key(201)
}

pub(crate) fn trust_in(operators: &[SigningKey]) -> Trust {
    let operators = operators.iter().map(|key| key.verifying_key().to_bytes()).collect();
    Trust { version: 1, threshold: 1, operators }
}

pub(crate) fn trust() -> Trust {
    trust_in(&[operator()])
}

pub(crate) fn peer_key(n: u64) -> SigningKey {
    key(u8::try_from(n).expect("few peers"))
}

/// Peer `n`: `web-n`, every third one in another zone.
pub(crate) fn card(n: u64) -> PeerCard {
    let zone = ["a", "b", "c"][usize::try_from(n % 3).expect("small")];
    PeerCard {
        id: id(n),
        name: name(&format!("web-{n}")),
        labels: BTreeMap::from([
            ("role".to_owned(), "web".to_owned()),
            ("zone".to_owned(), zone.to_owned()),
        ]),
        address: std::net::SocketAddr::from(([10, 0, 0, u8::try_from(n).expect("small")], 7946)),
        public_key: peer_key(n).verifying_key().to_bytes(),
        raft_id: RaftId(n),
        generation: 1,
        version: "0.1.0".to_owned(),
        cell: 0,
    }
}

pub(crate) fn founding() -> Founding {
    Founding { mesh: name("test"), root_fingerprint: ROOT, trust: trust(), peer: card(1) }
}

pub(crate) fn token(id: u64, uses: u32) -> TokenGrant {
    TokenGrant {
        id: TokenId(id),
        verifying_key: [4; 32],
        expires: at(10_000_000),
        uses,
        name: None,
    }
}

pub(crate) fn bundle(revision: u64, text: &str) -> Bundle {
    let source = Source { file: "test.toml".to_owned(), text: text.to_owned() };
    Bundle { mesh: ROOT, revision, sources: vec![source] }
}

pub(crate) fn signed(revision: u64, text: &str) -> SignedBundle {
    bundle(revision, text).sign(&operator())
}

pub(crate) fn ordered(nonce: u64, expires: Timestamp, action: Action) -> SignedOrder {
    Order { mesh: ROOT, nonce, expires, action }.sign(&operator())
}

pub(crate) fn failing(since: u64) -> Because {
    Because::Check {
        check: name("web"),
        verdict: Verdict::Fail,
        since: at(since),
        summary: "no such file".to_owned(),
    }
}

/// A silence since `since`, seen by these witnesses.
pub(crate) fn silent(since: u64, witnesses: &[(u64, Seen)]) -> Because {
    let witnesses = witnesses
        .iter()
        .map(|(witness, seen)| Testimony { witness: id(*witness), seen: *seen, at: at(since) })
        .collect();
    Because::Silent { kind: Silence::Dark, since: at(since), witnesses }
}

pub(crate) fn evidence_by(n: u64) -> EvidenceSummary {
    EvidenceSummary {
        hash: [5; 32],
        bytes: 100,
        taken_by: id(n),
        steps_failed: 0,
        keepers: vec![id(1)],
    }
}

pub(crate) fn ended(outcome: record::Outcome) -> AttemptReport {
    AttemptReport {
        outcome,
        exit_code: Some(0),
        started_at: Some(at(1)),
        finished_at: at(2),
        output: "done".to_owned(),
    }
}

pub(crate) fn sign_report(n: u64, report: Report) -> SignedReport {
    let signature = peer_key(n).sign(&report.signed_bytes()).to_bytes().to_vec();
    SignedReport { report, signature }
}

/// A ledger and the log that is being written to it.
#[derive(Debug, Clone)]
pub(crate) struct Mesh {
    pub(crate) ledger: Ledger,
    /// The time that the next record is stamped with, in milliseconds.
    pub(crate) now: u64,
    pub(crate) term: u64,
    pub(crate) index: u64,
}

impl Mesh {
    /// A log without a record.
    pub(crate) fn unfounded() -> Self {
        Self { ledger: Ledger::default(), now: 1_000, term: 1, index: 0 }
    }

    /// Peers 1 to `size`, all of them running; nothing else.
    pub(crate) fn of(size: u64) -> Self {
        let mut mesh = Self::unfounded();
        mesh.done(1, Record::Founded(founding()));
        if size > 1 {
            mesh.order(Action::CreateToken(token(1, u32::MAX))).expect("a token");
        }
        for n in 2..=size {
            mesh.done(1, Record::PeerJoined { token: TokenId(1), peer: card(n) });
        }
        for n in 1..=size {
            mesh.done(n, Record::PeerStarted { peer: card(n) });
        }
        mesh
    }

    /// The same, with [`DOCUMENTS`] but no evidence to wait for.
    pub(crate) fn ready(size: u64) -> Self {
        let mut mesh = Self::of(size);
        mesh.documents(&without_evidence()).expect("valid documents");
        mesh
    }

    /// The next entry.
    pub(crate) fn entry(&self, by: u64, record: Record) -> Entry {
        Entry { at: at(self.now), by: id(by), term: self.term, record }
    }

    pub(crate) fn apply(&mut self, by: u64, record: Record) -> Outcome {
        let entry = self.entry(by, record);
        self.index += 1;
        self.ledger.apply(Position { index: self.index, term: self.term }, &entry)
    }

    pub(crate) fn done(&mut self, by: u64, record: Record) -> Effect {
        self.apply(by, record).expect("it is taken")
    }

    /// The refusal of a record; asserts that it changed nothing but the ledger's place and time.
    pub(crate) fn refused(&mut self, by: u64, record: Record) -> Refusal {
        let mut before = self.ledger.clone();
        let refusal = self.apply(by, record).expect_err("it is refused");
        let nothing = Entry {
            at: at(self.now),
            by: id(by),
            term: self.term,
            record: if before.mesh().is_some() {
                Record::Founded(founding())
            } else {
                Record::PeerLeft { peer: id(1) }
            },
        };
        let position = Position { index: self.index, term: self.term };
        before.apply(position, &nothing).expect_err("it changes nothing");
        assert_eq!(before, self.ledger, "a refused record changes nothing: {refusal}");
        refusal
    }

    pub(crate) fn documents(&mut self, text: &str) -> Outcome {
        let bundle = signed(self.ledger.library().revision() + 1, text);
        self.apply(1, Record::DocumentsApplied { bundle })
    }

    pub(crate) fn order(&mut self, action: Action) -> Outcome {
        let order = ordered(self.index + 1_000, at(self.now + 60_000), action);
        self.apply(1, Record::Ordered { order })
    }

    pub(crate) fn order_refused(&mut self, action: Action) -> Refusal {
        let order = ordered(self.index + 1_000, at(self.now + 60_000), action);
        self.refused(1, Record::Ordered { order })
    }

    /// An incident about the check of a peer, opened by peer 1.
    pub(crate) fn open(&mut self, peer: u64) -> IncidentId {
        let because = failing(self.now);
        self.opened(peer, because)
    }

    pub(crate) fn opened(&mut self, peer: u64, because: Because) -> IncidentId {
        match self.done(1, Record::Opened { peer: id(peer), because }) {
            Effect::Opened(id) => id,
            other @ (Effect::Done | Effect::Revision(_) | Effect::PassedOver(_)) => {
                panic!("not opened but {other:?}")
            }
        }
    }

    pub(crate) fn incident(&self, id: IncidentId) -> &Incident {
        &self.ledger.incidents()[&id]
    }

    /// The assignment of the next rung of an incident to a worker, as a correct leader writes it.
    pub(crate) fn next(&self, incident: IncidentId, worker: u64) -> Record {
        let known = self.incident(incident);
        let timeout = known.next_rung().map_or(Duration::ZERO, |rung| rung.timeout);
        Record::Assigned {
            incident,
            attempt: u32::try_from(known.attempts.len()).expect("few") + 1,
            rung: known.climbed,
            part: known.next_part,
            worker: id(worker),
            start_by: at(self.now + 10_000),
            until: at(self.now + 30_000).plus(timeout),
        }
    }

    pub(crate) fn assign(&mut self, incident: IncidentId, worker: u64) {
        let record = self.next(incident, worker);
        self.done(1, record);
    }

    pub(crate) fn assign_refused(&mut self, incident: IncidentId, worker: u64) -> Refusal {
        let record = self.next(incident, worker);
        self.refused(1, record)
    }

    pub(crate) fn report(&mut self, incident: IncidentId, worker: u64, outcome: record::Outcome) {
        let attempt = u32::try_from(self.incident(incident).attempts.len()).expect("few");
        let report = ended(outcome);
        self.done(worker, Record::Reported { incident, attempt, report });
    }

    /// The next rung is given out and ends.
    pub(crate) fn climb(&mut self, incident: IncidentId, worker: u64, outcome: record::Outcome) {
        self.assign(incident, worker);
        self.report(incident, worker, outcome);
    }

    pub(crate) fn resolve(&mut self, incident: IncidentId) {
        self.done(1, Record::Resolved { incident, because: "it passes".to_owned() });
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now += seconds * 1_000;
    }
}
