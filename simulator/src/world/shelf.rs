//! What large meshes share: each entry is applied once to each ledger that it is applied to, and
//! whoever stands on that very ledger takes over what came out.
//!
//! In a small mesh every replica applies every entry for itself, as daemons do. In a mesh of
//! thousands they would make thousands of equal copies. A ledger that has gone its own way is not
//! the one that the others stand on, and goes on alone; what is on the shelf is compared with what
//! the group's own ledger came to, as every replica is.

use crate::invariants::{Logged, fingerprint};
use protocol::{agent::shared::Applied, ledger::Ledger};
use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    sync::{Arc, Weak},
};

/// So many entries are kept at the most: a host that is down holds on to what it stood on.
const KEPT_MAX: usize = 1_024;

/// So many fingerprints are remembered.
const FINGERPRINTS: usize = 64;

/// What was applied, for whoever comes to the same place.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// By the places of the entries.
    kept: BTreeMap<u64, Rc<Applied>>,
    /// The latest ones; a ledger that is gone keeps its address meanwhile.
    fingerprints: RefCell<VecDeque<(Weak<Ledger>, [u8; 32])>>,
    /// How often an entry was taken over.
    pub(crate) taken_over: u64,
}

impl Shelf {
    /// What this entry makes of a ledger; nothing where others stand on another one.
    pub(crate) fn apply(&mut self, before: &Arc<Ledger>, logged: &Logged) -> Option<Rc<Applied>> {
        let index = logged.position.index;
        if let Some(known) = self.kept.get(&index) {
            let same = Arc::ptr_eq(known.before(), before);
            self.taken_over += u64::from(same);
            return same.then(|| Rc::clone(known));
        }
        let (before, entry) = (Arc::clone(before), logged.entry.clone());
        let applied = Rc::new(Applied::new(before, logged.position, entry));
        self.kept.insert(index, Rc::clone(&applied));
        self.tidy();
        Some(applied)
    }

    /// Takes from the shelf what nobody will ask for any more: of the oldest, those whose ledgers
    /// nobody else holds.
    fn tidy(&mut self) {
        while let Some(oldest) = self.kept.first_entry()
            && (Arc::strong_count(oldest.get().before()) == 1 || self.kept.len() > KEPT_MAX)
        {
            self.kept.pop_first();
        }
    }

    /// A ledger's fingerprint, taken once for all that share it.
    pub(crate) fn fingerprint(&self, ledger: &Arc<Ledger>) -> [u8; 32] {
        let mut known = self.fingerprints.borrow_mut();
        let address = Arc::as_ptr(ledger);
        if let Some((_, print)) = known.iter().find(|(of, _)| Weak::as_ptr(of) == address) {
            return *print;
        }
        let print = fingerprint(ledger);
        known.push_back((Arc::downgrade(ledger), print));
        if known.len() > FINGERPRINTS {
            known.pop_front();
        }
        print
    }
}

#[cfg(test)]
mod tests {
    use crate::{scenario::read::read, world::World};
    use std::path::Path;

    /// What sharing could change: histories with snapshots, crashes, lost writes, and elections.
    #[test]
    fn a_mesh_that_shares_has_the_history_of_one_that_does_not() {
        for story in ["chaos", "chaos-workflow", "rolling-restart"] {
            let path = format!("{}/../scenarios/{story}.toml", env!("CARGO_MANIFEST_DIR"));
            let mut story = read(Path::new(&path)).unwrap();
            story.lasts = story.lasts.min(std::time::Duration::from_secs(60));
            for seed in 0..4 {
                let digest = |shares: bool| {
                    let mut world = World::new(&story, seed, false);
                    world.raft.is_large = shares;
                    world.run();
                    assert_eq!(world.violation, None);
                    (world.trace.digest(), world.shelf.taken_over)
                };
                let (alone, none) = digest(false);
                let (shared, some) = digest(true);
                assert_eq!(alone, shared, "{} with seed {seed}", story.name);
                assert!(none == 0 && some > 0, "{some} entries were taken over");
            }
        }
    }
}
