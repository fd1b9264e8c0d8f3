//! Everything that one command started, wherever it went, and how to end it.
//!
//! A process group is not enough: a child may leave it with `setsid` and its parent may exit. So
//! `/proc` is walked. A process belongs to the command when
//!
//! - its environment bears the command's own random `HEARTEN_RUN` value (inherited, so that it
//!   survives `setsid` and a double fork), or
//! - its parent belongs to the command (so that an emptied environment does not hide it), or
//! - it was seen to belong before, or lives in a session that such a process leads.
//!
//! Signals go through pidfds, and the start time is compared in between, so that no stranger is
//! hit whose pid was given anew. The command's own process stays unreaped meanwhile: its pid, and
//! with it its session and group, cannot be given to anyone else.
//!
//! What can escape: a process that emptied its environment, left the session *and* lost its parent,
//! all before the first look. That takes deliberate effort by a script that an operator signed.

use rustix::{
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// The variable that marks a command's processes.
pub(super) const MARKER: &str = "HEARTEN_RUN";

/// The pause between two looks while something still lives; short, because a process that was
/// killed is gone within a few milliseconds.
const PAUSE: Duration = Duration::from_millis(5);

/// How many looks in a row must find nothing. A child that is just being started may show neither
/// its parent's environment nor its own for a moment.
const EMPTY_LOOKS: u32 = 2;

/// The processes of one command.
#[derive(Debug)]
pub(super) struct Tree {
    /// The command's own process, if it is a child of this one that was not waited for: its group
    /// is then its own.
    root: Option<Pid>,
    /// Nothing that was started before this, in the kernel's ticks, can be of this command.
    since: u64,
    /// `HEARTEN_RUN=<random>`.
    marker: Vec<u8>,
    /// Every process that was ever found, by pid, with its start.
    known: BTreeMap<i32, u64>,
    /// Sessions that these processes lead.
    sessions: BTreeSet<i32>,
}

/// One line of `/proc/<pid>/stat`, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    pid: i32,
    dead: bool,
    parent: i32,
    session: i32,
    started: u64,
}

impl Tree {
    /// The tree of a command whose process was just started with this `HEARTEN_RUN` and has not
    /// been waited for.
    pub(super) fn new(root: Pid, run: &str) -> Self {
        let raw = root.as_raw_nonzero().get();
        // If it cannot be read there is no /proc, and nothing will be found but by its group.
        let since = read_stat(raw).map_or(0, |stat| stat.started);
        Self {
            root: Some(root),
            since,
            marker: format!("{MARKER}={run}").into_bytes(),
            known: BTreeMap::from([(raw, since)]),
            sessions: BTreeSet::from([raw]),
        }
    }

    /// The tree of a command with this `HEARTEN_RUN` that another process started, or is yet to
    /// start.
    pub(super) fn of_run(run: &str) -> Self {
        Self {
            root: None,
            since: 0,
            marker: format!("{MARKER}={run}").into_bytes(),
            known: BTreeMap::new(),
            sessions: BTreeSet::new(),
        }
    }

    /// The command's own process and when it was started.
    pub(super) fn root(&self) -> Option<(i32, u64)> {
        Some((self.root?.as_raw_nonzero().get(), self.since))
    }

    /// The pids of all that still live.
    pub(super) fn alive(&mut self) -> Vec<i32> {
        let stats = self.young_enough();
        let mut members: BTreeSet<i32> = stats
            .iter()
            .filter(|stat| {
                self.known.get(&stat.pid) == Some(&stat.started)
                    || self.sessions.contains(&stat.session)
                    || bears(stat.pid, &self.marker)
            })
            .map(|stat| stat.pid)
            .collect();
        loop {
            let before = members.len();
            let children = stats.iter().filter(|stat| members.contains(&stat.parent));
            let children: Vec<i32> = children.map(|stat| stat.pid).collect();
            members.extend(children);
            if members.len() == before {
                break;
            }
        }
        let found = || stats.iter().filter(|stat| members.contains(&stat.pid));
        for stat in found() {
            self.known.insert(stat.pid, stat.started);
            if stat.session == stat.pid {
                self.sessions.insert(stat.session);
            }
        }
        found().filter(|stat| !stat.dead).map(|stat| stat.pid).collect()
    }

