//! Who is let in.
//!
//! Three gates, one after the other: how many handshakes are under way (an address that may be
//! forged has to prove itself when there are many, and strangers leave room for members), the
//! handshake itself, and then what the caller came for together with who it is.

use super::{
    endpoint::Shared,
    error::Close,
    join_server,
    links::{Link, Purpose},
    serve, tls,
    transport::HANDSHAKE_TIME,
};
use protocol::name::PeerId;
use quinn::{Connection, Incoming};
use std::sync::Arc;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

/// How many handshakes may be under way.
pub(crate) const HANDSHAKES_MAX: usize = 128;

/// How many of them may be of callers from hosts that are not in the book.
const STRANGERS_MAX: usize = 64;

/// From this many on every caller has to prove its address first, which costs it a round trip and
/// costs us nothing.
const PROVE_FROM: usize = 16;

/// Takes callers until the endpoint is closed.
pub(crate) async fn accept(shared: Arc<Shared>) {
    while let Some(incoming) = shared.endpoint.accept().await {
        admit(&shared, incoming);
    }
}

fn admit(shared: &Arc<Shared>, incoming: Incoming) {
    let under_way = HANDSHAKES_MAX - shared.handshakes.available_permits();
    let remote = incoming.remote_address();
    if let Some(peer) = shared.book.peer_at(remote) {
        shared.pulses.called(peer);
    }
    if under_way >= PROVE_FROM && !incoming.remote_address_validated() && incoming.may_retry() {
        shared.counters.retry_demanded.add(1);
        // It may be retried, as was just asked.
        drop(incoming.retry());
        return;
    }
    let member_host = shared.book.knows_host(remote.ip());
    let limit = if member_host { HANDSHAKES_MAX } else { STRANGERS_MAX };
    let permit = Arc::clone(&shared.handshakes).try_acquire_owned().ok();
    match permit.filter(|_| under_way < limit) {
        Some(permit) => drop(tokio::spawn(handshake(Arc::clone(shared), incoming, permit))),
        None => {
            shared.counters.too_many_handshakes.refused(remote, under_way);
            // Not even an answer: it would be one more thing to be made to do.
            incoming.ignore();
        }
    }
}

async fn handshake(shared: Arc<Shared>, incoming: Incoming, permit: OwnedSemaphorePermit) {
    let remote = incoming.remote_address();
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => return shared.counters.handshake_failed.refused(remote, error),
    };
    let connection = match timeout(HANDSHAKE_TIME, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return shared.counters.handshake_failed.refused(remote, error),
        Err(_elapsed) => {
            return shared.counters.handshake_timeout.refused(remote, "it was not finished");
        }
    };
    drop(permit);
    match caller(&shared, &connection) {
        Some(Caller::Member(peer, purpose)) => {
            shared.pulses.hear(peer);
            let link = Link::new(peer, connection, purpose, false);
            // A peer that has left the roster meanwhile is told so and counted there.
            serve::begin(&shared, &link);
        }
        Some(Caller::Applicant(public_key)) => {
            join_server::serve(&shared, connection, public_key).await;
        }
        None => {}
    }
}

/// Someone who is let in, and for what.
#[derive(Debug)]
enum Caller {
    Member(PeerId, Purpose),
    Applicant([u8; 32]),
}

/// Says who a caller is, or closes its connection.
fn caller(shared: &Shared, connection: &Connection) -> Option<Caller> {
    let chain = tls::chain(connection);
    let protocol = tls::protocol(connection);
    let purpose = match protocol.as_slice() {
        tls::JOIN => return applicant(shared, connection, &chain),
        tls::PROBE => Purpose::Probe,
        // The handshake agrees on nothing else than the three.
        _ => Purpose::Everything,
    };
    let remote = connection.remote_address();
    let says = match shared.gate.member(&chain) {
        Ok(says) => says,
        Err(reason) => {
            shared.counters.not_a_member.refused(remote, reason);
            Close::NotAMember.close(connection);
            return None;
        }
    };
    if says.peer == shared.own {
        shared.counters.own_name.refused(remote, "was this host cloned?");
        Close::OwnName.close(connection);
        return None;
    }
    if !shared.book.contains(says.peer) {
        shared.counters.not_in_roster.refused(says.peer, remote);
        Close::NotInRoster.close(connection);
        return None;
    }
    Some(Caller::Member(says.peer, purpose))
}

fn applicant(
    shared: &Shared,
    connection: &Connection,
    chain: &[rustls_pki_types::CertificateDer<'_>],
) -> Option<Caller> {
    match tls::Gate::applicant(chain) {
        Ok(public_key) => Some(Caller::Applicant(public_key)),
        Err(error) => {
            // A member has no business here, and neither has anyone else.
            shared.counters.join_misused.refused(connection.remote_address(), error);
            Close::Misused.close(connection);
            None
        }
    }
}
