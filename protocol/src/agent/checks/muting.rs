//! Checks that depend on others: what a failing parent explains is no incident of its own.
//!
//! The peer itself works this out, because it alone knows when it ran what. A child that turns bad
//! asks its parents at once, and is muted until each of them has answered: otherwise the child's
//! incident would be opened only because its turn came first. When a parent recovers its children
//! are asked at once, and are muted until they have answered: what they said before is explained.

use super::{OwnChecks, Tracked};
use crate::{document::Verdict, name::Name};
use std::{collections::BTreeMap, time::Duration};

/// How soon a parent is run again whose failing is not a verdict yet, while a child waits for it.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl OwnChecks {
    /// Has those run at once whose answer is needed: the parents of a child that turned bad, and
    /// the children of a parent that recovered.
    pub(super) fn ask_around(&mut self, mono: Duration) {
        let mut needed: BTreeMap<Name, Duration> = BTreeMap::new();
        for child in self.tracked.values() {
            for parent in child.parents(&self.tracked) {
                if child.waits_for(parent) {
                    // One that has begun to fail is given a moment before it is asked again.
                    let undecided = parent.began.is_some_and(|began| Some(began) >= child.bad_from);
                    let pause = ASK_AGAIN.min(parent.check.every);
                    let due = if undecided { parent.heard_at + pause } else { mono };
                    let soonest = needed.entry(parent.check.name.clone()).or_insert(due);
                    *soonest = due.min(*soonest);
                }
                if child.is_outdated_by(parent) {
                    needed.insert(child.check.name.clone(), mono);
                }
            }
        }
        for (name, due) in needed {
            if let Some(tracked) = self.tracked.get_mut(&name) {
                tracked.due = tracked.due.min(due);
            }
        }
    }

    /// Works out who is muted by whom; says whether anything has changed.
    pub(super) fn mute(&mut self) -> bool {
        let muted: Vec<(Name, Option<Name>)> = self
            .tracked
            .iter()
            .map(|(name, child)| (name.clone(), child.muted_by(&self.tracked)))
            .collect();
        let mut changed = false;
        for (name, by) in muted {
            if let Some(state) = self.tracked.get_mut(&name).and_then(|child| child.state.as_mut())
                && state.muted_by != by
            {
                state.muted_by = by;
                changed = true;
            }
        }
        changed
    }
}

impl Tracked {
    /// The checks of this peer that this one depends on.
    fn parents<'a>(&self, all: &'a BTreeMap<Name, Self>) -> impl Iterator<Item = &'a Self> {
        self.check.depends_on.iter().filter_map(|name| all.get(name))
    }

    fn muted_by(&self, all: &BTreeMap<Name, Self>) -> Option<Name> {
        self.bad_from?;
        let explains = |parent: &&Self| {
            parent.fails() || self.waits_for(parent) || self.is_outdated_by(parent)
        };
        self.parents(all).find(explains).map(|parent| parent.check.name.clone())
    }

    pub(super) fn fails(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.verdict == Verdict::Fail)
    }

    /// Whether this one is bad and the parent has not answered since.
    fn waits_for(&self, parent: &Self) -> bool {
        self.bad_from
            .is_some_and(|bad_from| parent.settled.is_none_or(|settled| settled < bad_from))
    }

    /// Whether this one is bad and has not been run since the parent recovered.
    fn is_outdated_by(&self, parent: &Self) -> bool {
        let began = self.began.unwrap_or(Duration::ZERO);
        self.bad_from.is_some() && parent.recovered.is_some_and(|recovered| began < recovered)
    }
}
