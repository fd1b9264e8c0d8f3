//! Since when this peer knows of each attempt that may still act, by its own monotonic clock.
//!
//! The log's time is stamped by wall clocks, and one that jumps ahead takes it along: everything
//! that has a deadline would seem to be over. An attempt is given up only when this host, too, has
//! waited for as long as it was given, so that no jump makes a rung be executed beside another.

use crate::name::IncidentId;
use std::{collections::BTreeMap, time::Duration};

/// When this peer first knew of each attempt that may still act.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(BTreeMap<(IncidentId, u32), Duration>);

impl Watch {
    /// Takes over which attempts may still act: new ones are waited for from now on.
    pub(in crate::agent) fn see(
        &mut self,
        in_flight: impl Iterator<Item = (IncidentId, u32)>,
        mono: Duration,
    ) {
        let mut before = std::mem::take(&mut self.0);
        self.0 = in_flight.map(|key| (key, before.remove(&key).unwrap_or(mono))).collect();
    }

    /// Whether an attempt has been waited for as long as this.
    pub(super) fn has_lasted(
        &self,
        attempt: (IncidentId, u32),
        span: Duration,
        mono: Duration,
    ) -> bool {
        self.0.get(&attempt).is_some_and(|since| mono >= since.saturating_add(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_waited_for_from_when_it_was_first_known() {
        let second = Duration::from_secs;
        let (one, other) = ((IncidentId(1), 1), (IncidentId(2), 1));
        let mut watch = Watch::default();
        assert!(!watch.has_lasted(one, Duration::ZERO, second(9)), "nobody knows of it");
        watch.see([one].into_iter(), second(10));
        watch.see([one, other].into_iter(), second(14));
        assert!(watch.has_lasted(one, second(5), second(15)));
        assert!(!watch.has_lasted(other, second(5), second(15)));
        watch.see([other].into_iter(), second(20));
        assert!(!watch.has_lasted(one, Duration::ZERO, second(99)), "it has ended");
        assert!(watch.has_lasted(other, second(5), second(20)));
    }
}
