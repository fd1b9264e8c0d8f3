//! Snapshots: each is one file with a checksum, written aside, synced and renamed into place.
//!
//! They do not lie in sled because they are large, and because a file that is replaced as a whole
//! needs no log. There is at most one: an older one is removed after the newer one is durable.

use crate::{
    group::{LogId, SnapshotMeta},
    store::{fault::Fault, shelf::sync_dir},
};
use protocol::codec;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

const MAGIC: &[u8; 4] = b"HSN1";
const HEADER_BYTES: usize = 12;
const ENDING: &str = "snapshot";

/// The directory of the snapshots.
#[derive(Debug)]
pub(crate) struct Snapshots {
    dir: PathBuf,
    /// How far the snapshot that is there reaches. Held while one is replaced, because a snapshot
    /// that is built and one that is received may be finished at the same time.
    newest: Mutex<Option<LogId>>,
}

/// A snapshot as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) meta: SnapshotMeta,
    pub(crate) data: Vec<u8>,
}

impl Snapshots {
    /// Opens the directory and reads the snapshot in it, if there is one.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Option<Stored>), Fault> {
        let snapshots = Self { dir: dir.to_owned(), newest: Mutex::new(None) };
        let stored = snapshots.load()?;
        *snapshots.newest.lock().unwrap_or_else(PoisonError::into_inner) =
            stored.as_ref().and_then(|stored| stored.meta.last_log_id);
        Ok((snapshots, stored))
    }

    /// Reads the newest snapshot; one that cannot be read is damage, not absence.
    pub(crate) fn load(&self) -> Result<Option<Stored>, Fault> {
        let Some(path) = self.files()?.pop() else { return Ok(None) };
        let bytes =
            fs::read(&path).map_err(|error| Fault::io(format!("{}", path.display()), &error))?;
        parse(&bytes).map(Some).ok_or_else(|| {
            Fault::damage(format!("the snapshot {} does not match its checksum", path.display()))
        })
    }

    /// Makes a snapshot durable, unless a newer one is there already.
    pub(crate) fn keep(&self, meta: &SnapshotMeta, data: &[u8]) -> Result<(), Fault> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if *newest > meta.last_log_id {
            return Ok(());
        }
        let (index, term) =
            meta.last_log_id.map_or((0, 0), |last| (last.index, last.leader_id.term));
        // The name is ours, never the snapshot's own id, which a peer may have chosen.
        let path = self.dir.join(format!("{index:020}-{term:020}.{ENDING}"));
        let aside = path.with_extension("new");
        let doing = || format!("writing the snapshot {}", path.display());
        File::create(&aside)
            .and_then(|mut file| {
                file.write_all(&format(meta, data))?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&aside, &path))
            .map_err(|error| Fault::io(doing(), &error))?;
        sync_dir(&self.dir)?;
        *newest = meta.last_log_id;
        for older in self.files()?.into_iter().filter(|other| other < &path) {
            fs::remove_file(&older).map_err(|error| Fault::io(doing(), &error))?;
        }
        Ok(())
    }

    /// The finished snapshots, the newest last; what was left unfinished is removed.
    fn files(&self) -> Result<Vec<PathBuf>, Fault> {
        let doing = || format!("reading {}", self.dir.display());
        let mut finished = Vec::new();
        for name in fs::read_dir(&self.dir).map_err(|error| Fault::io(doing(), &error))? {
            let path = name.map_err(|error| Fault::io(doing(), &error))?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                finished.push(path);
            }
        }
        finished.sort();
        Ok(finished)
    }
}

fn format(meta: &SnapshotMeta, data: &[u8]) -> Vec<u8> {
    let meta = codec::encode(meta);
    let length = u32::try_from(meta.len()).unwrap_or(u32::MAX);
    let mut bytes = MAGIC.to_vec();
    bytes.extend([0; 4]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(meta);
    bytes.extend(data);
    let checksum = crc32fast::hash(&bytes[8..]);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Option<Stored> {
    let (header, body) = bytes.split_at_checked(HEADER_BYTES)?;
    let checksum = u32::from_le_bytes(header[4..8].try_into().ok()?);
    if header[..4] != *MAGIC || checksum != crc32fast::hash(&bytes[8..]) {
        return None;
    }
    let length = u32::from_le_bytes(header[8..].try_into().ok()?);
    let (meta, data) = body.split_at_checked(usize::try_from(length).ok()?)?;
    Some(Stored { meta: codec::decode(meta).ok()?, data: data.to_vec() })
}

/// Reads a snapshot as if its checksum fitted, and writes it again.
pub(crate) fn again(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let checksum = crc32fast::hash(bytes.get(8..)?);
    bytes.get_mut(4..8)?.copy_from_slice(&checksum.to_le_bytes());
    parse(&bytes).map(|stored| format(&stored.meta, &stored.data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft::CommittedLeaderId;

    fn meta(index: u64) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: Some(LogId::new(CommittedLeaderId::new(1, 1), index)),
            ..SnapshotMeta::default()
        }
    }

    #[test]
    fn the_newest_snapshot_stays_and_a_late_older_one_does_not_replace_it() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let (snapshots, none) = Snapshots::open(dir.path())?;
        assert!(none.is_none());
        snapshots.keep(&meta(5), b"five")?;
        snapshots.keep(&meta(9), b"nine")?;
        snapshots.keep(&meta(7), b"seven")?;
        assert_eq!(snapshots.files()?.len(), 1);
        let (_, stored) = Snapshots::open(dir.path())?;
        assert_eq!(stored.map(|stored| stored.data), Some(b"nine".to_vec()));
        Ok(())
    }

    #[test]
    fn a_flipped_byte_anywhere_is_damage() -> anyhow::Result<()> {
        let bytes = format(&meta(3), b"the ledger");
        assert!(parse(&bytes).is_some());
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(parse(&flipped).is_none(), "byte {at}");
        }
        assert!(parse(&bytes[..bytes.len() - 1]).is_none());
        Ok(())
    }
}
