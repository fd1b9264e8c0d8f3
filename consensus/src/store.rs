//! The store: what a peer of the group must never lose, and how it comes back after a crash.
//!
//! ```text
//! <dir>.lock                  held while the store is open
//! <dir>/FORMAT                the version; a newer one is refused, never touched
//! <dir>/witness               what was promised to others, outside sled
//! <dir>/log/                  sled: the log and its single values
//! <dir>/snapshots/            the last snapshot
//! <dir>.quarantine-<n>        stores that could not be trusted any more
//! ```
//!
//! Opening reads everything through and compares it with the witness. On any doubt the whole
//! directory is set aside and a new store with a new id begins; the group then treats this peer as
//! one that it has never met. Only what the operating system refuses (a full disk, a missing
//! permission) is an error: that store may be well, and waits until it can be read.

pub(crate) mod examine;
pub(crate) mod fault;
pub(crate) mod format;
pub(crate) mod log;
pub(crate) mod record;
pub(crate) mod shelf;
pub(crate) mod snapshot;
pub(crate) mod witness;
pub(crate) mod writer;

#[cfg(test)]
mod tests;

use crate::{disk::Disk, machine::Machine};
use fault::{Fault, guarded};
use log::Log;
use protocol::name::{PeerId, RaftId};
use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use witness::{Promises, Witness};
use writer::{SharedExtent, Writer};

/// How long an opener waits for the one before it to let go, in the same process or another.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// What must be free on the disk: sled grows its file by segments of 512 KiB when it opens, and
/// panics half-way when it cannot.
const ROOM_BYTES: usize = 1 << 20;

/// What is written of it at once.
const ROOM_PIECE: [u8; 16 << 10] = [0xa5; 16 << 10];

/// How a store was found when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// There was none; this one is new.
    Fresh,
    /// It was there and everything in it could be read.
    Resumed,
    /// It could not be trusted and was set aside; this one is new, with a new id. The peer has to
    /// be added to the group again, as a learner first.
    Quarantined {
        /// What was found.
        why: String,
        /// Where the old one lies now.
        moved_to: PathBuf,
    },
}

/// Why a store could not be opened. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Written by a newer version of Hearten.
    #[error(
        "the store in {} has format {found}, this build reads up to {supported}: run the version \
         that wrote it, or a newer one",
        dir.display()
    )]
    NewerFormat {
        /// Which store.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this build reads.
        supported: u32,
    },
    /// It belongs to another peer.
    #[error("the store in {} belongs to peer {found}, not to {me}", dir.display())]
    OtherPeer {
        /// Which store.
        dir: PathBuf,
        /// Whose it is.
        found: PeerId,
        /// Who wanted to open it.
        me: PeerId,
    },
    /// It is open already.
    #[error("the store in {} is in use: {why}", dir.display())]
    Busy {
        /// Which store.
        dir: PathBuf,
        /// Who says so.
        why: String,
    },
    /// The operating system refused; with [`io::ErrorKind::StorageFull`] it is worth to try again.
    #[error("the store in {} cannot be used: {doing}: {error}", dir.display())]
    Refused {
        /// Which store.
        dir: PathBuf,
        /// What was refused.
        doing: String,
        /// What the system said.
        error: String,
        /// Its kind of error.
        kind: io::ErrorKind,
    },
    /// The settings contradict each other.
    #[error("the group's settings are not usable: {0}")]
    Options(String),
    /// Raft did not accept what the store holds, or could not read it.
    #[error("the group could not be started: {0}")]
    Raft(String),
}

/// An open store.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) raft_id: RaftId,
    pub(crate) log: Log,
    pub(crate) machine: Machine,
    pub(crate) opening: Opening,
}

/// Opens the store in `dir`; blocks.
pub(crate) fn open(
    dir: &Path,
    me: PeerId,
    disk: Option<Arc<dyn Disk>>,
) -> Result<Store, OpenError> {
    open_with(dir, me, true, disk)
}

fn open_with(
    dir: &Path,
    me: PeerId,
    strict: bool,
    disk: Option<Arc<dyn Disk>>,
) -> Result<Store, OpenError> {
    let told = |fault: Fault| open_error(dir, fault);
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)
            .map_err(|error| told(Fault::io("creating the directory", &error)))?;
    }
    let lock = Arc::new(lock(dir)?);
    room(dir).map_err(told)?;
    let mut opening = Opening::Resumed;
    if is_absent(dir).map_err(told)? {
        create(dir, me).map_err(told)?;
        opening = Opening::Fresh;
    }
    let first = match format::read(dir) {
        Ok(found) if found > format::VERSION => {
            let dir = dir.to_owned();
            return Err(OpenError::NewerFormat { dir, found, supported: format::VERSION });
        }
        Ok(_) => load_waiting(dir, strict, &lock, disk.as_ref()),
        Err(fault) => Err(fault),
    };
    let (promises, log, machine) = match first {
        Ok(loaded) => loaded,
        Err(Fault::Damage(why)) => {
            let moved_to = set_aside(dir).map_err(told)?;
            tracing::error!(
                %why,
                moved_to = %moved_to.display(),
                "the store cannot be trusted and was set aside; this peer starts anew as a learner"
            );
            create(dir, me).map_err(told)?;
            opening = Opening::Quarantined { why, moved_to };
            load(dir, strict, &lock, disk.as_ref()).map_err(told)?
        }
        Err(fault @ (Fault::Refused { .. } | Fault::Busy(_) | Fault::GivenUp(_))) => {
            return Err(told(fault));
        }
    };
    if promises.peer == me {
        Ok(Store { raft_id: promises.raft_id, log, machine, opening })
    } else {
        Err(OpenError::OtherPeer { dir: dir.to_owned(), found: promises.peer, me })
    }
}

