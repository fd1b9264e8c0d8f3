//! Every process, read from `/proc`: on a host on which no process can be started any more this
//! is the only way to learn why.

use std::{collections::BTreeMap, fmt::Write, fs, io, path::Path};

/// `USER_HZ`: ticks per second in `/proc/PID/stat`, the same on every architecture of Linux.
const TICKS_PER_SECOND: u64 = 100;

/// The longest command line that is shown, in characters.
const COMMAND_CHARACTERS_MAX: usize = 400;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    state: char,
    threads: u64,
    /// Ticks from the host's start to the process's.
    started: u64,
    /// Ticks of processor time.
    worked: u64,
    name: String,
}

/// The table as text, by process id.
pub(super) fn table() -> io::Result<String> {
    let up = fs::read_to_string("/proc/uptime")?;
    let up: u64 = up.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let users = users(&fs::read_to_string("/etc/passwd").unwrap_or_default());
    let mut rows: BTreeMap<u32, String> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // One that has ended meanwhile is no fault.
        if let Some(row) = row(&entry.path(), up, &users) {
            rows.insert(pid, row);
        }
    }
    let mut text = format!(
        "{:>7} {:>7} {:<12} S {:>4} {:>9} {:>8} {:>8} COMMAND\n",
        "PID", "PARENT", "USER", "THR", "RSS_KB", "CPU_S", "AGE_S"
    );
    for row in rows.values() {
        let written = writeln!(text, "{row}");
        assert!(written.is_ok(), "a string takes any text");
    }
    Ok(text)
}

fn row(folder: &Path, up: u64, users: &BTreeMap<u32, String>) -> Option<String> {
    let process = parse(&String::from_utf8_lossy(&fs::read(folder.join("stat")).ok()?))?;
    let status = fs::read(folder.join("status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next().map(str::to_owned)
    };
    let user = field("Uid:").map(|uid| match uid.parse().ok().and_then(|uid| users.get(&uid)) {
        Some(name) => name.clone(),
        None => uid,
    });
    let command = fs::read(folder.join("cmdline")).unwrap_or_default();
    let Process { pid, parent, state, threads, started, worked, name } = process;
    Some(format!(
        "{pid:>7} {parent:>7} {:<12} {state} {threads:>4} {:>9} {:>8} {:>8} {}",
        user.as_deref().unwrap_or("?"),
        field("VmRSS:").as_deref().unwrap_or("0"),
        worked / TICKS_PER_SECOND,
        up.saturating_sub(started / TICKS_PER_SECOND),
        command_line(&command, &name)
    ))
}

/// The arguments in one line; a process of the kernel has none and is named in brackets.
fn command_line(bytes: &[u8], name: &str) -> String {
    if bytes.is_empty() {
        return format!("[{name}]");
    }
    let text = String::from_utf8_lossy(bytes);
    let shown = text.trim_end_matches('\0').chars().take(COMMAND_CHARACTERS_MAX);
    shown.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn parse(stat: &str) -> Option<Process> {
    // The name may hold blanks and brackets: it ends at the last one.
    let (head, tail) = stat.rsplit_once(')')?;
    let (pid, name) = head.split_once(" (")?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    // Counted as in proc(5), where the state is field 3.
    let number = |place: usize| fields.get(place.checked_sub(3)?)?.parse::<u64>().ok();
    Some(Process {
        pid: pid.parse().ok()?,
        parent: u32::try_from(number(4)?).ok()?,
        state: fields.first()?.chars().next()?,
        threads: number(20)?,
        started: number(22)?,
        worked: number(14)?.saturating_add(number(15)?),
        name: name.to_owned(),
    })
}

fn users(passwd: &str) -> BTreeMap<u32, String> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    passwd.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let stat = "42 (a) (b c) S 7 42 42 0 -1 4194304 1 2 3 4 250 50 0 0 20 0 3 0 900 1 2";
        let process = parse(stat).unwrap();
        assert_eq!((process.pid, process.parent, process.state), (42, 7, 'S'));
        assert_eq!((process.threads, process.started, process.worked), (3, 900, 300));
        assert_eq!(process.name, "a) (b c");
        assert_eq!(parse("42 (half"), None);
        assert_eq!(parse("42 (short) S 1"), None);
    }

    #[test]
    fn a_command_line_stays_one_line() {
        assert_eq!(command_line(b"sh\0-c\0echo a\necho b\0", "sh"), "sh -c echo a echo b");
        assert_eq!(command_line(b"", "kthreadd"), "[kthreadd]");
        assert_eq!(command_line(&[b'x'; 9_000], "x").len(), COMMAND_CHARACTERS_MAX);
    }

    #[test]
    fn this_process_is_in_the_table_with_its_user() {
        let table = table().unwrap();
        let own = format!("{:>7} ", std::process::id());
        let row = table.lines().find(|line| line.starts_with(&own)).unwrap();
        assert!(row.split_whitespace().nth(5).unwrap().parse::<u64>().unwrap() > 0, "{row}");
        assert_eq!(users("root:x:0:0::/root:/bin/sh\nodd\n"), [(0, "root".to_owned())].into());
    }
}
