//! One run: a mesh is founded, gets into trouble, is left in peace, and is looked at.

use crate::{
    disk::{Health, VirtualDisk},
    eye::{Eye, Window, lock},
    founding::{self, Foundation, Place},
    hands::VirtualHands,
    interpose,
    socket::{Sky, Socket, Weather},
    trouble::{Fate, Trouble},
};
use anyhow::{Context, Result, anyhow};
use node::daemon::{Ground, Running};
use protocol::{
    document::{Verdict, bundle::Source},
    name::{Name, PeerId},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use simulator::invariants::{Broken, Observed};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use turmoil::Sim;

/// How finely the network is played. Nothing between two hosts is faster.
const TICK: Duration = Duration::from_millis(5);

/// How long a message travels, at most; most are faster.
const TRAVELS_MAX: Duration = Duration::from_millis(20);

/// How long the founding may take.
const FOUNDED_WITHIN: Duration = Duration::from_secs(60);

/// The most voters of a mesh.
const VOTERS: usize = 5;

/// What is cut off counts as cut off a moment later: what is under way still arrives.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many hosts.
    pub hosts: usize,
    /// What everything follows from.
    pub seed: u64,
    /// For how long there is trouble; without any it is only waited.
    pub trouble: Duration,
    /// Whether there is any.
    pub is_troubled: bool,
    /// How long the mesh is left in peace afterwards.
    pub calm: Duration,
    /// The weather all the time.
    pub weather: Weather,
    /// Whether the whole history is kept.
    pub keeps_history: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What the history comes down to.
    pub digest: String,
    /// How many steps agents made.
    pub steps: u64,
    /// How much time passed in the simulation.
    pub simulated: Duration,
    /// How many entries were committed.
    pub committed: u64,
    /// How many leaders were elected.
    pub elections: u32,
    /// How many incidents were opened.
    pub incidents: usize,
    /// How many times there was trouble.
    pub troubles: u32,
    /// What did not hold.
    pub violation: Option<Broken>,
    /// The history, if it was to be kept.
    pub history: Vec<String>,
}

/// What a host keeps when its daemon dies.
struct Machine {
    place: Place,
    ahead: Arc<AtomicI64>,
    disk: Arc<VirtualDisk>,
    /// How many times it was switched on.
    boots: AtomicU64,
    /// How many daemons it has had.
    lives: AtomicU64,
    seed: u64,
}

/// What all hosts have in common.
struct Common {
    eye: Arc<Mutex<Eye>>,
    sky: Sky,
    foundation: Foundation,
    documents: Vec<Source>,
    is_founded: AtomicBool,
}

/// The life of one daemon on its host.
async fn live(machine: Arc<Machine>, common: Arc<Common>) -> turmoil::Result {
    interpose::set_wall(&machine.ahead);
    let place = &machine.place;
    let is_founder = common.foundation.places[0].peer == place.peer;
    while !is_founder && !common.is_founded.load(Ordering::Relaxed) {
        tokio::time::sleep(TICK).await;
    }
    let life = machine.lives.fetch_add(1, Ordering::Relaxed);
    let seed = machine.seed.wrapping_add(life);
    lock(&common.eye).lives(place.peer, true);
    let socket = Socket::bind(place.address, Arc::clone(&common.sky), seed).await?;
    let boot = machine.boots.load(Ordering::Relaxed);
    let hands = VirtualHands::new(place.peer, boot, Arc::clone(&common.eye), seed);
    let window = Window { peer: place.peer, eye: Arc::clone(&common.eye) };
    let ground = Ground {
        socket: Some(socket),
        hands: Some(Arc::new(hands)),
        disk: Some(Arc::<VirtualDisk>::clone(&machine.disk)),
        onlooker: Some(Arc::new(window)),
    };
    let mut running = Running::begin(&place.data, ground).await?;
    if is_founder && !common.is_founded.load(Ordering::Relaxed) {
        let documents = common.documents.clone();
        founding::commit(&running, &common.foundation, documents).await?;
        common.is_founded.store(true, Ordering::Relaxed);
    }
    running.ended().await?;
    Err(format!("the daemon of {} has ended by itself", place.name).into())
}

/// What is put right, and when.
#[derive(Debug, Clone)]
enum Mend {
    Up(usize),
    CountsAsCutOff(Vec<usize>),
    Network,
    Weather,
    Disk(usize),
    Channel,
}

/// A run under way.
struct Stage<'p> {
    plan: &'p Plan,
    sim: Sim<'p>,
    machines: Vec<Arc<Machine>>,
    common: Arc<Common>,
    mends: BTreeMap<(Duration, u32), Mend>,
    count: u32,
    is_cut: bool,
    down: Vec<bool>,
}

