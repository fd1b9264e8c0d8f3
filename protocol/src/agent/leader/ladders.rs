//! Which ladders have to be climbed down: checks fail, and the picture is whole.

use super::{Agent, Output, Proposal, Running};
use crate::{
    document::Verdict,
    name::{Labels, Name, PeerId},
    record::{Because, Failing, Record},
    report::CheckState,
    time::Now,
};

impl Agent {
    /// Whether a check of peers with these labels is mended by a ladder.
    pub(super) fn on_a_ladder(&self, check: &Name, labels: &Labels) -> bool {
        let mut ladders = self.ledger.library().ladders();
        ladders.any(|ladder| ladder.level_of(check).is_some() && ladder.selector.fits(labels))
    }

    /// Opens an incident for each ladder whose checks have failed for as long as it quiesces; one
    /// at a time.
    pub(super) fn open_ladders(&mut self, now: Now, out: &mut Vec<Output>) {
        let at = self.clock.now(now);
        let mut due: Vec<(Name, PeerId, Because)> = Vec::new();
        let mut failing_now = std::collections::BTreeMap::new();
        for ladder in self.ledger.library().ladders() {
            let failing = self.failing_on(ladder);
            if failing.is_empty() {
                continue;
            }
            let since = self.leader.ladders.get(&ladder.name).copied().unwrap_or(at);
            failing_now.insert(ladder.name.clone(), since);
            let widest = failing.iter().filter_map(|one| ladder.level_of(&one.check)).min();
            let Some(level) = widest.filter(|_| at >= since.plus(ladder.quiesce)) else { continue };
            if self.ledger.open_on_ladder(&ladder.name).is_some() {
                continue;
            }
            // The incident stands for a peer whose check needs the widest level.
            let needs = |one: &&Failing| ladder.level_of(&one.check) == Some(level);
            let Some(peer) = failing.iter().find(needs).map(|one| one.peer) else { continue };
            let because = Because::Ladder { ladder: ladder.name.clone(), level, failing, since };
            if self.ledger.is_news(peer, &because).is_ok() {
                due.push((ladder.name.clone(), peer, because));
            }
        }
        self.leader.ladders = failing_now;
        for (ladder, peer, because) in due {
            let record = Record::Opened { peer, because };
            self.propose(now, Proposal::OpenLadder(ladder), record, out);
        }
    }

    fn failing_on(&self, ladder: &crate::document::Ladder) -> Vec<Failing> {
        let mut failing = Vec::new();
        for (peer, report, checks) in self.view.ailing() {
            let Some(member) = self.ledger.roster().member(peer) else { continue };
            let labels = &member.card.labels;
            let current = report.generation == member.card.generation
                && member.standing == Running::Running
                && ladder.selector.fits(labels);
            for check in checks.iter().filter(|_| current) {
                let known = self.ledger.library().check(check);
                let meant = known.is_some_and(|known| known.selector.fits(labels));
                let fails = |s: &&CheckState| s.verdict == Verdict::Fail && !s.is_left_alone();
                let state = report.checks.get(check).filter(fails);
                if let Some(state) = state.filter(|_| meant && ladder.level_of(check).is_some()) {
                    failing.push(Failing { peer, check: check.clone(), since: state.since });
                }
            }
        }
        failing.extend(self.failing_groups().filter(|one| {
            let member = self.ledger.roster().member(one.peer);
            ladder.level_of(&one.check).is_some()
                && member.is_some_and(|member| ladder.selector.fits(&member.card.labels))
        }));
        failing
    }
}
