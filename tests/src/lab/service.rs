//! A service's address that one of two hosts holds, and the documents by which the other takes it.
//!
//! The documents are the ready-made example that operators are given, with the addresses of the bed.

use super::Lab;
use anyhow::{Result, ensure};
use std::net::Ipv4Addr;

/// The label of the hosts that may hold the address.
pub const MAY_HOLD: &str = "pair=db";

/// The address: it belongs to no host for good.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 200, 1);

/// What the rungs of the example are called.
pub const FENCE: &str = "verify power off";
/// The one that follows it.
pub const TAKE: &str = "take the address";

/// Applies the example and lets its own runbook give the address to a host for the first time. A
/// person is told at `hook`.
///
/// # Errors
/// With what the commands said.
pub fn serve(lab: &Lab, holder: usize, hook: &str) -> Result<()> {
    let example = include_str!("../../../node/documents/takeover.toml");
    let (documents, _tests) = example.split_once("\n[[test]]").unwrap_or((example, ""));
    let swaps = [
        ("10.0.0.100/24", format!("{ADDRESS}/32")),
        ("10.0.0.100", ADDRESS.to_string()),
        ("http://127.0.0.1:9099/db-on-call", hook.to_owned()),
        // The simulator knows no later one, and a client that asks which ones it knows waits long.
        ("lanplus = \"1\"", "lanplus = \"1\", cipher = \"3\"".to_owned()),
    ];
    let mut documents = documents.to_owned();
    for (from, to) in swaps {
        ensure!(documents.contains(from), "the example has changed: where is {from:?}?");
        documents = documents.replace(from, &to);
    }
    lab.apply(&documents)?;
    let (name, key) = (&lab[holder].name, lab.key());
    let order = ["runbook", "run", "db-address-begin", "--peer", name, "--reason", "first start"];
    lab[0].ok(&[&order[..], &["--key", &key]].concat())?;
    let done = |i: &serde_json::Value| i["peer"] == **name && i["state"] == "resolved";
    lab.incident(0, "the address is held", done).map(drop)
}
