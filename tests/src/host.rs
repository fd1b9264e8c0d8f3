//! One host: a data directory and, most of the time, a daemon.

use crate::{hearten, until};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    net::{Shutdown, SocketAddr, UdpSocket},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// One host of a mesh.
#[derive(Debug)]
pub struct Host {
    /// The peer's name.
    pub name: String,
    /// Its data directory.
    pub data: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it takes HTTP on loopback; nowhere unless a test needs it.
    pub http: Option<u16>,
    /// What its network is reached through: a program and its arguments, before the daemon and
    /// before what has to speak to other hosts; none on loopback.
    pub through: Vec<String>,
    daemon: Option<Child>,
}

impl Host {
    /// A host that is in no mesh yet, with a port of its own.
    ///
    /// # Errors
    /// When no port is free.
    pub fn new(folder: &Path, name: &str) -> Result<Self> {
        // Taken and let go again: it stays the host's through its restarts.
        let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self::at(folder, name, address))
    }

    /// A host that is in no mesh yet and listens here.
    pub fn at(folder: &Path, name: &str, address: SocketAddr) -> Self {
        let data = folder.join(name);
        Self { name: name.to_owned(), data, address, http: None, through: Vec::new(), daemon: None }
    }

    /// Runs a command of the operator's on this host.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn hearten(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(arguments).output()?)
    }

    /// A command of the operator's on this host, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.prepared(Command::new(hearten()), arguments)
    }

    /// A command that has to be where the host's network is, not started yet.
    pub fn command_inside(&self, arguments: &[&str]) -> Command {
        let Some((program, rest)) = self.through.split_first() else {
            return self.command(arguments);
        };
        let mut command = Command::new(program);
        command.args(rest).arg(hearten());
        self.prepared(command, arguments)
    }

    fn prepared(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.arg("--data-dir").arg(&self.data).args(arguments);
        command.env_remove("HEARTEN_DATA_DIR").env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs a command that has to succeed and gives what it printed.
    ///
    /// # Errors
    /// With what it said, when it failed.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.succeeds(self.command(arguments), arguments)
    }

    /// The same where the host's network is: to join.
    ///
    /// # Errors
    /// As [`Self::ok`].
    pub fn ok_inside(&self, arguments: &[&str]) -> Result<String> {
        self.succeeds(self.command_inside(arguments), arguments)
    }

    fn succeeds(&self, mut command: Command, arguments: &[&str]) -> Result<String> {
        let output = command.output()?;
        let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        ensure!(output.status.success(), "hearten {arguments:?} on {}: {out}{err}", self.name);
        Ok(out)
    }

    /// Runs a command that has to succeed and print JSON.
    ///
    /// # Errors
    /// As [`Self::ok`].
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        serde_json::from_str(&self.ok(&arguments)?).context("the output is JSON")
    }

    /// Runs a command that has to fail and gives its exit code and what it said.
    ///
    /// # Errors
    /// When it succeeded.
    pub fn fails(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output = self.hearten(arguments)?;
        ensure!(!output.status.success(), "hearten {arguments:?} succeeded");
        let code = output.status.code().context("it ended by itself")?;
        Ok((code, String::from_utf8(output.stderr)?))
    }

    /// Runs a command that has to be refused with this exit code and these words, and gives what
    /// it said. Nothing but the refusal may be said: no panic, no trace, no page of help.
    ///
    /// # Errors
    /// When anything else happened.
    pub fn refused(&self, arguments: &[&str], code: i32, words: &[&str]) -> Result<String> {
        let (found, said) = self.fails(arguments)?;
        let told = || format!("hearten {arguments:?} on {} ended with {found}: {said}", self.name);
        ensure!(found == code, "{}, not with {code}", told());
        for word in words {
            ensure!(said.contains(word), "{}: where is {word:?}?", told());
        }
        ensure!(said.lines().count() <= 2 && !said.contains("panicked"), "too much: {}", told());
        Ok(said)
    }

    /// Writes bytes to the daemon's control socket, as no command of ours would, and gives its
    /// answer: what it answered, or the exit code and the message of its refusal.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn control(&self, request: &[u8]) -> Result<std::result::Result<Value, (i64, String)>> {
        let mut stream = UnixStream::connect(self.data.join("control.sock"))?;
        stream.write_all(request)?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let mut answer: Value = serde_json::from_slice(&answer).context("the answer is JSON")?;
        let error = answer["error"].take();
        Ok(match error["exit_code"].as_i64() {
            None => Ok(answer["ok"].take()),
            Some(code) => Err((code, error["message"].as_str().unwrap_or_default().to_owned())),
        })
    }

    /// What the daemon counts under this name.
    ///
    /// # Errors
    /// When it does not count it.
    pub fn counter(&self, name: &str) -> Result<u64> {
        let counters = self.json(&["counters"])?;
        counters["counters"][name].as_u64().with_context(|| format!("{name} is not counted"))
    }

    /// The revision of the documents that this host knows.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn revision(&self) -> Result<u64> {
        self.status().context("a status")?["revision"].as_u64().context("a revision")
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(&mut self) -> Result<()> {
        let log = self.log_file()?;
        let mut command = self.command_inside(&["run"]);
        command.stdout(log.try_clone()?).stderr(log);
        self.daemon = Some(command.spawn().context("starting a daemon")?);
        self.answers()
    }

    /// Waits until the daemon answers, whoever started it.
    ///
    /// # Errors
    /// When it does not.
    pub fn answers(&self) -> Result<()> {
        until(&format!("the daemon of {} answers", self.name), || self.status())
            .with_context(|| format!("the log is {}", self.log().display()))?;
        Ok(())
    }

    /// Where the daemon's log is.
    pub fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    fn log_file(&self) -> Result<File> {
        Ok(OpenOptions::new().create(true).append(true).open(self.log())?)
    }

    /// Whether the daemon's process is there.
    pub fn is_running(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(|daemon| matches!(daemon.try_wait(), Ok(None)))
    }

    /// The daemon's process id.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.daemon.as_ref().context("the daemon does not run")?.id())
    }

    /// Sends the daemon a signal, by its name: `KILL`, `TERM`, `STOP`, `CONT`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let pid = self.pid()?.to_string();
        let sent = Command::new("kill").args([format!("-{signal}"), pid]).status()?;
        ensure!(sent.success(), "the signal {signal} was not sent");
        Ok(())
    }

    /// `kill -9`, and waits until the process is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        let mut daemon = self.daemon.take().context("the daemon does not run")?;
        daemon.kill()?;
        daemon.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits until the daemon has ended by itself; its exit code.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub fn stop(&mut self) -> Result<i32> {
        self.signal("TERM")?;
        self.ended()
    }

    /// Waits until the daemon has ended by itself; its exit code.
    ///
    /// # Errors
    /// When it does not.
    pub fn ended(&mut self) -> Result<i32> {
        let mut daemon = self.daemon.take().context("the daemon does not run")?;
        let status = until(&format!("the daemon of {} ends", self.name), || {
            daemon.try_wait().ok().flatten()
        })?;
        status.code().context("it was ended by a signal")
    }

    /// The row of a peer in this host's status, when there is one.
    pub fn peer(&self, name: &str) -> Option<Value> {
        let status = self.status()?;
        status["peers"].as_array()?.iter().find(|peer| peer["name"] == name).cloned()
    }

    /// `hearten status --json`, when there is an answer.
    pub fn status(&self) -> Option<Value> {
        // Without a leader it ends with 6, and is answered all the same.
        let output = self.hearten(&["status", "--json"]).ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            // Nothing of a test may stay behind; what cannot be killed has ended.
            drop(daemon.kill());
            drop(daemon.wait());
        }
    }
}
