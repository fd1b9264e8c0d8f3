//! A story: which peers there are, what they are told to do, what happens to them, and what must
//! have become of it in the end.
//!
//! These are the stories as the model uses them, with names found and defaults filled in; [`read`]
//! makes them from TOML.

pub(crate) mod file;
pub(crate) mod read;

use protocol::{
    document::{Verdict, bundle::Source},
    ledger::incident::State,
    name::{Labels, Name},
    record::Outcome,
};
use std::{collections::BTreeSet, time::Duration};

/// A story.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// Its file's name without the ending.
    pub(crate) name: String,
    /// Its file, as it was given on the command line.
    pub(crate) path: String,
    /// The comment that it opens with: what it is about.
    pub(crate) prose: String,
    /// How long things happen; then every fault is healed.
    pub(crate) lasts: Duration,
    /// How long the mesh then has to bring everything to an end.
    pub(crate) settle: Duration,
    /// The peers, the first founds the mesh.
    pub(crate) peers: Vec<Peer>,
    /// Whether the mesh has been running before the story begins: nobody has to announce itself.
    pub(crate) runs_already: bool,
    /// The operator's documents.
    pub(crate) documents: Vec<Source>,
    /// The guests that they name.
    pub(crate) guests: Vec<Name>,
    /// What rungs do when they are executed.
    pub(crate) rungs: Vec<RungEffect>,
    /// What happens and when.
    pub(crate) events: Vec<Event>,
    /// What happens by chance.
    pub(crate) chaos: Option<Chaos>,
    /// Which of that does not happen: see [`crate::reduction`].
    pub(crate) without: BTreeSet<u32>,
    /// The network when nothing is wrong with it.
    pub(crate) weather: Weather,
    /// The longest that a host's disk takes to make a write durable.
    pub(crate) disk_max: Duration,
    /// What must have become of it.
    pub(crate) expectations: Vec<Expectation>,
}

/// A peer of the story.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Its name.
    pub(crate) name: Name,
    /// Its labels, the zone among them.
    pub(crate) labels: Labels,
    /// Within which part of the mesh it gossips.
    pub(crate) cell: u32,
    /// Whether it is started at the beginning.
    pub(crate) starts: bool,
}

/// What executing a rung comes to.
#[derive(Debug, Clone)]
pub(crate) struct RungEffect {
    /// Of which runbook; of every one when it is not said.
    pub(crate) runbook: Option<String>,
    /// Which rung.
    pub(crate) rung: String,
    /// For which affected host; every one when it is not said.
    pub(crate) peer: Option<Who>,
    /// In which attempt of the incident; in every one when it is not said.
    pub(crate) attempt: Option<u32>,
    /// How the execution ends; at its time limit, what does not end by itself.
    pub(crate) ends: Outcome,
    /// Whether the service works again, or the silent peer runs again.
    pub(crate) helps: bool,
    /// Which check of the same peer fails afterwards.
    pub(crate) breaks: Option<Name>,
    /// How long it takes.
    pub(crate) takes: Duration,
    /// In how many of a hundred cases it does so; otherwise it exits with 1 and changes nothing.
    pub(crate) chance_percent: u64,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// When, from the beginning; with `when`, not before this.
    pub(crate) at: Duration,
    /// What it waits for.
    pub(crate) when: Option<Moment>,
    /// How long after the moment that it waits for.
    pub(crate) after: Duration,
    /// What happens.
    pub(crate) deed: Deed,
}

/// A moment in an attempt's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The worker begins to write down that it will start.
    Recording,
    /// The start is on disk.
    Recorded,
    /// The rung is executed.
    Executing,
    /// The execution has ended; the log does not know yet.
    Finished,
}

/// Who is meant: known from the beginning, or only when it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The peer at this place.
    Peer(usize),
    /// Whoever leads at that moment.
    Leader,
    /// Whoever executed last.
    Worker,
    /// The guest at this place among the story's guests.
    Guest(usize),
}

/// What happens to the mesh.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// A check's service breaks on a peer: from now on each run of the check says so.
    Break(Who, Name, Verdict),
    /// It works again by itself.
    Mend(Who, Name),
    /// The daemon dies; its host lives.
    Kill(Who),
    /// The host dies.
    PowerOff(Who),
    /// The host and its daemon are started, if they are not running.
    Start(Who),
    /// The daemon is stopped on purpose.
    Stop(Who),
    /// The daemon is halted for a while and goes on as if nothing had been.
    Pause(Who, Duration),
    /// The host's wall clock jumps; backwards when `true`.
    Clock(Who, Duration, bool),
    /// The host's disk is slow from now on, full, or neither.
    Disk(Who, Disk),
    /// The programs that execute rungs on this host die half-way from now on, or not any more.
    Executor(Who, bool),
    /// Nothing gets to this peer or away from it, or it does again.
    Isolate(Who, bool),
    /// The network falls into these parts; who is in none of them is alone.
    Partition(Vec<Vec<usize>>),
    /// Nothing gets from the first to the second; the other way it does.
    Cut(Who, Who),
    /// Partitions and cuts are over.
    Heal,
    /// The network is like this from now on.
    Weather(Weather),
    /// Another system tells of an alert with these labels about a peer, or that it has ended.
    Alert(Who, Labels, bool),
    /// A guest's surgeons die, or come back and know nothing of what they did.
    Surgeons(Who, bool),
    /// A job begins to check in so often, or does not any more.
    Job(String, Option<Duration>),
    /// Messages begin to come to a stream's topic so often, or do not any more.
    Messages(Name, Option<Duration>),
    /// An operator stops all repairs.
    Freeze,
    /// An operator lets them go on.
    Thaw,
    /// An operator closes what is open about this peer.
    Close(Who),
    /// An operator approves what waits for approval about this peer, or denies it.
    Answer(Who, bool),
    /// An operator takes peers under maintenance for a while.
    Maintenance(Vec<usize>, Duration),
    /// An operator applies other documents, as the next revision.
    Apply(Source),
    /// A peer writes documents of its own, which no operator has signed, into the log.
    Forge(Who),
    /// The notifiers' channel takes nothing any more.
    ChannelDown,
    /// It does again.
    ChannelUp,
}

