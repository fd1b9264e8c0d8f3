//! The file systems that are mounted, and how full they are.

use super::why;
use serde::Serialize;
use std::{fs, path::Path};

/// File systems over the network: one whose server is gone holds up whoever asks how full it is.
const REMOTE: [&str; 8] =
    ["nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.glusterfs", "fuse.sshfs", "afs"];

/// One file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Filesystem {
    /// What is mounted.
    pub device: String,
    /// Where.
    pub mount: String,
    /// `ext4`, `tmpfs` and so on.
    pub kind: String,
    /// Whether nothing can be written to it.
    pub read_only: bool,
    /// How full it is; nothing for those that hold nothing, and for those over the network.
    pub space: Option<Space>,
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Space {
    /// What is used, in bytes.
    pub used_bytes: u64,
    /// What ordinary users may still use, in bytes.
    pub available_bytes: u64,
    /// The share that is used of what ordinary users may use, rounded up, as `df` has it.
    pub used_percent: u32,
    /// The inodes that are used.
    pub inodes_used: u64,
    /// How many there are; 0 where they are made as needed.
    pub inodes: u64,
    /// The share of them that is used, rounded up.
    pub inodes_percent: u32,
}

/// Reads what is mounted.
pub(super) fn read(proc: &Path) -> Result<Vec<Filesystem>, String> {
    let path = proc.join("self/mounts");
    let text = fs::read_to_string(&path).map_err(|error| why(&path, &error))?;
    let mounted = |line: &str| {
        let mut fields = line.split(' ');
        let (device, mount) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let kind = fields.next()?.to_owned();
        let read_only = fields.next()?.split(',').any(|option| option == "ro");
        let local = !REMOTE.contains(&kind.as_str());
        let space = if local { space(Path::new(&mount)).ok() } else { None };
        let space = space.filter(|space| space.used_bytes + space.available_bytes > 0);
        Some(Filesystem { device, mount, kind, read_only, space })
    };
    Ok(text.lines().filter_map(mounted).collect())
}

/// How full the file system is that holds this path.
pub(super) fn space(path: &Path) -> Result<Space, String> {
    let found = rustix::fs::statvfs(path).map_err(|error| why(path, &error.into()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    let inodes_used = found.f_files.saturating_sub(found.f_ffree);
    Ok(Space {
        used_bytes: bytes(used),
        available_bytes: bytes(found.f_bavail),
        used_percent: percent(used, used.saturating_add(found.f_bavail)),
        inodes_used,
        inodes: found.f_files,
        inodes_percent: percent(inodes_used, found.f_files),
    })
}

/// A share in percent, rounded up.
pub(crate) fn percent(part: u64, whole: u64) -> u32 {
    if whole == 0 {
        return 0;
    }
    let share = (u128::from(part) * 100).div_ceil(u128::from(whole));
    u32::try_from(share).unwrap_or(u32::MAX)
}

/// proc(5): blanks and backslashes are written as three octal digits.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}
