//! Names and ids: parsed once at the edge, valid everywhere inside.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// Why a name or an id was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a name.
    #[error(
        "\"{text}\" is not a valid name: use 1 to 63 letters, digits, \"-\", \"_\" or \".\", \
         beginning with a letter or digit"
    )]
    Name {
        /// What was given.
        text: String,
    },
    /// Not a peer's id.
    #[error("\"{text}\" is not a peer id: it is \"p\" and eight of the characters a-z and 2-7")]
    PeerId {
        /// What was given.
        text: String,
    },
    /// Not an incident's id.
    #[error("\"{text}\" is not an incident: ids look like INC-42")]
    IncidentId {
        /// What was given.
        text: String,
    },
    /// Not a label.
    #[error("\"{text}\" is not a label: write KEY=VALUE, with a key of letters, digits, \"_\"")]
    Label {
        /// What was given.
        text: String,
    },
}

/// A name that an operator chose, of a peer or of a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Comes before every name, and is none: where a walk through names begins.
    pub(crate) const LEAST: Self = Self(String::new());

    /// Reads a name: 1 to 63 letters, digits, `-`, `_` or `.`, beginning with a letter or digit.
    ///
    /// # Errors
    /// [`NameError::Name`] with the text.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let mut characters = text.chars();
        let first = characters.next().is_some_and(|c| c.is_ascii_alphanumeric());
        let rest = characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if first && rest && text.len() <= 63 {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Name { text: text.chars().take(80).collect() })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A peer's id: random, given once when the peer founds or joins a mesh, never reused.
///
/// It reads as `p` and eight characters (40 bits); it is short because gossip repeats it often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(u64);

const ID_ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl PeerId {
    /// An id from 40 random bits; the rest of `random` is ignored.
    pub const fn from_random(random: u64) -> Self {
        Self(random & 0xff_ffff_ffff)
    }

    /// The bits of the id, for hashing.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Reads an id.
    ///
    /// # Errors
    /// [`NameError::PeerId`] with the text.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let refusal = || NameError::PeerId { text: text.chars().take(80).collect() };
        let digits = text.strip_prefix('p').ok_or_else(refusal)?;
        if digits.len() != 8 {
            return Err(refusal());
        }
        let mut bits = 0_u64;
        for byte in digits.bytes() {
            let digit = match byte {
                b'a'..=b'z' => byte - b'a',
                b'2'..=b'7' => byte - b'2' + 26,
                _ => return Err(refusal()),
            };
            bits = bits << 5 | u64::from(digit);
        }
        Ok(Self(bits))
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::from("p");
        for place in (0..8).rev() {
            let digit = usize::try_from(self.0 >> (5 * place) & 31).unwrap_or(0);
            text.push(char::from(ID_ALPHABET[digit]));
        }
        f.pad(&text)
    }
}

impl FromStr for PeerId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
        } else {
            let bits = u64::deserialize(deserializer)?;
            if bits >> 40 == 0 {
                Ok(Self(bits))
            } else {
                Err(D::Error::custom("a peer id has 40 bits"))
            }
        }
    }
}

/// A peer's id inside the Raft group.
///
/// It belongs to one store, not to the peer: a peer that lost its store comes back with a new one,
/// because Raft must never meet a member whose log went backwards.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct RaftId(pub u64);

impl fmt::Display for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{:x}", self.0)
    }
}

/// An incident's id: the index of the log entry that opened it; it reads as `INC-42`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId(pub u64);

impl IncidentId {
    /// Reads an id, with or without the leading `INC-`.
    ///
    /// # Errors
    /// [`NameError::IncidentId`] with the text.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let digits =
            text.strip_prefix("INC-").or_else(|| text.strip_prefix("inc-")).unwrap_or(text);
        match digits.parse() {
            Ok(index) => Ok(Self(index)),
            Err(_not_a_number) => {
                Err(NameError::IncidentId { text: text.chars().take(80).collect() })
            }
        }
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("INC-{}", self.0))
    }
}

impl FromStr for IncidentId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl Serialize for IncidentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for IncidentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

/// Labels of a peer: `role=web`, `zone=a`.
pub type Labels = std::collections::BTreeMap<String, String>;

/// Reads one `KEY=VALUE`.
///
/// # Errors
/// [`NameError::Label`] when there is no `=`, the key is not of letters, digits and `_` beginning
/// with a letter, or either side is longer than 63 bytes or the value holds control characters.
pub fn parse_label(text: &str) -> Result<(String, String), NameError> {
    let refusal = || NameError::Label { text: text.chars().take(80).collect() };
    let (key, value) = text.split_once('=').ok_or_else(refusal)?;
    let key_fits = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.len() <= 63
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let value_fits = value.len() <= 63 && !value.chars().any(char::is_control);
    if key_fits && value_fits { Ok((key.to_owned(), value.to_owned())) } else { Err(refusal()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_peer_id_reads_back(random: u64) {
            let id = PeerId::from_random(random);
            prop_assert_eq!(PeerId::parse(&id.to_string()), Ok(id));
            prop_assert_eq!(id.to_string().len(), 9);
        }
    }

    #[test]
    fn names_are_checked_at_the_edge() {
        for good in ["web-1", "a", "0", "Web_1.example.org"] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a b", "ä", "a/b", &"x".repeat(64)] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(IncidentId::parse("INC-42"), Ok(IncidentId(42)));
        assert_eq!(IncidentId::parse("42"), Ok(IncidentId(42)));
        assert!(IncidentId::parse("INC-").is_err());
        assert_eq!(parse_label("role=web"), Ok(("role".to_owned(), "web".to_owned())));
        assert!(parse_label("role").is_err());
        assert!(parse_label("1role=web").is_err());
    }
}
