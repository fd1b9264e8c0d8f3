//! What lets others notice at once that this peer has restarted.
//!
//! A daemon that comes back at the same address knows none of its old connections. QUIC lets it
//! say so (RFC 9000, section 10.3: stateless reset), but only when it can still compute the tokens
//! of the old connection ids. So their key is derived from the peer's own key, which outlives the
//! process. Without this the others would wait for their idle timeout.

use crate::identity::Identity;
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig, crypto::CryptoError};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use zeroize::Zeroizing;

/// Long enough that no two connections of a peer's life share an id, and so a reset's token.
const ID_BYTES: usize = 12;

/// The configuration of an endpoint whose resets survive a restart.
pub(crate) fn endpoint_config(identity: &Identity) -> EndpointConfig {
    let reset = Mac(Zeroizing::new(identity.derive("quic stateless reset")));
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(|| Box::new(PlainIds));
    config
}

/// HMAC-SHA-256 (RFC 2104) with a key of 32 bytes.
struct Mac(Zeroizing<[u8; 32]>);

impl Mac {
    fn tag(&self, data: &[u8]) -> [u8; 32] {
        let pad = |byte: u8| {
            let mut block = Zeroizing::new([byte; 64]);
            for (padded, key) in block.iter_mut().zip(self.0.iter()) {
                *padded ^= key;
            }
            block
        };
        let inner = Sha256::new().chain_update(*pad(0x36)).chain_update(data).finalize();
        Sha256::new().chain_update(*pad(0x5c)).chain_update(inner).finalize().into()
    }
}

impl quinn::crypto::HmacKey for Mac {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(&self.tag(data));
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let expected = self.tag(data);
        let differences =
            expected.iter().zip(signature).fold(0, |sum, (left, right)| sum | (left ^ right));
        if signature.len() == expected.len() && differences == 0 {
            Ok(())
        } else {
            Err(CryptoError)
        }
    }
}

/// Connection ids without a mark of the process that made them.
///
/// quinn's own carry a proof under a key of the process, by which it drops, without a word, what
/// it takes for noise; after a restart that would be every packet of every old connection. The
/// price is that noise of the right form is answered by a reset, which is shorter than the noise
/// and sent 50 times a second at most.
struct PlainIds;

impl ConnectionIdGenerator for PlainIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::random::<[u8; ID_BYTES]>())
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_hmac_sha_256() {
        // RFC 4231, test case 1, has a key of 20 bytes; zeros at its end do not change an HMAC.
        let mut key = [0_u8; 32];
        key[..20].fill(0x0b);
        let tag = Mac(Zeroizing::new(key)).tag(b"Hi There");
        assert_eq!(
            data_encoding::HEXLOWER.encode(&tag),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }
}
