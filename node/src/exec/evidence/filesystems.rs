//! Every file system that holds blocks, with what is free of its bytes and of its files.

use std::{collections::BTreeSet, fmt::Write, fs, io, os::unix::ffi::OsStringExt};

/// A server that does not answer would hold whoever asks for its file system inside the kernel.
const OVER_THE_NETWORK: [&str; 9] =
    ["nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "fuse.sshfs", "fuse.glusterfs"];

/// One mount as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    device: String,
    /// As bytes: a path need not be UTF-8.
    place: Vec<u8>,
    kind: String,
}

/// The table as text.
pub(super) fn table() -> io::Result<String> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mut text = format!(
        "{:>8} {:>8} {:>5} {:>6}  {:<10} {:<30} {}\n",
        "SIZE_MB", "FREE_MB", "USED%", "FILES%", "TYPE", "MOUNTED ON", "DEVICE"
    );
    let mut seen = BTreeSet::new();
    for mount in mounts.lines().filter_map(parse) {
        let place = String::from_utf8_lossy(&mount.place).into_owned();
        if !seen.insert(place.clone()) {
            continue;
        }
        let tail = format!("{:<10} {place:<30} {}", mount.kind, mount.device);
        if OVER_THE_NETWORK.contains(&mount.kind.as_str()) {
            line(&mut text, &format!("{:>31} {tail}", "(not asked: over the network)"));
            continue;
        }
        let path = std::ffi::OsString::from_vec(mount.place);
        match rustix::fs::statvfs(&path) {
            // Those without blocks are views of the kernel, not places that can be full.
            Ok(found) if found.f_blocks == 0 => {}
            Ok(found) => {
                let megabytes = |blocks: u64| blocks.saturating_mul(found.f_frsize) >> 20;
                let used = found.f_blocks.saturating_sub(found.f_bfree);
                let used = share(used, used.saturating_add(found.f_bavail));
                let files = share(found.f_files.saturating_sub(found.f_ffree), found.f_files);
                let (size, free) = (megabytes(found.f_blocks), megabytes(found.f_bavail));
                line(&mut text, &format!("{size:>8} {free:>8} {used:>5} {files:>6}  {tail}"));
            }
            Err(error) => line(&mut text, &format!("{:>31} {tail}", format!("({error})"))),
        }
    }
    Ok(text)
}

fn line(text: &mut String, line: &str) {
    let written = writeln!(text, "{}", line.trim_end());
    assert!(written.is_ok(), "a string takes any text");
}

/// In percent, rounded up as `df` does; nothing to share out is nothing used.
fn share(used: u64, all: u64) -> String {
    match all {
        0 => "-".to_owned(),
        all => u128::from(used).saturating_mul(100).div_ceil(u128::from(all)).to_string(),
    }
}

fn parse(line: &str) -> Option<Mount> {
    let mut words = line.split(' ');
    let device = String::from_utf8_lossy(&unescaped(words.next()?)).into_owned();
    let place = unescaped(words.next()?);
    let kind = words.next()?.to_owned();
    Some(Mount { device, place, kind })
}

/// Blanks and the like are written as three octal digits.
fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match escaped.filter(|_| *first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_blanks() {
        let mount = parse("/dev/sda1 /mnt/a\\040b\\134 ext4 rw,relatime 0 0").unwrap();
        assert_eq!(mount.place, b"/mnt/a b\\");
        assert_eq!((mount.device.as_str(), mount.kind.as_str()), ("/dev/sda1", "ext4"));
        assert_eq!(parse("half"), None);
        assert_eq!(unescaped("a\\9\\"), b"a\\9\\");
    }

    #[test]
    fn shares_are_rounded_up_and_never_divide_by_nothing() {
        assert_eq!(share(1, 1_000), "1");
        assert_eq!(share(0, 0), "-");
        assert_eq!(share(u64::MAX, u64::MAX), "100");
    }

    #[test]
    fn the_root_of_this_host_is_in_the_table() {
        let table = table().unwrap();
        assert!(table.starts_with(" SIZE_MB  FREE_MB USED%"), "{table}");
        let root = table.lines().find(|line| line.split_whitespace().nth(5) == Some("/"));
        let size: u64 = root.unwrap().split_whitespace().next().unwrap().parse().unwrap();
        assert!(size > 0, "{table}");
    }
}
