//! What peers send each other and what lies on their disks: bytes that only we write, unless
//! somebody else does.

use super::{
    ground::{Ground, operation, operator},
    says_why,
};
use node::{
    daemon,
    exec::evidence::shelf::{self, TEXT_MAX_BYTES},
    identity::certificate::{PeerCertificate, RootCertificate, self_signed_key},
    setup::joining::{JoinAnswer, JoinRequest},
};
use protocol::{
    codec,
    document::bundle::SignedBundle,
    learn::Habits,
    ledger::Ledger,
    order::{Order, SignedOrder},
    record::{Entry, Record},
    report::{REPORT_BYTES_MAX, SignedReport},
    time::Timestamp,
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// Where the time of made-up entries begins: that of the ones whose bytes are kept as they were.
const TIME: Timestamp = Timestamp::from_millis(60_000);

/// Asserts that what these bytes say reads back as it was, and says whether they say anything.
fn travels<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> bool {
    match codec::decode::<T>(bytes) {
        Ok(value) => {
            let written = codec::encode(&value);
            assert_eq!(codec::decode::<T>(&written).as_ref(), Ok(&value), "it reads back");
            true
        }
        Err(why) => {
            says_why(&why);
            false
        }
    }
}

/// Asserts that what was read and written again is read and written the same once more.
fn settles(bytes: &[u8], again: impl Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
    let Some(written) = again(bytes) else { return false };
    let twice = again(&written);
    assert!(twice.as_ref() == Some(&written), "what was written is read and written the same");
    true
}

/// A report of a peer; one with somebody else's signature is nobody's.
pub(super) fn report(bytes: &[u8]) -> bool {
    match SignedReport::decode(bytes) {
        Ok(signed) => {
            assert!(u64::try_from(bytes.len()).is_ok_and(|length| length <= REPORT_BYTES_MAX + 1));
            assert_eq!(SignedReport::decode(&signed.encode()).as_ref(), Ok(&signed));
            assert!(!signed.is_by(&[4; 32]), "nobody can sign for this key");
            assert!(!signed.report.is_newer_than(&signed.report));
            let worst = signed.report.worst();
            assert_eq!(worst.is_none(), signed.report.checks.is_empty());
            true
        }
        Err(why) => {
            says_why(&why);
            false
        }
    }
}

/// What an applicant sends, and what is answered.
pub(super) fn join(bytes: &[u8]) -> bool {
    let request = JoinRequest::decode(bytes).inspect(|request| {
        assert_eq!(JoinRequest::decode(&request.encode()).as_ref(), Ok(request));
    });
    let answer = JoinAnswer::decode(bytes).inspect(|answer| {
        assert_eq!(JoinAnswer::decode(&answer.encode()).as_ref(), Ok(answer));
    });
    request.is_ok() || answer.is_ok()
}

/// What peers ask each other, and what follows the log.
pub(super) fn peers(bytes: &[u8]) -> bool {
    let read = daemon::MESSAGES.map(|again| settles(bytes, again));
    let habits = settles(bytes, |bytes| {
        codec::decode::<Habits>(bytes).ok().map(|habits| codec::encode(&habits))
    });
    read.contains(&true) || habits
}

/// What the members of the Raft group say to each other, and keep.
pub(super) fn raft(bytes: &[u8]) -> bool {
    consensus::MESSAGES.map(|again| settles(bytes, again)).contains(&true)
}

/// Entries of the log, one after the other: orders and documents are signed here, for nothing else
/// brings them in.
pub(super) fn log(bytes: &[u8]) -> bool {
    let entries: Vec<Entry> = match codec::decode(bytes) {
        Ok(entries) => entries,
        Err(why) => {
            says_why(&why);
            return false;
        }
    };
    let mut ground = Ground::new();
    let mut taken = false;
    for entry in entries.into_iter().take(super::REQUESTS_MAX) {
        let at = dated(entry.at, &ground);
        let record = signed(entry.record, &ground);
        // Most entries are of the leader's term.
        let entry = Entry { at, term: entry.term.min(1), record, by: entry.by };
        taken |= ground.apply(&entry).is_ok();
    }
    for incident in ground.ledger.incidents().values() {
        for (place, attempt) in (1..).zip(&incident.attempts) {
            assert_eq!(attempt.number, place, "attempts are numbered without a gap");
        }
        let story = protocol::explain::signal(&ground.ledger, incident.peer, &incident.because);
        assert!(!story.is_empty());
        for line in &incident.timeline {
            assert!(!protocol::explain::line(&ground.ledger, incident, line).is_empty());
        }
    }
    ground.reads_back();
    taken
}

/// A moment of this mesh's time, unless it lies in its future anyway.
fn dated(at: Timestamp, ground: &Ground) -> Timestamp {
    if at < ground.now { ground.now.plus(at.since(TIME)) } else { at }
}

fn signed(record: Record, ground: &Ground) -> Record {
    if let Record::Ordered { order: SignedOrder { order, .. } } = record {
        let expires = dated(order.expires, ground);
        return Record::Ordered { order: Order { expires, ..order }.sign(&operator()) };
    }
    if let Record::DocumentsApplied { bundle: SignedBundle { mut bundle, .. } } = record {
        let latest = ground.ledger.library().revision();
        bundle.revision = bundle.revision.clamp(latest, latest + 1);
        return Record::DocumentsApplied { bundle: bundle.sign(&operator()) };
    }
    record
}

/// A ledger, as a voter sends it or a disk has it.
pub(super) fn snapshot(bytes: &[u8]) -> bool {
    travels::<Ledger>(bytes)
}

/// A bundle of evidence that a peer hands out: it is never more than so much text.
pub(super) fn evidence(bytes: &[u8]) -> bool {
    let hash = operation(7);
    assert!(shelf::Bundle::claimed(hash, bytes.to_vec()).is_err(), "it has another hash");
    match (shelf::Bundle { hash, bytes: bytes.to_vec() }).text() {
        Ok(text) => {
            // What is no UTF-8 becomes three bytes for each.
            assert!(text.len() <= 3 * TEXT_MAX_BYTES);
            !text.is_empty()
        }
        Err(why) => {
            says_why(&why);
            false
        }
    }
}

/// A certificate of a peer, of a root, or of an applicant.
pub(super) fn certificate(bytes: &[u8]) -> bool {
    let peer = PeerCertificate::read(bytes).inspect(|peer| {
        assert!(!peer.mesh.as_str().is_empty());
    });
    let root = RootCertificate::read(bytes);
    let applicant = self_signed_key(bytes);
    assert!(root.is_err() || applicant.is_err(), "a root is no applicant");
    for why in [peer.as_ref().err(), root.as_ref().err(), applicant.as_ref().err()] {
        why.into_iter().for_each(says_why);
    }
    peer.is_ok() || root.is_ok() || applicant.is_ok()
}
