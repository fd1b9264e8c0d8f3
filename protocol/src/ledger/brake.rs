//! The storm brake: when many peers fall silent at once, neighbours stop acting and a person is
//! told once.
//!
//! One host that is silent is most likely dead. A third of the mesh, or all hosts of a zone, are
//! most likely cut off, without power, or well while their observer is not: to fence them would
//! turn a broken switch into a broken mesh. The brake is part of the ledger and holds in
//! [`Ledger::apply`], so that no leader can pass it. It is engaged
//!
//! * by the ledger itself, when the silences that were committed within the window are too many;
//! * by the leader's incident [`Because::Storm`], before that: the leader sees whom it does not
//!   reach at all, while a silence has to be attested first, one peer after the other.
//!
//! It is released when that incident is resolved, which nobody can before the calm has lasted, or
//! by an operator who thaws the mesh or closes the incident. What fell silent before an operator
//! said so is not counted again.

use super::{
    Context, Ledger,
    incident::{Fact, Incident, State},
    incidents::tell_people,
};
use crate::{
    ledger::incident::News,
    name::{IncidentId, PeerId},
    record::{Because, StormCause},
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The smallest zone whose silence as a whole is a storm.
///
/// Two: a zone of one is a host, and a host that dies is what neighbours are for. That of two hosts
/// nothing is left within a minute has one cause more often than two.
pub const ZONE_PEERS_MIN: usize = 2;

/// The fewest peers whom a leader must not reach before it takes its own side for the broken one:
/// in a mesh of two, the other one alone is a host like any other.
pub const UNHEARD_MIN: usize = 2;

/// Neighbours do not act on silences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brake {
    /// Since when.
    pub since: Timestamp,
    /// When a peer last fell silent; the calm begins there.
    pub latest: Timestamp,
    /// The incident by which people are told, once the leader has opened it.
    pub incident: Option<IncidentId>,
}

/// How far a storm reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// All that fell silent are of this zone, and all of this zone fell silent.
    Zone(String),
    /// More of the mesh than chance explains.
    Share,
}

impl Ledger {
    /// The storm brake, while it is engaged.
    pub const fn brake(&self) -> Option<&Brake> {
        self.brake.as_ref()
    }

    /// When the calm is over that releases the brake, unless another peer falls silent.
    pub fn calm_at(&self) -> Option<Timestamp> {
        self.brake.map(|brake| brake.latest.plus(self.settings().storm_calm))
    }

    /// When an operator last said that what is silent is no storm.
    pub const fn thawed_at(&self) -> Timestamp {
        self.thawed_at
    }

    /// The peers that are silent by the log, and were not when an operator last thawed the mesh.
    pub fn silent_since_thaw(&self) -> BTreeSet<PeerId> {
        self.silences().filter(|(_, at)| *at > self.thawed_at).map(|(peer, _)| peer).collect()
    }

    /// The peers that fell silent within the window before `at`, as far as the log has it.
    pub fn fallen(&self, at: Timestamp) -> BTreeSet<PeerId> {
        let window = self.settings().storm_window;
        self.silences()
            .filter(|(_, fell)| *fell > self.thawed_at && fell.plus(window) >= at)
            .map(|(peer, _)| peer)
            .collect()
    }

    fn silences(&self) -> impl Iterator<Item = (PeerId, Timestamp)> {
        self.open_incidents()
            .filter(|incident| matches!(incident.because, Because::Silent { .. }))
            .map(|incident| (incident.peer, incident.opened_at))
    }

    /// Whether so many peers, silent within one window, are a storm, and how far it reaches.
    ///
    /// Peers are counted over the roster, those that are expected to answer.
    pub fn storm_among(&self, silent: &BTreeSet<PeerId>) -> Option<Extent> {
        let settings = self.settings();
        let mut running = 0_u64;
        // Of each zone: how many there are, and how many of them are silent.
        let mut zones: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (peer, member) in self.roster.running() {
            running += 1;
            let (all, gone) = zones.entry(member.zone()).or_default();
            *all += 1;
            *gone += usize::from(silent.contains(&peer));
        }
        let gone: usize = zones.values().map(|(_, gone)| gone).sum();
        // Hosts without the label are in no zone: what they have in common nobody said.
        let whole: Vec<&str> = zones
            .iter()
            .filter(|(zone, (all, gone))| !zone.is_empty() && *all >= ZONE_PEERS_MIN && all == gone)
            .map(|(zone, _)| *zone)
            .collect();
        let gone_count = u64::try_from(gone).unwrap_or(u64::MAX);
        let share = gone_count >= u64::from(settings.storm_at_least)
            && gone_count.saturating_mul(100)
                > running.saturating_mul(u64::from(settings.storm_share_percent));
        // A mesh of one zone has no other to compare it with.
        let of_zone = zones.len() > 1 && !whole.is_empty();
        if !share && !of_zone {
            return None;
        }
        match whole.as_slice() {
            [zone] if zones.len() > 1 && zones.get(zone).is_some_and(|(_, of)| *of == gone) => {
                Some(Extent::Zone((*zone).to_owned()))
            }
            _ => Some(Extent::Share),
        }
    }

