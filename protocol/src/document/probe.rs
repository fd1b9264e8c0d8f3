//! The kinds of probe: how a check finds its answer.

use super::{Command, MeshProbe, Pattern, Selector, Setting, Verdict};
use crate::{
    alert::{self, Alert},
    heartbeat::Reservation,
    ledger::roster::Member,
    name::Name,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How a check finds its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    /// A program with the monitoring-plugin exit codes: 0 pass, 1 warn, 2 fail, 3 unknown.
    Command(Command),
    /// An HTTP request and what must be answered.
    Http(HttpProbe),
    /// A TCP connection that must come about.
    Tcp {
        /// `HOST:PORT`.
        address: String,
    },
    /// How many processes of a kind there are.
    Process(ProcessProbe),
    /// A systemd unit that must be active.
    Unit(String),
    /// How full a file system is.
    Disk(DiskProbe),
    /// How much of the memory is used, in percent; what the kernel could free counts as free.
    Memory(Thresholds),
    /// The load average for each processor.
    Load(LoadProbe),
    /// A file that must exist and be young enough.
    File(FileProbe),
    /// An executable that speaks JSON: it scans, analyses and heals.
    Plugin(PluginProbe),
    /// What another check says on a group of peers. No peer runs it: whoever leads counts.
    Aggregate(AggregateProbe),
    /// What the mesh looks at about itself.
    Mesh(MeshProbe),
    /// An alert of another system about this host: it fails while one fires.
    Alert(AlertProbe),
    /// Jobs that must check in. No peer runs it: whoever leads looks at the ledger.
    Heartbeat(HeartbeatProbe),
}

/// Jobs that must check in, and when it is told that they do not or fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatProbe {
    /// Which jobs.
    pub jobs: Jobs,
    /// For how long a job must have failed without a break before that is told; at once unless said.
    /// One that is missed had its grace.
    pub failing_for: Duration,
    /// After how long in which nothing was told of it a job is forgotten that no document declares;
    /// never unless said.
    pub forget_after: Option<Duration>,
    /// SHA-256 of the UUID by which the job may be pinged that this document declares, as an address
    /// has it: 32 digits in lower case, with hyphens.
    pub uuid: Option<[u8; 32]>,
}

/// Which jobs a check is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Jobs {
    /// This one, which it declares.
    Job(Box<Reservation>),
    /// Those that were reserved with such labels.
    Those(Selector),
}

impl Probe {
    /// The word for it, which is also its key: `command`, `http`, …
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Http(_) => "http",
            Self::Tcp { .. } => "tcp",
            Self::Process(_) => "process",
            Self::Unit(_) => "unit",
            Self::Disk(_) => "disk",
            Self::Memory(_) => "memory",
            Self::Load(_) => "load",
            Self::File(_) => "file",
            Self::Plugin(_) => "plugin",
            Self::Aggregate(_) => "aggregate",
            Self::Mesh(_) => "mesh",
            Self::Alert(_) => "alert",
            Self::Heartbeat(_) => "heartbeat",
        }
    }
}

/// Which alerts a check is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertProbe {
    /// What their labels must be.
    pub labels: Selector,
    /// Which label names the host.
    pub host: HostLabel,
}

/// Which label of an alert names the host that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostLabel {
    /// The first that is there of [`crate::alert::HOST_LABELS`].
    Usual,
    /// This one.
    Named(String),
    /// None: such alerts are about whoever the check is for.
    Any,
    /// A part of it: the first group of what the pattern fits, all of what it fits where it has no
    /// group, no host where it does not fit.
    Part {
        /// Of this one, or of the first that is there of the usual ones.
        label: Option<String>,
        /// What names the host in it.
        pattern: Pattern,
    },
}

impl AlertProbe {
    /// Whether an alert is one of these, and about this member.
    pub fn fits(&self, alert: &Alert, member: &Member) -> bool {
        let host = match &self.host {
            HostLabel::Any => return self.labels.fits(&alert.labels),
            HostLabel::Usual => alert.host(None),
            HostLabel::Named(label) => alert.host(Some(label)),
            HostLabel::Part { label, pattern } => {
                alert.host(label.as_deref()).and_then(|told| pattern.part(told))
            }
        };
        host.is_some_and(|host| alert::names(host, member)) && self.labels.fits(&alert.labels)
    }
}

/// An HTTP request and what must be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpProbe {
    /// The address, `http://…` or `https://…`.
    pub url: String,
    /// The status that passes; 200 unless said.
    pub status: u16,
    /// What the body must hold.
    pub body: Option<TextMatch>,
    /// How long before its certificate expires the answer is no good any more.
    pub tls_expires_within: Option<Expiry>,
}

/// What a text must be like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextMatch {
    /// It holds this.
    Contains(String),
    /// This pattern fits it or a part of it.
    Matches(Pattern),
}

impl TextMatch {
    /// Whether the text is like that.
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Self::Contains(part) => text.contains(part),
            Self::Matches(pattern) => pattern.fits(text),
        }
    }
}

/// How long before it expires a certificate is worth a warning, and when it is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// A warning from here on.
    pub warn: Option<Duration>,
    /// A failure from here on.
    pub fail: Option<Duration>,
}

