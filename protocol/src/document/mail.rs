//! Mail: the server that takes it, how the way there is kept private, and whom it reaches.

use crate::name::Name;
use serde::{Deserialize, Serialize};

/// How a mail goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The server's name or address, as its certificate has it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is kept private.
    pub security: Security,
    /// Who sends.
    pub from: String,
    /// Whom it reaches.
    pub to: Vec<String>,
    /// As whom the server knows the sender, where it asks for that.
    pub login: Option<Login>,
    /// The certificates, in PEM, that the server's has to come from; the host's own roots unless
    /// said.
    pub ca: Option<String>,
}

/// How the way to a mail server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Security {
    /// It begins in the open and goes on in TLS, or not at all (RFC 3207).
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// Not at all: everybody on the way can read it.
    Open,
}

impl Security {
    /// The port that is usual for it.
    pub const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::Open => 25,
        }
    }
}

/// As whom a server knows its caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The secret with the password.
    pub password: Name,
}
