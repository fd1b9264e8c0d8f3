//! Faults by chance: which, on whom and for how long is drawn from the seed. Each one ends by
//! itself after a while, and all of them when the story says so.

use super::{Ambush, World, queue::Event};
use crate::{
    random::Random,
    scenario::{Deed, Disk, Fault, Moment, Weather, Who},
};
use protocol::{
    document::Verdict,
    name::{Name, PeerId},
};
use std::time::Duration;

/// The shortest that a fault lasts.
const LASTS_MIN: Duration = Duration::from_millis(300);

/// In how many of a hundred seeds a kind of fault takes part, in a swarm.
const TAKES_PART_PERCENT: u64 = 60;

/// How much faster or slower a host's clock runs than the world's, in parts of a million, at the
/// most: what a bad quartz does.
pub(super) const DRIFT_MAX_PPM: u64 = 200;

/// A network as bad as it is promised to be survived: 30 % loss, 200 ms +- 100 ms.
const BAD_WEATHER: Weather = Weather {
    loss_percent: 30,
    duplicate_percent: 10,
    delay_min: Duration::from_millis(100),
    delay_max: Duration::from_millis(300),
};

/// The faults of one run.
#[derive(Debug)]
pub(crate) struct Doom {
    /// The kinds; what is there twice comes twice as often.
    kinds: Vec<Fault>,
    /// The time from one to the next, on average.
    every: Duration,
    /// The longest that one lasts.
    lasts: Duration,
}

