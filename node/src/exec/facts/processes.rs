//! The process table.

use serde::Serialize;
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path};

/// A longer command line is cut: it is for people and patterns to look at.
const COMMAND_BYTES_MAX: usize = 4_096;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// What the kernel calls it: the first 15 bytes of its program's name, unless it has chosen
    /// another one.
    pub name: String,
    /// `R` running, `S` sleeping, `D` in the kernel, `Z` ended and not waited for, and so on.
    pub state: char,
    /// Whose it is: the user's name, or the number where there is none.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// Its command line, blanks between the arguments; empty for the kernel's own.
    pub command: String,
    /// The memory that it has in use, in bytes.
    pub rss_bytes: u64,
    /// When it was started, in seconds since the host was.
    pub started_after_seconds: u64,
}

impl Process {
    /// Whether it is called so: by the kernel, or by the file name of its program.
    pub fn is_called(&self, name: &str) -> bool {
        let program = self.command.split(' ').next().unwrap_or("");
        let file = program.rsplit('/').next().unwrap_or(program);
        // `nginx: master process` and `-bash` name themselves.
        let own = file.trim_start_matches('-').trim_end_matches(':');
        self.name == name || own == name
    }

    /// Whether it has ended and only waits to be waited for.
    pub const fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads all processes, by their ids. One that ends meanwhile is left out.
pub(super) fn read(proc: &Path) -> Result<Vec<Process>, String> {
    let users = users();
    let entries = fs::read_dir(proc).map_err(|error| format!("{}: {error}", proc.display()))?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<Process> =
        pids.filter_map(|pid| process(&proc.join(pid.to_string()), pid, &users)).collect();
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

fn process(folder: &Path, pid: i32, users: &BTreeMap<u32, String>) -> Option<Process> {
    let stat = fs::read(folder.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // proc(5): the second field, the name, may hold anything but ends with the last `)`.
    let (head, after_name) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let uid = fs::metadata(folder).ok()?.uid();
    let line = fs::read(folder.join("cmdline")).unwrap_or_default();
    let line = &line[..line.len().min(COMMAND_BYTES_MAX)];
    let command = String::from_utf8_lossy(line).replace('\0', " ").trim_end().to_owned();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        user: users.get(&uid).cloned().unwrap_or_else(|| uid.to_string()),
        uid,
        command,
        rss_bytes: number(21)?.saturating_mul(page_bytes()),
        started_after_seconds: number(19)? / ticks_per_second(),
    })
}

fn page_bytes() -> u64 {
    u64::try_from(rustix::param::page_size()).unwrap_or(4_096)
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

/// The names of the host's own users; those of a directory service show as numbers.
fn users() -> BTreeMap<u32, String> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    text.lines().filter_map(user).collect()
}
