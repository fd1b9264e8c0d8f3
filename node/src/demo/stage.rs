//! The demo's stage: hosts on loopback, each with its data directory and its daemon.

use super::curtain::{self, Curtain};
use crate::{
    control::{self, Request},
    setup::data_dir,
};
use anyhow::{Context, bail, ensure};
use rustix::process::Pid;
use serde_json::Value;
use std::{
    fs::OpenOptions,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long anything is waited for before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// One host.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) role: &'static str,
    address: SocketAddr,
    daemon: Option<Child>,
}

/// All hosts and what they share.
pub(super) struct Stage {
    pub(super) program: PathBuf,
    pub(super) hosts: Vec<Host>,
    pub(super) service: SocketAddr,
    pub(super) curtain: Arc<Curtain>,
    folder: PathBuf,
}

impl Stage {
    /// A stage for `peers` hosts: one web host, the others run an application.
    pub(super) fn new(peers: usize) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("hearten-demo-").tempdir()?.keep();
        let program = std::env::current_exe().context("finding this program")?;
        let service = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut hosts = Vec::new();
        for number in 1..=peers {
            // Taken and let go again: it stays the host's through its restarts.
            let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
            let (role, number) = if number == 2 { ("web", 1) } else { ("app", number) };
            let name =
                format!("{role}-{}", if role == "app" && number > 2 { number - 1 } else { number });
            hosts.push(Host { name, role, address, daemon: None });
        }
        Ok(Self { program, hosts, service, curtain: Arc::default(), folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A host's data directory.
    pub(super) fn data(&self, host: usize) -> PathBuf {
        self.folder.join(&self.hosts[host].name)
    }

    /// Runs a command as an operator on a host; it has to succeed.
    pub(super) fn hearten(&self, host: usize, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--data-dir").arg(self.data(host)).args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = self.curtain.start(&mut command)?;
        let Output { status, stdout, stderr } = running.wait_with_output()?;
        ensure!(
            status.success(),
            "hearten {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&stderr)
        );
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }

    /// Makes a host a peer: the first founds the mesh, the others join by a token of its.
    pub(super) fn enter(&mut self, host: usize) -> anyhow::Result<()> {
        let Host { name, role, address, .. } = &self.hosts[host];
        let (address, label) = (address.to_string(), format!("role={role}"));
        let zone = format!("zone={}", ["a", "b", "c"][host % 3]);
        let options = [
            "--name",
            name,
            "--listen",
            &address,
            "--advertise",
            &address,
            "--http",
            "off",
            "--label",
            &label,
            "--label",
            &zone,
        ];
        if host == 0 {
            self.hearten(host, &[&["init", "--mesh", "demo"], &options[..]].concat())?;
        } else {
            let token = self.hearten(0, &["token", "create"])?;
            let peer = self.hosts[0].address.to_string();
            let join = ["join", "--peer", &peer, "--token", token.trim()];
            self.hearten(host, &[&join, &options[..]].concat())?;
        }
        self.start(host)
    }

    /// Starts a host's daemon.
    pub(super) fn start(&mut self, host: usize) -> anyhow::Result<()> {
        let path = self.folder.join(format!("{}.log", self.hosts[host].name));
        let log = OpenOptions::new().create(true).append(true).open(path)?;
        let mut command = Command::new(&self.program);
        command.arg("--data-dir").arg(self.data(host)).arg("run").stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        self.hosts[host].daemon =
            Some(self.curtain.start(&mut command).context("starting a daemon")?);
        let data = self.data(host);
        self.until("a daemon answers", || control::call(&data, &Request::Status).ok()).map(drop)
    }

    /// Kills a host's daemon, however it was started.
    pub(super) fn kill(&mut self, host: usize) -> anyhow::Result<()> {
        curtain::kill(pid_of(&self.data(host)).context("the daemon runs")?);
        if let Some(mut daemon) = self.hosts[host].daemon.take() {
            daemon.wait()?;
        }
        Ok(())
    }

    /// Asks a host's daemon.
    pub(super) fn ask(&self, host: usize, request: &Request) -> Option<Value> {
        control::call(&self.data(host), request).ok()
    }

    /// Waits until `look` finds something.
    pub(super) fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            ensure!(!self.curtain.has_fallen(), "the demo is being stopped");
            if began.elapsed() > PATIENCE {
                bail!("waited {PATIENCE:?} in vain until {what}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Keeps the mesh running until the process is interrupted.
    pub(super) fn wait_for_ever(&self) -> ! {
        loop {
            std::thread::park();
        }
    }
}

/// The process that holds a data directory.
fn pid_of(data: &Path) -> Option<Pid> {
    let held = data_dir::DataDir::open(data).err()?;
    let crate::setup::SetupError::InUse { pid, .. } = held else { return None };
    Pid::from_raw(pid.parse().ok()?)
}
