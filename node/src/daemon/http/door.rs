//! Who may send something, and how much at once.
//!
//! On the loopback address every program of the host may, unless a file of tokens says otherwise;
//! beyond it only who bears one. Browsers send nothing here: a page that one of them shows must not
//! be able to.

use super::{
    sender::{Caller, Sender},
    tokens::{Bearer, at, bearer, lines},
    turns::{NoTurn, Turns},
};
use crate::intake::namespace::Namespace;
use axum::http::{HeaderMap, StatusCode, header};
use protocol::alert::without_port;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Barred {
    /// It bears no token, or none that is known.
    #[error(
        "this needs a token, one of the file `intake_tokens` of hearten.toml: send `Authorization: Bearer TOKEN`, or it as the password of any user"
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
    #[error("{0}")]
    TooMany(NoTurn),
}

impl Barred {
    /// What HTTP calls it.
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::Closed | Self::Browser | Self::OtherHost(_) => StatusCode::FORBIDDEN,
            Self::NoFile(_) | Self::BadLine(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

/// Somebody who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Whose jobs he makes and sees.
    pub(super) jobs: Namespace,
    /// Who he is.
    pub(super) sender: Sender,
}

/// Lets requests in.
#[derive(Debug)]
pub(super) struct Door {
    loopback: bool,
    tokens: Option<PathBuf>,
    turns: Mutex<Turns>,
}

impl Door {
    /// The door of an address.
    pub(super) fn new(at: SocketAddr, tokens: Option<PathBuf>) -> Self {
        let turns = Mutex::new(Turns::new(Instant::now()));
        Self { loopback: at.ip().is_loopback(), tokens, turns }
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

    /// Who sends this request, if it may come in now.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn open(&self, caller: &Caller) -> Result<Known, Barred> {
        self.is_from_no_page(&caller.headers)?;
        self.let_in(self.known(caller, token(&caller.headers).as_deref())?)
    }

    /// The same for one whose client sends no headers, and has its token in the address or the body.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn open_with_key(&self, caller: &Caller, key: &str) -> Result<Known, Barred> {
        self.let_in(self.by_key(caller, key)?)
    }

    /// The same for who has a secret that nobody else knows; pages have none.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn open_to_secret(&self, caller: &Caller) -> Result<Known, Barred> {
        self.is_from_no_page(&caller.headers)?;
        self.let_in(self.by_secret(caller)?)
    }

    /// Who has this key; he has had no turn yet.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn by_key(&self, caller: &Caller, key: &str) -> Result<Known, Barred> {
        self.is_from_no_page(&caller.headers)?;
        self.known(caller, Some(key))
    }

    /// Who comes with a job's own secret, which is looked at elsewhere; he has had no turn yet. A
    /// page may send it as well: one that knows the secret may ping this job and nothing else.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn by_secret(&self, caller: &Caller) -> Result<Known, Barred> {
        if self.tokens.is_none() && self.loopback {
            is_for_loopback(&caller.headers)?;
        }
        Ok(Known { jobs: Namespace::ALL, sender: caller.sender() })
    }

    /// Lets somebody in when it is his turn.
    ///
    /// # Errors
    /// [`Barred::TooMany`].
    pub(super) fn let_in(&self, known: Known) -> Result<Known, Barred> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.take(&known.sender, Instant::now()).map_err(Barred::TooMany)?;
        Ok(known)
    }

    /// The same for a person with a browser, that shows a page of this address: one of another
    /// address sends its own origin. The token is the password that the browser asks for.
    ///
    /// # Errors
    /// [`Barred`].
    pub(super) fn open_to_browser(&self, caller: &Caller) -> Result<Known, Barred> {
        let headers = &caller.headers;
        let text = |name: header::HeaderName| headers.get(name).and_then(|it| it.to_str().ok());
        if let Some(origin) = text(header::ORIGIN) {
            let from = origin.split_once("://").map(|(_, host)| host);
            if from.is_none() || from != text(header::HOST) {
                return Err(Barred::Browser);
            }
        } else if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
            return Err(Barred::Browser);
        }
        self.let_in(self.known(caller, token(headers).as_deref())?)
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

    fn known(&self, caller: &Caller, token: Option<&str>) -> Result<Known, Barred> {
        match &self.tokens {
            Some(file) => {
                let known = std::fs::read_to_string(file);
                let known =
                    known.map_err(|e| Barred::NoFile(format!("{}: {e}", file.display())))?;
                let found = bearer(token.unwrap_or_default(), &known).ok_or(Barred::NoToken)?;
                let Bearer { name, jobs } = found.map_err(|why| Barred::BadLine(at(file, &why)))?;
                Ok(Known { jobs, sender: Sender::Token(name) })
            }
            None if !self.loopback => Err(Barred::Closed),
            None => {
                is_for_loopback(&caller.headers)?;
                Ok(Known { jobs: Namespace::ALL, sender: caller.sender() })
            }
        }
    }
}

