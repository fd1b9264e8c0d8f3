//! Placeholder.

pub mod daemon;
pub mod exec;
pub mod files;
pub mod identity;
pub mod net;
pub mod setup;
