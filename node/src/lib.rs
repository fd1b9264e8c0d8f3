//! Placeholder.

pub mod exec;
pub mod files;
pub mod identity;
pub mod net;
