//! A story made smaller: fewer peers, shorter, without some of its faults. What a failure is shrunk
//! to, and what the command line that replays it says.

use crate::scenario::Scenario;
use std::{collections::BTreeSet, fmt, time::Duration};

/// What is left out of a story.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reduction {
    /// Only so many of the first peers.
    pub(crate) peers: Option<usize>,
    /// Every fault is healed after so long.
    pub(crate) lasts: Option<Duration>,
    /// The faults by chance that do not come about, by their place in the order in which they are
    /// drawn, from 1. They are drawn all the same, so that the others stay what they are.
    pub(crate) without: BTreeSet<u32>,
}

impl Reduction {
    /// The story without what is left out.
    pub(crate) fn of(&self, story: &Scenario) -> Scenario {
        let mut story = story.clone();
        if let Some(peers) = self.peers {
            story.peers.truncate(peers);
        }
        if let Some(lasts) = self.lasts {
            story.lasts = lasts;
        }
        story.without.clone_from(&self.without);
        story
    }
}

impl fmt::Display for Reduction {
    /// As options of `hearten-sim replay`, each with a space before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(peers) = self.peers {
            write!(f, " --peers {peers}")?;
        }
        if let Some(lasts) = self.lasts {
            write!(f, " --lasts {}ms", lasts.as_millis())?;
        }
        if !self.without.is_empty() {
            let all: Vec<String> = ranges(&self.without);
            write!(f, " --without {}", all.join(","))?;
        }
        Ok(())
    }
}

/// Neighbouring numbers as one range, `3-7`.
fn ranges(numbers: &BTreeSet<u32>) -> Vec<String> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            Some(_) | None => ranges.push((*number, *number)),
        }
    }
    let shown = |(from, to): (u32, u32)| {
        if from == to { from.to_string() } else { format!("{from}-{to}") }
    };
    ranges.into_iter().map(shown).collect()
}

/// The numbers of `1,3-7`.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn parse_numbers(text: &str) -> Result<BTreeSet<u32>, String> {
    let wrong = || format!("{text:?} is no list of numbers such as 1,3-7");
    let mut numbers = BTreeSet::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (from.parse::<u32>(), to.parse::<u32>());
        match (from, to) {
            (Ok(from), Ok(to)) if from <= to && to - from < 1_000_000 => numbers.extend(from..=to),
            (_, _) => return Err(wrong()),
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_written_as_it_is_read() {
        let without = parse_numbers("1,3-7,9").unwrap();
        assert_eq!(without.len(), 7);
        let reduction =
            Reduction { peers: Some(4), lasts: Some(Duration::from_millis(1_500)), without };
        assert_eq!(reduction.to_string(), " --peers 4 --lasts 1500ms --without 1,3-7,9");
        assert_eq!(Reduction::default().to_string(), "");
    }

    #[test]
    fn what_is_no_list_of_numbers_is_refused() {
        for bad in ["", "a", "7-3", "1,,2", "-1", "1-4000000000"] {
            assert!(parse_numbers(bad).is_err(), "{bad}");
        }
    }
}
