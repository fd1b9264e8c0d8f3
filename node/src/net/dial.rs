//! Making a connection to a peer.
//!
//! Whoever needs one at the same time waits for the same dial, which goes on when the one who
//! began it gives up: the next will want it too.

use super::{
    endpoint::Shared,
    error::{Close, NetError},
    links::{Link, Purpose},
    lock, serve, tls,
    transport::DIAL_TIME,
};
use crate::identity::certificate::{self, PeerCertificate};
use futures::{
    FutureExt,
    future::{BoxFuture, WeakShared},
};
use protocol::name::PeerId;
use std::{net::SocketAddr, sync::Arc};
use tokio::time::timeout;

type Dialled = Result<Arc<Link>, NetError>;

/// A dial under way. It is owned by its task: an endpoint whose runtime is gone holds none.
pub(crate) type Pending = WeakShared<BoxFuture<'static, Dialled>>;

impl Shared {
    /// A connection to `peer`: an open one, or else a new one.
    pub(crate) async fn link(self: &Arc<Self>, peer: PeerId) -> Dialled {
        if self.stop.is_cancelled() {
            return Err(NetError::Closed);
        }
        if !self.book.contains(peer) {
            return Err(NetError::Unknown { peer });
        }
        if let Some(link) = self.links.best(peer) {
            return Ok(link);
        }
        let dial = {
            let mut dials = lock(&self.dials);
            match dials.get(&peer).and_then(WeakShared::upgrade) {
                Some(dial) => dial,
                None => {
                    let shared = Arc::clone(self);
                    let dial = async move {
                        let dialled = shared.dial(peer).await;
                        lock(&shared.dials).remove(&peer);
                        dialled
                    };
                    let dial = dial.boxed().shared();
                    if let Some(pending) = dial.downgrade() {
                        dials.insert(peer, pending);
                    }
                    drop(tokio::spawn(dial.clone()));
                    dial
                }
            }
        };
        dial.await
    }

    async fn dial(self: &Arc<Self>, peer: PeerId) -> Dialled {
        let address = self.book.address(peer).ok_or(NetError::Unknown { peer })?;
        let dialled = timeout(DIAL_TIME, self.connect(peer, address, &self.member)).await;
        let connection = match dialled {
            Ok(Ok(connection)) => connection,
            Ok(Err(reason)) => {
                self.counters.dial_failed.refused(peer, &reason);
                return Err(NetError::Unreachable { peer, address, reason });
            }
            Err(_elapsed) => {
                let reason = format!("no answer within {DIAL_TIME:?}");
                self.counters.dial_failed.refused(peer, &reason);
                return Err(NetError::Unreachable { peer, address, reason });
            }
        };
        let link = Link::new(peer, connection, Purpose::Everything, true);
        if serve::begin(self, &link) { Ok(link) } else { Err(NetError::Unknown { peer }) }
    }

    /// Makes a connection and makes sure of whom it leads to.
    pub(crate) async fn connect(
        &self,
        peer: PeerId,
        address: SocketAddr,
        config: &quinn::ClientConfig,
    ) -> Result<quinn::Connection, String> {
        let name = certificate::server_name(peer);
        let connecting = self
            .endpoint
            .connect_with(config.clone(), address, &name)
            .map_err(|error| error.to_string())?;
        let connection = connecting.await.map_err(|error| error.to_string())?;
        // TLS has verified the name; the certificate must not leave any doubt about it either.
        let says = tls::chain(&connection).first().map(|leaf| PeerCertificate::read(leaf));
        match says {
            Some(Ok(says)) if says.peer == peer => Ok(connection),
            Some(Ok(_) | Err(_)) | None => {
                Close::NotAMember.close(&connection);
                Err("its certificate does not name it".to_owned())
            }
        }
    }
}