impl Deed {
    /// From now on, "the worker" is this one.
    pub(crate) const fn settle_on(&mut self, worker: Who) {
        match self {
            Self::Break(who, _, _)
            | Self::Mend(who, _)
            | Self::Kill(who)
            | Self::PowerOff(who)
            | Self::Start(who)
            | Self::Stop(who)
            | Self::Pause(who, _)
            | Self::Clock(who, _, _)
            | Self::Cut(who, _)
            | Self::Disk(who, _)
            | Self::Executor(who, _)
            | Self::Isolate(who, _)
            | Self::Close(who)
            | Self::Answer(who, _)
            | Self::Alert(who, ..)
            | Self::Surgeons(who, _)
            | Self::Forge(who) => {
                if matches!(who, Who::Worker) {
                    *who = worker;
                }
            }
            Self::Partition(_)
            | Self::Heal
            | Self::Weather(_)
            | Self::Job(..)
            | Self::Messages(..)
            | Self::Freeze
            | Self::Thaw
            | Self::Maintenance(..)
            | Self::Apply(_)
            | Self::ChannelDown
            | Self::ChannelUp => {}
        }
    }
}

/// How a host's disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Disk {
    /// As the story says of all.
    #[default]
    Well,
    /// Every write takes seconds until it is durable.
    Slow,
    /// Nothing can be written.
    Full,
}

/// How messages fare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// How many of a hundred datagrams are lost.
    pub(crate) loss_percent: u64,
    /// How many of a hundred messages arrive twice.
    pub(crate) duplicate_percent: u64,
    /// The shortest way.
    pub(crate) delay_min: Duration,
    /// The longest way.
    pub(crate) delay_max: Duration,
}

/// What happens by chance.
#[derive(Debug, Clone)]
pub(crate) struct Chaos {
    /// The time from one fault to the next, on average.
    pub(crate) every: Duration,
    /// The longest that a fault lasts.
    pub(crate) lasts: Duration,
    /// Which kinds.
    pub(crate) faults: Vec<Fault>,
    /// Whether each seed takes a part of the kinds only, and its own pace: what many faults at
    /// once would hide, or mend by chance, comes to light in a run that has a few of them.
    pub(crate) swarm: bool,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A service breaks.
    Break,
    /// A daemon dies and comes back.
    Kill,
    /// The leader's daemon dies and comes back.
    KillLeader,
    /// A daemon dies at some moment of an attempt and comes back.
    KillWorker,
    /// A host dies and comes back.
    PowerOff,
    /// A daemon is halted.
    Pause,
    /// The network falls into two.
    Partition,
    /// Nothing gets from one peer to another.
    Cut,
    /// Several peers are cut off one after the other, and come back in another order.
    Swizzle,
    /// Many messages are lost and late.
    Loss,
    /// A wall clock jumps.
    Clock,
    /// A host's writes take seconds.
    SlowDisk,
    /// A host cannot write.
    FullDisk,
    /// What executes rungs on a host dies half-way.
    Executor,
    /// An operator freezes the mesh for a while.
    Freeze,
    /// The channel takes nothing for a while.
    Channel,
}

/// What must have become of the story.
#[derive(Debug, Clone)]
pub(crate) struct Expectation {
    /// The line of the file that says so.
    pub(crate) line: usize,
    /// About which host; any when it is not said.
    pub(crate) peer: Option<Who>,
    /// About what: a check's name or the words `silence` and `storm`; any when it is not said.
    pub(crate) about: Option<String>,
    /// How the latest such incident stands.
    pub(crate) incident: Option<State>,
    /// How long it took from its opening.
    pub(crate) within: Option<Duration>,
    /// How many attempts it took.
    pub(crate) attempts: Option<usize>,
    /// How they ended, in order; refused ones count only where the story names them.
    pub(crate) outcomes: Option<Vec<Outcome>>,
    /// Whether a person was told.
    pub(crate) told: Option<bool>,
    /// How many such incidents there were.
    pub(crate) count: Option<usize>,
    /// How many calls about all such incidents reached people; repetitions count once.
    pub(crate) calls: Option<usize>,
}

/// The application of a job named `APP/COMPONENT`.
pub(crate) fn app_of(job: &str) -> Option<&str> {
    job.split_once('/').map(|(app, _)| app)
}
