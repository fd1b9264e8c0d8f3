//! The kinds of streams, and how much each may carry.
//!
//! The first byte of a stream says what it is for. A limit per kind means that no length that
//! comes from outside decides how much memory is used.

use std::fmt;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// One gossip message, without an answer.
    Gossip,
    /// One request of the Raft group and its answer.
    Raft,
    /// A subscription to the committed log: frames until one side stops.
    Follow,
    /// One request that is carried to the leader, or another peer, and its answer.
    Forward,
    /// Eight bytes that come back.
    Probe,
    /// An applicant's one request and its answer.
    Join,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

impl StreamKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Gossip, Self::Raft, Self::Follow, Self::Forward, Self::Probe, Self::Join];

    /// The byte that stands for it. Never given to another kind.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Gossip => 1,
            Self::Raft => 2,
            Self::Follow => 3,
            Self::Forward => 4,
            Self::Probe => 5,
            Self::Join => 6,
        }
    }

    /// The kind that a byte stands for.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.byte() == byte)
    }

    /// The largest message that may open such a stream, in bytes.
    pub const fn request_max(self) -> usize {
        match self {
            // chitchat's own ceiling is 65,507 bytes; signatures and framing come on top.
            Self::Gossip => 128 * KIB,
            Self::Raft => 8 * MIB,
            Self::Follow | Self::Join => 64 * KIB,
            Self::Forward => 16 * MIB,
            Self::Probe => 64,
        }
    }

    /// The largest frame that may come back, in bytes.
    pub const fn answer_max(self) -> usize {
        match self {
            Self::Gossip => 0,
            Self::Raft | Self::Follow => 8 * MIB,
            Self::Forward => 16 * MIB,
            Self::Probe => 64,
            Self::Join => 64 * KIB,
        }
    }

    /// Whether the stream goes one way only.
    pub const fn is_one_way(self) -> bool {
        match self {
            Self::Gossip => true,
            Self::Raft | Self::Follow | Self::Forward | Self::Probe | Self::Join => false,
        }
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gossip => "gossip",
            Self::Raft => "raft",
            Self::Follow => "follow",
            Self::Forward => "forward",
            Self::Probe => "probe",
            Self::Join => "join",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_byte_for_ever() {
        let bytes = StreamKind::ALL.map(StreamKind::byte);
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6]);
        for kind in StreamKind::ALL {
            assert_eq!(StreamKind::from_byte(kind.byte()), Some(kind));
        }
        assert_eq!(StreamKind::from_byte(0), None);
        assert_eq!(StreamKind::from_byte(7), None);
    }
}
