//! Files as evidence: the beginning and the end of each, within a size.
//!
//! Only what is a file once it is open is read: a pipe would hold the reader for ever, and a
//! device never ends.

use crate::exec::output::Output;
use rustix::fs::OFlags;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
};

/// The files below each other, each of at most `file_max_bytes`; and how many could not be read.
pub(super) fn contents(paths: &[String], file_max_bytes: usize) -> (String, u32) {
    let mut text = String::new();
    let mut failed = 0;
    for path in paths {
        let (state, content) = match read(path, file_max_bytes) {
            Ok((bytes, content)) => (format!("{bytes} bytes"), content),
            Err(error) => {
                failed += 1;
                (error.to_string(), String::new())
            }
        };
        text.push_str(&format!("---- {path}: {state}\n"));
        text.push_str(&content);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    (text, failed)
}

/// The size of a file, and what is kept of it.
fn read(path: &str, max_bytes: usize) -> io::Result<(u64, String)> {
    // Without O_NONBLOCK a pipe without a writer would never open.
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::CLOEXEC).bits()).unwrap_or(0);
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "a directory" } else { "no regular file" };
        return Err(io::Error::other(format!("it is {what}")));
    }
    let half = u64::try_from(max_bytes / 2).unwrap_or(u64::MAX);
    let mut output = Output::new(max_bytes);
    let mut read_bytes = copy(&mut file, half, &mut output)?;
    // What grows while it is read is read to the size that it had.
    let left_out = metadata.len().saturating_sub(half.saturating_mul(2));
    if left_out > 0 {
        output.skip(left_out);
        file.seek(SeekFrom::Start(half.saturating_add(left_out)))?;
        read_bytes = read_bytes.saturating_add(left_out);
    }
    // Files of the kernel have no size and are short.
    read_bytes = read_bytes.saturating_add(copy(&mut file, half, &mut output)?);
    Ok((read_bytes.max(metadata.len()), output.into_text()))
}

fn copy(file: &mut File, most: u64, output: &mut Output) -> io::Result<u64> {
    let mut bytes = Vec::new();
    let count = file.take(most).read_to_end(&mut bytes)?;
    output.push(&bytes);
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_whole_or_by_its_ends() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        std::fs::write(at("small"), "one\ntwo").unwrap();
        std::fs::write(at("big"), format!("first\n{}last\n", "middle\n".repeat(10_000))).unwrap();
        let (text, failed) = contents(&[at("small"), at("big"), at("none")], 1_000);
        assert_eq!(failed, 1);
        assert!(text.contains("/small: 7 bytes\none\ntwo\n---- "), "{text}");
        assert!(text.contains("/big: 70011 bytes\nfirst\nmiddle\n"), "{text}");
        assert!(text.contains("bytes left out …]") && text.contains("middle\nlast\n"), "{text}");
        assert!(text.contains("/none: No such file"), "{text}");
        assert!(text.len() < 1_600, "{}", text.len());
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let paths =
            ["/dev/zero".to_owned(), pipe.to_string_lossy().into_owned(), "/etc".to_owned()];
        let (text, failed) = contents(&paths, 1_000);
        assert_eq!(failed, 3, "{text}");
        assert!(text.contains("/dev/zero: it is no regular file"), "{text}");
        assert!(text.contains("/etc: it is a directory"), "{text}");
    }

    #[test]
    fn a_file_of_the_kernel_has_no_size_and_is_read_all_the_same() {
        let (text, failed) = contents(&["/proc/self/status".to_owned()], 64 << 10);
        assert_eq!(failed, 0);
        assert!(text.contains("\nPid:\t"), "{text}");
    }
}
