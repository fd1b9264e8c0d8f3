//! A large mesh: its members, its documents, and what happens to it.

use ed25519_dalek::{Signer, SigningKey};
use protocol::{
    document::{
        Verdict,
        bundle::{Bundle, SignedBundle, Source},
    },
    ledger::{Effect, Ledger},
    name::{IncidentId, Name, PeerId, RaftId},
    order::{Action, Order},
    record::{
        AttemptReport, Because, Entry, Founding, Outcome, Part, PeerCard, Position, Record,
        TokenGrant, TokenId, Trust,
    },
    report::{CheckState, Report, SignedReport},
    time::Timestamp,
};
use std::{collections::BTreeMap, fmt::Write, time::Duration};

/// How many peers there are.
pub(crate) const PEERS: u64 = 1_000;

/// How many checks each of them runs.
pub(crate) const CHECKS: u64 = 20;

/// How many incidents are open in the second benchmark of ticks.
pub(crate) const OPEN: u64 = 50;

/// The term of everything here.
pub(crate) const TERM: u64 = 1;

/// Opened, assigned, reported, resolved.
pub(crate) const RECORDS_PER_LIFE: u32 = 4;

/// As many roles as it takes for 5,000 checks.
const ROLES: u64 = 250;

/// One for almost every check, so that there are 10,000 documents with the notifier, the limits
/// and the settings.
const RUNBOOKS: u64 = 4_997;

/// A role's checks that a runbook answers, whichever role it is.
const ANSWERED: u64 = CHECKS - 3;

const ROOT: [u8; 32] = [9; 32];

/// A large mesh.
pub(crate) struct Large {
    /// What is agreed on.
    pub(crate) ledger: Ledger,
    millis: u64,
    lives: u64,
}

impl Large {
    /// A mesh of 1,000 running peers.
    pub(crate) fn founded() -> Self {
        let mut large = Self { ledger: Ledger::default(), millis: 1_767_225_600_000, lives: 0 };
        let mesh = name("large");
        let (trust, peer) = (large.trust(), large.card(0));
        let founding = Founding { mesh, root_fingerprint: ROOT, trust, peer };
        large.write(0, Record::Founded(founding));
        let token = TokenId(1);
        let expires = large.now().plus(Duration::from_secs(86_400));
        let grant =
            TokenGrant { id: token, verifying_key: [1; 32], expires, uses: 2_000, name: None };
        let order = Order { mesh: ROOT, nonce: 1, expires, action: Action::CreateToken(grant) };
        large.write(0, Record::Ordered { order: order.sign(&operator()) });
        for peer in 1..PEERS {
            large.write(0, Record::PeerJoined { token, peer: large.card(peer) });
        }
        for peer in 0..PEERS {
            large.write(peer, Record::PeerStarted { peer: large.card(peer) });
        }
        large
    }

    /// Whose documents are executed.
    pub(crate) fn trust(&self) -> Trust {
        let operators = vec![operator().verifying_key().to_bytes()];
        Trust { version: 1, threshold: 1, operators }
    }

    /// What the roster says of a peer.
    pub(crate) fn card(&self, peer: u64) -> PeerCard {
        PeerCard {
            id: id(peer),
            name: name(&format!("host-{peer}")),
            labels: BTreeMap::from([
                ("role".to_owned(), format!("r{}", peer % ROLES)),
                ("zone".to_owned(), format!("z{}", peer % 3)),
            ]),
            address: "10.0.0.1:4327".parse().expect("an address"),
            public_key: key(peer).verifying_key().to_bytes(),
            raft_id: RaftId(peer + 1),
            generation: 1,
            version: "0.1.0".to_owned(),
            cell: 0,
        }
    }

