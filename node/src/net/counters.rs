//! What was refused and dropped, by reason; and a log that cannot be flooded from outside.

use super::lock;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Each reason is told at most this often; in between it is only counted.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A number that only rises.
#[derive(Debug)]
pub(crate) struct Counter {
    name: &'static str,
    total: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Counter {
    const fn new(name: &'static str) -> Self {
        Self { name, total: AtomicU64::new(0), told: Mutex::new(None) }
    }

    pub(crate) fn add(&self, number: usize) {
        self.total.fetch_add(u64::try_from(number).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts one refusal, and tells about it unless that was done a moment ago.
    pub(crate) fn refused(&self, who: impl fmt::Display, detail: impl fmt::Display) {
        self.add(1);
        let now = Instant::now();
        let tell = {
            let mut told = lock(&self.told);
            let due = told.is_none_or(|last| now.duration_since(last) >= TELL_EVERY);
            if due {
                *told = Some(now);
            }
            due
        };
        let total = self.total.load(Ordering::Relaxed);
        if tell {
            tracing::warn!(reason = self.name, %who, %detail, total, "refused on the network");
        } else {
            tracing::debug!(reason = self.name, %who, %detail, total, "refused on the network");
        }
    }
}

macro_rules! counters {
    ($($name:ident: $what:literal,)+) => {
        /// The counters of one endpoint.
        #[derive(Debug)]
        pub(crate) struct Counters {
            $(#[doc = $what] pub(crate) $name: Counter,)+
        }

        impl Default for Counters {
            fn default() -> Self {
                Self { $($name: Counter::new(stringify!($name)),)+ }
            }
        }

        impl Counters {
            /// All of them by name.
            pub(crate) fn snapshot(&self) -> BTreeMap<&'static str, u64> {
                [$(&self.$name,)+]
                    .into_iter()
                    .map(|counter| (counter.name, counter.total.load(Ordering::Relaxed)))
                    .collect()
            }
        }
    };
}

counters! {
    bytes_received: "Bytes of frames that came in.",
    bytes_sent: "Bytes of frames that went out.",
    cut_off: "Open connections closed because their peer left the roster.",
    dial_failed: "Connections that could not be made.",
    foreign_certificate: "Certificates that do not lead to this mesh's root.",
    handshake_failed: "Handshakes of callers that failed.",
    handshake_timeout: "Handshakes that were not finished in time.",
    join_misused: "Applicants that did anything but ask once.",
    misplaced_stream: "Streams of a kind that has no place where they were opened.",
    not_a_member: "Connections for members whose caller was not one.",
    not_in_roster: "Members of this mesh that are not, or no longer, in the roster.",
    oversized_frame: "Frames larger than their kind allows.",
    own_name: "Callers that bear this peer's own name.",
    probe_unanswered: "Probes that the daemon did not want answered.",
    retry_demanded: "Callers told to prove their address first.",
    slow_stream: "Streams whose message did not arrive in time.",
    too_many_connections: "Connections closed because one peer had too many.",
    too_many_handshakes: "Callers ignored because too many were under way.",
    too_many_joins: "Applicants turned away because too many were under way.",
    unknown_kind: "Streams of an unknown kind.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_counted_by_name() {
        let counters = Counters::default();
        counters.own_name.refused("peer", "detail");
        counters.own_name.refused("peer", "detail");
        counters.bytes_sent.add(10);
        let snapshot = counters.snapshot();
        assert_eq!(snapshot["own_name"], 2);
        assert_eq!(snapshot["bytes_sent"], 10);
        assert_eq!(snapshot["cut_off"], 0);
    }
}
