//! How records lie in sled: every value bears its length and a checksum over its key and itself.
//!
//! sled writes a whole leaf again when it has gathered enough changes, and a leaf holds up to about
//! twenty values. A leaf above a quarter of a segment (128 KiB) goes into a file of its own that
//! sled never syncs. So no value may be larger than a few KiB: an entry is cut into parts of
//! [`PART_BYTES`], whose keys follow each other.

use crate::store::fault::Fault;

/// Bytes of an entry in one value: 20 of them stay well below 128 KiB.
pub(crate) const PART_BYTES: usize = 4_000;

const ENTRY: u8 = b'e';
const META: u8 = b'm';
const HEADER_BYTES: usize = 8;

/// The single values beside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meta {
    /// Whose store it is.
    Identity,
    /// The last vote.
    Vote,
    /// The last entry known to be committed.
    Committed,
    /// The last entry that was removed from the log's beginning.
    Purged,
}

impl Meta {
    pub(crate) const fn key(self) -> [u8; 2] {
        match self {
            Self::Identity => [META, b'i'],
            Self::Vote => [META, b'v'],
            Self::Committed => [META, b'c'],
            Self::Purged => [META, b'p'],
        }
    }
}

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Entry { index: u64, part: u32 },
    Meta(Meta),
}

impl Key {
    pub(crate) fn parse(key: &[u8]) -> Result<Self, Fault> {
        let all = [Meta::Identity, Meta::Vote, Meta::Committed, Meta::Purged];
        if let Some(meta) = all.into_iter().find(|meta| meta.key() == key) {
            return Ok(Self::Meta(meta));
        }
        let unknown = || Fault::damage(format!("a key that nobody wrote: {key:02x?}"));
        let (&kind, rest) = key.split_first().ok_or_else(unknown)?;
        let (index, part) = rest.split_at_checked(8).ok_or_else(unknown)?;
        match (kind, <[u8; 8]>::try_from(index), <[u8; 4]>::try_from(part)) {
            (ENTRY, Ok(index), Ok(part)) => {
                Ok(Self::Entry { index: u64::from_be_bytes(index), part: u32::from_be_bytes(part) })
            }
            (_, _, _) => Err(unknown()),
        }
    }
}

/// The key of a part of an entry; keys sort as the log does.
pub(crate) fn entry_key(index: u64, part: u32) -> [u8; 13] {
    let mut key = [ENTRY; 13];
    key[1..9].copy_from_slice(&index.to_be_bytes());
    key[9..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Puts length and checksum in front of a value.
pub(crate) fn seal(key: &[u8], body: &[u8]) -> Result<Vec<u8>, Fault> {
    let length = u32::try_from(body.len())
        .map_err(|error| Fault::damage(format!("a value of {} bytes: {error}", body.len())))?;
    let mut sealed = Vec::with_capacity(HEADER_BYTES + body.len());
    sealed.extend([0; 4]);
    sealed.extend(length.to_le_bytes());
    sealed.extend(body);
    let checksum = checksum(key, &sealed[4..]);
    sealed[..4].copy_from_slice(&checksum.to_le_bytes());
    Ok(sealed)
}

/// Checks a value and returns what was sealed.
pub(crate) fn unseal<'a>(key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], Fault> {
    let wrong = |what: &str| Fault::damage(format!("the value of key {key:02x?} {what}"));
    let (header, body) =
        sealed.split_at_checked(HEADER_BYTES).ok_or_else(|| wrong("is too short"))?;
    let (sum, length) = header.split_at(4);
    if sum != checksum(key, &sealed[4..]).to_le_bytes() {
        return Err(wrong("does not match its checksum"));
    }
    match u32::try_from(body.len()) {
        Ok(found) if length == found.to_le_bytes() => Ok(body),
        Ok(_) | Err(_) => Err(wrong("has another length than it was written with")),
    }
}

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(rest);
    hasher.finalize()
}

/// A key and its sealed value.
pub(crate) type Part = ([u8; 13], Vec<u8>);

/// Cuts an encoded entry into sealed parts with their keys. Every part says how many there are, so
/// that a lost one is missed.
pub(crate) fn parts(index: u64, bytes: &[u8]) -> Result<Vec<Part>, Fault> {
    let total = u32::try_from(bytes.chunks(PART_BYTES).len())
        .map_err(|error| Fault::damage(format!("an entry of {} bytes: {error}", bytes.len())))?;
    (0..total)
        .zip(bytes.chunks(PART_BYTES))
        .map(|(part, chunk)| {
            let key = entry_key(index, part);
            let mut body = total.to_le_bytes().to_vec();
            body.extend(chunk);
            Ok((key, seal(&key, &body)?))
        })
        .collect()
}

/// Puts the parts of entries together again, in the order of their keys.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    open: Option<(u64, u32, u32, Vec<u8>)>,
}

impl Assembly {
    /// Takes the next part; returns the index and the bytes of an entry when it is complete.
    pub(crate) fn add(
        &mut self,
        key: &[u8],
        index: u64,
        part: u32,
        sealed: &[u8],
    ) -> Result<Option<(u64, Vec<u8>)>, Fault> {
        let body = unseal(key, sealed)?;
        let missing = || Fault::damage(format!("parts of entry {index} are missing"));
        let (total, chunk) = body.split_at_checked(4).ok_or_else(missing)?;
        let total = total.try_into().map(u32::from_le_bytes).map_err(|_length| missing())?;
        let (next, mut bytes) = match self.open.take() {
            None => (0, Vec::new()),
            Some((of, next, same, bytes)) if of == index && same == total => (next, bytes),
            Some(_) => return Err(missing()),
        };
        if part != next || part >= total {
            return Err(missing());
        }
        bytes.extend(chunk);
        if part + 1 == total {
            Ok(Some((index, bytes)))
        } else {
            self.open = Some((index, part + 1, total, bytes));
            Ok(None)
        }
    }

    /// Says whether an entry was left unfinished.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        match self.open {
            None => Ok(()),
            Some((index, ..)) => Err(Fault::damage(format!("parts of entry {index} are missing"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_anywhere_is_seen() -> anyhow::Result<()> {
        let key = entry_key(5, 0);
        let sealed = seal(&key, b"a record")?;
        assert_eq!(unseal(&key, &sealed)?, b"a record");
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&key, &flipped).is_err(), "bit {bit}");
        }
        assert!(unseal(&entry_key(6, 0), &sealed).is_err(), "the value of another key");
        assert!(unseal(&key, &sealed[..sealed.len() - 1]).is_err());
        Ok(())
    }

    #[test]
    fn an_entry_comes_back_from_its_parts_and_a_lost_part_is_missed() -> anyhow::Result<()> {
        let bytes: Vec<u8> = (0..=255).cycle().take(3 * PART_BYTES + 1).collect();
        let parts = parts(9, &bytes)?;
        assert_eq!(parts.len(), 4);
        let assemble = |skip: Option<u32>| -> Result<Option<(u64, Vec<u8>)>, Fault> {
            let mut assembly = Assembly::default();
            let mut whole = None;
            for (key, sealed) in &parts {
                let Key::Entry { index, part } = Key::parse(key)? else { continue };
                if Some(part) != skip {
                    whole = assembly.add(key, index, part, sealed)?;
                }
            }
            assembly.finish().map(|()| whole)
        };
        assert_eq!(assemble(None)?, Some((9, bytes.clone())));
        for skip in 0..4 {
            assert!(assemble(Some(skip)).is_err(), "without part {skip}");
        }
        Ok(())
    }
}
