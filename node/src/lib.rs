//! What Hearten does: the daemon and the command line.
//!
//! `protocol` decides; this crate acts: sockets, gossip, processes, files, HTTP. It decides nothing
//! that `protocol` could decide.
//!
//! Reading order: how a host becomes a peer ([`setup`], [`identity`], [`files`]), how peers talk
//! ([`net`]), what is carried out on the host ([`exec`]), what other systems send
//! ([`intake`]), the daemon that puts it together
//! ([`daemon`]), how operators talk to it ([`control`], [`cli`]), and a mesh to look at
//! ([`demo`]).

pub mod cli;
pub mod control;
pub mod daemon;
pub mod demo;
pub mod exec;
pub mod files;
pub mod identity;
pub mod intake;
pub mod net;
pub mod setup;
