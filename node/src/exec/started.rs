//! The worker's own memory of what it has started: written before it acts, so that no attempt is
//! ever started twice.
//!
//! A line per attempt, `INCIDENT ATTEMPT CHECKSUM`, is appended and on the disk before
//! [`Journal::record`] returns [`Recorded::Started`]; only then may the worker act. A crash leaves
//! at most a torn last line, of an attempt that nobody was told to start. A line that is damaged
//! otherwise means that a promise may have been lost: such a journal is not opened, because
//! what cannot be read is never guessed.
//!
//! Within an incident attempts only rise; one below the last that was started is an old order.

use crate::files::{PRIVATE, write_durably};
use protocol::name::IncidentId;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("the journal of started attempts {path} cannot be used: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A line that must have been whole is not.
    #[error(
        "the journal of started attempts {path} is damaged in line {line}: what this host has \
         started is not known for sure; let this peer leave and join anew, or, once no repair of \
         it is under way, move the file away"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// The answer to "may I start this?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "only `Started` allows the worker to act"]
pub enum Recorded {
    /// It is on the disk: act now.
    Started,
    /// It was started before, perhaps by an earlier run of this daemon.
    Already,
    /// A later attempt of the incident was started already.
    Superseded {
        /// The latest one.
        by: u32,
    },
}

/// What this host has started, on its disk.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of the file that are whole lines.
    length: u64,
    started: BTreeMap<IncidentId, BTreeSet<u32>>,
    /// Set when the disk no longer says for sure what it holds.
    broken: bool,
}

impl Journal {
    /// Opens the journal, or makes it. `retain` says which entries are still of interest; the
    /// others are left out for good. An incident's entries may go when it is closed in the ledger
    /// as far as this host has applied it: no order for it can be valid then.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(
        path: &Path,
        mut retain: impl FnMut(IncidentId, u32) -> bool,
    ) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let mut started: BTreeMap<IncidentId, BTreeSet<u32>> = BTreeMap::new();
        let entries = read_entries(bytes.as_deref().unwrap_or_default());
        for (incident, attempt) in
            entries.map_err(|line| JournalError::Damaged { path: path.to_owned(), line })?
        {
            if retain(incident, attempt) {
                started.entry(incident).or_default().insert(attempt);
            }
        }
        let compact: String = started
            .iter()
            .flat_map(|(incident, attempts)| attempts.iter().map(|a| line_of(*incident, *a)))
            .collect();
        // Also when it is missing: its name must be in the directory before the first promise.
        if bytes.as_deref() != Some(compact.as_bytes()) {
            write_durably(path, compact.as_bytes(), PRIVATE).map_err(failed)?;
        }
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        let length = u64::try_from(compact.len()).unwrap_or(u64::MAX);
        Ok(Self { path: path.to_owned(), file, length, started, broken: false })
    }

    /// Whether this attempt was started.
    pub fn contains(&self, incident: IncidentId, attempt: u32) -> bool {
        self.started.get(&incident).is_some_and(|attempts| attempts.contains(&attempt))
    }

    /// Everything that was started, in order.
    pub fn entries(&self) -> impl Iterator<Item = (IncidentId, u32)> {
        self.started
            .iter()
            .flat_map(|(incident, attempts)| attempts.iter().map(|attempt| (*incident, *attempt)))
    }

    /// Writes down that this attempt is being started. Blocks until it is on the disk.
    ///
    /// # Errors
    /// What the file system said; the attempt must then not be started. After a failed sync nobody
    /// can say what the disk holds, and every further call fails until the journal is opened anew.
    pub fn record(&mut self, incident: IncidentId, attempt: u32) -> io::Result<Recorded> {
        if self.contains(incident, attempt) {
            return Ok(Recorded::Already);
        }
        if let Some(&last) = self.started.get(&incident).and_then(BTreeSet::last)
            && last > attempt
        {
            return Ok(Recorded::Superseded { by: last });
        }
        if self.broken {
            let path = self.path.display();
            return Err(io::Error::other(format!("{path} failed before and must be reopened")));
        }
        let line = line_of(incident, attempt);
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            // A full disk: what was written of the line has to go, or the next one joins it.
            self.broken = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        if let Err(error) = self.file.sync_data() {
            // The kernel may drop the page and report success the next time.
            self.broken = true;
            return Err(error);
        }
        self.length += u64::try_from(line.len()).unwrap_or(0);
        self.started.entry(incident).or_default().insert(attempt);
        Ok(Recorded::Started)
    }
}

/// `42 3 0123abcd`: incident, attempt, CRC-32 of what stands before it.
fn line_of(incident: IncidentId, attempt: u32) -> String {
    let entry = format!("{} {attempt}", incident.0);
    format!("{entry} {:08x}\n", crc32fast::hash(entry.as_bytes()))
}

