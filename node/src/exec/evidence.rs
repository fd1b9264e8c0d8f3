//! Takes evidence before a repair destroys it, and keeps it on this host.
//!
//! A bundle is one plain text that a person can read as it is: each step with its command, how it
//! ended and what it printed. It is stored under its own SHA-256, which the log holds, so that
//! nobody can change it unseen; beside it a small file, named after the incident, says which bundle
//! is that incident's.

use crate::{
    exec::{
        environment::Environment,
        process::{self, Ran, RunLimits},
    },
    files::{PRIVATE, create_private_dir, write_durably},
};
use data_encoding::HEXLOWER;
use protocol::{
    document::{Command, EvidenceStep},
    name::{IncidentId, PeerId},
    record::EvidenceSummary,
    time::{Timestamp, format_span},
};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};
use tokio_util::sync::CancellationToken;

/// The most of one step's output that is kept.
const STEP_MAX_BYTES: usize = 1024 * 1024;

/// What a bundle's file ends with.
const SUFFIX: &str = ".txt";

/// Why evidence could not be kept or read.
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
    #[error("the evidence at {path} was changed since it was taken")]
    Changed {
        /// The bundle's file.
        path: PathBuf,
    },
    /// The daemon is shutting down.
    #[error("the daemon is shutting down")]
    Stopped,
}

/// Whose evidence, by whom, when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taking {
    /// For which incident.
    pub incident: IncidentId,
    /// This peer.
    pub taken_by: PeerId,
    /// The time, for the reader.
    pub at: Timestamp,
}

/// Runs the steps one after the other and keeps what they printed, as one bundle in `dir`.
///
/// A step that fails or runs out of time is counted and its output kept all the same.
///
/// # Errors
/// [`EvidenceError`], when the bundle could not be kept.
pub async fn take(
    steps: &[EvidenceStep],
    environment: &Environment,
    dir: &Path,
    taking: Taking,
) -> Result<EvidenceSummary, EvidenceError> {
    let Taking { incident, taken_by, at } = taking;
    let peer = environment.get("HEARTEN_PEER").unwrap_or("?");
    let mut bundle = format!("Evidence for {incident} on {peer}, taken at {at} by {taken_by}.\n");
    let mut steps_failed = 0;
    for (place, step) in steps.iter().enumerate() {
        let mut limits = RunLimits::new(step.timeout);
        limits.output_max_bytes = STEP_MAX_BYTES;
        let ran = process::run(&step.run, environment, limits, &CancellationToken::new()).await;
        if !ran.end.is_success() {
            steps_failed += 1;
        }
        push_step(&mut bundle, &format!("{} of {}", place + 1, steps.len()), step, &ran);
    }
    let dir = dir.to_owned();
    let stored = tokio::task::spawn_blocking(move || store(&dir, incident, bundle.as_bytes()));
    match stored.await {
        Ok(stored) => {
            let (hash, bytes) = stored?;
            Ok(EvidenceSummary { hash, bytes, taken_by, steps_failed })
        }
        Err(_not_run) => Err(EvidenceError::Stopped),
    }
}

/// The bundle of an incident; `None` when this host has none (any more).
///
/// # Errors
/// [`EvidenceError`], when it cannot be read or is not what was stored.
pub fn read(dir: &Path, incident: IncidentId) -> Result<Option<String>, EvidenceError> {
    let Some(hash) = read_if_present(&dir.join(incident.to_string()))? else { return Ok(None) };
    let hash = String::from_utf8_lossy(&hash).trim().to_owned();
    let path = dir.join(format!("{hash}{SUFFIX}"));
    // A hash and nothing else: no index may lead out of the folder.
    if HEXLOWER.decode(hash.as_bytes()).is_ok_and(|bytes| bytes.len() == 32) {
        let Some(bundle) = read_if_present(&path)? else { return Ok(None) };
        if HEXLOWER.encode(&Sha256::digest(&bundle)) == hash {
            return Ok(Some(String::from_utf8_lossy(&bundle).into_owned()));
        }
    }
    Err(EvidenceError::Changed { path })
}

