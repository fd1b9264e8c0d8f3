//! How many requests are let in, and whose.
//!
//! All senders together have so many a second. As long as there is plenty, everybody is let in,
//! one who is alone with all of it. When half of what may come at once is used up, each has a fair
//! part: as much as he asks for where that is little, and an equal part of the rest where it is not
//! (max-min fairness). So who sends little is let in however much others send.

use super::sender::Sender;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// So many requests may come at once, before what is left is shared out.
const BURST: f64 = 2_000.0;

/// As many are kept for those who have had less than their part.
const KEPT: f64 = 2_000.0;

/// So many a second may come for long.
const PER_SECOND: f64 = 1_000.0;

/// What a sender asked for is forgotten in so many seconds, little by little: to 1/e in each. So what
/// is remembered is what it asks for in a second.
const MEMORY: Duration = Duration::from_secs(1);

/// Of whom less than that is left is forgotten.
const FORGOTTEN: f64 = 0.01;

/// So many senders are remembered.
const SENDERS_MAX: usize = 1_000;

/// For so long a fair part is not worked out anew.
const FAIR_FOR: Duration = Duration::from_millis(50);

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoTurn {
    /// This sender has had its part.
    #[error(
        "too many requests: all senders together have {PER_SECOND} a second, and {sender} has had its part of them ({part} a second now)"
    )]
    Part {
        /// Who.
        sender: Sender,
        /// How many it is let in with in a second, rounded down.
        part: u64,
    },
    /// All senders together ask for too much.
    #[error("too many requests: all senders together have {PER_SECOND} a second")]
    All,
}

/// What a sender did lately, in requests a second.
#[derive(Debug)]
struct Lately {
    asked: f64,
    had: f64,
    at: Instant,
}

impl Lately {
    fn asked(&self, now: Instant) -> f64 {
        self.asked * left_after(now.saturating_duration_since(self.at))
    }

    fn forget(&mut self, now: Instant) {
        let left = left_after(now.saturating_duration_since(self.at));
        (self.asked, self.had, self.at) = (self.asked * left, self.had * left, now);
    }
}

fn left_after(passed: Duration) -> f64 {
    (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp()
}

/// Who may come in next.
#[derive(Debug)]
pub(super) struct Turns {
    left: f64,
    since: Instant,
    senders: BTreeMap<Sender, Lately>,
    fair: Option<(Instant, f64)>,
}

impl Turns {
    /// Nobody was there yet.
    pub(super) const fn new(now: Instant) -> Self {
        Self { left: BURST + KEPT, since: now, senders: BTreeMap::new(), fair: None }
    }

    /// A request's turn, if it may have one.
    ///
    /// # Errors
    /// [`NoTurn`].
    pub(super) fn take(&mut self, sender: &Sender, now: Instant) -> Result<(), NoTurn> {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.left = (self.left + passed * PER_SECOND).min(BURST + KEPT);
        self.since = now;
        self.make_room(sender, now);
        let first = Lately { asked: 0.0, had: 0.0, at: now };
        let lately = self.senders.entry(sender.clone()).or_insert(first);
        lately.forget(now);
        lately.asked += 1.0;
        let had = lately.had;
        if self.left < 1.0 {
            return Err(NoTurn::All);
        }
        if self.left < KEPT {
            let fair = self.fair(now);
            if had >= fair {
                #[expect(
                    clippy::as_conversions,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a part is no less than nothing and no more than all"
                )]
                let part = fair as u64;
                return Err(NoTurn::Part { sender: sender.clone(), part });
            }
        }
        self.left -= 1.0;
        if let Some(lately) = self.senders.get_mut(sender) {
            lately.had += 1.0;
        }
        Ok(())
    }

    /// How much of what all have together a sender has who wants more than that.
    fn fair(&mut self, now: Instant) -> f64 {
        if let Some((at, fair)) = self.fair
            && now.saturating_duration_since(at) < FAIR_FOR
        {
            return fair;
        }
        let fair = part(self.senders.values().map(|lately| lately.asked(now)).collect());
        self.fair = Some((now, fair));
        fair
    }

    /// Forgets somebody where one more would be too many: of whom nothing is left, or else who asked
    /// for the least.
    fn make_room(&mut self, sender: &Sender, now: Instant) {
        if self.senders.len() < SENDERS_MAX || self.senders.contains_key(sender) {
            return;
        }
        self.senders.retain(|_, lately| lately.asked(now) >= FORGOTTEN);
        if self.senders.len() < SENDERS_MAX {
            return;
        }
        let by = |(_, one): &(&Sender, &Lately), (_, other): &(&Sender, &Lately)| {
            one.asked(now).total_cmp(&other.asked(now))
        };
        if let Some(least) = self.senders.iter().min_by(by).map(|(sender, _)| sender.clone()) {
            self.senders.remove(&least);
        }
    }
}

