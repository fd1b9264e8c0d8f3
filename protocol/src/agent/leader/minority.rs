//! A leader that hears only a minority of the peers suspects itself first.
//!
//! It may still reach a majority of the few voters, so that Raft keeps it; but what it would say
//! about the others is worth nothing, and somebody else may see more. It opens nothing about
//! silences meanwhile, and lets another voter try. When that one sees no more, the peers are gone
//! or the network is: each of them steps down once and then keeps the lead for a while.

use crate::{
    agent::{Agent, Output},
    time::Now,
};
use std::time::Duration;

/// How long it has to last: an election or a wave of restarts is no reason.
const LASTS: Duration = Duration::from_secs(2);

/// How long a leader that has stepped down does not do so again.
const NOT_AGAIN: Duration = Duration::from_secs(300);

/// The smallest mesh in which a minority means anything.
const PEERS_MIN: usize = 3;

/// Since when this peer leads a minority, and when it stepped down last.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::agent) struct Minority {
    since: Option<Duration>,
    pub(super) stepped_down: Option<Duration>,
}

impl Minority {
    /// This peer does not lead: when it stepped down is kept.
    pub(super) const fn rest(&mut self) {
        self.since = None;
    }
}

impl Agent {
    /// How many of the peers that should run this one hears, itself included, and how many there
    /// are.
    pub fn reach(&self) -> (usize, usize) {
        let roster = self.ledger.roster();
        let running = self.expected().count;
        // Nothing has been said of a peer that has just come.
        let in_question = self.in_question();
        let unheard = in_question
            .iter()
            .filter(|peer| roster.is_running(**peer) && self.is_suspected(**peer));
        (running - unheard.count(), running)
    }

    /// Whether this peer hears fewer than half of those that should run.
    pub fn is_in_minority(&self) -> bool {
        let (heard, all) = self.reach();
        all >= PEERS_MIN && heard * 2 < all
    }

    /// Steps down when it has led a minority for a while.
    pub(super) fn step_down(&mut self, now: Now, out: &mut Vec<Output>) {
        if !self.is_in_minority() {
            self.leader.minority.since = None;
            return;
        }
        let since = *self.leader.minority.since.get_or_insert(now.mono);
        let lasted = now.mono >= since + LASTS;
        let again = self.leader.minority.stepped_down.is_none_or(|at| now.mono >= at + NOT_AGAIN);
        let others_vote = self.standing.voters.len() > 1;
        if lasted && again && others_vote {
            self.leader.minority.stepped_down = Some(now.mono);
            let (heard, all) = self.reach();
            let why = format!("it hears {heard} of {all} peers only");
            self.doubt.begin(now.mono, why.clone());
            out.push(Output::StepDown { why });
        }
    }
}
