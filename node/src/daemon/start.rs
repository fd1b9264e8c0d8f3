//! Putting the daemon together from what the host has on disk, and taking it apart again.

use super::{
    Daemon, Ground, answer::Answerer, clock::Clock, disk, driver, evidence, facts, feed, gossip,
    habits, http, issuing, own, removal, service, source, streams,
};
use crate::{
    exec::{http::HttpClient, started::Journal},
    identity::{CurrentIdentity, Identity},
    net::{Book, Net, NetConfig, StreamKind},
    setup::{
        card,
        config::{Config, Http},
        data_dir::DataDir,
        farewell, init, trust,
    },
};
use anyhow::Context;
use async_trait::async_trait;
use consensus::{Consensus, Opening, Options, ProposeError, Wire, WireError};
use protocol::{
    agent::{Agent, Input, Origin, Standing},
    ledger::{Outcome, roster},
    name::PeerId,
    record::{Entry, Record},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Inputs that wait for the agent; whoever brings more waits.
const INPUTS_MAX: usize = 1_024;

/// How long a stop waits for commands that are being ended and for the log to have it.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// What keeps it from starting, with the file or address at fault; or why it had to end.
pub async fn run(data: &Path) -> anyhow::Result<()> {
    let mut running = Running::begin(data, Ground::default()).await?;
    running.answer_others()?;
    let daemon = Arc::clone(&running.daemon);
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    let mut ended = Ok(());
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        () = async { while hangup.recv().await.is_some() { reload(&daemon).await; } } => {}
        by_itself = running.ended() => ended = by_itself,
    }
    running.stop(ended.is_ok()).await;
    ended
}

/// A daemon that runs.
pub struct Running {
    daemon: Arc<Daemon>,
    config: Config,
    parts: JoinSet<()>,
    replica: JoinHandle<()>,
    habits: JoinHandle<()>,
    /// Nobody else may use the directory.
    _lock: DataDir,
}

impl Running {
    /// Begins, as a peer of its mesh; operators and other programs are not answered yet.
    ///
    /// # Errors
    /// What keeps it from starting, with the file or address at fault.
    pub async fn begin(data: &Path, ground: Ground) -> anyhow::Result<Self> {
        let lock = DataDir::open(data)?;
        farewell::is_none(data)?;
        let config = Config::load(data)?;
        let (daemon, inputs) = assemble(&config, data, ground).await?;
        let mut parts = JoinSet::new();
        parts.spawn(driver::drive(Arc::clone(&daemon), inputs));
        parts.spawn(feed::tell_standing(Arc::clone(&daemon)));
        parts.spawn(feed::bring(Arc::clone(&daemon)));
        parts.spawn(gossip::run(Arc::clone(&daemon)));
        parts.spawn(super::watch::run(Arc::clone(&daemon)));
        parts.spawn(issuing::tend(Arc::clone(&daemon)));
        parts.spawn(facts::collect(Arc::clone(&daemon)));
        parts.spawn(evidence::tidy(Arc::clone(&daemon)));
        let replica = tokio::spawn(disk::keep_replica(Arc::clone(&daemon)));
        let habits = tokio::spawn(habits::keep(Arc::clone(&daemon)));
        found(&daemon).await?;
        Ok(Self { daemon, config, parts, replica, habits, _lock: lock })
    }

    /// Answers operators on the control socket and other programs on the HTTP address, and listens
    /// to the programs that tell of events, now that there is something to say.
    fn answer_others(&mut self) -> anyhow::Result<()> {
        let daemon = &self.daemon;
        if let Http::At(address) = self.config.http {
            let tokens = self.config.intake_tokens.clone();
            let posted = self.config.intake.iter().filter(|mapping| mapping.run.is_empty());
            let mappings = posted.cloned().collect();
            let files = (&self.config.http_certificate, &self.config.http_key);
            let tls = match files {
                (Some(certificate), Some(key)) => {
                    Some(http::Files { certificate: certificate.clone(), key: key.clone() })
                }
                (Some(_) | None, None) | (None, Some(_)) => None,
            };
            let address = http::Address { at: address, tls, tokens, mappings };
            self.parts.spawn(http::serve(Arc::clone(daemon), address));
        }
        let listener = service::listen(&daemon.data).context("opening the control socket")?;
        self.parts.spawn(service::serve(Arc::clone(daemon), listener));
        self.parts.spawn(streams::run(Arc::clone(daemon)));
        for mapping in self.config.intake.iter().filter(|mapping| !mapping.run.is_empty()) {
            self.parts.spawn(source::keep(Arc::clone(daemon), mapping.clone()));
        }
        Ok(())
    }