    /// 10,000 documents, signed.
    pub(crate) fn bundle(&self) -> SignedBundle {
        let mut text = String::new();
        for role in 0..ROLES {
            for check in 0..CHECKS {
                writeln!(
                    text,
                    "[[check]]\nname = \"r{role}-c{check}\"\ncommand = [\"/usr/lib/check\", \
                     \"{check}\"]\nwhere = {{ role = \"r{role}\" }}"
                )
                .expect("it is text");
            }
        }
        for runbook in 0..RUNBOOKS {
            let (role, check) = (runbook / CHECKS, runbook % CHECKS);
            writeln!(
                text,
                "[[runbook]]\nname = \"heal-r{role}-c{check}\"\non = {{ check = \
                 \"r{role}-c{check}\" }}\ncooldown = \"0s\"\n[[runbook.rung]]\nname = \"restart\"\n\
                 run = \"systemctl restart service-{check}\"\n[[runbook.rung]]\nname = \"call\"\n\
                 notify = \"ops\""
            )
            .expect("it is text");
        }
        text.push_str("[[notifier]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"http://h/\"\n");
        text.push_str("[limits]\nat_once = 100\nshare_percent = 30\n[mesh]\nvoters_max = 5\n");
        let sources = vec![Source { file: "large.toml".to_owned(), text }];
        Bundle { mesh: ROOT, revision: 1, sources }.sign(&operator())
    }

    /// The bundle becomes revision 1.
    pub(crate) fn apply_documents(&mut self, bundle: SignedBundle) {
        self.write(0, Record::DocumentsApplied { bundle });
        assert_eq!(self.ledger.library().documents().len(), 10_000);
    }

    /// The records of the next incident's whole life.
    pub(crate) fn life(&mut self) -> Vec<(Position, Entry)> {
        let peer = self.lives % PEERS;
        let because = self.failure(peer, self.lives / PEERS % ANSWERED);
        self.lives += 1;
        let index = self.ledger.position().index + 1;
        let incident = IncidentId(index);
        let at = self.now();
        let start_by = at.plus(Duration::from_secs(10));
        let until = start_by.plus(Duration::from_secs(70));
        let report = AttemptReport {
            outcome: Outcome::Succeeded,
            exit_code: Some(0),
            started_at: Some(at),
            finished_at: at,
            output: "restarting\n".repeat(40),
        };
        let because_of = "check \"service\" passes again after rung \"restart\"".to_owned();
        let records = [
            (0, Record::Opened { peer: id(peer), because }),
            (
                0,
                Record::Assigned {
                    incident,
                    attempt: 1,
                    rung: 0,
                    worker: id(peer),
                    part: Part::Act,
                    start_by,
                    until,
                },
            ),
            (peer, Record::Reported { incident, attempt: 1, report }),
            (0, Record::Resolved { incident, because: because_of }),
        ];
        (index..).zip(records).map(|(index, (by, record))| self.entry(index, by, record)).collect()
    }

    /// Opens an incident.
    pub(crate) fn open(&mut self, peer: u64) {
        let because = self.failure(peer, 0);
        self.write(0, Record::Opened { peer: id(peer), because });
    }

    /// A peer's report: every check passes, but the first one of those with an open incident.
    pub(crate) fn report(&self, peer: u64) -> SignedReport {
        let ails = self.ledger.open_incidents().any(|incident| incident.peer == id(peer));
        let state = |check| CheckState {
            verdict: if ails && check == 0 { Verdict::Fail } else { Verdict::Pass },
            since: self.now(),
            summary: "HTTP OK: 200 in 0.004 s".to_owned(),
            verified: None,
            flapping: false,
            muted_by: None,
        };
        let checks = (0..CHECKS).map(|check| (check_of(peer, check), state(check)));
        let report = Report {
            peer: id(peer),
            generation: 1,
            sequence: 1,
            checks: checks.collect(),
            facts: BTreeMap::new(),
        };
        let signature = key(peer).sign(&report.signed_bytes()).to_bytes().to_vec();
        SignedReport { report, signature }
    }

    /// The time of the log.
    pub(crate) const fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis)
    }

    fn failure(&mut self, peer: u64, check: u64) -> Because {
        self.millis += 1_000;
        Because::Check {
            check: check_of(peer, check),
            verdict: Verdict::Fail,
            since: self.now(),
            summary: "HTTP CRITICAL: no answer within 10 s".to_owned(),
        }
    }

    fn entry(&self, index: u64, by: u64, record: Record) -> (Position, Entry) {
        let entry = Entry { at: self.now(), by: id(by), term: TERM, record };
        (Position { index, term: TERM }, entry)
    }

    fn write(&mut self, by: u64, record: Record) -> Effect {
        let index = self.ledger.position().index + 1;
        let (position, entry) = self.entry(index, by, record);
        self.ledger.apply(position, &entry).expect("it is taken")
    }
}

fn check_of(peer: u64, check: u64) -> Name {
    name(&format!("r{}-c{check}", peer % ROLES))
}

fn id(peer: u64) -> PeerId {
    PeerId::from_random(peer + 1)
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

fn key(peer: u64) -> SigningKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&peer.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

fn operator() -> SigningKey {
    SigningKey::from_bytes(&[200; 32])
}
