//! What the daemon does on its host: commands, checks, evidence, web hooks.
//!
//! Nothing here decides anything. Whether a rung may run, on which host and under which attempt is
//! settled before; this module carries it out, keeps it within its time and its output within its
//! size, and says truthfully how it ended. What it must remember through a crash, it has on disk
//! before it acts: see [`started`].
//!
//! Reading order: what a command sees ([`environment`]), how it is run ([`process`], with `tree`
//! for its whole offspring and `output` for what it prints), what is built on that ([`check`],
//! [`plugin`], [`evidence`]), what is known of the host ([`facts`]), what goes over the network
//! ([`http`], [`call`], [`webhook`], [`mail`], [`notice`]), what is done to another host ([`fence`], [`wake`], [`ssh`], with
//! what nobody else may know from [`secrets`]), what is remembered ([`started`]).

pub mod call;
pub mod check;
pub mod environment;
pub mod evidence;
pub mod facts;
pub mod fence;
pub mod guardian;
pub mod http;
pub mod mail;
pub mod notice;
mod output;
pub mod plugin;
pub mod process;
pub mod secrets;
pub mod ssh;
pub mod started;
mod tree;
pub mod wake;
pub mod webhook;
