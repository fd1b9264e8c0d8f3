//! A small mesh for the views' tests: three peers, the documents of the README, one incident.

use crate::identity::PeerKey;
use ed25519_dalek::SigningKey;
use protocol::{
    agent::{Agent, Input, LocalPolicy, Origin, Standing},
    document::{
        Selector, Silence, Verdict,
        bundle::{Bundle, Source},
    },
    ledger::{Ledger, Outcome},
    name::{IncidentId, Labels, Name, PeerId, RaftId},
    order::{Action, Order},
    record::{
        self, AttemptReport, Because, Entry, EvidenceSummary, Founding, PeerCard, Position, Record,
        Seen, Testimony, TokenGrant, TokenId, Trust,
    },
    refusal::Refusal,
    report::{CheckState, Report, SignedReport},
    time::{Now, Timestamp},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// 2026-11-21T02:00:00Z.
const BEGIN: u64 = 1_795_226_400_000;
const MESH: [u8; 32] = [7; 32];
const DOCUMENTS: &str = "\
# What the web servers must do.
[[check]]
name    = \"web-alive\"
every   = \"1s\"
command = [\"/bin/true\"]
where   = { role = \"web\" }

# How they are brought back.
[[runbook]]
name     = \"restart-web\"
on       = { check = \"web-alive\" }
cooldown = \"10s\"

[[runbook.evidence]]
run = \"ps aux\"

[[runbook.rung]]
name = \"restart\"
run  = \"systemctl restart web\"

[[runbook.rung]]
name   = \"call a person\"
notify = \"ops\"

[[notifier]]
name = \"ops\"
kind = \"webhook\"
url  = \"http://127.0.0.1:9099/hook\"

[limits]
at_once = 2
";

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// The moment `seconds` after the story begins.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(BEGIN + seconds * 1_000)
}

/// The clocks at that moment.
pub(crate) fn now(seconds: u64) -> Now {
    Now { wall: at(seconds), mono: Duration::from_secs(seconds) }
}

pub(crate) struct Sample {
    pub(crate) agent: Agent,
    index: u64,
    second: u64,
    operator: SigningKey,
}

fn key(place: u8) -> PeerKey {
    PeerKey::from_seed(&[place; 32])
}

/// The peers are numbered from 1 as they joined.
fn peer(place: u8) -> PeerId {
    PeerId::from_random(u64::from(place))
}

fn card(place: u8, named: &str, role: &str, zone: &str) -> PeerCard {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    PeerCard {
        id: peer(place),
        name: name(named),
        labels: Labels::from([label("role", role), label("zone", zone)]),
        address: format!("10.0.0.{place}:4327").parse().unwrap(),
        public_key: key(place).public_key(),
        raft_id: RaftId(u64::from(place)),
        generation: 1,
        version: "0.1.0".to_owned(),
        cell: 0,
    }
}

impl Sample {
    /// Three peers, of which web-2 was never heard of; nothing is wrong.
    pub(crate) fn quiet() -> Self {
        let operator = SigningKey::from_bytes(&[9; 32]);
        let trust = Trust {
            version: 1,
            threshold: 1,
            operators: vec![operator.verifying_key().to_bytes()],
        };
        let first = card(1, "db-1", "db", "a");
        let agent = Agent::new(Origin {
            card: first.clone(),
            trust: trust.clone(),
            policy: LocalPolicy::default(),
            ledger: Ledger::default(),
            started: BTreeSet::new(),
        });
        let mut sample = Self { agent, index: 0, second: 0, operator };
        let mesh = name("prod");
        let founding = Founding { mesh, root_fingerprint: MESH, trust, peer: first.clone() };
        sample.commit(1, Record::Founded(founding));
        sample.commit(1, Record::PeerStarted { peer: first });
        sample.order(Action::CreateToken(TokenGrant {
            id: TokenId(1),
            verifying_key: [1; 32],
            expires: at(3_600),
            uses: 5,
            name: None,
        }));
        for (place, named, zone) in [(2, "web-1", "a"), (3, "web-2", "b")] {
            let joined = card(place, named, "web", zone);
            sample.commit(1, Record::PeerJoined { token: TokenId(1), peer: joined.clone() });
            sample.commit(place, Record::PeerStarted { peer: joined });
        }
        let source = Source { file: "web.toml".to_owned(), text: DOCUMENTS.to_owned() };
        let bundle = Bundle { mesh: MESH, revision: 1, sources: vec![source] };
        let bundle = bundle.sign(&sample.operator);
        sample.commit(1, Record::DocumentsApplied { bundle });
        sample.stand(Some(1));
        sample.input(Input::Liveness { peer: peer(2), alive: true });
        sample
    }

    /// web-1's check fails and the incident about it is open.
    pub(crate) fn with_failing_check() -> Self {
        let mut sample = Self::quiet();
        sample.report(2, Verdict::Fail, 20);
        let because = Because::Check {
            check: name("web-alive"),
            verdict: Verdict::Fail,
            since: at(20),
            summary: "no file\n".to_owned(),
        };
        sample.commit(1, Record::Opened { peer: peer(2), because });
        sample
    }

    /// web-2 is dark, as db-1 and web-1 have seen.
    pub(crate) fn with_silence() -> Self {
        let mut sample = Self::quiet();
        let seen =
            |witness: u8| Testimony { witness: peer(witness), seen: Seen::NoAnswer, at: at(21) };
        let because = Because::Silent {
            kind: Silence::Dark,
            since: at(20),
            witnesses: vec![seen(1), seen(2)],
        };
        sample.commit(1, Record::Opened { peer: peer(3), because });
        sample
    }

    /// The incident that was opened last.
    pub(crate) fn incident(&self) -> IncidentId {
        *self.agent.ledger().incidents().keys().next_back().unwrap()
    }

    /// The time now.
    pub(crate) fn now(&self) -> Now {
        now(self.second)
    }

    pub(crate) fn take_evidence(&mut self) {
        let evidence = EvidenceSummary {
            hash: [4; 32],
            bytes: 1_234,
            taken_by: peer(2),
            steps_failed: 0,
            keepers: vec![peer(1)],
        };
        let incident = self.incident();
        self.commit(2, Record::EvidenceTaken { incident, evidence });
    }

    pub(crate) fn assign(&mut self) {
        let start_by = at(self.second + 10);
        let record = Record::Assigned {
            incident: self.incident(),
            attempt: 1,
            rung: 0,
            part: record::Part::Act,
            worker: peer(2),
            start_by,
            until: start_by.plus(Duration::from_secs(70)),
        };
        self.commit(1, record);
    }

    pub(crate) fn finish(&mut self, outcome: record::Outcome, exit_code: i32, output: &str) {
        let report = AttemptReport {
            outcome,
            exit_code: Some(exit_code),
            started_at: Some(at(self.second)),
            finished_at: at(self.second + 1),
            output: output.to_owned(),
        };
        let record = Record::Reported { incident: self.incident(), attempt: 1, report };
        self.commit(2, record);
    }

    pub(crate) fn resolve(&mut self) {
        let because = "check \"web-alive\" passes again after rung \"restart\"".to_owned();
        let incident = self.incident();
        self.commit(1, Record::Resolved { incident, because });
    }

    pub(crate) fn hold(&mut self, refusal: Refusal) {
        let incident = self.incident();
        self.commit(1, Record::Held { incident, refusal });
    }

    pub(crate) fn freeze(&mut self, reason: &str) {
        self.order(Action::Freeze { reason: reason.to_owned() });
    }

    /// Nothing is repaired on the peers with this role.
    pub(crate) fn maintain(&mut self, named: &str, role: &str) {
        self.order(Action::StartMaintenance {
            name: name(named),
            peers: Vec::new(),
            selector: Selector::of([("role".to_owned(), role.to_owned())]),
            until: at(3_000),
            reason: "new kernel".to_owned(),
        });
    }

    /// A host is let in, and its daemon is not started.
    pub(crate) fn join(&mut self, place: u8, named: &str) {
        let joined = card(place, named, "web", "b");
        self.commit(1, Record::PeerJoined { token: TokenId(1), peer: joined });
    }

    /// The leader sees both others silent at once.
    pub(crate) fn storm(&mut self) {
        let because = Because::Storm {
            silent: vec![peer(2), peer(3)],
            zone: None,
            cause: record::StormCause::Leader,
            since: at(5),
        };
        self.commit(1, Record::Opened { peer: peer(1), because });
    }

    pub(crate) fn stop(&mut self, named: &str) {
        let (peer, _) = self.agent.ledger().roster().by_name(named).unwrap();
        let place = u8::try_from(peer.bits()).unwrap();
        self.commit(place, Record::PeerStopped { peer });
    }

    pub(crate) fn remove(&mut self, named: &str) {
        let (peer, _) = self.agent.ledger().roster().by_name(named).unwrap();
        self.order(Action::RemovePeer { peer });
    }

    /// What gossip says of a peer.
    pub(crate) fn hear(&mut self, place: u8, alive: bool) {
        self.input(Input::Liveness { peer: peer(place), alive });
    }

    /// Who leads; db-1 and web-1 vote.
    pub(crate) fn stand(&mut self, leader: Option<u8>) {
        self.vote(&[1, 2], leader);
    }

    /// Who votes, and who leads.
    pub(crate) fn vote(&mut self, voters: &[u8], leader: Option<u8>) {
        let voters = voters.iter().map(|place| (peer(*place), RaftId(u64::from(*place))));
        self.input(Input::Standing(Standing {
            term: 1,
            leader: leader.map(peer),
            leads: leader == Some(1),
            voters: voters.collect(),
            learners: BTreeMap::new(),
        }));
    }

    pub(crate) fn report(&mut self, place: u8, verdict: Verdict, since: u64) {
        let state = CheckState {
            verdict,
            since: at(since),
            summary: "no file".to_owned(),
            verified: None,
            flapping: false,
            muted_by: None,
        };
        let report = Report {
            peer: peer(place),
            generation: 1,
            sequence: self.index,
            checks: BTreeMap::from([(name("web-alive"), state)]),
            facts: BTreeMap::from([("kernel".to_owned(), "6.12".to_owned())]),
        };
        let signature = key(place).sign(&report.signed_bytes()).to_vec();
        self.input(Input::Heard(SignedReport { report, signature }));
    }

    fn order(&mut self, action: Action) {
        let order = Order { mesh: MESH, nonce: self.index, expires: at(3_600), action };
        let order = order.sign(&self.operator);
        self.commit(1, Record::Ordered { order });
    }

    fn commit(&mut self, by: u8, record: Record) {
        let outcome = self.try_commit(by, record);
        assert!(outcome.is_ok(), "{outcome:?}");
    }

    /// Commits a record and gives what the ledger made of it.
    pub(crate) fn try_commit(&mut self, by: u8, record: Record) -> Outcome {
        self.index += 1;
        let entry = Entry { at: self.now().wall, by: peer(by), term: 1, record };
        let mut rehearsal = self.agent.ledger().clone();
        let position = Position { index: self.index, term: 1 };
        let outcome = rehearsal.apply(position, &entry);
        self.input(Input::Committed { position, entry: Some(entry) });
        outcome
    }

    fn input(&mut self, input: Input) {
        let now = self.now();
        drop(self.agent.handle(now, input));
        self.second += 2;
    }
}
