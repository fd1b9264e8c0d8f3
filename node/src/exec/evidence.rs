//! Takes evidence before a repair destroys it.
//!
//! A bundle is one plain text that a person can read as it is: each step with what was looked at,
//! how that ended and what was found. It is redacted while it is collected (`redact`), bounded by
//! step and as a whole, compressed, and known by the hash of its compressed bytes ([`shelf`]),
//! which the log holds: whoever has a copy can neither change it nor be taken in by another.
//!
//! Commands are run as rungs are; `files`, `processes`, `sockets` and `filesystems` are read by the
//! daemon itself, so that they work on a host on which nothing can be started any more. `collect`
//! keeps each within its time.

mod collect;
mod files;
mod filesystems;
mod processes;
mod redact;
pub mod shelf;
mod sockets;

use crate::exec::environment::Environment;
use protocol::{document::EvidenceStep, name::IncidentId, time::Timestamp};
use shelf::{Bundle, TEXT_MAX_BYTES};
use std::{io, path::PathBuf};

/// The most of one step that is kept.
const STEP_MAX_BYTES: usize = 1 << 20;

/// A step that would have less room than this is not carried out.
const STEP_MIN_BYTES: usize = 4 << 10;

/// Why evidence could not be taken, kept or read.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The file system refused.
    #[error("evidence at {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The bundle is not what was stored.
    #[error("the evidence {what} was changed since it was taken")]
    Changed {
        /// The bundle's hash.
        what: String,
    },
    /// It is larger than any bundle of ours.
    #[error("the evidence is larger than {BUNDLE} bytes", BUNDLE = shelf::BUNDLE_MAX_BYTES)]
    TooLarge,
    /// The bytes are the bundle's and still nothing that can be read.
    #[error("the evidence is not compressed as it should be: {0}")]
    Compression(io::Error),
    /// The daemon is shutting down.
    #[error("the daemon is shutting down")]
    Stopped,
}

/// Whose evidence, by whom, when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taking {
    /// For which incident.
    pub incident: IncidentId,
    /// This peer's name.
    pub taken_by: String,
    /// The time, for the reader.
    pub at: Timestamp,
}

/// What was taken, not stored yet.
#[derive(Debug)]
pub struct Taken {
    /// The bundle.
    pub bundle: Bundle,
    /// Steps that failed or ran out of time.
    pub steps_failed: u32,
}

/// Carries out the steps one after the other and makes a bundle of what they found.
///
/// A step that fails or runs out of time is counted, and what it found is kept all the same.
///
/// # Errors
/// [`EvidenceError`], when no bundle could be made.
pub async fn take(
    steps: &[EvidenceStep],
    environment: &Environment,
    taking: Taking,
) -> Result<Taken, EvidenceError> {
    take_with(steps, environment, taking, "").await
}

