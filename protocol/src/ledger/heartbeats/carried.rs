//! What peers bring to the log of what jobs told them: many words in an entry, of many callers.
//!
//! When an answer is lost an entry is brought once more, to whoever leads by then, and may be in the
//! log twice. Then it changes nothing, and its answer is the one that it had: a check-in counts once,
//! and who has checked out is not told that there is no such job.

use super::{Heartbeats, WORDS_MAX};
use crate::{
    heartbeat::{JobRef, Word},
    ledger::{Context, Effect, Ledger, Outcome, roster::Roster},
    name::PeerId,
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// So many entries of each peer are known. A peer brings one after the other, and each is brought
/// again for some seconds at the most.
const ENTRIES_MAX: usize = 8;

/// Of an entry of which more was refused than that, the refusals are not kept, nor is it known.
const REFUSED_MAX: usize = 32;

/// The words of an entry that were refused, by their places.
type Refused = Vec<(u32, Refusal)>;

/// The entries that each peer brought lately, by their nonces, and what was refused of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Carried(BTreeMap<PeerId, VecDeque<(u64, Refused)>>);

impl Carried {
    fn find(&self, by: PeerId, nonce: u64) -> Option<&Refused> {
        let known = self.0.get(&by)?.iter().find(|(known, _)| *known == nonce);
        known.map(|(_, refused)| refused)
    }

    fn add(&mut self, by: PeerId, nonce: u64, refused: Refused, roster: &Roster) {
        if !self.0.contains_key(&by) {
            self.0.retain(|peer, _| roster.member(*peer).is_some());
        }
        let known = self.0.entry(by).or_default();
        if known.len() == ENTRIES_MAX {
            known.pop_front();
        }
        known.push_back((nonce, refused));
    }
}

impl Heartbeats {
    /// Takes what it can; says what is refused.
    ///
    /// Who reserves a job and pings it by its name does not know its number yet. Where his reservation
    /// is refused, the name is another's job, and the ping is none of it.
    fn take_all(&mut self, words: &[Word], at: Timestamp) -> Refused {
        let mut withheld: BTreeMap<String, Refusal> = BTreeMap::new();
        let mut refused = Vec::new();
        for (place, word) in (0_u32..).zip(words) {
            let taken = match (word, word.job()) {
                (Word::Reserve(_), JobRef::Name(name)) => {
                    let taken = self.take(word, at);
                    match &taken {
                        Ok(()) => withheld.remove(&name),
                        Err(refusal) => withheld.insert(name, refusal.clone()),
                    };
                    taken
                }
                (_, JobRef::Name(name)) => {
                    let withheld = withheld.get(&name).cloned();
                    withheld.map_or_else(|| self.take(word, at), Err)
                }
                (_, JobRef::Id(_)) => self.take(word, at),
            };
            if let Err(refusal) = taken {
                refused.push((place, refusal));
            }
        }
        refused
    }
}

impl Ledger {
    /// A peer passes on what it was told of jobs. What cannot be used is passed over, and the rest
    /// taken: the words of one entry are of many jobs, and of many callers, that know nothing of each
    /// other. So each is told of its own.
    pub(in crate::ledger) fn take_job_words(
        &mut self,
        context: &Context,
        words: &[Word],
        nonce: Option<u64>,
    ) -> Outcome {
        self.roster
            .member(context.by)
            .ok_or(Refusal::UnknownPeer { peer: context.by.to_string() })?;
        if words.len() > WORDS_MAX || words.iter().any(|word| word.check_size().is_err()) {
            let limit_bytes = u64::try_from(WORDS_MAX).unwrap_or(u64::MAX);
            return Err(Refusal::TooLarge {
                what: "what was told of jobs".to_owned(),
                limit_bytes,
            });
        }
        let carried = &self.heartbeats.carried;
        if let Some(refused) = nonce.and_then(|nonce| carried.find(context.by, nonce)) {
            return told(refused.clone());
        }
        let refused = self.heartbeats.take_all(words, context.at);
        // A word alone that is refused changes nothing.
        if let ([_], [(_, refusal)]) = (words, refused.as_slice()) {
            return Err(refusal.clone());
        }
        if let Some(nonce) = nonce.filter(|_| refused.len() <= REFUSED_MAX) {
            self.heartbeats.carried.add(context.by, nonce, refused.clone(), &self.roster);
        }
        told(refused)
    }
}

fn told(refused: Refused) -> Outcome {
    Ok(if refused.is_empty() { Effect::Done } else { Effect::PassedOver(refused) })
}