/// Runs it.
///
/// # Errors
/// A daemon that could not be begun, or ended by itself; or a panic.
pub fn run(plan: &Plan) -> Result<Outcome> {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    consensus::work_here();
    interpose::take_over(plan.seed);
    let outcome = play(plan, dir.path());
    interpose::give_back();
    outcome
}

fn play(plan: &Plan, dir: &Path) -> Result<Outcome> {
    let mut stage = Stage::set(plan, dir)?;
    stage.found()?;
    let fate = Fate::new(StdRng::seed_from_u64(plan.seed ^ 0x7eef), plan.hosts);
    stage.trouble(fate)?;
    stage.heal()?;
    let until = stage.sim.elapsed() + plan.calm;
    while stage.sim.elapsed() < until && stage.step()? {}
    let mut eye = lock(&stage.common.eye);
    eye.at_end();
    Ok(Outcome {
        digest: eye.digest(),
        steps: eye.steps,
        simulated: stage.sim.elapsed(),
        committed: eye.committed(),
        elections: eye.elections(),
        incidents: eye.truth().incidents().len(),
        troubles: stage.count,
        violation: eye.violation.take(),
        history: eye.history.take().unwrap_or_default(),
    })
}

impl<'p> Stage<'p> {
    fn set(plan: &'p Plan, dir: &Path) -> Result<Self> {
        let mut sim = turmoil::Builder::new()
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(TRAVELS_MAX)
            .udp_capacity(4_096)
            .simulation_duration(Duration::from_secs(1_000_000))
            .rng_seed(plan.seed)
            .build();
        let mut hosts: Vec<(Name, IpAddr)> = Vec::new();
        for number in 1..=plan.hosts {
            let name = format!("p{number}");
            let ip = sim.lookup(name.as_str());
            hosts.push((Name::parse(&name)?, ip));
        }
        let foundation = founding::prepare(dir, &hosts)?;
        let text = include_str!("documents.toml").to_owned();
        let documents = vec![Source { file: "stack.toml".to_owned(), text }];
        let names = foundation.places.iter().map(|place| (place.peer, place.name.to_string()));
        let eye = Eye::new(names.collect(), documents.clone(), plan.keeps_history);
        let places = foundation.places.clone();
        let common = Arc::new(Common {
            eye: Arc::new(Mutex::new(eye)),
            sky: Arc::new(Mutex::new(plan.weather)),
            foundation,
            documents,
            is_founded: AtomicBool::new(false),
        });
        let mut dice = StdRng::seed_from_u64(plan.seed);
        let mut machines = Vec::new();
        for place in places {
            let disk = Arc::new(VirtualDisk::new(&place.data, dice.random()));
            let machine = Arc::new(Machine {
                ahead: Arc::default(),
                disk,
                boots: AtomicU64::new(1),
                lives: AtomicU64::new(0),
                seed: dice.random(),
                place,
            });
            machines.push(Arc::clone(&machine));
            let name = machine.place.name.to_string();
            let common = Arc::clone(&common);
            sim.host(name, move || live(Arc::clone(&machine), Arc::clone(&common)));
        }
        let down = vec![false; machines.len()];
        let mends = BTreeMap::new();
        Ok(Self { plan, sim, machines, common, mends, count: 0, is_cut: false, down })
    }

    /// Plays a tick; nothing more if something does not hold.
    fn step(&mut self) -> Result<bool> {
        self.sim.step().map_err(|error| anyhow!("{error}"))?;
        let now = self.sim.elapsed();
        while let Some(entry) = self.mends.first_entry().filter(|entry| entry.key().0 <= now) {
            let mend = entry.remove();
            self.mend(mend)?;
        }
        let on: Vec<PeerId> = {
            let mut eye = lock(&self.common.eye);
            if eye.violation.is_some() {
                return Ok(false);
            }
            std::mem::take(&mut eye.switched_on).into_iter().collect()
        };
        for place in 0..self.machines.len() {
            if on.contains(&self.machines[place].place.peer) {
                self.up(place);
            }
        }
        Ok(true)
    }

    fn found(&mut self) -> Result<()> {
        let wanted = VOTERS.min(self.plan.hosts);
        let wanted = wanted - usize::from(wanted.is_multiple_of(2));
        while self.sim.elapsed() < FOUNDED_WITHIN {
            if !self.step()? {
                return Ok(());
            }
            let eye = lock(&self.common.eye);
            let all = eye.peers().iter().all(|peer| {
                eye.replica(*peer)
                    .is_some_and(|ledger| ledger.position().index + 2 > eye.committed())
            });
            if all && eye.voters() >= wanted {
                return Ok(());
            }
        }
        let eye = lock(&self.common.eye);
        Err(anyhow!("not founded: {} voters, {} entries", eye.voters(), eye.committed()))
    }

