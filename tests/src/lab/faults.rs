//! What goes wrong with a network and with the processes on a host, on demand.
//!
//! Each fault is one nft table on the host that suffers from it, so that faults add up and end one
//! by one. The drops are on the way in: that is where a packet is lost whatever sent it. A
//! partition is one table in the switch.

use super::{
    Lab,
    bed::{feed, run},
};
use anyhow::Result;
use std::net::Ipv4Addr;

/// No partition, as nft understands it whether or not there is one.
const NO_SPLIT: &str = "table bridge split\ndelete table bridge split\n";

/// Which way nothing gets through between the two sides of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Neither way.
    Both,
    /// What is sent to those that are cut off is lost.
    Inwards,
    /// What those that are cut off send is lost.
    Outwards,
}

/// How a host's own firewall treats what comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// What nobody on the host asked for is refused as if no program listened; answers come in.
    RejectsNew,
    /// All UDP is refused as if no program listened. What the host sends gets out.
    RejectsAll,
    /// Nothing comes in and nothing gets out, without a word.
    Silent,
}

impl Lab {
    /// So many per cent of what comes to this host are lost from now on; 0 ends it.
    ///
    /// # Errors
    /// What nft said.
    pub fn loss(&self, host: usize, percent: u32) -> Result<()> {
        if percent == 0 {
            return self.end(host, "loss");
        }
        let tenths = percent * 10;
        self.table(host, "loss", "input", &format!("numgen random mod 1000 < {tenths} drop"))
    }

    /// The same for all hosts.
    ///
    /// # Errors
    /// As [`Self::loss`].
    pub fn loss_everywhere(&self, percent: u32) -> Result<()> {
        (0..self.bed.hosts()).try_for_each(|host| self.loss(host, percent))
    }

    /// What these send to this host is lost; what it sends to them arrives.
    ///
    /// # Errors
    /// What nft said.
    pub fn deafen(&self, host: usize, to: &[usize]) -> Result<()> {
        let from: Vec<String> =
            to.iter().map(|other| self.bed.address(*other).to_string()).collect();
        self.table(host, "deaf", "input", &format!("ip saddr {{ {} }} drop", from.join(", ")))
    }

    /// It hears again.
    ///
    /// # Errors
    /// What nft said.
    pub fn undeafen(&self, host: usize) -> Result<()> {
        self.end(host, "deaf")
    }

    /// Cuts these hosts off from all others, at one moment, in the switch between them: each side
    /// stays connected as it was.
    ///
    /// # Errors
    /// What nft said.
    pub fn partition(&self, side: &[usize], cut: Cut) -> Result<()> {
        let (few, many): (Vec<usize>, Vec<usize>) =
            (0..self.bed.hosts()).partition(|host| side.contains(host));
        let set = |hosts: Vec<usize>| {
            let all: Vec<String> =
                hosts.iter().map(|host| self.bed.address(*host).to_string()).collect();
            format!("{{ {} }}", all.join(", "))
        };
        let (few, many) = (set(few), set(many));
        let inwards = format!("ip saddr {many} ip daddr {few} drop\n");
        let outwards = format!("ip saddr {few} ip daddr {many} drop\n");
        let rules = match cut {
            Cut::Both => inwards + &outwards,
            Cut::Inwards => inwards,
            Cut::Outwards => outwards,
        };
        self.in_hub(&format!(
            "{NO_SPLIT}table bridge split {{\nchain packets {{\ntype filter hook forward priority 0\n\
             {rules}}}\n}}\n"
        ))
    }

    /// Ends a partition.
    ///
    /// # Errors
    /// What nft said.
    pub fn rejoin(&self) -> Result<()> {
        self.in_hub(NO_SPLIT)
    }

    fn in_hub(&self, rules: &str) -> Result<()> {
        feed("ip", &["netns", "exec", &self.bed.hub(), "nft", "-f", "-"], rules)
    }

    /// Sets up the firewall of a host.
    ///
    /// # Errors
    /// What nft said.
    pub fn wall(&self, host: usize, wall: Wall) -> Result<()> {
        let reject = "meta l4proto udp reject with icmp type port-unreachable";
        match wall {
            Wall::RejectsNew => {
                let rules = format!("ct state established,related accept\n{reject}");
                self.table(host, "wall", "input", &rules)
            }
            Wall::RejectsAll => self.table(host, "wall", "input", reject),
            Wall::Silent => {
                self.table(host, "wall", "input", "drop")?;
                self.table(host, "wall-out", "output", "drop")
            }
        }
    }

    /// Takes the firewall down.
    ///
    /// # Errors
    /// What nft said.
    pub fn unwall(&self, host: usize) -> Result<()> {
        self.end(host, "wall")?;
        self.end(host, "wall-out")
    }

    /// Pulls the cable of a host out of the switch.
    ///
    /// # Errors
    /// What ip said.
    pub fn unplug(&self, host: usize) -> Result<()> {
        self.plugged(host, "down")
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// What ip said.
    pub fn plug(&self, host: usize) -> Result<()> {
        self.plugged(host, "up")
    }

    fn plugged(&self, host: usize, state: &str) -> Result<()> {
        let (hub, port) = (self.bed.hub(), self.bed.port(host));
        run("ip", &["-n", &hub, "link", "set", &port, state]).map(drop)
    }

    /// Sends a signal to everything that runs on a host: `STOP` is a host that hangs.
    ///
    /// # Errors
    /// What kill said.
    pub fn signal_all(&self, host: usize, signal: &str) -> Result<()> {
        let pids = self.bed.processes(&self.bed.host(host))?;
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let mut arguments = vec![format!("-{signal}")];
        arguments.extend(pids);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run("kill", &arguments).map(drop)
    }

    /// Gives a host an address more, as a service's address is given to it.
    ///
    /// # Errors
    /// What ip said.
    pub fn give_address(&self, host: usize, address: Ipv4Addr) -> Result<()> {
        let space = self.bed.host(host);
        run("ip", &["-n", &space, "addr", "add", &format!("{address}/32"), "dev", "eth0"]).map(drop)
    }

    /// Rules for all that comes to, or leaves, a host's cable.
    fn table(&self, host: usize, name: &str, hook: &str, rules: &str) -> Result<()> {
        let table = format!(
            "table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n\
             chain packets {{\ntype filter hook {hook} priority 0\n{} \"lo\" accept\n{rules}\n}}\n}}\n",
            if hook == "input" { "iifname" } else { "oifname" }
        );
        let space = self.bed.host(host);
        feed("ip", &["netns", "exec", &space, "nft", "-f", "-"], &table)
    }

    fn end(&self, host: usize, name: &str) -> Result<()> {
        let space = self.bed.host(host);
        let text = format!("table inet {name}\ndelete table inet {name}\n");
        feed("ip", &["netns", "exec", &space, "nft", "-f", "-"], &text)
    }
}
