//! Placeholder.

pub mod cli;
pub mod control;
pub mod files;
pub mod identity;
pub mod net;
pub mod setup;
