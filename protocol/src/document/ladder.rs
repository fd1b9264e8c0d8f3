//! Ladders: the order in which a whole environment is brought back, from its ground up.
//!
//! A check maps to the level that mends it. When checks fail, the engine waits for the picture to
//! be whole, takes the widest level that any of them needs, and goes down from there: that level
//! and all below it, each by its own runbook, because what stands on a level has to be brought back
//! after it. The same ladder builds an environment of which nothing exists yet.

use super::{By, Document, Mode, OnUnknown, Runbook, Rung, Selector, runbook::Level};
use crate::name::{Name, PeerId};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The most rungs of one run down a ladder, over all its peers.
pub const PLAN_RUNGS_MAX: usize = 2_000;

/// The levels of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// What runbooks call it.
    pub name: Name,
    /// The peers of the environment.
    pub selector: Selector,
    /// How long after the first failing check nothing is done yet; 30 s unless said.
    pub quiesce: Duration,
    /// How often the way down is tried before a person is called; 1 unless said.
    pub tries: u32,
    /// From the widest, level 1, to the narrowest.
    pub levels: Vec<LadderLevel>,
}

/// One level of a ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LadderLevel {
    /// What it is called.
    pub name: Name,
    /// For what each of its runs is.
    pub scope: Scope,
    /// How it is brought back.
    pub runbook: Name,
    /// The checks that need this level when they fail.
    pub checks: BTreeSet<Name>,
}

/// For what a level is brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Once for the whole ladder.
    Mesh,
    /// Once for each value of this label.
    Group(String),
    /// Once for each peer.
    Peer,
}

impl Scope {
    /// How it is written: `mesh`, `group:zone`, `peer`.
    pub fn text(&self) -> String {
        match self {
            Self::Mesh => "mesh".to_owned(),
            Self::Group(label) => format!("group:{label}"),
            Self::Peer => "peer".to_owned(),
        }
    }
}

impl Ladder {
    /// The level that a check needs; 1 is the widest.
    pub fn level_of(&self, check: &Name) -> Option<u32> {
        let place = self.levels.iter().position(|level| level.checks.contains(check))?;
        u32::try_from(place).ok()?.checked_add(1)
    }

    /// A level by its number.
    pub fn level(&self, number: u32) -> Option<&LadderLevel> {
        self.levels.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// The way down from a level: its rungs and those of every level below, for these targets.
    ///
    /// Nothing when a runbook is missing or the way is longer than [`PLAN_RUNGS_MAX`].
    pub fn plan(
        &self,
        from: u32,
        targets: &BTreeMap<u32, Vec<PeerId>>,
        runbook: impl Fn(&Name) -> Option<Runbook>,
    ) -> Option<Runbook> {
        let mut plan: Option<Runbook> = None;
        for (number, level) in (1_u32..).zip(&self.levels).filter(|(number, _)| *number >= from) {
            let of_level = runbook(&level.runbook)?;
            let plan = plan.get_or_insert_with(|| Runbook {
                name: self.name.clone(),
                rungs: Vec::new(),
                selector: self.selector.clone(),
                sequence: false,
                mode: Mode::Auto,
                ..of_level.clone()
            });
            // The strictest of its runbooks holds for the whole way.
            plan.mode = stricter(plan.mode, of_level.mode);
            if of_level.on_unknown == OnUnknown::Ask {
                plan.on_unknown = OnUnknown::Ask;
            }
            plan.cooldown = plan.cooldown.max(of_level.cooldown);
            for target in targets.get(&number).into_iter().flatten() {
                for rung in &of_level.rungs {
                    plan.rungs.push(on_level(rung, number, level, &of_level.name, *target));
                }
            }
            if plan.rungs.len() > PLAN_RUNGS_MAX {
                return None;
            }
        }
        plan.filter(|plan| !plan.rungs.is_empty())
    }
}

fn on_level(rung: &Rung, number: u32, level: &LadderLevel, runbook: &Name, target: PeerId) -> Rung {
    let by = match (&level.scope, rung.by) {
        // What is for more than one peer has no affected one: the leader does it.
        (Scope::Mesh | Scope::Group(_), By::Affected) => By::Leader,
        (_, by) => by,
    };
    let level =
        Level { number, name: level.name.clone(), runbook: runbook.clone(), target: Some(target) };
    Rung { by, level: Some(level), ..rung.clone() }
}

const fn stricter(left: Mode, right: Mode) -> Mode {
    match (left, right) {
        (Mode::Shadow, _) | (_, Mode::Shadow) => Mode::Shadow,
        (Mode::Ask, _) | (_, Mode::Ask) => Mode::Ask,
        (Mode::Auto, Mode::Auto) => Mode::Auto,
    }
}

/// Whether a way down a ladder is made of the runbooks that its levels name, and of nothing else:
/// nothing may run in a ladder's name that no operator wrote.
pub fn is_made_of(plan: &Runbook, ladder: &Ladder, documents: &[Document]) -> bool {
    let written = |name: &Name| {
        documents.iter().find_map(|document| {
            let Document::Runbook(runbook) = document else { return None };
            (runbook.name == *name).then_some(runbook)
        })
    };
    let first = plan.rungs.first().and_then(|rung| rung.level.as_ref());
    let collected = first.and_then(|level| written(&level.runbook));
    let evidence = collected.is_some_and(|runbook| runbook.evidence == plan.evidence);
    evidence
        && plan.name == ladder.name
        && plan.rungs.iter().all(|rung| {
            let Some(level) = &rung.level else { return false };
            let meant = ladder.level(level.number);
            meant.is_some_and(|meant| meant.runbook == level.runbook && meant.name == level.name)
                && written(&level.runbook).is_some_and(|runbook| {
                    runbook.rungs.iter().any(|own| {
                        let (by, level) = (rung.by, rung.level.clone());
                        Rung { by, level, ..own.clone() } == *rung
                    })
                })
        })
}
