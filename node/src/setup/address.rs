//! Where a host listens and where the others reach it.

use super::SetupError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

/// An address of a documentation network (RFC 5737): a route to it is the default route, and
/// choosing a route sends nothing.
const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// The addresses behind a peer's `HOST:PORT`.
///
/// # Errors
/// [`SetupError::BadAddress`] when it is not of that form or no name server knows it.
pub fn resolve(text: &str) -> Result<Vec<SocketAddr>, SetupError> {
    let refusal = |reason: String| SetupError::BadAddress { text: text.to_owned(), reason };
    let found: Vec<SocketAddr> =
        text.to_socket_addrs().map_err(|error| refusal(error.to_string()))?.collect();
    if found.is_empty() { Err(refusal("it has no address".to_owned())) } else { Ok(found) }
}

/// Where the others reach this host: as the operator says; else where it listens; else the local
/// address from which it reaches `peer`, or the world.
///
/// # Errors
/// [`SetupError::NoAddress`] when none is found.
pub fn advertise(
    given: Option<SocketAddr>,
    listen: SocketAddr,
    peer: Option<SocketAddr>,
) -> Result<SocketAddr, SetupError> {
    if let Some(given) = given {
        return if given.ip().is_unspecified() { Err(SetupError::NoAddress) } else { Ok(given) };
    }
    if !listen.ip().is_unspecified() {
        return Ok(listen);
    }
    let local = local_address_to(peer.unwrap_or(ELSEWHERE)).ok_or(SetupError::NoAddress)?;
    // A host that joins over loopback is reached over loopback; a founder has to be reachable.
    if local.is_loopback() && peer.is_none() {
        return Err(SetupError::NoAddress);
    }
    Ok(SocketAddr::new(local, listen.port()))
}

/// The address to be told to the others, once it is known which port is really listened on.
pub const fn bound(advertise: SocketAddr, really: SocketAddr) -> SocketAddr {
    if advertise.port() == 0 { SocketAddr::new(advertise.ip(), really.port()) } else { advertise }
}

fn local_address_to(there: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match there {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(there).ok()?;
    socket.local_addr().ok().map(|local| local.ip()).filter(|local| !local.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_others_are_told_an_address_that_leads_here() {
        let any = at("0.0.0.0:4327");
        assert_eq!(advertise(Some(at("10.0.0.5:1")), any, None).unwrap(), at("10.0.0.5:1"));
        assert_eq!(advertise(None, at("127.0.0.1:7"), None).unwrap(), at("127.0.0.1:7"));
        let near = advertise(None, any, Some(at("127.0.0.1:9"))).unwrap();
        assert_eq!(near, at("127.0.0.1:4327"));
        assert!(matches!(advertise(Some(any), any, None), Err(SetupError::NoAddress)));
    }

    #[test]
    fn an_open_port_follows_the_one_really_listened_on() {
        assert_eq!(bound(at("10.0.0.5:0"), at("0.0.0.0:5555")), at("10.0.0.5:5555"));
        assert_eq!(bound(at("10.0.0.5:80"), at("0.0.0.0:5555")), at("10.0.0.5:80"));
    }

    #[test]
    fn a_peers_address_is_host_and_port() {
        assert_eq!(resolve("127.0.0.1:4327").unwrap(), [at("127.0.0.1:4327")]);
        for bad in ["127.0.0.1", "", ":", "127.0.0.1:99999"] {
            assert!(resolve(bad).is_err(), "{bad}");
        }
    }
}
