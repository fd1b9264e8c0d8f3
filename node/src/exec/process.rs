//! Runs one command of an operator's, within its time and its size, and says how it ended.
//!
//! The command has its own session, an empty standard input, `/` as its directory, umask 077 and
//! only the variables of [`Environment`]. Both its streams go into one pipe, so that what it
//! printed stands in the order in which it was printed.
//!
//! At its time limit (or when it is cancelled) the whole tree is asked to end with SIGTERM and,
//! after a grace, killed: see `tree`. When it exits by itself nothing is killed, because rungs such
//! as `service web start` leave a service behind on purpose.
//!
//! What a rung runs is guarded: it ends in time also when this daemon is killed or stands still, see
//! [`guardian`](super::guardian).
//!
//! A future that is dropped kills the whole tree at once, without the grace; that blocks the
//! dropping thread for a few milliseconds, and one second at the most.

mod reader;
mod terms;

pub use terms::{End, Ran, RunLimits, Streams};

use crate::exec::{
    environment::{Environment, inherited},
    guardian::{Charge, Guardian},
    tree::{MARKER, Tree},
};
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use protocol::document::Command;
use reader::{DRAIN, Reader};
use rustix::{
    fs::Mode,
    process::{Pid, Signal},
};
use std::{
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, Once, PoisonError},
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::unix::pipe, time};
use tokio_util::sync::CancellationToken;

/// How often is looked whether the tree has ended, during the grace.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long killing is tried; who is still there then hangs inside the kernel.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// The same for a dropped future, which blocks its thread.
const KILL_WITHIN_ON_DROP: Duration = Duration::from_secs(1);

/// How long the exit status of a killed command may take.
const REAP_WITHIN: Duration = Duration::from_secs(1);

/// Runs a command and waits for its end.
///
/// `cancel` ends it early, the same way as its time limit does.
pub async fn run(
    command: &Command,
    environment: &Environment,
    limits: RunLimits,
    cancel: &CancellationToken,
) -> Ran {
    run_with(command, environment, limits, Streams::default(), cancel).await
}

/// [`run`], with something to read and with a say in what becomes of what it prints.
pub async fn run_with(
    command: &Command,
    environment: &Environment,
    limits: RunLimits,
    streams: Streams,
    cancel: &CancellationToken,
) -> Ran {
    let started = Instant::now();
    let without_process = |end| Ran {
        end,
        output: String::new(),
        errors: String::new(),
        flooded: false,
        leftovers: 0,
        started,
        took: started.elapsed(),
        pid: None,
        survivors: Vec::new(),
    };
    if cancel.is_cancelled() {
        return without_process(End::Cancelled);
    }
    let Running { mut child, tree, guardian, output, errors, input } =
        match start(command, environment, limits, &streams) {
            Ok(running) => running,
            Err(reason) => return without_process(End::NotStarted(reason)),
        };
    let pid = child.id();
    // After the child, so that it goes first when this future is dropped: its pid is then still
    // the child's.
    let mut guard = Guard { tree: Arc::new(Mutex::new(tree)), armed: true };
    let reader = Reader::start(output, limits.output_max_bytes);
    let errors = errors.map(|pipe| Reader::start(pipe, limits.output_max_bytes));
    let writer = input.map(|pipe| tokio::spawn(feed(pipe, streams.input)));
    let flood = async {
        let second = async {
            match &errors {
                Some(reader) => reader.flooded.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = reader.flooded.cancelled() => {}
            () = second => {}
        }
    };

    let cut_short = tokio::select! {
        // An exit at the very moment of the limit is an exit.
        biased;
        status = child.wait() => Err(status),
        () = cancel.cancelled() => Ok(End::Cancelled),
        () = flood, if streams.floods_end => Ok(End::Cancelled),
        () = time::sleep(limits.timeout) => Ok(End::TimedOut),
    };
    let mut leftovers = 0;
    let (end, survivors) = match cut_short {
        Err(status) if streams.leftovers_end => {
            let ended = with_tree(&guard.tree, |tree| tree.kill_left(KILL_WITHIN)).await;
            let (killed, survivors) = ended.unwrap_or_default();
            leftovers = killed;
            (end_of(status), survivors)
        }
        Err(status) => (end_of(status), Vec::new()),
        Ok(end) => {
            let survivors = end_tree(&guard.tree, limits.grace).await;
            // Not waited for before: an unreaped process keeps its pid.
            if time::timeout(REAP_WITHIN, child.wait()).await.is_err() {
                tracing::warn!(?pid, "a killed command has not ended");
            }
            (end, survivors)
        }
    };
    guard.armed = false;
    if let Some(guardian) = guardian {
        guardian.dismiss();
    }
    // While this daemon stood still, its guardian ended it.
    let end = match end {
        End::Signalled(_) if limits.guarded && started.elapsed() > limits.timeout => End::TimedOut,
        End::Exited(_)
        | End::Signalled(_)
        | End::TimedOut
        | End::Cancelled
        | End::NotStarted(_) => end,
    };
    if let Some(writer) = writer {
        writer.abort();
    }
    let (output, flooded) = reader.finish().await;
    let (errors, flooded_errors) = match errors {
        Some(reader) => reader.finish().await,
        None => (String::new(), false),
    };
    let flooded = flooded || flooded_errors;
    let took = started.elapsed();
    Ran { end, output, errors, flooded, leftovers, started, took, pid, survivors }
}

/// Writes what the command reads; it may end or close its input before it has read it all.
async fn feed(mut pipe: pipe::Sender, input: Vec<u8>) {
    if let Err(error) = pipe.write_all(&input).await {
        tracing::debug!(%error, "a command did not read all of its input");
    }
}

struct Running {
    child: Box<dyn ChildWrapper>,
    tree: Tree,
    guardian: Option<Guardian>,
    output: pipe::Receiver,
    errors: Option<pipe::Receiver>,
    input: Option<pipe::Sender>,
}

fn start(
    command: &Command,
    environment: &Environment,
    limits: RunLimits,
    streams: &Streams,
) -> Result<Running, String> {
    set_umask();
    let argv = environment.expand(command).map_err(|error| error.to_string())?;
    let (program, arguments) = argv.split_first().ok_or("the command is empty")?;
    let run = format!("{:032x}", rand::random::<u128>());
    let plain = |error: io::Error| error.to_string();
    let (reader, writer) = io::pipe().map_err(plain)?;
    let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(plain)?;
    let (errors, second) = if streams.apart {
        let (reader, second) = io::pipe().map_err(plain)?;
        (Some(pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(plain)?), second)
    } else {
        (None, writer.try_clone().map_err(plain)?)
    };
    let (stdin, input) = if streams.input.is_empty() {
        (Stdio::null(), None)
    } else {
        let (theirs, ours) = io::pipe().map_err(plain)?;
        let ours = pipe::Sender::from_owned_fd(OwnedFd::from(ours)).map_err(plain)?;
        (Stdio::from(theirs), Some(ours))
    };
    let mut wrapped = CommandWrap::with_new(program, |command| {
        command
            .args(arguments)
            .env_clear()
            .envs(inherited())
            .envs(environment.variables())
            .env(MARKER, &run)
            .current_dir("/")
            .stdin(stdin)
            .stdout(writer)
            .stderr(second);
    });
    let mut guardian = guardian(&run, limits, streams)?;
    let spawned = wrapped.wrap(ProcessSession).spawn();
    let child = match spawned {
        // Its own `wait` waits for the whole group, services that are left behind included.
        Ok(child) => child.into_inner(),
        Err(error) => {
            if let Some(guardian) = guardian {
                guardian.dismiss();
            }
            return Err(why_not_started(program, &error));
        }
    };
    // The command holds our ends of the pipe for writing: with them there would be no end of file.
    drop(wrapped);
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let pid = pid.ok_or("it ended before it had a process id")?;
    let tree = Tree::new(pid, &run);
    if let (Some(guardian), Some((pid, started))) = (&mut guardian, tree.root()) {
        guardian.tell(pid, started);
    }
    Ok(Running { child, tree, guardian, output: pipe, errors, input })
}

/// The guardian of a command, if it is to have one. It begins before the command does, so that
/// there is no moment at which nobody would end it.
fn guardian(run: &str, limits: RunLimits, streams: &Streams) -> Result<Option<Guardian>, String> {
    if !limits.guarded {
        return Ok(None);
    }
    let within = limits.timeout.saturating_add(limits.grace);
    let charge = Charge { run: run.to_owned(), within, leftovers_end: streams.leftovers_end };
    Guardian::start(&charge).map_err(|error| {
        format!("its guardian, which would end it in time, could not be started: {error}")
    })
}

/// Files that commands make are their owner's alone. There is one umask for a whole process, and
/// the daemon is content with the same: whatever it shares has its mode set expressly.
fn set_umask() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        rustix::process::umask(Mode::from_raw_mode(0o077));
    });
}

