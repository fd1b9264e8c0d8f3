//! No message of a stream is skipped nor taken twice, and each partition's come in their order:
//! whoever leads or dies, the log takes one after the other from where it began.

use super::{Flow, Invariant, MESSAGE, Observed, Step};
use std::collections::BTreeMap;

/// Keeps in mind how many messages of each partition were looked at.
#[derive(Debug, Default)]
pub(super) struct Streams {
    seen: BTreeMap<(String, u32), usize>,
}

impl Invariant for Streams {
    fn name(&self) -> &'static str {
        "no message is skipped and none is taken twice"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        if !step.applied {
            return Ok(());
        }
        for flow in world.flows() {
            let seen = self.seen.entry((flow.stream.to_string(), flow.partition)).or_insert(0);
            let wanted = flow.begins.into_iter().flat_map(|begins| begins..).skip(*seen);
            let taken = flow.taken.iter().skip(*seen);
            for (wanted, taken) in wanted.zip(taken) {
                if *taken != wanted {
                    let place = format!("{}/{}", flow.stream, flow.partition);
                    return Err(format!(
                        "message {taken} of {place} is taken in place of {wanted}"
                    ));
                }
            }
            *seen = flow.taken.len();
        }
        Ok(())
    }

    fn at_end(&mut self, world: &dyn Observed) -> Result<(), String> {
        let ledger = world.truth();
        for flow in world.flows() {
            let place = format!("{}/{}", flow.stream, flow.partition);
            let read = next(flow);
            if read != Some(flow.end) {
                let end = flow.end;
                return Err(format!("{place} is read up to {read:?}, and it goes up to {end}"));
            }
            let known = ledger.library().stream(&flow.stream);
            let held = known.and_then(|known| {
                ledger.streams().place(&flow.stream, &known.topic, flow.partition)
            });
            let held = held.map(|held| held.next);
            if held != read {
                return Err(format!("{place} is read up to {read:?}, and the log says {held:?}"));
            }
        }
        let taken: usize = world.flows().iter().map(|flow| flow.taken.len()).sum();
        let firing = ledger.alerts().firing(ledger.last_at());
        let kept = firing.filter(|(_, firing)| firing.alert.labels.contains_key(MESSAGE)).count();
        if kept == taken {
            Ok(())
        } else {
            Err(format!("{taken} messages were taken, and the log holds {kept}"))
        }
    }
}

/// The offset of the message that is taken next.
fn next(flow: &Flow) -> Option<u64> {
    let taken = u64::try_from(flow.taken.len()).ok()?;
    flow.begins?.checked_add(taken)
}
