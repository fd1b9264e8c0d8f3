//! How the commands of an operator talk to the daemon of this host: one Unix socket, one question
//! and one answer per connection.
//!
//! - [`exit`]: what a command's exit code says, and which refusal leads to which.
//! - [`api`]: the questions and what is answered.
//! - [`views`]: what is shown of the ledger and the peers, as JSON.
//! - [`answers`]: the questions that the agent's own knowledge answers.
//! - [`server`]: the daemon's side of the socket.
//! - [`client`]: the command's side.

pub mod answers;
pub mod api;
pub mod client;
pub mod exit;
pub mod server;
pub mod views;

mod place;

pub use api::{Answer, Failure, Request};
pub use client::call;
pub use exit::Exit;
pub use server::{Service, serve};
