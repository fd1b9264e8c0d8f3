//! Founding a mesh: the root, the operator's key, the first peer.
//!
//! Nothing is asked of anybody. What the founding fixes for good waits in the data directory until
//! the daemon starts for the first time and writes it as the first record of the log.

use super::{
    SetupError, address, card,
    config::{Config, Http},
    data_dir::{self, DataDir},
    farewell, operator, trust,
};
use crate::{
    files,
    identity::{Fingerprint, Identity, Issuer, PeerKey},
};
use protocol::{
    codec,
    name::{Labels, Name, PeerId},
    record::Founding,
};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What both ways into a mesh are told about the host.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// The peer's name.
    pub name: Name,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the others reach it, if the operator says so.
    pub advertise: Option<SocketAddr>,
    /// The HTTP interface.
    pub http: Http,
    /// The peer's labels.
    pub labels: Labels,
}

impl HostOptions {
    pub(super) fn config(&self, peer: Option<SocketAddr>) -> Result<Config, SetupError> {
        Ok(Config {
            name: self.name.clone(),
            listen: self.listen,
            advertise: address::advertise(self.advertise, self.listen, peer)?,
            http: self.http,
            labels: self.labels.clone(),
            seeds: Vec::new(),
            observe_only: false,
            intake: Vec::new(),
            denied_runbooks: BTreeSet::new(),
            secrets: None,
            intake_tokens: None,
            http_certificate: None,
            http_key: None,
        })
    }
}

/// What was founded.
#[derive(Debug, Clone)]
pub struct Founded {
    /// The mesh's name.
    pub mesh: Name,
    /// The fingerprint of its root: its identity.
    pub fingerprint: Fingerprint,
    /// The first peer.
    pub peer: PeerId,
    /// Its name.
    pub name: Name,
    /// Where the others reach it.
    pub advertise: SocketAddr,
    /// The operator's key.
    pub operator_key: PathBuf,
}

/// Founds a mesh on this host. `now` is in seconds since 1970.
///
/// # Errors
/// [`SetupError::AlreadyAPeer`] when one lives here, or what could not be made.
pub fn init(
    data: &Path,
    mesh: &Name,
    options: &HostOptions,
    now: u64,
) -> Result<Founded, SetupError> {
    let config = options.config(None)?;
    let directory = DataDir::create(data)?;
    if directory.is_a_peer() {
        farewell::is_none(data)?;
        return Err(SetupError::AlreadyAPeer { path: data.to_owned() });
    }
    // A founding that was cut off is begun again: nobody has seen anything of it.
    let issuer = Issuer::create(mesh, now)?;
    issuer.store(data)?;
    let key = PeerKey::generate();
    let peer = card::peer_id(&key.public_key());
    let leaf = issuer.issue(peer, &key.public_key(), now)?;
    let identity = Identity::new(key, leaf, issuer.certificate().clone())?;
    identity.store(data)?;
    let trust = trust::of_founder(operator::create(data)?);
    trust::store(data, &trust)?;
    let founding = Founding {
        mesh: mesh.clone(),
        root_fingerprint: issuer.fingerprint().0,
        trust,
        peer: card::first_card(&config, peer, identity.public_key()),
    };
    store_founding(data, &founding)?;
    config.store(data)?;
    Ok(Founded {
        mesh: mesh.clone(),
        fingerprint: issuer.fingerprint(),
        peer,
        name: config.name,
        advertise: config.advertise,
        operator_key: data_dir::operator_key_path(data),
    })
}

fn store_founding(data: &Path, founding: &Founding) -> Result<(), SetupError> {
    let path = data_dir::founding_path(data);
    files::write_durably(&path, &codec::encode(founding), files::PRIVATE)
        .map_err(SetupError::file(&path))
}

/// The founding that waits to be written into the log; nothing on a host that joined, and nothing
/// once [`founded`] was called. The daemon puts its store's id and its real port into the card.
///
/// # Errors
/// [`SetupError::Damaged`] when it cannot be read.
pub fn waiting_founding(data: &Path) -> Result<Option<Founding>, SetupError> {
    let path = data_dir::founding_path(data);
    match files::read_if_present(&path).map_err(SetupError::file(&path))? {
        Some(bytes) => codec::decode(&bytes)
            .map(Some)
            .map_err(|error| SetupError::Damaged { path, reason: error.to_string() }),
        None => Ok(None),
    }
}

/// The founding stands in the log: it waits no longer.
///
/// # Errors
/// What the file system said.
pub fn founded(data: &Path) -> Result<(), SetupError> {
    let path = data_dir::founding_path(data);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(SetupError::File { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn options() -> HostOptions {
        HostOptions {
            name: Name::parse("db-1").unwrap(),
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            http: Http::Off,
            labels: Labels::from([("zone".to_owned(), "a".to_owned())]),
        }
    }

    #[test]
    fn a_mesh_is_founded_once_and_its_secrets_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mesh = Name::parse("prod").unwrap();
        let made = init(&data, &mesh, &options(), 1_800_000_000).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data), 0o700);
        for secret in ["operator.key", "founding", "trust", "identity/key.pem"] {
            assert_eq!(mode(&data.join(secret)), 0o600, "{secret}");
        }
        let pem = std::fs::read_to_string(data.join("operator.key")).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));

        let founding = waiting_founding(&data).unwrap().unwrap();
        assert_eq!(founding.peer.id, made.peer);
        assert_eq!(founding.peer.labels["zone"], "a");
        assert_eq!(founding.root_fingerprint, made.fingerprint.0);
        assert_eq!(founding.trust, trust::load(&data).unwrap());
        let signer = operator::load(&made.operator_key).unwrap();
        assert_eq!(founding.trust.operators, [signer.verifying_key().to_bytes()]);
        let identity = Identity::load(&data).unwrap().unwrap();
        assert_eq!(identity.peer(), made.peer);
        assert_eq!(identity.fingerprint(), made.fingerprint);
        assert!(Issuer::load(&data).unwrap().is_some());
        assert_eq!(Config::load(&data).unwrap().name.as_str(), "db-1");

        let again = init(&data, &mesh, &options(), 1_800_000_000).unwrap_err();
        assert!(matches!(again, SetupError::AlreadyAPeer { .. }), "{again}");
        assert_eq!(std::fs::read_to_string(data.join("operator.key")).unwrap(), pem);
        founded(&data).unwrap();
        founded(&data).unwrap();
        assert!(waiting_founding(&data).unwrap().is_none());
    }
}
