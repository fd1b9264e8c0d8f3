//! Documents held against each other.
