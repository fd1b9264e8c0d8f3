//! Cells: the parts of the mesh within which peers gossip and watch each other; and their rest.
//!
//! In a cell where everybody runs, hears everybody and knows everybody's latest report, on a whole
//! network that loses nothing, neither gossip nor watching has anything to tell an agent. In a large
//! mesh such a cell rests: its rounds are not played until something happens, in it or to the hosts
//! or the network anywhere, and then go on as if they had been. What agents do of themselves goes on
//! meanwhile.

use super::{
    World,
    queue::{Daemon, Event},
};
use crate::scenario::Peer;
use protocol::record::Seen;
use std::{ops::Range, rc::Rc, time::Duration};

/// A part of the mesh.
#[derive(Debug)]
pub(crate) struct Cell {
    /// The places of its peers in the story.
    pub(crate) places: Range<usize>,
    /// Since when it rests.
    rests_since: Option<Duration>,
}

impl Cell {
    /// The cells of a story: neighbours of the same number are in one.
    pub(super) fn all(peers: &[Peer]) -> Vec<Self> {
        let mut cells: Vec<Self> = Vec::new();
        let mut place = 0;
        for same in peers.chunk_by(|one, other| one.cell == other.cell) {
            let places = place..place + same.len();
            place = places.end;
            cells.push(Self { places, rests_since: None });
        }
        cells
    }
}

