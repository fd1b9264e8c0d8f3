//! The replicated state: what the mesh agrees on.
//!
//! [`Ledger::apply`] is total and deterministic: it reads no clock, never panics on content, and
//! answers what it cannot use with a [`Refusal`] that names the rule. Every limit on what may be
//! done is checked here, so that no leader, old, new or wrong, can exceed it.
//!
//! Reading order: [`roster`] (who is a member), [`documents`] (what operators wrote), [`history`]
//! (what they wrote earlier), [`touched`] (whom a change concerns), [`orders`] (what operators
//! ordered), [`incident`] (what is known of one), [`incidents`] and [`attempts`] (how records
//! change it), [`limits`] (how much may be done at once), [`brake`] (when many are silent at once),
//! [`memory`] (what was done lately), [`questions`] (what a person is asked), `severity` (how
//! bad it is), [`calls`] and [`endings`] (who is told), [`alerts`], [`heartbeats`] and [`streams`] (what is told from outside), [`guests`] (what
//! surgeons are handed).

pub mod alerts;
pub mod attempts;
pub mod boots;
mod bounds;
pub mod brake;
pub mod calls;
pub mod documents;
pub mod endings;
pub mod guests;
pub mod heartbeats;
pub mod history;
pub mod incident;
pub mod incidents;
pub mod ladders;
pub mod limits;
pub mod memory;
pub mod orders;
pub mod questions;
pub mod roster;
mod severity;
pub mod silences;
pub mod streams;
pub mod touched;
mod untold;

use crate::{
    document::{MeshSettings, Selector},
    mistakes::{self, Mistake},
    name::{IncidentId, Labels, Name, PeerId},
    record::{Author, Because, Entry, Founding, Position, Record, TokenGrant, TokenId, Trust},
    refusal::Refusal,
    time::Timestamp,
};
use documents::Library;
use incident::{Incident, Notice, Subject};
use roster::Roster;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What an applied record brought about. Enums that travel are only ever appended to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It is done.
    Done,
    /// The documents are at this revision now.
    Revision(u64),
    /// This incident was opened.
    Opened(IncidentId),
    /// Of several words that know nothing of each other these were refused, each by its place; the
    /// others are taken.
    PassedOver(Vec<(u32, Refusal)>),
}

/// What became of a record: what it brought about, or why it changed nothing.
pub type Outcome = Result<Effect, Refusal>;

/// What the founding fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mesh {
    /// The mesh's name.
    pub name: Name,
    /// SHA-256 of its root's public key.
    pub root_fingerprint: [u8; 32],
    /// The operators' keys.
    pub trust: Trust,
}

/// A token and how often it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What was granted.
    pub grant: TokenGrant,
    /// How many peers it has let in.
    pub used: u32,
}

/// An operator stopped all repairs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Since when.
    pub since: Timestamp,
    /// The operator's words.
    pub reason: String,
}

/// An operator's maintenance: nothing is repaired on some peers for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// For these peers; when there are none, for those that the selector fits.
    pub peers: Vec<PeerId>,
    /// For peers with these labels.
    pub selector: Selector,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The operator's words.
    pub reason: String,
}

impl Window {
    /// Whether it is for this peer.
    pub fn is_for(&self, peer: PeerId, labels: &Labels) -> bool {
        if self.peers.is_empty() { self.selector.fits(labels) } else { self.peers.contains(&peer) }
    }
}

/// The replicated state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    position: Position,
    last_at: Timestamp,
    mesh: Option<Mesh>,
    roster: Roster,
    tokens: BTreeMap<TokenId, Token>,
    library: Library,
    incidents: BTreeMap<IncidentId, Incident>,
    /// The incidents that are not over, so that closed ones cost nothing at every tick.
    open: BTreeSet<IncidentId>,
    /// When a runbook last acted on a target; for the cool-down.
    acted: BTreeMap<(Name, PeerId), Timestamp>,
    /// Messages to people that are due.
    notices_due: BTreeSet<(IncidentId, u32)>,
    /// The latest incident about each thing.
    latest: BTreeMap<(PeerId, Subject), IncidentId>,
    /// Until when nothing acts on a target, because its last rung settles.
    settling: BTreeMap<PeerId, Timestamp>,
    frozen: Option<Freeze>,
    /// The latest attempts whose whole output is kept.
    outputs: VecDeque<(IncidentId, u32)>,
    spent_orders: BTreeMap<u64, Timestamp>,
    /// The incidents whose targets are under repair, those among them that were closed while an
    /// attempt was under way.
    repairing: BTreeSet<IncidentId>,
    /// What was done lately, for the limits that look back.
    memory: memory::Memory,
    /// The maintenances that operators started.
    windows: BTreeMap<Name, Window>,
    /// Neighbours do not act on silences: too many peers are silent at once.
    brake: Option<brake::Brake>,
    /// When an operator last said that what is silent is no storm.
    thawed_at: Timestamp,
    /// What other systems told of.
    alerts: alerts::Alerts,
    /// The jobs that must check in.
    heartbeats: heartbeats::Heartbeats,
    /// How far event streams are read.
    streams: streams::Streams,
    /// What surgeons were handed.
    guests: guests::Guests,
}