/// All entries, or the number of the line that is damaged. The last line may be torn.
fn read_entries(bytes: &[u8]) -> Result<Vec<(IncidentId, u32)>, usize> {
    let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    // What has no line end was not promised to anybody. If all of the entry is there it counts
    // nevertheless (also with another byte for its line end): to remember one start too many does
    // no harm.
    let tail = lines.pop().unwrap_or_default();
    let unfinished =
        read_line(tail).or_else(|| tail.split_last().and_then(|(_, entry)| read_line(entry)));
    // After a power cut the file may have grown by bytes that never arrived. They read as zeros,
    // at the front when only the second of two sectors did arrive.
    if tail.is_empty() && lines.last().is_some_and(|line| line.starts_with(b"\0")) {
        lines.pop();
    }
    let whole = lines.iter().enumerate().map(|(at, line)| read_line(line).ok_or(at + 1));
    whole.chain(unfinished.map(Ok)).collect()
}

fn read_line(line: &[u8]) -> Option<(IncidentId, u32)> {
    let (entry, checksum) = std::str::from_utf8(line).ok()?.rsplit_once(' ')?;
    if format!("{:08x}", crc32fast::hash(entry.as_bytes())) != checksum {
        return None;
    }
    let (incident, attempt) = entry.split_once(' ')?;
    Some((IncidentId(incident.parse().ok()?), attempt.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<Journal, JournalError> {
        Journal::open(path, |_, _| true)
    }

    /// A journal with four attempts, and its file.
    fn filled() -> (tempfile::TempDir, PathBuf, Vec<(IncidentId, u32)>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("started");
        let entries: Vec<_> =
            [(7, 1), (7, 2), (42, 1), (1_000, 9)].map(|(i, a)| (IncidentId(i), a)).into();
        let mut journal = open(&path).unwrap();
        for (incident, attempt) in &entries {
            assert_eq!(journal.record(*incident, *attempt).unwrap(), Recorded::Started);
        }
        (folder, path, entries)
    }

    #[test]
    fn the_same_attempt_is_never_started_twice_not_even_by_the_next_daemon() {
        let (_folder, path, entries) = filled();
        let mut journal = open(&path).unwrap();
        assert_eq!(journal.entries().collect::<Vec<_>>(), entries);
        for (incident, attempt) in entries {
            let again = journal.record(incident, attempt).unwrap();
            assert_eq!(again, Recorded::Already, "{incident} {attempt}");
        }
        assert_eq!(
            journal.record(IncidentId(1_000), 8).unwrap(),
            Recorded::Superseded { by: 9 },
            "an old order"
        );
        assert_eq!(journal.record(IncidentId(1_000), 10).unwrap(), Recorded::Started);
    }

    #[test]
    fn a_crash_at_any_byte_loses_no_whole_line_and_never_panics() {
        let (_folder, path, entries) = filled();
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..=bytes.len() {
            let promised = bytes[..length].iter().filter(|&&byte| byte == b'\n').count();
            let line_start = bytes[..length].iter().rposition(|&byte| byte == b'\n');
            let line_start = line_start.map_or(0, |at| at + 1);
            // Cut there; grown, but not arrived; grown, and only the end arrived.
            let cut = bytes[..length].to_vec();
            let grown = [&cut[..], &[0; 5]].concat();
            let ends = [&cut[..line_start], &[0; 5], b"a7\n"].concat();
            for torn in [cut, grown, ends] {
                std::fs::write(&path, &torn).unwrap();
                let mut journal = open(&path).unwrap();
                let kept: Vec<_> = journal.entries().collect();
                assert!(kept.len() >= promised && entries.starts_with(&kept), "{torn:?}: {kept:?}");
                // And it goes on from there.
                assert_eq!(journal.record(IncidentId(2_000), 1).unwrap(), Recorded::Started);
                assert!(open(&path).unwrap().contains(IncidentId(2_000), 1), "{torn:?}");
            }
        }
    }

    #[test]
    fn no_flipped_bit_makes_a_start_forgotten() {
        let (_folder, path, entries) = filled();
        let bytes = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            std::fs::write(&path, &damaged).unwrap();
            match open(&path) {
                Ok(journal) => {
                    assert_eq!(journal.entries().collect::<Vec<_>>(), entries, "{at}.{bit}");
                }
                Err(error) => {
                    assert!(matches!(error, JournalError::Damaged { .. }), "{at}.{bit}: {error}");
                    assert_eq!(std::fs::read(&path).unwrap(), damaged, "left for a person");
                    refused += 1;
                }
            }
        }
        assert!(refused > bytes.len() * 7);
    }

    #[test]
    fn what_is_of_no_interest_any_more_is_left_out_for_good() {
        let (_folder, path, _) = filled();
        let journal = Journal::open(&path, |incident, _| incident != IncidentId(7)).unwrap();
        assert!(!journal.contains(IncidentId(7), 1) && journal.contains(IncidentId(42), 1));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        drop(journal);
        assert_eq!(open(&path).unwrap().entries().count(), 2);
    }

    #[test]
    fn what_could_not_be_written_is_not_taken_for_started() {
        let (_folder, path, _) = filled();
        let mut journal = open(&path).unwrap();
        // A descriptor that cannot be written to stands for a disk that fails.
        journal.file = File::open(&path).unwrap();
        assert!(journal.record(IncidentId(42), 2).is_err());
        assert!(!journal.contains(IncidentId(42), 2));
        assert!(journal.record(IncidentId(42), 2).is_err(), "and it is not tried again");
        assert!(!open(&path).unwrap().contains(IncidentId(42), 2));
    }
}
