//! What happened, in sentences for people: the tale of a run, from which its report is made. The
//! trace beside it has every input and output of every agent.

use super::World;
use protocol::{
    alert::Word,
    ledger,
    name::{IncidentId, PeerId},
    record::{Author, Because, Entry, Part, Record},
};
use std::time::Duration;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// When, from the beginning.
    pub(crate) at: Duration,
    /// To which peer, by its place; nothing where it concerns the mesh.
    pub(crate) peer: Option<usize>,
    /// What kind of thing it is.
    pub(crate) mark: Mark,
    /// A sentence without its full stop.
    pub(crate) what: String,
}

/// What a report draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The daemon runs from here on.
    Up,
    /// It is gone.
    Down,
    /// It stands still.
    Halted,
    /// It goes on.
    Resumed,
    /// It leads from here on.
    Elected,
    /// Something breaks.
    Broken,
    /// Something works again.
    Mended,
    /// A rung's execution begins here, for the peer with this place.
    Acts,
    /// It ends here.
    Acted,
    /// The network falls apart, or is bad.
    Network,
    /// It is whole again.
    Whole,
    /// An incident is opened.
    Opened,
    /// An incident is resolved.
    Resolved,
    /// The log says something else.
    Decided,
    /// A person is told.
    Person,
    /// Something else.
    Other,
}

