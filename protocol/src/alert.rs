//! Alerts: conditions that other systems tell of, as Prometheus, Alertmanager and Kapacitor do.
//!
//! An alert is known by its labels. Whoever sends it, and however often, it is one alert; two
//! Alertmanagers of a cluster that send the same one send one.

use crate::{codec, ledger::roster::Member, time::Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt, time::Duration};

/// The most labels of an alert.
pub const LABELS_MAX: usize = 64;

/// The most bytes that an alert's labels may have together.
pub const LABELS_BYTES_MAX: usize = 4 << 10;

/// The most bytes of a summary that are kept.
pub const SUMMARY_BYTES_MAX: usize = 400;

/// For how long an alert fires that nobody repeats and nobody ends. Alertmanager repeats every four
/// hours unless told otherwise.
pub const FIRES_FOR: Duration = Duration::from_secs(25 * 3_600);

/// The labels that say which host an alert is about, in the order in which they are looked for.
pub const HOST_LABELS: [&str; 5] = ["host", "hostname", "instance", "nodename", "node"];

/// What an alert is known by: a hash of its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertId(u64);

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What is no id of an alert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no id of an alert: it has 16 digits of 0 to f, as `hearten alert list` shows it"
)]
pub struct AlertIdError(String);

impl AlertId {
    /// Reads an id as it is shown.
    ///
    /// # Errors
    /// [`AlertIdError`].
    pub fn parse(text: &str) -> Result<Self, AlertIdError> {
        let is_one = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_one);
        number.map(Self).ok_or_else(|| AlertIdError(text.chars().take(80).collect()))
    }
}

/// A condition that another system tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What it is known by, and what it is about.
    pub labels: BTreeMap<String, String>,
    /// What its sender says of it, in a line.
    pub summary: String,
    /// Since when it fires, by its sender's clock.
    pub starts_at: Timestamp,
    /// Until when it fires unless it is told again; nothing where the sender will say so.
    pub ends_at: Option<Timestamp>,
}

/// What a request says of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// It fires.
    Fires(Alert),
    /// It fires no more, since this moment of its sender's clock.
    Ended {
        /// Which.
        alert: AlertId,
        /// Since when it had fired, by its sender's clock; nothing where that is not said, and who
        /// said that it fires does not matter.
        starts_at: Option<Timestamp>,
        /// When it ended, by its sender's clock.
        at: Timestamp,
    },
}

impl Word {
    /// Which alert it is about.
    pub fn alert(&self) -> AlertId {
        match self {
            Self::Fires(alert) => alert.id(),
            Self::Ended { alert, .. } => *alert,
        }
    }
}

/// Why an alert is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// Nothing says what it is.
    #[error("an alert needs labels: nothing else says what it is")]
    NoLabels,
    /// It has too many labels, or too long ones.
    #[error(
        "its labels are too many or too long: {LABELS_MAX} of {LABELS_BYTES_MAX} bytes together \
         are taken"
    )]
    TooLarge,
}

impl Alert {
    /// An alert as it was told. A label without a value is none, and a long summary is shortened.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn new(
        mut labels: BTreeMap<String, String>,
        summary: &str,
        starts_at: Timestamp,
        ends_at: Option<Timestamp>,
    ) -> Result<Self, AlertError> {
        labels.retain(|_, value| !value.is_empty());
        let bytes: usize = labels.iter().map(|(key, value)| key.len() + value.len()).sum();
        if labels.is_empty() {
            return Err(AlertError::NoLabels);
        }
        if labels.len() > LABELS_MAX || bytes > LABELS_BYTES_MAX {
            return Err(AlertError::TooLarge);
        }
        let line = summary.lines().next().unwrap_or_default();
        let mut end = line.len().min(SUMMARY_BYTES_MAX);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        Ok(Self { labels, summary: line[..end].trim().to_owned(), starts_at, ends_at })
    }

    /// What it is known by.
    pub fn id(&self) -> AlertId {
        let hash = Sha256::digest(codec::encode(&self.labels));
        let mut bits = [0; 8];
        bits.copy_from_slice(&hash[..8]);
        AlertId(u64::from_be_bytes(bits))
    }

    /// Whether it is as small as one that was made by [`Alert::new`].
    pub(crate) fn is_small(&self) -> bool {
        let remade = Self::new(self.labels.clone(), &self.summary, self.starts_at, self.ends_at);
        remade.is_ok_and(|remade| remade == *self)
    }

    /// What this label says, or the first that is there of the usual ones: the host.
    pub fn host(&self, label: Option<&str>) -> Option<&str> {
        let told = match label {
            Some(label) => self.labels.get(label),
            None => HOST_LABELS.iter().find_map(|label| self.labels.get(*label)),
        };
        told.map(String::as_str)
    }

    /// What a person is told: its name and what its sender says.
    pub fn in_words(&self) -> String {
        let name = self.labels.get("alertname").map_or("an alert", String::as_str);
        let since = self.starts_at;
        match self.summary.as_str() {
            "" => format!("{name} fires since {since}"),
            summary => format!("{name} fires since {since}: {summary}"),
        }
    }
}