fn why_not_started(program: &str, error: &io::Error) -> String {
    // The list of kinds is open: these two are the ones that operators cause.
    if error.kind() == io::ErrorKind::NotFound {
        format!("{program}: no such program (or the interpreter of its first line is missing)")
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        format!("{program}: not executable by this daemon's user")
    } else {
        format!("{program}: {error}")
    }
}

fn end_of(status: io::Result<ExitStatus>) -> End {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => End::Exited(code),
            (None, Some(signal)) => End::Signalled(signal),
            (None, None) => unreachable!("a process that ended has a code or a signal"),
        },
        // Only if someone else reaped it. How it ended is then not known, and 255 is not success.
        Err(error) => {
            tracing::error!(%error, "a command's exit status could not be read");
            End::Exited(255)
        }
    }
}

/// SIGTERM to the whole tree, and SIGKILL to what is left of it after the grace.
async fn end_tree(tree: &Arc<Mutex<Tree>>, grace: Duration) -> Vec<i32> {
    let deadline = Instant::now() + grace;
    let mut left = with_tree(tree, |tree| {
        let asked = tree.signal(Signal::TERM);
        // One that is stopped cannot follow.
        tree.signal(Signal::CONT);
        asked
    })
    .await;
    while left.is_some_and(|left| left > 0) && Instant::now() < deadline {
        time::sleep(LOOK_EVERY).await;
        left = with_tree(tree, |tree| tree.alive().len()).await;
    }
    with_tree(tree, |tree| tree.kill(KILL_WITHIN)).await.unwrap_or_default()
}

/// Looks at the tree on a thread that may block; `None` when the runtime is shutting down.
async fn with_tree<T: Send + 'static>(
    tree: &Arc<Mutex<Tree>>,
    work: impl FnOnce(&mut Tree) -> T + Send + 'static,
) -> Option<T> {
    let tree = Arc::clone(tree);
    let task = tokio::task::spawn_blocking(move || {
        work(&mut tree.lock().unwrap_or_else(PoisonError::into_inner))
    });
    task.await.ok()
}

/// Kills the tree when the future that runs the command is dropped.
struct Guard {
    tree: Arc<Mutex<Tree>>,
    armed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed {
            let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
            let survivors = tree.kill(KILL_WITHIN_ON_DROP);
            if !survivors.is_empty() {
                tracing::warn!(?survivors, "processes of an abandoned command live on");
            }
        }
    }
}

#[cfg(test)]
mod crowds;
#[cfg(test)]
pub(super) mod tests;
