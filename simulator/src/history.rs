//! The log of a model run: what the modelled consensus committed, for whoever wants to see whether a
//! real one makes the same of it.

use crate::{
    scenario::read::read,
    world::{World, raft::Blanks},
};
use protocol::record::{Entry, Position};
use std::path::Path;

/// A committed entry.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Where it stands.
    pub position: Position,
    /// What it is; nothing where Raft wrote for itself.
    pub entry: Option<Entry>,
}

/// What became of a story's log with one seed.
///
/// A real group writes entries of its own: `first` of them before anything else, and up to
/// `election` whenever it elects a leader. The model leaves as many places, because incidents are
/// known by theirs.
///
/// # Errors
/// Why the story cannot be read, or which invariant did not hold.
pub fn play(story: &Path, seed: u64, first: u64, election: u64) -> Result<Vec<Committed>, String> {
    let story = read(story).map_err(|error| error.to_string())?;
    let mut world = World::with_blanks(&story, seed, false, Blanks { first, election });
    world.run();
    if let Some(broken) = world.violation {
        return Err(format!("{}: {}", broken.invariant, broken.what));
    }
    let log = world.raft.log.into_iter();
    Ok(log.map(|logged| Committed { position: logged.position, entry: logged.entry }).collect())
}
