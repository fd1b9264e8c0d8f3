//! The host's own file of secrets: what documents name as `secret:NAME` and nobody else holds.
//!
//! ```toml
//! bmc-password = "…"            # for every affected peer,
//!
//! [peer.web-1]
//! bmc-password = "…"            # but this one has another
//! ```
//!
//! The file is read at each use, so that a change takes effect at once, and nothing of it is kept.
//! It is refused when anybody but root or the daemon's own user could have read or written it: a
//! secret that others know is none, and the operator has to hear of it.

mod mask;

pub use mask::Mask;

use protocol::name::Name;
use rustix::process::geteuid;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The table that holds what is for one affected peer alone.
const OF_PEER: &str = "peer";

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// There is no such file.
    #[error("there is no file {path}: make it, with mode 0600, and write the secret into it")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{path} cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Others may read it.
    #[error(
        "{path} can be read or changed by others than its owner (mode {mode:04o}): chmod 600 {path}"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error(
        "{path} belongs to user {owner}, neither to root nor to the daemon's own user: chown it"
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It is no list of secrets.
    #[error("{path}:{line}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong; never a part of the file.
        reason: String,
    },
    /// It does not hold this secret.
    #[error("{path} holds none of this name, neither for every peer nor under [peer.{peer}]")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The affected peer.
        peer: String,
    },
}

/// Where the host's secrets are.
#[derive(Debug, Clone)]
pub struct Secrets {
    path: PathBuf,
}

/// What the file held when it was read.
#[derive(Debug)]
pub struct Opened {
    path: PathBuf,
    common: BTreeMap<String, Zeroizing<String>>,
    of_peer: BTreeMap<String, BTreeMap<String, Zeroizing<String>>>,
}

impl Secrets {
    /// The secrets in this file, whether it is there or not.
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads the file for use.
    ///
    /// # Errors
    /// [`SecretsError`] when it is missing, damaged, or open to others.
    pub fn open(&self) -> Result<Opened, SecretsError> {
        let (file, found) = self.file()?;
        let path = || self.path.clone();
        if found.mode() & 0o077 != 0 {
            return Err(SecretsError::Open { path: path(), mode: found.mode() & 0o7777 });
        }
        if found.uid() != 0 && found.uid() != geteuid().as_raw() {
            return Err(SecretsError::Owner { path: path(), owner: found.uid() });
        }
        self.read(file)
    }

    /// What hides every secret of the file in a text. A file that may not be used because others
    /// can read it is hidden all the same.
    pub fn mask(&self) -> Mask {
        let read = self.file().and_then(|(file, _)| self.read(file));
        match read {
            Ok(opened) => Mask::of(opened.values()),
            Err(SecretsError::Missing { .. }) => Mask::default(),
            Err(error) => {
                tracing::warn!(%error, "the secrets cannot be hidden in what commands print");
                Mask::default()
            }
        }
    }

    fn file(&self) -> Result<(File, std::fs::Metadata), SecretsError> {
        let failed = |source| SecretsError::Io { path: self.path.clone(), source };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SecretsError::Missing { path: self.path.clone() });
            }
            Err(error) => return Err(failed(error)),
        };
        // Of the open file: its name may be given to another one meanwhile.
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() || found.len() > FILE_BYTES_MAX {
            let why = format!("it is no plain file of at most {FILE_BYTES_MAX} bytes");
            return Err(failed(io::Error::other(why)));
        }
        Ok((file, found))
    }

    fn read(&self, file: File) -> Result<Opened, SecretsError> {
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|source| SecretsError::Io { path: self.path.clone(), source })?;
        Opened::parse(&self.path, &text)
    }
}

impl Opened {
    fn parse(path: &Path, text: &str) -> Result<Self, SecretsError> {
        let damaged = |at: usize, reason: &str| SecretsError::Damaged {
            path: path.to_owned(),
            line: text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1,
            reason: reason.to_owned(),
        };
        // The parser's own words may quote the line: only where it stands is passed on.
        let table = toml::de::DeTable::parse(text).map_err(|error| {
            damaged(error.span().map_or(0, |span| span.start), "it is no TOML: NAME = \"VALUE\"")
        })?;
        let mut opened =
            Self { path: path.to_owned(), common: BTreeMap::new(), of_peer: BTreeMap::new() };
        for (key, value) in table.get_ref() {
            let at = value.span().start;
            let name = key.get_ref().as_ref();
            if let Some(text) = value.get_ref().as_str() {
                opened.common.insert(named(name, at, damaged)?, text.to_owned().into());
                continue;
            }
            let peers = value.get_ref().as_table().filter(|_| name == OF_PEER);
            let Some(peers) = peers else {
                return Err(damaged(at, "a secret is a string: NAME = \"VALUE\""));
            };
            for (peer, value) in peers {
                let at = value.span().start;
                let Some(table) = value.get_ref().as_table() else {
                    return Err(damaged(at, "what is for one peer stands below [peer.NAME]"));
                };
                let peer = named(peer.get_ref().as_ref(), at, damaged)?;
                let own = opened.of_peer.entry(peer).or_default();
                for (key, value) in table {
                    let at = value.span().start;
                    let Some(text) = value.get_ref().as_str() else {
                        return Err(damaged(at, "a secret is a string: NAME = \"VALUE\""));
                    };
                    let name = named(key.get_ref().as_ref(), at, damaged)?;
                    own.insert(name, text.to_owned().into());
                }
            }
        }
        Ok(opened)
    }

