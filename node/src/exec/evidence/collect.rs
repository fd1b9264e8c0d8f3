//! One step of evidence, whatever its kind: carried out within its time, told as text.

use super::{files, filesystems, processes, redact::Redaction, sockets};
use crate::exec::{
    environment::Environment,
    output::Output,
    process::{self, RunLimits},
};
use protocol::{
    document::{Collect, Command, EvidenceStep},
    time::format_span,
};
use std::{
    io,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// The most of one file that is kept.
pub(super) const FILE_MAX_BYTES: usize = 256 << 10;

/// What came of a step.
#[derive(Debug)]
pub(super) struct Collected {
    /// Whether all of it could be collected.
    pub(super) is_whole: bool,
    /// How it ended and what was collected, redacted.
    pub(super) text: String,
}

/// What a step found, before it is redacted.
struct Found {
    is_whole: bool,
    end: String,
    content: String,
}

/// Carries out a step; of what it finds at most `max_bytes` are kept.
pub(super) async fn step(
    step: &EvidenceStep,
    place: &str,
    environment: &Environment,
    max_bytes: usize,
) -> Collected {
    let redaction = match Redaction::new(&step.redact) {
        Ok(redaction) => redaction,
        Err(reason) => {
            // What must not be stored is not even collected.
            let text = format!("\n==== step {place}: not collected: {reason} ====\n");
            return Collected { is_whole: false, text };
        }
    };
    let began = Instant::now();
    let Found { is_whole, end, content } = find(step, environment, max_bytes).await;
    let (took, limit) = (format_span(began.elapsed()), format_span(step.timeout));
    let heading = format!("\n==== step {place}: {end} after {took} of {limit} ====\n");
    let what = describe(&step.collect);
    let redacted = blocking(move || {
        let content = redaction.apply(content.trim_end_matches('\n'));
        let mut output = Output::new(max_bytes);
        output.push(content.as_bytes());
        Ok(format!("{}\n\n{}\n", redaction.apply(&what), output.into_text()))
    });
    match redacted.await {
        Ok(text) => Collected { is_whole, text: heading + &text },
        Err(error) => Collected { is_whole: false, text: format!("{heading}{error}\n") },
    }
}

async fn find(step: &EvidenceStep, environment: &Environment, max_bytes: usize) -> Found {
    match &step.collect {
        Collect::Run(command) => run(command, environment, step.timeout, max_bytes).await,
        Collect::Journal { unit, lines } => {
            let argv = [
                "journalctl".to_owned(),
                "--no-pager".to_owned(),
                "--quiet".to_owned(),
                "--output=short-iso".to_owned(),
                format!("--unit={unit}"),
                format!("--lines={lines}"),
            ];
            run(&Command::Argv(argv.to_vec()), environment, step.timeout, max_bytes).await
        }
        Collect::Files(paths) => {
            let paths = paths.clone();
            let of_one = FILE_MAX_BYTES.min(max_bytes);
            let read = within(step.timeout, move || Ok(files::contents(&paths, of_one))).await;
            match read {
                Ok((content, 0)) => whole(content),
                Ok((content, failed)) => {
                    let end = format!("{failed} could not be read");
                    Found { is_whole: false, end, content }
                }
                Err(error) => failed(&error),
            }
        }
        Collect::Processes => table(step.timeout, processes::table).await,
        Collect::Sockets => table(step.timeout, sockets::table).await,
        Collect::Filesystems => table(step.timeout, filesystems::table).await,
    }
}

async fn run(
    command: &Command,
    environment: &Environment,
    timeout: Duration,
    max_bytes: usize,
) -> Found {
    let mut limits = RunLimits::new(timeout);
    limits.output_max_bytes = max_bytes;
    let ran = process::run(command, environment, limits, &CancellationToken::new()).await;
    Found { is_whole: ran.end.is_success(), end: ran.end.to_string(), content: ran.output }
}

async fn table(timeout: Duration, make: fn() -> io::Result<String>) -> Found {
    match within(timeout, make).await {
        Ok(content) => whole(content),
        Err(error) => failed(&error),
    }
}

fn whole(content: String) -> Found {
    Found { is_whole: true, end: "collected".to_owned(), content }
}

fn failed(error: &io::Error) -> Found {
    let late = error.kind() == io::ErrorKind::TimedOut;
    let end = if late { "timed out".to_owned() } else { format!("failed: {error}") };
    Found { is_whole: false, end, content: String::new() }
}

/// A look at the host that may hang inside the kernel: then its thread is left behind, and the
/// step is over all the same.
async fn within<T: Send + 'static>(
    timeout: Duration,
    look: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::time::timeout(timeout, blocking(look)).await {
        Ok(found) => found,
        Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(io::Error::other(error)),
    }
}

