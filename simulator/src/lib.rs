//! What Hearten proves: the real agent and the real ledger, driven through virtual time.
//!
//! This is the *model ring*. A story (`scenarios/*.toml`) and a seed make a `world`: hosts that
//! die, a network that loses and divides, a Raft group that changes its leader, clocks that jump.
//! In it run the very same `protocol::agent::Agent`s that the daemon drives. After every step the
//! `invariants` are checked; a violation names the seed and the command that replays it. The same
//! seed gives the same history on every machine.
//!
//! Operators try out their own documents in it, too: `document_test`.
//!
//! Reading order: `scenario` (what a story is), `world` (what may happen), `invariants` (what must
//! hold), `expectation` (what the story itself expects), `run` (one story, one seed), [`cli`];
//! [`history`] for whoever compares the model with something else.

pub mod cli;
mod coverage;
mod document_test;
mod expectation;
pub mod history;
pub mod invariants;
#[cfg(feature = "mistakes")]
mod mistakes;
mod output;
mod random;
mod reduction;
mod report;
mod run;
mod scenario;
mod shrink;
mod sights;
mod trace;
mod world;
