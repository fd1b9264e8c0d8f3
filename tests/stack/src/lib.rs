//! The *full-stack ring*: a mesh of whole daemons, with their own QUIC, TLS, gossip, Raft and
//! stores, in a network whose time, losses and dice follow from a seed.
//!
//! The model ring (`simulator`) plays thousands of seeds with the real agent and models of all that
//! lies around it. Here nothing of the daemon is modelled: what is made up is the network's
//! packets, the host's clocks, what a disk does between two barriers, and what programs would have
//! done. The same invariants look on, after every step of every agent. The same seed gives the same
//! history, in any process.
//!
//! Reading order: `run` (a run from its founding to its end), `founding`, `eye` (what looks on),
//! `trouble` (what may happen), `socket`, `disk`, `hands`, `interpose` (time and chance).

pub mod disk;
pub mod eye;
pub mod founding;
pub mod hands;
pub mod interpose;
pub mod run;
pub mod socket;
pub mod trouble;
