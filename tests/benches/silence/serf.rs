//! Serf's agents, in the same namespaces, with the defaults of its profile for a local network.

use anyhow::{Context, Result, ensure};
use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tests::{
    lab::{Bed, bed::run},
    until,
};

/// What was measured for so many agents, in seconds, from `kill -9` to the first handler: a run in
/// which it strays too far from this says nothing.
const KNOWN: [(f64, f64); 4] = [(3.0, 6.7), (10.0, 7.6), (30.0, 8.84), (100.0, 10.45)];

/// How far it may stray.
const STRAYS_PERCENT: f64 = 25.0;

/// One agent on each host of a bed.
pub(crate) struct Serf {
    agents: Vec<Option<Child>>,
    folder: PathBuf,
    handler: String,
}

impl Serf {
    /// Starts the agents; each failure that one of them sees starts `handler`.
    pub(crate) fn form(bed: &Bed, folder: &Path, handler: &str) -> Result<Self> {
        let agents = (0..bed.hosts()).map(|_| None).collect();
        let mut serf = Self { agents, folder: folder.to_owned(), handler: handler.to_owned() };
        for host in 0..bed.hosts() {
            serf.start(bed, host)?;
        }
        serf.settled(bed)?;
        Ok(serf)
    }

    /// Starts the agent of one host.
    pub(crate) fn start(&mut self, bed: &Bed, host: usize) -> Result<()> {
        let log = self.folder.join(format!("serf-h{}.log", host + 1));
        let log: File = OpenOptions::new().create(true).append(true).open(log)?;
        // Anybody but itself will do.
        let other = bed.address(usize::from(host == 0));
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &bed.host(host), "serf", "agent"]);
        command.arg(format!("-node=h{}", host + 1)).arg(format!("-bind={}", bed.address(host)));
        command.args(["-rpc-addr=127.0.0.1:7373", "-retry-interval=1s"]);
        command.arg(format!("-retry-join={other}"));
        command.arg(format!("-event-handler=member-failed={}", self.handler));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.agents[host] = Some(command.spawn().context("starting serf")?);
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, host: usize) -> Result<()> {
        let mut agent = self.agents[host].take().context("serf does not run there")?;
        agent.kill()?;
        agent.wait()?;
        Ok(())
    }

    /// Starts an agent again that was killed or that missed much.
    pub(crate) fn restart(&mut self, bed: &Bed, host: usize) -> Result<()> {
        if self.agents[host].is_some() {
            self.kill(host)?;
        }
        self.start(bed, host)
    }

    /// Waits until every agent sees every other one alive.
    pub(crate) fn settled(&self, bed: &Bed) -> Result<()> {
        until("serf's agents all see each other", || {
            (0..bed.hosts())
                .all(|host| {
                    let list = ["-status=alive", "-rpc-addr=127.0.0.1:7373"];
                    let mut words = vec!["netns", "exec"];
                    let space = bed.host(host);
                    words.extend([space.as_str(), "serf", "members"]);
                    words.extend(list);
                    run("ip", &words).is_ok_and(|text| text.lines().count() == bed.hosts())
                })
                .then_some(())
        })
    }

    /// The process of an agent.
    pub(crate) fn pid(&self, host: usize) -> Result<u32> {
        Ok(self.agents[host].as_ref().context("serf does not run there")?.id())
    }
}

impl Drop for Serf {
    fn drop(&mut self) {
        for agent in self.agents.iter_mut().flatten() {
            // What cannot be killed has ended.
            drop(agent.kill());
            drop(agent.wait());
        }
    }
}

/// What serf was seen to need with so many agents, and whether this median is near enough to it.
pub(crate) fn expected(agents: usize, median: f64) -> Result<(f64, bool)> {
    ensure!(agents >= 2, "a mesh of {agents} has nobody to look");
    let count: f64 = u32::try_from(agents)?.into();
    let after = KNOWN.iter().position(|(known, _)| *known >= count).unwrap_or(KNOWN.len() - 1);
    let (low, high) = (KNOWN[after.max(1) - 1], KNOWN[after.max(1)]);
    // It grows with the logarithm of their number.
    let share = (count / low.0).ln() / (high.0 / low.0).ln();
    let expected = low.1 + (high.1 - low.1) * share;
    Ok((expected, (median / expected - 1.0).abs() * 100.0 <= STRAYS_PERCENT))
}
