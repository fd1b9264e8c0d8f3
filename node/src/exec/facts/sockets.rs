//! The TCP and UDP sockets.

use serde::Serialize;
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

/// A host with more sockets is told of the first ones; a plugin would choke on the rest.
const SOCKETS_MAX: usize = 50_000;

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Socket {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Its own address.
    pub local: SocketAddr,
    /// The other side's; all zeros where there is none.
    pub remote: SocketAddr,
    /// `listen`, `established` and so on; `open` for UDP.
    pub state: &'static str,
    /// The number of the user whose it is.
    pub uid: u32,
}

/// Reads all sockets of the host's network namespace.
pub(super) fn read(proc: &Path) -> Result<Vec<Socket>, String> {
    let mut sockets = Vec::new();
    for (file, protocol) in [("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp")] {
        // A kernel without IPv6 has no such file.
        let text = fs::read_to_string(proc.join("net").join(file)).unwrap_or_default();
        let lines = text.lines().skip(1);
        sockets.extend(lines.filter_map(|line| socket(protocol, line)));
    }
    sockets.truncate(SOCKETS_MAX);
    Ok(sockets)
}

fn socket(protocol: &'static str, line: &str) -> Option<Socket> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let state = match (protocol, *fields.get(3)?) {
        ("udp", _) => "open",
        (_, "01") => "established",
        (_, "02") => "syn_sent",
        (_, "03") => "syn_received",
        (_, "04") => "fin_wait_1",
        (_, "05") => "fin_wait_2",
        (_, "06") => "time_wait",
        (_, "07") => "closed",
        (_, "08") => "close_wait",
        (_, "09") => "last_ack",
        (_, "0A") => "listen",
        (_, "0B") => "closing",
        (_, _) => "unknown",
    };
    Some(Socket {
        protocol,
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        state,
        uid: fields.get(7)?.parse().ok()?,
    })
}

/// `0100007F:1F90`: the address in words of the host's byte order, the port in hexadecimal digits.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<[u8; 4]>> = (0..host.len() / 8)
        .map(|place| {
            let word = host.get(place * 8..place * 8 + 8)?;
            Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
        })
        .collect();
    let bytes = words?.concat();
    let ip: IpAddr = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
