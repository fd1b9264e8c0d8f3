//! The format's version, in a file of its own, so that an older build refuses a newer store with a
//! sentence instead of taking it for damaged. It bears a checksum: a flipped digit is damage, not a
//! newer version.

use crate::store::fault::Fault;
use std::{fs, io::Write, path::Path};

pub(crate) const NAME: &str = "FORMAT";
/// The version that this build writes and reads.
pub(crate) const VERSION: u32 = 1;

/// Writes the file; the caller makes the directory durable.
pub(crate) fn write(dir: &Path, version: u32) -> Result<(), Fault> {
    fs::File::create(dir.join(NAME))
        .and_then(|mut file| {
            file.write_all(text(version).as_bytes())?;
            file.sync_all()
        })
        .map_err(|error| Fault::io("writing the format's version", &error))
}

/// Reads the version.
pub(crate) fn read(dir: &Path) -> Result<u32, Fault> {
    let found = fs::read_to_string(dir.join(NAME))
        .map_err(|error| Fault::io("reading the format's version", &error))?;
    found
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .filter(|version| text(*version) == found)
        .ok_or_else(|| Fault::damage("the format's version cannot be read"))
}

fn text(version: u32) -> String {
    let line = format!("hearten-store {version}");
    let checksum = crc32fast::hash(line.as_bytes());
    format!("{line} {checksum:08x}\n")
}