    fn trouble(&mut self, mut fate: Fate) -> Result<()> {
        let until = self.sim.elapsed() + self.plan.trouble;
        let mut next = self.sim.elapsed() + fate.pause();
        while self.sim.elapsed() < until && self.step()? {
            if self.plan.is_troubled && self.sim.elapsed() >= next {
                next = self.sim.elapsed() + fate.pause();
                self.happen(fate.draw())?;
            }
        }
        Ok(())
    }

    fn name(&self, place: usize) -> String {
        self.machines[place].place.name.to_string()
    }

    fn others(&self, part: &[usize]) -> Vec<usize> {
        (0..self.machines.len()).filter(|place| !part.contains(place)).collect()
    }

    fn later(&mut self, lasts: Duration, mend: Mend) {
        self.count += 1;
        self.mends.insert((self.sim.elapsed() + lasts, self.count), mend);
    }

    fn happen(&mut self, trouble: Trouble) -> Result<()> {
        lock(&self.common.eye).note(&format!("trouble: {trouble:?}"));
        match trouble {
            Trouble::Break(place, check) => {
                let key = (self.machines[place].place.peer, Name::parse(check)?);
                lock(&self.common.eye).broken.insert(key, Verdict::Fail);
                self.count += 1;
            }
            Trouble::Down(place, power, lasts) if !self.down[place] => {
                self.down(place, power)?;
                self.later(lasts, Mend::Up(place));
            }
            Trouble::Partition(part, lasts) if !self.is_cut => {
                self.is_cut = true;
                for here in &part {
                    for there in self.others(&part) {
                        self.sim.partition(self.name(*here), self.name(there));
                    }
                }
                if lasts > UNDER_WAY {
                    self.later(UNDER_WAY, Mend::CountsAsCutOff(part));
                }
                self.later(lasts, Mend::Network);
            }
            Trouble::OneWay(place, deaf, lasts) if !self.is_cut => {
                self.is_cut = true;
                for other in self.others(&[place]) {
                    let (from, to) = if deaf { (other, place) } else { (place, other) };
                    self.sim.partition_oneway(self.name(from), self.name(to));
                }
                self.later(lasts, Mend::Network);
            }
            // The network is cut already, or the host is down.
            Trouble::Down(..) | Trouble::Partition(..) | Trouble::OneWay(..) => {}
            Trouble::Storm(weather, lasts) => {
                *lock(&self.common.sky) = weather;
                self.later(lasts, Mend::Weather);
            }
            Trouble::ClockStep(place, millis) => {
                self.machines[place].ahead.fetch_add(millis, Ordering::Relaxed);
                lock(&self.common.eye).clocks_jumped = true;
                self.count += 1;
            }
            Trouble::Disk(place, health, lasts) => {
                self.machines[place].disk.set(health);
                self.later(lasts, Mend::Disk(place));
            }
            Trouble::Channel(lasts) => {
                lock(&self.common.eye).channel_up = false;
                self.later(lasts, Mend::Channel);
            }
        }
        Ok(())
    }

    fn down(&mut self, place: usize, power: bool) -> Result<()> {
        self.down[place] = true;
        let machine = Arc::clone(&self.machines[place]);
        self.sim.crash(self.name(place));
        lock(&self.common.eye).lives(machine.place.peer, false);
        if power {
            machine.boots.fetch_add(1, Ordering::Relaxed);
            machine.disk.lose_power().context("the simulated disk")?;
        }
        Ok(())
    }

    fn up(&mut self, place: usize) {
        if std::mem::take(&mut self.down[place]) {
            self.sim.bounce(self.name(place));
        }
    }

    fn mend(&mut self, mend: Mend) -> Result<()> {
        lock(&self.common.eye).note(&format!("mended: {mend:?}"));
        match mend {
            Mend::Up(place) => self.up(place),
            Mend::CountsAsCutOff(part) => {
                let mut eye = lock(&self.common.eye);
                let peers = eye.peers_in_order();
                let side =
                    |(place, peer): (usize, PeerId)| (peer, usize::from(part.contains(&place)));
                eye.parts = Some(peers.into_iter().enumerate().map(side).collect());
            }
            Mend::Network => {
                self.is_cut = false;
                lock(&self.common.eye).parts = None;
                for here in 0..self.machines.len() {
                    for there in here + 1..self.machines.len() {
                        self.sim.repair(self.name(here), self.name(there));
                    }
                }
            }
            Mend::Weather => *lock(&self.common.sky) = self.plan.weather,
            Mend::Disk(place) => self.machines[place].disk.set(Health::Well),
            Mend::Channel => lock(&self.common.eye).channel_up = true,
        }
        Ok(())
    }

    /// The trouble is over.
    fn heal(&mut self) -> Result<()> {
        let open = std::mem::take(&mut self.mends);
        for mend in open.into_values() {
            self.mend(mend)?;
        }
        for machine in &self.machines {
            machine.ahead.store(0, Ordering::Relaxed);
        }
        lock(&self.common.eye).parts = None;
        Ok(())
    }
}
