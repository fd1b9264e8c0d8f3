//! What an applicant and the mesh say to each other.
//!
//! The applicant proves that it has the token's secret by a signature over this one TLS
//! connection, its own key and its card. So the proof is worth nothing on another connection, for
//! another key or with other labels, and the secret never leaves the host.

use crate::{
    identity::{Token, verify},
    net::JoinBinding,
};
use protocol::{
    codec::{self, CodecError},
    name::{Name, PeerId},
    record::{PeerCard, TokenId, Trust},
    refusal::Refusal,
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The largest request or answer, in bytes.
const BYTES_MAX: u64 = 64 << 10;

/// A host asks to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// By which token.
    pub token: TokenId,
    /// What the applicant says of itself.
    pub card: PeerCard,
    /// The token's signature, 64 bytes.
    pub signature: Vec<u8>,
}

/// What the mesh answers.
///
/// Enums that travel are only ever appended to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinAnswer {
    /// The host is a peer.
    Accepted {
        /// Its certificate, in DER.
        certificate: Vec<u8>,
        /// The mesh's name.
        mesh: Name,
        /// Whose documents it executes; to be pinned.
        trust: Trust,
        /// Where the other peers are.
        peers: Vec<(PeerId, SocketAddr)>,
    },
    /// By this rule it is not let in.
    Refused(Refusal),
    /// Nobody can decide now.
    Unavailable(String),
}

/// The bytes that the token's key signs.
fn signed_bytes(binding: &JoinBinding, card: &PeerCard) -> Vec<u8> {
    let mut bytes = b"hearten join 1\n".to_vec();
    bytes.extend(binding.bytes());
    bytes.extend(codec::encode(card));
    bytes
}

/// The request of an applicant that holds the token, for this one connection.
pub fn sign(token: &Token, binding: &JoinBinding, card: PeerCard) -> JoinRequest {
    let signature = token.sign(&signed_bytes(binding, &card)).to_vec();
    JoinRequest { token: TokenId(token.id()), card, signature }
}

impl JoinRequest {
    /// Whether it was made for this connection by a holder of the token, and speaks of the key
    /// that the connection has proved. `verifying_key` is what the ledger keeps of the token.
    pub fn verify(&self, binding: &JoinBinding, verifying_key: &[u8; 32]) -> bool {
        let Ok(signature) = <[u8; 64]>::try_from(self.signature.as_slice()) else { return false };
        self.card.public_key == binding.public_key
            && self.card.id == super::card::peer_id(&self.card.public_key)
            && verify(verifying_key, &signed_bytes(binding, &self.card), &signature)
    }

    /// The bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads what has travelled.
    ///
    /// # Errors
    /// When the bytes are not a request, or too many.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode_within(bytes, BYTES_MAX)
    }
}

impl JoinAnswer {
    /// The bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads what has travelled.
    ///
    /// # Errors
    /// When the bytes are not an answer, or too many.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode_within(bytes, BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::{Fingerprint, PeerKey},
        setup::card::peer_id,
    };
    use protocol::name::RaftId;

    fn card(public_key: [u8; 32]) -> PeerCard {
        PeerCard {
            id: peer_id(&public_key),
            name: Name::parse("web-1").unwrap(),
            labels: std::collections::BTreeMap::new(),
            address: "10.0.0.5:4327".parse().unwrap(),
            public_key,
            raft_id: RaftId(0),
            generation: 0,
            version: "0.1.0".to_owned(),
            cell: 0,
        }
    }

    #[test]
    fn a_proof_holds_for_this_connection_this_key_and_this_card_only() {
        let token = Token::create(7, [5; 32], Fingerprint([9; 32]));
        let public_key = PeerKey::generate().public_key();
        let binding = JoinBinding { exporter: [1; 32], public_key };
        let request = sign(&token, &binding, card(public_key));
        let back = JoinRequest::decode(&request.encode()).unwrap();
        assert_eq!(back, request);
        let key = token.verifying_key();
        assert!(back.verify(&binding, &key));
        let elsewhere = JoinBinding { exporter: [2; 32], public_key };
        assert!(!back.verify(&elsewhere, &key), "another connection");
        let thief = PeerKey::generate().public_key();
        let stolen = JoinBinding { exporter: [1; 32], public_key: thief };
        assert!(!back.verify(&stolen, &key), "another key");
        let mut altered = back.clone();
        altered.card.labels.insert("role".to_owned(), "db".to_owned());
        assert!(!altered.verify(&binding, &key), "another card");
        let other = Token::create(7, [6; 32], Fingerprint([9; 32]));
        assert!(!back.verify(&binding, &other.verifying_key()), "another token");
        let mut chosen = card(public_key);
        chosen.id = PeerId::from_random(1);
        assert!(!sign(&token, &binding, chosen).verify(&binding, &key), "an id of its choosing");
    }

    #[test]
    fn an_answer_reads_back_and_noise_does_not() {
        let answer = JoinAnswer::Refused(Refusal::TokenUsed);
        assert_eq!(JoinAnswer::decode(&answer.encode()), Ok(answer));
        assert!(JoinAnswer::decode(&[1, 77, 3]).is_err());
        assert!(JoinRequest::decode(&[]).is_err());
    }
}
