//! Which way down a ladder an incident takes: from the widest level that a failing check needs,
//! for whom, and whether it is time.

use super::{Ledger, incident::Incident};
use crate::{
    document::{DocumentKey, DocumentKind, Ladder, Runbook, Scope},
    name::{Name, PeerId},
    record::{Because, Failing, Part},
    refusal::Refusal,
    time::Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

impl Ledger {
    /// The open incident of a ladder, whichever peer it stands for: one at a time.
    pub fn open_on_ladder(&self, ladder: &Name) -> Option<&Incident> {
        self.open_incidents().find(|incident| {
            matches!(&incident.because, Because::Ladder { ladder: other, .. } if other == ladder)
        })
    }

    /// Whether a ladder is to be climbed down now for these failing checks.
    ///
    /// # Errors
    /// The [`Refusal`] that names the rule.
    pub(super) fn ladder_is_due(
        &self,
        peer: PeerId,
        because: &Because,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let Because::Ladder { ladder: name, level, failing, since } = because else {
            return Ok(());
        };
        let misassigned = |why: String| Err(Refusal::Misassigned { why });
        let ladder = self.known_ladder(name)?;
        if let Some(open) = self.open_on_ladder(name) {
            return Err(Refusal::AlreadyOpen { incident: open.id });
        }
        let until = since.plus(ladder.quiesce);
        if at < until {
            return Err(Refusal::Quiescing { ladder: name.clone(), until });
        }
        for Failing { peer: failing, check, .. } in failing {
            let member = self.roster.member(*failing);
            let runs = member.is_some_and(|member| {
                let labels = &member.card.labels;
                let known = self.library.check(check);
                ladder.selector.fits(labels) && known.is_some_and(|c| c.selector.fits(labels))
            });
            if !runs || ladder.level_of(check).is_none() {
                return misassigned(format!("check \"{check}\" is not for this peer and ladder"));
            }
        }
        let widest = failing.iter().filter_map(|one| ladder.level_of(&one.check)).min();
        if widest != Some(*level) || !failing.iter().any(|one| one.peer == peer) {
            return misassigned(format!("level {level} is not the widest that is needed"));
        }
        Ok(())
    }

    /// The rungs from the widest level that is needed down to the last.
    ///
    /// # Errors
    /// [`Refusal::UnknownDocument`], or [`Refusal::TooLarge`] for too many peers.
    pub(super) fn way_down(&self, because: &Because) -> Result<Runbook, Refusal> {
        let Because::Ladder { ladder, level, failing, .. } = because else {
            return Err(Refusal::NoRunbook);
        };
        let ladder = self.known_ladder(ladder)?;
        let targets = self.targets(ladder, *level, failing);
        let runbook = |name: &Name| self.library.runbook(name).cloned();
        ladder.plan(*level, &targets, runbook).ok_or_else(|| Refusal::TooLarge {
            what: format!("the way down ladder \"{}\", in rungs,", ladder.name),
            limit_bytes: u64::try_from(crate::document::ladder::PLAN_RUNGS_MAX).unwrap_or(u64::MAX),
        })
    }

    fn known_ladder(&self, name: &Name) -> Result<&Ladder, Refusal> {
        let key = DocumentKey { kind: DocumentKind::Ladder, name: name.clone() };
        self.library.ladder(name).ok_or(Refusal::UnknownDocument { key })
    }

    /// For whom each level is brought back: everything that stands on the widest level.
    fn targets(
        &self,
        ladder: &Ladder,
        from: u32,
        failing: &[Failing],
    ) -> BTreeMap<u32, Vec<PeerId>> {
        let label = |peer: PeerId, key: &str| {
            self.roster.member(peer).and_then(|member| member.card.labels.get(key).cloned())
        };
        let everyone: BTreeSet<PeerId> =
            self.roster.selected(&ladder.selector).map(|(peer, _)| peer).collect();
        let ill: BTreeSet<PeerId> = failing.iter().map(|one| one.peer).collect();
        let base: BTreeSet<PeerId> = match ladder.level(from).map(|level| &level.scope) {
            Some(Scope::Mesh) => everyone,
            Some(Scope::Group(key)) => {
                let values: BTreeSet<_> = failing
                    .iter()
                    .filter(|one| ladder.level_of(&one.check) == Some(from))
                    .filter_map(|one| label(one.peer, key))
                    .collect();
                let of_group =
                    |peer: &PeerId| label(*peer, key).is_some_and(|v| values.contains(&v));
                everyone.into_iter().filter(|peer| of_group(peer) || ill.contains(peer)).collect()
            }
            Some(Scope::Peer) | None => ill.clone(),
        };
        let mut by_name: Vec<PeerId> = base.into_iter().collect();
        by_name.sort_by_cached_key(|peer| self.roster.name(*peer));
        let mut targets = BTreeMap::new();
        for (number, level) in (1_u32..).zip(&ladder.levels).filter(|(number, _)| *number >= from) {
            let of_level: Vec<PeerId> = match &level.scope {
                // One peer stands for the whole; that which is ill, if one is.
                Scope::Mesh => {
                    let ill = by_name.iter().find(|peer| ill.contains(peer));
                    ill.or(by_name.first()).copied().into_iter().collect()
                }
                Scope::Group(key) => {
                    let mut groups: BTreeMap<String, PeerId> = BTreeMap::new();
                    for peer in &by_name {
                        if let Some(value) = label(*peer, key) {
                            groups.entry(value).or_insert(*peer);
                        }
                    }
                    groups.into_values().collect()
                }
                Scope::Peer => by_name.clone(),
            };
            targets.insert(number, of_level);
        }
        targets
    }

    /// Whether the way down is to be begun anew: all was tried, and the ladder says to try again.
    pub fn may_restart(&self, incident: &Incident) -> bool {
        let Because::Ladder { ladder, .. } = &incident.because else { return false };
        let tries = self.library.ladder(ladder).map_or(1, |ladder| ladder.tries);
        let at_the_end = incident.next_rung().is_none_or(|rung| rung.tells().is_some());
        at_the_end
            && incident.next_part == Part::Act
            && incident.in_flight().is_none()
            && !incident.state.is_over()
            && incident.restarts.saturating_add(1) < tries
    }
}
