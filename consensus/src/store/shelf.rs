//! The shelf: one sled tree with the log and its single values, and the barrier that makes what
//! was put there durable. It is the only place that calls sled.

use crate::{
    group::LogEntry,
    store::{
        fault::Fault,
        record::{self, Assembly, Key, Meta},
    },
};
use protocol::codec;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{File, OpenOptions},
    ops::Range,
    path::Path,
    sync::Arc,
};

/// The page cache: the log is read from its end, so little of it needs to be at hand.
const CACHE_BYTES: u64 = 8 << 20;
/// Keys that are removed in one change, about.
const REMOVED_TOGETHER: usize = 512;

/// The tree and a descriptor of its file.
#[derive(Debug)]
pub(crate) struct Shelf {
    db: sled::Db,
    durable: File,
    strict: bool,
    /// The last to go: nobody else may open the store while sled is still at work.
    _lock: Arc<File>,
}

/// Changes that come into force together.
#[derive(Debug, Default)]
pub(crate) struct Changes(sled::Batch);

impl Changes {
    /// Sets one of the single values.
    pub(crate) fn set<T: Serialize>(&mut self, meta: Meta, value: &T) -> Result<(), Fault> {
        let key = meta.key();
        self.0.insert(&key, record::seal(&key, &codec::encode(value))?);
        Ok(())
    }

    /// Adds an entry.
    pub(crate) fn entry(&mut self, index: u64, bytes: &[u8]) -> Result<(), Fault> {
        for (key, sealed) in record::parts(index, bytes)? {
            self.0.insert(&key, sealed);
        }
        Ok(())
    }
}

impl Shelf {
    /// Opens the tree in `dir`, or makes it. A log with gaps is refused if `strict`.
    pub(crate) fn open(dir: &Path, strict: bool, lock: Arc<File>) -> Result<Self, Fault> {
        let db = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            // Durability is decided here, by `barrier`, never by a timer.
            .flush_every_ms(None)
            .open()
            .map_err(|error| Fault::sled("opening sled", error))?;
        let durable = OpenOptions::new()
            .read(true)
            .write(true)
            .open(dir.join("db"))
            .map_err(|error| Fault::io("opening sled's file", &error))?;
        Ok(Self { db, durable, strict, _lock: lock })
    }

    /// Makes everything that was put here durable. sled's flush alone only starts the writing
    /// (`sync_file_range`); the data and the file's length are safe after our own `fdatasync`.
    pub(crate) fn barrier(&self) -> Result<(), Fault> {
        self.db.flush().map_err(|error| Fault::sled("flushing sled", error))?;
        self.durable.sync_data().map_err(|error| Fault::io("syncing sled's file", &error))
    }

    /// Applies changes together; they are readable, but not yet durable, when this returns.
    pub(crate) fn apply(&self, changes: Changes) -> Result<(), Fault> {
        self.db.apply_batch(changes.0).map_err(|error| Fault::sled("writing to sled", error))
    }

    /// Reads one of the single values.
    pub(crate) fn meta<T: DeserializeOwned>(&self, meta: Meta) -> Result<Option<T>, Fault> {
        let key = meta.key();
        let sealed = self.db.get(key).map_err(|error| Fault::sled("reading from sled", error))?;
        sealed.map(|sealed| decode_meta(meta, &sealed)).transpose()
    }

    /// Reads the entries of `range` that are there, in order and without a gap, until about
    /// `bytes_max` were read (one entry is always read).
    pub(crate) fn entries(
        &self,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        let mut found = Vec::new();
        let mut bytes_read = 0;
        let keys = record::entry_key(range.start, 0)..record::entry_key(range.end, 0);
        let mut assembly = Assembly::default();
        for pair in self.db.range(keys) {
            let (key, sealed) = pair.map_err(|error| Fault::sled("reading from sled", error))?;
            let Key::Entry { index, part } = Key::parse(&key)? else { continue };
            let Some((index, bytes)) = assembly.add(&key, index, part, &sealed)? else { continue };
            let entry = decode_entry(index, &bytes)?;
            let before = found.last().map(|last: &LogEntry| last.log_id.index);
            if self.strict && before.is_some_and(|before| before + 1 != index) {
                return Err(Fault::damage(format!("the log has a gap before entry {index}")));
            }
            found.push(entry);
            bytes_read += bytes.len();
            if bytes_read >= bytes_max {
                return Ok(found);
            }
        }
        assembly.finish()?;
        Ok(found)
    }

    /// Removes entries, the highest first or the lowest first, so that a crash in between leaves
    /// no gap; `changes` come into force with the first of them.
    pub(crate) fn remove(
        &self,
        range: Range<u64>,
        highest_first: bool,
        changes: Changes,
    ) -> Result<(), Fault> {
        let keys = record::entry_key(range.start, 0)..record::entry_key(range.end, 0);
        let mut doomed = self
            .db
            .range(keys)
            .keys()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Fault::sled("reading from sled", error))?;
        if highest_first {
            doomed.reverse();
        }
        // A batch is one atomic change in sled and would become large with the log, so the keys go
        // in groups; an entry's parts stay together.
        let mut batch = changes.0;
        let mut grouped = 0;
        for entry in doomed.chunk_by(|one, other| one.get(..9) == other.get(..9)) {
            for key in entry {
                batch.remove(key);
            }
            grouped += entry.len();
            if grouped >= REMOVED_TOGETHER {
                grouped = 0;
                self.apply(Changes(std::mem::take(&mut batch)))?;
            }
        }
        self.apply(Changes(batch))
    }

    /// Reads every record through, whatever it is.
    pub(crate) fn read_through(
        &self,
        mut entry: impl FnMut(LogEntry) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut assembly = Assembly::default();
        for pair in self.db.iter() {
            let (key, sealed) = pair.map_err(|error| Fault::sled("reading from sled", error))?;
            match Key::parse(&key)? {
                Key::Meta(_) => drop(record::unseal(&key, &sealed)?),
                Key::Entry { index, part } => {
                    if let Some((index, bytes)) = assembly.add(&key, index, part, &sealed)? {
                        entry(decode_entry(index, &bytes)?)?;
                    }
                }
            }
        }
        assembly.finish()
    }

    /// Whether a log with gaps is refused; only openraft's own tests write one.
    pub(crate) const fn is_strict(&self) -> bool {
        self.strict
    }

    /// Whether nothing was ever put here.
    pub(crate) fn is_empty(&self) -> bool {
        self.db.is_empty()
    }
}

fn decode_meta<T: DeserializeOwned>(meta: Meta, sealed: &[u8]) -> Result<T, Fault> {
    let body = record::unseal(&meta.key(), sealed)?;
    codec::decode(body).map_err(|error| Fault::damage(format!("reading {meta:?}: {error}")))
}

fn decode_entry(index: u64, bytes: &[u8]) -> Result<LogEntry, Fault> {
    let entry: LogEntry = codec::decode(bytes)
        .map_err(|error| Fault::damage(format!("reading entry {index}: {error}")))?;
    if entry.log_id.index == index {
        Ok(entry)
    } else {
        Err(Fault::damage(format!("entry {} stands at {index}", entry.log_id.index)))
    }
}

/// Makes a directory's names durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Fault> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| Fault::io(format!("syncing {}", dir.display()), &error))
}
