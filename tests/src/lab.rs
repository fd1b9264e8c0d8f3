//! A bed of hosts with a network of their own, on one machine, for what loopback cannot show.
//!
//! A host is a network namespace with one cable to a switch; it has an address, a firewall, a boot
//! id and, when the test says so, a management controller. Its daemon runs in there. What goes
//! wrong with real hosts can be made to go wrong here: see [`faults`] for the network and the
//! processes, [`bmc`] for the power, [`wire`] for a cable that delays, repeats and reorders.
//!
//! It needs root, and from Debian's packages `iproute2` and `nftables`; [`ready`] says whether they
//! are there. Nothing of it touches the machine's own network. A bed is taken down when it is
//! dropped; one that a killed test program left behind is taken down by the next.

pub mod bed;
pub mod bmc;
pub mod faults;
pub mod sampler;
pub mod service;
pub mod wire;

pub use bed::Bed;
pub use bmc::{Bmc, Manner};
pub use sampler::Sampler;
pub use wire::{Manners, Wire};

use crate::{Hook, Host, Mesh, parts::program, until};
use anyhow::{Context, Result};
use std::{
    fs::Permissions,
    net::SocketAddr,
    ops::{Deref, DerefMut},
    os::unix::fs::PermissionsExt,
};

/// The port that daemons listen on: each host has its own address.
const PORT: u16 = 4327;

/// Whether a bed can be made here, with these programs of these Debian packages beside what every
/// bed needs. Where it cannot, the test is skipped with a message, unless `CI` is set: there a
/// skipped test is a failed one.
///
/// # Panics
/// In CI, when something is missing.
pub fn ready(programs: &[(&str, &str)]) -> bool {
    if !rustix::process::geteuid().is_root() {
        let message = "network namespaces need root";
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("skipped: {message}");
        return false;
    }
    let always = [("ip", "iproute2"), ("nft", "nftables")];
    always.iter().chain(programs).all(|(name, package)| program(name, package).is_some())
}

/// The programs that fencing by a management controller needs.
pub const FENCING: [(&str, &str); 4] = [
    ("ipmi_sim", "openipmi"),
    ("ipmitool", "ipmitool"),
    ("fence_ipmilan", "fence-agents"),
    ("arping", "iputils-arping"),
];

/// A mesh whose hosts stand in a bed.
#[derive(Debug)]
pub struct Lab {
    /// The mesh; host *n* of it is host *n* of the bed.
    pub mesh: Mesh,
    /// The management controllers, when there are any, by host.
    pub bmcs: Vec<Bmc>,
    /// The network. Dropped last: what still runs in it is killed then.
    pub bed: Bed,
}

impl Lab {
    /// A mesh of hosts with these labels, as [`Mesh::of`] makes them, in a bed of their own.
    ///
    /// # Errors
    /// With the step that failed.
    pub fn of(labels: &[&str]) -> Result<Self> {
        let mesh = Mesh::empty()?;
        let bed = Bed::build(labels.len(), &mesh.folder())?;
        let mut lab = Self { mesh, bmcs: Vec::new(), bed };
        for labels in labels {
            lab.add(labels)?;
        }
        lab.mesh.settled()?;
        Ok(lab)
    }

