//! What happens to the mesh, drawn from the seed: each run has its own kinds of trouble.

use crate::{disk::Health, socket::Weather};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use std::time::Duration;

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A service stops working.
    Break,
    /// A daemon is killed, and started again.
    Kill,
    /// A host loses its power, and with it what its disk was not told to keep.
    PowerOff,
    /// The network falls apart.
    Partition,
    /// A host does not hear the others any more, but they hear it, or the other way round.
    OneWay,
    /// More is lost and doubled.
    Storm,
    /// A wall clock jumps.
    ClockStep,
    /// A disk is slow.
    SlowDisk,
    /// Nobody can be told.
    Channel,
}

const KINDS: [Kind; 9] = [
    Kind::Break,
    Kind::Kill,
    Kind::PowerOff,
    Kind::Partition,
    Kind::OneWay,
    Kind::Storm,
    Kind::ClockStep,
    Kind::SlowDisk,
    Kind::Channel,
];

/// Something that happens, with the places of the hosts that it happens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// This check fails there.
    Break(usize, &'static str),
    /// The daemon dies; the host loses its power with `true`. It comes back.
    Down(usize, bool, Duration),
    /// These are cut off from the others.
    Partition(Vec<usize>, Duration),
    /// This one is not heard, or with `true` does not hear.
    OneWay(usize, bool, Duration),
    /// The weather is like this.
    Storm(Weather, Duration),
    /// The wall clock goes so many milliseconds ahead.
    ClockStep(usize, i64),
    /// The disk is like this.
    Disk(usize, Health, Duration),
    /// Nobody can be told for so long.
    Channel(Duration),
}

/// Draws trouble.
#[derive(Debug)]
pub struct Fate {
    dice: StdRng,
    kinds: Vec<Kind>,
    hosts: usize,
}

impl Fate {
    /// Trouble for so many hosts: services break in every run, of the rest each run has its own
    /// half.
    pub fn new(mut dice: StdRng, hosts: usize) -> Self {
        let mut kinds: Vec<Kind> = KINDS.into_iter().filter(|_| dice.random_bool(0.5)).collect();
        kinds.push(Kind::Break);
        Self { dice, kinds, hosts }
    }

    /// How long until the next.
    pub fn pause(&mut self) -> Duration {
        self.millis(500, 6_000)
    }

    fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.dice.random_range(least..=most))
    }

    /// What happens next.
    pub fn draw(&mut self) -> Trouble {
        let kind = self.kinds.choose(&mut self.dice).copied().unwrap_or(Kind::Break);
        let host = self.dice.random_range(0..self.hosts);
        let lasts = self.millis(500, 15_000);
        match kind {
            Kind::Break => {
                let check = if self.dice.random_bool(0.5) { "web-alive" } else { "db-alive" };
                Trouble::Break(host, check)
            }
            Kind::Kill => Trouble::Down(host, false, lasts),
            Kind::PowerOff => Trouble::Down(host, true, lasts),
            Kind::Partition => {
                let part: Vec<usize> =
                    (0..self.hosts).filter(|_| self.dice.random_bool(0.4)).collect();
                Trouble::Partition(part, lasts)
            }
            Kind::OneWay => Trouble::OneWay(host, self.dice.random_bool(0.5), lasts),
            Kind::Storm => {
                let lost = self.dice.random_range(0..=300);
                let doubled = self.dice.random_range(0..=100);
                Trouble::Storm(Weather { lost, doubled }, lasts)
            }
            Kind::ClockStep => {
                let hour = 3_600_000;
                let steps = [hour, -hour, 10 * 365 * 24 * hour, -10 * 365 * 24 * hour, 30_000];
                Trouble::ClockStep(host, steps.choose(&mut self.dice).copied().unwrap_or(hour))
            }
            Kind::SlowDisk => Trouble::Disk(host, Health::Slow, lasts),
            Kind::Channel => Trouble::Channel(lasts),
        }
    }
}
