//! Who may send something, and how much at once.
//!
//! On the loopback address every program of the host may, unless a file of tokens says otherwise;
//! beyond it only who bears one. Browsers send nothing here: a page that one of them shows must not
//! be able to.

use crate::intake::namespace::Namespace;
use axum::http::{HeaderMap, StatusCode, header};
use protocol::{alert::without_port, name::Name};
use sha2::{Digest, Sha256};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Instant,
};

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
    /// The token's line says something that is not understood: rather nothing than too much.
    #[error("nothing is taken of this token: {0}")]
    BadLine(String),
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
            Self::NoFile(_) | Self::BadLine(_) => StatusCode::SERVICE_UNAVAILABLE,
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

    /// What is wrong with the lines of the file of tokens.
    pub(super) fn complaints(&self) -> Vec<String> {
        let Some(file) = &self.tokens else { return Vec::new() };
        match std::fs::read_to_string(file) {
            Ok(known) => {
                lines(&known).filter_map(|line| line.jobs().err()).map(|e| at(file, &e)).collect()
            }
            Err(error) => vec![format!("{}: {error}", file.display())],
        }
    }

    /// Whose jobs a request with these headers is about, if it may come in now.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn open(&self, headers: &HeaderMap) -> Result<Namespace, Barred> {
        self.is_from_no_page(headers)?;
        self.open_with(headers, told_as(headers, "Bearer ").as_deref())
    }

    /// The same for a ping: its client sends no headers, and has its token in the address.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn open_with_key(
        &self,
        headers: &HeaderMap,
        key: &str,
    ) -> Result<Namespace, Barred> {
        self.is_from_no_page(headers)?;
        self.open_with(headers, Some(key))
    }

    /// The same for a ping by a job's own secret, which nobody else knows. So a page may send it as
    /// well: one that knows the secret may ping this job and nothing else.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn open_to_secret(&self, headers: &HeaderMap) -> Result<(), Barred> {
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
    pub(super) fn open_to_browser(&self, headers: &HeaderMap) -> Result<Namespace, Barred> {
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

    fn open_with(&self, headers: &HeaderMap, token: Option<&str>) -> Result<Namespace, Barred> {
        let namespace = match &self.tokens {
            Some(file) => {
                let known = std::fs::read_to_string(file);
                let known =
                    known.map_err(|e| Barred::NoFile(format!("{}: {e}", file.display())))?;
                let found = sender(token.unwrap_or_default(), &known);
                found.ok_or(Barred::NoToken)?.map_err(|why| Barred::BadLine(at(file, &why)))?
            }
            None if !self.loopback => return Err(Barred::Closed),
            None => {
                is_for_loopback(headers)?;
                Namespace::ALL
            }
        };
        self.take_place()?;
        Ok(namespace)
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

/// A line of the file: a sender's name, its token, and `namespace=NAME` where it makes and sees only
/// such jobs. What begins with `#` is a comment.
struct Line<'a> {
    number: usize,
    token: &'a str,
    more: Vec<&'a str>,
}

fn lines(known: &str) -> impl Iterator<Item = Line<'_>> {
    known.lines().enumerate().filter_map(|(before, line)| {
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let (_name, token) = (words.next()?, words.next()?);
        Some(Line { number: before + 1, token, more: words.collect() })
    })
}

impl Line<'_> {
    /// Whose jobs its sender makes and sees; or what is wrong, after the line's number. The words
    /// themselves are not told: one may be a token.
    fn jobs(&self) -> Result<Namespace, String> {
        const KEY: &str = "namespace=";
        let wrong = |why: &str| Err(format!("{}: {why}", self.number));
        match self.more.as_slice() {
            [] => Ok(Namespace::ALL),
            [one] => match one.strip_prefix(KEY).map(Name::parse) {
                Some(Ok(name)) => Ok(Namespace::of(name)),
                Some(Err(_)) => {
                    wrong("the namespace is no name: use letters, digits, \"-\", \"_\" and \".\"")
                }
                None => wrong(
                    "what follows the token is not understood: write namespace=NAME, or \"#\" before a comment",
                ),
            },
            [_, ..] => wrong("a token has one namespace, and nothing but a comment after it"),
        }
    }
}

