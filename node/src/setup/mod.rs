//! How a host comes to be a peer: its data directory, its local configuration, and the two ways
//! into a mesh.
//!
//! - [`data_dir`]: the directory itself: its format, its lock, the names of what lies in it.
//! - [`config`]: `hearten.toml`, what a host needs in order to start and nothing else.
//! - [`address`]: where a host listens and where the others reach it.
//! - [`card`]: what a peer says of itself, made from identity and configuration.
//! - [`trust`]: whose documents this host executes, pinned when it became a peer.
//! - [`operator`]: the key with which documents and orders are signed.
//! - [`farewell`]: that a host is a peer no more.
//! - [`init`]: founding a mesh.
//! - [`joining`]: what applicant and mesh say to each other.
//! - [`join`]: being let in.

pub mod address;
pub mod card;
pub mod config;
pub mod data_dir;
pub mod farewell;
pub mod init;
pub mod join;
pub mod joining;
pub mod operator;
pub mod trust;

mod failure;

use std::path::PathBuf;

/// Why a host could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file or directory could not be read or written.
    #[error("{}: {source}{}", path.display(), crate::files::advice(source))]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is there but cannot be understood.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file that was named as an operator's key holds none.
    #[error(
        "{} is no key file: name the operator's key that `hearten init` made (operator.key in the data directory of the first host) with --key",
        path.display()
    )]
    NotAKey {
        /// Which one.
        path: PathBuf,
    },
    /// The local configuration is not valid.
    #[error("{}:{line}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, and what to write.
        reason: String,
    },
    /// The directory was written by a newer version.
    #[error(
        "{} has format {found} and this version of Hearten reads up to {known}: use the version that wrote it, or a newer one",
        path.display()
    )]
    NewerFormat {
        /// The data directory.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format that is known here.
        known: u32,
    },
    /// Another process uses the directory.
    #[error(
        "the data directory {} is in use by another daemon (pid {pid}): stop that one, or name another --data-dir",
        path.display()
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// Who holds it, as the lock file says.
        pid: String,
    },
    /// The host was a peer and is none any more.
    #[error(
        "{} holds a peer already, and that one {how}: this host may join again as a new peer, with a new --data-dir",
        path.display()
    )]
    Gone {
        /// The data directory.
        path: PathBuf,
        /// What became of it.
        how: farewell::Farewell,
    },
    /// The host is a peer already.
    #[error(
        "{} holds a peer already: it can neither found nor join a second mesh; name another --data-dir",
        path.display()
    )]
    AlreadyAPeer {
        /// The data directory.
        path: PathBuf,
    },
    /// The host is no peer yet.
    #[error(
        "{} holds no peer: found a mesh with `hearten init`, or join one with `hearten join`",
        path.display()
    )]
    NotAPeer {
        /// The data directory.
        path: PathBuf,
    },
    /// Nobody knows where the others shall reach this host.
    #[error(
        "no address was found under which other hosts reach this one: give it with --advertise IP:PORT"
    )]
    NoAddress,
    /// A peer's address could not be used.
    #[error("\"{text}\" is not a peer's address: {reason}; write HOST:PORT")]
    BadAddress {
        /// As it was given.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no operator's key.
    #[error(
        "there is no operator's key at {}: name it with --key FILE or HEARTEN_OPERATOR_KEY, or do this on the host that founded the mesh",
        path.display()
    )]
    NoOperatorKey {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Keys or certificates could not be made or read.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    /// No peer of the mesh could be asked.
    #[error(transparent)]
    Unanswered(#[from] crate::net::JoinError),
    /// The mesh said no.
    #[error("the mesh does not let this host in: {0}")]
    Refused(protocol::refusal::Refusal),
    /// The mesh could not decide.
    #[error("the mesh cannot let anyone in now: {0}; try again when it has a leader")]
    Unavailable(String),
    /// The mesh's answer does not hold.
    #[error("the answer of the peer at {address} is not to be trusted: {reason}")]
    BadAnswer {
        /// Who answered.
        address: std::net::SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
}

impl SetupError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