/// Deletes the oldest bundles until those that are left take no more than `keep_bytes`, and
/// returns how many went. The newest one always stays.
///
/// # Errors
/// [`EvidenceError::Io`].
pub fn prune(dir: &Path, keep_bytes: u64) -> Result<usize, EvidenceError> {
    let mut bundles: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
    let (mut indexes, mut unfinished) = (Vec::new(), Vec::new());
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| EvidenceError::Io { path, source }
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(at(dir)(error)),
    };
    for entry in entries {
        let path = entry.map_err(at(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(SUFFIX) {
            let metadata = fs::metadata(&path).map_err(at(&path))?;
            let modified = metadata.modified().map_err(at(&path))?;
            bundles.push((modified, path, metadata.len()));
        } else if IncidentId::parse(&name).is_ok() {
            indexes.push(path);
        } else if name.ends_with(".tmp") {
            unfinished.push(path);
        }
    }
    bundles.sort();
    // Left by a crash, when a bundle was finished after it; otherwise it may be being written.
    for path in unfinished {
        let begun = fs::metadata(&path).and_then(|metadata| metadata.modified());
        if let Ok(begun) = begun
            && bundles.last().is_some_and(|(newest, ..)| *newest > begun)
        {
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    let mut kept_bytes = 0_u64;
    let mut gone = 0;
    for (newer, (_, path, bytes)) in bundles.iter().rev().enumerate() {
        kept_bytes = kept_bytes.saturating_add(*bytes);
        if newer > 0 && kept_bytes > keep_bytes {
            fs::remove_file(path).map_err(at(path))?;
            gone += 1;
        }
    }
    for index in indexes {
        let hash = fs::read_to_string(&index).map_err(at(&index))?;
        if !dir.join(format!("{}{SUFFIX}", hash.trim())).exists() {
            fs::remove_file(&index).map_err(at(&index))?;
        }
    }
    Ok(gone)
}

fn push_step(bundle: &mut String, place: &str, step: &EvidenceStep, ran: &Ran) {
    let command = match &step.run {
        Command::Script(script) => script.clone(),
        Command::Argv(argv) => argv.join(" "),
    };
    let took = format_span(ran.took);
    let limit = format_span(step.timeout);
    let written = writeln!(
        bundle,
        "\n==== step {place}: {} after {took} of {limit} ====\n$ {}\n\n{}",
        ran.end,
        command.trim_end().replace('\n', "\n> "),
        ran.output.trim_end_matches('\n')
    );
    assert!(written.is_ok(), "a string takes any text");
}

/// Writes the bundle first and its index after: an index never points at nothing.
fn store(
    dir: &Path,
    incident: IncidentId,
    bundle: &[u8],
) -> Result<([u8; 32], u64), EvidenceError> {
    let hash: [u8; 32] = Sha256::digest(bundle).into();
    let name = HEXLOWER.encode(&hash);
    let path = dir.join(format!("{name}{SUFFIX}"));
    let keep = || {
        create_private_dir(dir)?;
        write_durably(&path, bundle, PRIVATE)?;
        write_durably(&dir.join(incident.to_string()), format!("{name}\n").as_bytes(), PRIVATE)
    };
    keep().map_err(|source| EvidenceError::Io { path: path.clone(), source })?;
    Ok((hash, u64::try_from(bundle.len()).unwrap_or(u64::MAX)))
}

fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, EvidenceError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(EvidenceError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    fn step(script: &str, timeout: Duration) -> EvidenceStep {
        EvidenceStep { run: Command::Script(script.to_owned()), timeout }
    }

    async fn take_in(dir: &Path, incident: u64, steps: &[EvidenceStep]) -> EvidenceSummary {
        let environment =
            Environment::from(BTreeMap::from([("HEARTEN_PEER".to_owned(), "web-1".to_owned())]));
        let taking = Taking {
            incident: IncidentId(incident),
            taken_by: PeerId::from_random(1),
            at: Timestamp::from_millis(1_795_226_400_000),
        };
        take(steps, &environment, dir, taking).await.unwrap()
    }

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_bundle_reads_as_what_was_done_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("evidence");
        let steps = [
            step("echo one of $HEARTEN_PEER\necho two", LONG),
            step("echo half; exit 3", LONG),
            step("echo slow; sleep 60", Duration::from_millis(300)),
            step("head -c 3000000 /dev/zero | tr '\\0' x", LONG),
        ];
        let summary = take_in(&dir, 42, &steps).await;
        let bundle = read(&dir, IncidentId(42)).unwrap().unwrap();
        assert_eq!(summary.steps_failed, 2);
        assert_eq!(summary.taken_by, PeerId::from_random(1));
        assert_eq!(summary.bytes, u64::try_from(bundle.len()).unwrap());
        assert_eq!(summary.hash, <[u8; 32]>::from(Sha256::digest(&bundle)));
        assert!(bundle.starts_with("Evidence for INC-42 on web-1, taken at "), "{bundle:.200}");
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

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(files.len(), 2, "a bundle and its index, nothing temporary: {files:?}");
        assert!(files.iter().all(|path| mode(path) == 0o600));
    }

    #[tokio::test]
    async fn a_bundle_that_was_changed_is_not_shown_as_evidence() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        assert_eq!(read(dir, IncidentId(1)).unwrap(), None);
        let summary = take_in(dir, 1, &[step("echo the truth", LONG)]).await;
        let path = dir.join(format!("{}{SUFFIX}", HEXLOWER.encode(&summary.hash)));
        fs::write(&path, "nothing happened").unwrap();
        assert!(matches!(read(dir, IncidentId(1)), Err(EvidenceError::Changed { .. })));
        fs::write(dir.join("INC-1"), "../../etc/passwd").unwrap();
        assert!(matches!(read(dir, IncidentId(1)), Err(EvidenceError::Changed { .. })));
    }

    #[tokio::test]
    async fn the_oldest_bundles_go_first_and_the_newest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        assert_eq!(prune(&dir.join("none"), 0).unwrap(), 0);
        let mut sizes = Vec::new();
        for incident in 1..=4 {
            let summary = take_in(dir, incident, &[step("echo $$", LONG)]).await;
            sizes.push(summary.bytes);
            let path = dir.join(format!("{}{SUFFIX}", HEXLOWER.encode(&summary.hash)));
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 * incident);
            fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
        }
        let crashed = dir.join(".x.tmp");
        fs::write(&crashed, "half").unwrap();
        let long_ago = fs::File::options().write(true).open(&crashed).unwrap();
        long_ago.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(prune(dir, sizes[2] + sizes[3]).unwrap(), 2);
        assert!(!crashed.exists(), "what a crash left is swept");
        let left = |incident| read(dir, IncidentId(incident)).unwrap().is_some();
        assert_eq!([1, 2, 3, 4].map(left), [false, false, true, true]);
        assert!(!dir.join("INC-1").exists(), "no index without its bundle");
        assert_eq!(prune(dir, 0).unwrap(), 1);
        assert!(left(4), "the newest stays");
    }
}
