//! Every TCP and UDP socket with its state, its ends and the processes that hold it.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// One socket as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    state: &'static str,
    send_bytes: u64,
    receive_bytes: u64,
    inode: u64,
}

/// The table as text: the listening ones first.
pub(super) fn table() -> io::Result<String> {
    let holders = holders()?;
    let mut rows = Vec::new();
    for protocol in ["tcp", "tcp6", "udp", "udp6"] {
        // A host without IPv6 has no such file.
        let list = match fs::read_to_string(format!("/proc/self/net/{protocol}")) {
            Ok(list) => list,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for socket in list.lines().skip(1).filter_map(|line| parse(line, protocol)) {
            rows.push((socket.state != "LISTEN", protocol, socket));
        }
    }
    rows.sort_by_key(|(later, protocol, socket)| (*later, *protocol, socket.local));
    let mut text = format!(
        "{:<5} {:<12} {:>9} {:>9} {:<28} {:<28} PROCESS\n",
        "PROTO", "STATE", "RECV_B", "SEND_B", "LOCAL", "REMOTE"
    );
    for (_, protocol, socket) in rows {
        let Socket { local, remote, state, send_bytes, receive_bytes, inode } = socket;
        let process = holders.get(&inode).map_or("-", String::as_str);
        let written = writeln!(
            text,
            "{protocol:<5} {state:<12} {receive_bytes:>9} {send_bytes:>9} {:<28} {:<28} {process}",
            local.to_string(),
            remote.to_string()
        );
        assert!(written.is_ok(), "a string takes any text");
    }
    Ok(text)
}

/// Which processes hold which socket, as far as this user may look.
fn holders() -> io::Result<BTreeMap<u64, String>> {
    let mut holders: BTreeMap<u64, String> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Not ours to look at, or ended meanwhile.
        let Ok(files) = fs::read_dir(entry.path().join("fd")) else { continue };
        let mut name = None;
        for file in files.flatten() {
            let Ok(target) = fs::read_link(file.path()) else { continue };
            let Some(inode) = inode(&target.to_string_lossy()) else { continue };
            let name = name.get_or_insert_with(|| {
                let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                format!("{pid}/{}", name.trim_end())
            });
            let held = holders.entry(inode).or_default();
            if !held.split(' ').any(|one| one == name) {
                if !held.is_empty() {
                    held.push(' ');
                }
                held.push_str(name);
            }
        }
    }
    Ok(holders)
}

fn inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn parse(line: &str, protocol: &str) -> Option<Socket> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (send, receive) = fields.get(4)?.split_once(':')?;
    let state = u8::from_str_radix(fields.get(3)?, 16).ok()?;
    Some(Socket {
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        state: if protocol.starts_with("udp") { datagram(state) } else { stream(state) },
        send_bytes: u64::from_str_radix(send, 16).ok()?,
        receive_bytes: u64::from_str_radix(receive, 16).ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// An address as the kernel prints it: words of 32 bits in the host's own order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    if !host.len().is_multiple_of(8) {
        return None;
    }
    for word in host.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let host = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(host, port))
}

/// The names of `include/net/tcp_states.h`.
const fn stream(state: u8) -> &'static str {
    match state {
        1 => "ESTABLISHED",
        2 => "SYN_SENT",
        3 => "SYN_RECV",
        4 => "FIN_WAIT1",
        5 => "FIN_WAIT2",
        6 => "TIME_WAIT",
        7 => "CLOSE",
        8 => "CLOSE_WAIT",
        9 => "LAST_ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        12 => "NEW_SYN_RECV",
        _ => "?",
    }
}

const fn datagram(state: u8) -> &'static str {
    match state {
        1 => "CONNECTED",
        7 => "BOUND",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn the_kernels_lines_are_read() {
        let line = "   3: 0100007F:1F90 00000000:0000 0A 00000001:00000010 00:00000000 00000000  \
                    1000        0 77 1 0 100 0 0 10 0";
        let socket = parse(line, "tcp").unwrap();
        assert_eq!(socket.local.to_string(), "127.0.0.1:8080");
        assert_eq!((socket.state, socket.inode), ("LISTEN", 77));
        assert_eq!((socket.send_bytes, socket.receive_bytes), (1, 16));
        let six = address("00000000000000000000000001000000:0050").unwrap();
        assert_eq!(six.to_string(), "[::1]:80");
        assert_eq!(address("01:0050"), None);
        assert_eq!(parse("half a line", "tcp"), None);
        assert_eq!(inode("socket:[77]"), Some(77));
        assert_eq!(inode("/dev/null"), None);
    }

    #[test]
    fn a_socket_of_this_process_is_in_the_table_with_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let table = table().unwrap();
        let row = table.lines().find(|line| line.contains(&address)).unwrap();
        let own = format!("{}/", std::process::id());
        assert!(row.contains("LISTEN") && row.contains(&own), "{row}");
    }
}
