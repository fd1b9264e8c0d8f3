//! What a peer says of itself, made from its identity and its configuration.

use super::{address, config::Config};
use protocol::{
    name::{PeerId, RaftId},
    record::PeerCard,
};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;

/// The version of Hearten that runs here.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The id that belongs to a peer's public key.
///
/// It is worked out, not drawn, so that a host that asks twice to be let in, because the first
/// answer was lost, asks as the same peer.
pub fn peer_id(public_key: &[u8; 32]) -> PeerId {
    let hash = Sha256::new().chain_update(b"hearten peer\0").chain_update(public_key).finalize();
    let bits = hash.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    PeerId::from_random(bits)
}

/// The card of this host's peer. `raft_id` is its store's, `generation` counts its daemon's
/// starts, and `bound` is the address that it really listens on, once that is known.
pub fn card(
    config: &Config,
    id: PeerId,
    public_key: [u8; 32],
    raft_id: RaftId,
    generation: u64,
    bound: Option<SocketAddr>,
) -> PeerCard {
    let advertise = config.advertise;
    PeerCard {
        id,
        name: config.name.clone(),
        labels: config.labels.clone(),
        address: bound.map_or(advertise, |bound| address::bound(advertise, bound)),
        public_key,
        raft_id,
        generation,
        version: VERSION.to_owned(),
        cell: 0,
    }
}

/// The card of a peer that has never run: without a store, before its first start.
pub fn first_card(config: &Config, id: PeerId, public_key: [u8; 32]) -> PeerCard {
    card(config, id, public_key, RaftId::default(), 0, None)
}
