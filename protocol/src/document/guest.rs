//! A guest: a host that cannot run the daemon. A surgeon on it asks any peer for what is to be done.

use crate::name::{Labels, Name};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{net::IpAddr, time::Duration};

/// For how long an operation waits for a guest's surgeon unless its document says otherwise. A
/// surgeon asks at least twice a minute while it is answered.
pub const CLAIM_WITHIN: Duration = Duration::from_secs(300);

/// A host that is healed by a surgeon of its own. It is no peer: it is never counted as one, sees
/// nothing, and decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// What incidents call it.
    pub name: Name,
    /// Its labels: checks and runbooks are for it where their selectors fit.
    pub labels: Labels,
    /// Where it is, if alerts name it so, or a rung of a neighbour's needs it.
    pub address: Option<IpAddr>,
    /// SHA-256 of its surgeon's application id, which is a secret: who knows it is given commands.
    pub surgeon: [u8; 32],
    /// How long an operation waits for the surgeon to ask for it; [`CLAIM_WITHIN`] unless said.
    pub claim_within: Duration,
}

impl Guest {
    /// Whether this is its surgeon's application id. Hashes are compared, so that how long it takes
    /// says nothing about the id.
    pub fn is_served_by(&self, application_id: &str) -> bool {
        hash_of(application_id) == self.surgeon
    }
}

/// What a guest's document says of its surgeon's application id.
pub fn hash_of(application_id: &str) -> [u8; 32] {
    Sha256::digest(application_id.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surgeon_is_known_by_the_hash_of_its_id() {
        let guest = Guest {
            name: Name::parse("old-db").unwrap(),
            labels: Labels::new(),
            address: None,
            surgeon: hash_of("s3cret"),
            claim_within: CLAIM_WITHIN,
        };
        assert!(guest.is_served_by("s3cret"));
        assert!(!guest.is_served_by("old-db") && !guest.is_served_by(""));
    }
}