/// [`take`], with what the plugin of the check has to say about it at the head of the bundle. It is
/// redacted by the patterns of all steps.
///
/// # Errors
/// As [`take`].
pub async fn take_with(
    steps: &[EvidenceStep],
    environment: &Environment,
    taking: Taking,
    analysis: &str,
) -> Result<Taken, EvidenceError> {
    let Taking { incident, taken_by, at } = taking;
    let peer = environment.get("HEARTEN_PEER").unwrap_or("?");
    let mut text = format!("Evidence for {incident} on {peer}, taken at {at} by {taken_by}.\n");
    if !analysis.is_empty() {
        let patterns: Vec<String> = steps.iter().flat_map(|step| step.redact.clone()).collect();
        let shown = match redact::Redaction::new(&patterns) {
            Ok(redaction) => redaction.apply(analysis),
            Err(fault) => format!("left out: {fault}\n"),
        };
        let shown = &shown[..shown.floor_char_boundary(STEP_MAX_BYTES)];
        text.push_str(&format!("\n==== what the check's plugin says ====\n{shown}"));
    }
    let mut steps_failed = 0;
    for (place, step) in steps.iter().enumerate() {
        let place = format!("{} of {}", place + 1, steps.len());
        // Room is left for the headings of all steps, whatever the others bring.
        let headings = steps.len() * STEP_MIN_BYTES;
        let room = TEXT_MAX_BYTES.saturating_sub(text.len()).saturating_sub(headings);
        if room < STEP_MIN_BYTES {
            steps_failed += 1;
            text.push_str(&format!("\n==== step {place}: left out: the bundle is full ====\n"));
            continue;
        }
        let max_bytes = room.min(STEP_MAX_BYTES);
        let collected = collect::step(step, &place, environment, max_bytes).await;
        steps_failed += u32::from(!collected.is_whole);
        text.push_str(&collected.text);
    }
    // A long command is repeated in its heading: only then can it be too long.
    text.truncate(text.floor_char_boundary(TEXT_MAX_BYTES));
    match tokio::task::spawn_blocking(move || Bundle::pack(&text)).await {
        Ok(packed) => Ok(Taken { bundle: packed?, steps_failed }),
        Err(_not_run) => Err(EvidenceError::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::document::{Collect, Command};
    use std::{collections::BTreeMap, time::Duration};

    const LONG: Duration = Duration::from_secs(10);

    fn step(script: &str, timeout: Duration) -> EvidenceStep {
        let collect = Collect::Run(Command::Script(script.to_owned()));
        EvidenceStep { collect, timeout, redact: Vec::new() }
    }

    async fn taken(steps: &[EvidenceStep]) -> Taken {
        let variables = BTreeMap::from([("HEARTEN_PEER".to_owned(), "web-1".to_owned())]);
        let taking = Taking {
            incident: IncidentId(42),
            taken_by: "db-1".to_owned(),
            at: Timestamp::from_millis(1_795_226_400_000),
        };
        take(steps, &Environment::from(variables), taking).await.unwrap()
    }

    #[tokio::test]
    async fn what_a_plugin_says_stands_first_and_is_redacted() {
        let taking = Taking {
            incident: IncidentId(42),
            taken_by: "db-1".to_owned(),
            at: Timestamp::from_millis(1_795_226_400_000),
        };
        let mut one = step("echo step", LONG);
        one.redact = vec!["hunter[0-9]".to_owned()];
        let environment = Environment::default();
        let taken = take_with(&[one], &environment, taking, "log:\npassword hunter2\n").await;
        let text = taken.unwrap().bundle.text().unwrap();
        let (said, stepped) = text.split_once("==== step").unwrap();
        assert!(said.contains("plugin says ====\nlog:\npassword "), "{text}");
        assert!(!text.contains("hunter2") && stepped.contains("step"), "{text}");
    }

    #[tokio::test]
    async fn a_bundle_reads_as_what_was_done() {
        let steps = [
            step("echo one of $HEARTEN_PEER\necho two", LONG),
            step("echo half; exit 3", LONG),
            step("echo slow; sleep 60", Duration::from_millis(300)),
            step("head -c 3000000 /dev/zero | tr '\\0' x", LONG),
        ];
        let taken = taken(&steps).await;
        let bundle = taken.bundle.text().unwrap();
        assert_eq!(taken.steps_failed, 2);
        assert!(bundle.starts_with("Evidence for INC-42 on web-1, taken at "), "{bundle:.200}");
        assert!(bundle.lines().next().unwrap().ends_with(" by db-1."), "{bundle:.200}");
        for part in [
            "==== step 1 of 4: exit code 0 after ",
            "$ echo one of $HEARTEN_PEER\n> echo two\n\none of web-1\ntwo\n",
            "==== step 2 of 4: exit code 3 after ",
            "\nhalf\n",
            "==== step 3 of 4: timed out after ",
            " of 300ms ====\n$ echo slow; sleep 60\n\nslow\n",
            "bytes left out …]",
        ] {
            assert!(bundle.contains(part), "{part:?} is not in {bundle:.900}");
        }
        assert!(bundle.len() < STEP_MAX_BYTES + 2_000, "{}", bundle.len());
        assert!(taken.bundle.bytes.len() < 20_000, "{}", taken.bundle.bytes.len());
    }

    #[tokio::test]
    async fn a_bundle_stays_within_its_size_and_says_what_is_missing() {
        let steps = vec![step("head -c 1100000 /dev/zero | tr '\\0' x", LONG); 10];
        let taken = taken(&steps).await;
        let bundle = taken.bundle.text().unwrap();
        assert!(bundle.len() <= TEXT_MAX_BYTES, "{}", bundle.len());
        assert!(bundle.contains("==== step 8 of 10: exit code 0"), "the eighth is cut short");
        let left_out = "==== step 10 of 10: left out: the bundle is full ====";
        assert!(bundle.contains(left_out) && taken.steps_failed >= 1, "{}", taken.steps_failed);
    }
}
