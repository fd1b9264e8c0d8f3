//! People are told at least once, and not too often: a notice that the log calls delivered has
//! reached its channel, and it is repeated only where a leader may have died in between. Whoever was
//! called hears when it is over, whatever the log knows of the call.

use super::{AttemptKey, Invariant, Observed, Step};
use protocol::{
    ledger::{
        Ledger,
        incident::{Incident, News, Notice},
    },
    record::Delivered,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long the word that it is over may take, where the channel is up: a leader waits for the
/// answer to a call that another one may have made, and a while between two tries.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// Remembers since when somebody waits for the word that it is over.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// What had reached nobody when its incident was over.
    unsent: BTreeSet<AttemptKey>,
    waiting: BTreeMap<AttemptKey, Duration>,
}

impl Invariant for Notices {
    fn name(&self) -> &'static str {
        "notices reach people at least once and are seldom repeated"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        if !step.applied {
            return Ok(());
        }
        // One for each leader, and one for each time that its answer was late.
        let most = world.elections().saturating_mul(2).saturating_add(1);
        if let Some(((incident, notice), times)) =
            world.received().iter().find(|(_, times)| **times > most)
        {
            return Err(format!("notice {notice} of {incident} was sent {times} times"));
        }
        for incident in world.truth().incidents().values() {
            for notice in &incident.notices {
                let key = (incident.id, notice.number);
                let delivered = matches!(notice.done, Some((_, Delivered::Yes, _)));
                if delivered && !world.received().contains_key(&key) {
                    return Err(format!(
                        "notice {} of {} is delivered for the log and reached nobody",
                        notice.number, incident.id
                    ));
                }
                // What a leader that was deposed sends after the log has said that it was not sent
                // nobody can know of: the request was on its way.
                let unsent = matches!(notice.done, Some((_, Delivered::No, _)));
                if unsent && incident.state.is_over() && !world.received().contains_key(&key) {
                    self.unsent.insert(key);
                }
                if !self.unsent.contains(&key) && waits_for_the_end(world, incident, notice) {
                    self.waiting.entry(key).or_insert(world.time());
                }
            }
        }
        Ok(())
    }

    fn at_end(&mut self, world: &dyn Observed) -> Result<(), String> {
        for ((id, number), since) in &self.waiting {
            let Some(incident) = world.truth().incidents().get(id) else { continue };
            let waits = incident.notices.iter().any(|notice| {
                notice.number == *number && waits_for_the_end(world, incident, notice)
            });
            if waits && world.time().saturating_sub(*since) > TOLD_WITHIN {
                return Err(format!(
                    "notice {number} of {id} called somebody who never heard that it is over"
                ));
            }
        }
        Ok(())
    }
}

/// Whether somebody was called by this notice, and has not heard that it is over.
fn waits_for_the_end(world: &dyn Observed, incident: &Incident, notice: &Notice) -> bool {
    let reached = |notice: &Notice| world.received().contains_key(&(incident.id, notice.number));
    let heard = |end: &Notice| {
        end.news == News::Resolved && end.notifier == notice.notifier && reached(end)
    };
    incident.state.is_over()
        && notice.news.is_call()
        && reached(notice)
        && tells_of_ends(world.truth(), notice)
        && !incident.notices.iter().any(heard)
}

fn tells_of_ends(ledger: &Ledger, notice: &Notice) -> bool {
    ledger.library().notifier(&notice.notifier).is_some_and(|known| known.policy.recovery)
}