impl Ledger {
    /// The place in the log up to which this ledger has applied.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The latest moment that any record was stamped with; the ledger's own time.
    pub const fn last_at(&self) -> Timestamp {
        self.last_at
    }

    /// The mesh, once it is founded.
    pub const fn mesh(&self) -> Option<&Mesh> {
        self.mesh.as_ref()
    }

    /// Who is a member, and who was.
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The documents and their revisions.
    pub const fn library(&self) -> &Library {
        &self.library
    }

    /// The tokens with which peers may join.
    pub const fn tokens(&self) -> &BTreeMap<TokenId, Token> {
        &self.tokens
    }

    /// Every incident, oldest first.
    pub const fn incidents(&self) -> &BTreeMap<IncidentId, Incident> {
        &self.incidents
    }

    /// The incidents that are not over, oldest first.
    pub fn open_incidents(&self) -> impl Iterator<Item = &Incident> {
        self.open.iter().filter_map(|id| self.incidents.get(id))
    }

    /// The messages to people that are due, oldest incident first.
    pub fn notices_due(&self) -> impl Iterator<Item = (IncidentId, &Notice)> {
        self.notices_due.iter().filter_map(|(id, number)| {
            let incident = self.incidents.get(id)?;
            Some((*id, incident.notices.iter().find(|notice| notice.number == *number)?))
        })
    }

    /// The mesh-wide stop, when it is on.
    pub const fn frozen(&self) -> Option<&Freeze> {
        self.frozen.as_ref()
    }

    /// The maintenances that operators started, those that are over among them.
    pub const fn windows(&self) -> &BTreeMap<Name, Window> {
        &self.windows
    }

    /// What was done lately.
    pub const fn memory(&self) -> &memory::Memory {
        &self.memory
    }

    /// How the mesh is run.
    pub fn settings(&self) -> MeshSettings {
        self.library.settings()
    }

    /// Passes over a log entry that holds no record (Raft's own blanks and membership changes).
    pub fn skip(&mut self, position: Position) {
        if mistakes::is_made(Mistake::BrakeForgotten) && position.term > self.position.term {
            self.brake = None;
        }
        self.position = position;
    }

    /// Applies one entry; what cannot be used is refused with a reason and changes nothing.
    pub fn apply(&mut self, position: Position, entry: &Entry) -> Outcome {
        self.position = position;
        // The log's time never goes back, whatever the proposers' clocks do.
        let at = if mistakes::is_made(Mistake::CoolDownByWallClock) {
            entry.at
        } else {
            entry.at.max(self.last_at)
        };
        self.heartbeats.pass(self.last_at, at, position.term);
        self.last_at = at;
        if self.mesh.is_none() && !matches!(entry.record, Record::Founded(_)) {
            return Err(Refusal::NotFounded);
        }
        let is_stale = entry.term != position.term && !mistakes::is_made(Mistake::StaleTermTaken);
        if entry.record.author() == Author::Leader && is_stale {
            return Err(Refusal::StaleTerm { decided: entry.term, appended: position.term });
        }
        let context = Context { position, at, by: entry.by };
        let outcome = self.apply_record(&context, entry);
        if let Some(id) = entry.record.incident() {
            self.index_incident(id);
        }
        outcome
    }

    /// Keeps what is looked up at every tick, and for every incident, apart from the history.
    pub(super) fn index_incident(&mut self, id: IncidentId) {
        let Some(incident) = self.incidents.get(&id) else { return };
        if incident.is_under_repair() || incident.in_flight().is_some() {
            self.repairing.insert(id);
        } else {
            self.repairing.remove(&id);
        }
        for notice in &incident.notices {
            if notice.done.is_none() {
                self.notices_due.insert((id, notice.number));
            } else {
                self.notices_due.remove(&(id, notice.number));
            }
        }
    }

