//! The witness: a small file outside sled that knows how far the store had come.
//!
//! sled can lose the tail of its file without noticing. A store that lost a vote could vote twice,
//! one that lost an acknowledged entry could let a majority forget it. So whatever is promised to
//! others (a vote, the last durable entry) is written here too, after sled's own barrier and
//! before the promise is given; a store that is behind its witness is set aside.
//!
//! The file has two slots that are written in turn, each with a sequence number and a checksum:
//! a torn write hits only the older promise's slot, and the newer one, or what sled holds, still
//! tells the truth. That is as atomic as replacing the file and costs one `fdatasync`.

use crate::{
    group::{LogId, Vote},
    store::fault::Fault,
};
use protocol::{
    codec,
    name::{PeerId, RaftId},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

pub(crate) const NAME: &str = "witness";
const SLOT_BYTES: usize = 512;
/// The slots lie in different blocks, so that one torn block cannot hit both.
const SLOT_AT: [u64; 2] = [0, 4096];
const HEADER_BYTES: usize = 6;

/// What was promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Promises {
    /// This store's id.
    pub(crate) raft_id: RaftId,
    /// The peer that owns it.
    pub(crate) peer: PeerId,
    /// The last vote.
    pub(crate) vote: Option<Vote>,
    /// The last entry of the log that is durable.
    pub(crate) last: Option<LogId>,
}

/// The open file and what stands in it.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    sequence: u64,
    promises: Promises,
}

impl Witness {
    /// Makes the file of a new store; the caller makes the directory durable.
    pub(crate) fn create(dir: &Path, promises: Promises) -> Result<(), Fault> {
        let path = dir.join(NAME);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| Fault::io("creating the witness", &error))?;
        let mut witness = Self { file, sequence: 0, promises: promises.clone() };
        // Both slots, so that the file has its full length and later writes change no metadata.
        witness.write(promises.clone())?;
        witness.write(promises)?;
        witness.file.sync_all().map_err(|error| Fault::io("syncing the witness", &error))
    }

    /// Reads the file.
    pub(crate) fn open(dir: &Path) -> Result<Self, Fault> {
        let path = dir.join(NAME);
        let doing = || format!("opening {}", path.display());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| Fault::io(doing(), &error))?;
        let newest =
            SLOT_AT.iter().filter_map(|at| read_slot(&file, *at)).max_by_key(|slot| slot.0);
        let (sequence, promises) =
            newest.ok_or_else(|| Fault::damage("neither slot of the witness can be read"))?;
        Ok(Self { file, sequence, promises })
    }

    /// What was promised last.
    pub(crate) const fn promises(&self) -> &Promises {
        &self.promises
    }

    /// Remembers new promises; they are durable when this returns.
    pub(crate) fn promise(&mut self, promises: Promises) -> Result<(), Fault> {
        if promises == self.promises { Ok(()) } else { self.write(promises) }
    }

    fn write(&mut self, promises: Promises) -> Result<(), Fault> {
        let sequence = self.sequence + 1;
        let body = codec::encode(&(sequence, &promises));
        let length = u16::try_from(body.len())
            .ok()
            .filter(|_| HEADER_BYTES + body.len() <= SLOT_BYTES)
            .ok_or_else(|| Fault::damage("the promises do not fit into a slot"))?;
        let mut slot = vec![0; SLOT_BYTES];
        slot[4..6].copy_from_slice(&length.to_le_bytes());
        slot[HEADER_BYTES..HEADER_BYTES + body.len()].copy_from_slice(&body);
        let checksum = crc32fast::hash(&slot[4..]);
        slot[..4].copy_from_slice(&checksum.to_le_bytes());
        let at = SLOT_AT[usize::from(sequence % 2 == 1)];
        self.file
            .write_all_at(&slot, at)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| Fault::io("writing the witness", &error))?;
        self.sequence = sequence;
        self.promises = promises;
        Ok(())
    }
}

fn read_slot(file: &File, at: u64) -> Option<(u64, Promises)> {
    let mut slot = [0; SLOT_BYTES];
    file.read_exact_at(&mut slot, at).ok()?;
    let checksum = u32::from_le_bytes(slot[..4].try_into().ok()?);
    if checksum != crc32fast::hash(&slot[4..]) {
        return None;
    }
    let length = usize::from(u16::from_le_bytes(slot[4..6].try_into().ok()?));
    codec::decode(slot.get(HEADER_BYTES..HEADER_BYTES + length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promises(term: u64) -> Promises {
        Promises {
            raft_id: RaftId(7),
            peer: PeerId::from_random(1),
            vote: Some(Vote::new(term, 7)),
            last: None,
        }
    }

    #[test]
    fn a_torn_slot_leaves_the_promise_before_it() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        Witness::create(dir.path(), promises(1))?;
        let mut witness = Witness::open(dir.path())?;
        for term in 2..6 {
            witness.promise(promises(term))?;
            assert_eq!(Witness::open(dir.path())?.promises(), &promises(term));
        }
        let newest = SLOT_AT[usize::from(witness.sequence % 2 == 1)];
        witness.file.write_all_at(&[0xff; 3], newest + 20)?;
        assert_eq!(Witness::open(dir.path())?.promises(), &promises(4));
        witness.file.write_all_at(&[0xff; 3], 4096 - newest + 20)?;
        assert!(matches!(Witness::open(dir.path()), Err(Fault::Damage(_))));
        Ok(())
    }
}
