//! Join tokens: the text that lets one host into the mesh.
//!
//! A token is `hearten1-` and, in base32, an id, the seed of an Ed25519 key (the secret), the
//! fingerprint of the mesh's root and a checksum. The joiner signs with the secret and never
//! sends it; the ledger keeps the *public* key only. That is better than a keyed hash of the
//! secret: nothing that the mesh stores or replicates is enough to join with.

use super::{Fingerprint, PeerKey};
use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// What every token begins with; the digit is the version of what follows.
const PREFIX: &str = "hearten1-";

/// 8 bytes of id, 32 of seed, 32 of fingerprint.
const BODY_BYTES: usize = 72;

/// The checksum is for typing and pasting errors, not for enemies.
const CHECKSUM_BYTES: usize = 4;

/// Why a text is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin like one.
    #[error("this is not a join token: those begin with \"hearten1-\"")]
    Prefix,
    /// It is too long or too short.
    #[error(
        "the join token has {found} characters after \"hearten1-\", not {expected}: was it cut?"
    )]
    Length {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// It was mistyped or damaged.
    #[error("the join token was mistyped or damaged: its checksum does not fit; copy it again")]
    Typo,
}

/// A join token. Its secret is wiped from memory when it is dropped and never printed.
#[derive(Clone)]
pub struct Token {
    id: u64,
    seed: Zeroizing<[u8; 32]>,
    fingerprint: Fingerprint,
}

impl Token {
    /// A token from random numbers: `id` to find it by, `seed` as its secret.
    pub fn create(id: u64, seed: [u8; 32], fingerprint: Fingerprint) -> Self {
        Self { id, seed: Zeroizing::new(seed), fingerprint }
    }

    /// Reads a token; upper case and white space around it are forgiven.
    ///
    /// # Errors
    /// [`TokenError`]; it never repeats the text, which is a secret.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = Zeroizing::new(text.trim().to_ascii_lowercase());
        let digits = text.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        let expected = BASE32_NOPAD.encode_len(BODY_BYTES + CHECKSUM_BYTES);
        if digits.len() != expected {
            return Err(TokenError::Length { found: digits.chars().count(), expected });
        }
        let digits = Zeroizing::new(digits.to_ascii_uppercase());
        let bytes = BASE32_NOPAD.decode(digits.as_bytes()).map(Zeroizing::new);
        let Ok(bytes) = bytes else {
            return Err(TokenError::Typo);
        };
        let (body, sum) = bytes.split_at(BODY_BYTES);
        if sum != checksum(body) {
            return Err(TokenError::Typo);
        }
        let (id, rest) = body.split_at(8);
        let (seed, fingerprint) = rest.split_at(32);
        match (id.try_into(), seed.try_into(), fingerprint.try_into()) {
            (Ok(id), Ok(seed), Ok(fingerprint)) => Ok(Self {
                id: u64::from_be_bytes(id),
                seed: Zeroizing::new(seed),
                fingerprint: Fingerprint(fingerprint),
            }),
            // The lengths were checked above.
            (_, _, _) => Err(TokenError::Typo),
        }
    }

    /// The token as text. Keep it secret.
    pub fn text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BODY_BYTES + CHECKSUM_BYTES));
        bytes.extend_from_slice(&self.id.to_be_bytes());
        bytes.extend_from_slice(self.seed.as_slice());
        bytes.extend_from_slice(&self.fingerprint.0);
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        let digits = Zeroizing::new(BASE32_NOPAD.encode(&bytes));
        Zeroizing::new(format!("{PREFIX}{}", digits.to_ascii_lowercase()))
    }

    /// The id by which the mesh finds what it knows of this token.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The root that the joiner must find.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The public half of the secret: what the mesh keeps.
    pub fn verifying_key(&self) -> [u8; 32] {
        PeerKey::from_seed(&self.seed).public_key()
    }

    /// Signs with the secret, to prove it without sending it. Sign what binds it to one
    /// connection (see `net::JoinBinding`).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        PeerKey::from_seed(&self.seed).sign(message)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:016x}, {})", self.id, self.fingerprint)
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Sha256::new();
    hash.update(PREFIX);
    hash.update(body);
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&hash.finalize()[..CHECKSUM_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::verify;

    fn token() -> Token {
        Token::create(0x0123_4567_89ab_cdef, [5; 32], Fingerprint([9; 32]))
    }

    #[test]
    fn a_token_reads_back_and_signs() {
        let token = token();
        let text = token.text();
        assert!(text.starts_with("hearten1-"));
        let back = Token::parse(&format!("  {}\n", text.to_ascii_uppercase())).unwrap();
        assert_eq!(back.id(), token.id());
        assert_eq!(back.fingerprint(), token.fingerprint());
        let signature = back.sign(b"binding");
        assert!(verify(&token.verifying_key(), b"binding", &signature));
    }

    #[test]
    fn every_typo_is_told_apart() {
        let text = token().text();
        for place in PREFIX.len()..text.len() {
            let mut typo = text.as_bytes().to_vec();
            typo[place] = if typo[place] == b'a' { b'b' } else { b'a' };
            let typo = String::from_utf8(typo).unwrap();
            assert_eq!(Token::parse(&typo).unwrap_err(), TokenError::Typo, "at {place}");
        }
        let cut = &text[..text.len() - 1];
        assert!(matches!(Token::parse(cut).unwrap_err(), TokenError::Length { .. }));
        assert_eq!(Token::parse("secret").unwrap_err(), TokenError::Prefix);
        assert!(Token::parse(&format!("{PREFIX}{}", "ä".repeat(61))).is_err());
    }

    #[test]
    fn a_token_does_not_print_its_secret() {
        let token = token();
        let printed = format!("{token:?}");
        assert!(!printed.contains("0505") && !printed.contains(&token.text()[40..60]));
    }
}
