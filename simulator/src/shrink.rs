//! The smallest story that still fails: fewer faults, shorter, fewer peers.
//!
//! Delta debugging (Zeller and Hildebrandt, 2002) over the faults that were drawn, then halving the
//! length and taking peers away, again and again until nothing more can go. A smaller story counts
//! when the same rule does not hold in it, with the same seed.

use crate::{
    reduction::Reduction,
    run::{Run, run},
    scenario::{Deed, Scenario, Who},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// The fewest peers that make a mesh with a majority.
const PEERS_MIN: usize = 3;

/// The least by which a story is made shorter.
const SHORTER_MIN: Duration = Duration::from_millis(500);

/// A smaller story that fails as the whole one does.
#[derive(Debug)]
pub(crate) struct Shrunk {
    /// What was left out.
    pub(crate) reduction: Reduction,
    /// What became of it.
    pub(crate) run: Run,
    /// How many stories were tried.
    pub(crate) tried: u32,
    /// Whether there was time to try all that could be left out.
    pub(crate) is_smallest: bool,
}

/// Shrinks a story that has failed with this seed. Stops after about `within`.
pub(crate) fn shrink(story: &Scenario, failed: Run, within: Duration) -> Shrunk {
    let mut search = Search {
        story,
        until: Instant::now() + within,
        best: Shrunk { reduction: Reduction::default(), run: failed, tried: 0, is_smallest: true },
    };
    search.shorten_to_the_failure();
    loop {
        let before = search.best.reduction.clone();
        search.leave_out_faults();
        search.shorten();
        search.take_peers_away();
        if search.best.reduction == before || search.is_late() {
            break;
        }
    }
    search.best.is_smallest = !search.is_late();
    search.best
}

struct Search<'s> {
    story: &'s Scenario,
    until: Instant,
    best: Shrunk,
}

impl Search<'_> {
    fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Whether the story still fails like this; then it is the best so far.
    fn fails(&mut self, reduction: Reduction) -> bool {
        if self.is_late() || reduction == self.best.reduction {
            return false;
        }
        self.best.tried += 1;
        let rule = |run: &Run| run.failure.as_ref().map(|failure| failure.rule.clone());
        let run = run(&reduction.of(self.story), self.best.run.seed, false);
        let is_same = rule(&run).is_some() && rule(&run) == rule(&self.best.run);
        if is_same {
            self.best.reduction = reduction;
            self.best.run = run;
        }
        is_same
    }

    fn length(&self) -> Duration {
        self.best.reduction.lasts.unwrap_or(self.story.lasts)
    }

    /// What would have come after the failure does not matter.
    fn shorten_to_the_failure(&mut self) {
        let failed_at = self.best.run.virtual_time;
        if failed_at < self.length() {
            let lasts = Some(failed_at);
            self.fails(Reduction { lasts, ..self.best.reduction.clone() });
        }
    }

    /// Half as long, three quarters, seven eighths.
    fn shorten(&mut self) {
        // What the story says itself happens in any case.
        let written = self.story.events.iter().map(|event| event.at + event.after);
        let least = written.max().unwrap_or_default();
        let mut part = self.length() / 2;
        while part >= SHORTER_MIN && !self.is_late() {
            let lasts = Some(self.length().saturating_sub(part).max(least));
            if self.fails(Reduction { lasts, ..self.best.reduction.clone() }) {
                part = part.min(self.length() / 2);
            } else {
                part /= 2;
            }
        }
    }

    /// All faults, halves of them, quarters, and so on down to single ones.
    fn leave_out_faults(&mut self) {
        let drawn = 1..=self.best.run.faults;
        let mut left: Vec<u32> =
            drawn.filter(|fault| !self.best.reduction.without.contains(fault)).collect();
        let mut size = left.len();
        while size > 0 && !self.is_late() {
            let mut start = 0;
            while start < left.len() {
                let end = (start + size).min(left.len());
                let mut without: BTreeSet<u32> = self.best.reduction.without.clone();
                without.extend(&left[start..end]);
                if self.fails(Reduction { without, ..self.best.reduction.clone() }) {
                    left.drain(start..end);
                } else {
                    start = end;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2).min(left.len()) };
        }
    }

    /// As few as the story's own events leave.
    fn take_peers_away(&mut self) {
        let named = named(self.story).max(PEERS_MIN);
        let now = self.best.reduction.peers.unwrap_or(self.story.peers.len());
        for peers in named..now {
            if self.fails(Reduction { peers: Some(peers), ..self.best.reduction.clone() }) {
                break;
            }
        }
    }
}

/// How many peers there must be for all those that the story names.
fn named(story: &Scenario) -> usize {
    let of_who = |who: &Who| match who {
        Who::Peer(place) => place + 1,
        Who::Leader | Who::Worker | Who::Guest(_) => 0,
    };
    let of_deed = |deed: &Deed| match deed {
        Deed::Break(who, ..)
        | Deed::Mend(who, _)
        | Deed::Kill(who)
        | Deed::PowerOff(who)
        | Deed::Start(who)
        | Deed::Stop(who)
        | Deed::Pause(who, _)
        | Deed::Clock(who, ..)
        | Deed::Disk(who, _)
        | Deed::Executor(who, _)
        | Deed::Isolate(who, _)
        | Deed::Close(who)
        | Deed::Answer(who, _)
        | Deed::Alert(who, ..)
        | Deed::Surgeons(who, _)
        | Deed::Forge(who) => of_who(who),
        Deed::Cut(one, other) => of_who(one).max(of_who(other)),
        Deed::Partition(groups) => groups.iter().flatten().max().map_or(0, |place| place + 1),
        Deed::Maintenance(peers, _) => peers.iter().max().map_or(0, |place| place + 1),
        Deed::Heal
        | Deed::Job(..)
        | Deed::Messages(..)
        | Deed::Weather(_)
        | Deed::Freeze
        | Deed::Thaw
        | Deed::Apply(_)
        | Deed::ChannelDown
        | Deed::ChannelUp => 0,
    };
    let events = story.events.iter().map(|event| of_deed(&event.deed));
    let rungs = story.rungs.iter().filter_map(|rung| rung.peer.as_ref().map(of_who));
    let expected = story.expectations.iter().filter_map(|e| e.peer.as_ref().map(of_who));
    events.chain(rungs).chain(expected).max().unwrap_or(0)
}
