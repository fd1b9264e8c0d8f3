//! Who may send something, and how much at once.
//!
//! On the loopback address every program of the host may, unless a file of tokens says otherwise;
//! beyond it only who bears one. Browsers send nothing here: a page that one of them shows must not
//! be able to.

use axum::http::{HeaderMap, StatusCode, header};
use protocol::alert::without_port;
use sha2::{Digest, Sha256};
use std::{net::SocketAddr, path::PathBuf, sync::Mutex, time::Instant};

/// So many requests may come at once.
const BURST: f64 = 2_000.0;

/// So many a second may come for long.
const PER_SECOND: f64 = 1_000.0;

/// The longest token.
const TOKEN_BYTES_MAX: usize = 1_024;

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Barred {
    /// It bears no token, or none that is known.
    #[error(
        "this needs a token: send `Authorization: Bearer TOKEN` with one of the file `intake_tokens` of hearten.toml"
    )]
    NoToken,
    /// Nobody may send anything.
    #[error(
        "nothing is taken here: the HTTP address is reached from other hosts, and hearten.toml names no file of tokens (`intake_tokens`)"
    )]
    Closed,
    /// The file cannot be read.
    #[error("nothing is taken now: the file of tokens cannot be read: {0}")]
    NoFile(String),
    /// It comes from a page in a browser.
    #[error("requests of web pages are not taken")]
    Browser,
    /// It is for another host.
    #[error("the request is for host {0:?}, which is not this one")]
    OtherHost(String),
    /// Too many come.
    #[error("too many requests: {PER_SECOND} a second are taken")]
    TooMany,
}

impl Barred {
    /// What HTTP calls it.
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::Closed | Self::Browser | Self::OtherHost(_) => StatusCode::FORBIDDEN,
            Self::NoFile(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

/// Lets requests in.
#[derive(Debug)]
pub(super) struct Door {
    loopback: bool,
    tokens: Option<PathBuf>,
    bucket: Mutex<(f64, Instant)>,
}

impl Door {
    /// The door of an address.
    pub(super) fn new(at: SocketAddr, tokens: Option<PathBuf>) -> Self {
        Self {
            loopback: at.ip().is_loopback(),
            tokens,
            bucket: Mutex::new((BURST, Instant::now())),
        }
    }

    /// Whether a request with these headers may come in now.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn open(&self, headers: &HeaderMap) -> Result<(), Barred> {
        if headers.contains_key(header::ORIGIN) {
            return Err(Barred::Browser);
        }
        match &self.tokens {
            Some(file) => {
                let known = std::fs::read_to_string(file);
                let known =
                    known.map_err(|e| Barred::NoFile(format!("{}: {e}", file.display())))?;
                if !bears_one_of(headers, &known) {
                    return Err(Barred::NoToken);
                }
            }
            None if !self.loopback => return Err(Barred::Closed),
            None => {
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
                if let Some(host) = host.filter(|host| !is_loopback(host)) {
                    return Err(Barred::OtherHost(host.chars().take(80).collect()));
                }
            }
        }
        if self.has_room(Instant::now()) { Ok(()) } else { Err(Barred::TooMany) }
    }

    fn has_room(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (left, since) = *bucket;
        let refilled = now.saturating_duration_since(since).as_secs_f64() * PER_SECOND;
        let left = (left + refilled).min(BURST);
        *bucket = (if left >= 1.0 { left - 1.0 } else { left }, now);
        left >= 1.0
    }
}

/// The file has a sender's name and its token on each line; what begins with `#` is a comment.
fn bears_one_of(headers: &HeaderMap, known: &str) -> bool {
    let told = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = told.and_then(|told| told.strip_prefix("Bearer ")).map(str::trim) else {
        return false;
    };
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return false;
    }
    // Hashes are compared, so that how long it takes says nothing about the tokens.
    let hash = Sha256::digest(token);
    let lines = known.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mut tokens = lines.filter_map(|line| line.split_whitespace().nth(1));
    tokens.any(|known| Sha256::digest(known) == hash)
}

/// Another name that leads here is one that somebody else's name server made up.
fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn door(at: &str, tokens: Option<PathBuf>) -> Door {
        Door::new(at.parse().unwrap(), tokens)
    }

    #[test]
    fn programs_of_the_host_come_in_and_web_pages_do_not() {
        let door = door("127.0.0.1:4328", None);
        for host in ["127.0.0.1:4328", "localhost:4328", "LOCALHOST", "[::1]:4328"] {
            assert_eq!(door.open(&headers(&[(header::HOST, host)])), Ok(()), "{host}");
        }
        let other = headers(&[(header::HOST, "evil.example:4328")]);
        assert_eq!(door.open(&other), Err(Barred::OtherHost("evil.example:4328".to_owned())));
        let page = headers(&[(header::ORIGIN, "https://evil.example")]);
        assert_eq!(door.open(&page), Err(Barred::Browser));
    }

    #[test]
    fn from_other_hosts_only_who_bears_a_token_comes_in() {
        assert_eq!(door("10.0.0.1:4328", None).open(&HeaderMap::new()), Err(Barred::Closed));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        let open = |told: &str| {
            let door = door("10.0.0.1:4328", Some(file.clone()));
            door.open(&headers(&[(header::AUTHORIZATION, told)]))
        };
        assert!(matches!(open("Bearer x"), Err(Barred::NoFile(_))));
        std::fs::write(&file, "# senders\nprometheus s3cret\ngrafana other # comment\n").unwrap();
        assert_eq!(open("Bearer s3cret"), Ok(()));
        assert_eq!(open("Bearer other"), Ok(()));
        for wrong in ["Bearer prometheus", "Bearer senders", "Bearer ", "s3cret", "Basic s3cret"] {
            assert_eq!(open(wrong), Err(Barred::NoToken), "{wrong}");
        }
    }

    #[test]
    fn more_than_so_many_are_sent_back_until_there_is_room() {
        let door = door("127.0.0.1:4328", None);
        let begin = Instant::now();
        let taken = (0..3_000).filter(|_| door.has_room(begin)).count();
        assert_eq!(taken, 2_000);
        let later = begin + Duration::from_millis(100);
        assert_eq!((0..3_000).filter(|_| door.has_room(later)).count(), 100);
    }
}
