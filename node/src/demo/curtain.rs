//! The demo's curtain: once it has fallen nothing is started any more, and all that runs is ended.
//!
//! Daemons and the service are also started by rungs, by daemons that are dead by now. So what runs
//! is not remembered but looked for: whoever names the demo's folder on its command line, and is
//! this program or was started by a rung or a check.

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Child, Command},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long is tried to end what runs; who is still there then hangs inside the kernel.
const CLEAR_WITHIN: Duration = Duration::from_secs(5);

/// How often is looked who still runs.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often in a row nobody is to be found before it is believed: a process that is just being
/// started may be missed once.
const LOOKS: u32 = 3;

/// What a daemon tells every command that it starts.
const OF_A_DAEMON: &[u8] = b"HEARTEN_RUN=";

/// Whether anything may still be started.
#[derive(Debug, Default)]
pub(super) struct Curtain {
    /// Held while something is started, so that it is there to be found when the curtain falls.
    fallen: Mutex<bool>,
    /// Whether the story was told to its end.
    told: AtomicBool,
}

impl Curtain {
    /// Starts a process, unless the curtain has fallen.
    pub(super) fn start(&self, command: &mut Command) -> anyhow::Result<Child> {
        let fallen = self.fallen.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(!*fallen, "the demo is being stopped");
        Ok(command.spawn()?)
    }

    /// Whether it has fallen.
    pub(super) fn has_fallen(&self) -> bool {
        *self.fallen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing is started.
    pub(super) fn fall(&self) {
        *self.fallen.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// The story was told; what is still to come is no more than to be looked at.
    pub(super) fn was_told(&self) {
        self.told.store(true, Ordering::Relaxed);
    }

    /// Whether the story was told to its end.
    pub(super) fn is_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }
}

/// Ends whatever still runs on a stage, whoever started it, and removes its folder unless it is to
/// be kept.
///
/// # Errors
/// A process that does not end, or a folder that cannot be removed.
pub(super) fn clear(folder: &Path, keep: bool) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut quiet = 0;
    while quiet < LOOKS {
        let running = running(folder);
        quiet = if running.is_empty() { quiet + 1 } else { 0 };
        for pid in &running {
            kill(*pid);
        }
        if began.elapsed() > CLEAR_WITHIN {
            let pids: Vec<String> =
                running.iter().map(|pid| pid.as_raw_nonzero().to_string()).collect();
            bail!(
                "{} cannot be ended: look at them with `ps`; their folder is {}",
                pids.join(", "),
                folder.display()
            );
        }
        thread::sleep(LOOK_EVERY);
    }
    if keep {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))
}

/// Ends a process at once.
pub(super) fn kill(pid: Pid) {
    if let Err(error) = kill_process(pid, Signal::KILL) {
        tracing::debug!(%error, "a process was not killed");
    }
}

/// Who runs on this stage.
fn running(folder: &Path) -> Vec<Pid> {
    let program = fs::read_link("/proc/self/exe").ok();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let process = entry.path();
        // Of one that has ended and was not waited for it is empty.
        let named =
            contains(&fs::read(process.join("cmdline")).ok()?, folder.as_os_str().as_bytes());
        let ours = || {
            let its = fs::read_link(process.join("exe")).ok();
            its.is_some() && its == program
        };
        let commanded =
            || fs::read(process.join("environ")).is_ok_and(|bytes| contains(&bytes, OF_A_DAEMON));
        (named && (ours() || commanded())).then_some(pid)
    });
    found.collect()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|part| part == wanted)
}
