//! A stream of events: a topic of Kafka, and how its messages are understood.

use super::Login;
use crate::name::Name;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A topic that the leader reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// What it is called.
    pub name: Name,
    /// Brokers that are asked first, `HOST:PORT`; they name the others.
    pub brokers: Vec<String>,
    /// The topic.
    pub topic: String,
    /// Where a partition is begun that was never read.
    pub begin: Begin,
    /// How the way to the brokers is kept private, if it is.
    pub tls: Option<Tls>,
    /// As whom the brokers know the reader, where they ask for that.
    pub login: Option<(Mechanism, Login)>,
    /// How its messages are understood.
    pub mapping: Mapping,
}

/// Where a partition is begun that was never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Begin {
    /// With what comes from now on.
    Latest,
    /// With the first message that the broker still has.
    Earliest,
}

/// How the way to the brokers is kept private.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The certificates, in PEM, that the brokers' have to come from; the host's own roots unless
    /// said.
    pub ca: Option<String>,
}

/// How a password is shown to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    /// As it is.
    Plain,
    /// By a proof of knowing it, with SHA-256.
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

/// How JSON is understood. Places are JSON pointers (RFC 6901).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Where a list of events stands; the whole message is one event, or a list, unless said.
    pub list: Option<String>,
    /// Which events say that it fires; all that do not say that it is over, unless said.
    pub fires: Option<Case>,
    /// Which events say that it is over; none unless said.
    pub over: Option<Case>,
    /// Where a line for people stands.
    pub summary: Option<String>,
    /// Where the moment stands since when it is so; the log dates events unless said.
    pub time: Option<String>,
    /// The labels that are taken from the event, by the places where they stand.
    pub labels: BTreeMap<String, String>,
    /// Labels that are always the same.
    pub set: BTreeMap<String, String>,
}

/// What an event has to say somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Where.
    pub at: String,
    /// One of these.
    pub is: BTreeSet<String>,
}
