//! What Hearten decides.
//!
//! This crate is pure: no clock, no socket, no dice. Time, chance and the environment are
//! arguments, and whatever is walked has an order. The same inputs give the same outputs on every
//! peer and in the simulator.

pub mod codec;
pub mod name;
pub mod time;
