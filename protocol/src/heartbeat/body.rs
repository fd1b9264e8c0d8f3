//! What is kept of what comes with a ping: of what is long, the beginning and the end. A log says at
//! its beginning what was run, and at its end what was wrong.

/// The most bytes that are kept of what a job says when it checks in.
pub const BODY_BYTES_MAX: usize = 1_000;

/// As many of them are the beginning of what is longer.
const BEGINNING_BYTES: usize = 300;

/// As many are its end; between them it says how much is left out.
const END_BYTES: usize = 640;

/// What is kept of a body.
pub fn shortened(body: &str) -> String {
    let body = body.trim_end();
    if body.len() <= BODY_BYTES_MAX {
        return body.to_owned();
    }
    let (beginning, rest) = body.split_at(body.floor_char_boundary(BEGINNING_BYTES));
    joined(beginning, 0, rest)
}

/// What is kept of a body of which the beginning and the end were read, of some kilobytes each, and
/// so many bytes between them were not.
pub fn shortened_ends(beginning: &[u8], between: usize, end: &[u8]) -> String {
    if between == 0 {
        return shortened(&String::from_utf8_lossy(&[beginning, end].concat()));
    }
    let end = String::from_utf8_lossy(end);
    joined(&String::from_utf8_lossy(beginning), between, end.trim_end())
}

/// The beginning of the one and the end of the other, and how much is left out.
fn joined(beginning: &str, between: usize, end: &str) -> String {
    let (beginning, more) = beginning.split_at(beginning.floor_char_boundary(BEGINNING_BYTES));
    let from = end.ceil_char_boundary(end.len().saturating_sub(END_BYTES));
    let left_out = between.saturating_add(more.len()).saturating_add(from);
    format!("{beginning}\n[{left_out} bytes are left out]\n{}", &end[from..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_a_long_log_the_beginning_and_the_end_are_kept() {
        assert_eq!(shortened(" done \n"), " done");
        assert_eq!(shortened(&"x".repeat(BODY_BYTES_MAX)).len(), BODY_BYTES_MAX);
        let log = format!("backup of db-1\n{}disk full\n", "copied\n".repeat(1_000));
        let kept = shortened(&log);
        assert!(kept.starts_with("backup of db-1\ncopied\n"), "{kept}");
        assert!(kept.ends_with("copied\ndisk full"), "{kept}");
        let left_out = log.len() - 1 - BEGINNING_BYTES - END_BYTES;
        assert!(kept.contains(&format!("\n[{left_out} bytes are left out]\n")), "{kept}");
    }

    #[test]
    fn what_was_read_of_a_long_one_is_shortened_alike() {
        let log = format!("{}disk full\n", "copied\n".repeat(1_000)).into_bytes();
        let whole = shortened_ends(&log[..700], 0, &log[700..]);
        assert_eq!(whole, shortened(&String::from_utf8_lossy(&log)));
        let (beginning, end) = (&log[..1_024], &log[log.len() - 1_024..]);
        assert_eq!(shortened_ends(beginning, log.len() - 2_048, end), whole);
        let most = shortened_ends(&[b'a'; 9_000], usize::MAX, &[b'z'; 9_000]);
        assert!(most.len() <= BODY_BYTES_MAX && most.ends_with('z'), "{most}");
    }

    proptest! {
        #[test]
        fn no_more_is_kept_than_there_may_be_and_all_of_what_is_short(
            body in "(a|ä|€|𝄞|\n| ){0,900}",
        ) {
            let kept = shortened(&body);
            prop_assert!(kept.len() <= BODY_BYTES_MAX, "{}", kept.len());
            prop_assert!(body.trim_end().len() > BODY_BYTES_MAX || kept == body.trim_end());
            prop_assert!(body.trim_end().ends_with(kept.rsplit("left out]\n").next().unwrap()));
        }
    }
}
