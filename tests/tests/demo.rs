//! The demo is looked at, and ended whenever one likes: nothing of it is left.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tests::{hearten, until, until_within};

/// Shorter than the demo waits for anything that it expects to happen.
const AT_ONCE: Duration = Duration::from_secs(20);

struct Demo {
    process: Child,
    lines: BufReader<ChildStdout>,
    folder: TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(hearten());
        command.arg("demo").args(arguments).env("TMPDIR", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn()?;
        let lines = BufReader::new(process.stdout.take().context("its output")?);
        Ok(Self { process, lines, folder })
    }

    /// Reads the story up to the line that has these words.
    fn told(&mut self, words: &str) -> Result<String> {
        let mut story = String::new();
        while !story.lines().last().is_some_and(|line| line.contains(words)) {
            let read = self.lines.read_line(&mut story)?;
            assert!(read > 0, "the story ends before {words:?}:\n{story}");
        }
        Ok(story)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.process);
        Ok(kill_process(pid, signal)?)
    }

    /// Waits until it has ended; whether it says that it did what it was asked to.
    fn ended(&mut self) -> Result<bool> {
        let status =
            until_within(AT_ONCE, "the demo ends", || self.process.try_wait().ok().flatten())?;
        Ok(status.success())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // A failed test leaves nothing behind either.
        for pid in running(self.folder.path()) {
            kill_process(pid, Signal::KILL).ok();
        }
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Every process that names a folder.
fn running(folder: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let folder = folder.as_os_str().as_bytes();
        line.windows(folder.len()).any(|part| part == folder).then_some(pid)
    });
    named.collect()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_wherever_its_story_is() -> Result<()> {
    for words in ["founded the mesh", "joined with a token", "is dead"] {
        let mut demo = Demo::start(&["--peers", "3"])?;
        demo.told(words)?;
        demo.signal(Signal::INT)?;
        demo.told("stopping")?;
        assert!(!demo.ended()?, "it was not told to its end");
        assert_eq!(running(demo.folder.path()), [], "after {words:?}");
        assert!(is_empty(demo.folder.path()), "after {words:?}");
    }
    Ok(())
}

#[test]
fn what_rungs_started_ends_with_a_demo_that_was_kept() -> Result<()> {
    let mut demo = Demo::start(&["--peers", "3", "--keep"])?;
    let story = demo.told("Ctrl-C ends it")?;
    assert!(story.contains("was brought back by a neighbour"), "{story}");
    // Three daemons and the service, most of them started by rungs.
    until("all of them run", || (running(demo.folder.path()).len() >= 4).then_some(()))?;
    demo.signal(Signal::TERM)?;
    demo.told("its data and logs are in")?;
    assert!(demo.ended()?, "it did what it was asked to");
    assert_eq!(running(demo.folder.path()), []);
    assert!(!is_empty(demo.folder.path()), "its data are kept");
    Ok(())
}