impl World<'_> {
    /// Whether this daemon's cell rests, so that it has no round to play; a cell that may rest does.
    pub(super) fn rests(&mut self, daemon: Daemon) -> bool {
        let Some(host) = self.hosts.get(&daemon.peer) else { return false };
        let (cell, place) = (host.cell, host.place);
        // One of them looks for all.
        if self.cells[cell].rests_since.is_none()
            && self.cells[cell].places.start == place
            && self.may_rest(cell)
        {
            self.lie_down(cell);
        }
        let rests = self.cells[cell].rests_since.is_some();
        if let Some(process) = self.hosts.get_mut(&daemon.peer).and_then(|h| h.process.as_mut()) {
            process.dozes = rests;
        }
        rests
    }

    /// Whether neither gossip nor watching could tell any agent of this cell anything.
    fn may_rest(&self, cell: usize) -> bool {
        if !self.cells_may_rest || !self.network.is_whole_and_lossless() {
            return false;
        }
        let places = self.cells[cell].places.clone();
        let first = self.hosts[&self.order[places.start]].process.as_ref();
        let Some(reports) = first.map(|process| &process.rumours.reports) else { return false };
        if reports.iter().any(Option::is_none) {
            return false;
        }
        places.clone().all(|place| {
            let host = &self.hosts[&self.order[place]];
            let own = place - places.start;
            let Some(process) = host.process.as_ref().filter(|_| host.is_active()) else {
                return false;
            };
            let heard = process.rumours.heard.iter().enumerate();
            let knows = process.rumours.reports.iter().zip(reports.iter());
            !process.stopping
                && process.wards.values().all(|ward| *ward == (0, Seen::Reached))
                && heard
                    .filter(|(other, _)| *other != own)
                    .all(|(_, heard)| heard.as_ref().is_some_and(|heard| heard.alive == Some(true)))
                && knows.into_iter().all(|(one, other)| match (one, other) {
                    (Some(one), Some(other)) => Rc::ptr_eq(one, other),
                    (Some(_) | None, _) => false,
                })
        })
    }

    fn lie_down(&mut self, cell: usize) {
        self.cells[cell].rests_since = Some(self.time);
        let places = self.cells[cell].places.clone();
        let mut known = None;
        for place in places {
            let Some(host) = self.hosts.get_mut(&self.order[place]) else { continue };
            let Some(process) = &mut host.process else { continue };
            // They know the same: one copy is enough.
            let known = known.get_or_insert_with(|| Rc::clone(&process.rumours.reports));
            process.rumours.reports = Rc::clone(known);
        }
    }

    /// Something happens that the cell of this daemon has to hear of.
    pub(super) fn rouse(&mut self, daemon: Daemon) {
        if let Some(cell) = self.hosts.get(&daemon.peer).map(|host| host.cell) {
            self.rouse_cell(cell);
        }
    }

    /// Something happens to hosts or to the network.
    pub(super) fn rouse_all(&mut self) {
        for cell in 0..self.cells.len() {
            self.rouse_cell(cell);
        }
    }

    fn rouse_cell(&mut self, cell: usize) {
        let Some(since) = self.cells[cell].rests_since.take() else { return };
        let slept = self.time.saturating_sub(since);
        for place in self.cells[cell].places.clone() {
            let peer = self.order[place];
            let jitter = self.random.between(Duration::ZERO, super::gossip::EVERY);
            let Some(host) = self.hosts.get_mut(&peer) else { continue };
            let daemon = host.daemon();
            let Some(process) = &mut host.process else { continue };
            process.rumours.sleep_through(slept);
            if std::mem::take(&mut process.dozes) {
                self.after(jitter, Event::GossipRound(daemon));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        expectation,
        scenario::{Scenario, read::read},
        world::World,
    };
    use std::{path::Path, time::Duration};

    fn story() -> Scenario {
        let path = format!("{}/../scenarios/cells.toml", env!("CARGO_MANIFEST_DIR"));
        read(Path::new(&path)).unwrap()
    }

    #[test]
    fn neighbours_are_in_one_cell_and_know_nobody_else_by_gossip() {
        let story = story();
        let mut world = World::new(&story, 1, false);
        world.run_until(Duration::from_secs(5));
        let places: Vec<_> = world.cells.iter().map(|cell| cell.places.clone()).collect();
        assert_eq!(places, [0..4, 4..8, 8..12]);
        for (place, peer) in world.order.iter().enumerate() {
            let view = world.hosts[peer].process.as_ref().unwrap().agent.view();
            for (other, of) in world.order.iter().enumerate().filter(|(other, _)| *other != place) {
                let same = place / 4 == other / 4;
                assert_eq!(view.is_alive(*of), same.then_some(true), "{place} of {other}");
            }
        }
    }

    #[test]
    fn a_cell_that_nothing_happens_in_rests_and_is_there_when_something_does() {
        let story = story();
        for seed in 0..10 {
            let mut world = World::new(&story, seed, false);
            world.cells_may_rest = true;
            world.run_until(Duration::from_millis(9_900));
            let rest = |world: &World<'_>| {
                world.cells.iter().filter(|cell| cell.rests_since.is_some()).count()
            };
            assert_eq!(rest(&world), 3, "seed {seed}");
            let before = world.queue.pushed();
            world.run_until(Duration::from_millis(9_999));
            assert!(world.queue.pushed() - before < 12, "no round is played");
            world.run_until(Duration::from_millis(10_001));
            let woken = world
                .cells
                .iter()
                .all(|cell| cell.rests_since.is_none_or(|since| since >= Duration::from_secs(10)));
            assert!(woken, "a service broke");
            world.run();
            assert_eq!(world.violation, None);
            expectation::check(&world).unwrap();
        }
    }

    #[test]
    fn nobody_is_suspected_after_a_long_rest() {
        let mut story = story();
        story.events.retain(|event| event.at > Duration::from_secs(20));
        story.lasts = Duration::from_secs(1_200);
        story.events[0].at = Duration::from_secs(1_000);
        story.expectations.clear();
        let mut world = World::new(&story, 3, true);
        world.cells_may_rest = true;
        world.run_until(Duration::from_secs(999));
        let rests = |cell: &super::Cell| {
            cell.rests_since.is_some_and(|since| since < Duration::from_secs(100))
        };
        assert!(world.cells.iter().all(rests));
        world.run();
        assert_eq!(world.violation, None);
        let suspicions = world.trace.lines().filter(|line| line.contains("is suspect")).count();
        // The one host that lost its power is switched on before gossip misses it.
        assert_eq!(suspicions, 0);
        assert_eq!(world.raft.truth.incidents().len(), 1);
    }
}
