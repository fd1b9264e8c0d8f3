//! What operators order outside of documents, each order signed with an operator's key.
//!
//! Raft orders, operators authorise: no worker, voter or leader can let a peer join, take one out
//! or stop the mesh by itself. A nonce and an expiry keep an order from being given twice.

use crate::{
    alert::AlertId,
    codec,
    document::{
        Selector,
        bundle::{OperatorSignature, sign_bytes, signature_holds},
    },
    name::{IncidentId, Name, PeerId},
    record::{TokenGrant, Trust},
    time::Timestamp,
};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

/// What an operator orders.
///
/// Enums that travel are only ever appended to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// A peer may join with this token.
    CreateToken(TokenGrant),
    /// This peer is a member no more.
    RemovePeer {
        /// Which peer.
        peer: PeerId,
    },
    /// No repair is started any more, in the whole mesh.
    Freeze {
        /// The operator's words.
        reason: String,
    },
    /// Repairs go on.
    Thaw,
    /// This incident is over.
    Close {
        /// Which incident.
        incident: IncidentId,
        /// The operator's words.
        reason: String,
    },
    /// The rung that waits for approval may be climbed.
    Approve {
        /// Of which incident.
        incident: IncidentId,
    },
    /// The rung that waits for approval is not climbed: a person takes over.
    Deny {
        /// Of which incident.
        incident: IncidentId,
        /// The operator's words.
        reason: String,
    },
    /// Somebody has seen the incident.
    Acknowledge {
        /// Which incident.
        incident: IncidentId,
    },
    /// Nothing is repaired on some peers for a while.
    StartMaintenance {
        /// What to call it; one of the same name is replaced.
        name: Name,
        /// For these peers; when there are none, for those that the selector fits.
        peers: Vec<PeerId>,
        /// For peers with these labels.
        selector: Selector,
        /// Until when.
        until: Timestamp,
        /// The operator's words.
        reason: String,
    },
    /// The maintenance is over.
    EndMaintenance {
        /// Which one.
        name: Name,
    },
    /// A runbook is run without its signal.
    RunRunbook {
        /// Which runbook.
        runbook: Name,
        /// For which peer.
        peer: PeerId,
        /// The operator's words.
        reason: String,
    },
    /// This alert fires no more, until somebody says again that it does.
    EndAlert {
        /// Which alert.
        alert: AlertId,
        /// The operator's words.
        reason: String,
    },
}

/// An order for one mesh, to be carried out once and soon or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The root fingerprint of the mesh that it is for.
    pub mesh: [u8; 32],
    /// A random number, spent when the order is carried out.
    pub nonce: u64,
    /// After this moment it is refused.
    pub expires: Timestamp,
    /// What to do.
    pub action: Action,
}

/// An order and an operator's signature over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOrder {
    /// The order.
    pub order: Order,
    /// Who signed, and the signature.
    pub signature: OperatorSignature,
}

impl Order {
    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = b"hearten order 1\n".to_vec();
        bytes.extend(codec::encode(self));
        bytes
    }

    /// Signs the order with an operator's key.
    pub fn sign(self, key: &SigningKey) -> SignedOrder {
        let signature = sign_bytes(key, &self.signed_bytes());
        SignedOrder { order: self, signature }
    }
}

impl SignedOrder {
    /// Whether one of the operators signed exactly this order.
    ///
    /// One operator's signature is enough for an order: what may *run* on a host needs as many as
    /// the trust document says, and an order introduces no command.
    pub fn is_authorised(&self, trust: &Trust) -> bool {
        trust.operators.contains(&self.signature.key)
            && signature_holds(&self.signature, &self.order.signed_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_as_it_was_signed_and_only_from_an_operator() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let trust = |key: &SigningKey| Trust {
            version: 1,
            threshold: 1,
            operators: vec![key.verifying_key().to_bytes()],
        };
        let order =
            Order { mesh: [1; 32], nonce: 7, expires: Timestamp::default(), action: Action::Thaw };
        let signed = order.sign(&key);
        assert!(signed.is_authorised(&trust(&key)));
        assert!(!signed.is_authorised(&trust(&SigningKey::from_bytes(&[2; 32]))));
        let mut altered = signed;
        altered.order.nonce = 8;
        assert!(!altered.is_authorised(&trust(&key)));
    }
}
