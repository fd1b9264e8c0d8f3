//! Knocking: a single datagram from a *connected* socket, to hear what the host's kernel says.
//!
//! When a process is gone and its host is not, the host's kernel answers with ICMP "port
//! unreachable". A socket that asked for it (`IP_RECVERR`, ip(7)) is told so within a round trip,
//! and by whom: a router or a firewall on the way that says the same is not the host, and is not
//! believed.

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
    sockopt::{Ipv4RecvErr, Ipv6RecvErr},
};
use socket2::{SockFilter, SockRef};
use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd,
    time::Duration,
};
use tokio::{net::UdpSocket, time::sleep};

/// ICMP's "destination unreachable, port unreachable" (RFC 792), and the same of ICMPv6 (RFC 4443).
const UNREACHABLE_V4: (u8, u8) = (3, 3);
const UNREACHABLE_V6: (u8, u8) = (1, 4);

/// Where an error came from (`SO_EE_ORIGIN_…` of Linux).
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;

/// What is sent: shorter than anything of QUIC's.
const KNOCK: [u8; 1] = [0];

/// How long until it is listened again after something that is no error came in: nobody sends that
/// in good faith.
const PAUSE: Duration = Duration::from_millis(200);

/// Has the kernel drop the knocks at a socket before they wake whoever reads from it: that the
/// socket is there is all that they ask. Without it they are read and dropped as no QUIC.
///
/// # Errors
/// The kernel takes no filter (`SO_ATTACH_FILTER`, socket(7)).
pub(crate) fn ignored_by(socket: &std::net::UdpSocket) -> io::Result<()> {
    // Classic BPF: the length of the datagram with its header, is it a knock's?, drop, or take.
    const LOAD_LENGTH: u16 = 0x80;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const UDP_HEADER: u32 = 8;
    const KNOCK_LENGTH: u32 = UDP_HEADER + 1;
    let filter = [
        SockFilter::new(LOAD_LENGTH, 0, 0, 0),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, KNOCK_LENGTH),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    SockRef::from(socket).attach_filter(&filter)
}

/// A socket that is told what becomes of what it sends to one address.
#[derive(Debug)]
pub(crate) struct Knocker {
    socket: UdpSocket,
    host: IpAddr,
}

impl Knocker {
    /// A socket for `address`, from the address that the daemon itself uses, if it uses one.
    pub(crate) async fn new(own: IpAddr, address: SocketAddr) -> io::Result<Self> {
        let from = match address {
            SocketAddr::V4(_) if own.is_ipv4() => own,
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) if own.is_ipv6() => own,
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind(SocketAddr::new(from, 0)).await?;
        if address.is_ipv4() {
            setsockopt(&socket, Ipv4RecvErr, &true)?;
        } else {
            setsockopt(&socket, Ipv6RecvErr, &true)?;
        }
        socket.connect(address).await?;
        Ok(Self { socket, host: address.ip().to_canonical() })
    }

    /// Sends one datagram, which no QUIC endpoint takes for anything. Whether it can be sent says
    /// nothing: what came back for an earlier one may be told here.
    pub(crate) async fn knock(&self) {
        // Not `try_send`: it sends nothing on a socket that is so new that nobody has said yet
        // that it can be written to.
        if let Err(error) = self.socket.send(&KNOCK).await {
            tracing::trace!(host = %self.host, %error, "a knock");
        }
    }

    /// Returns when the host itself has said that nobody listens there.
    pub(crate) async fn refused(&self) {
        loop {
            if self.was_refused() {
                return;
            }
            let mut answer = [0; 1];
            if self.socket.recv(&mut answer).await.is_ok() {
                sleep(PAUSE).await;
            }
        }
    }

    /// Reads what the kernel has to tell, until there is no more; whether the host was among those
    /// who said it.
    pub(crate) fn was_refused(&self) -> bool {
        let mut refused = false;
        loop {
            let mut byte = [0; 1];
            let mut parts = [IoSliceMut::new(&mut byte)];
            let mut space = nix::cmsg_space!([u8; 256]);
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let fd = self.socket.as_raw_fd();
            let told = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut space), flags);
            let Ok(told) = told else { return refused };
            let Ok(messages) = told.cmsgs() else { continue };
            for message in messages {
                refused |= self.says_so(&message);
            }
        }
    }

    fn says_so(&self, message: &ControlMessageOwned) -> bool {
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "the other kinds are many, and not errors"
        )]
        match message {
            ControlMessageOwned::Ipv4RecvErr(error, Some(by)) => {
                let by = IpAddr::from(Ipv4Addr::from(u32::from_be(by.sin_addr.s_addr)));
                error.ee_origin == ORIGIN_ICMP
                    && (error.ee_type, error.ee_code) == UNREACHABLE_V4
                    && by == self.host
            }
            ControlMessageOwned::Ipv6RecvErr(error, Some(by)) => {
                let by = IpAddr::from(Ipv6Addr::from(by.sin6_addr.s6_addr)).to_canonical();
                error.ee_origin == ORIGIN_ICMP6
                    && (error.ee_type, error.ee_code) == UNREACHABLE_V6
                    && by == self.host
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_port_that_nobody_has_is_refused_by_its_host() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let any: SocketAddr = any.parse().unwrap();
            // Not every host has addresses of the newer kind.
            let Ok(socket) = UdpSocket::bind(any).await else { continue };
            let address = socket.local_addr().unwrap();
            let knocker = Knocker::new(address.ip(), address).await.unwrap();
            knocker.knock().await;
            let taken = timeout(Duration::from_millis(100), knocker.refused()).await;
            assert!(taken.is_err(), "somebody listens at {address}");
            drop(socket);
            knocker.knock().await;
            timeout(SOON, knocker.refused()).await.expect("the kernel says so");
            knocker.knock().await;
            timeout(SOON, knocker.refused()).await.expect("each time");
        }
    }
    #[tokio::test]
    async fn a_knock_wakes_nobody() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        ignored_by(&socket).unwrap();
        let knocker =
            Knocker::new(Ipv4Addr::LOCALHOST.into(), socket.local_addr().unwrap()).await.unwrap();
        knocker.knock().await;
        knocker.socket.send(b"two").await.unwrap();
        let mut got = [0; 9];
        assert_eq!(socket.recv(&mut got).unwrap(), 3, "only what came after the knock");
        drop(socket);
        knocker.knock().await;
        timeout(SOON, knocker.refused()).await.expect("the kernel says so none the less");
    }
}