    /// Waits until it ends by itself: it has left the mesh, or must not go on.
    ///
    /// # Errors
    /// Why it must not go on.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            () = removal::left(&self.daemon) => removal::part(&self.daemon)?,
            () = self.daemon.released.cancelled() => removal::part(&self.daemon)?,
            () = removal::put_out(&self.daemon) => removal::part(&self.daemon)?,
            () = self.daemon.stop.cancelled() => {
                anyhow::bail!(
                    "the Raft store below {} has failed, as the log above says: make room on that \
                     disk or mend it, then start the daemon again",
                    self.daemon.data.display()
                )
            }
            Some(ended) = self.parts.join_next() => ended.context("a part of the daemon failed")?,
        }
        Ok(())
    }

    /// Stops it; the mesh is told first if `in_peace`.
    pub async fn stop(mut self, in_peace: bool) {
        let daemon = &self.daemon;
        if in_peace && !daemon.released.is_cancelled() {
            say_goodbye(daemon).await;
        }
        daemon.break_off.cancel();
        daemon.stop.cancel();
        daemon.work.close();
        if tokio::time::timeout(STOP_WITHIN, daemon.work.wait()).await.is_err() {
            tracing::warn!("some work did not end in time");
        }
        daemon.consensus.shutdown().await;
        daemon.net().close().await;
        if self.replica.await.is_err() {
            tracing::warn!("the ledger was not kept at the end");
        }
        if self.habits.await.is_err() {
            tracing::warn!("what is usual here was not kept at the end");
        }
        self.parts.shutdown().await;
    }

    /// Commits something, if this peer leads.
    ///
    /// # Errors
    /// Why it is not in the log, or not known to be.
    pub async fn propose(&self, record: Record) -> Result<Outcome, ProposeError> {
        let term = self.daemon.standing().term;
        let entry = Entry { at: self.daemon.log_now(), by: self.daemon.me, term, record };
        self.daemon.consensus.propose(entry).await.map(|(_, outcome)| outcome)
    }

    /// Looks at its agent.
    pub fn look<T>(&self, at: impl FnOnce(&Agent) -> T) -> T {
        at(&self.daemon.agent())
    }
}

async fn assemble(
    config: &Config,
    data: &Path,
    ground: Ground,
) -> anyhow::Result<(Arc<Daemon>, mpsc::Receiver<Input>)> {
    let identity = Identity::load(data)?
        .context("this host is in no mesh: run `hearten init` or `hearten join` first")?;
    let trust = trust::load(data)?;
    let generation = disk::next_generation(data).context("counting this start")?;
    let me = identity.peer();
    let public_key = identity.public_key();
    let identity = Arc::new(CurrentIdentity::new(identity));
    let answerer = Arc::new(Answerer(OnceLock::new()));
    let replica = disk::load_replica(data);
    let mut known: BTreeMap<PeerId, SocketAddr> = seeds(config).await;
    known.extend(disk::load_peers(data));
    known.extend(replica.roster().members().map(|(peer, member)| (peer, member.card.address)));
    let book = Arc::new(Book::new(known));
    let answering: Arc<dyn crate::net::Handler> = Arc::<Answerer>::clone(&answerer);
    let net = NetConfig {
        identity: Arc::clone(&identity),
        listen: config.listen,
        book: Arc::clone(&book),
        handler: answering,
    };
    let net = Net::start_on(net, ground.socket.clone())?;
    let bound = net.local_addr()?;
    let wire = Arc::new(Lines(OnceLock::new()));
    let calling: Arc<dyn Wire> = Arc::<Lines>::clone(&wire);
    let store = data.join("raft");
    let options = Options { disk: ground.disk.clone(), ..Options::default() };
    let (consensus, opening) = Consensus::open(&store, me, options, calling).await?;
    match &opening {
        Opening::Fresh | Opening::Resumed => tracing::info!(?opening, "the Raft store is open"),
        Opening::Quarantined { why, moved_to } => tracing::error!(
            %why, moved_to = %moved_to.display(),
            "the Raft store was damaged and set aside; this peer comes back as a learner"
        ),
    }
    let of_group = consensus.ledger();
    let ledger =
        if of_group.position() >= replica.position() { (*of_group).clone() } else { replica };
    drop(of_group);
    consensus
        .introduce(ledger.roster().members().map(|(peer, member)| (member.card.raft_id, peer)));
    // Attempts of incidents that are over will not be asked about again.
    let journal = Journal::open(&data.join("started"), |incident, _| {
        ledger.incidents().get(&incident).is_none_or(|incident| !incident.state.is_over())
    })?;
    let started = journal.entries().collect();
    let card = card::card(config, me, public_key, consensus.raft_id(), generation, Some(bound));
    tracing::info!(name = %card.name, id = %me, address = %card.address, listen = %bound, generation, "this peer starts");
    let policy = config.policy();
    let agent = Agent::new(Origin { card, trust, policy, ledger, started });
    let (inputs, queue) = mpsc::channel(INPUTS_MAX);
    let http = HttpClient::new()?;
    let daemon = Arc::new_cyclic(|daemon| Daemon {
        data: data.to_owned(),
        me,
        identity,
        book,
        consensus,
        clock: Clock::start(),
        http,
        facts: crate::exec::facts::Facts::default(),
        plugins: crate::exec::plugin::Plugins::default(),
        habits: Mutex::new(habits::load(data)),
        secrets: crate::exec::secrets::Secrets::at(config.secrets_path(data)),
        gossip: gossip::Gossip::default(),
        ground,
        lately: Mutex::default(),
        own: Arc::new(own::OwnDaemon(daemon.clone())),
        http_problem: Mutex::default(),
        agent: Mutex::new(agent),
        journal: Arc::new(Mutex::new(journal)),
        net: OnceLock::new(),
        inputs,
        followed: watch::Sender::new(Standing::default()),
        watched: watch::Sender::default(),
        beat: std::sync::atomic::AtomicU64::new(0),
        troubles: streams::Troubles::default(),
        stop: CancellationToken::new(),
        leaves: std::sync::atomic::AtomicBool::new(false),
        released: CancellationToken::new(),
        break_off: CancellationToken::new(),
        work: TaskTracker::new(),
    });
    // Each of these is set here, once, before anything can look for it.
    drop(daemon.net.set(net.clone()));
    drop(wire.0.set(net));
    drop(answerer.0.set(Arc::downgrade(&daemon)));
    Ok((daemon, queue))
}

