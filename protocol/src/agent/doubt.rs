//! A peer that is itself slow does not trust what it sees.
//!
//! Whoever was stopped for ten seconds finds everybody silent for ten seconds, and is wrong about
//! all of them. So a peer that was late itself (its loop was not woken in time, its gossip missed
//! its turn), or hears none of those that it watches, discards its verdicts for a while, abstains
//! as a witness, and says so in its report.

use std::time::Duration;

/// How late the loop may be woken: two rounds of the watch.
pub const LATE: Duration = Duration::from_millis(400);

/// For how long a peer that was slow discards its verdicts: until it has heard of the others again.
pub const WINDOW: Duration = Duration::from_secs(3);

/// The fact of the report that says it.
pub const FACT: &str = "doubts_itself";

/// Whether this peer trusts itself.
#[derive(Debug, Clone, Default)]
pub struct Doubt {
    /// When the loop is to be woken at the latest.
    wake_by: Option<Duration>,
    until: Option<Duration>,
    why: String,
    /// How often it has begun to.
    pub times: u64,
}

impl Doubt {
    /// The loop is awake. Returns whether it was so late that what it is told may be stale.
    pub(super) fn awake(&mut self, mono: Duration) -> bool {
        let late = self.wake_by.map_or(Duration::ZERO, |by| mono.saturating_sub(by));
        let is_late = late > LATE;
        if is_late {
            let millis = late.as_millis();
            self.begin(mono, format!("its loop was woken {millis} ms late"));
        }
        is_late
    }

    /// The loop sleeps until then at the longest.
    pub(super) const fn sleeps(&mut self, until: Duration) {
        self.wake_by = Some(until);
    }

    /// There is cause to doubt, from now on for a while.
    pub(super) fn begin(&mut self, mono: Duration, why: String) {
        if !self.is_on(mono) {
            self.times += 1;
            self.why = why;
        }
        self.until = Some(mono + WINDOW);
    }

    /// Whether this peer doubts itself now.
    pub fn is_on(&self, mono: Duration) -> bool {
        self.until.is_some_and(|until| mono < until)
    }

    /// Why, while it does.
    pub fn why(&self, mono: Duration) -> Option<&str> {
        self.is_on(mono).then_some(self.why.as_str())
    }

    /// When it will have passed.
    pub(super) fn until(&self) -> Option<Duration> {
        self.until
    }

    /// Forgets a doubt that has passed; returns whether there was one.
    pub(super) fn pass(&mut self, mono: Duration) -> bool {
        let over = self.until.is_some_and(|until| mono >= until);
        if over {
            self.until = None;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn who_was_late_doubts_itself_for_a_while() {
        let mut doubt = Doubt::default();
        assert!(!doubt.awake(ms(5_000)), "nobody said when");
        doubt.sleeps(ms(6_000));
        assert!(!doubt.awake(ms(6_400)), "as late as is borne");
        doubt.sleeps(ms(7_000));
        assert!(doubt.awake(ms(17_000)));
        assert_eq!(doubt.why(ms(17_000)), Some("its loop was woken 10000 ms late"));
        assert!(doubt.is_on(ms(19_999)));
        assert!(!doubt.pass(ms(19_999)));
        assert!(!doubt.is_on(ms(20_000)));
        assert!(doubt.pass(ms(20_000)) && !doubt.pass(ms(20_001)));
        assert_eq!(doubt.times, 1);
    }

    #[test]
    fn a_new_cause_prolongs_it() {
        let mut doubt = Doubt::default();
        doubt.begin(ms(1_000), "first".to_owned());
        doubt.begin(ms(3_000), "second".to_owned());
        assert_eq!(doubt.why(ms(5_000)), Some("first"));
        assert_eq!(doubt.times, 1);
    }
}