/// Whose jobs the sender with this token makes and sees, or what is wrong with its line; nothing
/// where there is no such token.
fn sender(token: &str, known: &str) -> Option<Result<Namespace, String>> {
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    // Hashes are compared, so that how long it takes says nothing about the tokens.
    let hash = Sha256::digest(token);
    let mut found: Option<(usize, Result<Namespace, String>)> = None;
    for line in lines(known).filter(|line| Sha256::digest(line.token) == hash) {
        let jobs = line.jobs();
        match &found {
            Some((first, earlier)) if *earlier != jobs => {
                let why = format!("{}: line {first} says another thing of this token", line.number);
                return Some(Err(why));
            }
            Some(_) => {}
            None => found = Some((line.number, jobs)),
        }
    }
    found.map(|(_, jobs)| jobs)
}

/// `FILE:LINE: …`.
fn at(file: &Path, why: &str) -> String {
    format!("{}:{why}", file.display())
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
            assert_eq!(door.open(&headers(&[(header::HOST, host)])), Ok(Namespace::ALL), "{host}");
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
        assert_eq!(open("Bearer s3cret"), Ok(Namespace::ALL));
        assert_eq!(open("Bearer other"), Ok(Namespace::ALL));
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
        assert_eq!(door.open_with_key(&HeaderMap::new(), "s3cret"), Ok(Namespace::ALL));
        assert_eq!(door.open_with_key(&HeaderMap::new(), "jobs"), Err(Barred::NoToken));
        assert_eq!(door.open_with_key(&HeaderMap::new(), ""), Err(Barred::NoToken));
        assert_eq!(door.open_to_secret(&HeaderMap::new()), Ok(()));
        // A picture in somebody's page is asked for without an origin.
        let mut page = HeaderMap::new();
        page.insert("sec-fetch-site", "cross-site".parse().unwrap());
        assert_eq!(door.open_with_key(&page, "s3cret"), Err(Barred::Browser));
        // Only who knows a job's secret finds it.
        assert_eq!(door.open_to_secret(&page), Ok(()));
    }

    #[test]
    fn a_browser_sends_what_a_page_of_this_address_has_and_nothing_else() {
        let here = door("127.0.0.1:4328", None);
        let from =
            |origin: &str| headers(&[(header::HOST, "127.0.0.1:4328"), (header::ORIGIN, origin)]);
        assert_eq!(here.open_to_browser(&from("http://127.0.0.1:4328")), Ok(Namespace::ALL));
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
        assert_eq!(with("s3cret"), Ok(Namespace::ALL));
        assert_eq!(with("jobs"), Err(Barred::NoToken));
    }

    #[test]
    fn a_token_may_be_for_a_namespace_and_a_line_that_says_something_else_is_for_nothing() {
        let team = |name: &str| Some(Ok(Namespace::of(Name::parse(name).unwrap())));
        let known = "ops one\nshop two namespace=shop # theirs\n\n# three four\n\
             typo five namspace=shop\nnone six namespace=\nslash seven namespace=a/b\n\
             many eight namespace=a namespace=b\ntwice nine\ntwice nine namespace=a\nlone\n";
        assert_eq!(sender("one", known), Some(Ok(Namespace::ALL)));
        assert_eq!(sender("two", known), team("shop"));
        for unknown in ["three", "four", "shop", "namespace=shop", "lone", ""] {
            assert_eq!(sender(unknown, known), None, "{unknown}");
        }
        for (token, said) in [
            ("five", "5: what follows the token is not understood: write namespace=NAME"),
            ("six", "6: the namespace is no name"),
            ("seven", "7: the namespace is no name"),
            ("eight", "8: a token has one namespace"),
            ("nine", "10: line 9 says another thing of this token"),
        ] {
            let why = sender(token, known).unwrap().unwrap_err();
            assert!(why.starts_with(said), "{token}: {why}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        std::fs::write(&file, known).unwrap();
        let door = door("10.0.0.1:4328", Some(file.clone()));
        assert_eq!(door.complaints().len(), 4);
        let barred = door.open_with_key(&HeaderMap::new(), "five").unwrap_err();
        assert_eq!(barred.status(), StatusCode::SERVICE_UNAVAILABLE);
        let place = format!("{}:5: ", file.display());
        assert!(barred.to_string().contains(&place), "{barred}");
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
