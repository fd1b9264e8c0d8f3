//! `tcp`: a connection that must come about.

use super::{Found, timed_out};
use protocol::document::Verdict;
use std::time::Duration;
use tokio::{
    net::{TcpStream, lookup_host},
    time,
};

/// Tries each address of the name; one that swallows packets gets its share of the time only.
pub(super) async fn probe(address: &str, timeout: Duration) -> Found {
    let addresses: Vec<_> = match lookup_host(address).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Found::new(Verdict::Fail, format!("{address}: {error}")),
    };
    let share = timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut reasons = Vec::new();
    for candidate in addresses {
        match time::timeout(share, TcpStream::connect(candidate)).await {
            Ok(Ok(_connection)) => {
                return Found::new(Verdict::Pass, format!("connected to {candidate}"));
            }
            Ok(Err(error)) => reasons.push(format!("{candidate}: {error}")),
            Err(_elapsed) => reasons.push(format!("{candidate}: {}", timed_out(share))),
        }
    }
    if reasons.is_empty() {
        reasons.push(format!("{address} has no address"));
    }
    Found::new(Verdict::Fail, reasons.join("; "))
}
