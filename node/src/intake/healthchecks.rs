//! Pings as Healthchecks.io takes them, so that its many clients work unchanged.
//!
//! `/ping/UUID`, `/ping/KEY/SLUG`, and after either `/start`, `/fail`, `/log` or an exit code;
//! `?rid=UUID` tells runs apart, `?create=1` makes a job of a slug that nobody reserved. The method
//! is any of HEAD, GET and POST; what is posted is kept.

use super::Unreadable;
pub use protocol::heartbeat::uuid_text;
use protocol::heartbeat::{SLUG_BYTES_MAX, Signal, is_slug};

/// Whose ping it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Of the job with this secret.
    Uuid(u128),
    /// Of the job of this name; who pings knows this key.
    Slug {
        /// The key.
        key: String,
        /// The job's name.
        slug: String,
    },
}

/// A ping, as its address says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Whose.
    pub whose: Whose,
    /// What it says.
    pub signal: Signal,
    /// About which run.
    pub run: Option<u128>,
    /// Whether a job is to be made where there is none.
    pub create: bool,
}

/// Reads an address: what follows `/ping/`, and what follows `?`.
///
/// # Errors
/// What is wrong with it.
pub fn call(path: &str, query: Option<&str>) -> Result<Call, Unreadable> {
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let (whose, signal) = match parts.as_slice() {
        [one] => (Whose::Uuid(uuid(one)?), Signal::Success),
        [one, rest] => match uuid(one) {
            Ok(uuid) => (Whose::Uuid(uuid), signal(rest)?),
            Err(_) => (by_slug(one, rest)?, Signal::Success),
        },
        [key, slug, rest] => (by_slug(key, slug)?, signal(rest)?),
        _ => {
            let why = "a ping goes to /ping/UUID or /ping/KEY/SLUG, with /start, /fail, /log or an exit code after it";
            return Err(Unreadable(why.to_owned()));
        }
    };
    let (mut run, mut create) = (None, false);
    for (key, value) in pairs(query.unwrap_or_default()) {
        match key {
            "rid" => run = Some(uuid(value)?),
            "create" => create = value == "1",
            // Clients may say more to others.
            _ => {}
        }
    }
    Ok(Call { whose, signal, run, create })
}

/// Reads a UUID: 32 hexadecimal digits, with hyphens after 8, 12, 16 and 20 of them.
///
/// # Errors
/// When it is none.
pub fn uuid(text: &str) -> Result<u128, Unreadable> {
    let shown: String = text.chars().take(40).collect();
    let refused = || Unreadable(format!("{shown:?} is no UUID"));
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let digits: String = groups.concat();
    let hexadecimal = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hexadecimal || (lengths != [8, 4, 4, 4, 12] && lengths != [32]) {
        return Err(refused());
    }
    u128::from_str_radix(&digits, 16).map_err(|_not_digits| refused())
}

/// A random number as a UUID of version 4.
pub const fn new_uuid(random: u128) -> u128 {
    (random & !(0xf_u128 << 76) & !(0b11_u128 << 62)) | (0x4_u128 << 76) | (0b10_u128 << 62)
}

fn by_slug(key: &str, slug: &str) -> Result<Whose, Unreadable> {
    if key.is_empty() || !is_slug(slug) {
        let slug: String = slug.chars().take(SLUG_BYTES_MAX + 1).collect();
        return Err(Unreadable(format!(
            "{slug:?} is no slug: use 1 to {SLUG_BYTES_MAX} letters, digits, \"-\", \"_\" and \".\", no \".\" first"
        )));
    }
    Ok(Whose::Slug { key: key.to_owned(), slug: slug.to_owned() })
}

fn signal(word: &str) -> Result<Signal, Unreadable> {
    match word {
        "start" => Ok(Signal::Start),
        "fail" => Ok(Signal::Fail(None)),
        "log" => Ok(Signal::Log),
        "0" => Ok(Signal::Success),
        code => match code.parse::<u8>() {
            Ok(code) => Ok(Signal::Fail(Some(code))),
            Err(_) => {
                let code: String = code.chars().take(40).collect();
                Err(Unreadable(format!(
                    "{code:?} is none of start, fail, log and an exit code from 0 to 255"
                )))
            }
        },
    }
}

/// `a=b&c=d`. None of the keys and values that count here are ever encoded.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('='))
}
