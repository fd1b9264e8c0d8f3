//! Placeholder.

pub mod files;
pub mod identity;
