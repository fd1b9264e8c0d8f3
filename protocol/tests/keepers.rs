//! Who keeps evidence besides the peer that took it.

mod common;

use common::{Mesh, id};
use protocol::{
    keepers::{CANDIDATES_MAX, keepers},
    ledger::Ledger,
    name::{IncidentId, PeerId},
    record::Record,
    refusal::Refusal,
};
use std::collections::BTreeMap;

fn zone(ledger: &Ledger, peer: PeerId) -> String {
    ledger.roster().member(peer).map(|member| member.zone().to_owned()).expect("a member")
}

#[test]
fn keepers_are_other_peers_that_run_and_those_in_other_zones_come_first() {
    let mut mesh = Mesh::ready(7);
    let incident = mesh.open(2);
    mesh.done(4, Record::PeerStopped { peer: id(4) });
    let opened = mesh.ledger.incidents()[&incident].clone();
    let named = keepers(&mesh.ledger, &opened, id(2));
    assert_eq!(named.len(), 5, "all but the taker and the one that stopped: {named:?}");
    assert!(!named.contains(&id(2)) && !named.contains(&id(4)), "{named:?}");
    let own = zone(&mesh.ledger, id(2));
    let beside: Vec<bool> = named.iter().map(|peer| zone(&mesh.ledger, *peer) == own).collect();
    assert!(beside.is_sorted(), "other zones first: {beside:?}");
    assert!(beside.contains(&true) && beside.contains(&false), "both are tried: {beside:?}");
    assert_eq!(named, keepers(&mesh.ledger, &opened, id(2)), "everyone gets the same answer");
    // Somebody else takes it for a silent peer, whose own host is not asked to keep it.
    assert!(!keepers(&mesh.ledger, &opened, id(1)).contains(&id(2)));
}

#[test]
fn the_load_of_keeping_is_spread() {
    let mut mesh = Mesh::ready(20);
    let incident = mesh.open(2);
    let mut opened = mesh.ledger.incidents()[&incident].clone();
    let mut kept: BTreeMap<PeerId, u32> = BTreeMap::new();
    for number in 0..600 {
        opened.id = IncidentId(number);
        let named = keepers(&mesh.ledger, &opened, id(2));
        assert_eq!(named.len(), CANDIDATES_MAX);
        *kept.entry(named[0]).or_default() += 1;
    }
    assert!(kept.len() > 8 && kept.values().all(|count| *count < 120), "{kept:?}");
}

#[test]
fn an_endless_list_of_keepers_is_refused() {
    let mut mesh = Mesh::of(3);
    mesh.documents(common::DOCUMENTS).expect("valid documents");
    let incident = mesh.open(2);
    let mut evidence = common::evidence_by(2);
    evidence.keepers = vec![id(1); CANDIDATES_MAX + 1];
    let refusal = mesh.refused(2, Record::EvidenceTaken { incident, evidence: evidence.clone() });
    assert!(matches!(refusal, Refusal::NotAllowed { .. }), "{refusal}");
    evidence.keepers.pop();
    mesh.done(2, Record::EvidenceTaken { incident, evidence });
    let kept = mesh.ledger.incidents()[&incident].evidence.clone().expect("it was taken");
    assert_eq!(kept.keepers.len(), CANDIDATES_MAX);
}
