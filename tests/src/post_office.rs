//! A mail server that keeps what it is sent: Debian's aiosmtpd, with a certificate of its own.

use crate::{Authority, parts::program};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};
use tempfile::TempDir;

/// The user that it knows, and that user's password.
pub const LOGIN: (&str, &str) = ("hearten", "s3cret-of-mail");

/// How it is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// In the open; it asks for nothing and offers no TLS.
    Open,
    /// It begins in the open and takes nothing before TLS and the password.
    StartTls,
    /// TLS from the first byte; it takes nothing before the password.
    Tls,
}

/// A mail server on loopback. It takes no mail for mailboxes that begin with `nobody`, and puts off
/// those that begin with `later`.
#[derive(Debug)]
pub struct PostOffice {
    /// Its port.
    pub port: u16,
    /// The certificate that its own comes from, in PEM.
    pub ca: String,
    taken: Arc<Mutex<Vec<Value>>>,
    server: Child,
    _folder: TempDir,
}

impl PostOffice {
    /// Opens one; nothing where aiosmtpd is not installed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn open(manner: Manner) -> Result<Option<Self>> {
        if program("aiosmtpd", "python3-aiosmtpd").is_none() {
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let authority = Authority::new()?;
        let (chain, key) = authority.certify(&["127.0.0.1", "localhost"], folder.path())?;
        let word = match manner {
            Manner::Open => "open",
            Manner::StartTls => "starttls",
            Manner::Tls => "tls",
        };
        // Debian's own Python, which Debian's packages are for.
        let mut server = Command::new("/usr/bin/python3")
            .args(["-c", include_str!("post_office.py"), word])
            .args([&chain, &key])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(server.stdout.take().context("it has an output")?).lines();
        let port = lines.next().context("the mail server has ended")??.parse()?;
        let taken = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&taken);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(mail) = serde_json::from_str(&line) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
                }
            }
        });
        let ca = authority.pem();
        Ok(Some(Self { port, ca, taken, server, _folder: folder }))
    }

    /// The mails that it took so far.
    pub fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        let ended = self.server.kill().and_then(|()| self.server.wait());
        if let Err(error) = ended {
            eprintln!("the mail server was not ended: {error}");
        }
    }
}
