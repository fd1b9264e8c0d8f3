//! What can go wrong between two peers, and the codes by which they tell each other.

use super::kind::StreamKind;
use protocol::name::PeerId;
use quinn::{ConnectionError, VarInt};
use std::{net::SocketAddr, time::Duration};

/// Why a peer could not be talked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The endpoint could not be opened.
    #[error(
        "cannot listen on {address}: {reason}; stop whoever has that address, or write another as `listen` into hearten.toml"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// TLS could not be set up from this host's identity.
    #[error("cannot set up TLS: {reason}")]
    Tls {
        /// What the library said.
        reason: String,
    },
    /// The peer is not in the book.
    #[error("peer {peer} is not in the roster")]
    Unknown {
        /// Which peer.
        peer: PeerId,
    },
    /// No connection to the peer could be made.
    #[error("peer {peer} cannot be reached at {address}: {reason}")]
    Unreachable {
        /// Which peer.
        peer: PeerId,
        /// Where it was looked for.
        address: SocketAddr,
        /// What happened.
        reason: String,
    },
    /// The peer did not answer in time. It may yet have done what it was asked.
    #[error("peer {peer} did not answer within {:.1} s", after.as_secs_f64())]
    NoAnswer {
        /// Which peer.
        peer: PeerId,
        /// How long it had.
        after: Duration,
    },
    /// The peer said no, to the connection or to the stream.
    #[error("peer {peer} refused: {reason}")]
    Refused {
        /// Which peer.
        peer: PeerId,
        /// What it said.
        reason: String,
    },
    /// The connection was lost on the way. The peer may yet have done what it was asked.
    #[error("the connection to peer {peer} was lost: {reason}")]
    Lost {
        /// Which peer.
        peer: PeerId,
        /// What happened.
        reason: String,
    },
    /// What was to be sent, or what came, is larger than its kind allows.
    #[error("a {kind} frame of {bytes} bytes is larger than the {limit} that are allowed")]
    TooLarge {
        /// The kind of stream.
        kind: StreamKind,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The peer's daemon understood the request and answered with an error.
    #[error("peer {peer} answered: {message}")]
    Failed {
        /// Which peer.
        peer: PeerId,
        /// What it said.
        message: String,
    },
    /// This endpoint has been closed.
    #[error("the network endpoint of this host is closed")]
    Closed,
}

impl NetError {
    /// Whether a peer has closed the connection because this one is in its roster no more.
    pub fn says_not_in_roster(&self) -> bool {
        matches!(self, Self::Refused { reason, .. } if reason == Close::NotInRoster.reason())
    }
}

/// Why a connection was closed, as the application code that travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// The daemon stops.
    Stopping,
    /// The caller is not in the roster.
    NotInRoster,
    /// The caller is not of this mesh.
    NotAMember,
    /// A newer connection took its place. Sent only when nothing was under way.
    Superseded,
    /// It was not used for long. Sent only when nothing was under way.
    Idle,
    /// It was used for something it is not for.
    Misused,
    /// What it was for is done.
    Done,
    /// There are too many like it.
    TooMany,
    /// The caller bears the name of the one it calls.
    OwnName,
}

impl Close {
    const ALL: [Self; 9] = [
        Self::Stopping,
        Self::NotInRoster,
        Self::NotAMember,
        Self::Superseded,
        Self::Idle,
        Self::Misused,
        Self::Done,
        Self::TooMany,
        Self::OwnName,
    ];

    /// The code that travels. Never given to another reason.
    pub(crate) fn code(self) -> VarInt {
        VarInt::from_u32(match self {
            Self::Stopping => 1,
            Self::NotInRoster => 2,
            Self::NotAMember => 3,
            Self::Superseded => 4,
            Self::Idle => 5,
            Self::Misused => 6,
            Self::Done => 7,
            Self::TooMany => 8,
            Self::OwnName => 9,
        })
    }

    /// What it means, for people.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Stopping => "its daemon is stopping",
            Self::NotInRoster => "the caller is not in its roster",
            Self::NotAMember => "the caller's certificate is not one of its mesh",
            Self::Superseded => "a newer connection took this one's place",
            Self::Idle => "the connection was not used",
            Self::Misused => "the connection was used for something it is not for",
            Self::Done => "the connection has served its purpose",
            Self::TooMany => "there are too many connections",
            Self::OwnName => "the caller bears its own name: was a host cloned?",
        }
    }

    pub(crate) fn close(self, connection: &quinn::Connection) {
        connection.close(self.code(), self.reason().as_bytes());
    }

    /// What the other side said when it closed the connection; `None` when it did not.
    pub(crate) fn said_by(error: &ConnectionError) -> Option<Self> {
        match error {
            ConnectionError::ApplicationClosed(close) => {
                Self::ALL.into_iter().find(|known| known.code() == close.error_code)
            }
            ConnectionError::VersionMismatch
            | ConnectionError::TransportError(_)
            | ConnectionError::ConnectionClosed(_)
            | ConnectionError::Reset
            | ConnectionError::TimedOut
            | ConnectionError::LocallyClosed
            | ConnectionError::CidsExhausted => None,
        }
    }

    /// Whether it is certain that the other side has not begun with what was under way.
    pub(crate) const fn nothing_was_begun(self) -> bool {
        match self {
            Self::Superseded | Self::Idle => true,
            Self::Stopping
            | Self::NotInRoster
            | Self::NotAMember
            | Self::Misused
            | Self::Done
            | Self::TooMany
            | Self::OwnName => false,
        }
    }
}

/// Why a stream was refused, as the code that travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A frame is larger than its kind allows.
    Oversized,
    /// Nobody knows this kind.
    UnknownKind,
    /// Such a stream has no place on this connection.
    Misplaced,
    /// The daemon does not want to answer.
    Unwilling,
}

impl Refusal {
    const ALL: [Self; 4] = [Self::Oversized, Self::UnknownKind, Self::Misplaced, Self::Unwilling];

    pub(crate) fn code(self) -> VarInt {
        VarInt::from_u32(match self {
            Self::Oversized => 1,
            Self::UnknownKind => 2,
            Self::Misplaced => 3,
            Self::Unwilling => 4,
        })
    }

    pub(crate) fn explain(code: VarInt) -> String {
        let known = Self::ALL.into_iter().find(|refusal| refusal.code() == code);
        match known {
            Some(Self::Oversized) => "the frame is larger than it accepts".to_owned(),
            Some(Self::UnknownKind) => "it does not know this kind of stream".to_owned(),
            Some(Self::Misplaced) => "such a stream has no place on this connection".to_owned(),
            Some(Self::Unwilling) => "it does not want to answer".to_owned(),
            None => format!("the stream was stopped with code {code}"),
        }
    }
}

/// What a lost connection means for whoever was using it.
pub(crate) fn lost(peer: PeerId, error: &ConnectionError) -> NetError {
    match (Close::said_by(error), error) {
        (Some(close), _) => NetError::Refused { peer, reason: close.reason().to_owned() },
        (None, ConnectionError::LocallyClosed) => {
            NetError::Lost { peer, reason: "this host closed it".to_owned() }
        }
        (None, other) => NetError::Lost { peer, reason: other.to_string() },
    }
}
