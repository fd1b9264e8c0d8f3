//! How the mesh of a story came about: founded by the first peer, joined by the others with one
//! token, given its first documents by the operator. All of it stands in the log, really signed.

use super::{
    cells::Cell,
    host::{Disk, EPOCH, Host},
};
use crate::{random::Random, scenario::Scenario};
use ed25519_dalek::SigningKey;
use protocol::{
    document::bundle::{Bundle, SignedBundle, Source},
    name::{Name, PeerId, RaftId},
    order::{Action, Order, SignedOrder},
    record::{Entry, Founding, PeerCard, Record, TokenGrant, TokenId, Trust},
};
use std::{net::SocketAddr, time::Duration};

/// What the mesh is known by.
pub(crate) const MESH: [u8; 32] = [42; 32];

/// A year, within which no story's order expires.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// The operator's key; the same in every story.
pub(crate) fn operator() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Whose documents are executed.
pub(crate) fn trust() -> Trust {
    let operators = vec![operator().verifying_key().to_bytes()];
    Trust { version: 1, threshold: 1, operators }
}

/// Documents as the next revision, signed with this key.
pub(crate) fn bundle(revision: u64, sources: Vec<Source>, key: &SigningKey) -> SignedBundle {
    Bundle { mesh: MESH, revision, sources }.sign(key)
}

/// An order of the operator's.
pub(crate) fn order(nonce: u64, action: Action) -> SignedOrder {
    // Clocks may be years ahead in a story; the expiry of orders is not its subject.
    Order { mesh: MESH, nonce, expires: EPOCH.plus(100 * YEAR), action }.sign(&operator())
}

/// The hosts of a story, before any of them runs.
pub(crate) fn hosts(story: &Scenario, random: &mut Random) -> Vec<Host> {
    let mut hosts = Vec::new();
    for (place, peer) in story.peers.iter().enumerate() {
        let key = SigningKey::from_bytes(&random.bytes());
        let [_, _, high, low] = u32::try_from(place + 1).unwrap_or(u32::MAX).to_be_bytes();
        let card = PeerCard {
            id: PeerId::from_random(random.next()),
            name: peer.name.clone(),
            labels: peer.labels.clone(),
            address: SocketAddr::from(([10, 0, high, low], 4327)),
            public_key: key.verifying_key().to_bytes(),
            raft_id: RaftId(random.next()),
            generation: u64::from(story.runs_already),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cell: peer.cell,
        };
        hosts.push(Host {
            card,
            place,
            cell: 0,
            place_in_cell: 0,
            key,
            powered: true,
            paused: false,
            clock_ahead_millis: 0,
            drift_ppm: 0,
            executor_fails: false,
            boot: 0,
            powered_on: 1,
            stopped: !peer.starts,
            disk: Disk::default(),
            process: None,
        });
    }
    for (number, cell) in Cell::all(&story.peers).into_iter().enumerate() {
        for (place_in_cell, host) in hosts[cell.places].iter_mut().enumerate() {
            (host.cell, host.place_in_cell) = (number, place_in_cell);
        }
    }
    hosts
}

/// The first entries of the log, in term 1.
pub(crate) fn first_entries(story: &Scenario, hosts: &[Host]) -> Vec<Entry> {
    let founder = &hosts[0].card;
    let mesh = Name::parse("model").unwrap_or_else(|_| unreachable!("it is a name"));
    let founding = Founding { mesh, root_fingerprint: MESH, trust: trust(), peer: founder.clone() };
    let token = TokenId(1);
    let grant = TokenGrant {
        id: token,
        verifying_key: [9; 32],
        expires: EPOCH.plus(YEAR),
        uses: u32::try_from(hosts.len()).unwrap_or(u32::MAX),
        name: None,
    };
    let mut records = vec![
        (founder.id, Record::Founded(founding)),
        (founder.id, Record::Ordered { order: order(0, Action::CreateToken(grant)) }),
    ];
    for host in &hosts[1..] {
        records.push((founder.id, Record::PeerJoined { token, peer: host.card.clone() }));
    }
    if story.runs_already {
        // As they are going to start: they find that the log knows of it.
        for host in hosts {
            let peer = host.id();
            records.push((peer, Record::PeerStarted { peer: host.card.clone() }));
            records.push((peer, Record::Booted { peer, boot_id: host.boot_id() }));
        }
    }
    let bundle = bundle(1, story.documents.clone(), &operator());
    records.push((founder.id, Record::DocumentsApplied { bundle }));
    let entry = |(by, record)| Entry { at: EPOCH, by, term: 1, record };
    records.into_iter().map(entry).collect()
}
