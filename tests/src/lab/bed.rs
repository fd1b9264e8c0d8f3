//! The network of a bed: a hub with a switch, and hosts on it in network namespaces of their own.
//!
//! The hub's namespace holds a bridge and one end of each host's cable (`v0`, `v1`, …); the other
//! end is the host's `eth0`. The management controllers live in one more namespace, so that a host
//! that is cut off does not take its controller with it. Names begin with the test program's
//! process id: programs that run at once do not meet, and what a dead one left is told apart.

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    net::Ipv4Addr,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// What every name of ours begins with.
const PREFIX: &str = "hearten-lab-";

/// Where the kernel shows a host's boot id; each host of a bed has a file of its own mounted here.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Hosts in a bed at most: what the addresses have room for.
const HOSTS_MAX: usize = 1_000;

/// A hub, hosts, and a place for their management controllers.
#[derive(Debug)]
pub struct Bed {
    prefix: String,
    folder: PathBuf,
    addresses: Vec<Ipv4Addr>,
}

impl Bed {
    /// Builds a bed for so many hosts, which keeps its files in this folder. What a killed test
    /// program left behind is removed first.
    ///
    /// # Errors
    /// With the command that failed.
    pub fn build(hosts: usize, folder: &Path) -> Result<Self> {
        static BEDS: AtomicU32 = AtomicU32::new(0);
        ensure!(hosts <= HOSTS_MAX, "a bed has room for {HOSTS_MAX} hosts");
        remove_stale();
        let number = BEDS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{PREFIX}{}-{number}-", std::process::id());
        let addresses = (0..hosts).map(|host| numbered(77, 0, host)).collect();
        let bed = Self { prefix, folder: folder.to_owned(), addresses };
        bed.lay_cables()?;
        Ok(bed)
    }

    fn lay_cables(&self) -> Result<()> {
        let (hub, management) = (self.hub(), self.management());
        let mut spaces = format!("netns add {hub}\nnetns add {management}\n");
        for host in 0..self.hosts() {
            writeln!(spaces, "netns add {}", self.host(host))?;
        }
        batch(None, &spaces)?;
        let mut lines = "link set lo up\nlink add br0 type bridge\nlink set br0 up\n".to_owned();
        writeln!(lines, "addr add {}/15 dev br0", self.hub_address())?;
        let mut lay = |port: &str, space: &str| {
            writeln!(lines, "link add {port} type veth peer name eth0 netns {space}")?;
            writeln!(lines, "link set {port} master br0 up")
        };
        lay("vm", &management)?;
        for host in 0..self.hosts() {
            lay(&format!("v{host}"), &self.host(host))?;
        }
        batch(Some(&hub), &lines)?;
        let mut lines = "link set lo up\nlink set eth0 up\n".to_owned();
        for host in 0..self.hosts() {
            writeln!(lines, "addr add {}/15 dev eth0", self.bmc_address(host))?;
        }
        batch(Some(&management), &lines)?;
        for host in 0..self.hosts() {
            self.write_network(host)?;
            self.new_boot(host)?;
            run("ip", &["-n", &self.host(host), "-batch", &path(&self.network_file(host))])?;
        }
        Ok(())
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        self.addresses.len()
    }

    /// The namespace of a host.
    pub fn host(&self, host: usize) -> String {
        format!("{}h{}", self.prefix, host + 1)
    }

    /// The namespace of the hub: it reaches everything.
    pub fn hub(&self) -> String {
        format!("{}hub", self.prefix)
    }

    /// The namespace of the management controllers.
    pub fn management(&self) -> String {
        format!("{}bmc", self.prefix)
    }

    /// The address of a host.
    pub fn address(&self, host: usize) -> Ipv4Addr {
        self.addresses[host]
    }

