//! Who a host is: its key, its certificate, the mesh that vouches for it, and how it got there.
//!
//! One Ed25519 root per mesh signs one certificate per peer; the certificate says which peer it
//! is (`spiffe://<mesh>/peer/<id>`) and nothing about what it may do: roles are in the ledger's
//! roster, so that a change takes effect at once.
//!
//! - [`key`]: a peer's own key pair, and Ed25519 in the forms that TLS wants it in.
//! - [`certificate`]: what is read from a certificate once it is trusted.
//! - [`pki`]: the mesh's root, and the certificates it issues by policy.
//! - [`peer`]: key, certificate and root together, on disk and renewable in a running daemon.
//! - [`token`]: the text that lets one host join.

pub mod certificate;
pub mod key;
pub mod peer;
pub mod pki;
pub mod token;

pub use certificate::Fingerprint;
pub use key::{PeerKey, verify};
pub use peer::{CurrentIdentity, Identity};
pub use pki::Issuer;
pub use token::{Token, TokenError};

use std::path::PathBuf;

/// Why a key, a certificate or an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What was read is not what it should be.
    #[error("{what} cannot be used: {reason}")]
    Damaged {
        /// What was read: a file's path, or "the certificate".
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not the public half of an Ed25519 key, or one of the few points anyone can sign for.
    #[error("the public key is not a sound Ed25519 key: {reason}")]
    PublicKey {
        /// What is wrong with it.
        reason: String,
    },
    /// Two things that belong together do not.
    #[error("{what} does not belong to {other}")]
    Mismatch {
        /// The one.
        what: String,
        /// The other.
        other: String,
    },
    /// Certificates could not be made or used for TLS; a mistake of ours.
    #[error("the certificate could not be made: {reason}")]
    Crypto {
        /// What the library said.
        reason: String,
    },
}

impl IdentityError {
    fn damaged(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Damaged { what: what.into(), reason: reason.to_string() }
    }
}
