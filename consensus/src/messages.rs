//! What members say to each other and what they keep, by its bytes alone: for whoever tries what
//! becomes of bytes that no member would write.

use crate::{
    group::{LogEntry, SnapshotMeta},
    rpc::{Envelope, Reply},
    store::snapshot,
};
use protocol::codec;
use serde::{Serialize, de::DeserializeOwned};

/// Reads a message, and writes it again.
type Again = fn(&[u8]) -> Option<Vec<u8>>;

/// Every kind of message.
pub const MESSAGES: [Again; 5] =
    [again::<Envelope>, again::<Reply>, again::<LogEntry>, again::<SnapshotMeta>, snapshot::again];

fn again<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<Vec<u8>> {
    codec::decode::<T>(bytes).ok().map(|message| codec::encode(&message))
}