/// Shares out what all have together: whoever asks for no more than an equal part has it, and what he
/// leaves is the others'.
fn part(mut asked: Vec<f64>) -> f64 {
    asked.sort_by(f64::total_cmp);
    let mut left = PER_SECOND;
    let mut others = u32::try_from(asked.len()).unwrap_or(u32::MAX);
    for one in asked {
        let equal = left / f64::from(others);
        if one > equal {
            return equal;
        }
        left -= one;
        others -= 1;
    }
    // There is enough for all: whoever is there now had bursts behind him.
    PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(number: u16) -> Sender {
        let [high, low] = number.to_be_bytes();
        Sender::at([10, 0, high, low].into())
    }

    /// How many requests each of these senders is let in with in the last of so many seconds, when
    /// they send so many a second each.
    fn let_in<const N: usize>(rates: [u32; N], seconds: u64) -> [u32; N] {
        const STEPS: u32 = 100;
        let mut now = Instant::now();
        let mut turns = Turns::new(now);
        let mut taken = [0; N];
        for _ in 0..seconds {
            taken = [0; N];
            for step in 0..STEPS {
                now += Duration::from_secs(1) / STEPS;
                for (number, rate) in (0_u16..).zip(rates) {
                    let until = |step: u32| rate * step / STEPS;
                    for _ in until(step)..until(step + 1) {
                        let ok = turns.take(&sender(number), now).is_ok();
                        taken[usize::from(number)] += u32::from(ok);
                    }
                }
            }
        }
        taken
    }

    #[test]
    fn one_alone_has_all_of_it() {
        let now = Instant::now();
        let mut turns = Turns::new(now);
        let mut at =
            |now: Instant| (0..5_000).filter(|_| turns.take(&sender(1), now).is_ok()).count();
        let first = at(now);
        assert!((2_000..=2_001).contains(&first), "{first}");
        let later = at(now + Duration::from_millis(100));
        assert!((100..=101).contains(&later), "{later}");
        // A thousand a second for half a minute after they were kept up: not one is sent back.
        let mut turns = Turns::new(now);
        let flood =
            (0..30_000_u32).map(|number| now + Duration::from_millis(u64::from(number).max(1_500)));
        assert!(flood.into_iter().all(|at| turns.take(&sender(1), at).is_ok()));
        let [many] = let_in([20_000], 20);
        assert!((990..=1_010).contains(&many), "{many}");
    }

    #[test]
    fn who_sends_little_is_let_in_however_much_others_send() {
        let [many, some, little] = let_in([20_000, 300, 20], 20);
        assert_eq!((some, little), (300, 20));
        assert!((600..=690).contains(&many), "{many}");
        // Two who want all of it have as much each.
        let [one, other, some] = let_in([5_000, 20_000, 100], 20);
        assert_eq!(some, 100);
        assert!((400..=500).contains(&one) && (400..=500).contains(&other), "{one} {other}");
        // Where there is enough nobody is kept out.
        assert_eq!(let_in([400, 300, 200, 50], 60), [400, 300, 200, 50]);
    }

    #[test]
    fn who_is_kept_out_is_told_whose_part_it_is() {
        let now = Instant::now();
        let mut turns = Turns::new(now);
        let refused = (0..5_000).find_map(|_| turns.take(&sender(1), now).err()).unwrap();
        assert_eq!(
            refused.to_string(),
            "too many requests: all senders together have 1000 a second, and 10.0.0.1 has had its part of them (1000 a second now)"
        );
        assert_eq!(turns.take(&sender(2), now), Ok(()), "another has not");
        // Everybody together has no more than there is.
        let taken = (3..10_000).take_while(|n| turns.take(&sender(*n), now).is_ok()).count();
        assert_eq!(taken, 1_998);
        assert_eq!(turns.take(&sender(2), now), Err(NoTurn::All));
    }

    #[test]
    fn no_more_than_so_many_are_remembered_and_the_loud_ones_longest() {
        let now = Instant::now();
        let mut turns = Turns::new(now);
        for _ in 0..3_000 {
            drop(turns.take(&sender(0), now));
        }
        for number in 1..3_000 {
            drop(turns.take(&sender(number), now));
        }
        assert_eq!(turns.senders.len(), SENDERS_MAX);
        assert!(turns.senders.contains_key(&sender(0)));
        assert!(turns.take(&sender(0), now).is_err());
        drop(turns.take(&sender(7), now + Duration::from_secs(60)));
        assert_eq!(turns.senders.len(), 1);
    }

    #[test]
    fn what_is_left_by_those_who_ask_for_little_is_the_others() {
        for (asked, fair) in [
            (vec![5_000.0], 1_000.0),
            (vec![5_000.0, 5_000.0], 500.0),
            (vec![100.0, 5_000.0], 900.0),
            (vec![100.0, 200.0, 5_000.0, 5_000.0], 350.0),
            (vec![400.0, 400.0, 400.0], 1_000.0 / 3.0),
            (vec![10.0, 10.0], 1_000.0),
            (vec![], 1_000.0),
        ] {
            assert!((part(asked.clone()) - fair).abs() < 1e-9, "{asked:?}");
        }
    }
}
