//! Which peers a document is for.

use crate::name::Labels;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which peers a document is for: those that bear all of these labels. An empty one fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector(pub BTreeMap<String, String>);

impl Selector {
    /// Whether a peer with these labels is meant.
    pub fn fits(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}
