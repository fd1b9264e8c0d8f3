//! The bundles on this host: those that it took itself and those that it keeps for others.
//!
//! A bundle lies under the SHA-256 of its compressed bytes, which the log holds, so that nobody can
//! change it unseen; beside it a small file, named after the incident, says which bundle is that
//! incident's. `zstdcat` reads a bundle without us.

use super::EvidenceError;
use crate::files::{PRIVATE, create_private_dir, read_if_present, write_durably};
use data_encoding::HEXLOWER;
use protocol::name::IncidentId;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What a bundle's file ends with.
const SUFFIX: &str = ".txt.zst";

/// The most text of a bundle.
pub const TEXT_MAX_BYTES: usize = 8 << 20;

/// The largest bundle: what does not compress at all grows a little.
pub const BUNDLE_MAX_BYTES: usize = TEXT_MAX_BYTES + (64 << 10);

/// The usual level: four times smaller at some 300 MB/s.
const LEVEL: i32 = 3;

/// A bundle as it is stored and sent: compressed, and known by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// SHA-256 of the bytes.
    pub hash: [u8; 32],
    /// The compressed text.
    pub bytes: Vec<u8>,
}

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// All bundles together, in bytes as they lie on the disk.
    pub bytes: u64,
    /// From the moment when a bundle came.
    pub age: Duration,
}

impl Bundle {
    /// Compresses a text.
    ///
    /// # Errors
    /// [`EvidenceError::Compression`].
    pub fn pack(text: &str) -> Result<Self, EvidenceError> {
        let packed = zstd::stream::encode_all(text.as_bytes(), LEVEL);
        let bytes = packed.map_err(EvidenceError::Compression)?;
        Ok(Self { hash: Sha256::digest(&bytes).into(), bytes })
    }

    /// Bytes that claim to be the bundle with this hash.
    ///
    /// # Errors
    /// [`EvidenceError::Changed`], when they are not; [`EvidenceError::TooLarge`].
    pub fn claimed(hash: [u8; 32], bytes: Vec<u8>) -> Result<Self, EvidenceError> {
        if bytes.len() > BUNDLE_MAX_BYTES {
            return Err(EvidenceError::TooLarge);
        }
        match <[u8; 32]>::from(Sha256::digest(&bytes)) == hash {
            true => Ok(Self { hash, bytes }),
            false => Err(EvidenceError::Changed { what: HEXLOWER.encode(&hash) }),
        }
    }

