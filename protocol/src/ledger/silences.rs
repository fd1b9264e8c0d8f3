//! Which peers are silent, and who has to have seen it.

use super::{
    Ledger,
    incident::{Incident, Subject},
};
use crate::{
    mistakes::{self, Mistake},
    name::PeerId,
    record::{self, Seen},
    refusal::Refusal,
};
use std::collections::BTreeSet;

/// How many witnesses beside the leader must have been asked about a silence, where there are so
/// many.
pub const WITNESSES_MIN: usize = 2;

impl Ledger {
    /// Whether the leader and enough witnesses saw the silence for themselves.
    ///
    /// Needed are the leader's own probe and a majority of the witnesses that could answer: at
    /// least [`WITNESSES_MIN`] have to have been asked, or all others where the mesh has fewer, and
    /// one of them has to have looked. One sign of life is enough against it. Only peers count that
    /// are expected to answer and not silent themselves.
    ///
    /// # Errors
    /// [`Refusal::NotAttested`] with how many agree.
    pub fn attested(
        &self,
        peer: PeerId,
        leader: PeerId,
        witnesses: &[record::Testimony],
    ) -> Result<(), Refusal> {
        let able: BTreeSet<PeerId> = self
            .roster
            .running()
            .map(|(other, _)| other)
            .filter(|other| *other != peer && *other != leader && !self.is_silent(*other))
            .collect();
        let of_able = |wanted: fn(Seen) -> bool| -> BTreeSet<PeerId> {
            witnesses
                .iter()
                .filter(|said| able.contains(&said.witness) && wanted(said.seen))
                .map(|said| said.witness)
                .collect()
        };
        let asked = of_able(|_| true);
        let agreeing = of_able(Seen::is_silence);
        let leader_saw =
            witnesses.iter().any(|said| said.witness == leader && said.seen.is_silence());
        let alive = witnesses.iter().filter(|said| said.seen.is_life()).count();
        // Whoever could answer and was not there, or does not trust itself, is no vote; what is
        // left agrees, or else it contradicts.
        let to_be_asked = able.len().min(WITNESSES_MIN);
        let counts = if mistakes::is_made(Mistake::WitnessCountedTwice) { 2 } else { 1 };
        let asked_enough = asked.len() * counts >= to_be_asked;
        let needed = if asked_enough { able.len().min(1) } else { to_be_asked };
        if leader_saw && asked_enough && agreeing.len() >= needed && alive == 0 {
            return Ok(());
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Err(Refusal::NotAttested {
            agreeing: count(agreeing.len() + usize::from(leader_saw)),
            needed: count(needed + 1),
            alive: count(alive),
        })
    }

    /// Whether an incident says that this peer is silent.
    pub fn is_silent(&self, peer: PeerId) -> bool {
        self.silence_of(peer).is_some()
    }

    /// The open incident of this peer's silence.
    pub fn silence_of(&self, peer: PeerId) -> Option<&Incident> {
        self.latest_about(peer, Subject::Silence).filter(|incident| !incident.state.is_over())
    }
}
