//! Facts about the host, typed, and collected once for all who ask.
//!
//! Ten checks that look for a process walk `/proc` once, not ten times. Whoever asks while the
//! facts are being collected waits for the same collection, and whoever asks within a second of it
//! gets the same answer, unless something was done to the host meanwhile: what a repair changed has
//! to be seen by the check that verifies it. Where the kernel hangs (a dead network mount), one
//! thread hangs and not one more for every run.
//!
//! Reading order: [`processes`], [`units`], [`filesystems`], [`sockets`], and `shared`, the slot
//! that they are kept in.

pub mod filesystems;
pub mod processes;
mod shared;
pub mod sockets;
pub mod units;

use filesystems::{Filesystem, Space};
use processes::Process;
use protocol::document::FactKind;
use serde_json::Value;
use shared::Shared;
use sockets::Socket;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use units::Unit;

/// How long facts are good for everybody.
pub const FRESH: Duration = Duration::from_secs(1);

/// Facts, or why there are none.
pub type Found<T> = Arc<Result<T, String>>;

/// Where the facts are found; another place only in tests.
#[derive(Debug, Clone)]
pub struct Places {
    /// The process file system.
    pub proc: PathBuf,
    /// What exists where systemd runs the host.
    pub systemd: PathBuf,
    /// The program that knows of units.
    pub systemctl: String,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            systemd: PathBuf::from("/run/systemd/system"),
            systemctl: "systemctl".to_owned(),
        }
    }
}

/// The collector. A clone shares what was collected.
#[derive(Debug, Clone, Default)]
pub struct Facts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    places: Places,
    processes: Shared<Result<Vec<Process>, String>>,
    units: Shared<Result<Vec<Unit>, String>>,
    filesystems: Shared<Result<Vec<Filesystem>, String>>,
    sockets: Shared<Result<Vec<Socket>, String>>,
    spaces: Slots<Space>,
    files: Slots<FileFacts>,
    /// When something was last done to the host.
    changed: Mutex<Option<Instant>>,
    collections: Arc<AtomicU64>,
}

/// One slot for each path that is asked for.
type Slots<T> = Mutex<BTreeMap<PathBuf, Arc<Shared<Result<T, String>>>>>;

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// When it was last written.
    pub written: SystemTime,
    /// How large it is.
    pub bytes: u64,
}

impl Facts {
    /// A collector that looks elsewhere.
    pub fn of(places: Places) -> Self {
        Self(Arc::new(Inner { places, ..Inner::default() }))
    }

    /// Where it looks.
    pub fn places(&self) -> &Places {
        &self.0.places
    }

    /// Something was done to the host: what was known of it is not known any more.
    pub fn forget(&self) {
        *self.0.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// How often anything was collected.
    pub fn collections(&self) -> u64 {
        self.0.collections.load(Ordering::Relaxed)
    }

    /// The process table.
    pub async fn processes(&self) -> Found<Vec<Process>> {
        let proc = self.0.places.proc.clone();
        self.collect(&self.0.processes, FRESH, move || processes::read(&proc)).await
    }

    /// The file systems that are mounted.
    pub async fn filesystems(&self) -> Found<Vec<Filesystem>> {
        let proc = self.0.places.proc.clone();
        self.collect(&self.0.filesystems, FRESH, move || filesystems::read(&proc)).await
    }

    /// The TCP and UDP sockets.
    pub async fn sockets(&self) -> Found<Vec<Socket>> {
        let proc = self.0.places.proc.clone();
        self.collect(&self.0.sockets, FRESH, move || sockets::read(&proc)).await
    }

    /// The systemd units that are loaded.
    pub async fn units(&self) -> Found<Vec<Unit>> {
        let places = self.0.places.clone();
        let count = Arc::clone(&self.0.collections);
        let collect = move || async move {
            count.fetch_add(1, Ordering::Relaxed);
            units::read(&places).await
        };
        or_why(self.0.units.get(FRESH, self.changed(), collect).await)
    }

    /// How full the file system is that holds this path, as of now.
    pub async fn space(&self, path: &Path) -> Found<Space> {
        let (slot, path) = (slot(&self.0.spaces, path), path.to_owned());
        self.collect(&slot, Duration::ZERO, move || filesystems::space(&path)).await
    }

    /// What is known of a file, as of now.
    pub async fn file(&self, path: &Path) -> Found<FileFacts> {
        let (slot, path) = (slot(&self.0.files, path), path.to_owned());
        self.collect(&slot, Duration::ZERO, move || file(&path)).await
    }

    /// Facts as a plugin reads them; where there are none, an object that says why.
    pub async fn as_json(&self, kind: FactKind) -> Value {
        match kind {
            FactKind::Processes => json(&self.processes().await),
            FactKind::Units => json(&self.units().await),
            FactKind::Filesystems => json(&self.filesystems().await),
            FactKind::Sockets => json(&self.sockets().await),
        }
    }

    fn changed(&self) -> Option<Instant> {
        *self.0.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Collects on a thread that may block.
    async fn collect<T: Send + Sync + 'static>(
        &self,
        slot: &Shared<Result<T, String>>,
        fresh: Duration,
        read: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Found<T> {
        let count = Arc::clone(&self.0.collections);
        let collect = move || async move {
            count.fetch_add(1, Ordering::Relaxed);
            let task = tokio::task::spawn_blocking(read);
            task.await.unwrap_or_else(|error| Err(error.to_string()))
        };
        or_why(slot.get(fresh, self.changed(), collect).await)
    }
}

fn or_why<T>(found: Option<Found<T>>) -> Found<T> {
    found.unwrap_or_else(|| Arc::new(Err("the daemon is stopping".to_owned())))
}

fn slot<T>(slots: &Slots<T>, path: &Path) -> Arc<Shared<Result<T, String>>> {
    let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(slots.entry(path.to_owned()).or_default())
}

fn json<T: serde::Serialize>(found: &Found<Vec<T>>) -> Value {
    match found.as_ref() {
        Ok(facts) => serde_json::to_value(facts)
            .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() })),
        Err(reason) => serde_json::json!({ "error": reason }),
    }
}

fn file(path: &Path) -> Result<FileFacts, String> {
    let found = fs::metadata(path)
        .and_then(|data| Ok(FileFacts { written: data.modified()?, bytes: data.len() }));
    found.map_err(|error| why(path, &error))
}

/// What the system said of a path, without its number.
fn why(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    if error.kind() == io::ErrorKind::NotFound {
        format!("{shown} does not exist")
    } else {
        format!("{shown}: {error}")
    }
}

#[cfg(test)]
mod tests;