/// What is collected, as the operator wrote it.
fn describe(collect: &Collect) -> String {
    match collect {
        Collect::Run(Command::Script(script)) => {
            format!("$ {}", script.trim_end().replace('\n', "\n> "))
        }
        Collect::Run(Command::Argv(argv)) => format!("$ {}", argv.join(" ")),
        Collect::Files(paths) => format!("files {}", paths.join(" ")),
        Collect::Journal { unit, lines } => {
            format!("the last {lines} lines of {unit} in the journal")
        }
        Collect::Processes | Collect::Sockets | Collect::Filesystems => collect.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    async fn collected(collect: Collect, redact: &[&str], max_bytes: usize) -> Collected {
        let redact = redact.iter().map(|&pattern| pattern.to_owned()).collect();
        let wanted = EvidenceStep { collect, timeout: LONG, redact };
        step(&wanted, "1 of 1", &Environment::default(), max_bytes).await
    }

    #[tokio::test]
    async fn every_kind_is_collected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.log").to_string_lossy().into_owned();
        std::fs::write(&path, "the last words\n").unwrap();
        let script = Collect::Run(Command::Script("echo said".to_owned()));
        for (collect, words) in [
            (script, ["==== step 1 of 1: exit code 0 after ", "$ echo said\n\nsaid\n"]),
            (Collect::Files(vec![path]), [": collected after ", "15 bytes\nthe last words\n"]),
            (Collect::Processes, ["processes\n\n    PID  PARENT", " COMMAND\n"]),
            (Collect::Sockets, ["sockets\n\nPROTO STATE", " REMOTE "]),
            (Collect::Filesystems, ["filesystems\n\n SIZE_MB", " / "]),
        ] {
            let Collected { is_whole, text } = collected(collect, &[], 1 << 20).await;
            assert!(is_whole, "{text}");
            assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text:.600}");
            assert!(text.contains(" of 10s ====\n"), "{text:.300}");
        }
    }

    #[tokio::test]
    async fn a_journal_is_asked_of_systemd_and_its_absence_is_told() {
        let unit = "hearten-test-none.service".to_owned();
        let journal = Collect::Journal { unit, lines: 5 };
        let Collected { text, .. } = collected(journal, &[], 1 << 20).await;
        assert!(text.contains("the last 5 lines of hearten-test-none.service in the journal\n"));
        let end = ["exit code", "not started"].iter().any(|end| text.contains(end));
        assert!(end, "{text}");
    }

    #[tokio::test]
    async fn a_step_is_redacted_and_so_is_what_it_was_asked_with() {
        let script =
            Command::Script("echo password=abc; head -c 9000 /dev/zero | tr '\\0' x".into());
        let Collected { text, .. } =
            collected(Collect::Run(script), &["password=\\w+"], 4_000).await;
        assert!(text.contains("$ echo [redacted]; head"), "{text:.300}");
        assert!(!text.contains("abc"), "{text:.300}");
        assert!(text.len() < 4_300, "{}", text.len());
        let odd = collected(Collect::Processes, &["("], 1 << 20).await;
        assert!(!odd.is_whole && odd.text.contains("not collected: the pattern"), "{}", odd.text);
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_over_at_its_time() {
        let hang = || {
            std::thread::sleep(Duration::from_secs(2));
            Ok(())
        };
        let began = Instant::now();
        let found = within(Duration::from_millis(50), hang).await.unwrap_err();
        assert_eq!(failed(&found).end, "timed out");
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}
