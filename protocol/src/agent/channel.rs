//! What a channel makes of a notice that it does not take.

use std::time::Duration;

/// Why a notice was not taken, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// What the channel said, or what was wrong on the way.
    pub why: String,
    /// Whether it may have been taken all the same: no answer came, and nothing says that it did
    /// not arrive.
    pub perhaps: bool,
    /// Whether it is sent again.
    pub again: Again,
}

/// Whether a notice that was not taken is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// After the usual wait.
    Later,
    /// Not before this has passed: the receiver asks for it.
    After(Duration),
    /// Not at all: it will never be taken as it is.
    Never,
}

impl NotTaken {
    /// It did not arrive, and is sent again.
    pub fn this_time(why: impl Into<String>) -> Self {
        Self { why: why.into(), perhaps: false, again: Again::Later }
    }
}
