//! The daemon: one host's part in the mesh.
//!
//! It carries out what the [`protocol::agent::Agent`] decides and brings the results back. It
//! decides nothing itself.
//!
//! * `start` opens what the host has on disk and puts the parts together;
//! * `driver` is the loop between the agent and the parts;
//! * `gossip`, `feed` and `forward` are what peers tell each other: what they see, what is
//!   committed, and what is to be committed;
//! * `watch` looks after a few peers all the time;
//! * `ground` is what it stands on, its host or a world that is made up;
//! * `own` is what the daemon measures of itself;
//! * `evidence` is handed to neighbours, and found again;
//! * `removal` is how it learns that it is a member no more;
//! * `answer` is what the daemon says to other peers, `service` what it says to operators;
//! * `signal` and `source` are what programs of its host tell it;
//! * `streams` are the topics that the leader reads.

mod answer;
mod clock;
mod disk;
mod driver;
mod evidence;
mod execution;
mod facts;
mod feed;
mod forward;
mod gossip;
mod ground;
mod habits;
mod http;
mod issuing;
mod messages;
mod outputs;
mod own;
mod plugins;
mod removal;
mod service;
mod signal;
mod source;
mod start;
mod streams;
mod watch;

pub use ground::{Ground, Hands, Onlooker};
#[doc(hidden)]
pub use messages::MESSAGES;
pub use signal::Signal;
pub use start::{Running, run};
pub(crate) use streams::Told;

use crate::{
    exec::{
        check::{HostCard, Tools},
        facts::Facts,
        http::HttpClient,
        plugin::Plugins,
        secrets::Secrets,
        started::Journal,
    },
    identity::CurrentIdentity,
    net::Net,
};
use clock::Clock;
use consensus::Consensus;
use protocol::{
    agent::{Agent, Input, Standing},
    learn::Habits,
    name::PeerId,
    time::{Now, Timestamp},
};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64},
    },
};
use tokio::sync::{mpsc, watch as watch_channel};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the parts of the daemon share.
pub(crate) struct Daemon {
    pub(crate) data: PathBuf,
    pub(crate) me: PeerId,
    pub(crate) identity: Arc<CurrentIdentity>,
    pub(crate) book: Arc<crate::net::Book>,
    pub(crate) consensus: Consensus,
    pub(crate) clock: Clock,
    pub(crate) http: HttpClient,
    /// What is known of this host, collected once for all checks.
    pub(crate) facts: Facts,
    /// What plugins said in earlier phases.
    pub(crate) plugins: Plugins,
    /// What is usual for its checks.
    habits: Mutex<Habits>,
    /// What documents name as `secret:NAME`.
    pub(crate) secrets: Secrets,
    pub(crate) gossip: gossip::Gossip,
    /// What it stands on.
    ground: Ground,
    /// What the daemon remembers of its place in the mesh.
    lately: Mutex<own::Lately>,
    /// What its own checks measure it by.
    own: Arc<own::OwnDaemon>,
    agent: Mutex<Agent>,
    journal: Arc<Mutex<Journal>>,
    net: OnceLock<Net>,
    inputs: mpsc::Sender<Input>,
    /// How the Raft group looks to a peer that is not in it, as a voter told it.
    followed: watch_channel::Sender<Standing>,
    /// Whom this peer is to watch.
    watched: watch_channel::Sender<BTreeSet<PeerId>>,
    /// When the loop last took an input, in milliseconds of the daemon's own clock.
    beat: AtomicU64,
    /// What keeps the HTTP address from being opened.
    http_problem: Mutex<Option<String>>,
    /// What keeps streams from being read.
    troubles: streams::Troubles,
    /// Ends the daemon; what is in `work` is waited for.
    pub(crate) stop: CancellationToken,
    /// An operator of this host has asked to leave for good.
    leaves: AtomicBool,
    /// The mesh has let this peer go, though it could not tell it by the log.
    pub(crate) released: CancellationToken,
    /// Ends the commands that are being executed.
    pub(crate) break_off: CancellationToken,
    pub(crate) work: TaskTracker,
}

impl Daemon {
    /// What this host's clocks say.
    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// What keeps the HTTP address from being opened, if anything does.
    fn http_problem(&self) -> MutexGuard<'_, Option<String>> {
        self.http_problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log's time, as the agent reckons it.
    pub(crate) fn log_now(&self) -> Timestamp {
        let now = self.now();
        self.agent().log_now(now)
    }

    /// The agent; held for a moment only, never across an await.
    pub(crate) fn agent(&self) -> MutexGuard<'_, Agent> {
        // The agent is plain data that is changed by one task: a panic elsewhere leaves it whole.
        self.agent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoint; it is there before anything can ask for it.
    pub(crate) fn net(&self) -> &Net {
        let Some(net) = self.net.get() else { unreachable!("the endpoint is opened first") };
        net
    }

    /// Tells the agent something. Waits while the agent has much to do.
    pub(crate) async fn tell(&self, input: Input) {
        if self.inputs.send(input).await.is_err() {
            tracing::debug!("the daemon is stopping: an input was dropped");
        }
    }

    /// What this host's checks are run with.
    pub(crate) fn tools(&self) -> Tools {
        let agent = self.agent();
        let card = agent.card();
        let host = HostCard {
            name: card.name.to_string(),
            address: card.address.ip().to_string(),
            labels: card.labels.clone(),
        };
        Tools {
            http: self.http.clone(),
            facts: self.facts.clone(),
            plugins: self.plugins.clone(),
            host,
            own: Some(self.own.clone()),
        }
    }

    /// How the Raft group looks from here: as a member of it, or as a voter told it.
    pub(crate) fn standing(&self) -> Standing {
        feed::standing(self)
    }
}

impl Daemon {
    /// What was dropped, refused and restarted, by name.
    pub(crate) fn counters(&self) -> std::collections::BTreeMap<String, u64> {
        use std::sync::atomic::Ordering::Relaxed;
        let own = [
            ("gossip_dropped", self.gossip.dropped.load(Relaxed)),
            ("gossip_malformed", self.gossip.malformed.load(Relaxed)),
            ("gossip_restarts", self.gossip.restarts.load(Relaxed)),
            ("reports_dropped", self.agent().view().dropped),
        ];
        let all = self.net().counters().into_iter().chain(own);
        all.map(|(name, count)| (name.to_owned(), count)).collect()
    }
}
