//! What Hearten decides.
//!
//! This crate is pure: no clock, no socket, no dice. Time, chance and the environment are
//! arguments, and whatever is walked has an order. The same inputs give the same outputs on every
//! peer and in the simulator.
//!
//! Reading order: the words ([`name`], [`time`], [`codec`]), what operators write ([`document`],
//! [`order`]), what the mesh agrees on ([`record`], [`refusal`], [`ledger`]), what peers say of
//! themselves ([`report`]) and others of them ([`alert`], [`heartbeat`], [`stream`]) and their programs
//! print ([`perfdata`]), what is usual for it ([`learn`]), what follows from it all
//! ([`agent`], [`keepers`]), how people are told ([`explain`]), and what would be done ([`plan`]).

pub mod agent;
pub mod alert;
pub mod codec;
pub mod document;
pub mod explain;
pub mod heartbeat;
pub mod keepers;
pub mod learn;
pub mod ledger;
pub mod mistakes;
pub mod name;
pub mod order;
pub mod perfdata;
pub mod plan;
pub mod record;
pub mod refusal;
pub mod rendezvous;
pub mod report;
pub mod stream;
pub mod time;