    /// What this secret is where this peer is the affected one.
    ///
    /// # Errors
    /// [`SecretsError::Unknown`].
    pub fn get(&self, peer: &str, name: &Name) -> Result<&str, SecretsError> {
        let own = self.of_peer.get(peer).and_then(|own| own.get(name.as_str()));
        match own.or_else(|| self.common.get(name.as_str())) {
            Some(value) => Ok(value),
            None => Err(SecretsError::Unknown { path: self.path.clone(), peer: peer.to_owned() }),
        }
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        let own = self.of_peer.values().flat_map(BTreeMap::values);
        self.common.values().chain(own).map(|value| value.as_str())
    }
}

/// A name as documents may write it.
fn named(
    text: &str,
    at: usize,
    damaged: impl Fn(usize, &str) -> SecretsError,
) -> Result<String, SecretsError> {
    match Name::parse(text) {
        Ok(name) => Ok(name.to_string()),
        Err(error) => Err(damaged(at, &error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    const TEXT: &str = "bmc-password = \"for all\"\ntoken = \"t0ken\"\n\
        [peer.web-1]\nbmc-password = \"for web-1\"\n";

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, Secrets) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, Secrets::at(path))
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn a_peers_own_secret_goes_before_the_one_for_all() {
        let (_folder, secrets) = file(TEXT, 0o600);
        let opened = secrets.open().unwrap();
        assert_eq!(opened.get("web-1", &name("bmc-password")).unwrap(), "for web-1");
        assert_eq!(opened.get("web-2", &name("bmc-password")).unwrap(), "for all");
        let unknown = opened.get("web-1", &name("bmc-passwort")).unwrap_err().to_string();
        assert!(unknown.contains("secrets.toml holds none of this name"), "{unknown}");
        assert!(unknown.contains("[peer.web-1]"), "{unknown}");
        // A change takes effect at once.
        fs::write(&secrets.path, "bmc-password = \"new\"\n").unwrap();
        assert_eq!(secrets.open().unwrap().get("web-1", &name("bmc-password")).unwrap(), "new");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_and_hidden_all_the_same() {
        for mode in [0o640, 0o604, 0o622, 0o666] {
            let (_folder, secrets) = file(TEXT, mode);
            let refused = secrets.open().unwrap_err();
            assert!(matches!(refused, SecretsError::Open { .. }), "{mode:o}: {refused}");
            assert!(refused.to_string().contains("chmod 600"), "{refused}");
            assert_eq!(secrets.mask().apply("it is t0ken".to_owned()), "it is ***");
        }
        let (_folder, secrets) = file(TEXT, 0o400);
        assert!(secrets.open().is_ok());
    }

    #[test]
    fn somebody_elses_file_is_refused() {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can give a file away");
            return;
        }
        let (_folder, secrets) = file(TEXT, 0o600);
        std::os::unix::fs::chown(&secrets.path, Some(12_345), None).unwrap();
        let refused = secrets.open().unwrap_err();
        assert!(matches!(refused, SecretsError::Owner { owner: 12_345, .. }), "{refused}");
    }

    #[test]
    fn what_is_wrong_with_the_file_is_told_with_its_line_and_without_its_words() {
        for (text, line) in [
            ("a = \"hunter2\"\nb = hunter2\n", 2),
            ("a = \"x\"\n\nb = 7\n", 3),
            ("[peers.web-1]\na = \"hunter2\"\n", 1),
            ("[peer]\nweb-1 = \"hunter2\"\n", 2),
            ("[peer.web-1]\na = [\"hunter2\"]\n", 2),
        ] {
            let (_folder, secrets) = file(text, 0o600);
            let error = secrets.open().unwrap_err();
            let SecretsError::Damaged { line: at, .. } = &error else { panic!("{error}") };
            assert_eq!(*at, line, "{text}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let nowhere = Secrets::at("/nonexistent/secrets.toml".into());
        let missing = nowhere.open().unwrap_err().to_string();
        assert!(missing.contains("there is no file /nonexistent/secrets.toml"), "{missing}");
        assert_eq!(nowhere.mask().apply("as it is".to_owned()), "as it is");
    }
}
