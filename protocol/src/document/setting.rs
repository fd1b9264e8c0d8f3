//! What an operator tells a plugin: any TOML, kept as it was written.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How deep settings may be nested.
pub const SETTINGS_DEPTH_MAX: usize = 16;

/// One value of a plugin's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// A text; dates become texts as well.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any other number, as a text that JSON reads as a number: two peers never disagree about
    /// its last digit.
    Number(String),
    /// True or false.
    Truth(bool),
    /// Several values.
    List(Vec<Self>),
    /// Values by name.
    Table(BTreeMap<String, Self>),
}
