//! What a follower keeps of the ledger, so that it knows its peers and its duties before it has
//! reached anybody. A member of the Raft group has its own log and needs none of this.

use super::Daemon;
use crate::{files, setup::SetupError};
use consensus::aside;
use protocol::{codec, ledger::Ledger, name::PeerId};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How often the replica is written when it has changed.
const EVERY: Duration = Duration::from_secs(30);

fn replica_path(data: &Path) -> PathBuf {
    data.join("replica")
}

/// The ledger as it was last kept; none when there is none or it cannot be read. It is only a
/// beginning: what was committed since comes from a voter.
pub(super) fn load_replica(data: &Path) -> Ledger {
    let path = replica_path(data);
    let read = files::read_if_present(&path);
    match read.map(|bytes| bytes.map(|bytes| unseal(&bytes))) {
        Ok(None) => Ledger::default(),
        Ok(Some(Some(ledger))) => ledger,
        Ok(Some(None)) => {
            tracing::warn!(path = %path.display(), "the kept ledger is damaged; a voter will send it");
            Ledger::default()
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the kept ledger cannot be read; a voter will send it");
            Ledger::default()
        }
    }
}

fn unseal(bytes: &[u8]) -> Option<Ledger> {
    let (sum, body) = bytes.split_at_checked(4)?;
    (sum == crc32fast::hash(body).to_be_bytes()).then(|| codec::decode(body).ok())?
}

fn store_replica(data: &Path, ledger: &Ledger) -> io::Result<()> {
    let body = codec::encode(ledger);
    let mut bytes = crc32fast::hash(&body).to_be_bytes().to_vec();
    bytes.extend(body);
    files::write_durably(&replica_path(data), &bytes, files::PRIVATE)
}

/// Keeps the replica up to date on disk.
pub(super) async fn keep_replica(daemon: Arc<Daemon>) {
    let mut kept = 0;
    loop {
        let stopping = tokio::select! {
            () = daemon.stop.cancelled() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        let ledger = daemon.agent().ledger().clone();
        let index = ledger.position().index;
        if index > kept {
            let data = daemon.data.clone();
            let stored = aside(move || store_replica(&data, &ledger)).await;
            match stored {
                Ok(Ok(())) => kept = index,
                Ok(Err(error)) => tracing::warn!(%error, "the ledger could not be kept"),
                Err(error) => tracing::warn!(%error, "the ledger could not be kept"),
            }
        }
        if stopping {
            return;
        }
    }
}

/// Where the other members were last; a host finds its way back with it, whatever else it lost.
pub(super) fn load_peers(data: &Path) -> BTreeMap<PeerId, SocketAddr> {
    let read = files::read_if_present(&data.join("peers"));
    let peers = read.ok().flatten().and_then(|bytes| codec::decode(&bytes).ok());
    peers.unwrap_or_default()
}

/// Keeps where the members are.
pub(super) fn store_peers(data: &Path, peers: &BTreeMap<PeerId, SocketAddr>) -> io::Result<()> {
    files::write_durably(&data.join("peers"), &codec::encode(peers), files::PRIVATE)
}

/// The next number of a start of the daemon, written before it is used.
pub(super) fn next_generation(data: &Path) -> Result<u64, SetupError> {
    let path = data.join("generation");
    let before = match files::read_if_present(&path).map_err(SetupError::file(&path))? {
        None => 0,
        Some(bytes) => std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok())
            .ok_or_else(|| {
                let reason = "it holds no number".to_owned();
                SetupError::Damaged { path: path.clone(), reason }
            })?,
    };
    let next = before + 1;
    let written = files::write_durably(&path, next.to_string().as_bytes(), files::PRIVATE);
    written.map_err(SetupError::file(&path))?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_replica_is_left_aside_and_a_whole_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::default();
        ledger.skip(protocol::record::Position { index: 7, term: 2 });
        store_replica(folder.path(), &ledger).unwrap();
        assert_eq!(load_replica(folder.path()), ledger);
        let path = replica_path(folder.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[5] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(load_replica(folder.path()), Ledger::default());
    }

    #[test]
    fn every_start_has_its_number() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(next_generation(folder.path()).unwrap(), 1);
        assert_eq!(next_generation(folder.path()).unwrap(), 2);
        std::fs::write(folder.path().join("generation"), "x").unwrap();
        assert!(next_generation(folder.path()).is_err());
    }
}