    /// Sends a signal to all that still live, and says how many they are.
    pub(super) fn signal(&mut self, signal: Signal) -> usize {
        // Looked for first: once a parent is dead, nothing leads to a child of its that has emptied
        // its environment.
        let alive = self.alive();
        // A second SIGTERM would run a script's trap twice; a second SIGKILL does no harm, and the
        // group at a stroke overtakes whoever forks. Without /proc the group is all there is.
        if (signal == Signal::KILL || alive.is_empty())
            && let Some(root) = self.root
            && let Err(error) = kill_process_group(root, signal)
            && error != Errno::SRCH
        {
            tracing::debug!(?signal, %error, "a command's group could not be signalled");
        }
        for &pid in &alive {
            self.signal_one(pid, signal);
        }
        alive.len()
    }

    /// Kills all of it, again and again until nothing is left or the time is up; returns who is
    /// left. Blocks the thread.
    pub(super) fn kill(&mut self, within: Duration) -> Vec<i32> {
        let start = Instant::now();
        let mut empty_looks = 0;
        loop {
            if self.signal(Signal::KILL) == 0 {
                empty_looks += 1;
                if empty_looks == EMPTY_LOOKS {
                    return Vec::new();
                }
            } else {
                empty_looks = 0;
            }
            if start.elapsed() >= within {
                return self.alive();
            }
            thread::sleep(PAUSE);
        }
    }

    /// Kills what a command left running that has exited by itself: how many there were, and who
    /// could not be killed. The command was waited for, so its group may be another's by now and is
    /// not signalled. Blocks the thread.
    pub(super) fn kill_left(&mut self, within: Duration) -> (usize, Vec<i32>) {
        let start = Instant::now();
        let mut killed = BTreeSet::new();
        loop {
            let alive = self.alive();
            killed.extend(alive.iter().copied());
            if alive.is_empty() || start.elapsed() >= within {
                return (killed.len(), alive);
            }
            for &pid in &alive {
                self.signal_one(pid, Signal::KILL);
            }
            thread::sleep(PAUSE);
        }
    }

    fn signal_one(&self, pid: i32, signal: Signal) {
        let Some(target) = Pid::from_raw(pid) else { return };
        let started = self.known.get(&pid).copied();
        // Holding the pidfd, the start time says whether it is still the process that was found.
        let handle = pidfd_open(target, PidfdFlags::empty());
        if read_stat(pid).map(|stat| stat.started) != started {
            return;
        }
        let sent = match handle {
            Ok(handle) => pidfd_send_signal(handle, signal),
            // An old kernel, or no descriptor left: better by pid than not at all.
            Err(_no_handle) => kill_process(target, signal),
        };
        if let Err(error) = sent
            && error != Errno::SRCH
        {
            tracing::warn!(pid, ?signal, %error, "a process of a command could not be signalled");
        }
    }

    fn young_enough(&self) -> Vec<Stat> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(read_stat)
            .filter(|stat| stat.started >= self.since)
            .collect()
    }
}

/// Whether the process lives that had this pid and was started then.
pub(super) fn lives(pid: i32, started: u64) -> bool {
    read_stat(pid).is_some_and(|stat| stat.started == started && !stat.dead)
}

/// When the process with this pid was started, in the kernel's ticks.
#[cfg(test)]
pub(super) fn started(pid: i32) -> Option<u64> {
    read_stat(pid).map(|stat| stat.started)
}

/// Whether the environment that the process was started with holds this entry.
fn bears(pid: i32, entry: &[u8]) -> bool {
    let environment = fs::read(Path::new("/proc").join(pid.to_string()).join("environ"));
    environment.is_ok_and(|bytes| bytes.split(|&byte| byte == 0).any(|found| found == entry))
}

fn read_stat(pid: i32) -> Option<Stat> {
    let bytes = fs::read(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    parse_stat(pid, &String::from_utf8_lossy(&bytes))
}

/// Reads the line as proc(5) has it; the second field, the name, may hold anything but ends with
/// the last `)`.
fn parse_stat(pid: i32, line: &str) -> Option<Stat> {
    let (_, after_name) = line.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    Some(Stat {
        pid,
        dead: matches!(*fields.first()?, "Z" | "X" | "x"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_is_read_whatever_the_process_calls_itself() {
        let line = "77 (a) b (c)) S 5 77 70 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 9 9";
        let stat = parse_stat(77, line).unwrap();
        let expected = Stat { pid: 77, dead: false, parent: 5, session: 70, started: 123_456 };
        assert_eq!(stat, expected);
        assert!(parse_stat(77, &line.replace(" S ", " Z ")).unwrap().dead);
        assert_eq!(parse_stat(77, "77 (cut off) S 5"), None);
    }
}
