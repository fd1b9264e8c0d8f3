//! A service's address that one of two hosts holds, and the documents by which the other takes it.

use super::Lab;
use anyhow::Result;
use std::net::Ipv4Addr;

/// The label of the hosts that may hold the address.
pub const MAY_HOLD: &str = "service=shop";

/// The address: it belongs to no host for good.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 200, 1);

/// The file in the mesh's folder that has a line for each host that took the address.
pub const TAKEN: &str = "taken";

/// Gives the address to a host and applies documents by which another host with the label takes
/// it over, after it was verified that the power of the first is off. A person is told at `hook`.
///
/// # Errors
/// With what the commands said.
pub fn serve(lab: &Lab, holder: usize, hook: &str) -> Result<String> {
    lab.give_address(holder, ADDRESS)?;
    let taken = lab.folder().join(TAKEN);
    lab.apply(&format!(
        r#"
[[runbook]]
name     = "take-over"
on       = {{ peer = "dark" }}
where    = {{ service = "shop" }}
sequence = true
cooldown = "0s"

[[runbook.rung]]
name    = "cut its power"
fence   = {{ agent = "fence_ipmilan", action = "off", params = {{ ip = "label:bmc", username = "ops", password = "secret:bmc-password" }} }}
timeout = "8s"

[[runbook.rung]]
name    = "take the address"
needs   = "cut its power"
by      = "neighbour"
where   = {{ service = "shop" }}
run     = "ip addr add {ADDRESS}/32 dev eth0 && echo $HEARTEN_WORKER >> {}"
timeout = "5s"

[[runbook.rung]]
name   = "call a person"
notify = "ops"

[[notifier]]
name = "ops"
kind = "webhook"
url  = "{hook}"
"#,
        taken.display()
    ))
}