/// Whether this is the peer: its name, with or without the rest of a domain, or its address, with or
/// without a port.
pub fn names(told: &str, member: &Member) -> bool {
    let address = member.card.address.ip();
    let host = without_port(told);
    let short = host.split('.').next().unwrap_or(host);
    let name = member.card.name.as_str();
    let also = member.card.labels.get("hostname").map(String::as_str);
    let is = |known: &str| known.eq_ignore_ascii_case(host) || known.eq_ignore_ascii_case(short);
    // The first part of an address is no name.
    match host.parse::<std::net::IpAddr>() {
        // A guest may have none.
        Ok(told) => told == address && !address.is_unspecified(),
        Err(_no_address) => is(name) || also.is_some_and(is),
    }
}

/// `10.0.0.1:9100`, `[::1]:9100`, `web-1:9100` and `http://web-1:9100/metrics` without what is
/// around the host.
pub fn without_port(told: &str) -> &str {
    let told = told.split_once("://").map_or(told, |(_scheme, rest)| rest);
    let told = told.split('/').next().unwrap_or(told);
    if let Some((host, _port)) = told.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return host;
    }
    match told.split_once(':') {
        // More than one colon: an IPv6 address that stands alone.
        Some((host, port)) if !port.contains(':') => host,
        Some(_) | None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn alert(pairs: &[(&str, &str)]) -> Alert {
        Alert::new(labels(pairs), "", Timestamp::from_millis(1), None).unwrap()
    }

    #[test]
    fn it_is_known_by_its_labels_alone() {
        let one = alert(&[("alertname", "Down"), ("instance", "web-1")]);
        let mut again = one.clone();
        again.summary = "other words".to_owned();
        again.starts_at = Timestamp::from_millis(9);
        assert_eq!(one.id(), again.id());
        assert_eq!(AlertId::parse(&one.id().to_string()), Ok(one.id()));
        for wrong in ["", "7", "INC-42", "+23456789abcdef0", "0123456789abcdefa"] {
            assert!(AlertId::parse(wrong).is_err(), "{wrong}");
        }
        assert_ne!(one.id(), alert(&[("alertname", "Down"), ("instance", "web-2")]).id());
        // What stands in the key cannot be moved into the value.
        assert_ne!(alert(&[("a", "bc")]).id(), alert(&[("ab", "c")]).id());
    }

    #[test]
    fn what_is_around_the_host_is_taken_off() {
        for (told, host) in [
            ("web-1", "web-1"),
            ("web-1:9100", "web-1"),
            ("10.0.0.1:9100", "10.0.0.1"),
            ("[fd00::1]:9100", "fd00::1"),
            ("fd00::1", "fd00::1"),
            ("http://web-1:9100/metrics", "web-1"),
            ("", ""),
        ] {
            assert_eq!(without_port(told), host, "{told}");
        }
    }

    #[test]
    fn what_says_nothing_or_too_much_is_not_taken() {
        let at = Timestamp::from_millis(1);
        assert_eq!(Alert::new(BTreeMap::new(), "", at, None), Err(AlertError::NoLabels));
        assert_eq!(Alert::new(labels(&[("a", "")]), "", at, None), Err(AlertError::NoLabels));
        let long = "x".repeat(LABELS_BYTES_MAX);
        assert_eq!(Alert::new(labels(&[("a", &long)]), "", at, None), Err(AlertError::TooLarge));
        let told = Alert::new(labels(&[("a", "b")]), &"ä".repeat(400), at, None).unwrap();
        assert_eq!(told.summary.len(), SUMMARY_BYTES_MAX);
        assert!(told.is_small());
    }
}
