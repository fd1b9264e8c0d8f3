//! Faults by chance: which, on whom and for how long is drawn from the seed. Each one ends by
//! itself after a while, and all of them when the story says so.

use super::{Ambush, World, queue::Event};
use crate::{
    random::Random,
    scenario::{Chaos, Deed, Fault, Moment, Weather, Who},
};
use protocol::{
    document::Verdict,
    name::{Name, PeerId},
};
use std::time::Duration;

/// The shortest that a fault lasts.
const LASTS_MIN: Duration = Duration::from_millis(300);

/// A network as bad as it is promised to be survived: 30 % loss, 200 ms +- 100 ms.
const BAD_WEATHER: Weather = Weather {
    loss_percent: 30,
    delay_min: Duration::from_millis(100),
    delay_max: Duration::from_millis(300),
};

impl World<'_> {
    /// One fault now, and the next one later.
    pub(super) fn chaos(&mut self) {
        let story = self.story;
        let Some(chaos) = story.chaos.as_ref().filter(|_| !self.healed) else { return };
        let next = self.fate.between(chaos.every / 4, chaos.every * 7 / 4);
        self.after(next, Event::Chaos);
        let all: Vec<usize> = (0..self.order.len()).collect();
        let (Some(fault), Some(place)) = (self.fate.pick(&chaos.faults), self.fate.pick(&all))
        else {
            return;
        };
        let lasts = self.fate.between(LASTS_MIN, chaos.lasts);
        // Drawn in any case, so that leaving one out leaves the others what they are.
        let rest = Random::new(self.fate.next());
        self.faults += 1;
        if !story.without.contains(&self.faults) {
            let fate = std::mem::replace(&mut self.fate, rest);
            self.fault(chaos, fault, place, lasts);
            self.fate = fate;
        }
    }

    fn fault(&mut self, chaos: &Chaos, fault: Fault, place: usize, lasts: Duration) {
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
            Fault::KillWorker => return self.ambush_worker(chaos, lasts),
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

    fn ambush_worker(&mut self, chaos: &Chaos, lasts: Duration) {
        let moments = [Moment::Recording, Moment::Recorded, Moment::Executing, Moment::Finished];
        let Some(moment) = self.fate.pick(&moments) else { return };
        let after = self.fate.millis(0, 20);
        let deed = Deed::Kill(Who::Worker);
        let undo = Some((lasts.min(chaos.lasts), Deed::Start(Who::Worker)));
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
    pub(super) fn place(&self, peer: PeerId) -> Option<usize> {
        self.order.iter().position(|other| *other == peer)
    }
}
