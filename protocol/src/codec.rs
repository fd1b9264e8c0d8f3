//! The one place where values become bytes for the wire, the log and the disk.
//!
//! bincode is unforgiving: reading from a stream can be made to allocate without bound, trailing
//! bytes go unnoticed and a field added later breaks old data. So everything passes here: from
//! slices only, with a limit, nothing left over, and a version byte in front. Enums that travel are
//! only ever appended to; golden bytes of each released version are kept in the tests.
#![expect(
    clippy::disallowed_methods,
    reason = "the only module that may call bincode; everywhere else the lint holds"
)]

use bincode::Options;
use serde::{Serialize, de::DeserializeOwned};

/// The first byte of everything encoded here.
pub const VERSION: u8 = 1;

/// The largest value that [`decode`] accepts, in bytes: a snapshot of a large ledger fits, a
/// hostile length does not.
pub const LIMIT_BYTES: u64 = 256 << 20;

/// Why bytes could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// There was not even a version byte.
    #[error("no bytes where a value was expected")]
    Empty,
    /// Written by another version of this format.
    #[error("format version {found} is not readable here (this build reads version {VERSION})")]
    Version {
        /// The version byte that stood in front.
        found: u8,
    },
    /// Not the value that was expected, or too large, or followed by something else.
    #[error("the bytes are not what was expected: {reason}")]
    Malformed {
        /// What the decoder said.
        reason: String,
    },
}

fn options(limit_bytes: u64) -> impl Options {
    bincode::DefaultOptions::new().with_limit(limit_bytes).reject_trailing_bytes()
}

/// Turns a value into bytes with the version in front.
///
/// # Panics
/// When the value is larger than [`LIMIT_BYTES`] or of a type that bincode cannot write: both are
/// mistakes of ours, not of the world.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    let written = options(LIMIT_BYTES).serialize_into(&mut bytes, value);
    assert!(written.is_ok(), "a value of ours can be encoded: {written:?}");
    bytes
}

/// Reads a value of at most [`LIMIT_BYTES`].
///
/// # Errors
/// [`CodecError`] when the bytes are empty, of another version, malformed or longer than the value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_within(bytes, LIMIT_BYTES)
}

/// Reads a value of at most `limit_bytes`; for what comes from the network.
///
/// # Errors
/// As [`decode`].
pub fn decode_within<T: DeserializeOwned>(bytes: &[u8], limit_bytes: u64) -> Result<T, CodecError> {
    // bincode's own limit does not count every byte that it reads from a slice.
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit_bytes.saturating_add(1) {
        return Err(CodecError::Malformed { reason: format!("more than {limit_bytes} bytes") });
    }
    match bytes.split_first() {
        None => Err(CodecError::Empty),
        Some((&VERSION, rest)) => options(limit_bytes)
            .deserialize(rest)
            .map_err(|error| CodecError::Malformed { reason: error.to_string() }),
        Some((&found, _)) => Err(CodecError::Version { found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_may_follow() {
        let value = (7_u64, "seven".to_owned(), vec![1_u8, 2, 3]);
        let mut bytes = encode(&value);
        assert_eq!(decode::<(u64, String, Vec<u8>)>(&bytes), Ok(value));
        bytes.push(0);
        assert!(matches!(
            decode::<(u64, String, Vec<u8>)>(&bytes),
            Err(CodecError::Malformed { .. })
        ));
    }

    #[test]
    fn a_hostile_length_and_another_version_are_refused() {
        let mut bytes = vec![VERSION];
        bytes.extend([0xfd; 24]);
        assert!(matches!(decode::<Vec<u8>>(&bytes), Err(CodecError::Malformed { .. })));
        assert_eq!(decode::<u8>(&[9, 1]), Err(CodecError::Version { found: 9 }));
        assert_eq!(decode::<u8>(&[]), Err(CodecError::Empty));
        let long = encode(&vec![0_u8; 2_000]);
        assert!(decode_within::<Vec<u8>>(&long, 1_000).is_err());
    }
}
