//! Who leads, as far as it can be believed here.
//!
//! What the Raft group was last heard to say stays said when nobody is left to say otherwise: a
//! voter that has lost the others knows their leader for as long as nothing happens. So what people
//! are told is held against what is known since: a leader that has stopped, or that gossip does not
//! hear, is none, and without a leader and most of the voters there is no quorum.

use super::Agent;
use crate::name::PeerId;

impl Agent {
    /// Who leads, unless it is known to be there no more.
    pub fn led_by(&self) -> Option<PeerId> {
        self.standing.leader.filter(|leader| self.may_be_there(*leader))
    }

    /// Whether a majority follows the leader. It knows that by its lease; another peer can only
    /// tell that there is one, and that most of the voters may be there.
    pub fn has_quorum(&self) -> bool {
        match self.led_by() {
            None => false,
            Some(leader) if leader == self.card.id => self.standing.leads,
            Some(_) => {
                let voters = self.standing.voters.keys();
                let there = voters.filter(|voter| self.may_be_there(**voter)).count();
                there * 2 > self.standing.voters.len()
            }
        }
    }

    /// Whether nothing speaks against it: it runs by the log, and gossip has not missed it. Of a
    /// peer of another cell gossip says nothing here.
    fn may_be_there(&self, peer: PeerId) -> bool {
        if peer == self.card.id {
            return true;
        }
        let roster = self.ledger.roster();
        let of_my_cell = roster.member(peer).is_some_and(|m| m.card.cell == self.card.cell);
        let missed = of_my_cell && self.view.is_alive(peer) == Some(false);
        roster.is_running(peer) && !missed
    }
}
