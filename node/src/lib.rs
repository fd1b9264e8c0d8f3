//! Placeholder.

pub mod files;
