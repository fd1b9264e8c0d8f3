//! A mesh's ledger that is told things.

use ed25519_dalek::SigningKey;
use protocol::{
    codec,
    document::bundle::{Bundle, Source},
    ledger::{Effect, Ledger, Outcome, guests::hash_of},
    name::{Name, PeerId, RaftId},
    order::{Action, Order, SignedOrder},
    record::{Entry, Founding, PeerCard, Position, Record, TokenGrant, TokenId, Trust},
    time::Timestamp,
};
use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

/// 2026-01-01T00:10:00Z.
const BEGINS: Timestamp = Timestamp::from_millis(1_767_226_200_000);

const ROOT: [u8; 32] = [9; 32];

/// How many peers the mesh has.
const PEERS: u8 = 3;

/// Checks that are about what strangers tell, and what is done about a few of them.
const DOCUMENTS: &str = r#"
[[check]]
name = "web"
every = "1s"
timeout = "1s"
command = "true"
where = { role = "web" }

[[check]]
name = "told"
alert = { alertname = { matches = "." } }

[[check]]
name = "jobs"
heartbeat = {}

[[check]]
name = "nightly"
heartbeat = "nightly-backup"
period = "1d"
grace = "1h"

[[runbook]]
name = "restart-web"
on = { check = "web" }

[[runbook.rung]]
name = "restart"
run = "true"
timeout = "10s"
settle = "2s"

[[runbook.rung]]
name = "call"
notify = "ops"

[[runbook]]
name = "look-after-jobs"
on = { check = "jobs" }

[[runbook.rung]]
name = "call"
notify = "ops"

[[notifier]]
name = "ops"
kind = "webhook"
url = "http://127.0.0.1:9099/hook"
"#;

/// Its host has no daemon; this is the secret of its surgeon.
pub(super) const SURGEON: &str = "old-db.7J";

pub(super) fn operator() -> SigningKey {
    SigningKey::from_bytes(&[200; 32])
}

pub(super) fn id(n: u8) -> PeerId {
    PeerId::from_random(n.into())
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

fn card(n: u8) -> PeerCard {
    PeerCard {
        id: id(n),
        name: name(&format!("web-{n}")),
        labels: BTreeMap::from([
            ("role".to_owned(), "web".to_owned()),
            ("zone".to_owned(), ["a", "b", "c"][usize::from(n % 3)].to_owned()),
        ]),
        address: std::net::SocketAddr::from(([10, 0, 0, n], 7946)),
        public_key: SigningKey::from_bytes(&[n; 32]).verifying_key().to_bytes(),
        raft_id: RaftId(n.into()),
        generation: 1,
        version: "0.1.0".to_owned(),
        cell: 0,
    }
}

fn founded() -> Ground {
    let mut ground = Ground { ledger: Ledger::default(), index: 0, now: BEGINS };
    let operators = vec![operator().verifying_key().to_bytes()];
    let trust = Trust { version: 1, threshold: 1, operators };
    let founding = Founding { mesh: name("test"), root_fingerprint: ROOT, trust, peer: card(1) };
    let done = |outcome: Outcome| assert!(outcome.is_ok(), "the mesh is founded: {outcome:?}");
    done(ground.tell(Record::Founded(founding)));
    let grant = TokenGrant {
        id: TokenId(1),
        verifying_key: [4; 32],
        expires: BEGINS.plus(Duration::from_secs(3_600)),
        uses: 9,
        name: None,
    };
    let order = ground.ordered(Action::CreateToken(grant));
    done(ground.tell(Record::Ordered { order }));
    for n in 2..=PEERS {
        done(ground.tell(Record::PeerJoined { token: TokenId(1), peer: card(n) }));
    }
    for n in 1..=PEERS {
        done(ground.tell_by(n, Record::PeerStarted { peer: card(n) }));
    }
    let hash: String = hash_of_text(SURGEON);
    let guest =
        format!("[[guest]]\nname = \"old-db\"\nlabels = {{}}\nsurgeon_sha256 = \"{hash}\"\n");
    done(ground.documents(&format!("{DOCUMENTS}\n{guest}")));
    ground
}

fn hash_of_text(text: &str) -> String {
    let hash = protocol::document::guest::hash_of(text);
    data_encoding::HEXLOWER.encode(&hash)
}

/// The hash by which the log knows an operation.
pub(super) fn operation(n: u64) -> [u8; 32] {
    hash_of(n)
}

/// A ledger, and what time it is.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) ledger: Ledger,
    pub(super) index: u64,
    pub(super) now: Timestamp,
}

impl Ground {
    /// A mesh with a few peers and documents.
    pub(super) fn new() -> Self {
        static FOUNDED: OnceLock<Ground> = OnceLock::new();
        FOUNDED.get_or_init(founded).clone()
    }

    pub(super) fn wait(&mut self, span: Duration) {
        self.now = self.now.plus(span);
    }

    /// An entry by the first peer.
    pub(super) fn tell(&mut self, record: Record) -> Outcome {
        self.tell_by(1, record)
    }

    fn tell_by(&mut self, n: u8, record: Record) -> Outcome {
        let entry = Entry { at: self.now, by: id(n), term: 1, record };
        self.apply(&entry)
    }

    /// Applies an entry. What is refused says why and changes nothing, and time never goes back.
    pub(super) fn apply(&mut self, entry: &Entry) -> Outcome {
        self.index += 1;
        let position = Position { index: self.index, term: 1 };
        let mut before = self.ledger.clone();
        let last_at = before.last_at();
        let outcome = self.ledger.apply(position, entry);
        assert_eq!(self.ledger.last_at(), last_at.max(entry.at), "time never goes back");
        assert_eq!(self.ledger.position(), position);
        if let Err(refusal) = &outcome {
            super::says_why(refusal);
            if before.mesh().is_some() {
                let nothing = Entry { record: Record::Listening, term: 1, ..entry.clone() };
                assert_eq!(before.apply(position, &nothing), Ok(Effect::Done));
                assert!(before == self.ledger, "what is refused changes nothing: {refusal}");
            }
        }
        outcome
    }

    /// Signs documents and brings them to the log.
    pub(super) fn documents(&mut self, text: &str) -> Outcome {
        let source = Source { file: "test.toml".to_owned(), text: text.to_owned() };
        let revision = self.ledger.library().revision() + 1;
        let bundle = Bundle { mesh: ROOT, revision, sources: vec![source] }.sign(&operator());
        self.tell(Record::DocumentsApplied { bundle })
    }

    /// An order of the operator.
    pub(super) fn ordered(&self, action: Action) -> SignedOrder {
        let expires = self.now.plus(Duration::from_secs(60));
        Order { mesh: ROOT, nonce: self.index, expires, action }.sign(&operator())
    }

    /// Asserts that the ledger reads back from its bytes.
    pub(super) fn reads_back(&self) {
        let read: Result<Ledger, _> = codec::decode(&codec::encode(&self.ledger));
        assert!(read.as_ref() == Ok(&self.ledger), "a ledger reads back from its bytes");
    }
}
