//! What the mesh looks at about itself: each peer its own disk, clock and certificate, whether it
//! keeps up with the leader, and the leader its voters.
//!
//! The daemon measures; what a measurement means is decided here. What only the leader can say
//! passes everywhere else, so that there is one incident about it and not one for each peer.

use super::{Expiry, Thresholds, Verdict};
use crate::time::format_span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which part of the mesh a peer looks at, and from where on it is worth a warning or a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MeshProbe {
    /// The file system of this peer's data directory: used space in percent, 80 and 90 unless said;
    /// and whether something can be written there, durably.
    Disk(Thresholds),
    /// How far this host's clock is off from that of the leader and of two others; 500 ms and 5 s
    /// unless said.
    Clock(Spans),
    /// How soon this peer's own certificate expires; 60 and 14 days unless said. It is renewed
    /// after half a year of the year that it lasts.
    Certificate(Expiry),
    /// How many voters the leader does not hear; a failure from one on unless said.
    Voters(Thresholds),
    /// How often the leader changed within the last ten minutes; a warning from two and a failure
    /// from four on unless said.
    Leader(Thresholds),
    /// For how long this peer has been behind the leader's log; 10 s and 30 s unless said.
    Follower(Spans),
}

impl MeshProbe {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disk(_) => "disk",
            Self::Clock(_) => "clock",
            Self::Certificate(_) => "certificate",
            Self::Voters(_) => "voters",
            Self::Leader(_) => "leader",
            Self::Follower(_) => "follower",
        }
    }

    /// What a measurement means, and one line that says so.
    pub fn judge(self, measured: &Measured) -> (Verdict, String) {
        match (self, measured) {
            (_, Measured::NotMine) => {
                (Verdict::Pass, "another peer leads and looks at it".to_owned())
            }
            (_, Measured::Nothing(reason)) => (Verdict::Unknown, reason.clone()),
            (Self::Disk(_), Measured::Disk { written: Err(reason), .. }) => {
                (Verdict::Fail, format!("nothing can be written to the data directory: {reason}"))
            }
            (Self::Disk(limits), Measured::Disk { used_percent, written: Ok(()) }) => {
                let text = format!("{used_percent} % of the data directory's space is used");
                (limits.judge(*used_percent), text)
            }
            (Self::Clock(limits), Measured::Clock { off, ahead, of }) => {
                let way = if *ahead { "ahead of" } else { "behind" };
                let text = if off.is_zero() {
                    format!("this host's clock agrees with {of} others")
                } else {
                    format!("this host's clock is {} {way} {of} others", format_span(*off))
                };
                (limits.judge(*off), text)
            }
            (Self::Certificate(limits), Measured::Certificate { left }) => {
                let text = if left.is_zero() {
                    "this peer's certificate has expired".to_owned()
                } else {
                    let days = Duration::from_secs(left.as_secs() / 86_400 * 86_400);
                    let shown = if days.is_zero() { *left } else { days };
                    format!("this peer's certificate expires in {}", format_span(shown))
                };
                (limits.judge(*left), text)
            }
            (Self::Voters(limits), Measured::Voters { unheard, of }) => {
                let count = u32::try_from(unheard.len()).unwrap_or(u32::MAX);
                let text = match unheard.as_slice() {
                    [] => format!("all {of} voters are heard"),
                    names => format!("{count} of {of} voters not heard: {}", names.join(", ")),
                };
                (limits.judge(count), text)
            }
            (Self::Leader(limits), Measured::Leader { changes }) => {
                let text = format!("the leader changed {changes} times in 10 minutes");
                (limits.judge(*changes), text)
            }
            (Self::Follower(limits), Measured::Follower { entries, behind }) => {
                let text = match entries {
                    0 => "level with the leader's log".to_owned(),
                    _ => format!(
                        "{entries} entries behind the leader, for {}",
                        format_span(Duration::from_secs(behind.as_secs()))
                    ),
                };
                (limits.judge(*behind), text)
            }
            (_, measured) => {
                (Verdict::Unknown, format!("something else was measured: {measured:?}"))
            }
        }
    }
}

/// From where on a span is worth a warning, and from where on it is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spans {
    /// A warning from here on.
    pub warn: Option<Duration>,
    /// A failure from here on.
    pub fail: Option<Duration>,
}

impl Spans {
    /// What a span is.
    pub fn judge(&self, span: Duration) -> Verdict {
        let reached = |limit: Option<Duration>| limit.is_some_and(|limit| span >= limit);
        match (reached(self.fail), reached(self.warn)) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Warn,
            (false, false) => Verdict::Pass,
        }
    }
}

/// What a daemon measured of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measured {
    /// Its data directory.
    Disk {
        /// Used space of its file system in percent, rounded up.
        used_percent: u32,
        /// Whether something could be written there durably; why not, otherwise.
        written: Result<(), String>,
    },
    /// Its host's clock.
    Clock {
        /// How far it is off at the least, whatever the way of the answers took.
        off: Duration,
        /// Whether it is ahead.
        ahead: bool,
        /// Of how many others it is the middle.
        of: usize,
    },
    /// Its certificate.
    Certificate {
        /// How long it is valid yet.
        left: Duration,
    },
    /// The voters, as the leader hears them.
    Voters {
        /// Whom it does not hear, by name.
        unheard: Vec<String>,
        /// How many there are.
        of: usize,
    },
    /// The leaders of late.
    Leader {
        /// How often another one was elected within the last ten minutes.
        changes: u32,
    },
    /// Its place in the leader's log.
    Follower {
        /// How many entries it lacks.
        entries: u64,
        /// For how long it has lacked some that the leader had all that time.
        behind: Duration,
    },
    /// The leader looks at it, and this peer is none.
    NotMine,
    /// It could not be measured, for this reason.
    Nothing(String),
}

