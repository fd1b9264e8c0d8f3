//! A process beside each command of a rung, which ends the command when the daemon cannot.
//!
//! The mesh reckons that an attempt can no longer act once its time limit and a margin are over, and
//! then has another host act. A daemon that was killed or stopped keeps no time limit. So each of a
//! rung's commands gets a guardian *before* it is started: this program once more, in a session of
//! its own, which is told which processes it is about and how long they have, and holds one end of
//! a pipe to the daemon. It ends them when the daemon is gone, and when their time is over.
//!
//! What a command leaves running that has ended by itself, such as a service that it started, is
//! left alone, unless whoever ran it wanted that ended too.

use super::tree::{self, Tree};
use process_wrap::tokio::{CommandWrap, ProcessSession};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::Signal,
    time::{ClockId, clock_gettime},
};
use std::{
    io::{self, PipeWriter, Write},
    os::fd::AsFd,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How much later than the daemon a guardian ends a command whose time is over: the daemon, if it
/// is well, says more truthfully how it ended.
const AFTER_DAEMON: Duration = Duration::from_millis(100);

/// How long a command whose daemon is gone may take to end after it was asked to.
const GRACE: Duration = Duration::from_millis(500);

/// How often is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long killing is tried; who is still there then hangs inside the kernel.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// How often the clock is read at least: it goes on while the host sleeps, waiting does not.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// What the daemon says when the command has ended.
const DONE: &str = "done";

/// Whether commands get guardians in this process.
static POSTED: AtomicBool = AtomicBool::new(false);

/// From now on this process gives guardians to commands that want one. Its program must be
/// `hearten`, whose command `guard` is what a guardian does.
pub fn post() {
    POSTED.store(true, Ordering::Relaxed);
}

/// What a guardian is told when it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The value of `HEARTEN_RUN` that marks the command's processes.
    pub run: String,
    /// After this time they are ended.
    pub within: Duration,
    /// Whether what a command leaves running that has ended by itself is ended, too.
    pub leftovers_end: bool,
}

/// The daemon's end of a guardian. Dropping it without a word has the guardian end the command.
#[derive(Debug)]
pub(super) struct Guardian(PipeWriter);

impl Guardian {
    /// Starts a guardian; `None` in a process that gives none.
    ///
    /// # Errors
    /// It could not be started. Without it the command must not be started either.
    pub(super) fn start(charge: &Charge) -> io::Result<Option<Self>> {
        if !POSTED.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (theirs, ours) = io::pipe()?;
        let millis = charge.within.saturating_add(AFTER_DAEMON).as_millis().to_string();
        // Also when the file was replaced since: the same program as this process.
        let mut wrapped = CommandWrap::with_new("/proc/self/exe", |command| {
            command.arg0("hearten").args(["guard", &charge.run, &millis]);
            if charge.leftovers_end {
                command.arg("--leftovers-end");
            }
            command.env_clear().current_dir("/").stdin(Stdio::from(theirs)).stdout(Stdio::null());
        });
        // Waited for by the runtime, when it has ended.
        drop(wrapped.wrap(ProcessSession).spawn()?.into_inner());
        Ok(Some(Self(ours)))
    }

    /// Says which process the command is.
    pub(super) fn tell(&mut self, pid: i32, started: u64) {
        self.say(&format!("{pid} {started}"));
    }

    /// Says that the command has ended, or was never started.
    pub(super) fn dismiss(mut self) {
        self.say(DONE);
    }

    fn say(&mut self, line: &str) {
        if let Err(error) = writeln!(self.0, "{line}") {
            tracing::debug!(%error, "a command's guardian has gone first");
        }
    }
}

/// What became of a command, as its guardian saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guarded {
    /// The daemon saw to it.
    Dismissed,
    /// The command had ended by itself; what it had left running was left alone.
    LeftAlone,
    /// So many processes were ended; the daemon was gone or stood still.
    Ended {
        /// Whether the daemon was gone; or else their time was over.
        gone: bool,
        /// How many there were.
        processes: usize,
        /// Those that could not be killed.
        survivors: Vec<i32>,
    },
}

/// Guards one command until the daemon says that it has ended, is gone, or its time is over.
/// Blocks the thread.
///
/// # Errors
/// The pipe cannot be waited at.
pub fn guard(charge: &Charge, daemon: impl AsFd) -> io::Result<Guarded> {
    let until = since_boot() + charge.within;
    let mut heard = Vec::new();
    let gone = loop {
        let left = until.saturating_sub(since_boot());
        if left.is_zero() {
            break false;
        }
        if !is_readable(&daemon, left.min(CLOCK_EVERY))? {
            continue;
        }
        let mut bytes = [0; 256];
        match rustix::io::read(&daemon, &mut bytes) {
            Ok(0) => break true,
            Ok(read) => heard.extend_from_slice(&bytes[..read]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        if lines(&heard).any(|line| line == DONE) {
            return Ok(Guarded::Dismissed);
        }
    };
    let root = lines(&heard).find_map(|line| {
        let (pid, started) = line.split_once(' ')?;
        Some((pid.parse().ok()?, started.parse().ok()?))
    });
    // Not told which process it is: the daemon died while it was being started.
    let has_ended = root.is_some_and(|(pid, started)| !tree::lives(pid, started));
    if has_ended && !charge.leftovers_end {
        return Ok(Guarded::LeftAlone);
    }
    let mut tree = Tree::of_run(&charge.run);
    // At its time limit it has been asked already, or there is no time left for it.
    let processes = if gone { ask(&mut tree) } else { tree.alive().len() };
    let survivors = tree.kill(KILL_WITHIN);
    Ok(Guarded::Ended { gone, processes, survivors })
}

/// Asks the processes to end and gives them a moment; how many they were.
fn ask(tree: &mut Tree) -> usize {
    let asked = tree.signal(Signal::TERM);
    // One that is stopped cannot follow.
    tree.signal(Signal::CONT);
    let since = Instant::now();
    while since.elapsed() < GRACE && !tree.alive().is_empty() {
        thread::sleep(LOOK_EVERY);
    }
    asked
}

/// The lines that are complete.
fn lines(heard: &[u8]) -> impl Iterator<Item = &str> {
    let ended = heard.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    heard[..ended].split(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok())
}

fn is_readable(file: &impl AsFd, within: Duration) -> io::Result<bool> {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    let timeout = Timespec::try_from(within).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The monotonic clock that goes on while the host sleeps.
fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
