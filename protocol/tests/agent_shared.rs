//! What is done once for many agents comes to the same as when each does it for itself.

mod common;

use common::{Mesh, at, card, id, sign_report, trust};
use protocol::{
    agent::{
        Agent, Input, LocalPolicy, Origin,
        shared::{Applied, Verified},
    },
    ledger::Ledger,
    record::{Entry, Position, Record},
    report::Report,
    time::{Now, Timestamp},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const NOW: Now = Now { wall: Timestamp::from_millis(50_000), mono: Duration::from_secs(5) };

fn agent(n: u64, ledger: Ledger) -> Agent {
    Agent::new(Origin {
        card: card(n),
        trust: trust(),
        policy: LocalPolicy::default(),
        ledger,
        started: BTreeSet::new(),
    })
}

fn next(mesh: &Mesh) -> (Position, Entry) {
    let position = Position { index: mesh.index + 1, term: mesh.term };
    (
        position,
        Entry { at: at(60_000), by: id(2), term: 1, record: Record::PeerStopped { peer: id(2) } },
    )
}

#[test]
fn an_entry_that_was_applied_already_has_the_effect_of_one_that_was_not() {
    let mesh = Mesh::ready(3);
    let (position, entry) = next(&mesh);
    let mut alone = agent(1, mesh.ledger.clone());
    let mut sharing = agent(1, Ledger::default());
    let before = Arc::new(mesh.ledger);
    sharing.begin_at(Arc::clone(&before));

    let said = alone.handle(NOW, Input::Committed { position, entry: Some(entry.clone()) });
    let applied = Applied::new(before, position, Some(entry));
    let said_sharing = sharing.adopt(NOW, &applied).expect("it stands there");
    assert_eq!(format!("{said:?}"), format!("{said_sharing:?}"));
    assert_eq!(alone.ledger(), sharing.ledger());
    assert_eq!(alone.ledger().position(), position);
    assert!(!alone.ledger().roster().is_running(id(2)), "the entry was taken");
    // The wards, the clock, what is due: everything else is the same as well.
    let later = Now { wall: at(51_000), mono: Duration::from_secs(6) };
    let (one, other) = (alone.handle(later, Input::Tick), sharing.handle(later, Input::Tick));
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    assert_eq!(alone.sleep(later), sharing.sleep(later));
}

#[test]
fn who_stands_elsewhere_takes_nothing_over() {
    let mesh = Mesh::ready(3);
    let (position, entry) = next(&mesh);
    let applied = Applied::new(Arc::new(mesh.ledger.clone()), position, Some(entry));
    // Equal is not enough: it has to be the very same.
    let mut other = agent(1, mesh.ledger.clone());
    assert!(other.adopt(NOW, &applied).is_none());
    assert_eq!(other.ledger(), &mesh.ledger);
}

#[test]
fn an_agent_that_goes_its_own_way_leaves_the_others_ledger_alone() {
    let mesh = Mesh::ready(3);
    let (position, entry) = next(&mesh);
    let shared = Arc::new(mesh.ledger.clone());
    let mut one = agent(1, Ledger::default());
    let mut other = agent(3, Ledger::default());
    one.begin_at(Arc::clone(&shared));
    other.begin_at(shared);
    one.handle(NOW, Input::Committed { position, entry: Some(entry) });
    assert_eq!(one.ledger().position(), position);
    assert_eq!(other.ledger(), &mesh.ledger);
}

#[test]
fn a_verified_report_is_heard_only_of_the_peer_whose_key_it_was_verified_with() {
    let mesh = Mesh::ready(3);
    let report = |sequence| Report {
        peer: id(2),
        generation: 1,
        sequence,
        checks: BTreeMap::new(),
        facts: BTreeMap::new(),
    };
    let mut agent = agent(1, mesh.ledger);
    let signed = sign_report(2, report(1));
    assert!(Verified::new(signed.clone(), card(3).public_key).is_none(), "another's key");
    let verified = Verified::new(signed, card(2).public_key).expect("its own");
    agent.hear_verified(NOW, &verified);
    assert_eq!(agent.view().report(id(2)), Some(&report(1)));

    // Peer 3 signs, with its own good key, what peer 2 is to have said.
    let forged = Verified::new(sign_report(3, report(2)), card(3).public_key).expect("signed");
    agent.hear_verified(NOW, &forged);
    assert_eq!(agent.view().report(id(2)), Some(&report(1)));
    assert_eq!(agent.view().dropped, 1);
}