/// How far a clock is off from others, in milliseconds, positive when it is ahead: the middle of
/// what they say, so that one wrong clock among them does not make the right ones look wrong.
///
/// Each sample is the other's clock less this one's, and how long the question and its answer took;
/// it may be wrong by half of that, which is given to this clock's credit.
pub fn clock_off(samples: &[(i64, Duration)]) -> Option<Measured> {
    let mut least: Vec<i64> = samples
        .iter()
        .map(|(difference, round_trip)| {
            let doubt = i64::try_from(round_trip.as_millis() / 2).unwrap_or(i64::MAX);
            let own = difference.saturating_neg();
            own.signum().saturating_mul(own.saturating_abs().saturating_sub(doubt).max(0))
        })
        .collect();
    least.sort_unstable();
    // Of two the one that is nearer: two that disagree do not say who is wrong.
    let middle = match least.as_slice() {
        [] => return None,
        [one, other] => {
            if one.unsigned_abs() <= other.unsigned_abs() {
                *one
            } else {
                *other
            }
        }
        several => several[several.len() / 2],
    };
    let off = Duration::from_millis(middle.unsigned_abs());
    Some(Measured::Clock { off, ahead: middle > 0, of: samples.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_disk_that_takes_nothing_fails_however_empty_it_is() {
        let probe = MeshProbe::Disk(Thresholds { warn: Some(80), fail: Some(90) });
        let disk = |used_percent, written| probe.judge(&Measured::Disk { used_percent, written });
        assert_eq!(disk(79, Ok(())).0, Verdict::Pass);
        assert_eq!(disk(85, Ok(())).0, Verdict::Warn);
        assert_eq!(disk(90, Ok(())).0, Verdict::Fail);
        let (verdict, said) = disk(10, Err("Read-only file system".to_owned()));
        assert_eq!(verdict, Verdict::Fail);
        assert!(said.ends_with("Read-only file system"), "{said}");
    }

    #[test]
    fn the_clock_is_held_against_the_middle_of_the_others() {
        let off = |samples: &[(i64, Duration)]| match clock_off(samples) {
            Some(Measured::Clock { off, ahead, .. }) => Some((off.as_millis(), ahead)),
            _ => None,
        };
        let quick = Duration::ZERO;
        assert_eq!(off(&[]), None);
        assert_eq!(off(&[(-2_000, quick)]), Some((2_000, true)));
        assert_eq!(off(&[(2_000, quick)]), Some((2_000, false)));
        assert_eq!(off(&[(2_000, 3 * SECOND)]), Some((500, false)), "half of the way is doubt");
        assert_eq!(off(&[(2_000, 5 * SECOND)]), Some((0, false)));
        // The leader's clock is wrong, not this one.
        assert_eq!(off(&[(3_600_000, quick), (3, quick), (-2, quick)]), Some((3, false)));
        assert_eq!(off(&[(3_600_000, quick), (2, quick)]), Some((2, false)));
        // This one is.
        assert_eq!(off(&[(9_000, quick), (9_001, quick), (9_002, quick)]), Some((9_001, false)));
    }

    #[test]
    fn what_only_the_leader_sees_passes_elsewhere_and_what_nobody_measured_is_unknown() {
        let probe = MeshProbe::Voters(Thresholds { warn: None, fail: Some(1) });
        assert_eq!(probe.judge(&Measured::NotMine).0, Verdict::Pass);
        let unheard = vec!["db-2".to_owned()];
        let (verdict, said) = probe.judge(&Measured::Voters { unheard, of: 3 });
        assert_eq!((verdict, said.as_str()), (Verdict::Fail, "1 of 3 voters not heard: db-2"));
        assert_eq!(probe.judge(&Measured::Voters { unheard: vec![], of: 3 }).0, Verdict::Pass);
        let (verdict, said) = probe.judge(&Measured::Nothing("no leader".to_owned()));
        assert_eq!((verdict, said.as_str()), (Verdict::Unknown, "no leader"));
        assert_eq!(probe.judge(&Measured::Leader { changes: 1 }).0, Verdict::Unknown);
    }

    #[test]
    fn a_follower_is_judged_by_how_long_it_is_behind_and_a_certificate_by_what_is_left() {
        let spans = Spans { warn: Some(10 * SECOND), fail: Some(30 * SECOND) };
        let follower = |seconds: u32| {
            let behind = SECOND * seconds;
            MeshProbe::Follower(spans).judge(&Measured::Follower { entries: 7, behind })
        };
        assert_eq!(follower(9).0, Verdict::Pass);
        assert_eq!(follower(10).0, Verdict::Warn);
        assert_eq!(
            follower(30),
            (Verdict::Fail, "7 entries behind the leader, for 30s".to_owned())
        );
        let day = 86_400 * SECOND;
        let limits = Expiry { warn: Some(60 * day), fail: Some(14 * day) };
        let certificate =
            |left| MeshProbe::Certificate(limits).judge(&Measured::Certificate { left });
        assert_eq!(certificate(61 * day).0, Verdict::Pass);
        assert_eq!(certificate(20 * day).0, Verdict::Warn);
        assert_eq!(certificate(Duration::ZERO).0, Verdict::Fail);
        let (verdict, said) = certificate(13 * day + 5 * SECOND);
        assert_eq!(verdict, Verdict::Fail);
        assert_eq!(said, "this peer's certificate expires in 13d");
        let changes = Thresholds { warn: Some(2), fail: Some(4) };
        assert_eq!(
            MeshProbe::Leader(changes).judge(&Measured::Leader { changes: 4 }).0,
            Verdict::Fail
        );
    }
}
