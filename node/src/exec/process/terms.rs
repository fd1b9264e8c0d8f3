//! What a command is given, how far it may go, and what there is to say of it afterwards.

use super::{DRAIN, KILL_WITHIN, REAP_WITHIN};
use std::time::{Duration, Instant};

/// How far a command may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunLimits {
    /// After this time its tree is ended.
    pub timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// How much of its output is kept, in bytes.
    pub output_max_bytes: usize,
    /// Whether it is ended in time also when this daemon cannot do it: for what acts.
    pub guarded: bool,
}

impl RunLimits {
    /// This time limit, half a second of grace, 64 KiB of output, and nobody who guards it.
    pub const fn new(timeout: Duration) -> Self {
        let grace = Duration::from_millis(500);
        Self { timeout, grace, output_max_bytes: 64 * 1024, guarded: false }
    }

    /// The same, guarded.
    pub const fn guarded(self) -> Self {
        Self { guarded: true, ..self }
    }

    /// The longest time until [`run`](super::run) returns, whatever the command does.
    pub const fn longest(&self) -> Duration {
        self.timeout
            .saturating_add(self.grace)
            .saturating_add(KILL_WITHIN)
            .saturating_add(REAP_WITHIN)
            .saturating_add(DRAIN)
            // Looking through /proc on a busy host.
            .saturating_add(Duration::from_secs(1))
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal, which was not ours.
    Signalled(i32),
    /// It was still running at its time limit and was ended.
    TimedOut,
    /// We were told to end it (or not to begin).
    Cancelled,
    /// It could not be started, for this reason.
    NotStarted(String),
}

impl End {
    /// Whether it exited by itself with code 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signalled(signal) => write!(f, "ended by signal {signal}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::NotStarted(reason) => write!(f, "not started: {reason}"),
        }
    }
}

/// What a command is given, and what is made of what it prints.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    /// What it reads on its standard input; nothing unless said.
    pub input: Vec<u8>,
    /// Whether what it prints as errors is kept apart.
    pub apart: bool,
    /// Whether it is ended as soon as it prints more than is kept: what would be left out is then
    /// not worth waiting for.
    pub floods_end: bool,
    /// Whether what it leaves running when it exits is ended: for what is run again and again.
    pub leftovers_end: bool,
}

/// What there is to say of a command that was run.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// What it printed: on both streams, in the order in which it came, unless they are apart.
    pub output: String,
    /// What it printed as errors, where that is apart.
    pub errors: String,
    /// Whether it printed more than was kept.
    pub flooded: bool,
    /// How many processes it left running that were ended.
    pub leftovers: usize,
    /// When it was started.
    pub started: Instant,
    /// How long it took.
    pub took: Duration,
    /// Its process, if there was one.
    pub pid: Option<u32>,
    /// Processes of its tree that could not be killed; empty unless the kernel holds them.
    pub survivors: Vec<i32>,
}
