//! Jobs that check in: each on its own turn, and again after a while when nobody has taken it, as
//! `curl --retry 5` does. One that no document declares is reserved by its own pings.

use super::{World, queue::Event, raft::Client, tale::Mark};
use crate::{invariants::CallingJob, scenario};
use protocol::{
    heartbeat::{JobRef, Pace, Ping, Reservation, Schedule, Signal, Word},
    record::{Entry, Record},
};
use std::time::Duration;

/// How long a request may take before it is sent again.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// How often it is sent again.
const TRIES: u32 = 6;

/// One ping on its way.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    job: String,
    /// When the job began that this is a turn of: it may have ended and begun anew.
    of: Duration,
    /// How often it was sent already; nothing before the first time.
    tries: u32,
    /// How many check-ins the log had when it was sent first.
    heard: u64,
}

impl World<'_> {
    /// A job begins to check in so often, or does not any more.
    pub(super) fn job(&mut self, name: &str, every: Option<Duration>) {
        let now = self.time;
        let what = match every {
            Some(every) => {
                let job = CallingJob { every, began: now, ended: None };
                self.jobs.insert(name.to_owned(), job);
                self.turn(name, now);
                format!("job {name} begins to check in")
            }
            None => {
                if let Some(job) = self.jobs.get_mut(name) {
                    job.ended = job.ended.or(Some(now));
                }
                format!("job {name} checks in no more")
            }
        };
        self.tell_all(Mark::Other, &what);
    }

    fn turn(&mut self, name: &str, of: Duration) {
        let turn = Turn { job: name.to_owned(), of, tries: 0, heard: 0 };
        self.after(Duration::ZERO, Event::JobPings(Box::new(turn)));
    }

    /// A job pings, for the first time on this turn or again.
    pub(super) fn job_pings(&mut self, mut turn: Turn) {
        let Some(job) = self.jobs.get(&turn.job).copied() else { return };
        let heard = self.raft.truth.heartbeats().named(&turn.job).map_or(0, |job| job.checkins);
        if turn.tries == 0 {
            if job.ended.is_some() || job.began != turn.of {
                return;
            }
            turn.heard = heard;
            let next = Turn { tries: 0, ..turn.clone() };
            self.after(job.every, Event::JobPings(Box::new(next)));
        } else if heard > turn.heard || turn.tries >= TRIES {
            return;
        }
        if let Some(leader) = self.raft.leader.filter(|leader| self.has_majority(*leader)) {
            let at = self.hosts[&leader].log_now(self.time);
            let ping = Ping {
                job: JobRef::Name(turn.job.clone()),
                at,
                signal: Signal::Success,
                run: None,
                body: String::new(),
            };
            let words = reservation(&turn.job, job.every).into_iter().chain([Word::Ping(ping)]);
            let record = Record::JobsTold { words: words.collect(), nonce: None };
            let entry = Entry { at, by: leader, term: self.raft.term, record };
            self.propose(leader, entry, Client::Operator);
        }
        // Twice as long after each try, as curl does.
        let wait = ANSWERED_WITHIN + Duration::from_secs(1 << turn.tries.min(TRIES));
        turn.tries += 1;
        self.after(wait, Event::JobPings(Box::new(turn)));
    }
}

/// By which a job named `APP/COMPONENT` is reserved, where there is none of this name; it may be a
/// fifth of its time late.
fn reservation(name: &str, every: Duration) -> Option<Word> {
    let app = scenario::app_of(name)?;
    let pace = Pace { schedule: Schedule::Every { period: every }, grace: every / 5 };
    let mut reservation = Reservation::new(name, pace);
    reservation.labels.insert("app".to_owned(), app.to_owned());
    reservation.only_new = true;
    Some(Word::Reserve(reservation))
}