    /// Whether a leader that does not reach these is itself on the smaller side: it hears half of
    /// the peers that should answer, or fewer.
    pub fn hears_a_minority(&self, unheard: &BTreeSet<PeerId>) -> bool {
        let (heard, of) = self.heard(unheard);
        of - heard >= UNHEARD_MIN && heard * 2 <= of
    }

    /// How many of the peers that should answer are left without these, and how many there are.
    fn heard(&self, unheard: &BTreeSet<PeerId>) -> (usize, usize) {
        let running = || self.roster.running().map(|(peer, _)| peer);
        (running().filter(|peer| !unheard.contains(peer)).count(), running().count())
    }

    /// What most likely made these fall silent, and the zone that it is about.
    pub fn likely_cause(&self, silent: &BTreeSet<PeerId>) -> (StormCause, Option<String>) {
        let zone = match self.storm_among(silent) {
            Some(Extent::Zone(zone)) => Some(zone),
            Some(Extent::Share) | None => None,
        };
        let (heard, of) = self.heard(silent);
        if heard * 2 < of {
            // A leader that hears fewer than half doubts itself first.
            return (StormCause::Leader, zone);
        }
        let cause = if zone.is_some() { StormCause::Zone } else { StormCause::Network };
        (cause, zone)
    }

    /// Refuses what acts on a silence, or calls a person about one, while the brake is engaged.
    ///
    /// # Errors
    /// [`Refusal::StormBrake`].
    pub fn unbraked(&self, incident: &Incident) -> Result<(), Refusal> {
        match (&self.brake, &incident.because) {
            (Some(brake), Because::Silent { .. }) => Err(self.braking(brake)),
            (_, _) => Ok(()),
        }
    }

    /// The refusal that the brake is.
    pub fn braking(&self, brake: &Brake) -> Refusal {
        let told = brake.incident.and_then(|id| self.incidents.get(&id));
        let mut silent: BTreeSet<PeerId> = self.silent_since_thaw();
        if let Some(Because::Storm { silent: named, .. }) = told.map(|told| &told.because) {
            silent.extend(named);
        }
        let until = brake.latest.plus(self.settings().storm_calm);
        let silent = u32::try_from(silent.len()).unwrap_or(u32::MAX);
        Refusal::StormBrake { since: brake.since, silent, until }
    }

    /// A silence was opened: the calm begins anew, and too many of them engage the brake.
    pub(super) fn count_silence(&mut self, at: Timestamp) {
        if let Some(brake) = &mut self.brake {
            brake.latest = at;
        } else if self.storm_among(&self.fallen(at)).is_some() {
            self.brake = Some(Brake { since: at, latest: at, incident: None });
        }
    }

    /// Whether the leader may call it a storm that these are silent.
    ///
    /// # Errors
    /// The [`Refusal`] that names the rule.
    pub(super) fn storm_is_due(
        &self,
        context: &Context,
        peer: PeerId,
        silent: &[PeerId],
    ) -> Result<(), Refusal> {
        if peer != context.by {
            let why = "a storm is about the leader that sees it".to_owned();
            return Err(Refusal::NotAllowed { by: context.by, why });
        }
        if let Some(incident) = self.brake.and_then(|brake| brake.incident) {
            return Err(Refusal::AlreadyOpen { incident });
        }
        let silent: BTreeSet<PeerId> = silent.iter().copied().collect();
        let (heard, of) = self.heard(&silent);
        let is_storm = self.brake.is_some()
            || self.storm_among(&silent).is_some()
            || self.hears_a_minority(&silent);
        if is_storm {
            return Ok(());
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Err(Refusal::NoStorm { silent: count(of - heard), of: count(of) })
    }

    /// A storm was opened: the brake is engaged and everybody is told, once.
    pub(super) fn engage(&mut self, context: &Context, id: IncidentId) {
        let at = context.at;
        let brake = self.brake.get_or_insert(Brake { since: at, latest: at, incident: None });
        brake.incident = Some(id);
        let told = self.whom_to_tell(id);
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        incident.state = State::Escalated;
        let reason = "too many peers are silent at once for neighbours to act".to_owned();
        incident.note(at, context.by, Fact::Escalated(reason));
        tell_people(incident, context, &told, News::Called);
        self.index_incident(id);
    }

    /// Whether this storm may be called over now.
    ///
    /// # Errors
    /// [`Refusal::StormBrake`] while the calm has not lasted long enough.
    pub(super) fn calmed(&self, incident: IncidentId, at: Timestamp) -> Result<(), Refusal> {
        match &self.brake {
            Some(brake) if brake.incident == Some(incident) => {
                let calm_at = brake.latest.plus(self.settings().storm_calm);
                if at < calm_at { Err(self.braking(brake)) } else { Ok(()) }
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The incident of a storm is over: so is the brake.
    pub(super) fn release(&mut self, incident: IncidentId) {
        if self.brake.is_some_and(|brake| brake.incident == Some(incident)) {
            self.brake = None;
        }
    }

    /// An operator lets neighbours act: the brake is released, and whoever is silent now is not
    /// counted again.
    pub(super) fn thaw_the_brake(&mut self, context: &Context) {
        self.thawed_at = context.at;
        let Some(brake) = self.brake.take() else { return };
        if let Some(id) = brake.incident {
            self.end_storm(context, id);
        }
    }
}
