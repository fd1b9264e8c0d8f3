//! Who sends something: what is bounded is bounded for each of them, so that one who is noisy or in
//! a loop leaves room for the others.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use std::{
    convert::Infallible,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The bits of an IPv6 address that are one host's network: it has all of the rest to itself.
const NETWORK_BITS: u32 = 64;

/// Who sends something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sender {
    /// Who bears the token of this name.
    Token(String),
    /// The job of this name, by its own address.
    Job(String),
    /// Whoever else is there: an address, of IPv6 the network.
    Address(IpAddr),
}

impl Sender {
    /// Somebody of whom no more is known than where he is.
    pub(super) fn at(from: IpAddr) -> Self {
        Self::Address(match from.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) if address == Ipv6Addr::LOCALHOST => address.into(),
            IpAddr::V6(address) => {
                let network = address.to_bits() >> NETWORK_BITS << NETWORK_BITS;
                Ipv6Addr::from_bits(network).into()
            }
        })
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(name) => write!(f, "who bears the token of {name:?}"),
            Self::Job(name) => write!(f, "job {name:?}"),
            Self::Address(address @ IpAddr::V4(_)) => write!(f, "{address}"),
            Self::Address(address @ IpAddr::V6(_)) => write!(f, "{address}/{NETWORK_BITS}"),
        }
    }
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct From(pub(super) IpAddr);

/// What a request says of who sends it.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// Where it comes from.
    pub(super) from: IpAddr,
}

impl Caller {
    /// Who sends it, as long as no more is known.
    pub(super) fn sender(&self) -> Sender {
        Sender::at(self.from)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _shared: &S) -> Result<Self, Infallible> {
        // Each connection says where it comes from; one that did not would be like all such.
        let from = parts.extensions.get::<From>();
        let from = from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |from| from.0);
        Ok(Self { headers: parts.headers.clone(), from })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_ipv6_a_network_is_one_sender() {
        let at = |text: &str| Sender::at(text.parse().unwrap());
        assert_eq!(at("2001:db8:0:1::7"), at("2001:db8:0:1:ffff::9"));
        assert_ne!(at("2001:db8:0:1::7"), at("2001:db8:0:2::7"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
        assert_ne!(at("::1"), at("::2"));
        assert_eq!(at("2001:db8:0:1::7").to_string(), "2001:db8:0:1::/64");
    }
}
