//! The address book, which is also the list of those who are let in.
//!
//! The daemon writes it from the ledger's roster at every change. Whoever is in it is a member;
//! whoever leaves it is cut off at once, whatever certificate they hold. Before a daemon has its
//! first ledger the book is seeded with what it was told when it joined.

use protocol::name::PeerId;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::sync::watch;

/// Where each member is.
#[derive(Debug)]
pub struct Book {
    entries: watch::Sender<Arc<BTreeMap<PeerId, SocketAddr>>>,
}

impl Book {
    /// A book that begins with `entries`.
    pub fn new(entries: BTreeMap<PeerId, SocketAddr>) -> Self {
        Self { entries: watch::Sender::new(Arc::new(entries)) }
    }

    /// Replaces all that stands in it. Open connections of peers that are no longer in it are
    /// closed by the endpoint as soon as it has seen this.
    pub fn set(&self, entries: BTreeMap<PeerId, SocketAddr>) {
        self.entries.send_if_modified(|current| {
            let differs = **current != entries;
            if differs {
                *current = Arc::new(entries);
            }
            differs
        });
    }

    /// All that stands in it.
    pub fn entries(&self) -> Arc<BTreeMap<PeerId, SocketAddr>> {
        Arc::clone(&self.entries.borrow())
    }

    /// Whether a peer is a member.
    pub fn contains(&self, peer: PeerId) -> bool {
        self.entries.borrow().contains_key(&peer)
    }

    /// Where a member is.
    pub fn address(&self, peer: PeerId) -> Option<SocketAddr> {
        self.entries.borrow().get(&peer).copied()
    }

    /// Which member is at this very address and port.
    pub(crate) fn peer_at(&self, address: SocketAddr) -> Option<PeerId> {
        let canonical = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        let entries = self.entries.borrow();
        let mut there = entries.iter().filter(|(_, at)| canonical(**at) == canonical(address));
        there.next().map(|(peer, _)| *peer)
    }

    /// Whether any member is at this address, on whatever port.
    pub(crate) fn knows_host(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.entries.borrow().values().any(|address| address.ip().to_canonical() == ip)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<BTreeMap<PeerId, SocketAddr>>> {
        self.entries.subscribe()
    }
}

impl Default for Book {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_says_who_is_a_member_and_wakes_its_readers_only_for_news() {
        let peer = PeerId::from_random(1);
        let address: SocketAddr = "10.0.0.1:7000".parse().unwrap();
        let book = Book::default();
        let mut watch = book.watch();
        assert!(!book.contains(peer));
        book.set(BTreeMap::from([(peer, address)]));
        assert!(watch.has_changed().unwrap());
        watch.mark_unchanged();
        book.set(BTreeMap::from([(peer, address)]));
        assert!(!watch.has_changed().unwrap());
        assert_eq!(book.address(peer), Some(address));
        assert!(book.knows_host("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!book.knows_host("10.0.0.2".parse().unwrap()));
    }
}