impl Expiry {
    /// What a certificate is that expires so soon; nothing left is a failure in any case.
    pub fn judge(&self, left: Duration) -> Verdict {
        let within = |limit: Option<Duration>| limit.is_some_and(|limit| left <= limit);
        if left.is_zero() || within(self.fail) {
            Verdict::Fail
        } else if within(self.warn) {
            Verdict::Warn
        } else {
            Verdict::Pass
        }
    }
}

/// How many processes of a kind there must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessProbe {
    /// Their name, as the kernel has it (of 15 characters at the most) or as the program's file is
    /// called.
    pub name: Option<String>,
    /// A pattern of the command line.
    pub pattern: Option<Pattern>,
    /// The user that they run as, by name or number.
    pub user: Option<String>,
    /// At least so many; 1 unless said.
    pub min: u32,
    /// At most so many; any number unless said.
    pub max: Option<u32>,
}

impl ProcessProbe {
    /// What so many processes are.
    pub fn judge(&self, count: u32) -> Verdict {
        let enough = count >= self.min && self.max.is_none_or(|max| count <= max);
        if enough { Verdict::Pass } else { Verdict::Fail }
    }
}

/// From where on a number is worth a warning, and from where on it is a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// A warning from here on.
    pub warn: Option<u32>,
    /// A failure from here on.
    pub fail: Option<u32>,
}

impl Thresholds {
    /// What a number is.
    pub fn judge(&self, number: u32) -> Verdict {
        let reached = |limit: Option<u32>| limit.is_some_and(|limit| number >= limit);
        match (reached(self.fail), reached(self.warn)) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Warn,
            (false, false) => Verdict::Pass,
        }
    }
}

/// How full a file system may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskProbe {
    /// Any path on it.
    pub path: String,
    /// Used space in percent of what ordinary users may use; 80 and 90 unless said.
    pub used: Thresholds,
    /// Used inodes in percent; 80 and 90 unless said.
    pub inodes: Thresholds,
}

/// How high the load may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadProbe {
    /// For each processor, in hundredths; 200 and 400 unless said.
    pub per_cpu_hundredths: Thresholds,
    /// Averaged over so many minutes: 1, 5 or 15; 5 unless said.
    pub minutes: u32,
}

/// A file that must exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileProbe {
    /// Where.
    pub path: String,
    /// How long ago it may have been written at the most; any time unless said.
    pub max_age: Option<Duration>,
    /// The least that it must hold, in bytes; nothing unless said.
    pub min_bytes: u32,
}

/// An executable that scans, analyses and heals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginProbe {
    /// The executable and its arguments.
    pub argv: Vec<String>,
    /// What it is told, as its operator wrote it.
    pub settings: BTreeMap<String, Setting>,
    /// Which facts of the host it is told.
    pub facts: BTreeSet<FactKind>,
}

/// A kind of facts about a host, collected once for all who ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FactKind {
    /// The process table.
    Processes,
    /// The systemd units.
    Units,
    /// The file systems that are mounted.
    Filesystems,
    /// The TCP and UDP sockets.
    Sockets,
}

impl FactKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Processes, Self::Units, Self::Filesystems, Self::Sockets];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Units => "units",
            Self::Filesystems => "filesystems",
            Self::Sockets => "sockets",
        }
    }
}

/// How many peers of the group another check must pass on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateProbe {
    /// The check that is counted.
    pub check: Name,
    /// How many.
    pub quorum: Quorum,
}

/// How many of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quorum {
    /// So many.
    AtLeast(u32),
    /// So many of a hundred.
    AtLeastPercent(u32),
}

impl Quorum {
    /// How many of a group of this size are needed.
    pub fn of(self, size: u32) -> u32 {
        match self {
            Self::AtLeast(count) => count,
            Self::AtLeastPercent(percent) => {
                let needed = u64::from(size).saturating_mul(u64::from(percent)).div_ceil(100);
                u32::try_from(needed).unwrap_or(u32::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_reaches_a_limit_is_beyond_it() {
        let thresholds = Thresholds { warn: Some(80), fail: Some(90) };
        assert_eq!(thresholds.judge(79), Verdict::Pass);
        assert_eq!(thresholds.judge(80), Verdict::Warn);
        assert_eq!(thresholds.judge(90), Verdict::Fail);
        assert_eq!(Thresholds { warn: None, fail: Some(90) }.judge(89), Verdict::Pass);
    }

    #[test]
    fn an_expired_certificate_fails_whatever_is_said() {
        let day = Duration::from_secs(86_400);
        let expiry = Expiry { warn: Some(21 * day), fail: Some(7 * day) };
        assert_eq!(expiry.judge(30 * day), Verdict::Pass);
        assert_eq!(expiry.judge(20 * day), Verdict::Warn);
        assert_eq!(expiry.judge(7 * day), Verdict::Fail);
        assert_eq!(Expiry { warn: Some(day), fail: None }.judge(Duration::ZERO), Verdict::Fail);
    }

    #[test]
    fn a_share_is_rounded_up() {
        assert_eq!(Quorum::AtLeastPercent(51).of(2), 2);
        assert_eq!(Quorum::AtLeastPercent(50).of(4), 2);
        assert_eq!(Quorum::AtLeastPercent(34).of(3), 2);
        assert_eq!(Quorum::AtLeast(2).of(1), 2);
        assert_eq!(Quorum::AtLeastPercent(100).of(0), 0);
    }
}
