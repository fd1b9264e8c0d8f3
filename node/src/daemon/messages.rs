//! What peers send each other, by its bytes alone: for whoever tries what becomes of bytes that no
//! peer would send.

use super::{
    feed::{Frame, Subscription},
    forward::{Ask, Reply},
};
use protocol::codec;
use serde::{Serialize, de::DeserializeOwned};

/// Reads a message, and writes it again.
type Again = fn(&[u8]) -> Option<Vec<u8>>;

/// Every kind of message.
pub const MESSAGES: [Again; 4] =
    [again::<Ask>, again::<Reply>, again::<Frame>, again::<Subscription>];

fn again<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<Vec<u8>> {
    codec::decode::<T>(bytes).ok().map(|message| codec::encode(&message))
}
