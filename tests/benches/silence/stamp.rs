//! The handler that both meshes start: it notes the time at which it was started, and ends.
//!
//! `stamp FILE WORD...` appends `NANOSECONDS WORD...` to a file. Where serf starts it, it adds the
//! agent's own name and the names of the members that the event is about, which serf writes to
//! its input one a line, each followed by a tab.

use std::{
    env,
    fs::OpenOptions,
    io::{self, BufRead, Write},
    time::SystemTime,
};

fn main() -> io::Result<()> {
    // First of all: the rest of it is not part of what is measured.
    let now = SystemTime::now();
    let nanos = now.duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?.as_nanos();
    let mut arguments = env::args().skip(1);
    let file = arguments.next().ok_or_else(|| io::Error::other("stamp FILE WORD..."))?;
    let mut line = nanos.to_string();
    for word in arguments {
        line = format!("{line} {word}");
    }
    if env::var_os("SERF_EVENT").is_some() {
        let own = env::var("SERF_SELF_NAME").map_err(io::Error::other)?;
        let mut names = Vec::new();
        for member in io::stdin().lock().lines() {
            let member = member?;
            names.extend(member.split('\t').next().map(str::to_owned));
        }
        line = format!("{line} {own} {}", names.join(","));
    }
    // One write of one line: those of several that start at once do not mix.
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)?
        .write_all(format!("{line}\n").as_bytes())
}
