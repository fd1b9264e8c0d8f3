//! The short documents: how people are reached, how much may be done at once, how the mesh is run.

use super::{Command, Mail, Policy, Route, Template};
use crate::name::Name;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// A way to reach people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifier {
    /// What rungs call it.
    pub name: Name,
    /// How the message goes out.
    pub channel: Channel,
    /// What stands above it; the usual title unless said.
    pub title: Option<Template>,
    /// What it says; the usual text unless said.
    pub text: Option<Template>,
    /// What a web hook is posted, in JSON; the mesh's own shape unless said.
    pub body: Option<Template>,
    /// When it is used.
    pub policy: Policy,
}

impl Notifier {
    /// Whether it tells people itself, and does not lead to others.
    pub const fn is_a_way(&self) -> bool {
        !matches!(self.channel, Channel::Route(_))
    }
}

/// How a message goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Channel {
    /// An HTTP POST of a JSON object.
    Webhook {
        /// Where to.
        url: String,
    },
    /// The same with a signature by which its receiver knows the mesh.
    SignedWebhook {
        /// Where to.
        url: String,
        /// The secret that both know.
        secret: Name,
    },
    /// A message in a channel of Slack, or of what takes the same.
    Slack {
        /// Where to: who knows it may write there.
        url: Where,
    },
    /// An event of PagerDuty: a call triggers, its end resolves.
    PagerDuty {
        /// Where to.
        url: String,
        /// The secret with the integration's key.
        routing_key: Name,
        /// How bad it is called: `critical`, `error`, `warning` or `info`; as bad as the incident
        /// is unless said.
        severity: Option<String>,
    },
    /// A message of a topic of ntfy.
    Ntfy {
        /// The topic's address.
        url: String,
        /// The secret with the token, where the topic needs one.
        token: Option<Name>,
        /// The priority of calls, 1 to 5.
        priority: u32,
    },
    /// A mail.
    Mail(Mail),
    /// A program on the leader's host that is told on its standard input.
    Command {
        /// What is run.
        command: Command,
        /// How long it may take; 20 s unless said.
        timeout: Duration,
    },
    /// No way of its own: the first route that fits leads to other notifiers. The last one fits
    /// everything.
    Route(Vec<Route>),
}

impl Channel {
    /// The word for it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Webhook { .. } | Self::SignedWebhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::PagerDuty { .. } => "pagerduty",
            Self::Ntfy { .. } => "ntfy",
            Self::Mail(_) => "smtp",
            Self::Command { .. } => "command",
            Self::Route(_) => "route",
        }
    }
}

/// An address, or the secret that it stands in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Where {
    /// This one.
    At(String),
    /// `secret:NAME`: the file of secrets of whoever sends has it.
    Secret(Name),
}

/// How much may be under repair at once. What is not said is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Repairs under way.
    pub at_once: Option<u32>,
    /// Repairs begun within the last hour.
    pub per_hour: Option<u32>,
    /// Targets under repair, as a share of the peers that the runbook fits, in percent; one is
    /// always allowed.
    pub share_percent: Option<u32>,
    /// Peers that the runbook fits and that are well, in percent, while one more is repaired.
    pub min_healthy_percent: Option<u32>,
    /// Repairs under way in one zone.
    pub at_once_per_zone: Option<u32>,
}

impl Bounds {
    /// Nothing is limited.
    pub const NONE: Self = Self {
        at_once: None,
        per_hour: None,
        share_percent: None,
        min_healthy_percent: None,
        at_once_per_zone: None,
    };
}

/// The limits of the mesh. When several rules apply, the strictest holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Over all runbooks together.
    pub mesh: Bounds,
    /// Over the peers of each value of a label: `role` limits web hosts and database hosts apart.
    pub per_label: BTreeMap<String, Bounds>,
}

/// How the mesh itself is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshSettings {
    /// The most voters that the leader appoints: 1, 3, 5 or 7; 5 unless said.
    pub voters_max: u32,
    /// How long a voter may be silent before another peer takes its seat; 5 minutes unless said.
    pub voter_gone_after: Duration,
    /// How many peers watch each peer, and testify when it is silent: 2 to 9; 3 unless said.
    pub witnesses: u32,
    /// How long an agent that crashed may take to come back by itself where a service manager
    /// starts it again; 3 seconds unless said.
    pub restart_grace: Duration,
    /// More than this share of the running peers silent within the window, in percent, is a storm;
    /// 33 unless said. A mesh of few zones wants more than the largest zone's share.
    pub storm_share_percent: u32,
    /// But not fewer peers than this; 3 unless said.
    pub storm_at_least: u32,
    /// How close together they fall silent; 1 minute unless said. Not shorter than it takes to see
    /// that all of a rack is silent.
    pub storm_window: Duration,
    /// How long no other peer may fall silent before the storm is over; 5 minutes unless said. Not
    /// shorter than the window, or the same silences would be a storm again.
    pub storm_calm: Duration,
    /// An outside dead-man's switch that the leader calls, if there is one.
    pub check_in: Option<CheckIn>,
}

/// An outside dead-man's switch: an address that expects a call now and then, and tells a person
/// when none comes. So somebody notices when all of the mesh is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckIn {
    /// Where to.
    pub url: String,
    /// How.
    pub method: CheckInMethod,
    /// The time from one call to the next; 1 minute unless said.
    pub every: Duration,
}

/// How the dead-man's switch is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckInMethod {
    /// An HTTP GET.
    Get,
    /// An HTTP POST without a body.
    Post,
}

impl CheckInMethod {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

impl Default for MeshSettings {
    fn default() -> Self {
        Self {
            voters_max: 5,
            voter_gone_after: Duration::from_secs(300),
            witnesses: 3,
            restart_grace: Duration::from_secs(3),
            storm_share_percent: 33,
            storm_at_least: 3,
            storm_window: Duration::from_secs(60),
            storm_calm: Duration::from_secs(300),
            check_in: None,
        }
    }
}