/// The token that a request bears, or its password: whoever the user is, as most systems can be told.
fn token(headers: &HeaderMap) -> Option<String> {
    told_as(headers, "Bearer ").or_else(|| {
        let told = data_encoding::BASE64.decode(told_as(headers, "Basic ")?.as_bytes()).ok()?;
        let told = String::from_utf8(told).ok()?;
        told.split_once(':').map(|(_, password)| password.to_owned())
    })
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

    fn caller(pairs: &[(header::HeaderName, &str)]) -> Caller {
        let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        Caller { headers: pairs.collect(), from: [127, 0, 0, 1].into() }
    }

    /// Whose jobs he makes and sees.
    fn jobs(known: Result<Known, Barred>) -> Result<Namespace, Barred> {
        known.map(|known| known.jobs)
    }

    fn door(at: &str, tokens: Option<PathBuf>) -> Door {
        Door::new(at.parse().unwrap(), tokens)
    }

    #[test]
    fn programs_of_the_host_come_in_and_web_pages_do_not() {
        let door = door("127.0.0.1:4328", None);
        for host in ["127.0.0.1:4328", "localhost:4328", "LOCALHOST", "[::1]:4328"] {
            assert_eq!(
                jobs(door.open(&caller(&[(header::HOST, host)]))),
                Ok(Namespace::ALL),
                "{host}"
            );
        }
        let other = caller(&[(header::HOST, "evil.example:4328")]);
        assert_eq!(jobs(door.open(&other)), Err(Barred::OtherHost("evil.example:4328".to_owned())));
        let page = caller(&[(header::ORIGIN, "https://evil.example")]);
        assert_eq!(jobs(door.open(&page)), Err(Barred::Browser));
    }

    #[test]
    fn from_other_hosts_only_who_bears_a_token_comes_in() {
        assert_eq!(jobs(door("10.0.0.1:4328", None).open(&caller(&[]))), Err(Barred::Closed));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        let open = |told: &str| {
            let door = door("10.0.0.1:4328", Some(file.clone()));
            door.open(&caller(&[(header::AUTHORIZATION, told)]))
        };
        assert!(matches!(open("Bearer x"), Err(Barred::NoFile(_))));
        std::fs::write(&file, "# senders\nprometheus s3cret\ngrafana other # comment\n").unwrap();
        assert_eq!(jobs(open("Bearer s3cret")), Ok(Namespace::ALL));
        assert_eq!(jobs(open("Bearer other")), Ok(Namespace::ALL));
        let other = Sender::Token("grafana".to_owned());
        assert_eq!(open("Bearer other").unwrap().sender, other, "by his token, wherever he is");
        // The password is `other`.
        assert_eq!(open("Basic YW55Ym9keTpvdGhlcg==").unwrap().sender, other);
        for wrong in [
            "Basic b3RoZXI6eA==",
            "Basic b3RoZXI=",
            "Bearer prometheus",
            "Bearer senders",
            "Bearer ",
            "s3cret",
            "Basic s3cret",
        ] {
            assert_eq!(jobs(open(wrong)), Err(Barred::NoToken), "{wrong}");
        }
    }

    #[test]
    fn a_ping_bears_its_token_in_its_address_or_is_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        std::fs::write(&file, "jobs s3cret\n").unwrap();
        let door = door("10.0.0.1:4328", Some(file));
        assert_eq!(jobs(door.open_with_key(&caller(&[]), "s3cret")), Ok(Namespace::ALL));
        assert_eq!(jobs(door.open_with_key(&caller(&[]), "jobs")), Err(Barred::NoToken));
        assert_eq!(jobs(door.open_with_key(&caller(&[]), "")), Err(Barred::NoToken));
        assert_eq!(jobs(door.open_to_secret(&caller(&[]))), Ok(Namespace::ALL));
        // A picture in somebody's page is asked for without an origin.
        let mut page = caller(&[]);
        page.headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
        assert_eq!(jobs(door.open_to_secret(&page)), Err(Barred::Browser));
        assert_eq!(jobs(door.open_with_key(&page, "s3cret")), Err(Barred::Browser));
        // Only who knows a job's secret finds it.
        assert_eq!(jobs(door.by_secret(&page)), Ok(Namespace::ALL));
    }

    #[test]
    fn a_browser_sends_what_a_page_of_this_address_has_and_nothing_else() {
        let here = door("127.0.0.1:4328", None);
        let from =
            |origin: &str| caller(&[(header::HOST, "127.0.0.1:4328"), (header::ORIGIN, origin)]);
        assert_eq!(jobs(here.open_to_browser(&from("http://127.0.0.1:4328"))), Ok(Namespace::ALL));
        for other in ["http://evil.example", "null", "http://127.0.0.1:80"] {
            assert_eq!(jobs(here.open_to_browser(&from(other))), Err(Barred::Browser), "{other}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        std::fs::write(&file, "jobs s3cret\n").unwrap();
        let there = door("10.0.0.1:4328", Some(file));
        let with = |password: &str| {
            let told = data_encoding::BASE64.encode(format!("me:{password}").as_bytes());
            there.open_to_browser(&caller(&[(header::AUTHORIZATION, &format!("Basic {told}"))]))
        };
        assert_eq!(jobs(with("s3cret")), Ok(Namespace::ALL));
        assert_eq!(jobs(with("jobs")), Err(Barred::NoToken));
    }

    #[test]
    fn a_token_whose_line_says_something_else_is_for_nothing_now() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        std::fs::write(
            &file,
            "ops one\nshop two namespace=a\ntypo five namspace=shop\nmany six a b\n",
        )
        .unwrap();
        let door = door("10.0.0.1:4328", Some(file.clone()));
        assert_eq!(door.complaints().len(), 2);
        let barred = door.open_with_key(&caller(&[]), "five").unwrap_err();
        assert_eq!(barred.status(), StatusCode::SERVICE_UNAVAILABLE);
        let place = format!("{}:3: ", file.display());
        assert!(barred.to_string().contains(&place), "{barred}");
    }
}