    /// The address of the hub.
    pub fn hub_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 76, 250, 1)
    }

    /// The address of a host's management controller.
    pub fn bmc_address(&self, host: usize) -> Ipv4Addr {
        numbered(76, 0, host)
    }

    /// The port of the hub's switch that a host's cable is plugged into.
    pub fn port(&self, host: usize) -> String {
        format!("v{host}")
    }

    /// What runs a program on a host, with the boot id that the host has at that moment: the
    /// program and its arguments follow.
    ///
    /// # Errors
    /// When the folder's name is no text.
    pub fn through(&self, host: usize) -> Result<Vec<String>> {
        let script = format!("mount --bind '{}' {BOOT_ID} && exec \"$@\"", self.boot_file(host)?);
        let words = ["ip", "netns", "exec", &self.host(host), "sh", "-c", &script, "sh"];
        Ok(words.map(str::to_owned).to_vec())
    }

    /// The file that holds a host's boot id.
    ///
    /// # Errors
    /// When the folder's name is no text.
    pub fn boot_file(&self, host: usize) -> Result<String> {
        let file = self.folder.join(format!("h{}.boot-id", host + 1));
        Ok(file.to_str().context("the folder's name is text")?.to_owned())
    }

    /// The file with the commands that bring a host's network up, for `ip -batch`.
    pub fn network_file(&self, host: usize) -> PathBuf {
        self.folder.join(format!("h{}.network", host + 1))
    }

    /// Gives a host another boot id, for programs that are started from now on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new_boot(&self, host: usize) -> Result<()> {
        let file = self.boot_file(host)?;
        let fresh = format!("{file}.new");
        fs::write(&fresh, fs::read_to_string("/proc/sys/kernel/random/uuid")?)?;
        // A new file: those that run have the old one mounted.
        Ok(fs::rename(fresh, file)?)
    }

    /// Moves a host to an address that nobody had; the others learn its new place at once.
    ///
    /// # Errors
    /// With the command that failed.
    pub fn renumber(&mut self, host: usize) -> Result<()> {
        let old = self.addresses[host];
        self.addresses[host] = numbered(77, 100, host);
        run("ip", &["-n", &self.host(host), "addr", "flush", "dev", "eth0"])?;
        for other in 0..self.hosts() {
            self.write_network(other)?;
            if other != host {
                let old = format!("neigh del {old} dev eth0\n");
                batch(Some(&self.host(other)), &old)?;
            }
            run("ip", &["-n", &self.host(other), "-batch", &path(&self.network_file(other))])?;
        }
        Ok(())
    }

    /// The kernel's table of neighbours is one for all namespaces and has room for 1,024 that come
    /// and go: from 33 hosts on they have to be permanent, so they always are.
    fn write_network(&self, host: usize) -> Result<()> {
        let mut lines = format!(
            "link set lo up\nlink set eth0 address {}\nlink set eth0 up\n\
             addr replace {}/15 dev eth0\n",
            hardware(host),
            self.address(host)
        );
        for other in (0..self.hosts()).filter(|other| *other != host) {
            writeln!(
                lines,
                "neigh replace {} lladdr {} nud permanent dev eth0",
                self.address(other),
                hardware(other)
            )?;
        }
        Ok(fs::write(self.network_file(host), lines)?)
    }

    /// Does something in a namespace: sockets that it opens stay there.
    ///
    /// # Errors
    /// When there is no such namespace.
    ///
    /// # Panics
    /// When what is done panics.
    pub fn inside<T: Send>(&self, space: &str, act: impl FnOnce() -> T + Send) -> Result<T> {
        let file = open(space)?;
        std::thread::scope(|scope| {
            let acting = scope.spawn(|| {
                enter(&file)?;
                Ok(act())
            });
            match acting.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// The processes in a namespace.
    ///
    /// # Errors
    /// When there is no such namespace.
    pub fn processes(&self, space: &str) -> Result<Vec<u32>> {
        processes(space)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let mut spaces = vec![self.hub(), self.management()];
        spaces.extend((0..self.hosts()).map(|host| self.host(host)));
        for space in spaces {
            remove(&space);
        }
    }
}

/// A namespace, to enter it.
///
/// # Errors
/// When there is none of this name.
pub fn open(space: &str) -> Result<File> {
    File::open(Path::new("/run/netns").join(space)).with_context(|| format!("namespace {space}"))
}

/// Moves this thread, and none but it, into a namespace.
///
/// # Errors
/// What the kernel said.
pub fn enter(space: &File) -> Result<()> {
    move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
        .context("entering a namespace")
}

/// Runs a program that has to succeed and gives what it printed.
///
/// # Errors
/// With what it said.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs commands of `ip`, one a line, in a namespace or in our own.
fn batch(space: Option<&str>, lines: &str) -> Result<()> {
    let mut arguments = space.map_or_else(Vec::new, |space| vec!["-n", space]);
    arguments.extend(["-batch", "-"]);
    feed("ip", &arguments, lines)
}

/// Runs a program that has to succeed and reads this.
///
/// # Errors
/// With what it said.
pub fn feed(program: &str, arguments: &[&str], text: &str) -> Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("its input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {said}\n{text}");
    Ok(())
}

fn processes(space: &str) -> Result<Vec<u32>> {
    let pids = run("ip", &["netns", "pids", space])?;
    pids.lines().map(|pid| pid.trim().parse().context("a process id")).collect()
}

/// Kills what runs in a namespace and removes it. It may be gone already: another test program
/// may clean up at the same time.
fn remove(space: &str) {
    for pid in processes(space).unwrap_or_default() {
        drop(run("kill", &["-KILL", &pid.to_string()]));
    }
    if let Err(error) = run("ip", &["netns", "del", space])
        && Path::new("/run/netns").join(space).exists()
    {
        eprintln!("the namespace {space} stays behind: {error}");
    }
}

/// Removes the beds of test programs that are no more.
fn remove_stale() {
    let Ok(spaces) = fs::read_dir("/run/netns") else { return };
    for space in spaces.flatten() {
        let name = space.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&name);
        }
    }
}

/// `10.SECOND.(third + n / 250).(n % 250 + 1)`.
fn numbered(second: u8, third: usize, host: usize) -> Ipv4Addr {
    let part = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
    Ipv4Addr::new(10, second, part(third + host / 250), part(host % 250 + 1))
}

fn hardware(host: usize) -> String {
    format!("02:00:0a:4d:{:02x}:{:02x}", host / 250, host % 250 + 1)
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