    /// A mesh of `count` hosts without labels.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn sized(count: usize) -> Result<Self> {
        Self::of(&vec![""; count])
    }

    /// A mesh whose hosts have a management controller each, of these manners, with the label `bmc`
    /// as its address and its password among each host's secrets.
    ///
    /// # Errors
    /// With the step that failed.
    pub fn with_bmcs(labels: &[&str], manners: impl Fn(usize) -> Manner) -> Result<Self> {
        let mesh = Mesh::empty()?;
        let bed = Bed::build(labels.len(), &mesh.folder())?;
        let mut lab = Self { mesh, bmcs: Vec::new(), bed };
        for (host, labels) in labels.iter().enumerate() {
            lab.add(&format!("bmc={},{labels}", lab.bed.bmc_address(host)))?;
            let secrets = lab.mesh[host].data.join("secrets.toml");
            std::fs::write(&secrets, format!("bmc-password = \"{}\"\n", bmc::PASSWORD))?;
            std::fs::set_permissions(&secrets, Permissions::from_mode(0o600))?;
            let bmc = Bmc::attach(&lab.bed, &lab.mesh[host], host, manners(host))?;
            lab.bmcs.push(bmc);
        }
        lab.mesh.settled()?;
        Ok(lab)
    }

    /// Starts the daemon of the bed's next host and adds it to the mesh.
    fn add(&mut self, labels: &str) -> Result<usize> {
        let place = self.mesh.hosts.len();
        let address = SocketAddr::new(self.bed.address(place).into(), PORT);
        let mut host = Host::at(&self.mesh.folder(), &format!("h{}", place + 1), address);
        host.through = self.bed.through(place)?;
        self.mesh.add_host(host, labels)
    }

    /// A web hook that every host can reach.
    ///
    /// # Errors
    /// When it could not be opened.
    pub fn hook(&self) -> Result<Hook> {
        let address = self.bed.hub_address();
        let listener = self.bed.inside(&self.bed.hub(), move || {
            std::net::TcpListener::bind((address, 0)).context("the hook's socket")
        })??;
        Hook::on(listener)
    }

    /// What is in a file of the mesh's folder, line by line; nothing where there is none.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.mesh.folder().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Everything on the host stands still, and nothing comes in or gets out: its agent hangs, and
    /// it cannot be told so.
    ///
    /// # Errors
    /// What kill or nft said.
    pub fn hang(&self, host: usize) -> Result<()> {
        self.signal_all(host, "STOP")?;
        self.wall(host, faults::Wall::Silent)
    }

    /// Gives a host another address and starts its daemon again, as after a move to another
    /// network.
    ///
    /// # Errors
    /// With the step that failed.
    pub fn renumber(&mut self, host: usize) -> Result<()> {
        self.mesh.hosts[host].stop()?;
        let old = self.bed.address(host).to_string();
        self.bed.renumber(host)?;
        let new = self.bed.address(host);
        let file = self.mesh[host].data.join("hearten.toml");
        let text = std::fs::read_to_string(&file).context("the host's configuration")?;
        // The addresses of others are not this host's.
        let mine = |line: &str| line.starts_with("listen") || line.starts_with("advertise");
        let moved = |line: &str| {
            if mine(line) { line.replace(&old, &new.to_string()) } else { line.to_owned() }
        };
        std::fs::write(&file, text.lines().map(moved).collect::<Vec<_>>().join("\n") + "\n")?;
        let host = &mut self.mesh.hosts[host];
        host.address = SocketAddr::new(new.into(), PORT);
        host.start()
    }

    /// Waits until everybody is alive and every incident over, as host `looker` sees it.
    ///
    /// # Errors
    /// When it does not come about.
    pub fn calm(&self, looker: usize) -> Result<()> {
        let count = self.mesh.hosts.len();
        until("everybody is alive and every incident over", || {
            let status = self.mesh[looker].status()?;
            let peers = status["peers"].as_array()?;
            let alive = peers.iter().filter(|peer| peer["state"] == "alive").count();
            let calm = status["quorum"] == true && alive == count;
            let incidents = self.mesh.incidents(looker).ok()?;
            let over = |state: &serde_json::Value| state == "resolved" || state == "closed";
            (calm && incidents.iter().all(|incident| over(&incident["state"]))).then_some(())
        })
        .with_context(|| format!("{:#?}", self.mesh.incidents(looker)))
    }
}

impl Deref for Lab {
    type Target = Mesh;
    fn deref(&self) -> &Mesh {
        &self.mesh
    }
}

impl DerefMut for Lab {
    fn deref_mut(&mut self) -> &mut Mesh {
        &mut self.mesh
    }
}
