//! Every refusal has a name, carries its facts and can be read by an operator.

mod name;

use crate::{
    alert::AlertId,
    document::DocumentKey,
    name::{IncidentId, Name, PeerId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Why the ledger did not take a record, or why nothing is done about an incident for now.
///
/// Enums that travel are only ever appended to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The mesh was founded already.
    #[error("this mesh was founded already")]
    AlreadyFounded,
    /// Nothing can be written before the founding.
    #[error("the mesh is not founded yet")]
    NotFounded,
    /// The decision was made in another term than the one it was appended in.
    #[error("decided in term {decided} but appended in term {appended}: a newer leader decides")]
    StaleTerm {
        /// The term of the decision.
        decided: u64,
        /// The term of the log entry.
        appended: u64,
    },
    /// The proposer may not propose such a record.
    #[error("{by} may not write this: {why}")]
    NotAllowed {
        /// Who tried.
        by: PeerId,
        /// The rule.
        why: String,
    },
    /// No such peer in the roster.
    #[error("there is no peer {peer} in this mesh")]
    UnknownPeer {
        /// As it was named.
        peer: String,
    },
    /// The id is taken.
    #[error("the peer id {id} is taken; join again")]
    IdTaken {
        /// Which id.
        id: PeerId,
    },
    /// The name is taken.
    #[error(
        "the name \"{name}\" is taken by another peer: choose another --name; only if that host is lost for good, `hearten peer remove {name}` frees it"
    )]
    NameTaken {
        /// Which name.
        name: Name,
    },
    /// The token was never made here, or was used up and forgotten.
    #[error("this mesh does not know the token: make a new one with `hearten token create`")]
    TokenUnknown,
    /// The token has expired.
    #[error("the token expired at {expired}: make a new one with `hearten token create`")]
    TokenExpired {
        /// When.
        expired: Timestamp,
    },
    /// The token was used as often as it may be.
    #[error("the token has been used already: make a new one with `hearten token create`")]
    TokenUsed,
    /// The token is for another name.
    #[error("the token only lets in a peer named \"{bound_to}\"")]
    TokenBound {
        /// The name it is bound to.
        bound_to: Name,
    },
    /// Somebody else applied documents in between.
    #[error(
        "the documents changed meanwhile: this was made for revision {base}, the mesh is at {current}; look at `hearten document history` and apply again"
    )]
    RevisionConflict {
        /// The revision that the operator saw.
        base: u64,
        /// The revision now.
        current: u64,
    },
    /// Not enough valid signatures of operators.
    #[error("not signed by an operator of this mesh: {valid} of {needed} valid signatures")]
    NotSigned {
        /// Valid signatures of different operators.
        valid: u32,
        /// How many are needed.
        needed: u32,
    },
    /// The documents are not valid.
    #[error("{problem}")]
    InvalidDocuments {
        /// What is wrong and where.
        problem: String,
    },
    /// No such incident.
    #[error("there is no incident {incident}")]
    UnknownIncident {
        /// Which.
        incident: IncidentId,
    },
    /// There is an open incident for the same thing.
    #[error(
        "{incident} is open for the same thing: `hearten incident explain {incident}` tells how it goes"
    )]
    AlreadyOpen {
        /// Which.
        incident: IncidentId,
    },
    /// The incident is over.
    #[error("{incident} is closed")]
    IncidentOver {
        /// Which.
        incident: IncidentId,
    },
    /// The incident is in another state than the record needs.
    #[error("{incident} is not in a state for this: {why}")]
    WrongState {
        /// Which.
        incident: IncidentId,
        /// What does not fit.
        why: String,
    },
    /// Not the next attempt's number.
    #[error("attempt {attempt} of {incident} is not the next one ({expected})")]
    AttemptOutOfOrder {
        /// Which incident.
        incident: IncidentId,
        /// The number given.
        attempt: u32,
        /// The next number.
        expected: u32,
    },
    /// An earlier attempt may still act.
    #[error("attempt {attempt} of {incident} may still act until {until}")]
    AttemptUnderWay {
        /// Which incident.
        incident: IncidentId,
        /// The attempt that may still act.
        attempt: u32,
        /// Until when.
        until: Timestamp,
    },
    /// The runbook answered this target a short while ago.
    #[error("cool-down: runbook \"{runbook}\" acted on this target; it may act again at {until}")]
    CoolDown {
        /// Which runbook.
        runbook: Name,
        /// When it may act again.
        until: Timestamp,
    },
    /// As many repairs are under way as may be.
    #[error("blast radius: {in_flight} repairs are under way {scope}, at most {limit} may be")]
    BlastRadius {
        /// Where they are counted: `in the mesh`, `of runbook "x"`, `with role=web`.
        scope: String,
        /// The limit.
        limit: u32,
        /// Repairs under way.
        in_flight: u32,
    },
    /// As large a share of the peers is under repair as may be.
    #[error(
        "blast radius: {in_flight} of {of} peers {scope} are under repair, at most {limit} may be ({share_percent} %)"
    )]
    Share {
        /// Which peers are counted: `that this runbook is for`, `with role=web`.
        scope: String,
        /// The limit as a number of peers.
        limit: u32,
        /// The limit as the operator wrote it.
        share_percent: u32,
        /// Peers under repair.
        in_flight: u32,
        /// Peers that are counted.
        of: u32,
    },
    /// The mesh is frozen.
    #[error("frozen since {since}: {reason}; `hearten thaw` lets repairs go on")]
    Frozen {
        /// Since when.
        since: Timestamp,
        /// The operator's words.
        reason: String,
    },
    /// Nothing else acts on this target for a while.
    #[error("settling: nothing acts on this target until {until}")]
    Settling {
        /// Until when.
        until: Timestamp,
    },
    /// Evidence is being taken; its deadline has not passed.
    #[error("evidence is being taken; the first rung waits for it until {until} at most")]
    AwaitingEvidence {
        /// Its deadline.
        until: Timestamp,
    },
    /// No runbook answers the signal.
    #[error("no runbook answers this signal")]
    NoRunbook,
    /// Nobody can carry out the rung.
    #[error("nobody can act: {why}")]
    NoWorker {
        /// Why not.
        why: String,
    },
    /// The outcome of an attempt is not known and a person has to decide.
    #[error(
        "attempt {attempt} has an unknown outcome and the runbook says to ask a person: look at the host, then `hearten incident close {incident} --reason …`"
    )]
    UnknownOutcome {
        /// Which incident.
        incident: IncidentId,
        /// Which attempt.
        attempt: u32,
    },
    /// The silence is not attested by the leader and enough witnesses.
    #[error(
        "not attested: {agreeing} saw the peer silent where {needed} are needed, the leader among \
         them; {alive} saw a sign of life"
    )]
    NotAttested {
        /// Who agrees: the leader and witnesses.
        agreeing: u32,
        /// How many are needed.
        needed: u32,
        /// Who saw a sign of life: one is enough against it.
        alive: u32,
    },
    /// The worker may not start it any more.
    #[error("too late: it had to be started by {start_by}")]
    TooLate {
        /// The deadline.
        start_by: Timestamp,
    },
    /// The rung is for another worker, runbook or rung than the documents say.
    #[error("the assignment does not fit the documents: {why}")]
    Misassigned {
        /// What does not fit.
        why: String,
    },
    /// The document is not there.
    #[error("there is no document {key}")]
    UnknownDocument {
        /// Which one.
        key: DocumentKey,
    },
    /// The local policy of the host forbids it.
    #[error("this host's own policy forbids it: {why}")]
    LocalPolicy {
        /// The rule.
        why: String,
    },
    /// The order is for another mesh, or no operator signed it.
    #[error("the order is not signed by an operator of this mesh")]
    OrderNotSigned,
    /// The order came too late.
    #[error("the order expired at {expired}: check this host's clock and give it again")]
    OrderExpired {
        /// When.
        expired: Timestamp,
    },
    /// The order was carried out already.
    #[error("the order was carried out already")]
    OrderSpent,
    /// The affected peer does not run, so nothing can be done on it.
    #[error("the affected peer is not running")]
    PeerNotRunning,
    /// The text is too long to be kept.
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What is too long.
        what: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// The notice was due no more.
    #[error("notice {notice} of {incident} is not due")]
    NoticeNotDue {
        /// Which incident.
        incident: IncidentId,
        /// Which notice.
        notice: u32,
    },
    /// As many repairs were begun within the last hour as may be.
    #[error(
        "blast radius: {begun} repairs were begun {scope} within an hour, at most {limit} may be; one more may be at {until}"
    )]
    PerHour {
        /// Where they are counted.
        scope: String,
        /// The limit.
        limit: u32,
        /// Repairs begun.
        begun: u32,
        /// When the oldest of them is an hour ago.
        until: Timestamp,
    },
    /// Too few peers are well for another to be repaired.
    #[error(
        "blast radius: {healthy} of {of} peers {scope} are well, at least {min_percent} % must be"
    )]
    MinHealthy {
        /// Which peers are counted.
        scope: String,
        /// Peers that are well.
        healthy: u32,
        /// Peers that are counted.
        of: u32,
        /// The limit in percent.
        min_percent: u32,
    },
    /// As many repairs are under way in one zone as may be.
    #[error(
        "blast radius: {in_flight} repairs are under way in zone \"{zone}\", at most {limit} may be"
    )]
    Zone {
        /// Which zone.
        zone: String,
        /// The limit.
        limit: u32,
        /// Repairs under way there.
        in_flight: u32,
    },
    /// Too many attempts of this runbook came to nothing.
    #[error(
        "circuit breaker: {failures} attempts of runbook \"{runbook}\" came to nothing; it may act again at {until}"
    )]
    Breaker {
        /// Which runbook.
        runbook: Name,
        /// How many attempts.
        failures: u32,
        /// When the oldest of them is forgotten.
        until: Timestamp,
    },
    /// The rung was tried on this host a short while ago.
    #[error(
        "repeat: rung \"{rung}\" acted on this host {times} times and did not help for good; it is passed over until {until}"
    )]
    Repeated {
        /// Which rung.
        rung: String,
        /// How often.
        times: u32,
        /// Until when it is remembered.
        until: Timestamp,
    },
    /// The peer is under maintenance.
    #[error("maintenance \"{name}\" until {until}: {reason}")]
    Maintenance {
        /// Which one.
        name: Name,
        /// Its end.
        until: Timestamp,
        /// The operator's words.
        reason: String,
    },
    /// The runbook only says what it would do.
    #[error("shadow mode: it would run rung \"{rung}\" and does nothing")]
    Shadow {
        /// The rung.
        rung: String,
    },
    /// A person has to approve the rung.
    #[error("rung {} of {incident} waits for approval until {until}: `hearten approve {incident}` or `hearten deny {incident}`", rung + 1)]
    AwaitingApproval {
        /// Which incident.
        incident: IncidentId,
        /// Place of the rung, from 0.
        rung: u32,
        /// When the question is withdrawn.
        until: Timestamp,
    },
    /// This operator may not answer.
    #[error("the runbook names other operators to approve this")]
    NotApprover,
    /// Nobody asked.
    #[error("{incident} does not wait for approval")]
    NothingToApprove {
        /// Which incident.
        incident: IncidentId,
    },
    /// The rung failed and is tried again after a wait.
    #[error("the rung is tried again at {until}")]
    Backoff {
        /// When.
        until: Timestamp,
    },
    /// A parameter of the runbook has no value that fits.
    #[error("parameter \"{name}\" {why}")]
    Parameter {
        /// Which parameter.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A rung failed, and so did taking it back.
    #[error(
        "attempt {attempt} of {incident} was to undo a failed rung and did not succeed: look at the host, then `hearten incident close {incident} --reason …`"
    )]
    UndoFailed {
        /// Which incident.
        incident: IncidentId,
        /// Which attempt.
        attempt: u32,
    },
    /// A rung whose effect is `once` was started before in this incident.
    #[error("rung \"{rung}\" has the effect \"once\" and was started before")]
    OnceOnly {
        /// Which rung.
        rung: String,
    },
    /// The ladder waits for the picture to be whole.
    #[error("ladder \"{ladder}\" waits until {until} for other checks to fail")]
    Quiescing {
        /// Which ladder.
        ladder: Name,
        /// Until when.
        until: Timestamp,
    },
    /// There is no such maintenance.
    #[error("there is no maintenance \"{name}\"")]
    UnknownMaintenance {
        /// As it was named.
        name: Name,
    },
    /// Many peers are silent at once.
    #[error(
        "storm brake: {silent} peers are silent at once; no neighbour acts on a silence since {since}, and not before {until}; `hearten thaw` lets them"
    )]
    StormBrake {
        /// Since when.
        since: Timestamp,
        /// How many peers.
        silent: u32,
        /// When it is released, unless another peer falls silent.
        until: Timestamp,
    },
    /// So few silent peers are no storm.
    #[error("no storm: {silent} of {of} running peers are named as silent")]
    NoStorm {
        /// How many are named.
        silent: u32,
        /// How many run.
        of: u32,
    },
    /// The worker's own file of secrets does not give what the rung needs.
    #[error("secret \"{name}\" cannot be had on this host: {why}")]
    NoSecret {
        /// Which secret.
        name: Name,
        /// What is wrong, and with which file.
        why: String,
    },
    /// The worker has no such program.
    #[error("nothing was done: {why}")]
    NoProgram {
        /// Which program, where it was looked for, and what to do.
        why: String,
    },
    /// A silent peer is heard of again.
    #[error(
        "{peer} is heard of again since {since}: nothing is done to it while it is being seen whether it is back"
    )]
    Returning {
        /// The peer's name.
        peer: String,
        /// Since when.
        since: Timestamp,
    },
    /// Another rung has to succeed first.
    #[error("rung \"{rung}\" needs rung \"{needed}\": {why}")]
    Needs {
        /// The rung that is passed over.
        rung: String,
        /// The rung that it needs.
        needed: String,
        /// What became of that one.
        why: String,
    },
    /// No more alerts can fire at the same time.
    #[error("more than {most} alerts would fire at the same time: nothing of it was taken")]
    TooManyAlerts {
        /// How many can.
        most: usize,
    },
    /// As many jobs must check in as can be kept.
    #[error("{most} jobs must check in already: check out some")]
    TooManyJobs {
        /// As many can be kept.
        most: usize,
    },
    /// Nobody reserved such a job.
    #[error("there is no job \"{job}\": reserve it first")]
    NoSuchJob {
        /// What was asked for.
        job: String,
    },
    /// The job stands in a document.
    #[error("job \"{job}\" is declared by a document: change it there")]
    JobDeclared {
        /// Which job.
        job: String,
    },
    /// The job is not missed after all.
    #[error("not missed: {why}")]
    NotMissed {
        /// Why not.
        why: String,
    },
    /// A partition of a stream was read from another place than the ledger holds: what was read is
    /// in the log already, or does not follow on what is.
    #[error(
        "stream \"{stream}\", partition {partition}: read from {}, but the log is at {}",
        offset(*read_from), offset(*held)
    )]
    OffsetMoved {
        /// Which stream.
        stream: Name,
        /// Which partition.
        partition: u32,
        /// The offset that the ledger holds.
        held: Option<u64>,
        /// The offset that was read from.
        read_from: Option<u64>,
    },
    /// What was read of a stream cannot be so.
    #[error("stream \"{stream}\", partition {partition}: {why}")]
    BadBatch {
        /// Which stream.
        stream: Name,
        /// Which partition.
        partition: u32,
        /// What does not fit.
        why: String,
    },
    /// As many partitions are read as can be kept.
    #[error("{most} partitions of streams are read already: read fewer topics")]
    TooManyPartitions {
        /// As many can be kept.
        most: usize,
    },
    /// A guest comes and goes with its document.
    #[error(
        "{name} is a guest: it comes and goes with its document (`[[remove]] kind = \"guest\"`)"
    )]
    IsGuest {
        /// Which.
        name: Name,
    },
    /// A surgeon has it already, or had it.
    #[error("attempt {attempt} of {incident} was handed to a surgeon already")]
    Claimed {
        /// Which incident.
        incident: IncidentId,
        /// Which attempt.
        attempt: u32,
    },
    /// No surgeon was handed such an operation.
    #[error("no surgeon was handed an operation of this id")]
    NoSuchOperation,
    /// A guest's surgeon can only run commands.
    #[error("a surgeon runs commands and nothing else: rung \"{rung}\" has to be another host's")]
    NotForSurgeons {
        /// Which rung.
        rung: String,
    },
    /// The job is somebody else's, and stays so.
    #[error("job \"{job}\" is of {}, and stays so: give it another name", of_namespace(namespace.as_deref()))]
    JobOfAnother {
        /// Which job.
        job: String,
        /// Of which namespace it is.
        namespace: Option<String>,
    },
    /// The job is not forgotten after all.
    #[error("not forgotten: {why}")]
    NotForgotten {
        /// Why not.
        why: String,
    },
    /// There is no such alert, or it fires no more.
    #[error("no alert {alert} fires: `hearten alert list` shows those that do")]
    UnknownAlert {
        /// As it was named.
        alert: AlertId,
    },
}

/// Whose a job is, in words.
pub fn of_namespace(namespace: Option<&str>) -> String {
    namespace.map_or_else(|| "no namespace".to_owned(), |name| format!("namespace \"{name}\""))
}

fn offset(offset: Option<u64>) -> String {
    offset.map_or_else(|| "no offset yet".to_owned(), |offset| format!("offset {offset}"))
}
