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
        self.is_from_no_page(headers)?;
        self.open_with(headers, told_as(headers, "Bearer ").as_deref())
    }

    /// The same for a ping: its client sends no headers, and has its token in the address.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn open_with_key(&self, headers: &HeaderMap, key: &str) -> Result<(), Barred> {
        self.is_from_no_page(headers)?;
        self.open_with(headers, Some(key))
    }

    /// The same for a ping by a job's own secret, which nobody else knows.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn open_to_secret(&self, headers: &HeaderMap) -> Result<(), Barred> {
        self.is_from_no_page(headers)?;
        if self.tokens.is_none() && self.loopback {
            is_for_loopback(headers)?;
        }
        self.take_place()
    }

    /// The same for a person with a browser, that shows a page of this address: one of another
    /// address sends its own origin. The token is the password that the browser asks for.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn open_to_browser(&self, headers: &HeaderMap) -> Result<(), Barred> {
        let text = |name: header::HeaderName| headers.get(name).and_then(|it| it.to_str().ok());
        if let Some(origin) = text(header::ORIGIN) {
            let from = origin.split_once("://").map(|(_, host)| host);
            if from.is_none() || from != text(header::HOST) {
                return Err(Barred::Browser);
            }
        } else if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
            return Err(Barred::Browser);
        }
        let password = told_as(headers, "Basic ").and_then(|told| {
            let decoded = data_encoding::BASE64.decode(told.as_bytes()).ok()?;
            let decoded = String::from_utf8(decoded).ok()?;
            decoded.split_once(':').map(|(_, password)| password.to_owned())
        });
        self.open_with(headers, password.or_else(|| told_as(headers, "Bearer ")).as_deref())
    }

    /// A browser says where the page is from that has it send something.
    #[expect(clippy::unused_self, reason = "it is a part of the door")]
    fn is_from_no_page(&self, headers: &HeaderMap) -> Result<(), Barred> {
        let site = headers.get("sec-fetch-site");
        let other = site.is_some_and(|site| site != "none" && site != "same-origin");
        if headers.contains_key(header::ORIGIN) || other {
            return Err(Barred::Browser);
        }
        Ok(())
    }

    fn open_with(&self, headers: &HeaderMap, token: Option<&str>) -> Result<(), Barred> {
        match &self.tokens {
            Some(file) => {
                let known = std::fs::read_to_string(file);
                let known =
                    known.map_err(|e| Barred::NoFile(format!("{}: {e}", file.display())))?;
                if !token.is_some_and(|token| is_one_of(token, &known)) {
                    return Err(Barred::NoToken);
                }
            }
            None if !self.loopback => return Err(Barred::Closed),
            None => is_for_loopback(headers)?,
        }
        self.take_place()
    }

    fn take_place(&self) -> Result<(), Barred> {
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
fn is_one_of(token: &str, known: &str) -> bool {
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return false;
    }
    // Hashes are compared, so that how long it takes says nothing about the tokens.
    let hash = Sha256::digest(token);
    let lines = known.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mut tokens = lines.filter_map(|line| line.split_whitespace().nth(1));
    tokens.any(|known| Sha256::digest(known) == hash)
}

/// What the request says of itself, of this kind.
fn told_as(headers: &HeaderMap, kind: &str) -> Option<String> {
    let told = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    told.and_then(|told| told.strip_prefix(kind)).map(|told| told.trim().to_owned())
}

fn is_for_loopback(headers: &HeaderMap) -> Result<(), Barred> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match host.filter(|host| !is_loopback(host)) {
        Some(host) => Err(Barred::OtherHost(host.chars().take(80).collect())),
        None => Ok(()),
    }
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
    fn a_ping_bears_its_token_in_its_address_or_is_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        std::fs::write(&file, "jobs s3cret\n").unwrap();
        let door = door("10.0.0.1:4328", Some(file));
        assert_eq!(door.open_with_key(&HeaderMap::new(), "s3cret"), Ok(()));
        assert_eq!(door.open_with_key(&HeaderMap::new(), "jobs"), Err(Barred::NoToken));
        assert_eq!(door.open_with_key(&HeaderMap::new(), ""), Err(Barred::NoToken));
        assert_eq!(door.open_to_secret(&HeaderMap::new()), Ok(()));
        // A picture in somebody's page is asked for without an origin.
        let mut page = HeaderMap::new();
        page.insert("sec-fetch-site", "cross-site".parse().unwrap());
        assert_eq!(door.open_to_secret(&page), Err(Barred::Browser));
        assert_eq!(door.open_with_key(&page, "s3cret"), Err(Barred::Browser));
    }

    #[test]
    fn a_browser_sends_what_a_page_of_this_address_has_and_nothing_else() {
        let here = door("127.0.0.1:4328", None);
        let from =
            |origin: &str| headers(&[(header::HOST, "127.0.0.1:4328"), (header::ORIGIN, origin)]);
        assert_eq!(here.open_to_browser(&from("http://127.0.0.1:4328")), Ok(()));
        for other in ["http://evil.example", "null", "http://127.0.0.1:80"] {
            assert_eq!(here.open_to_browser(&from(other)), Err(Barred::Browser), "{other}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        std::fs::write(&file, "jobs s3cret\n").unwrap();
        let there = door("10.0.0.1:4328", Some(file));
        let with = |password: &str| {
            let told = data_encoding::BASE64.encode(format!("me:{password}").as_bytes());
            there.open_to_browser(&headers(&[(header::AUTHORIZATION, &format!("Basic {told}"))]))
        };
        assert_eq!(with("s3cret"), Ok(()));
        assert_eq!(with("jobs"), Err(Barred::NoToken));
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
