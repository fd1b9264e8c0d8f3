//! From TOML to documents.
