//! What the leader takes from another peer: one table, every record by its author and by another.

mod common;

use common::{card, ended, evidence_by, failing, founding, id, name, ordered, signed};
use protocol::{
    ledger::may_forward,
    name::IncidentId,
    order::Action,
    record::{Author, Delivered, Entry, Outcome, Record, TokenId},
    refusal::Refusal,
    stream::Batch,
    time::Timestamp,
};

const INCIDENT: IncidentId = IncidentId(9);

/// Every kind of record, of peer 2 where it is about a peer; whether peer 2 may have it written;
/// and whether it is the leader's decision.
fn table() -> Vec<(Record, bool, bool)> {
    let (incident, attempt) = (INCIDENT, 1);
    let table = vec![
        (Record::Founded(founding()), false, false),
        (Record::Ordered { order: ordered(1, Timestamp::default(), Action::Thaw) }, true, false),
        (Record::PeerJoined { token: TokenId(1), peer: card(2) }, false, true),
        (Record::PeerStarted { peer: card(2) }, true, false),
        (Record::PeerStopped { peer: id(2) }, true, false),
        (Record::PeerLeft { peer: id(2) }, true, false),
        (Record::DocumentsApplied { bundle: signed(1, "") }, true, false),
        (Record::Opened { peer: id(2), because: failing(1) }, false, true),
        (Record::EvidenceTaken { incident, evidence: evidence_by(2) }, true, false),
        (
            Record::Assigned {
                incident,
                attempt,
                rung: 0,
                part: protocol::record::Part::Act,
                worker: id(2),
                start_by: Timestamp::default(),
                until: Timestamp::default(),
            },
            false,
            true,
        ),
        (Record::Reported { incident, attempt, report: ended(Outcome::Failed) }, true, false),
        (Record::Lost { incident, attempt, reason: String::new() }, false, true),
        (Record::Held { incident, refusal: Refusal::NoRunbook }, false, true),
        (Record::Resolved { incident, because: String::new() }, false, true),
        (Record::Escalated { incident, reason: String::new() }, false, true),
        (Record::Called { incident, rung: 0 }, false, true),
        (Record::Skipped { incident, rung: 0, refusal: Refusal::NoRunbook }, false, true),
        (Record::Restarted { incident }, false, true),
        (Record::CalledAgain { incident, notifier: name("ops") }, false, true),
        (Record::Booted { peer: id(2), boot_id: "b".to_owned() }, true, false),
        (Record::NotRebooted { incident, attempt }, false, true),
        (Record::Alerted { words: Vec::new() }, true, false),
        (Record::JobsTold { words: Vec::new(), nonce: None }, true, false),
        (Record::Missed { jobs: Vec::new() }, false, true),
        (Record::Forgotten { jobs: Vec::new() }, false, true),
        (Record::Listening, false, true),
        (Record::Streamed { batch: Batch::place(name("s"), "t".to_owned(), 0, 0) }, false, true),
        (Record::Claimed { incident, attempt, operation: [1; 32] }, true, false),
        (Record::Operated { operation: 1, report: ended(Outcome::Failed) }, true, false),
        (Record::Withdrawn { incident, attempt, reason: String::new() }, false, true),
        (
            Record::Notified {
                incident,
                notice: 1,
                delivered: Delivered::Yes,
                detail: String::new(),
            },
            false,
            true,
        ),
    ];
    // A new kind of record stops the build here: it belongs into the table above.
    for (record, _, _) in &table {
        match record {
            Record::Founded(_)
            | Record::Ordered { .. }
            | Record::PeerJoined { .. }
            | Record::PeerStarted { .. }
            | Record::PeerStopped { .. }
            | Record::PeerLeft { .. }
            | Record::DocumentsApplied { .. }
            | Record::Opened { .. }
            | Record::EvidenceTaken { .. }
            | Record::Assigned { .. }
            | Record::Reported { .. }
            | Record::Lost { .. }
            | Record::Held { .. }
            | Record::Resolved { .. }
            | Record::Escalated { .. }
            | Record::Called { .. }
            | Record::Notified { .. }
            | Record::Skipped { .. }
            | Record::Restarted { .. }
            | Record::CalledAgain { .. }
            | Record::Booted { .. }
            | Record::Alerted { .. }
            | Record::Streamed { .. }
            | Record::JobsTold { .. }
            | Record::Missed { .. }
            | Record::Forgotten { .. }
            | Record::Listening
            | Record::Claimed { .. }
            | Record::Operated { .. }
            | Record::Withdrawn { .. }
            | Record::NotRebooted { .. } => {}
        }
    }
    table
}

fn entry(by: u64, record: &Record) -> Entry {
    Entry { at: Timestamp::default(), by: id(by), term: 1, record: record.clone() }
}

#[test]
fn facts_are_their_authors_to_forward_and_decisions_nobodys() {
    for (record, allowed, decision) in table() {
        let answer = may_forward(id(2), &entry(2, &record));
        assert_eq!(answer.is_ok(), allowed, "{record:?}: {answer:?}");
        assert_eq!(record.author() == Author::Leader, decision, "{record:?}");
        assert!(!(allowed && decision), "{record:?}");
    }
}

#[test]
fn nobody_writes_in_anothers_name() {
    for (record, _, _) in table() {
        let answer = may_forward(id(3), &entry(2, &record));
        assert!(matches!(answer, Err(Refusal::NotAllowed { by, .. }) if by == id(3)), "{record:?}");
    }
}

#[test]
fn nobody_states_anothers_facts_in_its_own_name() {
    for record in [
        Record::PeerStarted { peer: card(2) },
        Record::PeerStopped { peer: id(2) },
        Record::PeerLeft { peer: id(2) },
        Record::Booted { peer: id(2), boot_id: "b".to_owned() },
    ] {
        assert!(may_forward(id(3), &entry(3, &record)).is_err(), "{record:?}");
    }
}
