//! Asking the voters a question that a majority has to answer with yes.

use crate::{
    consensus::Inner,
    group::{Member, Membership},
    rpc::{Call, Reply},
};
use futures::{StreamExt, stream::FuturesUnordered};
use protocol::name::RaftId;
use std::collections::BTreeSet;

impl Inner {
    /// Whether a majority of every configuration in force says yes to `question`, this peer among
    /// them without being asked. Every voter has `election_max` to answer.
    pub(crate) async fn majority_says_yes(
        &self,
        membership: &Membership,
        question: impl Fn() -> Call,
    ) -> bool {
        let me = self.lines.me.0;
        let mut agreeing = BTreeSet::from([me]);
        let mut asked: FuturesUnordered<_> = membership
            .voter_ids()
            .filter(|id| *id != me)
            .filter_map(|id| Some((id, *membership.get_node(&id)?)))
            .map(|(id, member)| self.says_yes(id, member, question()))
            .collect();
        loop {
            let configurations = membership.get_joint_config();
            if configurations.iter().all(|voters| is_majority(voters, &agreeing)) {
                return true;
            }
            match asked.next().await {
                Some(Some(voter)) => drop(agreeing.insert(voter)),
                Some(None) => {}
                None => return false,
            }
        }
    }

    async fn says_yes(&self, id: u64, member: Member, call: Call) -> Option<u64> {
        let timeout = self.options.election_max;
        match self.lines.ask(member.peer, RaftId(id), call, timeout).await {
            Ok(Reply::Follows(true) | Reply::WouldElect(true)) => Some(id),
            Ok(
                Reply::Follows(false)
                | Reply::WouldElect(false)
                | Reply::Append(_)
                | Reply::Vote(_)
                | Reply::Snapshot(_)
                | Reply::Mismatch(_)
                | Reply::Owner(_),
            )
            | Err(_) => None,
        }
    }
}

fn is_majority(voters: &BTreeSet<u64>, agreeing: &BTreeSet<u64>) -> bool {
    voters.intersection(agreeing).count() * 2 > voters.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_voters_is_no_majority() {
        let set = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<_>>();
        assert!(is_majority(&set(&[1]), &set(&[1])));
        assert!(!is_majority(&set(&[1, 2]), &set(&[1])));
        assert!(is_majority(&set(&[1, 2, 3]), &set(&[1, 3])));
        assert!(!is_majority(&set(&[1, 2, 3]), &set(&[1, 4, 5])));
        assert!(!is_majority(&set(&[1, 2, 3, 4]), &set(&[1, 2])));
    }
}