impl World<'_> {
    /// Tells of something that happened to a peer or a guest.
    pub(super) fn tell(&mut self, peer: PeerId, mark: Mark, what: &str) {
        let place = self.place(peer);
        // A guest has no place of its own: the sentence says which it is.
        let what = match place {
            Some(_) => what.to_owned(),
            None => format!("{}: {what}", self.name(peer)),
        };
        self.tale.push(Told { at: self.time, peer: place, mark, what });
    }

    /// Tells of something that concerns the mesh.
    pub(super) fn tell_all(&mut self, mark: Mark, what: &str) {
        self.tale.push(Told { at: self.time, peer: None, mark, what: what.to_owned() });
    }

    /// Tells what the log says from here on.
    pub(super) fn tell_committed(
        &mut self,
        id: IncidentId,
        entry: &Entry,
        outcome: &ledger::Outcome,
    ) {
        if let Err(refusal) = outcome {
            let what = format!("what {} wanted is refused: {refusal}", self.name(entry.by));
            self.tell_all(Mark::Other, &what);
            return;
        }
        let Some(what) = self.sentence(id, entry) else { return };
        let peer = self.about(id, entry);
        let peer = peer.and_then(|peer| self.place(peer));
        let mark = if matches!(entry.record, Record::Opened { .. }) {
            Mark::Opened
        } else if matches!(entry.record, Record::Resolved { .. }) {
            Mark::Resolved
        } else {
            Mark::Decided
        };
        self.tale.push(Told { at: self.time, peer, mark, what });
    }

    /// Whom an entry is about.
    fn about(&self, id: IncidentId, entry: &Entry) -> Option<PeerId> {
        let of = |incident: IncidentId| {
            self.raft.truth.incidents().get(&incident).map(|known| known.peer)
        };
        if let Record::PeerJoined { peer, .. } = &entry.record {
            return Some(peer.id);
        }
        if let Author::Peer(peer) = entry.record.author() {
            return Some(peer);
        }
        let opens = matches!(entry.record, Record::Opened { .. });
        entry.record.incident().or(opens.then_some(id)).and_then(of)
    }

    fn sentence(&self, id: IncidentId, entry: &Entry) -> Option<String> {
        let rung = |incident: &IncidentId, number: u32| {
            let known = self.raft.truth.incidents().get(incident);
            let rung = known.and_then(|known| known.rung(number));
            rung.map_or_else(String::new, |rung| format!(" \"{}\"", rung.name))
        };
        let said = match &entry.record {
            Record::Opened { peer, because } => {
                let peer = self.name(*peer);
                match because {
                    Because::Check { check, .. } => {
                        format!("{id} is opened: {check} fails on {peer}")
                    }
                    Because::Silent { kind, witnesses, .. } => {
                        let saw = witnesses.iter().filter(|said| said.seen.is_silence()).count();
                        format!("{id} is opened: {peer} is {}, {saw} have seen it", kind.as_str())
                    }
                    Because::Ladder { ladder, level, .. } => {
                        format!("{id} is opened: level {level} of ladder {ladder}")
                    }
                    Because::Operator { runbook, .. } => {
                        format!("{id} is opened: an operator wants {runbook} on {peer}")
                    }
                    Because::Job { job, .. } => {
                        format!("{id} is opened: job {job} did not check in, or failed")
                    }
                    Because::Untold { notifier, .. } => {
                        format!("{id} is opened: \"{notifier}\" could not tell people")
                    }
                    Because::Storm { silent, cause, .. } => {
                        let (count, cause) = (silent.len(), cause.as_str());
                        format!("{id} is opened: a storm, {count} peers are silent ({cause})")
                    }
                }
            }
            Record::Assigned { incident, attempt, rung: number, part, worker, .. } => {
                let (rung, worker) = (rung(incident, *number), self.name(*worker));
                let part = match part {
                    Part::Act => String::new(),
                    Part::Verify | Part::Undo => format!(" ({})", part.as_str()),
                };
                format!("{incident}: attempt {attempt}, rung{rung}{part}, is given to {worker}")
            }
            Record::Reported { incident, attempt, report } => {
                format!("{incident}: attempt {attempt} ended, {}", report.outcome.as_str())
            }
            Record::Lost { incident, attempt, .. } => {
                format!("{incident}: attempt {attempt} is given up, nobody knows how it ended")
            }
            Record::Held { incident, refusal } => format!("{incident} waits: {refusal}"),
            Record::Called { incident, .. } => format!("{incident}: a person is to be called"),
            Record::Resolved { incident, because } => format!("{incident} is resolved: {because}"),
            Record::Escalated { incident, reason } => format!("{incident} is escalated: {reason}"),
            Record::Skipped { incident, refusal, .. } => {
                format!("{incident}: a rung is skipped: {refusal}")
            }
            Record::Restarted { incident } => format!("{incident} begins anew"),
            Record::CalledAgain { incident, notifier } => {
                format!("nobody acknowledges {incident}: \"{notifier}\" calls")
            }
            Record::NotRebooted { incident, .. } => format!("{incident}: nothing was rebooted"),
            Record::Claimed { incident, attempt, .. } => {
                format!("{incident}: attempt {attempt} is handed to a surgeon")
            }
            Record::Operated { report, .. } => {
                format!("a surgeon says how it ended: {}", report.outcome.as_str())
            }
            Record::Withdrawn { incident, attempt, reason } => {
                format!("{incident}: attempt {attempt} is taken back: {reason}")
            }
            Record::PeerStopped { peer } => format!("{} said goodbye", self.name(*peer)),
            Record::PeerLeft { peer } => format!("{} has left the mesh", self.name(*peer)),
            Record::Ordered { order } => format!("an operator's order: {:?}", order.order.action),
            Record::DocumentsApplied { bundle } => {
                format!("documents of revision {} are applied", bundle.bundle.revision)
            }
            Record::Alerted { words } => {
                let said: Vec<String> = words.iter().map(alert_in_words).collect();
                format!("another system says: {}", said.join(", "))
            }
            Record::Missed { jobs } => format!("{} jobs are missed", jobs.len()),
            Record::Forgotten { jobs } => format!("{} jobs are forgotten", jobs.len()),
            Record::Streamed { batch } => {
                let said: Vec<String> = batch.words.iter().map(alert_in_words).collect();
                format!("stream {} says: {}", batch.stream, said.join(", "))
            }
            Record::Founded(_)
            | Record::JobsTold { .. }
            | Record::Listening
            | Record::PeerJoined { .. }
            | Record::PeerStarted { .. }
            | Record::Booted { .. }
            | Record::EvidenceTaken { .. }
            | Record::Notified { .. } => return None,
        };
        Some(said)
    }
}

fn alert_in_words(word: &Word) -> String {
    match word {
        Word::Fires(alert) => alert.in_words(),
        Word::Ended { alert, .. } => format!("alert {alert} has ended"),
    }
}