    /// The text, which is never more than the most that a bundle may hold, whatever the bytes say.
    ///
    /// # Errors
    /// [`EvidenceError::Compression`], [`EvidenceError::TooLarge`].
    pub fn text(&self) -> Result<String, EvidenceError> {
        let mut text = Vec::new();
        let most = u64::try_from(TEXT_MAX_BYTES).unwrap_or(u64::MAX);
        let decoder = zstd::stream::read::Decoder::new(self.bytes.as_slice());
        let read = decoder.and_then(|decoder| decoder.take(most + 1).read_to_end(&mut text));
        read.map_err(EvidenceError::Compression)?;
        if text.len() > TEXT_MAX_BYTES {
            return Err(EvidenceError::TooLarge);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Writes the bundle first and its index after: an index never points at nothing.
///
/// # Errors
/// [`EvidenceError::Io`].
pub fn store(dir: &Path, incident: IncidentId, bundle: &Bundle) -> Result<(), EvidenceError> {
    let path = path(dir, bundle.hash);
    let index = format!("{}\n", HEXLOWER.encode(&bundle.hash));
    let keep = || {
        create_private_dir(dir)?;
        write_durably(&path, &bundle.bytes, PRIVATE)?;
        write_durably(&dir.join(incident.to_string()), index.as_bytes(), PRIVATE)
    };
    keep().map_err(|source| EvidenceError::Io { path: path.clone(), source })
}

/// The bundle with this hash; `None` when this host does not have it (any more).
///
/// # Errors
/// [`EvidenceError`], when it cannot be read or is not what was stored.
pub fn read(dir: &Path, hash: [u8; 32]) -> Result<Option<Bundle>, EvidenceError> {
    let path = path(dir, hash);
    match read_if_present(&path) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => Bundle::claimed(hash, bytes).map(Some),
        Err(source) => Err(EvidenceError::Io { path, source }),
    }
}

fn path(dir: &Path, hash: [u8; 32]) -> PathBuf {
    dir.join(format!("{}{SUFFIX}", HEXLOWER.encode(&hash)))
}

/// Deletes the bundles that are older than they are kept, and then the oldest until those that are
/// left take no more than they may; returns how many went. The newest of those that are young
/// enough always stays.
///
/// # Errors
/// [`EvidenceError::Io`].
pub fn prune(dir: &Path, keep: Retention, now: SystemTime) -> Result<usize, EvidenceError> {
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
    for (newer, (came, path, bytes)) in bundles.iter().rev().enumerate() {
        kept_bytes = kept_bytes.saturating_add(*bytes);
        // A clock that was set back makes nothing old.
        let is_old = now.duration_since(*came).is_ok_and(|age| age > keep.age);
        if is_old || (newer > 0 && kept_bytes > keep.bytes) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_bundle_is_small_found_by_its_hash_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("evidence");
        let text = "the same line over and over\n".repeat(10_000);
        let bundle = Bundle::pack(&text).unwrap();
        assert!(bundle.bytes.len() * 100 < text.len(), "{} bytes", bundle.bytes.len());
        assert_eq!(bundle.hash, <[u8; 32]>::from(Sha256::digest(&bundle.bytes)));
        assert_eq!(read(&dir, bundle.hash).unwrap(), None);
        store(&dir, IncidentId(42), &bundle).unwrap();
        assert_eq!(read(&dir, bundle.hash).unwrap().unwrap().text().unwrap(), text);
        let index = fs::read_to_string(dir.join("INC-42")).unwrap();
        assert_eq!(index.trim(), HEXLOWER.encode(&bundle.hash));

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(files.len(), 2, "a bundle and its index, nothing temporary: {files:?}");
        assert!(files.iter().all(|path| mode(path) == 0o600));
    }

    #[test]
    fn what_was_changed_or_is_a_bomb_is_not_shown_as_evidence() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let bundle = Bundle::pack("the truth").unwrap();
        store(dir, IncidentId(1), &bundle).unwrap();
        let mut bytes = bundle.bytes.clone();
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            fs::write(path(dir, bundle.hash), &bytes).unwrap();
            assert!(
                matches!(read(dir, bundle.hash), Err(EvidenceError::Changed { .. })),
                "{place}"
            );
            bytes[place] ^= 1;
        }
        fs::write(path(dir, bundle.hash), &bytes[..bytes.len() / 2]).unwrap();
        assert!(matches!(read(dir, bundle.hash), Err(EvidenceError::Changed { .. })));

        let bomb = zstd::stream::encode_all(io::repeat(b'x').take(1 << 30), LEVEL).unwrap();
        let bomb = Bundle::claimed(Sha256::digest(&bomb).into(), bomb).unwrap();
        assert!(matches!(bomb.text(), Err(EvidenceError::TooLarge)));
        let garbage = b"no zstd at all".to_vec();
        let garbage = Bundle::claimed(Sha256::digest(&garbage).into(), garbage).unwrap();
        assert!(matches!(garbage.text(), Err(EvidenceError::Compression(_))));
        let huge = vec![0; BUNDLE_MAX_BYTES + 1];
        assert!(matches!(Bundle::claimed([0; 32], huge), Err(EvidenceError::TooLarge)));
    }

    #[test]
    fn the_oldest_bundles_go_first_and_the_newest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let now = SystemTime::UNIX_EPOCH + 100 * DAY;
        let keep = |bytes, age| Retention { bytes, age };
        assert_eq!(prune(&dir.join("none"), keep(0, DAY), now).unwrap(), 0);
        let mut bundles = Vec::new();
        for number in 1..=4_u32 {
            let bundle = Bundle::pack(&format!("bundle {number}")).unwrap();
            store(dir, IncidentId(number.into()), &bundle).unwrap();
            let file = fs::File::options().write(true).open(path(dir, bundle.hash)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + DAY * (90 + number)).unwrap();
            bundles.push(bundle);
        }
        let crashed = dir.join(".x.tmp");
        fs::write(&crashed, "half").unwrap();
        let long_ago = fs::File::options().write(true).open(&crashed).unwrap();
        long_ago.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let left = || -> Vec<bool> {
            bundles.iter().map(|bundle| read(dir, bundle.hash).unwrap().is_some()).collect()
        };
        assert_eq!(prune(dir, keep(u64::MAX, DAY * 9), now).unwrap(), 0);
        assert!(!crashed.exists(), "what a crash left is swept");
        assert_eq!(prune(dir, keep(u64::MAX, DAY * 8), now).unwrap(), 1, "one is nine days old");
        assert_eq!(left(), [false, true, true, true]);
        assert!(!dir.join("INC-1").exists(), "no index without its bundle");
        let two: u64 = bundles[2..].iter().map(|b| u64::try_from(b.bytes.len()).unwrap()).sum();
        assert_eq!(prune(dir, keep(two, DAY * 30), now).unwrap(), 1);
        assert_eq!(left(), [false, false, true, true]);
        assert_eq!(prune(dir, keep(0, DAY * 30), now).unwrap(), 1);
        assert_eq!(left(), [false, false, false, true], "the newest stays");
        assert_eq!(prune(dir, keep(0, DAY), now).unwrap(), 1, "but not for ever");
    }
}
