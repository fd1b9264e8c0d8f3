//! Programs of the host that tell of events for as long as they run: a line of JSON for each.
//!
//! `hearten.toml` names them, with the mapping by which their lines are understood. One that ends is
//! started again, after waits that double. While the log does not take what it said, it is not read
//! on, and so waits by itself; and it is ended with the daemon.

use super::{Daemon, http, service};
use crate::intake::mapped::Mapping;
use futures::StreamExt;
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use protocol::{alert::Word, record::Record};
use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::process::{ChildStdout, Command};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

/// The longest line.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The most lines that go to the log together.
const LINES_MAX: usize = 500;

/// The first and the longest wait before a program is started again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long before what the log did not take is brought again.
const BRING_AGAIN: Duration = Duration::from_secs(1);

/// Keeps a program running until the daemon stops.
pub(super) async fn keep(daemon: Arc<Daemon>, mapping: Mapping) {
    let stop = daemon.stop.clone();
    let mut wait = AGAIN.0;
    loop {
        let began = Instant::now();
        let ended = tokio::select! {
            ended = listen(&daemon, &mapping) => ended,
            () = stop.cancelled() => return,
        };
        // What ran for a while has not failed to start.
        wait = if began.elapsed() > AGAIN.1 { AGAIN.0 } else { wait };
        tracing::warn!(source = %mapping.name, why = %ended, again_in = ?wait, "a source of events has ended; it is started again");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        wait = (wait * 2).min(AGAIN.1);
    }
}

/// Runs the program once and brings what it says to the log; returns why it ended.
async fn listen(daemon: &Daemon, mapping: &Mapping) -> String {
    let (mut child, output) = match start(mapping) {
        Ok(started) => started,
        Err(error) => return format!("it cannot be started: {error}"),
    };
    let codec = LinesCodec::new_with_max_length(LINE_BYTES_MAX);
    let mut lines = FramedRead::new(output, codec).ready_chunks(LINES_MAX);
    while let Some(chunk) = lines.next().await {
        bring(daemon, words(daemon, mapping, chunk)).await;
    }
    match child.0.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

fn start(mapping: &Mapping) -> std::io::Result<(Program, ChildStdout)> {
    let nothing = || std::io::Error::other("it names no program");
    let (program, arguments) = mapping.run.split_first().ok_or_else(nothing)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear();
    // As whatever else the daemon runs: nothing of its own environment but what finds programs.
    for name in ["PATH", "HOME", "LANG"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    // What it says of itself goes where the daemon's own log goes.
    command.stderr(Stdio::inherit());
    let mut wrap = CommandWrap::from(command);
    wrap.wrap(ProcessSession);
    let mut child = wrap.spawn()?;
    let output = child.stdout().take().ok_or_else(nothing)?;
    Ok((Program(child), output))
}

/// A program that is ended, with whatever it has started, when nobody listens any more.
struct Program(Box<dyn ChildWrapper>);

impl Drop for Program {
    fn drop(&mut self) {
        if let Err(error) = self.0.start_kill() {
            tracing::debug!(%error, "a source of events was not ended, or has ended");
        }
    }
}

fn words(
    daemon: &Daemon,
    mapping: &Mapping,
    lines: Vec<Result<String, LinesCodecError>>,
) -> Vec<Word> {
    let now = daemon.log_now();
    let mut words = Vec::new();
    for line in lines {
        let read = match line {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => mapping.words(line.as_bytes(), now).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(read) => {
                words.extend(read.undated);
                for why in read.refused {
                    tracing::warn!(source = %mapping.name, %why, "an event was not understood");
                }
            }
            Err(why) => {
                tracing::warn!(source = %mapping.name, %why, "a line was not understood");
            }
        }
    }
    words
}

/// Brings words to the log, and does not let go before it has them.
async fn bring(daemon: &Daemon, words: Vec<Word>) {
    // One after the other: of two about the same thing the second depends on the first.
    for word in words {
        loop {
            let new = http::news(daemon, http::dated(daemon, vec![word.clone()]));
            if new.is_empty() {
                break;
            }
            match service::commit(daemon, Record::Alerted { words: new }).await {
                Ok((position, Ok(_))) => {
                    service::seen(daemon, position).await;
                    break;
                }
                Ok((_, Err(refusal))) => {
                    tracing::warn!(%refusal, "the log refuses an event; it is told again");
                }
                Err(error) => {
                    tracing::debug!(%error, "an event is not in the log yet; it is told again");
                }
            }
            tokio::time::sleep(BRING_AGAIN).await;
        }
    }
}