/// The peers that the configuration names, where their addresses can be found.
async fn seeds(config: &Config) -> BTreeMap<PeerId, SocketAddr> {
    let mut known = BTreeMap::new();
    for seed in &config.seeds {
        match tokio::net::lookup_host(seed.address.as_str()).await {
            Ok(mut found) => known.extend(found.next().map(|address| (seed.peer, address))),
            Err(error) => tracing::warn!(%seed, %error, "a seed's address was not found"),
        }
    }
    known
}

/// Takes over what may change in the local configuration while the daemon runs: the labels and
/// what this host forbids. A mistake changes nothing.
async fn reload(daemon: &Daemon) {
    match Config::load(&daemon.data) {
        Ok(config) => {
            tracing::info!("SIGHUP: labels and local policy are read again");
            let policy = config.policy();
            daemon.tell(Input::Configured { labels: config.labels, policy }).await;
        }
        Err(error) => tracing::error!(%error, "SIGHUP: the configuration stays as it was"),
    }
}

/// Founds the mesh when `init` has left its beginning here, and the log does not have it yet.
async fn found(daemon: &Arc<Daemon>) -> anyhow::Result<()> {
    let Some(mut founding) = init::waiting_founding(&daemon.data)? else { return Ok(()) };
    match daemon.consensus.found().await {
        Ok(()) | Err(consensus::FoundError::Member) => {}
        Err(error) => return Err(error.into()),
    }
    founding.peer = daemon.agent().card().clone();
    let mut standing = daemon.consensus.standing();
    loop {
        let term = standing
            .wait_for(|standing| standing.i_lead || standing.fatal.is_some())
            .await
            .context("waiting to lead the new group")?
            .term;
        let record = Record::Founded(founding.clone());
        let entry = Entry { at: daemon.log_now(), by: daemon.me, term, record };
        match daemon.consensus.propose(entry).await {
            // Refused means that an earlier start has founded it already.
            Ok(_) => break,
            Err(ProposeError::Fatal(reason)) => anyhow::bail!(reason),
            Err(error) => {
                tracing::warn!(%error, "the founding is not committed yet");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while daemon.agent().ledger().mesh().is_none() {
        tick.tick().await;
    }
    init::founded(&daemon.data)?;
    tracing::info!(mesh = %founding.mesh, "the mesh is founded");
    Ok(())
}

/// Ends what is being executed, says how it ended, and says that this silence is meant.
async fn say_goodbye(daemon: &Arc<Daemon>) {
    daemon.break_off.cancel();
    daemon.tell(Input::Stopping { for_good: false }).await;
    let said = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            let agent = daemon.agent();
            let standing = agent.ledger().roster().ever(daemon.me).map(|member| member.standing);
            if standing != Some(roster::Standing::Running) && agent.has_reported() {
                return;
            }
        }
    };
    if tokio::time::timeout(STOP_WITHIN, said).await.is_err() {
        tracing::warn!("the mesh could not be told of this stop: it will look like a silence");
    }
}

/// Raft's calls over QUIC.
struct Lines(OnceLock<Net>);

#[async_trait]
impl Wire for Lines {
    async fn call(
        &self,
        to: PeerId,
        request: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, WireError> {
        let Some(net) = self.0.get() else {
            return Err(WireError::Unreachable("the daemon is starting".to_owned()));
        };
        use crate::net::NetError;
        net.request(to, StreamKind::Raft, &request, timeout).await.map_err(|error| match error {
            NetError::NoAnswer { after, .. } => WireError::TimedOut(after),
            NetError::Failed { .. } => WireError::Refused(error.to_string()),
            NetError::Listen { .. }
            | NetError::Tls { .. }
            | NetError::Unknown { .. }
            | NetError::Unreachable { .. }
            | NetError::Refused { .. }
            | NetError::Lost { .. }
            | NetError::TooLarge { .. }
            | NetError::Closed => WireError::Unreachable(error.to_string()),
        })
    }
}