impl World<'_> {
    /// Draws what this seed's faults are, and how wrong each clock runs.
    pub(super) fn draw_doom(&mut self) {
        let Some(chaos) = &self.story.chaos else { return };
        for peer in self.order.clone() {
            let drift = i64::try_from(self.fate.below(2 * DRIFT_MAX_PPM + 1)).unwrap_or(0);
            if let Some(host) = self.hosts.get_mut(&peer) {
                host.drift_ppm = drift - i64::try_from(DRIFT_MAX_PPM).unwrap_or(0);
            }
        }
        let (mut kinds, mut every) = (chaos.faults.clone(), chaos.every);
        if chaos.swarm {
            let mut part: Vec<Fault> = Vec::new();
            let mut known: Vec<Fault> = Vec::new();
            for kind in &chaos.faults {
                if !known.contains(kind) {
                    known.push(*kind);
                    if self.fate.percent(TAKES_PART_PERCENT) {
                        part.push(*kind);
                    }
                }
            }
            if part.is_empty() {
                part.extend(self.fate.pick(&known));
            }
            kinds.retain(|kind| part.contains(kind));
            every = self.fate.between(chaos.every / 2, chaos.every * 3 / 2);
        }
        self.note_world(&format!("faults, one every {every:?} or so: {kinds:?}"));
        self.doom = Some(Doom { kinds, every, lasts: chaos.lasts });
        self.after(every, Event::Chaos);
    }

    /// One fault now, and the next one later.
    pub(super) fn chaos(&mut self) {
        let story = self.story;
        let Some(doom) = self.doom.take_if(|_| !self.healed) else { return };
        let next = self.fate.between(doom.every / 4, doom.every * 7 / 4);
        self.after(next, Event::Chaos);
        let drawn = self.fate.pick(&doom.kinds);
        let longest = doom.lasts;
        self.doom = Some(doom);
        let all: Vec<usize> = (0..self.order.len()).collect();
        let (Some(fault), Some(place)) = (drawn, self.fate.pick(&all)) else {
            return;
        };
        let lasts = self.fate.between(LASTS_MIN, longest);
        // Drawn in any case, so that leaving one out leaves the others what they are.
        let rest = Random::new(self.fate.next());
        self.faults += 1;
        if !story.without.contains(&self.faults) {
            let fate = std::mem::replace(&mut self.fate, rest);
            self.fault(fault, place, lasts);
            self.fate = fate;
        }
    }

    fn fault(&mut self, fault: Fault, place: usize, lasts: Duration) {
        let who = Who::Peer(place);
        let leader = self.raft.leader.and_then(|leader| self.place(leader)).unwrap_or(place);
        let (deed, undo) = match fault {
            Fault::Break => {
                let Some(check) = self.some_check(self.order[place]) else { return };
                (Deed::Break(who, check, Verdict::Fail), None)
            }
            Fault::Kill => (Deed::Kill(who), Some(Deed::Start(who))),
            Fault::KillLeader => {
                (Deed::Kill(Who::Peer(leader)), Some(Deed::Start(Who::Peer(leader))))
            }
            Fault::KillWorker => return self.ambush_worker(lasts),
            Fault::PowerOff => (Deed::PowerOff(who), Some(Deed::Start(who))),
            Fault::Pause => (Deed::Pause(who, lasts), None),
            Fault::Partition => {
                let count = self.order.len();
                let all: Vec<usize> = (0..count).collect();
                let size = self.fate.below(u64::try_from(count).unwrap_or(1));
                let one = self.fate.some(&all, usize::try_from(size).unwrap_or(1));
                let other = all.into_iter().filter(|place| !one.contains(place)).collect();
                (Deed::Partition(vec![one, other]), Some(Deed::Heal))
            }
            Fault::Cut => {
                let to = if self.fate.percent(30) { leader } else { place };
                let all: Vec<usize> = (0..self.order.len()).collect();
                let Some(from) = self.fate.pick(&all) else { return };
                (Deed::Cut(Who::Peer(from), Who::Peer(to)), Some(Deed::Heal))
            }
            Fault::Swizzle => return self.swizzle(lasts),
            Fault::SlowDisk => (Deed::Disk(who, Disk::Slow), Some(Deed::Disk(who, Disk::Well))),
            Fault::FullDisk => (Deed::Disk(who, Disk::Full), Some(Deed::Disk(who, Disk::Well))),
            Fault::Executor => (Deed::Executor(who, true), Some(Deed::Executor(who, false))),
            Fault::Loss => (Deed::Weather(BAD_WEATHER), Some(Deed::Weather(self.story.weather))),
            Fault::Clock => {
                let hour = Duration::from_secs(3_600);
                let by = self.fate.between(Duration::from_secs(1), hour);
                let back = self.fate.percent(50);
                (Deed::Clock(who, by, back), Some(Deed::Clock(who, by, !back)))
            }
            Fault::Freeze => (Deed::Freeze, Some(Deed::Thaw)),
            Fault::Channel => (Deed::ChannelDown, Some(Deed::ChannelUp)),
        };
        self.deed(&deed);
        if let Some(undo) = undo {
            self.after(lasts, Event::Undo(Box::new(undo)));
        }
    }

    /// Several peers are cut off one after the other, and come back in another order: whoever
    /// depends on an order of those two is found out.
    fn swizzle(&mut self, lasts: Duration) {
        let all: Vec<usize> = (0..self.order.len()).collect();
        let count = 1 + self.fate.below(u64::try_from(all.len()).unwrap_or(1));
        let some = self.fate.some(&all, usize::try_from(count).unwrap_or(1));
        for place in some {
            let who = Who::Peer(place);
            let from = self.fate.between(Duration::ZERO, lasts);
            let until = lasts + self.fate.between(Duration::ZERO, lasts);
            self.after(from, Event::Deed(Box::new(Deed::Isolate(who, true))));
            self.after(until, Event::Undo(Box::new(Deed::Isolate(who, false))));
        }
    }

    fn ambush_worker(&mut self, lasts: Duration) {
        let moments = [Moment::Recording, Moment::Recorded, Moment::Executing, Moment::Finished];
        let Some(moment) = self.fate.pick(&moments) else { return };
        let after = self.fate.millis(0, 20);
        let deed = Deed::Kill(Who::Worker);
        let undo = Some((lasts, Deed::Start(Who::Worker)));
        self.ambushes.push(Ambush { not_before: self.time, moment, after, deed, undo });
    }

    /// A check that runs on this peer.
    fn some_check(&mut self, peer: PeerId) -> Option<Name> {
        let labels = &self.hosts[&peer].card.labels;
        let checks: Vec<&Name> = self
            .raft
            .truth
            .library()
            .checks()
            .filter(|check| check.selector.fits(labels))
            .map(|check| &check.name)
            .collect();
        self.fate.pick(&checks).cloned()
    }

    /// A peer's place in the story.
    pub(crate) fn place(&self, peer: PeerId) -> Option<usize> {
        self.hosts.get(&peer).map(|host| host.place)
    }
}
