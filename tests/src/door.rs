//! The door of a Kafka cluster: TLS and a login, which the tests' brokers do not have themselves.
//! `tests/tests/kafka_login.rs` shows that librdkafka, too, takes it for a cluster.

use crate::{Authority, Broker};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The user that it knows, and that user's password: with what a mechanism has to write otherwise.
pub const LOGIN: (&str, &str) = ("hear,r=ten", "s3cret=of,Kafkä");

/// A door before a cluster. What passes through it is carried to the brokers behind it.
#[derive(Debug)]
pub struct Door {
    /// Where it stands, one address for each broker, `HOST:PORT`.
    pub brokers: Vec<String>,
    child: Child,
    _folder: TempDir,
}

impl Door {
    /// Opens one whose certificate is for these names and that offers these mechanisms; without
    /// any, whoever comes is let in.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn open(
        behind: &Broker,
        authority: &Authority,
        names: &[&str],
        mechanisms: &[&str],
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (certificate, key) = authority.certify(names, folder.path())?;
        let ports = behind.brokers.iter().map(|broker| {
            let (_, port) = broker.rsplit_once(':').context("a broker has a port")?;
            Ok(port.parse::<u16>()?)
        });
        let told = json!({
            "brokers": ports.collect::<Result<Vec<u16>>>()?, "certificate": certificate, "key": key,
            "mechanisms": mechanisms, "user": LOGIN.0, "password": LOGIN.1,
        });
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", include_str!("door.py"), &told.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("it has an output")?).read_line(&mut line)?;
        let brokers: Vec<String> = line.trim().split(',').map(str::to_owned).collect();
        ensure!(brokers.len() == behind.brokers.len(), "the door has ended: {line:?}");
        Ok(Self { brokers, child, _folder: folder })
    }

    /// Ends every connection, as brokers do when a login ends.
    ///
    /// # Errors
    /// When it does not stand any more.
    pub fn hang_up(&self) -> Result<()> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-USR1", pid.as_str()]).status()?;
        ensure!(sent.success(), "the door does not stand any more");
        Ok(())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the door was not ended: {error}");
        }
    }
}