fn open_error(dir: &Path, fault: Fault) -> OpenError {
    let dir = dir.to_owned();
    match fault {
        Fault::Busy(why) => OpenError::Busy { dir, why },
        Fault::Refused { doing, error, kind } => OpenError::Refused { dir, doing, error, kind },
        Fault::Damage(error) | Fault::GivenUp(error) => OpenError::Refused {
            dir,
            doing: "starting anew".to_owned(),
            error,
            kind: io::ErrorKind::Other,
        },
    }
}

/// sled has a lock of its own, which threads of its own may hold a moment longer than ours.
fn load_waiting(
    dir: &Path,
    strict: bool,
    lock: &Arc<File>,
    disk: Option<&Arc<dyn Disk>>,
) -> Result<(Promises, Log, Machine), Fault> {
    let since = Instant::now();
    loop {
        match load(dir, strict, lock, disk) {
            Err(Fault::Busy(_)) if since.elapsed() < LOCK_WAIT => thread::sleep(LOCK_PAUSE),
            loaded => return loaded,
        }
    }
}

fn load(
    dir: &Path,
    strict: bool,
    lock: &Arc<File>,
    disk: Option<&Arc<dyn Disk>>,
) -> Result<(Promises, Log, Machine), Fault> {
    guarded("opening the store", || {
        let witness = Witness::open(dir)?;
        let promises = witness.promises().clone();
        let (snapshots, stored) = snapshot::Snapshots::open(&dir.join("snapshots"))?;
        let shelf = shelf::Shelf::open(&dir.join("log"), strict, Arc::clone(lock))?;
        // sled's own names are new only once, but a crash may have come right after that.
        shelf::sync_dir(&dir.join("log"))?;
        shelf::sync_dir(dir)?;
        let snapshot_end = stored.as_ref().and_then(|stored| stored.meta.last_log_id);
        let found = examine::examine(&shelf, &promises, snapshot_end)?;
        let machine = Machine::new(Arc::new(snapshots), stored.as_ref())?;
        let shelf = Arc::new(shelf);
        let extent = SharedExtent::default();
        *extent.lock() = found;
        let writer =
            Writer { shelf: Arc::clone(&shelf), witness, extent: extent.clone(), broken: None };
        let orders = writer.start(disk.cloned())?;
        Ok((promises, Log::new(shelf, extent, orders), machine))
    })
}

fn is_absent(dir: &Path) -> Result<bool, Fault> {
    match fs::read_dir(dir) {
        Ok(mut names) => Ok(names.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Fault::io("reading the directory", &error)),
    }
}

/// Makes an empty store aside and renames it into place, so that a crash leaves none or a whole.
fn create(dir: &Path, me: PeerId) -> Result<(), Fault> {
    let aside = beside(dir, "new");
    let doing = || format!("creating {}", aside.display());
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(|error| Fault::io(doing(), &error))?;
    }
    fs::create_dir_all(aside.join("snapshots")).map_err(|error| Fault::io(doing(), &error))?;
    fs::create_dir_all(aside.join("log")).map_err(|error| Fault::io(doing(), &error))?;
    format::write(&aside, format::VERSION)?;
    let raft_id = RaftId(rand::random());
    Witness::create(&aside, Promises { raft_id, peer: me, vote: None, last: None })?;
    shelf::sync_dir(&aside)?;
    fs::rename(&aside, dir).map_err(|error| Fault::io(doing(), &error))?;
    sync_parent(dir)
}

/// Renames the store away, to the first name that is free.
fn set_aside(dir: &Path) -> Result<PathBuf, Fault> {
    let mut number = 1;
    let moved_to = loop {
        let name = beside(dir, &format!("quarantine-{number}"));
        if !name.exists() {
            break name;
        }
        number += 1;
    };
    fs::rename(dir, &moved_to)
        .map_err(|error| Fault::io(format!("setting aside {}", dir.display()), &error))?;
    sync_parent(dir)?;
    Ok(moved_to)
}

fn beside(dir: &Path, ending: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn sync_parent(dir: &Path) -> Result<(), Fault> {
    match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => shelf::sync_dir(Path::new(".")),
        Some(parent) => shelf::sync_dir(parent),
        None => Ok(()),
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = beside(dir, "lock");
    let told = |error: io::Error| open_error(dir, Fault::io("locking the store", &error));
    let file = File::options().write(true).create(true).truncate(false).open(path).map_err(told)?;
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(told(error)),
            Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_WAIT => {
                thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                let why = "another process holds its lock".to_owned();
                return Err(OpenError::Busy { dir: dir.to_owned(), why });
            }
        }
    }
}

/// Piece by piece: an allocator that has once been given back a large piece takes the next ones,
/// such as sled's buffers, from where it cannot give them back.
fn fill(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    for _ in 0..ROOM_BYTES / ROOM_PIECE.len() {
        file.write_all(&ROOM_PIECE)?;
    }
    file.sync_all()
}

/// A full disk must not look like a damaged store: sled panics on both.
fn room(dir: &Path) -> Result<(), Fault> {
    let path = beside(dir, "room");
    let tried = fill(&path);
    let removed = fs::remove_file(&path);
    tried.and(removed).map_err(|error| Fault::io("looking for room on the disk", &error))
}
