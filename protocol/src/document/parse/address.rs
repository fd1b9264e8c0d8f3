//! Addresses as operators write them: URLs of HTTP and `HOST:PORT`.
//!
//! Only what would surely fail later is refused here; whether anybody answers is for the check to
//! find out.

use super::reader::Reader;
use crate::document::problem::quoted;

/// The longest address; longer ones are refused by many servers.
const ADDRESS_BYTES_MAX: usize = 2_048;

impl Reader<'_, '_> {
    /// A URL of HTTP, if the key is there.
    pub(super) fn url(&mut self, key: &'static str) -> Option<String> {
        let text = self.text(key)?;
        self.address(key, text, url_fault(text), "http://HOST/PATH")
    }

    /// `HOST:PORT`, if the key is there.
    pub(super) fn host_and_port(&mut self, key: &'static str) -> Option<String> {
        let text = self.text(key)?;
        let fault = if text.contains('/') {
            Some("it is no URL but HOST:PORT")
        } else {
            authority_fault(text, Port::Needed)
        };
        self.address(key, text, fault, "HOST:PORT")
    }

    /// `HOST` or `HOST:PORT`, if the key is there: the host without its brackets, and the port.
    pub(super) fn host_and_maybe_port(
        &mut self,
        key: &'static str,
        usual: u16,
    ) -> Option<(String, u16)> {
        let text = self.text(key)?;
        let fault = if text.contains('/') {
            Some("it is no URL but HOST or HOST:PORT")
        } else {
            authority_fault(text, Port::Optional)
        };
        let address = self.address(key, text, fault, &format!("HOST:{usual}"))?;
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(usual)),
            Some(_) | None => (address.as_str(), usual),
        };
        Some((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
    }

    fn address(
        &mut self,
        key: &'static str,
        text: &str,
        fault: Option<&str>,
        example: &str,
    ) -> Option<String> {
        let fault = if text.len() > ADDRESS_BYTES_MAX {
            Some("it is too long")
        } else if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            Some("it holds blanks, backslashes or control characters")
        } else {
            fault
        };
        let Some(fault) = fault else { return Some(text.to_owned()) };
        let message = format!("\"{key}\" = {} is no address: {fault}", quoted(text));
        self.complain(key, &message, Some(format!("write {key} = \"{example}\"")));
        None
    }
}

fn url_fault(text: &str) -> Option<&'static str> {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return Some("it begins with neither http:// nor https://");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    authority_fault(host, Port::Optional)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Needed,
    Optional,
}

fn authority_fault(text: &str, needed: Port) -> Option<&'static str> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else {
            return Some("its \"[\" is not closed");
        };
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Some("what stands in brackets is no IPv6 address");
        }
        if !port.is_empty() && !port.starts_with(':') {
            return Some("something follows its \"]\"");
        }
        (host, port.strip_prefix(':'))
    } else {
        match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Some("an IPv6 address stands in brackets");
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Some("it names no host");
    }
    match port {
        None if needed == Port::Needed => Some("it names no port"),
        None => None,
        Some(port) => {
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let number = port.parse::<u16>().unwrap_or(0);
            if digits && number > 0 { None } else { Some("its port is not 1 to 65535") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_scheme_a_host_and_perhaps_a_port() {
        for good in [
            "http://127.0.0.1:9099/hook",
            "https://example.org",
            "http://[::1]:80/",
            "https://user:secret@example.org/a?b#c",
            "http://example.org?x=/y",
        ] {
            assert_eq!(url_fault(good), None, "{good}");
        }
        for bad in [
            "",
            "example.org",
            "ftp://example.org",
            "http://",
            "http:///path",
            "http://:80",
            "http://a:0",
            "http://a:65536",
            "http://a:+80",
            "http://[::1",
            "http://[x]",
            "http://::1",
            "http://[::1]80",
            "http://user@/",
        ] {
            assert!(url_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_tcp_address_has_a_host_and_a_port() {
        for good in ["localhost:22", "10.0.0.1:65535", "[fe80::1]:22"] {
            assert_eq!(authority_fault(good, Port::Needed), None, "{good}");
        }
        for bad in ["", "localhost", ":22", "localhost:", "localhost:ssh", "::1:22", "[::1]"] {
            assert!(authority_fault(bad, Port::Needed).is_some(), "{bad}");
        }
    }
}
