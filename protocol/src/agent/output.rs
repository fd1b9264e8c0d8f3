//! What an agent wants done; the driver does it and brings the result back as an input.

use crate::{
    agent::voters::MemberChange,
    document::{
        Argument, Check, CheckIn, Command, EvidenceStep, HttpCall, Notifier, Power, Ssh,
        template::Facts,
    },
    heartbeat::JobId,
    ledger::incident::News,
    name::{IncidentId, Name, PeerId},
    record::{Entry, Seen},
    report::Report,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

/// The variables that a script is given: `HEARTEN_…`.
pub type Variables = BTreeMap<String, String>;

/// Which decision of the leader's; at most one of each is on its way at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proposal {
    /// To open an incident about a peer's check.
    Open(PeerId, Name),
    /// To open an incident about an alert that is about a guest.
    OpenGuest(PeerId, Name),
    /// To open an incident about a peer's silence.
    OpenSilence(PeerId),
    /// To open an incident about checks that a ladder mends.
    OpenLadder(Name),
    /// To open an incident about many peers that are silent at once.
    OpenStorm,
    /// To open an incident about a job that this check is about.
    OpenJob(Name, JobId),
    /// That jobs are missed.
    Missed,
    /// That jobs are forgotten.
    Forgotten,
    /// That the mesh listens.
    Listening,
    /// The next step of an incident.
    Step(IncidentId),
    /// That a notice is out.
    Notice(IncidentId, u32),
    /// That somebody is called again.
    CallAgain(IncidentId, Name),
}

/// Which fact is on its way to the leader.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forwarding {
    /// This peer runs.
    Start,
    /// This peer stops.
    Stop,
    /// This peer leaves for good.
    Leave,
    /// How an attempt ended.
    Report(IncidentId, u32),
    /// Evidence was taken.
    Evidence(IncidentId),
    /// Which boot this peer's host is in.
    Boot,
}

/// One execution, as the worker carries it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkOrder {
    /// For which incident.
    pub incident: IncidentId,
    /// Which attempt.
    pub attempt: u32,
    /// What the operator wrote.
    pub work: Work,
    /// How long it may take.
    pub timeout: Duration,
    /// What it is told.
    pub variables: Variables,
}

/// What a worker carries out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A command.
    Command(Command),
    /// The heal phase of this check's plugin.
    Heal(Check),
    /// An HTTP request.
    Http(HttpCall),
    /// To switch the affected host off or on, by this agent with these parameters.
    Fence {
        /// The agent: a name, or an absolute path.
        agent: String,
        /// What is to become of the host's power.
        power: Power,
        /// What the agent is told beside the action.
        params: BTreeMap<String, Argument>,
    },
    /// To send the packet that wakes the network card with this address.
    Wake {
        /// The card's hardware address.
        mac: [u8; 6],
        /// Where the packet is sent.
        broadcast: SocketAddr,
    },
    /// To run a command on the affected host.
    Ssh(Ssh),
}

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// About which incident.
    pub incident: IncidentId,
    /// The notice's number; with the incident it tells a repetition from news.
    pub notice: u32,
    /// A call, or the news that it is over.
    pub news: News,
    /// By which notifier.
    pub notifier: Name,
    /// The mesh's name.
    pub mesh: Name,
    /// The affected peer's name.
    pub peer: String,
    /// The runbook, if one answered.
    pub runbook: Option<Name>,
    /// What stands above it, in a few words.
    pub title: String,
    /// One sentence that says what is the matter.
    pub text: String,
    /// What is known of it, for those who put it into words of their own.
    pub facts: Facts,
}

/// What an agent wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Run a check of this host; answered by `CheckRan`.
    RunCheck {
        /// Which.
        check: Check,
        /// What it is told.
        variables: Variables,
    },
    /// Sign this peer's report, gossip it, and send it to the leader directly.
    Publish(Report),
    /// Watch these peers, and no others, from now on; answered by `Watched` whenever one of them
    /// falls silent or is heard again.
    Watch {
        /// Whom.
        peers: BTreeSet<PeerId>,
    },
    /// Tell the leader what the watch of a peer says. It may get lost: it is told again.
    Suspect {
        /// Of whom.
        peer: PeerId,
        /// What is seen.
        seen: Seen,
    },
    /// Cease to lead, so that somebody else may, and do not stand for election for a while.
    StepDown {
        /// Why, in words.
        why: String,
    },
    /// Probe a peer directly; answered by `Probed`.
    Probe {
        /// Whom.
        peer: PeerId,
    },
    /// Ask a peer to probe another directly; answered by `Testified`.
    AskWitness {
        /// Whom to ask.
        witness: PeerId,
        /// Whom it shall probe.
        peer: PeerId,
    },
    /// Propose a decision as the leader; answered by `Proposed`.
    Propose {
        /// Which decision.
        proposal: Proposal,
        /// The entry.
        entry: Entry,
    },
    /// Bring a fact to the leader, wherever it is; answered by `Forwarded`.
    Forward {
        /// Which fact.
        forwarding: Forwarding,
        /// The entry.
        entry: Entry,
    },
    /// Write durably that this attempt is started; answered by `StartRecorded`, or by `Finished`
    /// with a refusal when it cannot be written.
    RecordStart {
        /// For which incident.
        incident: IncidentId,
        /// Which attempt.
        attempt: u32,
    },
    /// Execute a rung; answered by `Finished`.
    Execute(WorkOrder),
    /// Collect evidence; answered by `EvidenceTaken`.
    TakeEvidence {
        /// For which incident.
        incident: IncidentId,
        /// What to collect.
        steps: Vec<EvidenceStep>,
        /// What the steps are told.
        variables: Variables,
        /// Whom to ask to keep it as well, best first; [`crate::keepers::KEEPERS`] suffice.
        keepers: Vec<PeerId>,
    },
    /// Tell people; answered by `NoticeSent`.
    Notify {
        /// How.
        notifier: Box<Notifier>,
        /// What.
        message: Message,
    },
    /// Call the outside dead-man's switch; answered by `CheckedIn`.
    CheckIn(CheckIn),
    /// Change the Raft group; answered by `MembersChanged`.
    ChangeMembers(MemberChange),
}
