//! What Hearten remembers.
//!
//! A Raft group (openraft) carries records to a majority of its voters and back; its log lies on
//! sled, its snapshots in files of their own. This is the only crate that knows either library.
//!
//! Four promises are kept here, each held twice:
//!
//! - *Nothing that was acknowledged is lost.* An entry or a vote is answered only after it has
//!   passed a durable barrier and after the witness file, which lies outside sled, has
//!   been told of it.
//! - *What cannot be read is never guessed.* Every record bears its length and a checksum; the
//!   store is read through when it is opened, compared with its witness, and set aside on any
//!   doubt. The peer then comes back with a new [`RaftId`](protocol::name::RaftId), so that Raft
//!   never meets a member whose log went backwards.
//! - *Nobody speaks for another.* A call names the stores it comes from and goes to; it is served
//!   only when the sender's peer is the one that owns the store it claims.
//! - *A slow reader holds nobody up.* Subscribers pull what is committed from the log, or take a
//!   snapshot when the log no longer reaches back far enough.
//!
//! Reading order: the handle ([`Consensus`]) and what it can be asked ([`Standing`],
//! [`MemberChange`], [`Feed`]), how calls travel ([`Wire`]), the replicated state, the store.

mod aside;
mod change;
mod confirm;
mod consensus;
mod disk;
mod election;
mod feed;
mod group;
mod introduction;
mod line;
mod machine;
mod messages;
mod options;
mod poll;
mod rpc;
mod serve;
mod standing;
mod store;
mod wire;

pub use aside::{aside, work_here};
pub use change::{ChangeError, MemberChange};
pub use consensus::{Consensus, FoundError, ProposeError};
pub use disk::Disk;
pub use feed::{Feed, FeedItem};
#[doc(hidden)]
pub use messages::MESSAGES;
pub use options::Options;
pub use serve::ServeError;
pub use standing::{Lag, Standing};
pub use store::{OpenError, Opening};
pub use wire::{FRAME_BYTES_MAX, Wire, WireError};
