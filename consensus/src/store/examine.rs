//! Whether a store can be trusted: everything in it is read, and compared with its witness.

use crate::{
    group::{LogId, Vote},
    store::{
        fault::Fault,
        record::Meta,
        shelf::{Changes, Shelf},
        witness::Promises,
        writer::Extent,
    },
};
use protocol::name::{PeerId, RaftId};

/// Reads the store through; returns where its log begins and ends, or what is wrong with it.
pub(crate) fn examine(
    shelf: &Shelf,
    promises: &Promises,
    snapshot_end: Option<LogId>,
) -> Result<Extent, Fault> {
    let identity = (promises.raft_id, promises.peer);
    if shelf.is_empty() {
        // sled is made after the witness; a crash in between leaves nothing, and nothing promised.
        if promises.vote.is_some() || promises.last.is_some() || snapshot_end.is_some() {
            return Err(Fault::damage("the log is empty, but its witness or snapshot is not"));
        }
        let mut changes = Changes::default();
        changes.set(Meta::Identity, &identity)?;
        shelf.apply(changes)?;
        shelf.barrier()?;
        return Ok(Extent::default());
    }
    if shelf.meta::<(RaftId, PeerId)>(Meta::Identity)? != Some(identity) {
        return Err(Fault::damage("the log and its witness are not of the same store"));
    }
    let purged = shelf.meta::<Option<LogId>>(Meta::Purged)?.flatten();
    let mut log = Walk { purged, before: None, at_promise: None, promised: promises.last };
    shelf.read_through(|entry| log.step(entry.log_id))?;
    let last = log.before.max(purged);
    if purged.is_some_and(|purged| log.before.is_some_and(|entry| entry.index < purged.index)) {
        // A crash while the log's beginning was removed, the rest of it included.
        log.before = None;
    }
    let vote = shelf.meta::<Vote>(Meta::Vote)?;
    let committed = shelf.meta::<Option<LogId>>(Meta::Committed)?.flatten();

    behind(promises.vote <= vote, "the last vote", &promises.vote, &vote)?;
    behind(log.holds_promise(), "the last entry", &promises.last, &last)?;
    behind(purged <= snapshot_end, "the log's removed beginning", &purged, &snapshot_end)?;
    behind(committed <= last.max(snapshot_end), "the commit index", &committed, &last)?;
    let term_voted = vote.map_or(0, |vote| vote.leader_id.term);
    let term_held = last.map_or(0, |last| last.leader_id.term);
    behind(term_held <= term_voted, "the last entry's term", &last, &vote)?;

    if let Some(purged) = purged {
        shelf.remove(0..purged.index + 1, false, Changes::default())?;
        shelf.barrier()?;
    }
    Ok(Extent { purged, last })
}

fn behind<A: std::fmt::Debug, B: std::fmt::Debug>(
    holds: bool,
    what: &str,
    promised: &A,
    found: &B,
) -> Result<(), Fault> {
    if holds {
        Ok(())
    } else {
        Err(Fault::damage(format!("{what} is {promised:?}, but the store holds only {found:?}")))
    }
}

/// A walk along the log.
struct Walk {
    purged: Option<LogId>,
    before: Option<LogId>,
    promised: Option<LogId>,
    at_promise: Option<LogId>,
}

impl Walk {
    fn step(&mut self, id: LogId) -> Result<(), Fault> {
        let removed = self.purged.is_some_and(|purged| id.index <= purged.index);
        let follows = match (self.before, self.purged) {
            (Some(before), _) => {
                id.index == before.index + 1 && id.leader_id.term >= before.leader_id.term
            }
            (None, Some(purged)) => removed || id.index == purged.index + 1,
            (None, None) => id.index == 0,
        };
        if !follows {
            let before = self.before.or(self.purged);
            return Err(Fault::damage(format!("the log has a gap between {before:?} and {id}")));
        }
        if self.promised.is_some_and(|promised| promised.index == id.index) {
            self.at_promise = Some(id);
        }
        self.before = Some(id);
        Ok(())
    }

    /// What was promised to be durable is there, or was in a snapshot before it was removed.
    fn holds_promise(&self) -> bool {
        let Some(promised) = self.promised else { return true };
        self.at_promise == Some(promised)
            || self.purged.is_some_and(|purged| promised.index <= purged.index)
    }
}