    fn apply_record(&mut self, context: &Context, entry: &Entry) -> Outcome {
        match &entry.record {
            Record::Founded(founding) => self.found(context.at, founding),
            Record::Ordered { order } => self.order(context, order),
            Record::PeerJoined { token, peer } => self.join(context, *token, peer),
            Record::PeerStarted { peer } => self.roster.start(context, peer),
            Record::PeerStopped { peer } => self.roster.stop(context, *peer),
            Record::PeerLeft { peer } => self.roster.leave(context, *peer),
            Record::DocumentsApplied { bundle } => self.apply_documents(context, bundle),
            // Only an operator's signed order says that an operator wants something.
            Record::Opened { because: Because::Operator { .. }, .. } => {
                Err(Refusal::OrderNotSigned)
            }
            // What became of a notice says so.
            Record::Opened { because: Because::Untold { .. }, .. } => {
                let why = "an incident about a notifier is opened by the notice that is given up";
                Err(Refusal::NotAllowed { by: context.by, why: why.to_owned() })
            }
            Record::Opened { peer, because } => self.open(context, *peer, because),
            Record::EvidenceTaken { incident, evidence } => {
                self.take_evidence(context, *incident, evidence)
            }
            Record::Assigned { incident, attempt, rung, part, worker, start_by, until } => {
                let assignment = attempts::Assignment {
                    attempt: *attempt,
                    rung: *rung,
                    part: *part,
                    worker: *worker,
                    start_by: *start_by,
                    until: *until,
                };
                self.assign(context, *incident, &assignment)
            }
            Record::Reported { incident, attempt, report } => {
                self.report(context, *incident, *attempt, report)
            }
            Record::Lost { incident, attempt, reason } => {
                self.lose(context, *incident, *attempt, reason)
            }
            Record::Held { incident, refusal } => self.hold(context, *incident, refusal),
            Record::Called { incident, rung } => self.call(context, *incident, *rung),
            Record::Resolved { incident, because } => self.resolve(context, *incident, because),
            Record::Escalated { incident, reason } => self.escalate(context, *incident, reason),
            Record::Notified { incident, notice, delivered, detail } => {
                self.notified(context, *incident, *notice, *delivered, detail)
            }
            Record::Skipped { incident, rung, refusal } => {
                self.skip_rung(context, *incident, *rung, refusal)
            }
            Record::Restarted { incident } => self.restart(context, *incident),
            Record::Booted { peer, boot_id } => self.boot(context, *peer, boot_id),
            Record::NotRebooted { incident, attempt } => {
                self.not_rebooted(context, *incident, *attempt)
            }
            Record::Alerted { words } => self.take_words(context, words),
            Record::JobsTold { words, nonce } => self.take_job_words(context, words, *nonce),
            Record::Missed { jobs } => self.take_misses(context, jobs),
            Record::Forgotten { jobs } => self.take_silences(context, jobs),
            // That it has a time is all there is to it.
            Record::Listening => Ok(Effect::Done),
            Record::CalledAgain { incident, notifier } => {
                self.call_again(context, *incident, notifier)
            }
            Record::Streamed { batch } => self.take_batch(context, batch),
            Record::Claimed { incident, attempt, operation } => {
                self.claim(context, (*incident, *attempt), *operation)
            }
            Record::Operated { operation, report } => self.operated(context, *operation, report),
            Record::Withdrawn { incident, attempt, reason } => {
                self.withdraw(context, (*incident, *attempt), reason)
            }
        }
    }

    fn found(&mut self, at: Timestamp, founding: &Founding) -> Outcome {
        if self.mesh.is_some() {
            return Err(Refusal::AlreadyFounded);
        }
        self.roster.admit(at, &founding.peer)?;
        self.mesh = Some(Mesh {
            name: founding.mesh.clone(),
            root_fingerprint: founding.root_fingerprint,
            trust: founding.trust.clone(),
        });
        Ok(Effect::Done)
    }

    /// The token with which this peer may join now, or why not; asked before the certificate is
    /// made and again when the joining is committed.
    ///
    /// # Errors
    /// The [`Refusal`] that names the rule.
    pub fn admissible(
        &self,
        token: TokenId,
        name: &Name,
        at: Timestamp,
    ) -> Result<&Token, Refusal> {
        let token = self.tokens.get(&token).ok_or(Refusal::TokenUnknown)?;
        if token.used >= token.grant.uses {
            return Err(Refusal::TokenUsed);
        }
        if at > token.grant.expires {
            return Err(Refusal::TokenExpired { expired: token.grant.expires });
        }
        if let Some(bound_to) = token.grant.name.as_ref().filter(|bound_to| *bound_to != name) {
            return Err(Refusal::TokenBound { bound_to: bound_to.clone() });
        }
        Ok(token)
    }

    fn join(
        &mut self,
        context: &Context,
        token: TokenId,
        peer: &crate::record::PeerCard,
    ) -> Outcome {
        self.admissible(token, &peer.name, context.at)?;
        self.roster.admit(context.at, peer)?;
        if let Some(token) = self.tokens.get_mut(&token) {
            token.used += 1;
        }
        Ok(Effect::Done)
    }
}

/// Where and when an entry is applied, and whose it is.
pub(crate) struct Context {
    pub(crate) position: Position,
    pub(crate) at: Timestamp,
    pub(crate) by: PeerId,
}

/// Whether the leader may take this record from another peer and append it.
///
/// The peer is the one that the connection's certificate names. Facts must be about their author;
/// documents and orders carry their operator's signature; decisions are the leader's alone.
///
/// # Errors
/// [`Refusal::NotAllowed`] with the rule.
pub fn may_forward(from: PeerId, entry: &Entry) -> Result<(), Refusal> {
    let refused = |why: &str| Err(Refusal::NotAllowed { by: from, why: why.to_owned() });
    if entry.by != from {
        return refused("a peer writes in its own name only");
    }
    match entry.record.author() {
        Author::Anyone | Author::Operators => Ok(()),
        Author::Peer(peer) if peer == from => Ok(()),
        Author::Peer(_) => refused("that is another peer's to say of itself"),
        Author::Founder => refused("a mesh is founded once"),
        Author::Leader => refused("only the leader decides"),
    }
}
