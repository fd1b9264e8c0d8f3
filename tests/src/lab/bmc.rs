//! Management controllers: one for each host, which really switches it off and on.
//!
//! Debian's `ipmi_sim` speaks IPMI over the network as a real controller does, and asks a program of
//! ours for the power. Off: everything that runs on the host is killed, stopped or not, and its
//! addresses, its firewall and its link are gone, as they are when the current is. On: the network is
//! up again, the host has another boot id, and its daemon is started.

use super::bed::{Bed, feed};
use crate::{Host, hearten};
use anyhow::{Context, Result};
use std::{
    fs::{self, File, Permissions},
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// Who may use the controllers.
pub const USER: &str = "ops";
/// And their password.
pub const PASSWORD: &str = "correct-horse";

/// Without one there is no session by the newer protocol.
const GUID: &str = "a123456789abcdefa123456789abcdef";

/// How a controller behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It does what it is told and tells what is.
    Honest,
    /// It takes every order, does nothing, and the power is on.
    Lies,
    /// It has another password.
    Refuses,
    /// It does not answer at all.
    Mute,
}

/// One management controller, until it is dropped.
#[derive(Debug)]
pub struct Bmc {
    /// Where it listens, on IPMI's own port.
    pub address: Ipv4Addr,
    folder: PathBuf,
    simulator: Child,
}

impl Bmc {
    /// Starts the controller of a host whose daemon runs.
    ///
    /// # Errors
    /// When `ipmi_sim` cannot be started.
    pub fn attach(bed: &Bed, host: &Host, place: usize, manner: Manner) -> Result<Self> {
        let address = bed.bmc_address(place);
        let folder = host.data.with_extension("bmc");
        fs::create_dir_all(folder.join("state"))?;
        fs::write(folder.join("power"), "1\n")?;
        fs::write(folder.join("orders"), "")?;
        let chassis = folder.join("chassis");
        fs::write(&chassis, chassis_program(bed, host, place, manner, &folder)?)?;
        fs::set_permissions(&chassis, Permissions::from_mode(0o755))?;
        let password = if manner == Manner::Refuses { "something-else" } else { PASSWORD };
        let levels = ["callback", "user", "operator", "admin"];
        let auths =
            levels.map(|level| format!("allowed_auths_{level} none md2 md5 straight\n")).concat();
        fs::write(
            folder.join("lan.conf"),
            format!(
                "name \"{}\"\nset_working_mc 0x20\nstartlan 1\naddr {address} 623\n\
                 priv_limit admin\n{auths}guid {GUID}\nendlan\nchassis_control \"{} 0x20\"\n\
                 user 2 true \"{USER}\" \"{password}\" admin 10 none md2 md5 straight\n",
                host.name,
                chassis.display()
            ),
        )?;
        fs::write(
            folder.join("commands"),
            "mc_setbmc 0x20\n\
             mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
             sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n",
        )?;
        let space = bed.management();
        if manner == Manner::Mute {
            let table = format!("table inet mute{place}");
            let rule = format!("ip daddr {address} drop");
            let rules = format!(
                "{table} {{\nchain packets {{\ntype filter hook input priority 0\n{rule}\n}}\n}}\n"
            );
            feed("ip", &["netns", "exec", &space, "nft", "-f", "-"], &rules)?;
        }
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &space, "ipmi_sim", "-n", "-c"]);
        command.arg(folder.join("lan.conf")).arg("-f").arg(folder.join("commands"));
        command.arg("-s").arg(folder.join("state"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let simulator = command.spawn().context("starting ipmi_sim")?;
        Ok(Self { address, folder, simulator })
    }

    /// What it was told to do with the power, in order: `0` is off, `1` is on.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn orders(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(self.folder.join("orders"))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Whether the host has power.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn power(&self) -> Result<bool> {
        Ok(fs::read_to_string(self.folder.join("power"))?.trim() == "1")
    }
}

impl Drop for Bmc {
    fn drop(&mut self) {
        // Nothing of a test may stay behind; what cannot be killed has ended.
        drop(self.simulator.kill());
        drop(self.simulator.wait());
    }
}

/// The program that a controller asks for the power of its host, and tells what to make of it:
/// `chassis 0x20 get power`, `chassis 0x20 set power 0`.
fn chassis_program(
    bed: &Bed,
    host: &Host,
    place: usize,
    manner: Manner,
    folder: &std::path::Path,
) -> Result<String> {
    let space = bed.host(place);
    let boot = bed.boot_file(place)?;
    let through: Vec<String> = bed.through(place)?.iter().map(|word| quoted(word)).collect();
    let lies = if manner == Manner::Lies { "yes" } else { "no" };
    Ok(format!(
        r#"#!/bin/sh
# What the management controller of {name} does to its host.
cd '{folder}' || exit 1
if [ "$2 $3" = "get power" ]; then
    echo "power:$(cat power)"
    exit 0
fi
[ "$2 $3" = "set power" ] || exit 0
echo "$4" >> orders
[ {lies} = no ] || exit 0
if [ "$4" = 0 ]; then
    while pids=$(ip netns pids {space}) && [ -n "$pids" ]; do kill -KILL $pids; done
    ip netns exec {space} nft flush ruleset
    ip -n {space} addr flush dev eth0
    ip -n {space} link set eth0 down
    echo 0 > power
elif [ "$(cat power)" = 0 ]; then
    ip -n {space} -batch '{network}'
    cat /proc/sys/kernel/random/uuid > '{boot}.new'
    mv '{boot}.new' '{boot}'
    echo 1 > power
    setsid {through} '{hearten}' --data-dir '{data}' run < /dev/null >> '{log}' 2>&1 &
fi
"#,
        name = host.name,
        folder = folder.display(),
        network = bed.network_file(place).display(),
        through = through.join(" "),
        hearten = hearten().display(),
        data = host.data.display(),
        log = host.log().display(),
    ))
}

/// A word as the shell takes it for itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
