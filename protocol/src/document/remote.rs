//! What one host does to another: cut its power by its management controller, wake it, log in.
//!
//! These are rungs that a neighbour climbs for a host that cannot act for itself. What differs
//! from host to host (the controller's address, the hardware address) stands in the host's labels,
//! and what nobody but the worker may know (a password) in a local file of the worker's: a document
//! names both and holds neither.

use crate::{
    name::{Labels, Name},
    refusal::Refusal,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr};

/// Switches a host off or on by an agent that follows the convention of the fence agents:
/// `key=value` lines on its standard input, exit code 0 for success, and for `action=status` 0 for
/// on and 2 for off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// A program's name that is looked for in the usual folders, or an absolute path.
    pub agent: String,
    /// What is to become of the host's power.
    pub power: Power,
    /// What the agent is told beside the action.
    pub params: BTreeMap<String, Given>,
}

/// What is to become of a host's power. Each counts as done only when the agent says so of its
/// `status`, after the deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Power {
    /// It is off.
    Off,
    /// It is on.
    On,
    /// It was off, and is on.
    Reboot,
}

impl Power {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Reboot => "reboot",
        }
    }
}

/// A value as a document gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Given {
    /// As it is written.
    Literal(String),
    /// `label:KEY`: this label of the affected peer.
    Label(String),
    /// `secret:NAME`: the worker's own file of secrets has it.
    Secret(Name),
}

/// A value as the worker is given it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Argument {
    /// This text.
    Text(String),
    /// What the worker's own file of secrets has under this name.
    Secret(Name),
}

impl Given {
    /// What the worker is given, for a peer with these labels.
    ///
    /// # Errors
    /// [`Refusal::Parameter`], when the peer does not bear the label.
    pub fn resolve(&self, name: &str, labels: &Labels) -> Result<Argument, Refusal> {
        match self {
            Self::Literal(text) => Ok(Argument::Text(text.clone())),
            Self::Secret(secret) => Ok(Argument::Secret(secret.clone())),
            Self::Label(label) => match labels.get(label) {
                Some(value) => Ok(Argument::Text(value.clone())),
                None => {
                    let why = format!("has no value: the affected peer has no label \"{label}\"");
                    Err(Refusal::Parameter { name: name.to_owned(), why })
                }
            },
        }
    }
}

impl Fence {
    /// What the agent is told, for a peer with these labels.
    ///
    /// # Errors
    /// [`Refusal::Parameter`], when the peer does not bear a label.
    pub fn resolve(&self, labels: &Labels) -> Result<BTreeMap<String, Argument>, Refusal> {
        self.params
            .iter()
            .map(|(name, given)| Ok((name.clone(), given.resolve(name, labels)?)))
            .collect()
    }
}

/// Sends the packet that wakes a host (six bytes of ones, then its hardware address sixteen times)
/// by UDP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The hardware address of the host: written, or a label.
    pub mac: Given,
    /// Where to: `IP:PORT`, as a rule the broadcast address of the host's network.
    pub broadcast: Given,
}

impl Wake {
    /// The card and where the packet is sent, for a peer with these labels.
    ///
    /// # Errors
    /// [`Refusal::Parameter`], when the peer does not bear a label, or a label's value is no
    /// address.
    pub fn resolve(&self, labels: &Labels) -> Result<([u8; 6], SocketAddr), Refusal> {
        let text = |name: &str, given: &Given| match given.resolve(name, labels)? {
            Argument::Text(text) => Ok(text),
            Argument::Secret(_) => Err(wrong(name, "is no secret")),
        };
        let mac = parse_mac(&text("mac", &self.mac)?)
            .ok_or_else(|| wrong("mac", "is no hardware address"))?;
        let broadcast = text("broadcast", &self.broadcast)?;
        let broadcast =
            broadcast.parse().map_err(|_error| wrong("broadcast", "is no address and port"))?;
        Ok((mac, broadcast))
    }
}

fn wrong(name: &str, why: &str) -> Refusal {
    Refusal::Parameter { name: name.to_owned(), why: why.to_owned() }
}

/// Reads a hardware address: six bytes in hexadecimal, parted by `:` or `-`.
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        let digits = part.bytes().all(|digit| digit.is_ascii_hexdigit());
        *byte = u8::from_str_radix(part, 16).ok().filter(|_| digits)?;
    }
    parts.next().is_none().then_some(mac)
}

/// Runs a command on the affected host, by `ssh` from the worker's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ssh {
    /// As whom.
    pub user: String,
    /// What is run there; handed to the host's shell as it is written.
    pub command: String,
    /// The port; 22 unless said.
    pub port: u16,
    /// The private key's file on the worker; ssh's own choice unless said.
    pub key: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_six_bytes() {
        assert_eq!(parse_mac("52:54:00:Ab:cd:0e"), Some([0x52, 0x54, 0, 0xab, 0xcd, 0x0e]));
        assert_eq!(parse_mac("52-54-00-ab-cd-0e"), Some([0x52, 0x54, 0, 0xab, 0xcd, 0x0e]));
        for bad in
            ["", "52:54:00:ab:cd", "52:54:00:ab:cd:0e:11", "5254:00:ab:cd:0e", "+1:54:00:ab:cd:0e"]
        {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_label_that_a_peer_does_not_bear_is_named() {
        let labels = Labels::from([("bmc".to_owned(), "10.0.1.5".to_owned())]);
        let fence = |label: &str| Fence {
            agent: "fence_ipmilan".to_owned(),
            power: Power::Off,
            params: BTreeMap::from([
                ("ip".to_owned(), Given::Label(label.to_owned())),
                ("lanplus".to_owned(), Given::Literal("1".to_owned())),
            ]),
        };
        let told = fence("bmc").resolve(&labels).unwrap();
        assert_eq!(told["ip"], Argument::Text("10.0.1.5".to_owned()));
        let refusal = fence("bcm").resolve(&labels).unwrap_err();
        assert_eq!(refusal.word(), "parameter");
        assert!(refusal.to_string().contains("\"ip\" has no value"), "{refusal}");
        assert!(refusal.to_string().contains("no label \"bcm\""), "{refusal}");
    }
}
