//! What is usual, learned from what was seen: when the next arrival of a stream is due, and what
//! the next value of a metric will be.
//!
//! Whoever asks says how often he will take a false alarm, one in so many; the learner answers with
//! the deadline or the range that keeps to it. Nothing here is configured for each stream.
//!
//! Reading order: arithmetic in powers of two that is the same bit for bit on every machine
//! ([`scale`]), the tail of a distribution ([`tail`]), what the hours and the days change
//! ([`seasons`]), both together for arrivals ([`arrivals`]), `PaceHB`'s rule beside it
//! ([`pacehb`]), values ([`metric`]), where they are on their way to ([`ahead`]), and those of a whole
//! host ([`habits`]).
//!
//! The state of a stream of arrivals may stand in the replicated ledger: it holds whole numbers
//! only, does the same on every machine, and has an upper bound. That of a metric is one host's own.

pub mod ahead;
pub mod arrivals;
pub mod habits;
pub mod metric;
pub mod pacehb;
pub mod scale;
pub mod seasons;
pub mod tail;

pub use arrivals::Arrivals;
pub use habits::Habits;
pub use metric::Metric;
pub use pacehb::PaceHb;
pub use seasons::Seasons;
pub use tail::{OneIn, Tail};
